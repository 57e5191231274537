package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// whole is the way of an order that goes well, as CONTRACT has it.
var whole = []wire.Status{
	wire.Created, wire.PaymentPaid, wire.DeliveryScheduled, wire.DriverAvailable, wire.CookingScheduled, wire.CookingMeal,
	wire.CookingDone, wire.PickedUp, wire.InTransit, wire.Delivered,
}

// upTo is the way up to a status, and then what comes instead.
func upTo(last wire.Status, then ...wire.Status) []wire.Status {
	return slices.Concat(whole[:slices.Index(whole, last)+1], then)
}

// TestLife: every order ends as its customer, its restaurant and their companies make it end, and as CONTRACT says.
func TestLife(t *testing.T) {
	w := found(t, nil)
	lives := []*life{
		{name: "goes well", customer: ada, want: whole},
		{name: "of another restaurant", customer: grace, restaurant: curry, want: whole},
		{name: "card declined", customer: declined, want: upTo(wire.Created, wire.PaymentFailed)},
		{name: "card company never answers", customer: mute, want: upTo(wire.Created, wire.OrderCancelled),
			reason: "no answer from the card company within 15 minutes", after: wire.Created, limit: 15 * time.Minute, open: true},
		{name: "money comes too late", customer: late, want: upTo(wire.Created, wire.OrderCancelled, wire.Reimbursed),
			reason: "no answer from the card company within 15 minutes", after: wire.Created, limit: 15 * time.Minute},
		{name: "card company must be asked", customer: silent, want: whole},
		{name: "card company calls back three times", customer: twice, want: whole},
		{name: "connection dies after the charge", customer: timeout, want: whole},
		{name: "card company fails twice", customer: flaky, want: whole},
		{name: "callback before the answer", customer: early, want: whole},
		{name: "restaurant refuses", customer: ada, restaurant: closedKitchen,
			want:   upTo(wire.CookingScheduled, wire.OrderCancelled, wire.Reimbursed),
			or:     upTo(wire.DriverAvailable, wire.OrderCancelled, wire.Reimbursed), // the refusal was quicker than the kitchen's 202
			reason: "the restaurant refused: the kitchen is closed"},
		{name: "restaurant never answers", customer: ada, restaurant: silentKitchen,
			want:   upTo(wire.CookingScheduled, wire.OrderCancelled, wire.Reimbursed),
			reason: "no answer from the restaurant within 15 minutes", after: wire.DriverAvailable, limit: 15 * time.Minute},
		{name: "no driver goes there", customer: noDriver,
			want:   upTo(wire.DeliveryScheduled, wire.OrderCancelled, wire.Reimbursed),
			reason: "no driver within 30 minutes", after: wire.PaymentPaid, limit: 30 * time.Minute},
	}
	for _, l := range lives {
		l.order = w.place(l.customer, l.restaurant)
	}
	w.pass(3 * time.Hour)
	var charged, refunded int64
	for _, l := range lives {
		t.Run(l.name, func(t *testing.T) {
			l.check(t, w.get(l.order.ID))
		})
		if slices.Contains(l.want, wire.PaymentPaid) || slices.Contains(l.want, wire.Reimbursed) {
			charged += l.order.Total.Amount
		}
		if slices.Contains(l.want, wire.Reimbursed) {
			refunded += l.order.Total.Amount
		}
	}
	asked := w.get(lives[slices.IndexFunc(lives, func(l *life) bool { return l.customer == silent })].order.ID)
	if d := when(t, asked, wire.PaymentPaid).Sub(asked.Created); d < 2*time.Minute || d > 3*time.Minute {
		t.Errorf("the silent card company was asked after %s", d)
	}
	report := w.verify()
	if report.Open != 1 || report.Charged != charged || report.Refunded != refunded || report.Charged != report.Refunded+report.Delivered {
		t.Errorf("charged %d and refunded %d were expected: %+v", charged, refunded, report)
	}
}

// life is an order and how it is to end.
type life struct {
	name, customer, restaurant string
	want, or                   []wire.Status
	reason                     string
	after                      wire.Status   // where the end is a limit's: what it counts from
	limit                      time.Duration // and how long
	open                       bool          // nobody will ever know about its money

	order wire.Order
}

func (l *life) check(t *testing.T, o wire.Order) {
	t.Helper()
	if got := statuses(o.History); !slices.Equal(got, l.want) && !slices.Equal(got, l.or) {
		t.Errorf("its history is %v, want %v", got, l.want)
	}
	if o.Status != l.want[len(l.want)-1] || o.Reason != l.reason || o.Settled == l.open {
		t.Errorf("it is %s (settled: %t), because %q; want %q", o.Status, o.Settled, o.Reason, l.reason)
	}
	if !slices.IsSortedFunc(o.History, func(a, b wire.Moment) int { return a.When.Compare(b.When) }) {
		t.Errorf("time goes back: %v", o.History)
	}
	if o.Created != l.order.Created || o.Total != l.order.Total || o.CustomerID != l.customer {
		t.Errorf("it was placed as %+v and is %+v", l.order, o)
	}
	if (o.DeliveryID != nil) != slices.Contains(l.want, wire.DeliveryScheduled) {
		t.Errorf("its delivery is %v", o.DeliveryID)
	}
	if (o.KitchenID != nil) != slices.Contains(l.want, wire.CookingScheduled) {
		t.Errorf("its kitchen ticket is %v", o.KitchenID)
	}
	if l.limit > 0 {
		if d := when(t, o, wire.OrderCancelled).Sub(when(t, o, l.after)); d < l.limit || d > l.limit+5*time.Second {
			t.Errorf("it was cancelled %s after %s, the limit is %s", d, l.after, l.limit)
		}
	}
}

// TestCancel: until a driver is committed a customer can cancel, later only the operator, and what was paid comes
// back.
func TestCancel(t *testing.T) {
	w := found(t, nil)
	t.Run("before the driver", func(t *testing.T) {
		w := w.in(t)
		id := w.place(ada, "").ID
		w.reach(id, wire.DeliveryScheduled)
		o := decoded[wire.Order](t, w.cancel(202, id, nil).body)
		mustBe(t, o, "cancelled by the customer", upTo(wire.DeliveryScheduled, wire.OrderCancelled)...)
		if o.CancelRequested || o.Settled {
			t.Errorf("%+v", o)
		}
		w.cancel(202, id, map[string]any{"reason": "again"})
		mustBe(t, w.settle(id), "cancelled by the customer", upTo(wire.DeliveryScheduled, wire.OrderCancelled, wire.Reimbursed)...)
		w.cancel(202, id, nil)
	})
	t.Run("with a reason", func(t *testing.T) {
		w := w.in(t)
		id := w.place(ada, curry).ID
		w.reach(id, wire.DeliveryScheduled)
		w.cancel(202, id, map[string]any{"reason": "not hungry any more"})
		mustBe(t, w.settle(id), "cancelled by the customer: not hungry any more",
			upTo(wire.DeliveryScheduled, wire.OrderCancelled, wire.Reimbursed)...)
	})
	t.Run("before the money moved", func(t *testing.T) {
		w := w.in(t)
		id := w.place(ada, "").ID
		mustBe(t, decoded[wire.Order](t, w.cancel(202, id, map[string]any{}).body), "cancelled by the customer",
			wire.Created, wire.OrderCancelled)
		mustBe(t, w.settle(id), "cancelled by the customer", wire.Created, wire.OrderCancelled, wire.Reimbursed)
	})
	t.Run("and no money ever moves", func(t *testing.T) {
		w := w.in(t)
		id := w.place(declined, "").ID
		w.cancel(202, id, nil)
		mustBe(t, w.settle(id), "cancelled by the customer", wire.Created, wire.OrderCancelled)
	})
	t.Run("too late", func(t *testing.T) {
		w := w.in(t)
		id := w.place(ada, "").ID
		w.reach(id, wire.DriverAvailable)
		if detail := problemOf(t, w.cancel(409, id, nil)); !strings.HasPrefix(detail, "too late: a driver is committed") {
			t.Errorf("it says %q", detail)
		}
		mustBe(t, w.settle(id), "", whole...)
		w.cancel(409, id, nil)
		w.cancel(409, id, map[string]any{"operator": true})
	})
	t.Run("by the operator", func(t *testing.T) {
		w := w.in(t)
		id := w.place(ada, "").ID
		w.reach(id, wire.CookingMeal)
		w.cancel(202, id, map[string]any{"operator": true, "reason": "the kitchen burns"})
		mustBe(t, w.settle(id), "cancelled by the operator: the kitchen burns",
			upTo(wire.CookingMeal, wire.OrderCancelled, wire.Reimbursed)...)
	})
	t.Run("of a failed one", func(t *testing.T) {
		w := w.in(t)
		id := w.place(declined, "").ID
		w.settle(id)
		w.cancel(409, id, nil)
	})
	t.Run("of an unknown one", func(t *testing.T) {
		w := w.in(t)
		problemOf(t, w.cancel(404, "0190a000-0000-7000-8000-0000000abcde", nil))
		problemOf(t, w.cancel(422, "nonsense", nil))
	})
	w.pass(2 * time.Hour)
	if r := w.verify(); r.Open != 0 || r.Charged != r.Refunded+r.Delivered {
		t.Errorf("%+v", r)
	}
}

// cancel asks for a cancel, which must be answered with a status.
func (w *town) cancel(status int, id string, body any) answer {
	w.t.Helper()
	return w.want(status, http.MethodPost, "/v1/orders/"+id+"/cancel", body)
}

func mustBe(t *testing.T, o wire.Order, reason string, want ...wire.Status) {
	t.Helper()
	if got := statuses(o.History); !slices.Equal(got, want) || o.Reason != reason {
		t.Errorf("it went %v, because %q; want %v, because %q", got, o.Reason, want, reason)
	}
}

// TestBadCompanies: companies that fail, carry out and do not answer, and call twice, cost time and nothing else.
func TestBadCompanies(t *testing.T) {
	n := 40
	if testing.Short() || raceEnabled {
		n = 15
	}
	w := found(t, func(c *app.Config) { c.Behave = app.Misbehaviour{Fail: 0.3, Abort: 0.2, Duplicate: 0.5} })
	customers := []string{ada, grace, silent, late, twice, timeout, flaky, early, noDriver, declined}
	restaurants := []string{"", "", curry, "", closedKitchen, "", silentKitchen}
	for i := range n {
		o := w.place(customers[i%len(customers)], restaurants[i%len(restaurants)])
		if i%5 == 0 {
			w.call(http.MethodPost, "/v1/orders/"+o.ID+"/cancel", nil) // whatever comes of it
		}
		w.pass(20 * time.Second)
	}
	w.pass(12 * time.Hour)
	report := w.verify()
	t.Logf("%d orders: %v, %d charges, %d refunds", report.Orders, report.Statuses, report.Charges, report.Refunds)
	if report.Orders != n || report.Open != 0 || report.Charged != report.Refunded+report.Delivered {
		t.Errorf("%+v", report)
	}
	for _, s := range []wire.Status{wire.Delivered, wire.PaymentFailed, wire.Reimbursed} {
		if report.Statuses[string(s)] == 0 {
			t.Errorf("no order ended as %s: this run shows little", s)
		}
	}
}

// problemOf is what a refusal says. Every one is a problem with a detail, a string.
func problemOf(t testing.TB, a answer) string {
	t.Helper()
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s is of the type %s", a, kind)
	}
	p := decoded[map[string]any](t, a.body)
	detail, _ := p["detail"].(string)
	if detail == "" || p["status"] != float64(a.status) || p["title"] != http.StatusText(a.status) {
		t.Errorf("%s is no problem", a)
	}
	return detail
}

// TestAwayForHours: what had happened outside while nobody was there counts, not that its time has passed meanwhile.
// What has really not happened ends as ever.
func TestAwayForHours(t *testing.T) {
	for _, c := range []struct {
		name string
		at   wire.Status // when the system goes
		who  string
		ends wire.Status
	}{
		{"the money came", wire.Created, ada, wire.Delivered},
		{"a driver was found", wire.DeliveryScheduled, ada, wire.Delivered},
		{"the meal was begun", wire.CookingScheduled, ada, wire.Delivered},
		{"the card company never answers", wire.Created, mute, wire.OrderCancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := t.TempDir()
			var order wire.Order
			run := func(from time.Time, do func(*town)) {
				t.Run("run", func(t *testing.T) {
					do(found(t, func(c *app.Config) { c.Data, c.Virtual = data, from }))
				})
			}
			run(noon, func(w *town) {
				order = w.place(c.who, "")
				w.reach(order.ID, c.at)
			})
			run(noon.Add(5*time.Hour), func(w *town) {
				o := w.until(order.ID, time.Minute, func(o wire.Order) bool { return o.Settled || o.Status == c.ends })
				if o.Status != c.ends {
					t.Errorf("the order is %s: %s", o.Status, o.Reason)
				}
				if last := o.History[len(o.History)-1].When; last.After(noon.Add(6 * time.Hour)) {
					t.Errorf("it took until %s", last)
				}
			})
		})
	}
}
