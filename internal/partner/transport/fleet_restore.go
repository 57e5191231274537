package transport

import (
	"cmp"
	"slices"
	"time"
)

// Record is what the company's store knows of a request. A time that is zero has not come.
type Record struct {
	Request
	CourierID string // empty while waiting
	Turn      int    // of the Commitment, as is
	Arrive    time.Time
	Committed time.Time
	PickedUp  time.Time
	Delivered time.Time
	Withdrawn time.Time
}

// Restore brings a new fleet to where the records left it, in whatever order they come. It needs the requests that
// are waiting or under way; and to know where the others' couriers are, of every courier the last delivered one and
// all withdrawn after it. More does no harm. The next Assign goes on as the old fleet would have.
//
// A courier of the records who is not in the fleet any more finishes what it was committed to, arrives at the first
// restaurant when it was promised, and gets nothing new.
func (f *Fleet) Restore(records []Record) {
	type fact struct {
		at   time.Time
		kind int
		*Record
	}
	const (
		committed = iota
		pickedUp
		delivered
		withdrawn
	)
	var facts []fact
	for i := range records {
		r := &records[i]
		if r.CourierID == "" {
			if r.Withdrawn.IsZero() {
				f.Ask(r.Request)
			}
			continue
		}
		for kind, at := range []time.Time{r.Committed, r.PickedUp, r.Delivered, r.Withdrawn} {
			if kind == committed || !at.IsZero() {
				facts = append(facts, fact{at, kind, r})
			}
		}
	}
	// A virtual clock has many facts at one moment. Between the commitments of one courier the turn decides; the
	// order of its other facts at one moment makes no difference.
	slices.SortStableFunc(facts, func(a, b fact) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.Turn, b.Turn), cmp.Compare(a.ID, b.ID))
	})
	for _, x := range facts {
		switch x.kind {
		case committed:
			courier, known := f.byID[x.CourierID]
			if !known {
				arrive := instantOf(x.Arrive)
				courier = f.hire(x.CourierID, stop{x.Pickup, arrive}, long)
			}
			if f.trips[x.ID] == nil {
				r := x.Request
				r.Prep = min(max(r.Prep, 0), maxPrep)
				t := &trip{Request: r, pickedUp: never}
				f.trips[x.ID] = t
				c := &f.couriers[courier]
				c.turn = max(c.turn, x.Turn-1)
				f.commit(t, courier, instantOf(x.at))
			}
		case pickedUp:
			f.PickedUp(x.ID, x.at)
		case delivered:
			f.Delivered(x.ID, x.at)
		case withdrawn:
			f.Withdraw(x.ID, x.at)
		}
	}
}
