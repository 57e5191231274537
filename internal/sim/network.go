package sim

import (
	"errors"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// timeout is how long a client waits for an answer.
const timeout = 10 * time.Second

// answer is an HTTP response. Status 0 is none: nobody knows what became of the request.
type answer struct {
	status int
	body   []byte
	detail string
	delay  time.Duration // how long the answerer takes

	shown *sight // of an order: what the answer shows, for the observer
}

func lost(why string) answer { return answer{detail: why} }

func refuse(status int, detail string) answer { return answer{status: status, detail: detail} }

// good says that the request was carried out.
func (a answer) good() bool { return a.status >= 200 && a.status < 300 }

// outcome is what an answer means to an outbox.
func (a answer) outcome() durable.Outcome {
	var err error
	if a.status == 0 {
		err = errNoAnswer
	}
	out := durable.Outcome{Verdict: httpapi.Classify(a.status, err), Status: a.status, Detail: a.detail}
	if out.Verdict == durable.Accepted {
		out.Body = a.body
	}
	return out
}

var errNoAnswer = errors.New("no answer")

// call is one request under way, from one of our instances, or from a company or customer where from is nil.
type call struct {
	w    *world
	from *host
	life int
	to   string
	op   string // "POST /v1/payments"
	key  string // Idempotency-Key
	body []byte
	done func(answer)
	over bool
	host *host // the instance that has it
}

// call sends a request; done gets the answer, once, unless the sender dies before.
func (w *world) call(from *host, to, op, key string, body []byte, done func(answer)) {
	c := &call{w: w, from: from, to: to, op: op, key: key, body: body, done: done}
	if from != nil {
		c.life = from.life
	}
	switch {
	case w.fault(LostRequest):
		c.answer(timeout, lost("timeout"))
	case w.fault(Hang):
		c.answer(timeout, lost("timeout"))
		w.after(w.between(timeout, 6*time.Minute), c.arrive)
	case w.fault(Slow):
		w.after(w.between(0, timeout), c.arrive)
	case w.fault(DuplicateRequest):
		w.after(w.latency(), c.arrive)
		twin := &call{w: w, to: to, op: op, key: key, body: body, done: func(answer) {}}
		w.after(w.between(0, 3*time.Second), twin.arrive)
	default:
		w.after(w.latency(), c.arrive)
	}
}

// latency is how long the wire takes.
func (w *world) latency() time.Duration { return w.between(100*time.Microsecond, 20*time.Millisecond) }

// arrive is the request at the other side.
func (c *call) arrive() {
	w := c.w
	if w.fault(ServerError) {
		if w.oneIn(2) {
			c.answer(w.latency(), refuse(503, "not now"))
			return
		}
		c.answer(w.latency(), refuse(500, "it broke afterwards"))
	}
	switch c.to {
	case wire.OrderService:
		arriveAt(w.orders, c)
	case wire.PaymentService:
		arriveAt(w.payments, c)
	case wire.DeliveryService:
		arriveAt(w.deliveries, c)
	case wire.KitchenService:
		arriveAt(w.kitchens, c)
	case wire.CustomerService:
		c.reply(w.customers.serve(c.op))
	case wire.CardCompany:
		c.reply(w.card.serve(c))
	case wire.TransportCompany:
		c.reply(w.transport.serve(c))
	case wire.Restaurant:
		c.reply(w.restaurant.serve(c))
	default:
		w.fail(0, "nobody is called %s", c.to)
	}
}

func arriveAt[S any](s *service[S], c *call) {
	i := s.pick()
	switch {
	case !i.up:
		c.answer(c.w.latency(), lost("connection refused"))
		return
	case i.stalled > c.w.now:
		c.answer(timeout, lost("timeout"))
	}
	i.took(c)
	i.after(0, func() { s.serve(i, c) })
}

// reply is the other side's answer going back.
func (c *call) reply(a answer) {
	if c.host != nil {
		c.host.gave(c)
	}
	w := c.w
	w.tell(c.to, c.op, c.key, a.detail, int64(a.status))
	if w.fault(LostResponse) {
		c.answer(w.between(0, timeout), lost("connection reset"))
		return
	}
	c.answer(a.delay+w.latency(), a)
}

// answer brings the sender an answer in d; the first one counts.
func (c *call) answer(d time.Duration, a answer) {
	if c.over {
		return
	}
	e := event{at: c.w.now + int64(d), host: c.from, life: c.life, do: func() {
		if !c.over {
			c.over = true
			c.done(a)
		}
	}}
	c.w.agenda.add(e)
}

// execute carries out an effect of an instance.
func (w *world) execute(from *host, o durable.Owed, key string, done func(durable.Outcome)) {
	if o.Kind == durable.KindMessage {
		w.queue.publish(from, o, key, done)
		return
	}
	w.call(from, o.To, o.Op, key, o.Body, func(a answer) { done(a.outcome()) })
}

// cut takes "PUT /delivery-requests/ID/cancel" apart at prefix and suffix.
func cut(op, prefix, suffix string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(op, prefix)
	if !ok {
		return "", false
	}
	if rest, ok = strings.CutSuffix(rest, suffix); !ok || strings.Contains(rest, "/") {
		return "", false
	}
	return rest, true
}
