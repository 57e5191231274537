package sim

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// company is what the outside companies have in common: they are down at times, they keep their own books, and they
// call back until they are heard.
type company struct {
	w         *world
	name      string
	downUntil int64
}

func (c *company) down() bool { return c.w.now < c.downUntil && c.w.now < c.w.quiet }

// callback tells a service about a status, until it answers 2xx.
func (c *company) callback(to, op string, body any, after time.Duration) {
	b, err := json.Marshal(body)
	if err != nil {
		c.w.fail(0, "callback: %v", err)
		return
	}
	times := 1
	if c.w.fault(RepeatCallback) {
		times = 2 + c.w.rng.IntN(9)
	}
	for range times {
		c.w.after(after, func() { c.callUntilHeard(to, op, b, 0) })
		after += c.w.between(0, time.Minute)
	}
}

func (c *company) callUntilHeard(to, op string, body []byte, try int) {
	c.w.call(nil, to, op, "", body, func(a answer) {
		if !a.good() {
			c.w.after(min(time.Minute, time.Second<<min(try, 6)), func() { c.callUntilHeard(to, op, body, try+1) })
		}
	})
}

// books are what a company knows of one caller's id.
type books struct {
	keys map[string]string // operation to idempotency key
}

// once checks that an operation always comes under the same key.
func (b *books) once(w *world, who, op, key string) {
	if b.keys == nil {
		b.keys = map[string]string{}
	}
	if first, ok := b.keys[op]; ok && first != key {
		w.fail(2, "%s was asked to %s under two idempotency keys: %s and %s", who, op, first, key)
	}
	b.keys[op] = key
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // our own plain structs
		panic(fmt.Sprintf("sim: %T: %v", v, err))
	}
	return b
}

// account is the card company's page on one order.
type account struct {
	books
	order    string
	amount   wire.Decimal
	trans    string
	status   wire.Status
	silent   bool
	declined bool // at once: the request itself is answered with a no
	charges  int
	refunds  int
	refunded wire.Decimal
	refund   bool // under way or done
}

// card is the card company.
type card struct {
	company
	accounts map[string]*account
	pages    []*account // in their order
}

func (c *card) state(a *account) answer {
	return answer{status: 202, body: marshal(wire.BillingState{
		CallerID: a.order, TransactionID: a.trans, Status: a.status, Amount: a.amount,
	})}
}

func (c *card) serve(r *call) answer {
	if c.down() {
		return refuse(503, "down")
	}
	switch r.op {
	case "POST /billings":
		var b wire.BillingRequest
		if err := json.Unmarshal(r.body, &b); err != nil {
			return refuse(422, err.Error())
		}
		return c.bill(b, r.key)
	case "POST /billings/reimburse":
		var b wire.RefundRequest
		if err := json.Unmarshal(r.body, &b); err != nil {
			return refuse(422, err.Error())
		}
		return c.giveBack(b, r.key)
	}
	id, _ := cut(r.op, "GET /billings/", "")
	if a := c.accounts[id]; a != nil {
		s := c.state(a)
		s.status = 200
		return s
	}
	return refuse(404, "no such billing")
}

// bill takes a request to charge: once for each caller's id.
func (c *card) bill(b wire.BillingRequest, key string) answer {
	w := c.w
	if a := c.accounts[b.CallerID]; a != nil {
		a.once(w, c.name, "charge "+a.order, key)
		if a.declined {
			return refuse(402, "declined")
		}
		return c.state(a)
	}
	a := &account{order: b.CallerID, amount: b.Amount, trans: w.fresh(), status: wire.Pending}
	a.once(w, c.name, "charge "+a.order, key)
	c.accounts[a.order] = a
	c.pages = append(c.pages, a)
	a.silent = w.fault(Silent)
	decline := w.habit(Refusals)
	if decline && w.oneIn(3) {
		a.declined, a.status = true, wire.PaymentFailed
		return refuse(402, "declined")
	}
	wait := w.between(5*time.Second, 20*time.Second)
	if w.habit(LatePayment) {
		wait = w.between(14*time.Minute, 20*time.Minute)
	}
	decide := func() {
		a.status = wire.PaymentFailed
		if !decline {
			a.status = wire.PaymentPaid
			a.charges++
			w.tell(c.name, "charges", a.order, "", int64(a.amount))
		}
		c.report(a)
	}
	if w.fault(EarlyCallback) {
		decide()
		slow := answer{status: 202, body: marshal(wire.BillingState{
			CallerID: a.order, TransactionID: a.trans, Status: wire.Pending, Amount: a.amount}), delay: w.between(0, timeout)}
		return slow
	}
	w.after(wait, decide)
	return c.state(a)
}

func (c *card) report(a *account) {
	if !a.silent {
		c.callback(wire.PaymentService, "POST /v1/payments/callback",
			wire.PaymentCallback{Status: a.status, CallerID: a.order, TransactionID: a.trans}, 0)
	}
}

// giveBack refunds, once for each caller's id, whatever amount it is told.
func (c *card) giveBack(b wire.RefundRequest, key string) answer {
	w := c.w
	a := c.accounts[b.CallerID]
	if a == nil {
		return refuse(404, "no such billing")
	}
	a.once(w, c.name, "refund "+a.order, key)
	switch {
	case a.charges == 0:
		w.fail(3, "a refund of %s was asked for, and nothing was charged", a.order)
		return refuse(409, "nothing was charged")
	case a.refund:
		return c.state(a)
	case b.Amount != a.amount:
		w.fail(3, "a refund of %v was asked for %s, and %v was charged", b.Amount, a.order, a.amount)
	case b.TransactionID != a.trans:
		w.fail(3, "a refund of transaction %s was asked for %s, which is %s", b.TransactionID, a.order, a.trans)
	}
	a.refund = true
	done := func() {
		a.status = wire.Reimbursed
		a.refunds++
		a.refunded += b.Amount
		w.tell(c.name, "refunds", a.order, "", int64(b.Amount))
		c.report(a)
	}
	if w.oneIn(3) {
		done()
	} else {
		w.after(w.between(time.Second, 20*time.Second), done)
	}
	return c.state(a)
}
