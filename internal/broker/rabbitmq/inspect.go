package rabbitmq

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tiffin-food/tiffin/internal/broker"
)

// Queues asks the server; see [broker.Inspector].
func (b *Broker) Queues(ctx context.Context, names ...string) ([]broker.QueueState, error) {
	var states []broker.QueueState
	for _, name := range names {
		err := b.call(ctx, func(ch *amqp.Channel) error { // which the server closes where there is no such queue
			q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			if err == nil {
				states = append(states, broker.QueueState{Name: name, Ready: q.Messages, Consumers: q.Consumers})
			}
			return err
		})
		if err != nil && !isCode(err, amqp.NotFound) {
			return nil, fmt.Errorf("ask for queue %s: %w", name, err)
		}
	}
	return states, nil
}

// Tail listens with a queue of its own, which goes with the connection: what is published while that is lost is
// missed. The handler gets one message at a time, and its error changes nothing.
func (b *Broker) Tail(ctx context.Context, topics []string, h broker.Handler) error {
	s := &subscription{
		b: b, name: "topics", log: b.opt.Log.With("topics", topics), slots: make(chan struct{}, 1),
		declare: func(ch *amqp.Channel) (string, error) {
			if err := declareEvents(ch); err != nil {
				return "", err
			}
			name := "tiffin.tail." + b.ids.New()
			if _, err := ch.QueueDeclare(name, false, true, true, false, nil); err != nil {
				return "", fmt.Errorf("declare queue %s: %w", name, err)
			}
			return name, bind(ch, name, topics)
		},
	}
	s.take = func(ctx context.Context, d *amqp.Delivery) {
		if err := call(ctx, h, decode(d)); err != nil {
			s.log.Warn("a copy was not handled", "message", d.MessageId, "error", err)
		}
		_ = d.Ack(false) // an error says that the channel is closed, and the queue gone
	}
	return s.start(ctx)
}
