package order_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// situation is where an order can be; more than its status tells.
type situation struct {
	name   string
	events []durable.Event
}

func situations() []situation {
	then := func(s wire.Status, more ...durable.Event) []durable.Event { return append(upTo(s), more...) }
	asked := []durable.Event{placed(), status(wire.PaymentPaid), yes("address")}
	return []situation{
		{"no order", nil},
		{"created", then(wire.Created)},
		{"paymentPaid", then(wire.PaymentPaid)},
		{"paymentPaid, delivery asked for", asked},
		{"paymentPaid, delivery asked for, cancel asked for", append(slices.Clone(asked), customerCancels())},
		{"deliveryScheduled", then(wire.DeliveryScheduled)},
		{"deliveryScheduled, cancel asked for", then(wire.DeliveryScheduled, customerCancels())},
		{"driverAvailable", then(wire.DriverAvailable)},
		{"driverAvailable, cookingDone ahead", then(wire.DriverAvailable, status(wire.CookingDone))},
		{"cookingScheduled", then(wire.CookingScheduled)},
		{"cookingMeal", then(wire.CookingMeal)},
		{"cookingDone", then(wire.CookingDone)},
		{"cookingDone, inTransit ahead", then(wire.CookingDone, status(wire.InTransit))},
		{"pickedUp", then(wire.PickedUp)},
		{"inTransit", then(wire.InTransit)},
		{"delivered", then(wire.Delivered)},
		{"paymentFailed", then(wire.Created, status(wire.PaymentFailed))},
		{"orderCancelled, money unknown", then(wire.Created, customerCancels())},
		{"orderCancelled, nothing charged", then(wire.Created, customerCancels(), status(wire.PaymentFailed))},
		{"orderCancelled, refund asked for", then(wire.PaymentPaid, customerCancels())},
		{"orderCancelled by an operator, driver and kitchen let go", then(wire.CookingMeal, operatorCancels())},
		{"orderCancelled, its refund on the way", then(wire.PaymentPaid, customerCancels(), yes("refund"))},
		{"reimbursed", then(wire.PaymentPaid, customerCancels(), status(wire.Reimbursed))},
		{"deleted", then(wire.Delivered, event(order.EventDelete, nil))},
	}
}

type named struct {
	name string
	durable.Event
}

// everything is every event that an order can be brought.
func everything() []named {
	all := []named{
		{"place", placed()},
		{"cancel by the customer", customerCancels()},
		{"cancel by an operator", operatorCancels()},
		{"delete", event(order.EventDelete, nil)},
		{"payment refuses", refusedBy(wire.PaymentService, "the customer cannot be billed")},
		{"delivery refuses", refusedBy(wire.DeliveryService, "no couriers today")},
		{"kitchen refuses", refusedBy(wire.KitchenService, "closed")},
	}
	for _, s := range wire.Statuses {
		if s != wire.OrderCancelled {
			all = append(all, named{"status " + string(s), status(s)})
		}
	}
	for _, effect := range []string{
		"pay", "address", "deliver", "cancelDelivery", "cook", "refund", "releaseDriver", "releaseKitchen",
		"ask:payment", "ask:delivery", "ask:kitchen",
	} {
		all = append(all, named{effect + ".done", yes(effect)}, named{effect + ".refused", no(effect, "no")})
	}
	for _, timer := range []string{"paymentLimit", "driverLimit", "kitchenLimit", "gap", "silence"} {
		late := due(timer)
		late.Due = noon.Add(-time.Hour)
		all = append(all, named{timer + ".due", due(timer)}, named{timer + ".due, an hour late", late})
	}
	return append(all,
		named{"pay.gaveUp", event("pay"+durable.GaveUp, durable.Rejection{})},
		named{"an event of no name", event("", nil)},
		named{"a status that is no JSON", durable.Event{Type: order.EventStatus, Body: []byte("{")}},
	)
}

// possible are the events that can come to an order: all from outside, and the outcomes of what it owes. The shell
// drops every other outcome.
func possible(l *life) []named {
	return slices.DeleteFunc(everything(), func(n named) bool {
		name, outcome := effectOf(n.Type)
		_, owed := l.owed[name]
		return outcome && !owed
	})
}

// TestEveryEventEverywhere records what each event does to an order in each situation: what changes and what is owed
// afterwards, what is refused and why, what is ignored, and what is an error.
func TestEveryEventEverywhere(t *testing.T) {
	var input, out strings.Builder
	for _, e := range everything() {
		fmt.Fprintf(&input, "%-26s %s %s\n", e.name, e.Type, e.Body)
	}
	for _, s := range situations() {
		before := newLife(s.events...)
		work, timers := before.owes()
		fmt.Fprintf(&out, "\n%s (owes %v, timers %v)\n", s.name, work, timers)
		verdicts := map[string][]string{}
		for _, e := range possible(before) {
			after := newLife(s.events...)
			err := after.apply(e.Event)
			var refusal *durable.Refusal
			switch {
			case errors.As(err, &refusal):
				why := fmt.Sprintf("refused  (%s: %s)", refusal.Code, refusal.Detail)
				verdicts[why] = append(verdicts[why], e.name)
			case errors.Is(err, durable.ErrIgnored):
				verdicts["ignored "] = append(verdicts["ignored "], e.name)
			case err != nil && !errors.Is(err, durable.ErrCanWait):
				verdicts["error   "] = append(verdicts["error   "], e.name)
			default:
				fmt.Fprintf(&out, "  %-8s %-26s %s\n", verb(err), e.name, difference(before, after))
			}
		}
		for _, verdict := range slices.Sorted(maps.Keys(verdicts)) {
			fmt.Fprintf(&out, "  %s %s\n", verdict, strings.Join(verdicts[verdict], ", "))
		}
	}
	golden(t, "testdata/matrix.golden", input.String(), out.String())
}

func verb(err error) string {
	if err != nil {
		return "noted"
	}
	return "applied"
}

// difference tells what one event changed: the statuses entered, then what is known, then what is owed.
func difference(before, after *life) string {
	var parts []string
	if entered := after.history()[min(len(before.history()), len(after.history())):]; len(entered) > 0 {
		names := make([]string, len(entered))
		for i, s := range entered {
			names[i] = string(s)
		}
		parts = append(parts, "→ "+strings.Join(names, " → "))
	}
	b, a := before.state, after.state
	if a.Payment != b.Payment {
		parts = append(parts, "money "+string(a.Payment))
	}
	if a.CancelAsked != b.CancelAsked {
		parts = append(parts, fmt.Sprintf("cancel asked for: %t", a.CancelAsked))
	}
	if !slices.Equal(a.Ahead, b.Ahead) {
		parts = append(parts, fmt.Sprintf("ahead %v", a.Ahead))
	}
	if a.Reason != b.Reason && !a.Deleted {
		parts = append(parts, fmt.Sprintf("because %q", a.Reason))
	}
	if a.Deleted && !b.Deleted {
		parts = append(parts, "deleted")
	}
	work, timers := after.owes()
	if wasWork, wasTimers := before.owes(); !slices.Equal(append(wasWork, wasTimers...), append(slices.Clone(work), timers...)) {
		parts = append(parts, fmt.Sprintf("owes %v, timers %v", work, timers))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, "; ")
}

// TestRulesEverywhere holds every cell of the same table against the invariants, whatever the golden file says.
func TestRulesEverywhere(t *testing.T) {
	for _, s := range situations() {
		before := newLife(s.events...)
		for _, e := range possible(before) {
			after := newLife(s.events...)
			if err := after.apply(e.Event); err != nil && !errors.Is(err, durable.ErrCanWait) {
				if !reflect.DeepEqual(before.state, after.state) {
					t.Errorf("%s: %s: the state changed beside an error", s.name, e.name)
				}
				continue
			}
			for _, broken := range brokenRules(before, after) {
				t.Errorf("%s: %s: %s", s.name, e.name, broken)
			}
		}
	}
}

// brokenRules are the invariants that the way from before to after breaks.
func brokenRules(before, after *life) (broken []string) {
	b, a := before.state, after.state
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	has := func(s wire.Status) bool { return slices.Contains(after.history(), s) }

	if !a.Deleted && !slices.Equal(before.history(), after.history()[:len(before.history())]) {
		say("the history was rewritten: %v, then %v", before.history(), after.history())
	}
	for i := 1; i < len(a.History); i++ {
		if from, to := a.History[i-1].Status, a.History[i].Status; !order.CanFollow(from, to) {
			say("%s was followed by %s", from, to)
		}
	}
	if !a.Deleted && a.History[len(a.History)-1].Status != a.Status {
		say("it is %s and its history ends otherwise", a.Status)
	}
	if b.ID != "" && before.final() && b.Status != a.Status && (b.Status != wire.OrderCancelled || a.Status != wire.Reimbursed) {
		say("%s was final, and it became %s", b.Status, a.Status)
	}
	if _, owed := after.owed["refund"]; owed {
		if !a.Deleted && (a.Payment != order.PaymentTaken || a.Status != wire.OrderCancelled && a.Status != wire.Reimbursed) {
			say("a refund is owed for an order that is %s with its money %q", a.Status, a.Payment)
		}
		if _, was := before.owed["refund"]; b.RefundAsked && !was {
			say("the refund is asked for twice")
		}
	}
	if a.Status == wire.OrderCancelled && a.Payment == order.PaymentTaken && !a.RefundAsked {
		say("the money of a cancelled order is kept")
	}
	if _, owed := after.owed["cook"]; owed && !(has(wire.PaymentPaid) && has(wire.DriverAvailable) && a.Status != wire.OrderCancelled) {
		say("cooking is owed after %v", after.history())
	}
	if _, owed := after.owed["pay"]; owed && b.ID != "" && before.owed["pay"].Name == "" {
		say("the card is asked for money again")
	}
	if strings.HasPrefix(a.Reason, "cancelled by the customer") && has(wire.DriverAvailable) {
		say("the customer cancelled after a driver was committed")
	}
	if _, timed := after.owed["silence"]; timed == a.Settled() && !a.Deleted {
		say("it is %s, settled %t, and silence is timed: %t", a.Status, a.Settled(), timed)
	}
	var announced []wire.Status
	for _, f := range after.announced {
		announced = append(announced, wire.Status(strings.TrimPrefix(f.Op, wire.OrderTopic)))
	}
	if !a.Deleted && !slices.Equal(announced, after.history()) {
		say("announced %v, and it was %v", announced, after.history())
	}
	return broken
}

func (l *life) final() bool {
	return !slices.ContainsFunc(order.Graph, func(e order.Edge) bool { return e.From == l.state.Status }) || l.state.Status == wire.OrderCancelled
}

// TestStepIsPure: the same arguments give the same results, and nothing is written into what was given.
func TestStepIsPure(t *testing.T) {
	for _, s := range situations() {
		for _, e := range everything() {
			state := roomy(newLife(s.events...).state)
			kept := roomy(state)
			e.At = noon.Add(5 * time.Hour)
			s1, f1, err1 := machine.Step(state, e.Event)
			unchanged(t, s.name+": "+e.name, kept, state)
			s2, f2, err2 := machine.Step(state, e.Event)
			if !reflect.DeepEqual(s1, s2) || !reflect.DeepEqual(f1, f2) || fmt.Sprint(err1) != fmt.Sprint(err2) {
				t.Errorf("%s: %s: the second answer differs from the first", s.name, e.name)
			}
		}
	}
}

// TestCodec: what is decoded is what was encoded, in every situation.
func TestCodec(t *testing.T) {
	for _, s := range situations() {
		want := newLife(s.events...).state
		b, err := machine.Append([]byte("before"), want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := machine.Decode(b[len("before"):])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", s.name, err, got, want)
		}
	}
}
