package delivery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/redact"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// State is what a delivery remembers.
type State struct {
	ID        string        `json:"id"`
	Metadata  wire.Metadata `json:"metadata"`
	Items     []wire.Item   `json:"items"`
	Address   wire.Address  `json:"address"`
	Trip      wire.Trip     `json:"trip,omitzero"`
	Scheduled time.Time     `json:"scheduled"`
	Accepted  bool          `json:"accepted,omitempty"` // the company has the request
	Courier   string        `json:"courier,omitempty"`  // who drives, by the company's name; empty: it has not said
	Cancel    Cancel        `json:"cancel,omitempty"`
	Granted   bool          `json:"granted,omitempty"` // the company itself said that no driver will come
	History   []wire.Moment `json:"history,omitempty"` // what the company reported and we passed on
	Refusal   string        `json:"refusal,omitempty"` // why the company will not do it, as we passed it on
	Silences  int           `json:"silences,omitempty"`
}

// Cancel is how far a cancel is.
type Cancel string

// The phases of a cancel.
const (
	NotCancelled Cancel = ""
	CancelAsked  Cancel = "asked" // the company's verdict is out
	Cancelled    Cancel = "done"  // no driver will come
	CancelLost   Cancel = "lost"  // a driver is committed
)

// Committed says whether a driver is.
func (s State) Committed() bool { return len(s.History) > 0 }

// Machine is the delivery's pure core.
type Machine struct {
	durable.JSON[State]
	Silence time.Duration // how long the company may be silent before it is asked; doubles, to maxSilence
}

// Party is whose the delivery is: the courier's who drives, also of one that was let go.
func (Machine) Party(s State) string { return s.Courier }

// DefaultSilence is the first wait before the company is asked, maxSilence the longest.
const (
	DefaultSilence = 10 * time.Minute
	maxSilence     = 2 * time.Hour
)

// Events from outside.
const (
	EventRequest  = "request"  // body Request
	EventCancel   = "cancel"   // of an order without a driver: the company decides
	EventRelease  = "release"  // of an order that ended after a driver was committed
	EventCallback = "callback" // body wire.DeliveryCallback
	EventAsk      = "ask"
)

// Request begins a delivery under an id of ours.
type Request struct {
	ID string `json:"id"`
	wire.DeliveryRequest
}

// Names of what a delivery owes.
const (
	request   = "request"
	withdraw  = "withdraw"
	release   = "release"
	silence   = "silence"
	askStatus = "askStatus"
	report    = "report:" // + status
)

// known are the statuses that the transport company reports; whatever else it says is not passed on.
var known = []wire.Status{wire.DriverAvailable, wire.InTransit, wire.Delivered}

type step struct {
	State
	m       Machine
	at      time.Time
	effects []durable.Effect
}

// Step applies an event to a delivery. See the package comment for what it promises.
func (m Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	x := &step{State: s, m: m, at: e.At}
	err := x.apply(e)
	if err != nil && !errors.Is(err, durable.ErrCanWait) {
		return s, nil, err
	}
	return x.State, x.effects, err
}

func (x *step) owe(e ...durable.Effect) { x.effects = append(x.effects, e...) }

func (x *step) apply(e durable.Event) error {
	if x.ID == "" && e.Type != EventRequest {
		return durable.Refuse(durable.NotFound, "no such delivery")
	}
	switch e.Type {
	case EventRequest:
		return x.request(e)
	case EventCancel:
		return x.cancel()
	case EventRelease:
		return x.release()
	case EventCallback:
		var c wire.DeliveryCallback
		if err := e.Into(&c); err != nil {
			return err
		}
		if why := x.doubt(); why != "" {
			return durable.Refuse(durable.Doubtful, "%s", why)
		}
		return x.called(c)
	case EventAsk:
		return x.asked()

	case request + durable.Done:
		x.Accepted = true
		if x.Cancel != CancelAsked {
			return durable.ErrCanWait // lost in a crash, the request is made again and accepted again
		}
		x.askToCancel()
		return nil
	case request + durable.Refused:
		return x.refused(e)
	case withdraw + durable.Done:
		if x.Committed() {
			return fmt.Errorf("the transport company cancelled a delivery for which it had committed a driver")
		}
		x.Cancel, x.Granted = Cancelled, true
		x.owe(durable.Drop(silence), durable.Drop(askStatus))
		return nil
	case withdraw + durable.Refused:
		if x.Cancel != CancelAsked {
			return durable.ErrIgnored
		}
		x.Cancel = CancelLost
		if !x.Committed() {
			x.ask() // it says a driver is committed: its news is on the way, or lost
		}
		return nil
	case release + durable.Done, release + durable.Refused, askStatus + durable.Refused, askStatus + durable.GaveUp:
		return durable.ErrIgnored
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
	return fmt.Errorf("a delivery does not know the event %s: %s", e.Type, e.Body)
}

func (x *step) request(e durable.Event) error {
	if x.ID != "" {
		return durable.ErrIgnored // the same order again: one delivery
	}
	var r Request
	if err := e.Into(&r); err != nil {
		return err
	}
	x.State = State{ID: r.ID, Metadata: r.Metadata, Items: r.Items, Address: r.Address, Trip: r.Trip, Scheduled: x.at}
	x.owe(
		durable.Command(request, wire.TransportCompany, "POST /delivery-requests", wire.TransportRequest{
			DeliveryID: x.ID, Items: x.Items, Metadata: x.Metadata, Address: x.Address, Trip: x.Trip,
		}, time.Time{}),
		x.silenceTimer(),
	)
	return nil
}

// refused: the company will not take the request.
func (x *step) refused(e durable.Event) error {
	var r durable.Rejection
	if err := e.Into(&r); err != nil {
		return err
	}
	x.Cancel = Cancelled
	x.owe(durable.Drop(silence), durable.Drop(askStatus))
	x.Refusal = "the transport company refused: " + r.Detail
	x.report(wire.OrderCancelled)
	return nil
}

func (x *step) cancel() error {
	switch {
	case planted.Is(planted.CancelAfterDriverAvailable):
		x.Cancel = Cancelled
	case x.Committed() || x.Cancel == CancelLost:
		return durable.Refuse(durable.Conflict, "too late: a driver is committed")
	case x.Cancel != NotCancelled:
		return durable.ErrIgnored
	default:
		x.Cancel = CancelAsked
		if x.Accepted {
			x.askToCancel()
		} // else when the company has the request: what it never heard of it cannot cancel
	}
	return nil
}

func (x *step) askToCancel() {
	x.owe(durable.Command(withdraw, wire.TransportCompany, "PUT /delivery-requests/"+x.ID+"/cancel", nil, time.Time{}))
}

// release lets the driver go: the order ended otherwise.
func (x *step) release() error {
	if x.Cancel == Cancelled {
		return durable.ErrIgnored
	}
	if x.has(wire.InTransit) || x.has(wire.Delivered) {
		return durable.Refuse(durable.Conflict, "too late: the meal is on its way")
	}
	x.Cancel = Cancelled
	x.owe(
		durable.Command(release, wire.TransportCompany, "PUT /delivery-requests/"+x.ID+"/release", nil, time.Time{}),
		durable.Drop(silence), durable.Drop(askStatus),
	)
	return nil
}

// told takes all that the company says has happened.
func (x *step) told(e durable.Event) error {
	var t wire.TransportState
	if err := e.Into(&t); err != nil {
		return err
	}
	changed := slices.Contains(t.Statuses, wire.DriverAvailable) && x.drives(t.Courier)
	for _, s := range t.Statuses {
		changed = x.news(s) == nil || changed
	}
	if !changed {
		return durable.ErrIgnored
	}
	return nil
}

// doubt is why the company's news cannot be true, or nothing. News of a delivery that we let go is only late.
func (x *step) doubt() string {
	switch {
	case x.Granted:
		return "the transport company has cancelled this delivery"
	case x.Refusal != "":
		return "the transport company has refused this delivery"
	}
	return ""
}

// called: the company has called back. Who drives may come after the news that somebody does, which it was asked for.
func (x *step) called(c wire.DeliveryCallback) error {
	said := c.Status == wire.DriverAvailable && x.drives(c.CourierID)
	if err := x.news(c.Status); err != nil && !said {
		return err
	}
	return nil
}

// drives notes who drives, where that was not known, and says whether it did. What cannot be an id is not one: it
// must not keep the news from being heard.
func (x *step) drives(courier string) bool {
	if x.Courier != "" || x.Cancel == Cancelled || courier == "" || utf8.RuneCountInString(courier) > maxCourier ||
		!utf8.ValidString(courier) || strings.ContainsFunc(courier, unicode.IsControl) || redact.Card(courier) {
		return false
	}
	x.Courier = courier
	return true
}

// maxCourier is how many characters a courier's id has at most.
const maxCourier = 100

// news takes one status of the company, however it came, and passes it on.
func (x *step) news(s wire.Status) error {
	if x.Cancel == Cancelled || x.has(s) || !slices.Contains(known, s) {
		return durable.ErrIgnored
	}
	if x.Cancel == CancelAsked {
		x.Cancel = CancelLost
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

// waiting says whether the company owes news.
func (x *step) waiting() bool { return x.Cancel != Cancelled && !x.has(wire.Delivered) }

func (x *step) ask() {
	x.owe(durable.Command(askStatus, wire.TransportCompany, "GET /delivery-requests/"+x.ID, nil, x.at.Add(x.m.Silence)),
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
	m := wire.StatusMessage{Status: s, Metadata: x.Metadata, DeliveryID: x.ID}
	if s == wire.OrderCancelled {
		m.Reason = x.Refusal
	}
	x.owe(durable.Message(report+string(s), "", x.Metadata.Receiver, m))
}
