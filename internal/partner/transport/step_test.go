package transport

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/partner"
)

func TestStep(t *testing.T) {
	m := Machine{}
	step := func(s State, after float64, kind string, body any) (State, []string, string) {
		t.Helper()
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		s, effects, err := m.Step(s, durable.Event{Type: kind, At: at(after), Body: b})
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
	asked := Ask{DeliveryID: "d", OrderID: "o"}
	promise := Promise{Courier: "c", At: at(1), Arrive: at(10), Counter: at(12), Firm: true, LeaveAfter: 2 * time.Minute, DeliverAfter: 5 * time.Minute}
	loose := promise
	loose.Firm = false
	sure := Sure{Arrive: at(20), Counter: at(22)}

	waiting, _, _ := step(State{}, 0, EventRequest, asked)
	committed, _, _ := step(waiting, 1, EventCommit, promise)
	promised, _, _ := step(waiting, 1, EventCommit, loose)
	carrying, _, _ := step(committed, 15, EventPickup, partner.Pickup{At: at(14)})
	if !carrying.PickedUp.Equal(at(14)) || !carrying.Leave.Equal(at(16)) || !carrying.Deliver.Equal(at(21)) {
		t.Fatalf("picked up %+v", carrying)
	}
	cancelled, _, _ := step(waiting, 1, EventCancel, nil)
	released, _, _ := step(committed, 2, EventRelease, nil)

	for _, c := range []struct {
		name  string
		state State
		after float64
		kind  string
		body  any
		owed  []string
		want  string
	}{
		{"a request", State{}, 0, EventRequest, asked, []string{open}, ""},
		{"with a courier at once", State{}, 0, EventRequest, Ask{DeliveryID: "d", Promise: &promise}, []string{open, reportDriver, knock}, ""},
		{"where nobody drives", State{}, 0, EventRequest, Ask{DeliveryID: "d", Nobody: true, Promise: &promise}, []string{open}, ""},
		{"a request again", waiting, 0, EventRequest, asked, nil, "ignored"},
		{"for another order", waiting, 0, EventRequest, Ask{DeliveryID: "d", OrderID: "p"}, nil, "invalid"},
		{"a courier", waiting, 1, EventCommit, promise, []string{open, reportDriver, knock}, ""},
		{"a courier who is still busy", waiting, 1, EventCommit, loose, []string{open, reportDriver}, ""},
		{"a second courier", committed, 1, EventCommit, promise, nil, "conflict"},
		{"a courier after the cancel", cancelled, 1, EventCommit, promise, nil, "conflict"},
		{"the courier sets out", promised, 5, EventFirm, sure, []string{knock}, ""},
		{"the courier set out", committed, 5, EventFirm, sure, nil, "ignored"},
		{"the courier sets out before it is committed", waiting, 5, EventFirm, sure, nil, "error"},
		{"the courier sets out after the release", released, 5, EventFirm, sure, nil, "ignored"},
		{"the meal", committed, 15, EventPickup, partner.Pickup{At: at(14)}, []string{knock, reportTransit, reportDelivered}, ""},
		{"the meal again", carrying, 15, EventPickup, partner.Pickup{At: at(14)}, nil, "ignored"},
		{"the meal before the courier is there", committed, 11, EventPickup, partner.Pickup{At: at(11)}, nil, "conflict"},
		{"the meal before the courier set out", promised, 15, EventPickup, partner.Pickup{At: at(15)}, nil, "conflict"},
		{"the meal after the release", released, 15, EventPickup, partner.Pickup{At: at(14)}, nil, "conflict"},
		{"a cancel", waiting, 1, EventCancel, nil, []string{open}, ""},
		{"a cancel again", cancelled, 1, EventCancel, nil, nil, "ignored"},
		{"a cancel too late", committed, 1, EventCancel, nil, nil, "conflict"},
		{"a cancel after the release", released, 3, EventCancel, nil, nil, "conflict"},
		{"a release of a request that waits", waiting, 1, EventRelease, nil, []string{open}, ""},
		{"a release on the way", committed, 2, EventRelease, nil, []string{knock, reportTransit, reportDelivered}, ""},
		{"a release at the counter", committed, 12, EventRelease, nil, []string{knock, reportTransit, reportDelivered, callBack}, ""},
		{"a release with the meal in hand", carrying, 15, EventRelease, nil, []string{knock, reportTransit, reportDelivered}, ""},
		{"a release again", released, 3, EventRelease, nil, nil, "ignored"},
		{"a release as the courier leaves", carrying, 16, EventRelease, nil, nil, "conflict"},
		{"the end was heard", carrying, 21, reportDelivered + durable.Done, nil, nil, ""},
		{"a report was heard", committed, 1, reportDriver + durable.Done, nil, nil, "ignored"},
		{"a day without a courier", waiting, 24 * 60, open + durable.Due, nil, nil, ""},
		{"a day with one", committed, 24 * 60, open + durable.Due, nil, nil, "ignored"},
		{"a cancel of nothing", State{}, 0, EventCancel, nil, nil, "not found"},
		{"an event unknown", waiting, 0, "surprise", nil, nil, "error"},
	} {
		if _, owed, got := step(c.state, c.after, c.kind, c.body); got != c.want || !slices.Equal(owed, c.owed) {
			t.Errorf("%s: %q owing %q, want %q owing %q", c.name, got, owed, c.want, c.owed)
		}
	}
}
