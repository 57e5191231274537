package sim

import (
	"time"

	"github.com/tiffin-food/tiffin/internal/delivery"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/kitchen"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/payment"
)

// verdictWait is how long a request waits for a verdict that is out.
const verdictWait = 2 * time.Second

func (w *world) servePayment(i *instance[payment.State], c *call) {
	cmd, err := paymentCommand(c.op, c.key, c.body)
	if err != nil {
		c.reply(failure(err))
		return
	}
	i.bring(cmd, func(_ string, v view[payment.State], err error) {
		w.believed(c, err)
		if err != nil {
			c.reply(failure(err))
			return
		}
		c.reply(paymentAnswer(c.op, v.state))
	})
}

func (w *world) serveDelivery(i *instance[delivery.State], c *call) {
	cmd, err := deliveryCommand(c.op, c.key, c.body, w.fresh())
	if err != nil {
		c.reply(failure(err))
		return
	}
	i.bring(cmd, func(id string, v view[delivery.State], err error) {
		w.believed(c, err)
		switch {
		case err != nil:
			c.reply(failure(err))
		case cmd.event.Type == delivery.EventCancel:
			i.await(id, decided, verdictWait, func(v view[delivery.State]) { c.reply(verdict(v.state)) })
		default:
			c.reply(deliveryAnswer(c.op, v.state))
		}
	})
}

func (w *world) serveKitchen(i *instance[kitchen.State], c *call) {
	cmd, err := kitchenCommand(c.op, c.key, c.body, w.fresh())
	if err != nil {
		c.reply(failure(err))
		return
	}
	i.bring(cmd, func(_ string, v view[kitchen.State], err error) {
		w.believed(c, err)
		if err != nil {
			c.reply(failure(err))
			return
		}
		c.reply(kitchenAnswer(c.op, v.state))
	})
}

// believed: the companies here are honest, and what they report is late or comes twice at worst.
func (w *world) believed(c *call, err error) {
	if why, doubted := durable.Doubted(err); doubted {
		w.fail(0, "an honest company was doubted: %s %s: %s", c.op, c.body, why)
	}
}

func (w *world) serveOrder(i *instance[order.State], c *call) {
	if c.op == "POST /v1/orders" {
		w.place(i, c)
		return
	}
	if id, ok := cut(c.op, "GET /v1/orders/", ""); ok {
		v := i.read(id)
		if !v.ok || v.state.Deleted {
			c.reply(refuse(404, "no such order"))
			return
		}
		a := answer{status: 200, shown: w.show(i.name, v, w.seen(id))}
		c.reply(a)
		return
	}
	event := order.EventDelete
	id, ok := cut(c.op, "POST /v1/orders/", "/cancel")
	if ok {
		event = order.EventCancel
	} else {
		id, _ = cut(c.op, "DELETE /v1/orders/", "")
	}
	asked := w.seen(id)
	i.bring(orderCommand(id, event, c.body), func(_ string, v view[order.State], err error) {
		switch {
		case err != nil:
			c.reply(failure(err))
		case event == order.EventDelete:
			c.reply(answer{status: 204})
		default:
			w.show(i.name, v, asked)
			i.await(id, func(s order.State) bool { return !s.CancelAsked }, verdictWait, func(v view[order.State]) {
				a := cancelled(v.state)
				a.shown = w.show(i.name, v, asked)
				c.reply(a)
			})
		}
	})
}

// place serves POST /v1/orders.
func (w *world) place(i *instance[order.State], c *call) {
	var p order.Place
	if err := decode(c.body, &p); err != nil {
		c.reply(failure(err))
		return
	}
	p.Total = total(p.Items)
	cmd, err := placement(w.fresh(), c.key, c.body, p)
	if err != nil {
		c.reply(failure(err))
		return
	}
	i.bring(cmd, func(_ string, v view[order.State], err error) {
		switch {
		case err != nil:
			c.reply(failure(err))
		case v.state.Deleted:
			c.reply(refuse(409, "the order of this idempotency key was deleted"))
		default:
			a := accepted(v.state.FirstView())
			a.shown = w.show(i.name, v, 0)
			c.reply(a)
		}
	})
}
