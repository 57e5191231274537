package delivery_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/delivery"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/wire"
)

const id = "01980000-0000-7000-8000-0000000000d1"

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	machine = delivery.Machine{Silence: delivery.DefaultSilence}
)

func event(kind string, body any) durable.Event {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return durable.Event{ID: kind, Type: kind, Body: b}
}

func request() durable.Event {
	return event(delivery.EventRequest, delivery.Request{ID: id, DeliveryRequest: wire.DeliveryRequest{
		Items:    []wire.Item{{Product: "Lasagna", Quantity: 2}},
		Metadata: wire.Metadata{Receiver: wire.OrderQueue, OrderID: "o1", CustomerID: "c1"},
		Address:  wire.Address{Name: "Ada", Street: "1 Street", Zipcode: "1", City: "London"},
	}})
}

func yes(effect string) durable.Event { return event(effect+durable.Done, struct{}{}) }

func no(effect string) durable.Event {
	return event(effect+durable.Refused, durable.Rejection{Status: 409, Detail: "no couriers today"})
}

func news(s wire.Status) durable.Event {
	return event(delivery.EventCallback, wire.DeliveryCallback{Status: s, DeliveryID: id})
}

func told(s ...wire.Status) durable.Event {
	return event("askStatus.done", wire.TransportState{DeliveryID: id, Statuses: s})
}

func cancel() durable.Event  { return event(delivery.EventCancel, nil) }
func release() durable.Event { return event(delivery.EventRelease, nil) }
func silence() durable.Event { return durable.Event{Type: "silence" + durable.Due} }

// life is a delivery with what it owes, as the shell keeps it, and all the effects there ever were.
type life struct {
	state delivery.State
	owed  map[string]durable.Effect
	ever  []durable.Effect
	at    time.Time
}

func newLife(events ...durable.Event) *life {
	l := &life{owed: map[string]durable.Effect{}, at: noon}
	for _, e := range events {
		if err := l.apply(e); err != nil && !errors.Is(err, durable.ErrIgnored) {
			panic(e.Type + ": " + err.Error())
		}
	}
	return l
}

func (l *life) apply(e durable.Event) error {
	l.at = l.at.Add(time.Second)
	e.At = l.at
	next, effects, err := machine.Step(l.state, e)
	if errors.Is(err, durable.ErrCanWait) {
		err = nil // the shell keeps the state; only the write can wait
	}
	name, outcome := outcomeOf(e)
	if outcome && (err == nil || errors.Is(err, durable.ErrIgnored)) {
		delete(l.owed, name)
	}
	if err != nil {
		return err
	}
	if e.Type == delivery.EventAsk { // what it was told, the order is told again
		effects = slices.DeleteFunc(slices.Clone(effects), func(f durable.Effect) bool {
			return f.Kind == durable.KindMessage && slices.ContainsFunc(l.ever, func(t durable.Effect) bool { return t.Name == f.Name })
		})
	}
	l.state, l.ever = next, append(l.ever, effects...)
	for _, f := range effects {
		if l.owed[f.Name] = f; f.Kind == durable.Drop("").Kind {
			delete(l.owed, f.Name)
		}
	}
	return nil
}

// outcomeOf is the effect whose outcome an event is.
func outcomeOf(e durable.Event) (effect string, ok bool) {
	i := strings.LastIndexByte(e.Type, '.')
	return e.Type[:max(i, 0)], i > 0
}

func (l *life) told() (all []wire.Status) {
	for _, f := range l.ever {
		if f.Kind == durable.KindMessage {
			all = append(all, wire.Status(strings.TrimPrefix(f.Name, "report:")))
		}
	}
	return all
}

func (l *life) owes() []string {
	work := maps.Clone(l.owed)
	maps.DeleteFunc(work, func(_ string, f durable.Effect) bool { return f.Kind == durable.KindMessage })
	return slices.Sorted(maps.Keys(work))
}

func TestDelivery(t *testing.T) {
	accepted := []durable.Event{request(), yes("request")}
	then := func(more ...durable.Event) []durable.Event { return append(slices.Clone(accepted), more...) }
	driver, transit, done := wire.DriverAvailable, wire.InTransit, wire.Delivered
	tests := []struct {
		name   string
		events []durable.Event
		cancel delivery.Cancel
		told   []wire.Status
		owed   []string // beside what is told
	}{
		{"asked for", []durable.Event{request()}, "", nil, []string{"request", "silence"}},
		{"asked for twice", []durable.Event{request(), request()}, "", nil, []string{"request", "silence"}},
		{"accepted", accepted, "", nil, []string{"silence"}},
		{"refused", []durable.Event{request(), no("request")}, delivery.Cancelled, []wire.Status{wire.OrderCancelled}, nil},
		{"driver", then(news(driver)), "", []wire.Status{driver}, []string{"silence"}},
		{"driver before the request's answer", []durable.Event{request(), news(driver), yes("request")}, "", []wire.Status{driver}, []string{"silence"}},
		{"driver, ten times", then(slices.Repeat([]durable.Event{news(driver)}, 10)...), "", []wire.Status{driver}, []string{"silence"}},
		{"delivered", then(news(driver), news(transit), news(done)), "", []wire.Status{driver, transit, done}, nil},
		{"in another order", then(news(done), news(driver), news(transit)), "", []wire.Status{done, driver, transit}, nil},
		{"cancel asked for", then(cancel()), delivery.CancelAsked, nil, []string{"silence", "withdraw"}},
		{"cancel asked for twice", then(cancel(), cancel()), delivery.CancelAsked, nil, []string{"silence", "withdraw"}},
		{"cancel before the company has the request", []durable.Event{request(), cancel()}, delivery.CancelAsked, nil, []string{"request", "silence"}},
		{"... and it has it now", []durable.Event{request(), cancel(), yes("request")}, delivery.CancelAsked, nil, []string{"silence", "withdraw"}},
		{"cancel won", then(cancel(), yes("withdraw")), delivery.Cancelled, nil, nil},
		{"cancel won, late news", then(cancel(), yes("withdraw"), news(driver)), delivery.Cancelled, nil, nil},
		{"cancel lost", then(cancel(), no("withdraw")), delivery.CancelLost, nil, []string{"askStatus", "silence"}},
		{"cancel lost, then the news", then(cancel(), no("withdraw"), told(driver)), delivery.CancelLost, []wire.Status{driver}, []string{"silence"}},
		{"the news before the verdict", then(cancel(), news(driver), no("withdraw")), delivery.CancelLost, []wire.Status{driver}, []string{"silence"}},
		{"released", then(news(driver), release()), delivery.Cancelled, []wire.Status{driver}, []string{"release"}},
		{"released twice", then(news(driver), release(), release()), delivery.Cancelled, []wire.Status{driver}, []string{"release"}},
		{"released, late news", then(news(driver), release(), yes("release"), news(transit)), delivery.Cancelled, []wire.Status{driver}, nil},
		{"silent", then(silence()), "", nil, []string{"askStatus", "silence"}},
		{"silent, and all of it told at once", then(silence(), told(driver, transit, done)), "", []wire.Status{driver, transit, done}, nil},
		{"silent, nothing new", then(news(driver), silence(), told(driver)), "", []wire.Status{driver}, []string{"silence"}},
		{"silent, no answer", then(silence(), event("askStatus.gaveUp", nil)), "", nil, []string{"silence"}},
		{"asked by a person", then(event(delivery.EventAsk, nil)), "", nil, []string{"askStatus", "silence"}},
	}
	for _, tt := range tests {
		l := newLife(tt.events...)
		if l.state.Cancel != tt.cancel || !slices.Equal(l.told(), tt.told) || !slices.Equal(l.owes(), tt.owed) {
			t.Errorf("%s: cancel %q, told %v, owes %v\nwant %q, %v, %v",
				tt.name, l.state.Cancel, l.told(), l.owes(), tt.cancel, tt.told, tt.owed)
		}
	}
}

// TestCourier: who drives is known as soon as the company says it, whether it calls or is asked, and then for good.
func TestCourier(t *testing.T) {
	call := func(s wire.Status, courier string) durable.Event {
		return event(delivery.EventCallback, wire.DeliveryCallback{Status: s, DeliveryID: id, CourierID: courier})
	}
	answer := func(courier string, s ...wire.Status) durable.Event {
		return event("askStatus.done", wire.TransportState{DeliveryID: id, Statuses: s, Courier: courier})
	}
	driver, transit := wire.DriverAvailable, wire.InTransit
	long := strings.Repeat("é", 100)
	for _, tt := range []struct {
		name   string
		events []durable.Event
		want   string
		told   int
	}{
		{"nobody", nil, "", 0},
		{"a driver whom nobody names", []durable.Event{news(driver)}, "", 1},
		{"a driver", []durable.Event{call(driver, "bob")}, "bob", 1},
		{"named later", []durable.Event{news(driver), call(driver, "bob")}, "bob", 1},
		{"named by who was asked", []durable.Event{answer("bob", driver)}, "bob", 1},
		{"named again by who was asked", []durable.Event{news(driver), answer("bob", driver)}, "bob", 1},
		{"another one", []durable.Event{call(driver, "bob"), call(driver, "eve"), answer("eve", driver)}, "bob", 1},
		{"foreseen", []durable.Event{answer("bob")}, "", 0},
		{"with other news", []durable.Event{call(transit, "bob")}, "", 1},
		{"with a long name", []durable.Event{call(driver, long)}, long, 1},
		{"with too long a name", []durable.Event{call(driver, long+"é")}, "", 1},
		{"with no name for an id", []durable.Event{call(driver, "bob\x00"), answer("bob\n", driver)}, "", 1},
		{"let go", []durable.Event{call(driver, "bob"), release()}, "bob", 1},
		{"named after it was cancelled", []durable.Event{cancel(), yes("withdraw"), call(driver, "bob")}, "", 0},
	} {
		l := newLife(append([]durable.Event{request(), yes("request")}, tt.events...)...)
		if l.state.Courier != tt.want || machine.Party(l.state) != tt.want || len(l.told()) != tt.told {
			t.Errorf("%s: %q, and the order was told %v", tt.name, l.state.Courier, l.told())
		}
	}
	l := newLife(request(), yes("request"), call(driver, "bob"))
	if err := l.apply(call(driver, "bob")); !errors.Is(err, durable.ErrIgnored) {
		t.Errorf("the same again: %v", err)
	}
}

func TestErrors(t *testing.T) {
	committed := []durable.Event{request(), yes("request"), news(wire.DriverAvailable)}
	tests := []struct {
		name   string
		before []durable.Event
		event  durable.Event
		code   durable.Code // empty: an error that parks, or goes back to the sender
	}{
		{"news of no delivery", nil, news(wire.DriverAvailable), durable.NotFound},
		{"cancel of no delivery", nil, cancel(), durable.NotFound},
		{"cancel with a driver", committed, cancel(), durable.Conflict},
		{"cancel again after it was lost", []durable.Event{request(), yes("request"), cancel(), no("withdraw")}, cancel(), durable.Conflict},
		{"release of a meal on its way", append(slices.Clone(committed), news(wire.InTransit)), release(), durable.Conflict},
		{"cancelled though committed", []durable.Event{request(), yes("request"), cancel(), news(wire.DriverAvailable)}, yes("withdraw"), ""},
		{"bad request", nil, durable.Event{Type: delivery.EventRequest, Body: []byte("{")}, ""},
		{"bad callback", committed, durable.Event{Type: delivery.EventCallback, Body: []byte("[]")}, ""},
		{"bad answer", committed, durable.Event{Type: "askStatus.done", Body: []byte("<html>")}, ""},
		{"bad refusal", committed[:1], durable.Event{Type: "request.refused", Body: []byte("x")}, ""},
		{"unknown", committed, durable.Event{Type: "eat"}, ""},
	}
	for _, tt := range tests {
		l := newLife(tt.before...)
		was := l.state
		err := l.apply(tt.event)
		var refusal *durable.Refusal
		if errors.As(err, &refusal) != (tt.code != "") || err == nil || errors.Is(err, durable.ErrIgnored) {
			t.Errorf("%s: %v", tt.name, err)
		} else if refusal != nil && refusal.Code != tt.code {
			t.Errorf("%s: %s", tt.name, refusal.Code)
		}
		if !reflect.DeepEqual(was, l.state) {
			t.Errorf("%s: the state changed", tt.name)
		}
	}
}

// TestSilenceDoubles: the company is asked after 10, 20, 40 … minutes, at least every two hours, and afresh after news.
func TestSilenceDoubles(t *testing.T) {
	l := newLife(request())
	for i, want := range []time.Duration{10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 2 * time.Hour, 2 * time.Hour} {
		if got := l.owed["silence"].Due.Sub(l.at); got != want {
			t.Errorf("question %d: after %s, want %s", i, got, want)
		}
		if err := l.apply(silence()); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.apply(news(wire.DriverAvailable)); err != nil || l.owed["silence"].Due.Sub(l.at) != 10*time.Minute {
		t.Errorf("after news: %s (%v)", l.owed["silence"].Due.Sub(l.at), err)
	}
}

// brokenRules are the rules that the delivery breaks, whatever brought it here.
func brokenRules(l *life) (broken []string) {
	told := map[wire.Status]int{}
	for _, s := range l.told() {
		if told[s]++; told[s] > 1 {
			broken = append(broken, "told "+string(s)+" twice")
		}
	}
	released := slices.ContainsFunc(l.ever, func(f durable.Effect) bool { return f.Name == "release" })
	if l.state.Cancel == delivery.Cancelled && l.state.Committed() && !released {
		broken = append(broken, "both a cancel and a driver were reported")
	}
	if l.state.Cancel == delivery.CancelAsked && l.state.Committed() {
		broken = append(broken, "a cancel is out though a driver is committed")
	}
	waits := l.state.Cancel != delivery.Cancelled && !slices.ContainsFunc(l.state.History, func(m wire.Moment) bool { return m.Status == wire.Delivered })
	if _, timed := l.owed["silence"]; timed != waits {
		broken = append(broken, "whether it waits and whether it asks differ")
	}
	return broken
}

// TestCancelXorCommitted: whatever the company says in whatever order, only one of cancel and driver is ever
// reported; and Step is pure.
func TestCancelXorCommitted(t *testing.T) {
	events := []durable.Event{
		cancel(), release(), silence(), event(delivery.EventAsk, nil), request(), yes("request"), yes("withdraw"), no("withdraw"),
		yes("release"), no("release"), told(), told(wire.DriverAvailable), told(wire.DriverAvailable, wire.InTransit, wire.Delivered),
		news(wire.DriverAvailable), news(wire.InTransit), news(wire.Delivered), no("askStatus"), event("askStatus.gaveUp", nil),
	}
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(request())
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			e := rapid.SampledFrom(events).Draw(t, "event")
			if name, outcome := outcomeOf(e); outcome && l.owed[name].Name == "" {
				continue // the shell drops it
			}
			before := l.state
			before.History = append(slices.Clone(before.History), wire.Moment{})[:len(before.History)] // with room behind
			kept := slices.Clone(before.History[:cap(before.History)])
			e.At = l.at
			s1, f1, err1 := machine.Step(before, e)
			s2, f2, err2 := machine.Step(before, e)
			if !reflect.DeepEqual(s1, s2) || !reflect.DeepEqual(f1, f2) || (err1 == nil) != (err2 == nil) ||
				!slices.Equal(kept, before.History[:cap(before.History)]) {
				t.Fatalf("%s: Step is not pure", e.Type)
			}
			_ = l.apply(e) // refused or ignored: the state stays
			if broken := brokenRules(l); len(broken) > 0 {
				t.Fatalf("%s: %v", e.Type, broken)
			}
		}
		b, err := machine.Append(nil, l.state)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := machine.Decode(b); err != nil || !reflect.DeepEqual(got, l.state) {
			t.Fatalf("decoded %+v (%v), want %+v", got, err, l.state)
		}
	})
}

func TestPlantedBugShows(t *testing.T) {
	planted.Plant(t, planted.CancelAfterDriverAvailable)
	if len(brokenRules(newLife(request(), yes("request"), news(wire.DriverAvailable), cancel()))) == 0 {
		t.Error("no rule notices that a delivery with a driver was cancelled")
	}
}

// TestReport: what the order hears names the delivery and carries its metadata back.
func TestReport(t *testing.T) {
	l := newLife(request(), no("request"))
	f := l.owed["report:"+string(wire.OrderCancelled)]
	var m wire.StatusMessage
	if err := json.Unmarshal(f.Body, &m); err != nil {
		t.Fatal(err)
	}
	want := wire.StatusMessage{
		Status: wire.OrderCancelled, Metadata: wire.Metadata{Receiver: wire.OrderQueue, OrderID: "o1", CustomerID: "c1"},
		DeliveryID: id, Reason: "the transport company refused: no couriers today",
	}
	if m != want || f.Op != wire.OrderQueue || f.To != "" {
		t.Errorf("%+v to %q %q", m, f.To, f.Op)
	}
}

// TestToldAgain: who asks is told again all that was told, under the same names and with the same words: a broker may
// have lost it for good.
func TestToldAgain(t *testing.T) {
	l := newLife(request(), yes("request"), news(wire.DriverAvailable), news(wire.InTransit), news(wire.Delivered))
	told := l.told()
	_, effects, err := machine.Step(l.state, event(delivery.EventAsk, nil))
	if err != nil {
		t.Fatal(err)
	}
	var again []wire.Status
	for _, f := range effects {
		if f.Kind != durable.KindMessage {
			continue
		}
		i := slices.IndexFunc(l.ever, func(t durable.Effect) bool { return t.Name == f.Name && string(t.Body) == string(f.Body) })
		if i < 0 {
			t.Errorf("%s says %s, which was not said before", f.Name, f.Body)
		}
		again = append(again, wire.Status(strings.TrimPrefix(f.Name, "report:")))
	}
	if !slices.Equal(again, told) || len(told) == 0 {
		t.Errorf("told %v again, want %v", again, told)
	}
}
