package restaurant

import (
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// State is a meal. Its times are foreseen: what is still to come may be taken back.
type State struct {
	KitchenID string    `json:"kitchen_id,omitempty"` // empty: the courier was here first
	OrderID   string    `json:"order_id,omitempty"`   // empty: cancelled before it was asked for
	Silent    bool      `json:"silent,omitempty"`
	Begun     time.Time `json:"begun,omitzero"`
	Done      time.Time `json:"done,omitzero"`
	Delivery  string    `json:"delivery_id,omitempty"`
	Courier   string    `json:"courier,omitempty"`
	Counter   time.Time `json:"counter,omitzero"` // since when the courier is here
	Left      bool      `json:"left,omitempty"`   // the courier was called back, and comes no more
	PickedUp  time.Time `json:"picked_up,omitzero"`
	Cancelled time.Time `json:"cancelled,omitzero"`
	Alias     string    `json:"alias,omitempty"` // nothing but the id of the record that has this kitchen id's meal
}

// Statuses are those called back by a time, in their order.
func (s State) Statuses(at time.Time) []wire.Status {
	statuses := []wire.Status{}
	if s.Silent {
		return statuses
	}
	if !s.Cancelled.IsZero() && s.Cancelled.Before(at) {
		at = s.Cancelled
	}
	for _, x := range []struct {
		status wire.Status
		when   time.Time
	}{{wire.CookingMeal, s.Begun}, {wire.CookingDone, s.Done}, {wire.PickedUp, s.PickedUp}} {
		if !x.when.IsZero() && !at.Before(x.when) {
			statuses = append(statuses, x.status)
		}
	}
	return statuses
}

// Terms are how quick the restaurants are.
type Terms struct {
	BeginLeast, BeginMost time.Duration // from the request to the first pan
	Prep                  time.Duration // where the request has no ready_at
	Quick                 bool          // never mind ready_at: every meal takes Prep
}

// DefaultTerms are those of a restaurant that nobody configured.
func DefaultTerms() Terms {
	return Terms{BeginLeast: 3 * time.Second, BeginMost: 8 * time.Second, Prep: partner.DefaultPrep}
}

// apart is partner.Apart, or less where meals are quick.
func (t Terms) apart() time.Duration { return min(partner.Apart, t.Prep/5) }

// Machine is the restaurants' pure core.
type Machine struct {
	durable.JSON[State]
	Terms Terms
}

// Events.
const (
	EventCook     = "cook"     // body Cook
	EventCancel   = "cancel"   // body Cancel
	EventHandover = "handover" // body partner.Handover
	EventLeft     = "left"     // the courier went away without the meal
	EventAlias    = "alias"    // body the other record's id
)

// Cook is what is kept of a wire.CookingRequest.
type Cook struct {
	KitchenID string     `json:"kitchen_id"`
	OrderID   string     `json:"order_id"`
	Silent    bool       `json:"silent,omitempty"`
	ReadyAt   *time.Time `json:"ready_at,omitempty"`
}

// Cancel names the request, which may not have come yet.
type Cancel struct {
	KitchenID string `json:"kitchen_id"`
}

// Names of what a meal owes.
const (
	reportBegun    = "cookingMeal"
	reportDone     = "cookingDone"
	reportPickedUp = "pickedUp"
	handOver       = "handOver"
)

// Step applies an event to a meal. See the package comment for what it promises.
func (m Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	if s.Alias != "" {
		return s, nil, durable.ErrIgnored // the event belongs to the other record
	}
	switch e.Type {
	case EventCook:
		return m.cook(s, e)
	case EventCancel:
		return cancel(s, e)
	case EventHandover:
		return m.arrived(s, e)
	case EventLeft:
		return left(s, e)
	case EventAlias:
		if !s.Cancelled.IsZero() {
			return s, nil, durable.Refuse(durable.Conflict, "the request was cancelled")
		}
		var id string
		if err := e.Into(&id); err != nil {
			return s, nil, err
		}
		return State{Alias: id}, nil, nil
	case reportBegun + durable.Done, reportBegun + durable.Refused, reportDone + durable.Done, reportDone + durable.Refused,
		reportPickedUp + durable.Done, reportPickedUp + durable.Refused, handOver + durable.Done, handOver + durable.Refused:
		return s, nil, durable.ErrIgnored
	}
	return s, nil, fmt.Errorf("a meal does not know the event %s", e.Type)
}

func (m Machine) cook(s State, e durable.Event) (State, []durable.Effect, error) {
	var c Cook
	if err := e.Into(&c); err != nil {
		return s, nil, err
	}
	switch {
	case !s.Cancelled.IsZero():
		return s, nil, durable.Refuse(durable.Conflict, "the request was cancelled")
	case s.KitchenID != "" && (s.KitchenID != c.KitchenID || s.OrderID != c.OrderID):
		return s, nil, durable.Refuse(durable.Conflict, "the order is cooked already, under another kitchen id")
	case s.KitchenID != "":
		return s, nil, durable.ErrIgnored
	}
	s.KitchenID, s.OrderID, s.Silent = c.KitchenID, c.OrderID, c.Silent
	if s.Silent {
		return s, nil, nil
	}
	s.Begun = e.At.Add(partner.Between(m.Terms.BeginLeast, m.Terms.BeginMost, s.KitchenID, "begin"))
	s.Done = s.Begun.Add(m.Terms.Prep)
	if c.ReadyAt != nil && !m.Terms.Quick {
		s.Done = latest(*c.ReadyAt, s.Begun.Add(m.Terms.apart()))
	}
	effects := []durable.Effect{s.report(reportBegun, wire.CookingMeal, s.Begun), s.report(reportDone, wire.CookingDone, s.Done)}
	return m.handOver(s, e.At, effects)
}

// handOver foresees the handover, once both courier and meal are known.
func (m Machine) handOver(s State, now time.Time, effects []durable.Effect) (State, []durable.Effect, error) {
	if s.Silent || s.Counter.IsZero() || s.Done.IsZero() {
		return s, effects, nil
	}
	s.PickedUp = latest(s.Done, latest(s.Counter, now))
	tell := durable.Command(handOver, wire.TransportCompany, "POST /pickups",
		partner.Pickup{DeliveryID: s.Delivery, OrderID: s.OrderID, At: s.PickedUp}, time.Time{})
	tell.Due = s.PickedUp
	reported := latest(s.PickedUp, s.Done.Add(m.Terms.apart()))
	return s, append(effects, s.report(reportPickedUp, wire.PickedUp, reported), tell), nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s State) report(name string, status wire.Status, due time.Time) durable.Effect {
	call := durable.Command(name, wire.KitchenService, "POST /v1/kitchen/callback",
		wire.KitchenCallback{Status: status, KitchenID: s.KitchenID}, time.Time{})
	call.Due = due
	return call
}

// tooLate says whether the meal is out of the restaurant's hands, or as good as.
func (s State) tooLate(at time.Time) bool {
	return !s.PickedUp.IsZero() && !at.Add(partner.Margin).Before(s.PickedUp)
}

func cancel(s State, e durable.Event) (State, []durable.Effect, error) {
	var c Cancel
	if err := e.Into(&c); err != nil {
		return s, nil, err
	}
	switch {
	case !s.Cancelled.IsZero():
		return s, nil, durable.ErrIgnored
	case s.tooLate(e.At):
		return s, nil, durable.Refuse(durable.Conflict, "too late: the meal was handed over")
	}
	s.KitchenID, s.Cancelled, s.PickedUp = c.KitchenID, e.At, time.Time{}
	return s, []durable.Effect{
		durable.Drop(reportBegun), durable.Drop(reportDone), durable.Drop(reportPickedUp), durable.Drop(handOver),
	}, nil
}

// arrived: the courier is at the counter.
func (m Machine) arrived(s State, e durable.Event) (State, []durable.Effect, error) {
	var h partner.Handover
	if err := e.Into(&h); err != nil {
		return s, nil, err
	}
	switch {
	case !s.Cancelled.IsZero():
		return s, nil, durable.Refuse(durable.Conflict, "the meal was cancelled")
	case s.Left:
		return s, nil, durable.Refuse(durable.Conflict, "the courier was called back")
	case s.Delivery == h.DeliveryID:
		return s, nil, durable.ErrIgnored
	case s.Delivery != "":
		return s, nil, durable.Refuse(durable.Conflict, "another courier is here for this order")
	}
	s.OrderID, s.Delivery, s.Courier, s.Counter = h.OrderID, h.DeliveryID, h.Courier, h.AtCounter
	if s.Counter.IsZero() || s.Counter.After(e.At) {
		s.Counter = e.At
	}
	return m.handOver(s, e.At, nil)
}

// left: the courier was called back.
func left(s State, e durable.Event) (State, []durable.Effect, error) {
	switch {
	case s.Left:
		return s, nil, durable.ErrIgnored
	case s.tooLate(e.At):
		return s, nil, durable.Refuse(durable.Conflict, "too late: the courier has the meal")
	}
	s.Left, s.Delivery, s.Courier, s.Counter, s.PickedUp = true, "", "", time.Time{}, time.Time{}
	return s, []durable.Effect{durable.Drop(reportPickedUp), durable.Drop(handOver)}, nil
}
