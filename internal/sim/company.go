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
func (c *company) callback(to, op, body string) {
	times := 1
	if c.w.fault(RepeatCallback) {
		times = 2 + c.w.rng.IntN(9)
	}
	after := time.Duration(0)
	for range times {
		c.w.after(after, func() { c.callUntilHeard(to, op, []byte(body), 0) })
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
	return answer{status: 202, body: []byte(`{"caller_id":"` + a.order + `","transaction_id":"` + a.trans +
		`","status":"` + string(a.status) + `","amount":` + a.amount.String() + `}`)}
}

func (c *card) serve(r *call) answer {
	if c.down() {
		return refuse(503, "down")
	}
	switch r.op {
	case "POST /billings":
		asked, err := amount(r.body, "amount")
		if err != nil || field(r.body, "currency") != wire.Euro {
			c.w.fail(2, "the card company was asked to charge %s", r.body)
		}
		return c.bill(field(r.body, "caller_id"), asked, r.key)
	case "POST /billings/reimburse":
		asked, err := amount(r.body, "amount")
		if err != nil || field(r.body, "currency") != wire.Euro {
			c.w.fail(3, "the card company was asked to refund %s", r.body)
		}
		return c.giveBack(field(r.body, "caller_id"), field(r.body, "transaction_id"), asked, r.key)
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
func (c *card) bill(order string, asked wire.Decimal, key string) answer {
	w := c.w
	if a := c.accounts[order]; a != nil {
		a.once(w, c.name, "charge "+a.order, key)
		if a.declined {
			return refuse(402, "declined")
		}
		return c.state(a)
	}
	a := &account{order: order, amount: asked, trans: w.fresh(), status: wire.Pending}
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
		slow := c.state(a)
		slow.delay = w.between(0, timeout)
		decide()
		return slow
	}
	w.after(wait, decide)
	return c.state(a)
}

func (c *card) report(a *account) {
	if !a.silent {
		c.callback(wire.PaymentService, "POST /v1/payments/callback",
			`{"status":"`+string(a.status)+`","caller_id":"`+a.order+`","transaction_id":"`+a.trans+`","amount":`+a.amount.String()+`,"currency":"EUR"}`)
	}
}

// giveBack refunds, once for each caller's id, whatever amount it is told.
func (c *card) giveBack(order, trans string, asked wire.Decimal, key string) answer {
	w := c.w
	a := c.accounts[order]
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
	case asked != a.amount:
		w.fail(3, "a refund of %v was asked for %s, and %v was charged", asked, a.order, a.amount)
	case trans != a.trans:
		w.fail(3, "a refund of transaction %s was asked for %s, which is %s", trans, a.order, a.trans)
	}
	a.refund = true
	done := func() {
		a.status = wire.Reimbursed
		a.refunds++
		a.refunded += asked
		w.tell(c.name, "refunds", a.order, "", int64(asked))
		c.report(a)
	}
	if w.oneIn(3) {
		done()
	} else {
		w.after(w.between(time.Second, 20*time.Second), done)
	}
	return c.state(a)
}
