package order_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestHappyPath writes down the whole life of an order that goes well: each event, and what the order asks of the
// others because of it, to the byte.
func TestHappyPath(t *testing.T) {
	var input, out strings.Builder
	l := newLife()
	for _, e := range happy {
		input.WriteString(e.Type + " " + string(e.Body) + "\n")
		before := l.copy()
		if err := l.apply(e); err != nil && !changesNothing(err) {
			t.Fatalf("%s: %v", e.Type, err)
		}
		out.WriteString("\n" + e.Type + ": " + string(l.state.Status) + "\n")
		for _, f := range l.announced[len(before.announced):] {
			out.WriteString("  event " + f.Op + ": " + string(f.Body) + "\n")
		}
		work, timers := l.owes()
		for _, name := range append(work, timers...) {
			if f := l.owed[name]; before.owed[name].Name == "" {
				what := f.To + " " + f.Op + " " + string(f.Body)
				if f.Kind == durable.KindTimer {
					what = "in " + f.Due.Sub(l.at).String()
				}
				out.WriteString("  " + string(f.Kind) + " " + name + ": " + strings.TrimSpace(what) + "\n")
			}
		}
	}
	golden(t, "testdata/happy.golden", input.String(), out.String())
	if want := []wire.Status{
		wire.Created, wire.PaymentPaid, wire.DeliveryScheduled, wire.DriverAvailable, wire.CookingScheduled,
		wire.CookingMeal, wire.CookingDone, wire.PickedUp, wire.InTransit, wire.Delivered,
	}; !slices.Equal(l.history(), want) {
		t.Errorf("history %v, want %v", l.history(), want)
	}
	if work, timers := l.owes(); len(work)+len(timers) > 0 || !l.state.Settled() {
		t.Errorf("after the end it owes %v %v, settled: %t", work, timers, l.state.Settled())
	}
}

// TestCancel: who may cancel when, and what follows.
func TestCancel(t *testing.T) {
	const (
		done    = "cancelled"        // at once
		asked   = "company is asked" // the transport company decides
		tooLate = "too late"
		over    = "finished"
		nothing = "nothing to do"
	)
	tests := []struct {
		after    []durable.Event
		customer string
		operator string
		system   durable.Event // the limit that runs at this point
		limit    string        // what it comes to
		owed     []string      // after whoever was allowed to
	}{
		{upTo(wire.Created), done, done, due("paymentLimit"), done, []string{"pay"}},
		{upTo(wire.PaymentPaid), done, done, due("driverLimit"), done, []string{"refund"}},
		{upTo(wire.DeliveryScheduled), asked, asked, due("driverLimit"), asked, []string{"cancelDelivery"}},
		{upTo(wire.DriverAvailable), tooLate, done, due("kitchenLimit"), done, []string{"refund", "releaseDriver", "releaseKitchen"}},
		{upTo(wire.CookingScheduled), tooLate, done, due("kitchenLimit"), done, []string{"refund", "releaseDriver", "releaseKitchen"}},
		{upTo(wire.CookingMeal), tooLate, done, due("kitchenLimit"), nothing, []string{"refund", "releaseDriver", "releaseKitchen"}},
		{upTo(wire.CookingDone), tooLate, done, due("kitchenLimit"), nothing, []string{"refund", "releaseDriver", "releaseKitchen"}},
		{upTo(wire.PickedUp), tooLate, tooLate, due("kitchenLimit"), nothing, nil},
		{upTo(wire.InTransit), tooLate, tooLate, due("driverLimit"), nothing, nil},
		{upTo(wire.Delivered), over, over, due("paymentLimit"), nothing, nil},
		{append(upTo(wire.Created), status(wire.PaymentFailed)), over, over, due("paymentLimit"), nothing, nil},
		{append(upTo(wire.Created), customerCancels()), nothing, nothing, due("paymentLimit"), nothing, nil},
		{append(upTo(wire.PaymentPaid), customerCancels(), status(wire.Reimbursed)), nothing, nothing, due("driverLimit"), nothing, nil},
	}
	for _, tt := range tests {
		for who, try := range map[string]struct {
			event durable.Event
			want  string
		}{
			"customer": {customerCancels(), tt.customer}, "operator": {operatorCancels(), tt.operator}, "system": {tt.system, tt.limit},
		} {
			l := newLife(tt.after...)
			was := l.state.Status
			err := l.apply(try.event)
			got := done
			var refusal *durable.Refusal
			switch {
			case errors.As(err, &refusal) && strings.Contains(refusal.Detail, "too late"):
				got = tooLate
			case errors.As(err, &refusal) && strings.Contains(refusal.Detail, "finished"):
				got = over
			case errors.Is(err, durable.ErrIgnored):
				got = nothing
			case err != nil:
				t.Errorf("%s cancels at %s: %v", who, was, err)
			case l.state.CancelAsked:
				got = asked
			case l.state.Status != wire.OrderCancelled:
				got = string(l.state.Status)
			}
			if got != try.want {
				t.Errorf("%s cancels at %s: %s, want %s", who, was, got, try.want)
			}
			if got != done && got != asked {
				continue
			}
			if work, _ := l.owes(); !slices.Equal(work, tt.owed) {
				t.Errorf("%s cancels at %s: it owes %v, want %v", who, was, work, tt.owed)
			}
			if _, timers := l.owes(); got == done && len(timers) > 0 {
				t.Errorf("%s cancels at %s: the timers %v still run", who, was, timers)
			}
		}
	}
}

// TestCancelRace: of a cancel and a driver exactly one wins, in whatever order the news of it comes.
func TestCancelRace(t *testing.T) {
	asked := append(upTo(wire.DeliveryScheduled), customerCancels())
	tests := []struct {
		name      string
		events    []durable.Event
		want      wire.Status
		stillAsks bool
	}{
		{"the cancel won", []durable.Event{yes("cancelDelivery")}, wire.OrderCancelled, false},
		{"the driver won", []durable.Event{no("cancelDelivery", "too late")}, wire.DeliveryScheduled, false},
		{"the driver won, and is here", []durable.Event{no("cancelDelivery", "too late"), status(wire.DriverAvailable)}, wire.DriverAvailable, false},
		{"the driver is here before the verdict", []durable.Event{status(wire.DriverAvailable), no("cancelDelivery", "too late")}, wire.DriverAvailable, false},
		{"no verdict yet", nil, wire.DeliveryScheduled, true},
		{"asked twice", []durable.Event{customerCancels()}, wire.DeliveryScheduled, true},
		{"the limit comes meanwhile", []durable.Event{due("driverLimit")}, wire.DeliveryScheduled, true},
		{"the company refuses meanwhile", []durable.Event{refusedBy(wire.DeliveryService, "no couriers"), no("cancelDelivery", "x")}, wire.OrderCancelled, false},
	}
	for _, tt := range tests {
		l := newLife(append(slices.Clone(asked), tt.events...)...)
		if l.state.Status != tt.want || l.state.CancelAsked != tt.stillAsks || l.state.View().CancelRequested != tt.stillAsks {
			t.Errorf("%s: %s, cancel asked for: %t", tt.name, l.state.Status, l.state.CancelAsked)
		}
	}

	t.Run("both cannot be", func(t *testing.T) {
		l := newLife(append(slices.Clone(asked), status(wire.DriverAvailable))...)
		if err := l.apply(yes("cancelDelivery")); err == nil || changesNothing(err) {
			t.Errorf("a cancel beside a committed driver was taken: %v", err)
		}
	})
	t.Run("a lost cancel leaves a limit", func(t *testing.T) {
		l := newLife(append(upTo(wire.DeliveryScheduled), due("driverLimit"), no("cancelDelivery", "too late"))...)
		if _, timers := l.owes(); !slices.Equal(timers, []string{"driverLimit"}) {
			t.Errorf("timers %v: nothing ends the order should the driver's news be lost", timers)
		}
	})
	t.Run("no delivery yet", func(t *testing.T) {
		l := newLife(placed(), status(wire.PaymentPaid), yes("address"), customerCancels())
		if _, early := l.owed["cancelDelivery"]; early {
			t.Error("a delivery without an id was asked to cancel")
		}
		if err := l.apply(yes("deliver")); err != nil {
			t.Fatal(err)
		}
		if op := l.owed["cancelDelivery"].Op; op != "POST /v1/deliveries/"+deliveryID+"/cancel" {
			t.Errorf("op %q", op)
		}
	})
	t.Run("scheduled by a message without an id", func(t *testing.T) {
		message := event(order.EventStatus, wire.StatusMessage{Status: wire.DeliveryScheduled})
		l := newLife(placed(), status(wire.PaymentPaid), yes("address"), message, customerCancels())
		if f, early := l.owed["cancelDelivery"]; early {
			t.Errorf("asked %s", f.Op)
		}
		if err := l.apply(yes("deliver")); err != nil || l.owed["cancelDelivery"].Op != "POST /v1/deliveries/"+deliveryID+"/cancel" {
			t.Errorf("%v, owed %+v", err, l.owed["cancelDelivery"])
		}
	})
}

// TestLateMoney: money that moves after the cancel goes back once; a no leaves nothing to do.
func TestLateMoney(t *testing.T) {
	cancelled := []durable.Event{placed(), customerCancels()}
	tests := []struct {
		name    string
		events  []durable.Event
		refund  bool
		settled bool
	}{
		{"paid", []durable.Event{status(wire.PaymentPaid)}, true, false},
		{"paid twice", []durable.Event{status(wire.PaymentPaid), status(wire.PaymentPaid)}, true, false},
		{"failed", []durable.Event{status(wire.PaymentFailed)}, false, true},
		{"failed, then paid", []durable.Event{status(wire.PaymentFailed), status(wire.PaymentPaid)}, true, false},
		{"paid, then failed", []durable.Event{status(wire.PaymentPaid), status(wire.PaymentFailed)}, true, false},
		{"the payment was never taken", []durable.Event{no("pay", "no such customer")}, false, true},
		{"it was taken all the same", []durable.Event{no("pay", "unauthorized"), status(wire.PaymentPaid)}, true, false},
		{"paid, and the repeated request refused", []durable.Event{status(wire.PaymentPaid), no("pay", "unauthorized")}, true, false},
		{"given back", []durable.Event{status(wire.PaymentPaid), yes("refund"), status(wire.Reimbursed)}, false, true},
		{"given back, before the answer to the request", []durable.Event{status(wire.PaymentPaid), status(wire.Reimbursed), yes("refund")}, false, true},
	}
	for _, tt := range tests {
		l := newLife(append(slices.Clone(cancelled), tt.events...)...)
		if _, owed := l.owed["refund"]; owed != tt.refund || l.state.Settled() != tt.settled {
			t.Errorf("%s: refund owed: %t, settled: %t", tt.name, owed, l.state.Settled())
		}
		if want := wire.OrderCancelled; l.state.Status != want && l.state.Status != wire.Reimbursed {
			t.Errorf("%s: it is %s", tt.name, l.state.Status)
		}
	}
}

// TestRefused: a service or its company will not do it.
func TestRefused(t *testing.T) {
	tests := []struct {
		name   string
		events []durable.Event
		event  durable.Event
		reason string
		owed   []string
	}{
		{"payment", upTo(wire.Created), no("pay", "no such route"), "the payment was refused: no such route", nil},
		{"customer unbillable", []durable.Event{placed()}, refusedBy(wire.PaymentService, "no card"), "no card", []string{"pay"}},
		{"address", upTo(wire.PaymentPaid), no("address", "no such customer"), "the customer's address was refused: no such customer", []string{"refund"}},
		{"delivery", append(upTo(wire.PaymentPaid), yes("address")), no("deliver", "bad address"), "the delivery was refused: bad address", []string{"refund"}},
		{"transport company", upTo(wire.DeliveryScheduled), refusedBy(wire.DeliveryService, "no couriers today"), "no couriers today", []string{"refund"}},
		{"kitchen", upTo(wire.DriverAvailable), no("cook", "unknown restaurant"), "the kitchen was refused: unknown restaurant", []string{"refund", "releaseDriver", "releaseKitchen"}},
		{"restaurant", upTo(wire.CookingScheduled), refusedBy(wire.KitchenService, "closed"), "closed", []string{"refund", "releaseDriver", "releaseKitchen"}},
	}
	for _, tt := range tests {
		l := newLife(tt.events...)
		if err := l.apply(tt.event); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		work, timers := l.owes()
		if l.state.Status != wire.OrderCancelled || l.state.Reason != tt.reason || !slices.Equal(work, tt.owed) || len(timers) > 0 {
			t.Errorf("%s: %s because %q, owes %v, timers %v", tt.name, l.state.Status, l.state.Reason, work, timers)
		}
		if v := l.state.View(); v.Reason != tt.reason {
			t.Errorf("%s: the API shows the reason %q", tt.name, v.Reason)
		}
	}
}

// TestAheadOfTurn: news that comes before its turn waits, in whatever order and however often it comes; the partner
// whose news is missing is asked.
func TestAheadOfTurn(t *testing.T) {
	want := newLife(happy...).history()
	news := []wire.Status{
		wire.PaymentPaid, wire.DriverAvailable, wire.CookingMeal, wire.CookingDone, wire.PickedUp, wire.InTransit, wire.Delivered,
	}
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(placed())
		twice := rapid.SliceOfN(rapid.SampledFrom(news), 0, 7).Draw(t, "again")
		pool := rapid.Permutation(append(slices.Clone(news), twice...)).Draw(t, "order")
		for steps := 0; ; steps++ {
			if steps > 100 {
				t.Fatalf("no end: %s, ahead %v, owes %v", l.state.Status, l.state.Ahead, l.owed)
			}
			// The paid order's own requests are answered at any time; the driver's news comes only after it was asked.
			work, timers := l.owes()
			var next []durable.Event
			for _, name := range work {
				next = append(next, yes(name))
			}
			if slices.Contains(timers, "gap") && rapid.Bool().Draw(t, "gap") {
				next = append(next, due("gap"))
			}
			if len(pool) > 0 {
				next = append(next, status(pool[0]))
			}
			if len(next) == 0 {
				break
			}
			e := rapid.SampledFrom(next).Draw(t, "event")
			if e.Type == order.EventStatus {
				pool = pool[1:]
				if l.state.DeliveryID == "" && e.ID == "status:driverAvailable" && l.state.Status != wire.Created && !l.state.DeliveryAsked {
					pool = append(pool, wire.DriverAvailable) // nobody was asked for a driver yet
					continue
				}
			}
			was := l.copy()
			if err := l.apply(e); err != nil && !changesNothing(err) {
				t.Fatalf("%s at %s: %v", e.ID, was.state.Status, err)
			}
			for _, broken := range brokenRules(was, l) {
				t.Fatal(broken)
			}
		}
		if !slices.Equal(l.history(), want) {
			t.Fatalf("history %v, want %v", l.history(), want)
		}
		if _, timers := l.owes(); len(timers) > 0 || len(l.state.Ahead) > 0 {
			t.Fatalf("timers %v, ahead %v after the end", timers, l.state.Ahead)
		}
	})
}

// TestAnyEvents: whatever comes, in whatever order, no rule is broken and nothing panics.
func TestAnyEvents(t *testing.T) {
	all := everything()
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(placed())
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			e := rapid.SampledFrom(all).Draw(t, "event")
			if name, outcome := effectOf(e.Type); outcome && l.owed[name].Name == "" {
				continue // the shell drops it
			}
			before := l.copy()
			if err := l.apply(e.Event); err != nil && !errors.Is(err, durable.ErrCanWait) {
				continue
			}
			for _, broken := range brokenRules(before, l) {
				t.Fatalf("%s: %s", e.name, broken)
			}
		}
	})
}

// TestGapAsksWhoseNewsIsMissing: whoever is to say what comes next.
func TestGapAsksWhoseNewsIsMissing(t *testing.T) {
	tests := []struct {
		after []durable.Event
		early wire.Status
		op    string
	}{
		{upTo(wire.Created), wire.DriverAvailable, "POST /v1/payments/" + orderID + "/ask"},
		{upTo(wire.DeliveryScheduled), wire.CookingMeal, "POST /v1/deliveries/" + deliveryID + "/ask"},
		{upTo(wire.CookingScheduled), wire.CookingDone, "POST /v1/kitchen/" + kitchenID + "/ask"},
		{upTo(wire.PickedUp), wire.Delivered, "POST /v1/deliveries/" + deliveryID + "/ask"},
	}
	for _, tt := range tests {
		l := newLife(append(tt.after, status(tt.early), due("gap"))...)
		var ops []string
		for name, f := range l.owed {
			if strings.HasPrefix(name, "ask:") {
				ops = append(ops, f.Op)
			}
		}
		if !slices.Equal(ops, []string{tt.op}) {
			t.Errorf("%s ahead at %s: asked %v, want %s", tt.early, l.state.Status, ops, tt.op)
		}
		if at := l.owed["gap"].Due; at.Sub(l.at) != order.DefaultLimits.Gap {
			t.Errorf("%s ahead: looked at again in %s", tt.early, at.Sub(l.at))
		}
	}
}

// TestEarlyStatusNeverSticks: what an operator may send by hand before its turn never leaves an order waiting.
func TestEarlyStatusNeverSticks(t *testing.T) {
	for _, early := range []wire.Status{wire.DeliveryScheduled, wire.CookingScheduled, wire.InTransit} {
		events := append([]durable.Event{placed(), status(early)}, happy[1:]...)
		l := newLife(events...)
		if work, timers := l.owes(); l.state.Status != wire.Delivered || len(l.state.Ahead)+len(work)+len(timers) > 0 {
			t.Errorf("%s first: %s, ahead %v, owes %v %v", early, l.state.Status, l.state.Ahead, work, timers)
		}
	}
	l := newLife(placed(), status(wire.DeliveryScheduled), status(wire.PaymentFailed))
	if _, timers := l.owes(); len(l.state.Ahead)+len(timers) > 0 {
		t.Errorf("payment failed: ahead %v, timers %v", l.state.Ahead, timers)
	}
	l = newLife(placed(), status(wire.PaymentPaid), status(wire.DeliveryScheduled), yes("address"))
	if _, ok := l.owed["deliver"]; !ok {
		t.Error("an order that was called scheduled by hand is never delivered")
	}
}

// TestKey: no two customers' keys are one, whatever they think of.
func TestKey(t *testing.T) {
	if a, b := order.Key("c1", "k"), order.Key("c2", "k"); a == b || a != "c1/k" || order.Key("c1", "") != "" {
		t.Errorf("%q, %q, %q", a, b, order.Key("c1", ""))
	}
}

// TestTombstone: a deleted order keeps its id and nothing of its customer, and answers nobody.
func TestTombstone(t *testing.T) {
	l := newLife(append(slices.Clone(happy), event(order.EventDelete, nil))...)
	b, err := machine.Append(nil, l.state)
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{customerID, home.Street, "Lasagna"} {
		if strings.Contains(string(b), gone) {
			t.Errorf("the tombstone still says %s", gone)
		}
	}
	if machine.Party(newLife(placed()).state) != customerID || machine.Party(l.state) != "" {
		t.Error("an order is its customer's, and a deleted one nobody's")
	}
	if l.state.ID != orderID || !l.state.Deleted || len(l.state.History) != 1 {
		t.Errorf("tombstone %s", b)
	}

	cancelled := newLife(placed(), status(wire.PaymentPaid), customerCancels(), status(wire.Reimbursed), event(order.EventDelete, nil))
	for name := range cancelled.owed { // deleting does not take back what is owed
		if err := cancelled.apply(yes(name)); !errors.Is(err, durable.ErrIgnored) {
			t.Errorf("%s of a deleted order: %v", name, err)
		}
	}
}

func TestLimitsInReasons(t *testing.T) {
	quick := order.Machine{Limits: order.Limits{Payment: 90 * time.Second, Driver: time.Minute, Kitchen: time.Minute, Gap: time.Second}}
	s, _, err := quick.Step(order.State{}, placed())
	if err != nil {
		t.Fatal(err)
	}
	s, _, err = quick.Step(s, due("paymentLimit"))
	if want := "no answer from the card company within 1m30s"; err != nil || s.Reason != want {
		t.Errorf("reason %q, want %q (%v)", s.Reason, want, err)
	}
}

// TestNotesAreBounded: the story of an order ends, its life does not.
func TestNotesAreBounded(t *testing.T) {
	l := newLife(upTo(wire.DeliveryScheduled)...)
	for range 100 {
		if err := errors.Join(l.apply(customerCancels()), l.apply(no("cancelDelivery", "x"))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.state.Notes); n > 48 {
		t.Errorf("%d notes", n)
	}
}

// TestTrip: only orders of the demo restaurant use the original bodies.
func TestTrip(t *testing.T) {
	door := &wire.Position{X: 3, Y: 4}
	elsewhere := event(order.EventPlace, order.Place{
		ID: orderID, CustomerID: customerID, RestaurantID: "0190a000-0000-7000-8000-000000000002", Prep: 12 * time.Minute, Pickup: door,
		Items: []wire.Item{{Product: "Dal Tadka", Quantity: 1}}, Total: wire.Money{Amount: 890, Currency: wire.Euro},
	})
	for name, tt := range map[string]struct {
		first durable.Event
		want  bool
	}{"demo": {placed(), false}, "elsewhere": {elsewhere, true}} {
		l := newLife(tt.first, status(wire.PaymentPaid), yes("address"))
		var body map[string]any
		if err := json.Unmarshal(l.owed["deliver"].Body, &body); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"restaurant_id", "pickup", "ready_at"} {
			if _, has := body[field]; has != tt.want {
				t.Errorf("%s: the request has %s: %t", name, field, has)
			}
		}
	}
}

// TestMenuCopy: order's copy of a menu only ever becomes newer.
func TestMenuCopy(t *testing.T) {
	menu := func(version int64) durable.Event {
		return event(order.EventMenu, wire.MenuChanged{Version: version, Items: []wire.MenuItem{{Product: "Dal", Available: true}}})
	}
	tests := []struct {
		has  int64
		e    durable.Event
		want int64
		err  error
	}{
		{0, menu(1), 1, nil},
		{1, menu(3), 3, nil},
		{3, menu(3), 3, durable.ErrIgnored},
		{3, menu(2), 3, durable.ErrIgnored},
	}
	for _, tt := range tests {
		got, effects, err := order.MenuMachine{}.Step(wire.MenuChanged{Version: tt.has}, tt.e)
		if got.Version != tt.want || !errors.Is(err, tt.err) || len(effects) > 0 {
			t.Errorf("version %d on %d: %d, %v", tt.want, tt.has, got.Version, err)
		}
	}
	for _, bad := range []durable.Event{{Type: "cook"}, {Type: order.EventMenu, Body: []byte("no")}} {
		if _, _, err := (order.MenuMachine{}).Step(wire.MenuChanged{}, bad); err == nil || changesNothing(err) {
			t.Errorf("%s %s: %v", bad.Type, bad.Body, err)
		}
	}
}

// TestPlantedBugsShow: each mistake that can be made in this package breaks a rule of the table.
func TestPlantedBugsShow(t *testing.T) {
	tests := []struct {
		bug    planted.Bug
		events []durable.Event
		last   durable.Event
	}{
		{planted.RefundBeforeCancelCheck, upTo(wire.DeliveryScheduled), customerCancels()},
		{planted.StatusOverwrittenByLateEvent, upTo(wire.CookingDone), status(wire.DriverAvailable)},
		{planted.CancelAfterDriverAvailable, upTo(wire.CookingScheduled), customerCancels()},
		{planted.CookingBeforePayment, nil, placed()},
		{planted.LatePaymentNotRefunded, []durable.Event{placed(), customerCancels()}, status(wire.PaymentPaid)},
	}
	for _, tt := range tests {
		t.Run(tt.bug.String(), func(t *testing.T) {
			check := func() []string {
				before, after := newLife(tt.events...), newLife(tt.events...)
				_ = after.apply(tt.last)
				return brokenRules(before, after)
			}
			if broken := check(); len(broken) > 0 {
				t.Fatalf("without the bug: %v", broken)
			}
			planted.Plant(t, tt.bug)
			if len(check()) == 0 {
				t.Error("no rule notices")
			}
		})
	}
}

// BenchmarkWholeLife is the pure core's share of an order, from click to door.
func BenchmarkWholeLife(b *testing.B) {
	events := slices.Clone(happy)
	for i := range events {
		events[i].At = noon.Add(time.Duration(i) * time.Minute)
	}
	b.ReportAllocs()
	for b.Loop() {
		var s order.State
		for _, e := range events {
			next, _, err := machine.Step(s, e)
			if err != nil && !errors.Is(err, durable.ErrCanWait) {
				b.Fatal(err)
			}
			s = next
		}
		if s.Status != wire.Delivered {
			b.Fatal(s.Status)
		}
	}
}

// BenchmarkCodec is one save and one load of a delivered order.
func BenchmarkCodec(b *testing.B) {
	s := newLife(happy...).state
	var buf []byte
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var err error
			if buf, err = machine.Append(buf[:0], s); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := machine.Decode(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
