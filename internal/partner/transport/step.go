package transport

import (
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// State is a delivery as the company's record has it. Times are foreseen as soon as they are known: those after the
// present may still be taken back.
type State struct {
	DeliveryID string        `json:"delivery_id"`
	OrderID    string        `json:"order_id"`
	Restaurant string        `json:"restaurant,omitempty"` // empty: the demo restaurant; the original's bodies exactly
	Pickup     wire.Position `json:"pickup"`
	Dropoff    wire.Position `json:"dropoff"`
	Prep       time.Duration `json:"prep,omitempty"`
	Asked      time.Time     `json:"asked"`
	Nobody     bool          `json:"nobody,omitempty"` // no courier goes there

	Courier      string        `json:"courier,omitempty"`
	Committed    time.Time     `json:"committed,omitzero"`
	Arrive       time.Time     `json:"arrive,omitzero"` // at the restaurant's door; as promised until Firm
	Firm         bool          `json:"firm,omitempty"`  // the courier is on the way there
	Counter      time.Time     `json:"counter,omitzero"`
	LeaveAfter   time.Duration `json:"leave_after,omitempty"`   // from the handover
	DeliverAfter time.Duration `json:"deliver_after,omitempty"` // from leaving

	PickedUp time.Time `json:"picked_up,omitzero"`
	Leave    time.Time `json:"leave,omitzero"`
	Deliver  time.Time `json:"deliver,omitzero"`
	Heard    bool      `json:"heard,omitempty"` // the delivery service heard of the end

	Ended   time.Time `json:"ended,omitzero"` // without a delivery
	EndedBy string    `json:"ended_by,omitempty"`
}

// Why a delivery ended without one.
const (
	Cancelled = "cancelled" // before a courier was committed
	Released  = "released"  // after
	Lapsed    = "lapsed"    // no courier was found in lapseAfter
)

const lapseAfter = 24 * time.Hour

// Waiting says that no courier is committed and one is still wanted.
func (s State) Waiting() bool { return s.Committed.IsZero() && s.Ended.IsZero() }

// Statuses are those called back by a time, in their order.
func (s State) Statuses(at time.Time) []wire.Status {
	statuses := []wire.Status{}
	for _, x := range []struct {
		status wire.Status
		when   time.Time
	}{{wire.DriverAvailable, s.Committed}, {wire.InTransit, s.Leave}, {wire.Delivered, s.Deliver}} {
		if !x.when.IsZero() && !at.Before(x.when) {
			statuses = append(statuses, x.status)
		}
	}
	return statuses
}

// record is what the fleet is restored from at a time: what was to have happened by then has.
func (s State) record(at time.Time) Record {
	r := Record{
		Request:   Request{ID: s.DeliveryID, Pickup: s.Pickup, Dropoff: s.Dropoff, Asked: s.Asked, Prep: s.Prep},
		CourierID: s.Courier, Committed: s.Committed, Arrive: s.Arrive, PickedUp: s.PickedUp, Withdrawn: s.Ended,
	}
	if !s.Deliver.IsZero() && !at.Before(s.Deliver) {
		r.Delivered = s.Deliver
	}
	return r
}

// Machine is the transport company's pure core for one delivery.
type Machine struct{ durable.JSON[State] }

// Events.
const (
	EventRequest = "request" // body Ask
	EventCommit  = "commit"  // body Promise: the dispatcher has found a courier
	EventFirm    = "firm"    // body Sure: the courier sets out for the restaurant
	EventPickup  = "pickup"  // body partner.Pickup
	EventCancel  = "cancel"
	EventRelease = "release"
)

// Ask is what is kept of a wire.TransportRequest. A company that always has a courier promises one at once.
type Ask struct {
	DeliveryID string        `json:"delivery_id"`
	OrderID    string        `json:"order_id"`
	Restaurant string        `json:"restaurant,omitempty"`
	Pickup     wire.Position `json:"pickup"`
	Dropoff    wire.Position `json:"dropoff"`
	Prep       time.Duration `json:"prep,omitempty"`
	Nobody     bool          `json:"nobody,omitempty"`
	Promise    *Promise      `json:"promise,omitempty"`
}

// Promise is a courier for a delivery.
type Promise struct {
	Courier      string        `json:"courier"`
	At           time.Time     `json:"at"` // when the customer's side is told
	Arrive       time.Time     `json:"arrive"`
	Counter      time.Time     `json:"counter"`
	Firm         bool          `json:"firm,omitempty"`
	LeaveAfter   time.Duration `json:"leave_after,omitempty"`
	DeliverAfter time.Duration `json:"deliver_after,omitempty"`
}

// Sure is when the courier will be at the restaurant, now that nothing comes before it.
type Sure struct {
	Arrive  time.Time `json:"arrive"`
	Counter time.Time `json:"counter"`
}

// Names of what a delivery owes.
const (
	reportDriver    = "driverAvailable"
	reportTransit   = "inTransit"
	reportDelivered = "delivered"
	knock           = "knock" // the courier is at the counter
	callBack        = "callBack"
	open            = "open" // nobody has come for a day
)

// Step applies an event to a delivery. Of a commit and a cancel exactly one wins: the first to be saved.
func (Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	if s.DeliveryID == "" && e.Type != EventRequest {
		return s, nil, durable.Refuse(durable.NotFound, "no such delivery request")
	}
	switch e.Type {
	case EventRequest:
		return begin(s, e)
	case EventCommit:
		var p Promise
		if err := e.Into(&p); err != nil {
			return s, nil, err
		}
		switch {
		case !s.Ended.IsZero():
			return s, nil, durable.Refuse(durable.Conflict, "the request was taken back")
		case !s.Committed.IsZero():
			return s, nil, durable.Refuse(durable.Conflict, "a courier is committed already")
		}
		s, effects := s.commit(p)
		return s, effects, nil
	case EventFirm:
		return firm(s, e)
	case EventPickup:
		return pickup(s, e)
	case EventCancel:
		return cancel(s, e)
	case EventRelease:
		return release(s, e)
	case open + durable.Due:
		return lapse(s, e)
	case reportDelivered + durable.Done, reportDelivered + durable.Refused:
		s.Heard = true
		return s, nil, nil
	case reportDriver + durable.Done, reportDriver + durable.Refused, reportTransit + durable.Done, reportTransit + durable.Refused,
		knock + durable.Done, knock + durable.Refused, callBack + durable.Done, callBack + durable.Refused:
		return s, nil, durable.ErrIgnored
	}
	return s, nil, fmt.Errorf("a delivery request does not know the event %s", e.Type)
}

func begin(s State, e durable.Event) (State, []durable.Effect, error) {
	var a Ask
	if err := e.Into(&a); err != nil {
		return s, nil, err
	}
	switch {
	case s.DeliveryID != "" && s.OrderID != a.OrderID:
		return s, nil, durable.Refuse(durable.Invalid, "this delivery id was used before, for another order")
	case s.DeliveryID != "":
		return s, nil, durable.ErrIgnored
	}
	s = State{
		DeliveryID: a.DeliveryID, OrderID: a.OrderID, Restaurant: a.Restaurant, Pickup: a.Pickup, Dropoff: a.Dropoff,
		Prep: a.Prep, Asked: e.At, Nobody: a.Nobody,
	}
	if a.Promise != nil && !a.Nobody {
		s, effects := s.commit(*a.Promise)
		return s, effects, nil
	}
	return s, []durable.Effect{durable.Timer(open, e.At.Add(lapseAfter))}, nil
}

func (s State) commit(p Promise) (State, []durable.Effect) {
	s.Courier, s.Committed, s.Arrive, s.Firm, s.Counter = p.Courier, p.At, p.Arrive, p.Firm, p.Counter
	s.LeaveAfter, s.DeliverAfter = p.LeaveAfter, p.DeliverAfter
	effects := []durable.Effect{durable.Drop(open), s.report(reportDriver, wire.DriverAvailable, s.Committed)}
	if s.Firm {
		effects = append(effects, s.knock())
	}
	return s, effects
}

// report tells the delivery service. Who drives is ours to say: for the demo restaurant the original's bodies are used
// exactly, and whoever asks is told.
func (s State) report(name string, status wire.Status, due time.Time) durable.Effect {
	news := wire.DeliveryCallback{Status: status, DeliveryID: s.DeliveryID}
	if status == wire.DriverAvailable && s.Restaurant != "" {
		news.CourierID = s.driver()
	}
	call := durable.Command(name, wire.DeliveryService, "POST /v1/deliveries/callback", news, time.Time{})
	call.Due = due
	return call
}

// express is the courier of a company that has couriers without end: nobody in particular.
const express = "express"

// driver is who drives, as others are told.
func (s State) driver() string {
	if s.Courier == express {
		return ""
	}
	return s.Courier
}

// knock tells the restaurant that the courier is at the counter, when that is so.
func (s State) knock() durable.Effect {
	k := durable.Command(knock, wire.Restaurant, "POST /handovers",
		partner.Handover{OrderID: s.OrderID, DeliveryID: s.DeliveryID, Courier: s.Courier, AtCounter: s.Counter}, time.Time{})
	k.Due = s.Counter
	return k
}

// errNotYet: the promise is on its way to the record; the dispatcher says it again.
var errNotYet = fmt.Errorf("no courier is committed yet")

func firm(s State, e durable.Event) (State, []durable.Effect, error) {
	var f Sure
	if err := e.Into(&f); err != nil {
		return s, nil, err
	}
	switch {
	case !s.Ended.IsZero() || s.Firm:
		return s, nil, durable.ErrIgnored
	case s.Committed.IsZero():
		return s, nil, errNotYet
	}
	s.Firm, s.Arrive, s.Counter = true, f.Arrive, f.Counter
	return s, []durable.Effect{s.knock()}, nil
}

func pickup(s State, e durable.Event) (State, []durable.Effect, error) {
	var p partner.Pickup
	if err := e.Into(&p); err != nil {
		return s, nil, err
	}
	switch {
	case !s.PickedUp.IsZero():
		return s, nil, durable.ErrIgnored
	case !s.Ended.IsZero():
		return s, nil, durable.Refuse(durable.Conflict, "the courier was called back")
	case !s.Firm || e.At.Before(s.Counter):
		return s, nil, durable.Refuse(durable.Conflict, "no courier is at the counter for this delivery")
	}
	if s.PickedUp = p.At; p.At.Before(s.Counter) || p.At.After(e.At) {
		s.PickedUp = e.At
	}
	s.Leave = s.PickedUp.Add(s.LeaveAfter)
	s.Deliver = s.Leave.Add(s.DeliverAfter)
	return s, []durable.Effect{
		durable.Drop(knock),
		s.report(reportTransit, wire.InTransit, s.Leave), s.report(reportDelivered, wire.Delivered, s.Deliver),
	}, nil
}

func cancel(s State, e durable.Event) (State, []durable.Effect, error) {
	switch {
	case !s.Committed.IsZero():
		return s, nil, durable.Refuse(durable.Conflict, "too late: a driver is committed")
	case !s.Ended.IsZero():
		return s, nil, durable.ErrIgnored
	}
	s.Ended, s.EndedBy = e.At, Cancelled
	return s, []durable.Effect{durable.Drop(open)}, nil
}

// release lets the courier go, wherever it is.
func release(s State, e durable.Event) (State, []durable.Effect, error) {
	switch {
	case !s.Ended.IsZero():
		return s, nil, durable.ErrIgnored
	case s.Committed.IsZero():
		return cancel(s, e)
	case !s.Leave.IsZero() && !e.At.Add(partner.Margin).Before(s.Leave):
		return s, nil, durable.Refuse(durable.Conflict, "too late: the meal is on its way")
	}
	s.Ended, s.EndedBy = e.At, Released
	effects := []durable.Effect{
		durable.Drop(knock), durable.Drop(reportTransit), durable.Drop(reportDelivered),
	}
	if s.Firm && s.PickedUp.IsZero() && !e.At.Add(partner.Margin).Before(s.Counter) {
		effects = append(effects, durable.Command(callBack, wire.Restaurant, "DELETE /handovers/"+s.OrderID, nil, time.Time{}))
	}
	s.PickedUp, s.Leave, s.Deliver = time.Time{}, time.Time{}, time.Time{}
	return s, effects, nil
}

// lapse ends a request that nobody served for a day.
func lapse(s State, e durable.Event) (State, []durable.Effect, error) {
	if !s.Waiting() {
		return s, nil, durable.ErrIgnored
	}
	s.Ended, s.EndedBy = e.At, Lapsed
	return s, nil, nil
}
