// Package transport is the simulated transport company: couriers in shifts who fetch meals and bring them.
//
// Its core, Fleet, decides who serves which request and foresees when. It is pure: no I/O, no clock, no randomness,
// no goroutine. It does not limit how long a request waits, and it forgets a request once it is delivered or
// withdrawn; both are its owner's to remember.
package transport

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// Courier is one shift of one courier.
type Courier struct {
	ID    string
	Start wire.Position // where the courier is when the shift begins
	On    time.Time     // zero: has always been on
	Off   time.Time     // zero: never ends
}

// Request is a delivery that needs a courier.
type Request struct {
	ID              string
	Pickup, Dropoff wire.Position
	Asked           time.Time // when the company was asked: the oldest request is served first

	// Prep is how long the kitchen will take once it is told to cook, which is when a courier is committed. It is an
	// estimate, used to foresee when the courier is free again; less than nothing counts as nothing.
	Prep time.Duration
}

// maxPrep keeps an absurd estimate from becoming a time that wraps around.
const maxPrep = 7 * 24 * time.Hour

// Commitment is a courier promised to a request.
type Commitment struct {
	RequestID, CourierID string
	Turn                 int       // rises with every commitment of the courier, from 1: their order, for Restore
	Arrive               time.Time // at the restaurant's door

	// Firm says that the courier has nothing else to finish first: Arrive stays as it is unless the request is
	// withdrawn. Otherwise it is foreseen from the courier's earlier trips and moves with them.
	Firm bool
}

// Plan is the course of a committed request: what was reported, and what is foreseen for the rest.
type Plan struct {
	Commitment
	HandOver, Leave, Deliver time.Time
	PickedUp                 bool // HandOver was reported
}

// Fleet decides which courier serves which request. It is the whole of the company's dispatching, and pure: the time
// is passed in, and equal calls in equal order give equal answers.
//
// The policy is four rules.
//  1. The oldest request goes first; one that cannot be served yet does not hold up the next.
//  2. It gets the courier who can be at the restaurant first, one finishing other drops and one whose shift is about
//     to begin included. Among equals the one with the shortest way, then the one whose shift ends first, then the
//     one listed first.
//  3. The courier must be there within Terms.Horizon. A request nobody can serve in time waits, and Next says when
//     to try again. The fleet never gives up a request: whoever limits the wait calls Withdraw.
//  4. The courier must be there before its shift ends. It then sees the trip through, and a commitment is kept even
//     if an earlier trip of the courier takes longer than foreseen.
//
// A courier carries one order at a time, serves its commitments in the order they were made, and waits where its last
// trip ended. A trip's steps are foreseen by Terms; a step that should be over but was not reported is taken to
// happen at the present moment at the earliest.
//
// Times between the years 1700 and 2200 are understood. A Fleet is not safe for concurrent use.
type Fleet struct {
	terms    Terms
	couriers []courier
	byID     map[string]int   // couriers
	trips    map[string]*trip // waiting and committed
	waiting  []*trip          // oldest first
	moved    []int            // couriers whose plan changed otherwise than by Assign, since its last call
	next     instant
}

// courier is a Courier and its work. The first fields are what the search for a courier reads.
type courier struct {
	pos  wire.Position // where and
	free instant       // when the last trip ends, as foreseen
	due  instant       // the first step that is foreseen and not reported; never without trips
	late bool          // due is so long past that free moves with the present
	off  instant
	id   string
	base stop    // where and when the trips begin
	todo []*trip // in the order of commitment
	turn int     // of the last commitment
}

type stop struct {
	pos  wire.Position
	free instant
}

// trip is a request, from Ask until it is delivered or withdrawn.
type trip struct {
	Request
	courier   int // nobody while waiting
	turn      int
	committed instant
	pickedUp  instant // never until reported
	fresh     bool    // no courier was searched for yet
	retry     instant // when waiting alone may bring a courier into the horizon
}

const nobody = -1

// NewFleet is a fleet of idle couriers. It fails on terms without a speed or with negative times, on couriers
// without a name or with the same one, and on shifts that end before they begin.
func NewFleet(terms Terms, couriers []Courier) (*Fleet, error) {
	if err := terms.check(); err != nil {
		return nil, fmt.Errorf("transport: terms: %w", err)
	}
	f := &Fleet{terms: terms, byID: make(map[string]int, len(couriers)), trips: make(map[string]*trip), next: never}
	for _, c := range couriers {
		if c.ID == "" {
			return nil, fmt.Errorf("transport: a courier without a name")
		}
		if _, twice := f.byID[c.ID]; twice {
			return nil, fmt.Errorf("transport: courier %q is there twice", c.ID)
		}
		on, off := instantOf(c.On), never
		if !c.Off.IsZero() {
			off = instantOf(c.Off)
		}
		if off < on {
			return nil, fmt.Errorf("transport: courier %q ends the shift before it begins", c.ID)
		}
		f.hire(c.ID, stop{c.Start, on}, off)
	}
	return f, nil
}

func (f *Fleet) hire(id string, base stop, off instant) int {
	f.byID[id] = len(f.couriers)
	f.couriers = append(f.couriers, courier{pos: base.pos, free: base.free, due: never, off: off, id: id, base: base})
	return len(f.couriers) - 1
}

// Ask puts a request among the waiting. It is false, and changes nothing, if the fleet already has one of that ID.
func (f *Fleet) Ask(r Request) bool {
	if f.trips[r.ID] != nil {
		return false
	}
	r.Prep = min(max(r.Prep, 0), maxPrep)
	t := &trip{Request: r, courier: nobody, pickedUp: never, fresh: true, retry: never}
	f.trips[r.ID] = t
	at, _ := slices.BinarySearchFunc(f.waiting, t, byAge)
	f.waiting = slices.Insert(f.waiting, at, t)
	return true
}

func byAge(a, b *trip) int {
	return cmp.Or(a.Asked.Compare(b.Asked), cmp.Compare(a.ID, b.ID))
}

// Assign commits every waiting request that a courier can be promised to now. Call it after every Ask and every
// report, and at Next. The answer is in the order of the promises, and nil when there are none.
func (f *Fleet) Assign(now time.Time) []Commitment {
	f.next = never
	if len(f.waiting) == 0 {
		f.moved = f.moved[:0]
		return nil
	}
	at := instantOf(now)
	for i := range f.couriers {
		if c := &f.couriers[i]; c.due < at {
			f.foresee(c, at)
		}
	}
	var made []Commitment
	still := f.waiting[:0]
	for _, t := range f.waiting {
		best := f.search(t, at)
		if best == nobody {
			still = append(still, t)
			f.next = min(f.next, t.retry)
			continue
		}
		made = append(made, f.commit(t, best, at))
	}
	clear(f.waiting[len(still):])
	f.waiting = still
	f.moved = f.moved[:0]
	return made
}

// search is the courier for a waiting request, by rules 2 to 4. Whoever could not serve it when it was searched for
// last cannot do so now either unless its retry has come or the courier moved; so a long queue costs little.
func (f *Fleet) search(t *trip, now instant) int {
	if !t.fresh && now < t.retry {
		found := false
		for _, i := range f.moved {
			arrive, can := f.reach(&f.couriers[i], t, now)
			if found = can && arrive-now <= instant(f.terms.Horizon); found {
				break
			}
			f.putOff(t, &f.couriers[i], arrive, can, now)
		}
		if !found {
			return nobody
		}
	}
	t.fresh, t.retry = false, never
	best, first, shortest := nobody, now+instant(f.terms.Horizon), never
	for i := range f.couriers {
		c := &f.couriers[i]
		if best != nobody && c.free > first {
			continue
		}
		arrive, can := f.reach(c, t, now)
		if !can || arrive > first {
			if best == nobody {
				f.putOff(t, c, arrive, can, now)
			}
			continue
		}
		way := arrive - max(now, c.free)
		if best == nobody || arrive < first || way < shortest || way == shortest && c.off < f.couriers[best].off {
			best, first, shortest = i, arrive, way
		}
	}
	return best
}

// reach is when a courier would be at the request's restaurant after all its trips, and whether its shift allows it.
func (f *Fleet) reach(c *courier, t *trip, now instant) (instant, bool) {
	start := max(now, c.free)
	if start > c.off {
		return 0, false
	}
	arrive := start + instant(f.terms.Travel(c.pos, t.Pickup))
	return arrive, arrive <= c.off
}

// putOff notes when a courier beyond the horizon comes into it by waiting alone. One who is idle never does, and one
// who is late does so by a report only.
func (f *Fleet) putOff(t *trip, c *courier, arrive instant, can bool, now instant) {
	if can && c.free > now && !c.late {
		t.retry = min(t.retry, arrive-instant(f.terms.Horizon))
	}
}

func (f *Fleet) commit(t *trip, courier int, now instant) Commitment {
	c := &f.couriers[courier]
	c.turn++
	t.courier, t.committed, t.turn = courier, now, c.turn
	c.todo = append(c.todo, t)
	f.foresee(c, now)
	return f.commitments(c, len(c.todo)-1, now)[0]
}

// Next is when Assign is worth calling again although nothing was asked or reported, as of the last Assign. Zero
// means that no passing of time helps.
func (f *Fleet) Next() time.Time { return f.next.time() }

// Waiting is the number of requests without a courier.
func (f *Fleet) Waiting() int { return len(f.waiting) }

// PickedUp reports that the courier was handed the meal of a committed request. Like Withdraw and Delivered it
// answers with the courier's later commitments as they are now foreseen, in their order; ok is false, and nothing
// changed, when there was nothing to report: a request unknown, still waiting, or picked up before.
func (f *Fleet) PickedUp(id string, at time.Time) (later []Commitment, ok bool) {
	t := f.trips[id]
	if t == nil || t.courier == nobody || t.pickedUp != never {
		return nil, false
	}
	t.pickedUp = instantOf(at)
	c := f.changed(t)
	return f.commitments(c, slices.Index(c.todo, t)+1, instantOf(at)), true
}

// Delivered reports that the customer has the meal, and forgets the request. The first of the later commitments is
// firm now: its courier sets out for it. It is false for a request unknown or still waiting.
func (f *Fleet) Delivered(id string, at time.Time) (later []Commitment, ok bool) {
	t := f.trips[id]
	if t == nil || t.courier == nobody {
		return nil, false
	}
	return f.finish(t, stop{t.Dropoff, instantOf(f.terms.Free(at))}, instantOf(at)), true
}

// Withdraw takes a request back, waiting or committed, and forgets it. A courier on its way to the restaurant is free
// at once, where it is on the straight line; one at the restaurant is free there. It is false for a request unknown
// and for one whose meal was picked up: that is delivered.
func (f *Fleet) Withdraw(id string, at time.Time) (later []Commitment, ok bool) {
	t := f.trips[id]
	if t == nil || t.pickedUp != never {
		return nil, false
	}
	if t.courier == nobody {
		i, _ := slices.BinarySearchFunc(f.waiting, t, byAge)
		f.waiting = slices.Delete(f.waiting, i, i+1)
		delete(f.trips, id)
		return nil, true
	}
	return f.finish(t, f.whereabouts(t, instantOf(at)), instantOf(at)), true
}

// whereabouts is where and when the courier on its way to a restaurant can turn to something else.
func (f *Fleet) whereabouts(t *trip, at instant) stop {
	base := f.couriers[t.courier].base
	depart := max(base.free, t.committed)
	way := instant(f.terms.Travel(base.pos, t.Pickup))
	switch {
	case at <= depart:
		return base
	case at >= depart+way:
		return stop{t.Pickup, at}
	}
	done := float64(at-depart) / float64(way)
	return stop{wire.Position{X: base.pos.X + done*(t.Pickup.X-base.pos.X), Y: base.pos.Y + done*(t.Pickup.Y-base.pos.Y)}, at}
}

// finish forgets a committed trip, which leaves its courier at end if the courier was on it.
func (f *Fleet) finish(t *trip, end stop, now instant) []Commitment {
	c := &f.couriers[t.courier]
	i := slices.Index(c.todo, t)
	if i == 0 {
		c.base = end
	}
	c.todo = slices.Delete(c.todo, i, i+1)
	delete(f.trips, t.ID)
	return f.commitments(f.changed(t), i, now)
}

func (f *Fleet) changed(t *trip) *courier {
	c := &f.couriers[t.courier]
	f.foresee(c, long)
	if !slices.Contains(f.moved, t.courier) {
		f.moved = append(f.moved, t.courier)
	}
	return c
}

// Plan is the course of a committed request as it is foreseen at now. It is false for a request unknown or waiting.
func (f *Fleet) Plan(id string, now time.Time) (Plan, bool) {
	t := f.trips[id]
	if t == nil || t.courier == nobody {
		return Plan{}, false
	}
	c := &f.couriers[t.courier]
	from := c.base
	for i, o := range c.todo {
		leg := f.leg(o, from, instantOf(now))
		if o == t {
			return Plan{
				Commitment: f.commitment(c, i, leg), PickedUp: t.pickedUp != never,
				HandOver: leg.handOver.time(), Leave: leg.leave.time(), Deliver: leg.deliver.time(),
			}, true
		}
		from = leg.end
	}
	return Plan{}, false // not reached: a committed trip is among its courier's
}

// leg is a trip in time.
type leg struct {
	arrive, handOver, leave, deliver instant
	end                              stop
}

// leg foresees a trip that begins at a stop. What was not reported by now is still to happen, save for travel, which
// takes as long as it takes.
func (f *Fleet) leg(t *trip, from stop, now instant) (l leg) {
	l.arrive = max(from.free, t.committed) + instant(f.terms.Travel(from.pos, t.Pickup))
	if l.handOver = t.pickedUp; l.handOver == never {
		l.handOver = max(l.arrive+instant(f.terms.PickupService/2), t.committed+instant(t.Prep), now)
	}
	l.leave = l.handOver + instant(f.terms.PickupService-f.terms.PickupService/2)
	l.deliver = max(l.leave+instant(f.terms.Travel(t.Pickup, t.Dropoff)+f.terms.DropoffService/2), now)
	l.end = stop{t.Dropoff, l.deliver + instant(f.terms.DropoffService-f.terms.DropoffService/2)}
	return l
}

// foresee works out when and where a courier ends its last trip.
func (f *Fleet) foresee(c *courier, now instant) {
	end, onTime := c.base, c.base
	c.due = never
	for i, t := range c.todo {
		leg := f.leg(t, onTime, long)
		if i == 0 && t.pickedUp == never {
			c.due = leg.handOver
		} else if i == 0 {
			c.due = leg.deliver
		}
		onTime, end = leg.end, f.leg(t, end, now).end
	}
	c.pos, c.free, c.late = end.pos, end.free, end.free > onTime.free
}

// commitments are a courier's from its first-th on.
func (f *Fleet) commitments(c *courier, first int, now instant) []Commitment {
	var cs []Commitment
	from := c.base
	for i, t := range c.todo {
		leg := f.leg(t, from, now)
		if i >= first {
			cs = append(cs, f.commitment(c, i, leg))
		}
		from = leg.end
	}
	return cs
}

func (f *Fleet) commitment(c *courier, i int, l leg) Commitment {
	return Commitment{RequestID: c.todo[i].ID, CourierID: c.id, Turn: c.todo[i].turn, Arrive: l.arrive.time(), Firm: i == 0}
}

// instant is a time in nanoseconds since 1970: the search compares thousands of them.
type instant int64

const (
	long  instant = math.MinInt64 / 2 // ago
	never instant = math.MaxInt64 / 2
)

// instantOf is long ago for the zero time.
func instantOf(t time.Time) instant {
	if t.IsZero() {
		return long
	}
	return instant(t.UnixNano())
}

// time is zero for long ago and never.
func (i instant) time() time.Time {
	if i <= long || i >= never {
		return time.Time{}
	}
	return time.Unix(0, int64(i)).UTC()
}
