package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
)

// Queues says who listens. Nothing ever waits in a queue: what is not taken is still its sender's.
func (b *Broker) Queues(_ context.Context, names ...string) ([]broker.QueueState, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var states []broker.QueueState
	for _, name := range names {
		if q, ok := b.queues[name]; ok && len(q.alive()) > 0 {
			states = append(states, broker.QueueState{Name: name, Consumers: len(q.consumers)})
		}
	}
	return states, nil
}

// Letters reads from the box.
func (b *Broker) Letters(ctx context.Context, before string, limit int) ([]broker.Letter, error) {
	found, err := b.box.List(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	letters := make([]broker.Letter, len(found))
	for i, l := range found {
		letters[i] = l.Letter
	}
	return letters, nil
}

// Requeue hands the letter's message to one consumer of its queue, and takes the letter out when that has
// acknowledged it. Where nobody listens it is [broker.ErrUnroutable]; then, and where the consumer fails, the
// letter stays.
func (b *Broker) Requeue(ctx context.Context, id string) error {
	if err := b.requeue(ctx, id); err != nil {
		return fmt.Errorf("requeue dead letter %s: %w", id, err)
	}
	return nil
}

func (b *Broker) requeue(ctx context.Context, id string) error {
	l, err := b.box.Load(ctx, id)
	if errors.Is(err, durable.ErrNotFound) || err == nil && !l.Requeued.IsZero() {
		return broker.ErrNoLetter
	}
	if err != nil {
		return err
	}
	routes := b.routes(broker.Message{Key: l.Queue})
	if len(routes) == 0 {
		return fmt.Errorf("queue %s: %w", l.Queue, broker.ErrUnroutable)
	}
	err = call(ctx, routes[0].handle, l.Message)
	if reject, ok := errors.AsType[*broker.Reject](err); ok {
		return b.box.rejected(ctx, id, reject.Reason)
	}
	if err != nil {
		return fmt.Errorf("queue %s has not taken the message: %v", l.Queue, err) // %v: it says nothing about the letter
	}
	return b.box.Requeued(ctx, id)
}

// Tail subscribes with a queue of its own. The handler runs before Publish returns; its error and its panic change
// nothing.
func (b *Broker) Tail(ctx context.Context, topics []string, h broker.Handler) error {
	b.mu.Lock()
	b.tails++
	name := fmt.Sprint("tiffin.tail.", b.tails)
	b.mu.Unlock()
	return b.Subscribe(ctx, broker.Queue{Name: name, Topics: topics}, func(ctx context.Context, m broker.Message) error {
		_ = call(ctx, h, m) // as it says
		return nil
	})
}
