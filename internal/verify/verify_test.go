package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/delivery"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/kitchen"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/payment"
	"github.com/tiffin-food/tiffin/internal/verify"
	"github.com/tiffin-food/tiffin/internal/wire"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const price = 2590

// books are what all services and the card company have of a few orders.
type books struct {
	orders     map[string]order.State
	payments   map[string]payment.State
	deliveries map[string]delivery.State
	tickets    map[string]kitchen.State
	ledger     []verify.Charge
	owed       map[string][]durable.Owed // of the order records
}

func history(all ...wire.Status) []wire.Moment {
	moments := make([]wire.Moment, len(all))
	for i, s := range all {
		moments[i] = wire.Moment{Status: s, When: noon.Add(time.Duration(i) * time.Minute)}
	}
	return moments
}

func anOrder(id string, paid order.Payment, all ...wire.Status) order.State {
	return order.State{
		ID: id, Status: all[len(all)-1], History: history(all...), Payment: paid, Total: wire.Money{Amount: price, Currency: wire.Euro},
	}
}

var happy = []wire.Status{
	wire.Created, wire.PaymentPaid, wire.DeliveryScheduled, wire.DriverAvailable, wire.CookingScheduled, wire.CookingMeal,
	wire.CookingDone, wire.PickedUp, wire.InTransit, wire.Delivered,
}

// sound are the books of a house where all is well: an order delivered, one reimbursed, one that was never paid, one
// under way, and one deleted.
func sound() *books {
	gone := anOrder("gone", "", wire.Created)
	gone.Status, gone.Deleted, gone.Total = wire.Delivered, true, wire.Money{}
	back := anOrder("back", order.PaymentTaken, wire.Created, wire.PaymentPaid, wire.OrderCancelled, wire.Reimbursed)
	back.Reason = "cancelled by the customer"
	return &books{
		orders: map[string]order.State{
			"done": anOrder("done", order.PaymentTaken, happy...),
			"back": back,
			"poor": anOrder("poor", order.PaymentNone, wire.Created, wire.PaymentFailed),
			"open": anOrder("open", order.PaymentTaken, wire.Created, wire.PaymentPaid),
			"gone": gone,
		},
		payments: map[string]payment.State{
			"done": {OrderID: "done", Phase: payment.Paid, Charge: price},
			"back": {OrderID: "back", Phase: payment.Paid, Charge: price, Refund: payment.Refunded},
			"poor": {OrderID: "poor", Phase: payment.Failed, Charge: price},
			"open": {OrderID: "open", Phase: payment.Paid, Charge: price},
			"gone": {OrderID: "gone", Phase: payment.Paid, Charge: 1000},
		},
		deliveries: map[string]delivery.State{
			"d1": {ID: "d1", Metadata: wire.Metadata{OrderID: "done"}, History: history(wire.DriverAvailable, wire.InTransit, wire.Delivered)},
		},
		tickets: map[string]kitchen.State{
			"k1": {ID: "k1", Metadata: wire.Metadata{OrderID: "done"}, Begun: true, History: history(wire.CookingMeal, wire.CookingDone, wire.PickedUp)},
		},
		ledger: []verify.Charge{{"done", price, 0}, {"back", price, price}, {"open", price, 0}, {"gone", 1000, 0}},
		owed:   map[string][]durable.Owed{"open": {{Effect: durable.Timer("driverLimit", noon.Add(time.Hour)), ID: "open/driverLimit/1"}}},
	}
}

func (b *books) edit(id string, change func(*order.State)) {
	o := b.orders[id]
	change(&o)
	b.orders[id] = o
}

func (b *books) charge(id string, change func(*verify.Charge)) {
	i := slices.IndexFunc(b.ledger, func(c verify.Charge) bool { return c.OrderID == id })
	change(&b.ledger[i])
}

// stores puts the books into stores in memory.
func (b *books) stores(t *testing.T, ledger bool) verify.Stores {
	t.Helper()
	s := verify.Stores{
		Orders: fill(t, b.orders, b.owed), Payments: fill(t, b.payments, nil), Deliveries: fill(t, b.deliveries, nil),
		Tickets: fill(t, b.tickets, nil), Now: noon.Add(24 * time.Hour),
	}
	if ledger {
		s.Ledger = func(_ context.Context, each func(verify.Charge)) error {
			for _, c := range b.ledger {
				each(c)
			}
			return nil
		}
	}
	return s
}

func fill[S any](t *testing.T, states map[string]S, owed map[string][]durable.Owed) durable.Store {
	t.Helper()
	store := memory.New(durable.Features{Exclusive: true})
	for id, s := range states {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Create(t.Context(), durable.Record{ID: id, State: b, Owed: owed[id]}); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// TestSound: nothing is reported where all is well, by the card company's books and without them.
func TestSound(t *testing.T) {
	for _, ledger := range []bool{true, false} {
		r, err := verify.Check(t.Context(), sound().stores(t, ledger))
		if err != nil || len(r.Violations) > 0 {
			t.Errorf("ledger %t: %v, %v", ledger, err, r.Violations)
		}
		if r.Orders != 5 || r.Settled != 3 || r.Open != 1 || r.Deleted != 1 || r.Ledger != ledger {
			t.Errorf("ledger %t: %+v", ledger, r)
		}
		if r.Charges != 4 || r.Charged != 3*price+1000 || r.Refunds != 1 || r.Refunded != price || r.Delivered != price+1000 || r.OpenMoney != price {
			t.Errorf("ledger %t: money %+v", ledger, r)
		}
		if balance := r.Charged - r.Refunded - r.Delivered - r.OpenMoney; balance != 0 {
			t.Errorf("ledger %t: the balance is off by %d", ledger, balance)
		}
	}
}

// TestBroken: each way in which the books can be wrong is reported under its invariant's number, for the order that
// it is about.
func TestBroken(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*books)
		rule  int
		order string
		what  string
	}{
		{"nobody works for it", func(b *books) { delete(b.owed, "open") }, 1, "open", "nobody has anything left to do"},
		{"charged twice", func(b *books) { b.ledger = append(b.ledger, verify.Charge{OrderID: "open", Charged: price}) }, 2, "open", "twice"},
		{"charged another amount", func(b *books) { b.charge("open", func(c *verify.Charge) { c.Charged-- }) }, 2, "open", "2589 was charged"},
		{"charged for nothing", func(b *books) { b.ledger = append(b.ledger, verify.Charge{OrderID: "who", Charged: 1}) }, 2, "who", "does not exist"},
		{"counted as paid, not charged", func(b *books) { b.charge("open", func(c *verify.Charge) { c.Charged = 0 }) }, 2, "open", "nothing was charged"},
		{"payment counts it as paid, the company does not", func(b *books) {
			b.edit("open", func(o *order.State) { *o = anOrder("open", "", wire.Created) })
			b.charge("open", func(c *verify.Charge) { c.Charged = 0 })
		}, 2, "open", "payment counts it as paid"},
		{"two deliveries", func(b *books) { b.deliveries["d2"] = b.deliveries["d1"] }, 2, "done", "two deliveries"},
		{"part of it given back", func(b *books) { b.charge("back", func(c *verify.Charge) { c.Refunded-- }) }, 3, "back", "2589 given back"},
		{"given back though delivered", func(b *books) { b.charge("done", func(c *verify.Charge) { c.Refunded = price }) }, 3, "done", "given back and is delivered"},
		{"counted as reimbursed, nothing given back", func(b *books) { b.charge("back", func(c *verify.Charge) { c.Refunded = 0 }) }, 3, "back", "nothing was given back"},
		{"two tickets", func(b *books) { b.tickets["k2"] = b.tickets["k1"] }, 4, "done", "two kitchen tickets"},
		{"cooked without a driver", func(b *books) {
			b.tickets["k2"] = kitchen.State{ID: "k2", Metadata: wire.Metadata{OrderID: "open"}, Begun: true}
		}, 4, "open", "before it was paid and had a driver"},
		{"the customer cancelled too late", func(b *books) {
			b.edit("back", func(o *order.State) {
				*o = anOrder("back", order.PaymentTaken, wire.Created, wire.PaymentPaid, wire.DeliveryScheduled, wire.DriverAvailable, wire.OrderCancelled, wire.Reimbursed)
				o.Reason = "cancelled by the customer"
			})
		}, 5, "back", "after a driver was committed"},
		{"delivery cancelled, order delivered", func(b *books) {
			b.deliveries["d1"] = delivery.State{ID: "d1", Metadata: wire.Metadata{OrderID: "done"}, Cancel: delivery.Cancelled}
		}, 5, "done", "its delivery is cancelled"},
		{"no beginning", func(b *books) { b.edit("open", func(o *order.State) { o.History = o.History[1:] }) }, 6, "open", "does not begin with created"},
		{"no history", func(b *books) { b.edit("open", func(o *order.State) { o.History = nil }) }, 6, "open", "does not begin with created"},
		{"another end", func(b *books) { b.edit("open", func(o *order.State) { o.Status = wire.DeliveryScheduled }) }, 6, "open", "its history ends with paymentPaid"},
		{"a step beside the graph", func(b *books) {
			b.edit("open", func(o *order.State) {
				*o = anOrder("open", order.PaymentTaken, wire.Created, wire.PaymentPaid, wire.DriverAvailable)
			})
		}, 6, "open", "paymentPaid was followed by driverAvailable"},
		{"a status twice", func(b *books) {
			b.edit("open", func(o *order.State) {
				*o = anOrder("open", order.PaymentTaken, wire.Created, wire.PaymentPaid, wire.PaymentPaid)
			})
		}, 6, "open", "paymentPaid was followed by paymentPaid"},
		{"time went back", func(b *books) {
			b.edit("open", func(o *order.State) { o.History[1].When = noon.Add(-time.Second) })
		}, 6, "open", "paymentPaid came before created"},
		{"parked", func(b *books) {
			b.owed["open"] = append(b.owed["open"], durable.Owed{Effect: durable.Timer("gap", noon), ID: "x", Parked: "why?"})
		}, 9, "open", "order: gap is parked: why?"},
		{"money kept of a cancelled order", func(b *books) {
			b.edit("back", func(o *order.State) {
				*o = anOrder("back", order.PaymentNone, wire.Created, wire.PaymentPaid, wire.OrderCancelled)
			})
			b.charge("back", func(c *verify.Charge) { c.Refunded = 0 })
		}, 10, "back", "2590 was kept instead of 0"},
		{"delivered for nothing", func(b *books) { b.charge("done", func(c *verify.Charge) { c.Charged = 0 }) }, 10, "done", "0 was kept instead of 2590"},
	}
	rules := map[int]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := sound()
			tt.spoil(b)
			r, err := verify.Check(t.Context(), b.stores(t, true))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Violations, func(v verify.Violation) bool {
				return v.Rule == tt.rule && v.OrderID == tt.order && strings.Contains(v.What, tt.what)
			}) {
				t.Errorf("want invariant %d: %s: %s; got %v", tt.rule, tt.order, tt.what, r.Violations)
			}
			for _, v := range r.Violations {
				if v.OrderID != tt.order {
					t.Errorf("an order that is well is reported: %v", v)
				}
			}
		})
		rules[tt.rule] = true
	}
	for _, rule := range []int{1, 2, 3, 4, 5, 6, 9, 10} {
		if !rules[rule] {
			t.Errorf("no books break invariant %d", rule)
		}
	}
}

// TestWorkIsNoViolation: what is still owed explains what would be wrong without it.
func TestWorkIsNoViolation(t *testing.T) {
	b := sound()
	b.edit("open", func(o *order.State) {
		*o = anOrder("open", order.PaymentTaken, wire.Created, wire.PaymentPaid, wire.OrderCancelled)
	})
	b.owed["open"] = []durable.Owed{{Effect: durable.Command("refund", wire.PaymentService, "POST /", nil, time.Time{}), ID: "x"}}
	if r, err := verify.Check(t.Context(), b.stores(t, true)); err != nil || len(r.Violations) > 0 || r.OpenMoney != price {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestManyRecords: more than one page of a store is read.
func TestManyRecords(t *testing.T) {
	b := sound()
	for i := range 1200 {
		id := fmt.Sprintf("poor-%04d", i)
		b.orders[id] = anOrder(id, order.PaymentNone, wire.Created, wire.PaymentFailed)
	}
	if r, err := verify.Check(t.Context(), b.stores(t, true)); err != nil || r.Orders != 1205 || r.Statuses["paymentFailed"] != 1201 {
		t.Errorf("%v, %d orders, %v", err, r.Orders, r.Statuses)
	}
}

// TestUnreadable: what cannot be read is an error, not a clean bill.
func TestUnreadable(t *testing.T) {
	closed, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify.Check(closed, sound().stores(t, true)); !errors.Is(err, context.Canceled) {
		t.Errorf("a store that cannot be read: %v", err)
	}
	errBooks := errors.New("burnt")
	s := sound().stores(t, true)
	s.Ledger = func(context.Context, func(verify.Charge)) error { return errBooks }
	if _, err := verify.Check(t.Context(), s); !errors.Is(err, errBooks) {
		t.Errorf("a ledger that cannot be read: %v", err)
	}
	for name, of := range map[string]func(verify.Stores) durable.Store{
		"orders":     func(s verify.Stores) durable.Store { return s.Orders },
		"payments":   func(s verify.Stores) durable.Store { return s.Payments },
		"deliveries": func(s verify.Stores) durable.Store { return s.Deliveries },
		"tickets":    func(s verify.Stores) durable.Store { return s.Tickets },
	} {
		s := sound().stores(t, true)
		if err := of(s).Create(t.Context(), durable.Record{ID: "torn", State: []byte("{")}); err != nil {
			t.Fatal(err)
		}
		if _, err := verify.Check(t.Context(), s); err == nil || !strings.Contains(err.Error(), "record torn") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestViolationString(t *testing.T) {
	v := verify.Violation{Rule: 3, OrderID: "o1", What: "it was given back twice"}
	if got := v.String(); got != "invariant 3: o1: it was given back twice" {
		t.Error(got)
	}
}
