// Package local is the broker within one process: a message goes from the sender's outbox to the receiver's
// handler and back in one call. Publish returns nil only when a handler of every queue concerned has acknowledged,
// which ours do after their commit; so the outbox and the inbox are the whole queue, and there is no second store.
//
// What a handler could not take is the error of Publish, and the outbox that still owes the message brings it
// again. A queue exists while somebody is subscribed to it. The broker starts no goroutine.
package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/planted"
)

// Broker is a [broker.Publisher], a [broker.Subscriber] and a [broker.Inspector]. Safe for concurrent use.
type Broker struct {
	box *Box

	mu     sync.Mutex
	queues map[string]*queue
	tails  int // so far
}

var (
	_ broker.Publisher  = (*Broker)(nil)
	_ broker.Subscriber = (*Broker)(nil)
	_ broker.Inspector  = (*Broker)(nil)
)

type queue struct {
	name      string
	consumers []consumer
	turn      int // of the consumers
}

type consumer struct {
	life   context.Context
	topics []string
	handle broker.Handler
}

// New makes a broker without queues, which puts into the box what handlers reject.
func New(box *Box) *Broker {
	return &Broker{box: box, queues: map[string]*queue{}}
}

// Subscribe makes the handler a consumer of the queue until ctx ends. Consumers of one queue take turns. A call
// that is under way when ctx ends is finished.
func (b *Broker) Subscribe(ctx context.Context, q broker.Queue, h broker.Handler) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("subscribe to %s: %w", q.Name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	there, ok := b.queues[q.Name]
	if !ok {
		there = &queue{name: q.Name}
		b.queues[q.Name] = there
	}
	there.consumers = append(there.alive(), consumer{life: ctx, topics: slices.Clone(q.Topics), handle: h})
	return nil
}

// Publish hands the message to one consumer of the queue that Key names, or of every queue that is bound to Key on
// the topic exchange. It returns nil when all have acknowledged or rejected it, [broker.ErrUnroutable] when there
// is none to hand it to, and else what they said; then all of them get it again when it is published again.
func (b *Broker) Publish(ctx context.Context, m broker.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish %s: %w", m.ID, err)
	}
	routes := b.routes(m)
	if len(routes) == 0 && m.Exchange != broker.Events {
		return fmt.Errorf("publish %s to %q %s: %w", m.ID, m.Exchange, m.Key, broker.ErrUnroutable)
	}
	var errs []error
	for _, r := range routes {
		if err := b.deliver(ctx, r, m); err != nil {
			// %v: a handler's error says nothing about the publishing, whatever it wraps.
			errs = append(errs, fmt.Errorf("queue %s has not taken message %s: %v", r.queue, m.ID, err))
		}
	}
	return errors.Join(errs...)
}

// route is a queue and the consumer whose turn it is.
type route struct {
	queue  string
	handle broker.Handler
}

func (b *Broker) routes(m broker.Message) (routes []route) {
	b.mu.Lock()
	defer b.mu.Unlock()
	add := func(q *queue, wanted func(consumer) bool) {
		alive := q.alive()
		if !slices.ContainsFunc(alive, wanted) {
			return
		}
		q.turn++
		routes = append(routes, route{q.name, alive[q.turn%len(alive)].handle})
	}
	switch m.Exchange {
	case "":
		if q, ok := b.queues[m.Key]; ok {
			add(q, func(consumer) bool { return true })
		}
	case broker.Events:
		for _, name := range slices.Sorted(maps.Keys(b.queues)) {
			add(b.queues[name], func(c consumer) bool {
				return slices.ContainsFunc(c.topics, func(topic string) bool { return matches(topic, m.Key) })
			})
		}
	}
	return routes
}

// alive are the consumers whose context has not ended.
func (q *queue) alive() []consumer {
	gone := func(c consumer) bool { return c.life.Err() != nil }
	if slices.ContainsFunc(q.consumers, gone) {
		q.consumers = slices.DeleteFunc(q.consumers, gone)
	}
	return q.consumers
}

// deliver returns nil when the message is acknowledged.
func (b *Broker) deliver(ctx context.Context, r route, m broker.Message) error {
	m.Header = maps.Clone(m.Header)
	err := call(ctx, r.handle, m)
	reject, ok := errors.AsType[*broker.Reject](err)
	if !ok {
		return err
	}
	if planted.Is(planted.DeadLetterNotRecorded) {
		return nil
	}
	if err := b.box.Put(ctx, broker.DeadLetter{Message: m, Queue: r.queue, Reason: reject.Reason}); err != nil {
		return fmt.Errorf("rejected (%s), but not put among the dead letters: %w", reject.Reason, err)
	}
	return nil
}

// call runs the handler; its panic is an error, as the sender has done nothing wrong.
func call(ctx context.Context, h broker.Handler, m broker.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return h(ctx, m)
}

// matches says whether a topic binding takes a routing key: words between dots, where * is any one word and # any
// number of them, as in AMQP 0-9-1.
func matches(topic, key string) bool {
	first, rest, more := strings.Cut(topic, ".")
	if first == "#" {
		if !more {
			return true
		}
		for {
			if matches(rest, key) {
				return true
			}
			var left bool
			if _, key, left = strings.Cut(key, "."); !left {
				return allHashes(rest)
			}
		}
	}
	word, keyRest, keyMore := strings.Cut(key, ".")
	switch {
	case first != "*" && first != word:
		return false
	case !more:
		return !keyMore
	case !keyMore:
		return allHashes(rest)
	default:
		return matches(rest, keyRest)
	}
}

// allHashes says whether a binding takes the end of a key.
func allHashes(topic string) bool {
	for word := range strings.SplitSeq(topic, ".") {
		if word != "#" {
			return false
		}
	}
	return true
}
