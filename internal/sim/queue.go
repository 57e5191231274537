package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// queue is the order service's queue in a broker that delivers at least once, in any order, and counts.
type queue struct {
	w    *world
	dead []broker.DeadLetter

	published, pending          int            // copies: every one of them is somewhere
	applied, repeated, absorbed int            // acknowledged
	confirmed                   int            // messages that a publisher was told the broker has
	taken                       map[taken]bool // what was applied
	heard                       map[taken]bool // the domain events
}

// taken names a message that changed an order, or a status that was announced.
type taken struct{ order, event string }

// letter is a copy of a message in the queue.
type letter struct {
	broker.Message
	poison string // what is wrong with it, where it was made so
	host   *host  // the instance that has it
	tries  int
	waits  int // since it was tried, for somebody to be there
	over   bool
}

// publish takes a message from an instance's outbox.
func (q *queue) publish(from *host, o durable.Owed, key string, done func(durable.Outcome)) {
	w := q.w
	event := o.To == broker.Events
	if !event && o.Op != wire.OrderQueue {
		w.fail(7, "%s goes to the queue %q", o.ID, o.Op)
		return
	}
	if w.fault(Publish) {
		w.tell("queue", "never gets", key, "", 0)
		from.after(w.between(time.Second, timeout), func() { done(durable.Outcome{Detail: "no confirm"}) })
		return
	}
	if event {
		w.announced(o)
		q.confirm(from, done)
		return
	}
	m := broker.Message{ID: key, Key: o.Op, Time: w.time(), Body: o.Body}
	if w.fault(NoID) {
		m.ID = ""
	}
	if w.fault(LostMessage) {
		w.tell("queue", "loses", key, "", 0)
	} else {
		w.after(w.latency(), func() { q.enqueue(m, "") })
	}
	if w.fault(Duplicate) {
		w.after(w.between(0, 10*time.Second), func() { q.enqueue(m, "") })
	}
	q.confirm(from, done)
}

// confirm tells the publisher that the broker has the message, or the confirm is lost.
func (q *queue) confirm(from *host, done func(durable.Outcome)) {
	w := q.w
	if w.fault(Confirm) {
		from.after(w.between(time.Second, timeout), func() { done(durable.Outcome{Detail: "no confirm"}) })
		return
	}
	q.confirmed++
	from.after(w.latency()+20*time.Millisecond, func() { done(durable.Outcome{Verdict: durable.Accepted}) })
}

// announced takes a domain event: of a status that the order has, on disk.
func (w *world) announced(o durable.Owed) {
	id, _, _ := strings.Cut(o.ID, "/")
	status := wire.Status(strings.TrimPrefix(o.Op, wire.OrderTopic))
	if sh := w.orders.store.records[id]; sh == nil || !sh.state.Deleted && !reached(sh.state, status) {
		w.fail(6, "%s announces %s, which the order is not on disk", o.ID, status)
	}
	if w.queue.heard == nil {
		w.queue.heard = map[taken]bool{}
	}
	w.queue.heard[taken{id, string(status)}] = true
}

// enqueue puts a copy into the queue.
func (q *queue) enqueue(m broker.Message, poison string) {
	w := q.w
	q.published++
	q.pending++
	l := &letter{Message: m, poison: poison}
	switch {
	case w.fault(Delay):
		q.later(l, w.between(time.Minute, 3*time.Hour))
	case w.fault(Reorder):
		q.later(l, w.between(0, 20*time.Second))
	default:
		q.later(l, w.latency())
	}
}

// later delivers the letter in d.
func (q *queue) later(l *letter, d time.Duration) {
	q.w.after(d, func() { q.deliver(l) })
}

// deliver hands the letter to an instance that is there.
func (q *queue) deliver(l *letter) {
	if l.over || l.host != nil {
		return
	}
	i := q.w.orders.pick()
	if !i.up || i.stalled > q.w.now {
		q.later(l, q.w.between(100*time.Millisecond, 2*time.Second<<min(l.waits, 5)))
		l.waits++ // ever longer: with nobody there for an hour, looking is all that would be done
		return
	}
	l.tries++
	l.waits = 0
	l.host = &i.host
	i.letters = append(i.letters, l)
	life := i.life
	mine := func() bool { return l.host == &i.host && i.life == life && !l.over }
	cmd, err := statusCommand(l.Message)
	if err != nil {
		q.end(i, l, mine, cmd, err)
		return
	}
	asked := q.w.seen(cmd.id)
	i.bring(cmd, func(_ string, v view[order.State], err error) {
		if err == nil {
			q.w.show(i.name, v, asked)
		}
		q.end(i, l, mine, cmd, received(err))
	})
}

// end is the handler's answer to the broker: acknowledged, put among the dead letters, or brought back later.
func (q *queue) end(i *instance[order.State], l *letter, mine func() bool, cmd command, err error) {
	if !mine() {
		return // the broker has given the letter to somebody else meanwhile
	}
	if i.fate("crash before an acknowledgement") {
		return
	}
	if !mine() {
		return
	}
	l.host = nil
	i.letters = slices.DeleteFunc(i.letters, func(o *letter) bool { return o == l })
	var reject *broker.Reject
	switch {
	case err == nil:
		q.acknowledge(l, cmd)
	case errors.As(err, &reject):
		q.bury(l, cmd, reject.Reason)
	default:
		q.w.cover.hit("message brought back")
		q.later(l, min(time.Minute, time.Second<<min(l.tries, 6)))
		return
	}
	l.over = true
	q.pending--
}

// acknowledge counts what became of the letter: what the store says, not what the instance believes.
func (q *queue) acknowledge(l *letter, cmd command) {
	q.w.tell("queue", "acknowledged", cmd.id, cmd.event.ID, 0)
	if l.poison != "" {
		q.w.fail(7, "a message with %s was acknowledged", l.poison)
		return
	}
	sh := q.w.orders.store.records[cmd.id]
	t := taken{cmd.id, cmd.event.ID}
	switch {
	case sh == nil || !slices.ContainsFunc(sh.rec.Seen, func(s durable.Seen) bool { return s.ID == t.event }):
		q.absorbed++
		q.w.cover.hit("message absorbed")
	case q.taken[t]:
		q.repeated++
		q.w.cover.hit("message repeated")
	default:
		if q.taken == nil {
			q.taken = map[taken]bool{}
		}
		q.taken[t] = true
		q.applied++
	}
}

// bury puts the letter among the dead ones.
func (q *queue) bury(l *letter, cmd command, reason string) {
	q.w.tell("queue", "dead", l.ID, reason, 0)
	q.w.cover.hit("dead letter")
	if l.poison == "" {
		if sh := q.w.orders.store.records[cmd.id]; sh == nil || !sh.state.Deleted {
			q.w.fail(7, "a good message for %s is dead: %s: %s", cmd.id, reason, l.Body)
			return
		}
	}
	if planted.Is(planted.DeadLetterNotRecorded) {
		return
	}
	q.dead = append(q.dead, broker.DeadLetter{Message: l.Message, Queue: wire.OrderQueue, Reason: reason, At: q.w.time()})
}

// huge is too long for a message.
var huge = `{"status":"paymentPaid","metadata":{"order_id":"` + strings.Repeat("9", 64<<10) + `"}}`

// poison puts a message into the queue that nobody can apply.
func (q *queue) poison() {
	w := q.w
	if !w.fault(Poison) || len(w.orders.store.order) == 0 {
		return
	}
	id := w.orders.store.order[w.rng.IntN(len(w.orders.store.order))].rec.ID
	kinds := []struct{ name, body string }{
		{"bad JSON", `{"status":"paymentPaid","metadata":{"order_id":"` + id},
		{"an unknown status", fmt.Sprintf(`{"status":"eaten","metadata":{"receiver":"OrderService","order_id":%q,"customer_id":"c"}}`, id)},
		{"the card company's word", fmt.Sprintf(`{"status":"pending","metadata":{"receiver":"OrderService","order_id":%q,"customer_id":"c"}}`, id)},
		{"an unknown order", fmt.Sprintf(`{"status":"delivered","metadata":{"receiver":"OrderService","order_id":%q,"customer_id":"c"}}`, w.fresh())},
		{"missing metadata", `{"status":"delivered"}`},
		{"the wrong type", `{"status":7,"metadata":"delivered"}`},
		{"nothing in it", ``},
		{"64 KiB", huge},
	}
	kind := kinds[w.rng.IntN(len(kinds))]
	w.cover.hit("poison: " + kind.name)
	m := broker.Message{Key: wire.OrderQueue, Time: w.time(), Body: []byte(kind.body)}
	if w.oneIn(2) {
		m.ID = w.fresh()
	}
	q.enqueue(m, kind.name)
}
