package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
)

// dispatcher owns the fleet. The fleet is a plan in memory, worked out from the records; what it decides becomes
// true when the record has it. A round assigns couriers and brings the promises to their records, and there is one
// round at a time: after whatever may have changed the plan, and when the fleet says that time alone may have.
type dispatcher struct {
	clock      *clock.Clock
	log        *slog.Logger
	store      durable.Store
	search     time.Duration
	deliveries *durable.Runner[State]
	roster     func(context.Context) (Roster, error)
	life       context.Context
	end        context.CancelFunc

	mu    sync.Mutex
	fleet *Fleet // nil: to be worked out
	terms Terms
	soon  []Request // still being looked at, in the order they were asked
	news  []order   // to be brought to records

	gate     sync.Mutex
	wanted   bool
	running  bool
	stopping bool
	alarm    *clock.Alarm
	alarmAt  time.Time
	work     sync.WaitGroup
}

// order is an event for a delivery's record.
type order struct {
	id    string
	event durable.Event
}

// kick has a round made.
func (d *dispatcher) kick() {
	d.gate.Lock()
	defer d.gate.Unlock()
	if d.stopping {
		return
	}
	d.wanted = true
	if d.running {
		return
	}
	d.running = true
	d.clock.Hold()
	d.work.Go(d.run)
}

func (d *dispatcher) run() {
	defer d.clock.Release()
	for {
		d.gate.Lock()
		if !d.wanted || d.stopping {
			d.running = false
			d.gate.Unlock()
			return
		}
		d.wanted = false
		d.gate.Unlock()
		d.wake(d.round())
	}
}

// wake has a round made at t; zero: only when something happens.
func (d *dispatcher) wake(t time.Time) {
	d.gate.Lock()
	defer d.gate.Unlock()
	if d.alarm != nil {
		if d.alarmAt.Equal(t) {
			return
		}
		d.alarm.Stop()
		d.alarm = nil
	}
	if t.IsZero() || d.stopping {
		return
	}
	var a *clock.Alarm
	a = d.clock.At(t, func() {
		d.gate.Lock()
		if d.alarm == a {
			d.alarm = nil
		}
		d.gate.Unlock()
		d.kick()
	})
	d.alarm, d.alarmAt = a, t
}

// stop ends the rounds; what a round under way still wants to save is the runner's to refuse.
func (d *dispatcher) stop() {
	d.gate.Lock()
	d.stopping = true
	if d.alarm != nil {
		d.alarm.Stop()
	}
	d.gate.Unlock()
}

const again = time.Second // after a failure

// round makes one, and says when the next is due though nothing happens.
func (d *dispatcher) round() time.Time {
	d.mu.Lock()
	now := d.clock.Now()
	if err := d.restore(now); err != nil {
		d.mu.Unlock()
		d.log.Warn("the fleet's plan cannot be worked out yet", "err", err)
		return now.Add(again)
	}
	for len(d.soon) > 0 && !now.Before(d.soon[0].Asked.Add(d.search)) {
		d.fleet.Ask(d.soon[0])
		d.soon = d.soon[1:]
	}
	orders := d.news
	d.news = nil
	for _, c := range d.fleet.Assign(now) {
		if o, ok := d.promise(c, now); ok {
			orders = append(orders, o)
		}
	}
	next := d.fleet.Next()
	if len(d.soon) > 0 {
		next = sooner(next, d.soon[0].Asked.Add(d.search))
	}
	d.mu.Unlock()
	if !d.bring(orders, now) {
		next = sooner(next, now.Add(again))
	}
	return next
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// promise is what the record is told of a commitment. d.mu is held.
func (d *dispatcher) promise(c Commitment, now time.Time) (order, bool) {
	t := d.fleet.trips[c.RequestID]
	if t == nil {
		return order{}, false
	}
	return order{c.RequestID, durable.Event{Type: EventCommit, Value: Promise{
		Courier: c.CourierID, At: now, Arrive: c.Arrive, Counter: d.terms.Counter(c.Arrive), Firm: c.Firm,
		LeaveAfter:   d.terms.Leave(now).Sub(now),
		DeliverAfter: d.terms.Deliver(now, t.Pickup, t.Dropoff).Sub(now),
	}}}, true
}

const hands = 64 // records told at once

// bring applies the orders, and says whether all that were not refused are on disk. The others are for the next round.
func (d *dispatcher) bring(orders []order, now time.Time) bool {
	var (
		mu    sync.Mutex
		later []order
	)
	for chunk := range slices.Chunk(orders, hands) {
		var wait sync.WaitGroup
		for _, o := range chunk {
			wait.Go(func() {
				_, err := d.deliveries.Apply(d.life, o.id, o.event)
				_, refused := errors.AsType[*durable.Refusal](err)
				switch {
				case err == nil:
				case refused || errors.Is(err, durable.ErrNotFound):
					if o.event.Type == EventCommit { // taken back meanwhile
						d.withdraw(o.id, now)
					}
				case errors.Is(err, durable.ErrStopping):
				default:
					d.log.Warn("a delivery could not be told", "id", o.id, "event", o.event.Type, "err", err)
					mu.Lock()
					later = append(later, o)
					mu.Unlock()
				}
			})
		}
		wait.Wait()
	}
	if len(later) == 0 {
		return true
	}
	d.mu.Lock()
	d.news = append(later, d.news...)
	d.mu.Unlock()
	return false
}

// ask gives the fleet a request that the record has.
func (d *dispatcher) ask(r Request) {
	d.change(func() []Commitment {
		if d.search > 0 && r.Asked.Add(d.search).After(d.clock.Now()) {
			d.soon = append(d.soon, r)
		} else {
			d.fleet.Ask(r)
		}
		return nil
	})
}

// pickedUp, delivered and withdraw report what a record has.
func (d *dispatcher) pickedUp(id string, at time.Time) {
	d.change(func() []Commitment { later, _ := d.fleet.PickedUp(id, at); return later })
}

func (d *dispatcher) delivered(id string, at time.Time) {
	d.change(func() []Commitment { later, _ := d.fleet.Delivered(id, at); return later })
}

func (d *dispatcher) withdraw(id string, at time.Time) {
	d.change(func() []Commitment {
		d.soon = slices.DeleteFunc(d.soon, func(r Request) bool { return r.ID == id })
		later, ok := d.fleet.Withdraw(id, at)
		if !ok && d.fleet.trips[id] != nil {
			d.fleet = nil // called back with the meal in hand, which a fleet does not know: work it out anew
		}
		return later
	})
}

// change changes the plan, notes whose courier sets out now, and has a round made. A plan that is yet to be worked
// out needs no change: it will be from the records.
func (d *dispatcher) change(what func() []Commitment) {
	d.mu.Lock()
	if d.fleet != nil {
		for _, c := range what() {
			d.firm(c)
		}
	}
	d.mu.Unlock()
	d.kick()
}

// firm notes that a courier sets out for its next restaurant. d.mu is held.
func (d *dispatcher) firm(c Commitment) {
	if c.Firm {
		d.news = append(d.news, order{c.RequestID, durable.Event{
			Type: EventFirm, Value: Sure{Arrive: c.Arrive, Counter: d.terms.Counter(c.Arrive)},
		}})
	}
}

// plan is a delivery's course as foreseen now; false where the fleet has none.
func (d *dispatcher) plan(id string) (Plan, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fleet == nil {
		return Plan{}, false
	}
	return d.fleet.Plan(id, d.clock.Now())
}

// forget has the plan worked out anew: the roster has changed.
func (d *dispatcher) forget() {
	d.mu.Lock()
	d.fleet = nil
	d.mu.Unlock()
	d.kick()
}

// restore works the plan out from the roster and the records, where there is none. d.mu is held: whoever changed a
// record has not reported it yet, and will report it to the new plan.
func (d *dispatcher) restore(now time.Time) error {
	if d.fleet != nil {
		return nil
	}
	roster, err := d.roster(d.life)
	if err != nil {
		return fmt.Errorf("the roster: %w", err)
	}
	fleet, err := roster.fleet()
	if err != nil {
		return err
	}
	states, err := d.recent(now)
	if err != nil {
		return fmt.Errorf("recent deliveries: %w", err)
	}
	d.fleet, d.terms, d.soon, d.news = fleet, roster.terms(), nil, nil
	var records []Record
	unsure := map[string]bool{} // who was told of a courier, and not that it has set out
	for _, s := range states {
		unsure[s.DeliveryID] = s.Ended.IsZero() && s.Courier != "" && !s.Firm
		switch {
		case s.Waiting() && s.Nobody:
		case s.Waiting() && s.Asked.Add(d.search).After(now):
			d.soon = append(d.soon, s.record(now).Request)
		default:
			records = append(records, s.record(now))
		}
	}
	slices.SortFunc(d.soon, func(a, b Request) int { return a.Asked.Compare(b.Asked) })
	fleet.Restore(records)
	for _, r := range records {
		if unsure[r.ID] {
			if p, ok := fleet.Plan(r.ID, now); ok {
				d.firm(p.Commitment)
			}
		}
	}
	return nil
}

const backPage = 1000

// recent are the deliveries that were asked for since a request would have lapsed, which is all that wait and all
// that say where the couriers are. Their ids are taken to be in the order they were made, as UUIDs of version 7 are:
// it ends where a page has nothing that is recent or open.
func (d *dispatcher) recent(now time.Time) (states []State, err error) {
	for before := ""; ; {
		page, err := d.store.List(d.life, "", before, backPage)
		if err != nil {
			return nil, err
		}
		more := false
		for _, r := range page {
			s, err := (Machine{}).Decode(r.State)
			if err != nil {
				return nil, fmt.Errorf("delivery %s: %w", r.ID, err)
			}
			states = append(states, s)
			more = more || now.Sub(r.Created) <= lapseAfter || s.Ended.IsZero() && !s.Heard
			before = r.ID
		}
		if len(page) < backPage || !more {
			return states, nil
		}
	}
}
