package kitchen_test

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

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/kitchen"
	"github.com/tiffin-food/tiffin/internal/wire"
)

const id = "01980000-0000-7000-8000-0000000000e1"

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	machine = kitchen.Machine{Silence: kitchen.DefaultSilence}
)

func event(kind string, body any) durable.Event {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return durable.Event{ID: kind, Type: kind, Body: b}
}

func ticket() kitchen.Request {
	return kitchen.Request{ID: id, KitchenRequest: wire.KitchenRequest{
		Items:    []wire.Item{{Product: "Lasagna", Quantity: 2}},
		Metadata: wire.Metadata{Receiver: wire.OrderQueue, OrderID: "o1", CustomerID: "c1"},
	}}
}

func request() durable.Event { return event(kitchen.EventRequest, ticket()) }
func release() durable.Event { return event(kitchen.EventRelease, ticket()) }
func silence() durable.Event { return durable.Event{Type: "silence" + durable.Due} }

func yes(effect string) durable.Event { return event(effect+durable.Done, struct{}{}) }

func no(effect string) durable.Event {
	return event(effect+durable.Refused, durable.Rejection{Status: 409, Detail: "closed"})
}

func news(s wire.Status) durable.Event {
	return event(kitchen.EventCallback, wire.KitchenCallback{Status: s, KitchenID: id})
}

func told(s ...wire.Status) durable.Event {
	return event("askStatus.done", wire.CookingState{KitchenID: id, Statuses: s})
}

// life is a ticket with what it owes, as the shell keeps it, and all the effects there ever were.
type life struct {
	state kitchen.State
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
	name, outcome := outcomeOf(e)
	if outcome && (err == nil || errors.Is(err, durable.ErrIgnored)) {
		delete(l.owed, name)
	}
	if err != nil {
		return err
	}
	if e.Type == kitchen.EventAsk { // what it was told, the order is told again
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

func TestTicket(t *testing.T) {
	asked := []durable.Event{request(), yes("request")}
	then := func(more ...durable.Event) []durable.Event { return append(slices.Clone(asked), more...) }
	cooking, done, picked := wire.CookingMeal, wire.CookingDone, wire.PickedUp
	tests := []struct {
		name     string
		events   []durable.Event
		released bool
		told     []wire.Status
		owed     []string // beside what is told
	}{
		{"asked for", []durable.Event{request()}, false, nil, []string{"request", "silence"}},
		{"asked for twice", []durable.Event{request(), request()}, false, nil, []string{"request", "silence"}},
		{"accepted", asked, false, nil, []string{"silence"}},
		{"refused", []durable.Event{request(), no("request")}, true, []wire.Status{wire.OrderCancelled}, nil},
		{"cooking", then(news(cooking)), false, []wire.Status{cooking}, []string{"silence"}},
		{"cooking, ten times", then(slices.Repeat([]durable.Event{news(cooking)}, 10)...), false, []wire.Status{cooking}, []string{"silence"}},
		{"handed over", then(news(cooking), news(done), news(picked)), false, []wire.Status{cooking, done, picked}, nil},
		{"in another order", then(news(picked), news(done), news(cooking)), false, []wire.Status{picked, done, cooking}, nil},
		{"released", then(release()), true, nil, []string{"release"}},
		{"released twice", then(release(), release()), true, nil, []string{"release"}},
		{"released before the restaurant has the request", []durable.Event{request(), release()}, true, nil, []string{"release", "request"}},
		{"... and it has it now", []durable.Event{request(), release(), yes("release"), yes("request")}, true, nil, []string{"release"}},
		{"... and it refuses", []durable.Event{request(), release(), yes("release"), no("request")}, true, nil, nil},
		{"released, late news", then(release(), news(cooking)), true, nil, []string{"release"}},
		{"released before it was asked for", []durable.Event{release()}, true, nil, nil},
		{"silent", then(silence()), false, nil, []string{"askStatus", "silence"}},
		{"silent, and all of it told at once", then(silence(), told(cooking, done, picked)), false, []wire.Status{cooking, done, picked}, nil},
		{"silent, nothing new", then(news(cooking), silence(), told(cooking)), false, []wire.Status{cooking}, []string{"silence"}},
		{"silent, no answer", then(silence(), event("askStatus.gaveUp", nil)), false, nil, []string{"silence"}},
		{"asked by a person", then(event(kitchen.EventAsk, nil)), false, nil, []string{"askStatus", "silence"}},
	}
	for _, tt := range tests {
		l := newLife(tt.events...)
		if l.state.Released != tt.released || !slices.Equal(l.told(), tt.told) || !slices.Equal(l.owes(), tt.owed) {
			t.Errorf("%s: released %t, told %v, owes %v\nwant %t, %v, %v",
				tt.name, l.state.Released, l.told(), l.owes(), tt.released, tt.told, tt.owed)
		}
	}
}

// TestParty: a ticket is its restaurant's from the start. Where only a release came that names none, it is nobody's.
func TestParty(t *testing.T) {
	named := ticket()
	named.RestaurantID = "r1"
	for _, tt := range []struct {
		name   string
		events []durable.Event
		want   string
	}{
		{"of the demo restaurant", []durable.Event{request()}, wire.DemoRestaurant},
		{"of the demo restaurant, released", []durable.Event{request(), yes("request"), release()}, wire.DemoRestaurant},
		{"of another", []durable.Event{event(kitchen.EventRequest, named)}, "r1"},
		{"of another, released", []durable.Event{event(kitchen.EventRequest, named), release()}, "r1"},
		{"released before it was asked for", []durable.Event{release()}, ""},
		{"the same of another", []durable.Event{event(kitchen.EventRelease, named)}, "r1"},
	} {
		if got := machine.Party(newLife(tt.events...).state); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	asked := []durable.Event{request(), yes("request")}
	tests := []struct {
		name   string
		before []durable.Event
		event  durable.Event
		code   durable.Code // empty: an error that parks, or goes back to the sender
	}{
		{"news of no ticket", nil, news(wire.CookingMeal), durable.NotFound},
		{"asked for after the release", []durable.Event{release()}, request(), durable.Conflict},
		{"asked for again after the release", append(slices.Clone(asked), release()), request(), durable.Conflict},
		{"released after the meal was handed over", append(slices.Clone(asked), news(wire.PickedUp)), release(), durable.Conflict},
		{"bad request", nil, durable.Event{Type: kitchen.EventRequest, Body: []byte("{")}, ""},
		{"bad release", nil, durable.Event{Type: kitchen.EventRelease, Body: []byte("{")}, ""},
		{"bad callback", asked, durable.Event{Type: kitchen.EventCallback, Body: []byte("[]")}, ""},
		{"bad answer", asked, durable.Event{Type: "askStatus.done", Body: []byte("<html>")}, ""},
		{"bad refusal", asked[:1], durable.Event{Type: "request.refused", Body: []byte("x")}, ""},
		{"unknown", asked, durable.Event{Type: "eat"}, ""},
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

// TestSilenceDoubles: the restaurant is asked after 10, 20, 40 … minutes, at least every two hours, and afresh after
// news.
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
	if err := l.apply(news(wire.CookingMeal)); err != nil || l.owed["silence"].Due.Sub(l.at) != 10*time.Minute {
		t.Errorf("after news: %s (%v)", l.owed["silence"].Due.Sub(l.at), err)
	}
}

// brokenRules are the rules that the ticket breaks, whatever brought it here.
func brokenRules(l *life) (broken []string) {
	told := map[wire.Status]int{}
	for _, s := range l.told() {
		if told[s]++; told[s] > 1 {
			broken = append(broken, "told "+string(s)+" twice")
		}
	}
	requests := 0
	for _, f := range l.ever {
		if f.Name == "request" {
			requests++
		}
	}
	if requests > 1 || requests > 0 && !l.state.Begun {
		broken = append(broken, "the restaurant was asked more often than the ticket knows")
	}
	waits := l.state.Begun && !l.state.Released && told[wire.PickedUp] == 0
	if _, timed := l.owed["silence"]; timed != waits {
		broken = append(broken, "whether it waits and whether it asks differ")
	}
	return broken
}

// TestAnyOrder: cooked at most once, never after a release that came first, each status told once; and Step is pure.
func TestAnyOrder(t *testing.T) {
	events := []durable.Event{
		request(), release(), silence(), event(kitchen.EventAsk, nil), yes("request"), no("request"), yes("release"), no("release"),
		told(), told(wire.CookingMeal), told(wire.CookingMeal, wire.CookingDone, wire.PickedUp), no("askStatus"),
		news(wire.CookingMeal), news(wire.CookingDone), news(wire.PickedUp), event("askStatus.gaveUp", nil),
	}
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(rapid.SampledFrom([]durable.Event{request(), release()}).Draw(t, "first"))
		forbidden := l.state.Released
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
			broken := brokenRules(l)
			if forbidden && l.state.Begun {
				broken = append(broken, "cooking began though it was forbidden first")
			}
			if len(broken) > 0 {
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

// TestMenu: every change counts one up and is published on the topic exchange.
func TestMenu(t *testing.T) {
	menu := wire.MenuChanged{Version: 99, Items: []wire.MenuItem{{Product: "Dal", Available: true}}}
	got, effects, err := kitchen.MenuMachine{}.Step(wire.MenuChanged{Version: 4}, event(kitchen.EventMenu, menu))
	if err != nil || got.Version != 5 || len(effects) != 1 {
		t.Fatalf("version %d, %v, %v", got.Version, effects, err)
	}
	if f := effects[0]; f.To != broker.Events || f.Op != wire.MenuTopic || !strings.Contains(string(f.Body), `"version":5`) {
		t.Errorf("published %q %q %s", f.To, f.Op, f.Body)
	}
	for _, bad := range []durable.Event{{Type: "eat"}, {Type: kitchen.EventMenu, Body: []byte("no")}} {
		if _, _, err := (kitchen.MenuMachine{}).Step(got, bad); err == nil || errors.Is(err, durable.ErrIgnored) {
			t.Errorf("%s: %v", bad.Type, err)
		}
	}
	if _, _, err := (kitchen.MenuMachine{}).Step(got, yes("publish")); !errors.Is(err, durable.ErrIgnored) {
		t.Errorf("published: %v", err)
	}
}

// TestToldAgain: who asks is told again all that was told, under the same names and with the same words: a broker may
// have lost it for good.
func TestToldAgain(t *testing.T) {
	l := newLife(request(), no("request"))
	told := l.told()
	_, effects, err := machine.Step(l.state, event(kitchen.EventAsk, nil))
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
