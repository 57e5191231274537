package order_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	orderID    = "01980000-0000-7000-8000-000000000001"
	customerID = "0190a000-0000-7000-8000-00000000c001"
	deliveryID = "01980000-0000-7000-8000-0000000000d1"
	kitchenID  = "01980000-0000-7000-8000-0000000000e1"
)

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	machine = order.Machine{Limits: order.DefaultLimits}
	home    = wire.Address{Name: "Ada Lovelace", Street: "12 St James's Square", Zipcode: "SW1Y 4JH", City: "London"}
)

// kindDrop is the kind of an effect that takes another back.
var kindDrop = durable.Drop("").Kind

// Events of an order's life.

func event(kind string, body any) durable.Event {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return durable.Event{ID: kind, Type: kind, Body: b}
}

func placed() durable.Event {
	return event(order.EventPlace, order.Place{
		ID: orderID, CustomerID: customerID, RestaurantID: wire.DemoRestaurant,
		Items: []wire.Item{{Product: "Lasagna", Quantity: 2}}, Total: wire.Money{Amount: 2590, Currency: wire.Euro},
	})
}

// status is the message that the service in charge of s puts into the order queue.
func status(s wire.Status) durable.Event {
	m := wire.StatusMessage{Status: s, Metadata: wire.Metadata{Receiver: wire.OrderQueue, OrderID: orderID, CustomerID: customerID}}
	switch s {
	case wire.DeliveryScheduled, wire.DriverAvailable, wire.InTransit, wire.Delivered:
		m.DeliveryID = deliveryID
	case wire.CookingScheduled, wire.CookingMeal, wire.CookingDone, wire.PickedUp:
		m.KitchenID = kitchenID
	}
	e := event(order.EventStatus, m)
	e.ID = "status:" + string(s)
	return e
}

// refusedBy is the message that a service's company will not do it; which service is told by whose id is there.
func refusedBy(service, reason string) durable.Event {
	m := wire.StatusMessage{
		Status: wire.OrderCancelled, Reason: reason,
		Metadata: wire.Metadata{Receiver: wire.OrderQueue, OrderID: orderID, CustomerID: customerID},
	}
	switch service {
	case wire.DeliveryService:
		m.DeliveryID = deliveryID
	case wire.KitchenService:
		m.KitchenID = kitchenID
	}
	return event(order.EventStatus, m)
}

func customerCancels() durable.Event { return event(order.EventCancel, order.Cancel{}) }

func operatorCancels() durable.Event {
	return event(order.EventCancel, order.Cancel{Operator: true, Reason: "the street is closed"})
}

func due(timer string) durable.Event { return durable.Event{ID: timer, Type: timer + durable.Due} }

func no(effect, detail string) durable.Event {
	return event(effect+durable.Refused, durable.Rejection{Status: 409, Detail: detail})
}

// yes is the other side's answer to a command of an order.
func yes(effect string) durable.Event {
	var body any = struct{}{}
	switch effect {
	case "address":
		body = home
	case "deliver":
		body = wire.DeliveryAnswer{DeliveryID: deliveryID, Scheduled: noon, Status: wire.DeliveryScheduled}
	case "cook":
		body = wire.KitchenAnswer{KitchenID: kitchenID, Scheduled: noon, Status: wire.CookingScheduled}
	}
	return event(effect+durable.Done, body)
}

// life is an order with what it owes, as the shell keeps it: a later effect of a name replaces the earlier one.
type life struct {
	state     order.State
	owed      map[string]durable.Effect
	announced []durable.Effect // domain events; the broker always takes them
	at        time.Time
}

func newLife(events ...durable.Event) *life {
	l := &life{owed: map[string]durable.Effect{}, at: noon}
	for _, e := range events {
		if err := l.apply(e); err != nil && !changesNothing(err) {
			panic("order is " + string(l.state.Status) + ": " + e.Type + " " + string(e.Body) + ": " + err.Error())
		}
	}
	return l
}

// copy is what l is now, whatever becomes of l.
func (l *life) copy() *life {
	return &life{state: l.state, owed: maps.Clone(l.owed), announced: slices.Clip(l.announced), at: l.at}
}

func changesNothing(err error) bool {
	return errors.Is(err, durable.ErrIgnored) || errors.Is(err, durable.ErrCanWait)
}

// apply brings an event a minute after the last.
func (l *life) apply(e durable.Event) error {
	l.at = l.at.Add(time.Minute)
	e.At = l.at
	next, effects, err := machine.Step(l.state, e)
	if name, ok := effectOf(e.Type); ok && (err == nil || changesNothing(err)) {
		delete(l.owed, name)
	}
	if err != nil && !errors.Is(err, durable.ErrCanWait) {
		return err
	}
	l.state = next
	for _, f := range effects {
		delete(l.owed, f.Name)
		switch {
		case f.To == broker.Events:
			l.announced = append(l.announced, f)
		case f.Kind != kindDrop:
			l.owed[f.Name] = f
		}
	}
	return err
}

// effectOf is the effect whose outcome an event of that type is.
func effectOf(kind string) (string, bool) {
	for _, suffix := range []string{durable.Done, durable.Refused, durable.GaveUp, durable.Due} {
		if name, ok := strings.CutSuffix(kind, suffix); ok {
			return name, true
		}
	}
	return "", false
}

func (l *life) history() []wire.Status {
	var all []wire.Status
	for _, m := range l.state.History {
		all = append(all, m.Status)
	}
	return all
}

// owes are the names of what is owed, timers apart from the rest, without the one that always runs.
func (l *life) owes() (work, timers []string) {
	for name, e := range l.owed {
		if name == "silence" {
			continue
		}
		if e.Kind == durable.KindTimer {
			timers = append(timers, name)
		} else {
			work = append(work, name)
		}
	}
	slices.Sort(work)
	slices.Sort(timers)
	return work, timers
}

// happy is what happens to an order that goes well, in the legal order.
var happy = []durable.Event{
	placed(), yes("pay"), status(wire.PaymentPaid), yes("address"), yes("deliver"), status(wire.DriverAvailable), yes("cook"),
	status(wire.CookingMeal), status(wire.CookingDone), status(wire.PickedUp), status(wire.InTransit), status(wire.Delivered),
}

// upTo is how an order comes to the status.
func upTo(s wire.Status) []durable.Event {
	for i := range happy {
		if newLife(happy[:i+1]...).state.Status == s {
			return slices.Clone(happy[:i+1])
		}
	}
	panic("not on the way of an order that goes well: " + s)
}

// unchanged fails where the two are not the same to the last bit of their spare capacity.
func unchanged(t testing.TB, what string, before, after order.State) {
	t.Helper()
	if !reflect.DeepEqual(before, after) ||
		!reflect.DeepEqual(before.History[:cap(before.History)], after.History[:cap(after.History)]) ||
		!reflect.DeepEqual(before.Ahead[:cap(before.Ahead)], after.Ahead[:cap(after.Ahead)]) ||
		!reflect.DeepEqual(before.Notes[:cap(before.Notes)], after.Notes[:cap(after.Notes)]) {
		t.Errorf("%s wrote into the state it was given", what)
	}
}

// roomy is a copy of s whose slices have room behind them, where an append that is not clipped would show.
func roomy(s order.State) order.State {
	s.Items = slices.Grow(slices.Clone(s.Items), 4)
	s.History = slices.Grow(slices.Clone(s.History), 4)
	s.Ahead = slices.Grow(slices.Clone(s.Ahead), 4)
	s.Notes = slices.Grow(slices.Clone(s.Notes), 4)
	return s
}

// golden compares got with what the file has below its line of dashes; above it is the input, for the reader.
func golden(t *testing.T, file, input, got string) {
	t.Helper()
	content := input + "----------\n" + got
	if *update {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(content)) {
		t.Errorf("%s is not what comes out now (go test -update shows it in the diff):\n%s", file, firstDifference(string(want), content))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want " + w[i] + "\ngot  " + g[i]
		}
	}
	return "one of the two is longer"
}
