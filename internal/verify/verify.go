// Package verify checks what must always hold over the real stores and the card company's own ledger.
//
// It reads and never writes. What it reports is a violation only if no crash, delay or retry can explain it: work
// that is still owed is counted, not reported; parked work is reported, because it ends with no hand.
package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/delivery"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/kitchen"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/payment"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Charge is a line of the card company's ledger: what moved for one order.
type Charge struct {
	OrderID           string
	Charged, Refunded int64 // cents; 0: nothing moved
}

// Stores are what is checked. Ledger nil: there is no card company of ours, and money is believed as payment tells it.
type Stores struct {
	Orders, Payments, Deliveries, Tickets durable.Store
	Ledger                                func(ctx context.Context, each func(Charge)) error
	Now                                   time.Time // by the clock of the data
}

// Violation is something that must never be. Rule is its number in the list of invariants.
type Violation struct {
	Rule    int    `json:"rule"`
	OrderID string `json:"order_id"`
	What    string `json:"what"`
}

func (v Violation) String() string {
	return fmt.Sprintf("invariant %d: %s: %s", v.Rule, v.OrderID, v.What)
}

// Report is what was found.
type Report struct {
	Orders     int            `json:"orders"`
	Statuses   map[string]int `json:"statuses"`
	Settled    int            `json:"settled"`
	Open       int            `json:"open"`
	Deleted    int            `json:"deleted"`
	Charges    int            `json:"charges"`
	Charged    int64          `json:"charged"` // cents
	Refunds    int            `json:"refunds"`
	Refunded   int64          `json:"refunded"`
	Delivered  int64          `json:"delivered_value"`
	OpenMoney  int64          `json:"open_money"` // charged for orders that are not settled, less what went back
	Ledger     bool           `json:"ledger"`     // money is by the card company's own books
	Violations []Violation    `json:"violations"`
}

// check is one run.
type check struct {
	Report
	now        time.Time
	payments   map[string]payment.State
	deliveries map[string]delivery.State
	tickets    map[string]kitchen.State
	charges    map[string]Charge
	working    map[string]bool // orders for which some service still has something to do
}

// Check reads everything and reports. An error means that something could not be read.
func Check(ctx context.Context, s Stores) (Report, error) {
	c := &check{
		Report: Report{Statuses: map[string]int{}, Violations: []Violation{}}, now: s.Now,
		payments: map[string]payment.State{}, deliveries: map[string]delivery.State{},
		tickets: map[string]kitchen.State{}, charges: map[string]Charge{}, working: map[string]bool{},
	}
	seen := map[string]bool{}
	err := errors.Join(
		scan(ctx, s.Payments, payment.Machine{}, func(r durable.Record, p payment.State) {
			c.payments[p.OrderID] = p
			c.owed(r, p.OrderID, "payment")
		}),
		scan(ctx, s.Deliveries, delivery.Machine{}, func(r durable.Record, d delivery.State) {
			if _, twice := c.deliveries[d.Metadata.OrderID]; twice {
				c.violated(2, d.Metadata.OrderID, "it has two deliveries")
			}
			c.deliveries[d.Metadata.OrderID] = d
			c.owed(r, d.Metadata.OrderID, "delivery")
		}),
		scan(ctx, s.Tickets, kitchen.Machine{}, func(r durable.Record, t kitchen.State) {
			if _, twice := c.tickets[t.Metadata.OrderID]; twice {
				c.violated(4, t.Metadata.OrderID, "it has two kitchen tickets")
			}
			c.tickets[t.Metadata.OrderID] = t
			c.owed(r, t.Metadata.OrderID, "kitchen")
		}),
	)
	if err != nil {
		return c.Report, err
	}
	if s.Ledger != nil {
		c.Ledger = true
		err := s.Ledger(ctx, func(ch Charge) {
			if _, twice := c.charges[ch.OrderID]; twice {
				c.violated(2, ch.OrderID, "the card company charged it twice")
			}
			c.charges[ch.OrderID] = ch
		})
		if err != nil {
			return c.Report, fmt.Errorf("the card company's ledger: %w", err)
		}
	} else {
		for id, p := range c.payments {
			ch := Charge{OrderID: id}
			if p.Phase == payment.Paid {
				ch.Charged = int64(p.Charge)
			}
			if p.Refund == payment.Refunded {
				ch.Refunded = int64(p.Charge)
			}
			c.charges[id] = ch
		}
	}
	err = scan(ctx, s.Orders, order.Machine{}, func(r durable.Record, o order.State) {
		seen[o.ID] = true
		c.owed(r, o.ID, "order")
		c.order(o)
	})
	for id, ch := range c.charges {
		if !seen[id] && ch.Charged != 0 {
			c.violated(2, id, "the card company charged for an order that does not exist")
		}
	}
	slices.SortFunc(c.Violations, func(a, b Violation) int { return strings.Compare(a.OrderID+a.What, b.OrderID+b.What) })
	return c.Report, err
}

func scan[S any](ctx context.Context, store durable.Store, m durable.Machine[S], each func(durable.Record, S)) error {
	const page = 500
	before := ""
	for {
		records, err := store.List(ctx, "", before, page)
		if err != nil {
			return err
		}
		for _, r := range records {
			s, err := m.Decode(r.State)
			if err != nil {
				return fmt.Errorf("record %s: %w", r.ID, err)
			}
			each(r, s)
			before = r.ID
		}
		if len(records) < page {
			return nil
		}
	}
}

func (c *check) violated(rule int, id, format string, args ...any) {
	c.Violations = append(c.Violations, Violation{rule, id, fmt.Sprintf(format, args...)})
}

// owed notes whose work is not done, and reports what is parked.
func (c *check) owed(r durable.Record, orderID, who string) {
	for _, o := range r.Owed {
		if o.Parked != "" {
			c.violated(9, orderID, "%s: %s is parked: %s", who, o.Name, o.Parked)
		} else {
			c.working[orderID] = true
		}
	}
}

func (c *check) order(o order.State) {
	c.Orders++
	c.Statuses[string(o.Status)]++
	ch := c.charges[o.ID]
	if ch.Charged != 0 {
		c.Charges++
		c.Charged += ch.Charged
	}
	if ch.Refunded != 0 {
		c.Refunds++
		c.Refunded += ch.Refunded
	}
	if o.Deleted {
		c.Deleted++
		if o.Status == wire.Delivered {
			c.Delivered += ch.Charged
		}
		return
	}
	c.history(o)
	c.money(o, ch)
	c.cooking(o)
	c.cancel(o)
	if o.Settled() {
		c.Settled++
	} else {
		c.Open++
		c.OpenMoney += ch.Charged - ch.Refunded
		if !c.working[o.ID] {
			c.violated(1, o.ID, "it is %s and nobody has anything left to do for it", o.Status)
		}
	}
	if o.Status == wire.Delivered {
		c.Delivered += o.Total.Amount
	}
}

// history: every status once, in the graph, none after the end, times in order.
func (c *check) history(o order.State) {
	if len(o.History) == 0 || o.History[0].Status != wire.Created {
		c.violated(6, o.ID, "its history does not begin with created")
		return
	}
	if last := o.History[len(o.History)-1].Status; last != o.Status {
		c.violated(6, o.ID, "it is %s, and its history ends with %s", o.Status, last)
	}
	for i := 1; i < len(o.History); i++ {
		from, to := o.History[i-1], o.History[i]
		if !order.CanFollow(from.Status, to.Status) {
			c.violated(6, o.ID, "%s was followed by %s", from.Status, to.Status)
		}
		if to.When.Before(from.When) {
			c.violated(6, o.ID, "%s came before %s", to.Status, from.Status)
		}
	}
}

func has(o order.State, s wire.Status) bool {
	return slices.ContainsFunc(o.History, func(m wire.Moment) bool { return m.Status == s })
}

// money: charged at most once and the right amount, given back exactly when it must be, the same in all books.
func (c *check) money(o order.State, ch Charge) {
	p, known := c.payments[o.ID]
	if ch.Charged != 0 && ch.Charged != o.Total.Amount {
		c.violated(2, o.ID, "it costs %d and %d was charged", o.Total.Amount, ch.Charged)
	}
	if has(o, wire.PaymentPaid) && ch.Charged == 0 {
		c.violated(2, o.ID, "it counts as paid and nothing was charged")
	}
	if ch.Refunded != 0 && ch.Refunded != ch.Charged {
		c.violated(3, o.ID, "%d was charged and %d given back", ch.Charged, ch.Refunded)
	}
	if ch.Refunded != 0 && o.Status != wire.OrderCancelled && o.Status != wire.Reimbursed {
		c.violated(3, o.ID, "it was given back and is %s", o.Status)
	}
	if has(o, wire.Reimbursed) && ch.Refunded == 0 {
		c.violated(3, o.ID, "it counts as reimbursed and nothing was given back")
	}
	if o.Settled() {
		want := int64(0)
		if o.Status == wire.Delivered {
			want = o.Total.Amount
		}
		if kept := ch.Charged - ch.Refunded; kept != want {
			c.violated(10, o.ID, "it is settled as %s and %d was kept instead of %d", o.Status, kept, want)
		}
	}
	if c.Ledger && known && p.Phase == payment.Paid && ch.Charged == 0 {
		c.violated(2, o.ID, "payment counts it as paid, the card company does not")
	}
}

// cooking: nothing is cooked unless paid and with a driver.
func (c *check) cooking(o order.State) {
	t, ok := c.tickets[o.ID]
	if !ok || !t.Begun {
		return
	}
	if !has(o, wire.PaymentPaid) || !has(o, wire.DriverAvailable) {
		c.violated(4, o.ID, "the kitchen was asked before it was paid and had a driver")
	}
}

// cancel: a customer's cancel and a driver exclude each other.
func (c *check) cancel(o order.State) {
	if o.Status != wire.OrderCancelled && o.Status != wire.Reimbursed {
		if d, ok := c.deliveries[o.ID]; ok && d.Cancel == delivery.Cancelled && !c.working[o.ID] {
			c.violated(5, o.ID, "its delivery is cancelled and it is %s", o.Status)
		}
		return
	}
	if strings.HasPrefix(o.Reason, "cancelled by the customer") && has(o, wire.DriverAvailable) {
		c.violated(5, o.ID, "the customer cancelled it after a driver was committed")
	}
}
