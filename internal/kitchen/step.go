package kitchen

import (
	"fmt"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// State is what a kitchen ticket remembers.
type State struct {
	ID        string        `json:"id"`
	Metadata  wire.Metadata `json:"metadata"`
	Items     []wire.Item   `json:"items,omitempty"`
	Trip      wire.Trip     `json:"trip,omitzero"`
	Scheduled time.Time     `json:"scheduled"`
	Released  bool          `json:"released,omitempty"` // the order ended: nothing more is to be cooked
	Begun     bool          `json:"begun,omitempty"`    // the restaurant was asked
	History   []wire.Moment `json:"history,omitempty"`  // what the restaurant reported and we passed on
	Refusal   string        `json:"refusal,omitempty"`  // why the restaurant will not do it, as we passed it on
	Silences  int           `json:"silences,omitempty"`
}

// Machine is the ticket's pure core.
type Machine struct {
	durable.JSON[State]
	Silence time.Duration // how long the restaurant may be silent before it is asked; doubles, to maxSilence
}

// Restaurant is where the meal is cooked. Requests for the demo restaurant do not name it, and neither does a release:
// one that came before the request is of no restaurant.
func (s State) Restaurant() string {
	if s.Begun && s.Trip.RestaurantID == "" {
		return wire.DemoRestaurant
	}
	return s.Trip.RestaurantID
}

// Party is whose the ticket is: the restaurant's.
func (Machine) Party(s State) string { return s.Restaurant() }

// DefaultSilence is the first wait before the restaurant is asked, maxSilence the longest.
const (
	DefaultSilence = 10 * time.Minute
	maxSilence     = 2 * time.Hour
)

// Events from outside.
const (
	EventRequest  = "request"  // body Request
	EventRelease  = "release"  // body Request; may come before the request, which it then forbids
	EventCallback = "callback" // body wire.KitchenCallback
	EventAsk      = "ask"
)

// Request begins a ticket under an id of ours.
type Request struct {
	ID string `json:"id"`
	wire.KitchenRequest
}

// Names of what a ticket owes.
const (
	request   = "request"
	release   = "release"
	silence   = "silence"
	askStatus = "askStatus"
	report    = "report:" // + status
)

// known are the statuses that a restaurant reports; whatever else it says is not passed on.
var known = []wire.Status{wire.CookingMeal, wire.CookingDone, wire.PickedUp}

type step struct {
	State
	m       Machine
	at      time.Time
	effects []durable.Effect
}

// Step applies an event to a ticket.
func (m Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	x := &step{State: s, m: m, at: e.At}
	if err := x.apply(e); err != nil {
		return s, nil, err
	}
	return x.State, x.effects, nil
}

func (x *step) owe(e ...durable.Effect) { x.effects = append(x.effects, e...) }

func (x *step) apply(e durable.Event) error {
	if x.ID == "" && e.Type != EventRequest && e.Type != EventRelease {
		return durable.Refuse(durable.NotFound, "no such kitchen ticket")
	}
	switch e.Type {
	case EventRequest:
		return x.request(e)
	case EventRelease:
		return x.release(e)
	case EventCallback:
		var c wire.KitchenCallback
		if err := e.Into(&c); err != nil {
			return err
		}
		return x.news(c.Status)
	case EventAsk:
		return x.asked()

	case request + durable.Done:
		if !x.Released {
			return durable.ErrIgnored
		}
		x.stopCooking() // the release may have reached the restaurant before the request
		return nil
	case release + durable.Done, release + durable.Refused, askStatus + durable.Refused, askStatus + durable.GaveUp:
		return durable.ErrIgnored
	case request + durable.Refused:
		return x.refused(e)
	case silence + durable.Due:
		if !x.waiting() {
			return durable.ErrIgnored
		}
		x.Silences++
		x.ask()
		return nil
	case askStatus + durable.Done:
		return x.told(e)
	}
	return fmt.Errorf("a kitchen ticket does not know the event %s: %s", e.Type, e.Body)
}

func (x *step) request(e durable.Event) error {
	if x.Released {
		return durable.Refuse(durable.Conflict, "the order was cancelled")
	}
	if x.ID != "" {
		return durable.ErrIgnored // the same order again: it is cooked once
	}
	var r Request
	if err := e.Into(&r); err != nil {
		return err
	}
	x.State = State{ID: r.ID, Metadata: r.Metadata, Items: r.Items, Trip: r.Trip, Scheduled: x.at, Begun: true}
	x.owe(
		durable.Command(request, wire.Restaurant, "POST /cooking-requests", wire.CookingRequest{
			KitchenID: x.ID, Items: x.Items, Metadata: x.Metadata, Trip: x.Trip,
		}, time.Time{}),
		x.silenceTimer(),
	)
	return nil
}

// refused: the restaurant will not cook it.
func (x *step) refused(e durable.Event) error {
	if x.Released {
		return durable.ErrIgnored
	}
	var r durable.Rejection
	if err := e.Into(&r); err != nil {
		return err
	}
	x.Released = true
	x.owe(durable.Drop(silence), durable.Drop(askStatus))
	x.Refusal = "the restaurant refused: " + r.Detail
	x.report(wire.OrderCancelled)
	return nil
}

// release stops the cooking of an order that ended, or forbids it where it was not asked for yet.
func (x *step) release(e durable.Event) error {
	if x.Released {
		return durable.ErrIgnored
	}
	if x.has(wire.PickedUp) {
		return durable.Refuse(durable.Conflict, "too late: the meal was handed over")
	}
	if x.ID == "" {
		var r Request
		if err := e.Into(&r); err != nil {
			return err
		}
		x.State = State{ID: r.ID, Metadata: r.Metadata, Trip: r.Trip, Scheduled: x.at}
	}
	x.Released = true
	if x.Begun {
		x.stopCooking()
	}
	return nil
}

func (x *step) stopCooking() {
	x.owe(
		durable.Command(release, wire.Restaurant, "PUT /cooking-requests/"+x.ID+"/cancel", nil, time.Time{}),
		durable.Drop(silence), durable.Drop(askStatus),
	)
}

// told takes all that the restaurant says has happened.
func (x *step) told(e durable.Event) error {
	var t wire.CookingState
	if err := e.Into(&t); err != nil {
		return err
	}
	changed := false
	for _, s := range t.Statuses {
		changed = x.news(s) == nil || changed
	}
	if !changed {
		return durable.ErrIgnored
	}
	return nil
}

// news takes one status of the restaurant, however it came, and passes it on.
func (x *step) news(s wire.Status) error {
	if x.Released || x.has(s) || !slices.Contains(known, s) {
		return durable.ErrIgnored
	}
	x.Silences = 0
	x.History = append(slices.Clip(x.History), wire.Moment{Status: s, When: x.at})
	x.report(s)
	if x.waiting() { // not where news of before comes after the last
		x.owe(x.silenceTimer())
	} else {
		x.owe(durable.Drop(silence), durable.Drop(askStatus))
	}
	return nil
}

func (x *step) has(s wire.Status) bool {
	return slices.ContainsFunc(x.History, func(m wire.Moment) bool { return m.Status == s })
}

// waiting says whether the restaurant owes news.
func (x *step) waiting() bool { return x.Begun && !x.Released && !x.has(wire.PickedUp) }

func (x *step) ask() {
	x.owe(durable.Command(askStatus, wire.Restaurant, "GET /cooking-requests/"+x.ID, nil, x.at.Add(x.m.Silence)),
		x.silenceTimer())
}

func (x *step) silenceTimer() durable.Effect {
	return durable.Timer(silence, x.at.Add(min(maxSilence, x.m.Silence<<min(x.Silences, 10))))
}

// asked: the order misses news. What it was told it is told again, as a broker may have lost it for good, and the
// company is asked where it owes more.
func (x *step) asked() error {
	for _, m := range x.History {
		x.report(m.Status)
	}
	if x.Refusal != "" {
		x.report(wire.OrderCancelled)
	}
	if x.waiting() {
		x.ask()
	}
	if len(x.effects) == 0 {
		return durable.ErrIgnored
	}
	return nil
}

// report tells whoever asked for it.
func (x *step) report(s wire.Status) {
	m := wire.StatusMessage{Status: s, Metadata: x.Metadata, KitchenID: x.ID}
	if s == wire.OrderCancelled {
		m.Reason = x.Refusal
	}
	x.owe(durable.Message(report+string(s), "", x.Metadata.Receiver, m))
}
