package sim

import (
	"bytes"
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// prices are the menu, in cents.
var prices = map[string]int64{
	"Lasagna": 1295, "Double Cheeseburger": 1089, "Veil with glazed onions and blue cheese": 2475,
	"Vegetarian Salad with healthy produce": 977,
}

var products = []string{
	"Lasagna", "Double Cheeseburger", "Veil with glazed onions and blue cheese", "Vegetarian Salad with healthy produce",
}

func total(items []wire.Item) wire.Money {
	sum := wire.Money{Currency: wire.Euro}
	for _, i := range items {
		sum.Amount += prices[i.Product] * int64(i.Quantity)
	}
	return sum
}

// client is somebody who orders a meal, looks at it, and may change his mind.
type client struct {
	w     *world
	n     int
	key   string // idempotency key; empty: he never tries twice
	body  []byte
	id    string // the order's, once it is acknowledged
	first []byte // the answer that acknowledged it
	ended bool   // he asked for it to be deleted
	asks  int
}

func newClient(w *world, n int) *client {
	c := &client{w: w, n: n}
	if !w.oneIn(5) {
		c.key = fmt.Sprintf("key-%d", n)
	}
	var items []wire.Item
	for range 1 + w.rng.IntN(3) {
		items = append(items, wire.Item{Product: products[w.rng.IntN(len(products))], Quantity: 1 + w.rng.IntN(3)})
	}
	c.body = marshal(order.Place{CustomerID: w.customers.arrive(n), RestaurantID: wire.DemoRestaurant, Items: items})
	return c
}

// begin places the order and goes on until it is acknowledged.
func (c *client) begin() { c.place(0) }

func (c *client) place(try int) {
	w := c.w
	w.call(nil, wire.OrderService, "POST /v1/orders", c.key, c.body, func(a answer) {
		switch {
		case a.status == 202:
			c.placed(a)
		case a.status >= 400 && a.status < 500:
			w.fail(8, "order %q was refused: %d %s", c.key, a.status, a.detail)
		case c.key != "" && try < 40:
			w.after(w.between(200*time.Millisecond, 5*time.Second), func() { c.place(try + 1) })
		}
	})
}

// placed: the order is acknowledged. Now it is readable for ever, and the same request has the same answer.
func (c *client) placed(a answer) {
	w := c.w
	c.id, c.first = a.shown.id, a.body
	a.shown.client = c
	for range w.rng.IntN(4) {
		w.after(w.between(0, 2*time.Hour), c.look)
	}
	if w.habit(Cancels) {
		at := w.moment()
		w.after(at, func() { c.cancel(false) })
		if w.oneIn(3) {
			w.after(at+w.between(0, 5*time.Second), func() { c.cancel(false) })
		}
		if w.oneIn(4) {
			w.after(at+w.between(0, 20*time.Minute), func() { c.cancel(false) })
		}
	}
	if w.habit(Operators) {
		w.after(w.moment(), func() { c.cancel(true) })
		w.after(w.between(10*time.Minute, time.Hour), func() { c.cancel(true) })
	}
	if c.key != "" && w.habit(Repeats) {
		w.after(w.moment(), c.repeat)
		w.after(w.moment(), c.misuse)
	}
	if w.habit(Deletes) {
		w.after(w.between(0, 3*time.Hour), c.delete)
		w.after(time.Duration(w.quiet)+w.between(0, 4*time.Hour), c.delete)
	}
}

// moment is some time in an order's life: the beginning as likely as the end.
func (w *world) moment() time.Duration {
	most := []time.Duration{time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, time.Hour}[w.rng.IntN(5)]
	return w.between(0, most)
}

// gone says whether the order was deleted, as he asked.
func (c *client) gone() bool { return c.ended && c.w.sight(c.id).deleted }

// look reads the order.
func (c *client) look() {
	c.w.call(nil, wire.OrderService, "GET /v1/orders/"+c.id, "", nil, func(a answer) {
		if a.status == 404 && !c.gone() {
			c.w.fail(1, "order %s was acknowledged and cannot be read", c.id)
		}
	})
}

// cancel asks for a cancel until there is an answer.
func (c *client) cancel(operator bool) {
	c.asks++
	key := fmt.Sprintf("cancel-%d-%d", c.n, c.asks)
	c.askCancel(key, marshal(order.Cancel{Operator: operator}), operator, 0)
}

func (c *client) askCancel(key string, body []byte, operator bool, try int) {
	w := c.w
	w.call(nil, wire.OrderService, "POST /v1/orders/"+c.id+"/cancel", key, body, func(a answer) {
		switch {
		case a.status == 202 && a.detail == "requested":
			w.cover.hit("cancel: answer still out")
			if w.oneIn(2) { // asked again, the same request gets the verdict
				w.after(w.between(time.Second, time.Minute), func() { c.askCancel(key, body, operator, try+1) })
			}
		case a.status == 202:
			w.cover.hit("cancel: cancelled")
			w.sight(c.id).toldCancelled = true
		case a.status == 409:
			w.cover.hit("cancel: too late")
			if !operator {
				w.sight(c.id).toldLate = true
			}
		case a.status == 404 && c.gone():
		case a.status >= 400 && a.status < 500:
			w.fail(5, "the cancel of %s was refused: %d %s", c.id, a.status, a.detail)
		case try < 40:
			w.after(w.between(200*time.Millisecond, 5*time.Second), func() { c.askCancel(key, body, operator, try+1) })
		}
	})
}

// repeat places the order again.
func (c *client) repeat() {
	c.w.call(nil, wire.OrderService, "POST /v1/orders", c.key, c.body, func(a answer) {
		switch {
		case a.status == 202 && !bytes.Equal(a.body, c.first):
			c.w.fail(8, "the same request of %q was answered otherwise:\n%s\n%s", c.key, c.first, a.body)
		case a.status == 202:
			c.w.cover.hit("repeat: the same answer")
		case a.status == 409 && c.gone():
			c.w.cover.hit("repeat: the key of a deleted order")
		case a.status >= 400 && a.status < 500:
			c.w.fail(8, "the same request of %q was refused: %d %s", c.key, a.status, a.detail)
		}
	})
}

// misuse sends another order under the key.
func (c *client) misuse() {
	var mine order.Place
	if err := decode(c.body, &mine); err != nil {
		panic(err) // newClient made it
	}
	other := marshal(order.Place{CustomerID: mine.CustomerID, RestaurantID: wire.DemoRestaurant,
		Items: []wire.Item{{Product: "Lasagna", Quantity: 99}}})
	c.w.call(nil, wire.OrderService, "POST /v1/orders", c.key, other, func(a answer) {
		switch {
		case a.good():
			c.w.fail(8, "another request of %q was accepted", c.key)
		case a.status == 422:
			c.w.cover.hit("repeat: another body under the key")
		case a.status >= 400 && a.status < 500:
			c.w.fail(8, "another request of %q was answered %d %s", c.key, a.status, a.detail)
		}
	})
}

// delete forgets the order, if it is finished.
func (c *client) delete() {
	c.ended = true
	final := c.w.settled(c.id)
	c.w.call(nil, wire.OrderService, "DELETE /v1/orders/"+c.id, fmt.Sprintf("delete-%d", c.n), nil, func(a answer) {
		switch {
		case a.status == 204 && !c.w.settled(c.id):
			c.w.fail(1, "order %s was deleted and is not finished", c.id)
		case a.status == 204:
			if c.key != "" && c.w.oneIn(2) {
				c.w.after(c.w.between(0, time.Hour), c.repeat)
			}
			c.w.cover.hit("deleted")
		case a.status == 409 && final:
			c.w.fail(1, "order %s is finished and could not be deleted: %s", c.id, a.detail)
		case a.status == 409:
			c.w.cover.hit("delete: not finished")
		}
	})
}
