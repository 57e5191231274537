package restaurant

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/partner"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestStep(t *testing.T) {
	m := Machine{Terms: Terms{BeginLeast: time.Minute, BeginMost: time.Minute, Prep: 9 * time.Minute}}
	step := func(s State, after time.Duration, kind string, body any) (State, []string, string) {
		t.Helper()
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		s, effects, err := m.Step(s, durable.Event{Type: kind, At: noon.Add(after), Body: b})
		var owed []string
		for _, e := range effects {
			owed = append(owed, e.Name)
		}
		refusal, refused := errors.AsType[*durable.Refusal](err)
		switch {
		case refused:
			return s, owed, string(refusal.Code)
		case errors.Is(err, durable.ErrIgnored):
			return s, owed, "ignored"
		case err != nil:
			return s, owed, "error"
		}
		return s, owed, ""
	}
	cook, hand := Cook{KitchenID: "k", OrderID: "o"}, partner.Handover{OrderID: "o", DeliveryID: "d"}
	drops := []string{reportBegun, reportDone, reportPickedUp, handOver}

	begun, owed, _ := step(State{}, 0, EventCook, cook)
	if !slices.Equal(owed, []string{reportBegun, reportDone}) {
		t.Fatalf("a request owes %q", owed)
	}
	foreseen, owed, _ := step(begun, 5*time.Minute, EventHandover, hand)
	if !slices.Equal(owed, []string{reportPickedUp, handOver}) || !foreseen.PickedUp.Equal(noon.Add(10*time.Minute)) {
		t.Fatalf("a courier owes %q, at %v", owed, foreseen.PickedUp)
	}
	early, owed, _ := step(State{}, 0, EventHandover, hand)
	if owed != nil {
		t.Fatalf("a courier before the request owes %q", owed)
	}
	cancelled, _, _ := step(begun, 0, EventCancel, Cancel{"k"})
	gone, _, _ := step(foreseen, 6*time.Minute, EventLeft, nil)

	for _, c := range []struct {
		name  string
		state State
		after time.Duration
		kind  string
		body  any
		owed  []string
		want  string
	}{
		{"the request again", begun, 0, EventCook, cook, nil, "ignored"},
		{"for another order", begun, 0, EventCook, Cook{KitchenID: "k", OrderID: "p"}, nil, "conflict"},
		{"under another id", begun, 0, EventCook, Cook{KitchenID: "l", OrderID: "o"}, nil, "conflict"},
		{"after the courier", early, 0, EventCook, cook, []string{reportBegun, reportDone, reportPickedUp, handOver}, ""},
		{"of a silent kitchen", early, 0, EventCook, Cook{KitchenID: "k", OrderID: "o", Silent: true}, nil, ""},
		{"after the cancel", cancelled, 0, EventCook, cook, nil, "conflict"},
		{"the courier again", foreseen, 0, EventHandover, hand, nil, "ignored"},
		{"another courier", foreseen, 0, EventHandover, partner.Handover{DeliveryID: "e"}, nil, "conflict"},
		{"a courier after the cancel", cancelled, 0, EventHandover, hand, nil, "conflict"},
		{"a courier who was called back", gone, 0, EventHandover, hand, nil, "conflict"},
		{"a cancel", begun, 0, EventCancel, Cancel{"k"}, drops, ""},
		{"a cancel before the request", State{}, 0, EventCancel, Cancel{"k"}, drops, ""},
		{"a cancel again", cancelled, 0, EventCancel, Cancel{"k"}, nil, "ignored"},
		{"a cancel in time", foreseen, 9*time.Minute + 58*time.Second, EventCancel, Cancel{"k"}, drops, ""},
		{"a cancel as it is handed over", foreseen, 9*time.Minute + 59*time.Second, EventCancel, Cancel{"k"}, nil, "conflict"},
		{"a cancel too late", foreseen, time.Hour, EventCancel, Cancel{"k"}, nil, "conflict"},
		{"the courier leaves", foreseen, 0, EventLeft, nil, []string{reportPickedUp, handOver}, ""},
		{"the courier leaves again", gone, 0, EventLeft, nil, nil, "ignored"},
		{"the courier leaves with the meal", foreseen, time.Hour, EventLeft, nil, nil, "conflict"},
		{"a report was heard", begun, 0, reportBegun + durable.Done, nil, nil, "ignored"},
		{"an alias is no meal", State{Alias: "x"}, 0, EventCook, cook, nil, "ignored"},
		{"an alias of what was cancelled", cancelled, 0, EventAlias, "x", nil, "conflict"},
		{"an event unknown", begun, 0, "surprise", nil, nil, "error"},
	} {
		if _, owed, got := step(c.state, c.after, c.kind, c.body); got != c.want || !slices.Equal(owed, c.owed) {
			t.Errorf("%s: %q owing %q, want %q owing %q", c.name, got, owed, c.want, c.owed)
		}
	}
}
