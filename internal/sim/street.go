package sim

import (
	"strconv"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// meeting is the one physical world of an order: the meal is handed over when it and the courier are both there.
type meeting struct {
	trip   *trip
	ticket *ticket
}

func (w *world) meet(order string) *meeting {
	m := w.street[order]
	if m == nil {
		m = &meeting{}
		w.street[order] = m
	}
	return m
}

// handOver happens when both are there.
func (w *world) handOver(order string) {
	m := w.meet(order)
	if m.trip == nil || m.ticket == nil || !m.trip.waiting || !m.ticket.ready || m.trip.released || m.ticket.cancelled || m.ticket.handed {
		return
	}
	m.ticket.handed, m.trip.waiting = true, false
	w.tell("street", "handed over", order, "", 0)
	w.restaurant.report(m.ticket, wire.PickedUp)
	w.after(w.between(0, time.Minute), func() { w.transport.report(m.trip, wire.InTransit) })
	w.after(w.between(5*time.Minute, 30*time.Minute), func() {
		m.trip.delivered = true
		w.transport.report(m.trip, wire.Delivered)
	})
}

// told is a company's answer: all that has happened so far.
func told(idName, id string, cancelled bool, statuses []wire.Status) answer {
	b := `{"` + idName + `":"` + id + `","cancelled":` + strconv.FormatBool(cancelled) + `,"statuses":[`
	for k, s := range statuses {
		if k > 0 {
			b += ","
		}
		b += `"` + string(s) + `"`
	}
	return answer{status: 202, body: []byte(b + "]}")}
}

// trip is the transport company's page on one delivery.
type trip struct {
	books
	id, order string
	refused   bool
	committed bool // a driver is
	cancelled bool // no driver will be
	released  bool // the driver was sent home
	waiting   bool // the courier is at the restaurant
	delivered bool
	silent    bool
	statuses  []wire.Status
}

// transport is the transport company. It decides the race between a cancel and a driver.
type transport struct {
	company
	trips map[string]*trip
	pages []*trip
}

func (t *transport) state(x *trip) answer {
	return told("delivery_id", x.id, x.cancelled, x.statuses)
}

func (t *transport) report(x *trip, s wire.Status) {
	x.statuses = append(x.statuses, s)
	t.w.tell(t.name, string(s), x.id, x.order, 0)
	if !x.silent {
		t.callback(wire.DeliveryService, "POST /v1/deliveries/callback", `{"status":"`+string(s)+`","delivery_id":"`+x.id+`"}`)
	}
}

func (t *transport) serve(r *call) answer {
	if t.down() {
		return refuse(503, "down")
	}
	if r.op == "POST /delivery-requests" {
		return t.request(field(r.body, "delivery_id"), field(r.body, "order_id"), r.key)
	}
	if id, ok := cut(r.op, "GET /delivery-requests/", ""); ok && t.trips[id] != nil {
		a := t.state(t.trips[id])
		a.status = 200
		return a
	}
	if id, ok := cut(r.op, "PUT /delivery-requests/", "/cancel"); ok && t.trips[id] != nil {
		return t.cancel(t.trips[id], r.key)
	}
	if id, ok := cut(r.op, "PUT /delivery-requests/", "/release"); ok && t.trips[id] != nil {
		x := t.trips[id]
		x.once(t.w, t.name, "release "+x.id, r.key)
		if m := t.w.meet(x.order); m.ticket != nil && m.ticket.handed {
			return refuse(409, "the meal is on its way")
		}
		x.released = true
		return answer{status: 200}
	}
	return refuse(404, "no such delivery request")
}

func (t *transport) request(id, order, key string) answer {
	w := t.w
	if x := t.trips[id]; x != nil {
		x.once(w, t.name, "deliver "+x.id, key)
		if x.refused {
			return refuse(409, "nobody goes there")
		}
		return t.state(x)
	}
	x := &trip{id: id, order: order}
	x.once(w, t.name, "deliver "+x.id, key)
	t.trips[x.id] = x
	t.pages = append(t.pages, x)
	if m := w.meet(x.order); m.trip != nil {
		w.fail(6, "two deliveries of order %s: %s and %s", x.order, m.trip.id, x.id)
	} else {
		m.trip = x
	}
	if a := w.card.accounts[x.order]; a == nil || a.charges == 0 {
		w.fail(4, "a driver is looked for and order %s is not paid", x.order)
	}
	x.silent = w.fault(Silent)
	if w.habit(Refusals) && w.oneIn(2) {
		x.refused = true
		return refuse(409, "nobody goes there")
	}
	if w.habit(Refusals) { // no driver ever
		return t.state(x)
	}
	wait := w.between(0, []time.Duration{time.Minute, 10 * time.Minute, 40 * time.Minute}[w.rng.IntN(3)])
	early := w.fault(EarlyCallback)
	if early {
		wait = 0
	}
	w.after(wait, func() { t.commit(x) })
	a := t.state(x)
	if early {
		a.delay = w.between(0, timeout)
	}
	return a
}

// commit finds a driver, unless the cancel came first.
func (t *transport) commit(x *trip) {
	if x.cancelled {
		return
	}
	w := t.w
	x.committed = true
	t.report(x, wire.DriverAvailable)
	ride := []time.Duration{5 * time.Minute, 15 * time.Minute, 45 * time.Minute}[w.rng.IntN(3)]
	w.after(w.between(time.Minute, ride), func() {
		x.waiting = true
		w.handOver(x.order)
	})
}

func (t *transport) cancel(x *trip, key string) answer {
	x.once(t.w, t.name, "cancel "+x.id, key)
	if x.committed {
		t.w.cover.hit("a driver won against a cancel")
		return refuse(409, "a driver is committed")
	}
	if !x.cancelled {
		t.w.cover.hit("a cancel won against a driver")
		t.w.tell(t.name, "cancelled", x.id, x.order, 0)
	}
	x.cancelled = true
	return answer{status: 200}
}

// ticket is the restaurant's page on one order.
type ticket struct {
	books
	id, order string
	refused   bool
	cancelled bool
	begun     bool
	ready     bool
	handed    bool
	silent    bool
	statuses  []wire.Status
}

// restaurant cooks.
type restaurant struct {
	company
	tickets map[string]*ticket
	pages   []*ticket
}

func (r *restaurant) report(x *ticket, s wire.Status) {
	x.statuses = append(x.statuses, s)
	r.w.tell(r.name, string(s), x.id, x.order, 0)
	if !x.silent {
		r.callback(wire.KitchenService, "POST /v1/kitchen/callback", `{"status":"`+string(s)+`","kitchen_id":"`+x.id+`"}`)
	}
}

func (r *restaurant) state(x *ticket) answer {
	return told("kitchen_id", x.id, x.cancelled, x.statuses)
}

func (r *restaurant) serve(c *call) answer {
	if r.down() {
		return refuse(503, "down")
	}
	if c.op == "POST /cooking-requests" {
		return r.request(field(c.body, "kitchen_id"), field(c.body, "order_id"), c.key)
	}
	if id, ok := cut(c.op, "GET /cooking-requests/", ""); ok && r.tickets[id] != nil {
		a := r.state(r.tickets[id])
		a.status = 200
		return a
	}
	if id, ok := cut(c.op, "PUT /cooking-requests/", "/cancel"); ok && r.tickets[id] != nil {
		x := r.tickets[id]
		if x.handed {
			return refuse(409, "the meal was handed over")
		}
		x.cancelled = true
		return answer{status: 200}
	}
	return refuse(404, "no such cooking request")
}

func (r *restaurant) request(id, order, key string) answer {
	w := r.w
	if x := r.tickets[id]; x != nil {
		x.once(w, r.name, "cook "+x.id, key)
		if x.refused {
			return refuse(409, "closed")
		}
		return r.state(x)
	}
	x := &ticket{id: id, order: order}
	x.once(w, r.name, "cook "+x.id, key)
	r.tickets[x.id] = x
	r.pages = append(r.pages, x)
	m := w.meet(x.order)
	switch a := w.card.accounts[x.order]; {
	case m.ticket != nil:
		w.fail(6, "two tickets of order %s: %s and %s", x.order, m.ticket.id, x.id)
	case a == nil || a.charges == 0:
		w.fail(4, "the restaurant is asked to cook and order %s is not paid", x.order)
	case m.trip == nil || !m.trip.committed:
		w.fail(4, "the restaurant is asked to cook and no driver is committed for order %s", x.order)
	}
	m.ticket = x
	x.silent = w.fault(Silent)
	if w.habit(Refusals) {
		switch w.rng.IntN(3) {
		case 0:
			x.refused = true
			return refuse(409, "closed")
		case 1: // nobody is in the kitchen
			return r.state(x)
		}
	}
	cook := func() {
		if x.cancelled {
			return
		}
		x.begun = true
		r.report(x, wire.CookingMeal)
		w.after(w.between(3*time.Minute, 25*time.Minute), func() {
			if x.cancelled {
				return
			}
			x.ready = true
			r.report(x, wire.CookingDone)
			w.handOver(x.order)
		})
	}
	if w.fault(EarlyCallback) {
		a := r.state(x)
		a.delay = w.between(0, timeout)
		cook()
		return a
	}
	w.after(w.between(time.Second, 5*time.Minute), cook)
	return r.state(x)
}
