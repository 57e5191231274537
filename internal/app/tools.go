package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/id"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
)

// Queues is what an operator does with queues: through a running system's API (*client.Client), or with RabbitMQ
// itself.
type Queues interface {
	Queues(context.Context) ([]client.Queue, error)
	Letters(ctx context.Context, limit int) ([]client.Letter, error)
	Requeue(ctx context.Context, id string) error
	Send(ctx context.Context, queue string, body json.RawMessage) error
	Tail(ctx context.Context, topics []string, listening func(), each func(client.Event)) error
}

// OpenQueues speaks to RabbitMQ itself, whether any service runs or not; close ends it.
func OpenQueues(ctx context.Context, url string, log *slog.Logger) (_ Queues, stop func(), err error) {
	b, err := rabbitmq.Open(rabbitmq.Options{URL: url, Log: log, Name: "tiffin queue"})
	if err != nil {
		return nil, nil, err
	}
	stop = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = b.Close(ctx) // nothing is under way
	}
	ready, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := b.Ping(ready); err != nil {
		stop()
		return nil, nil, err
	}
	return direct{b}, stop, nil
}

// direct is a broker as an operator's tool.
type direct struct{ b *rabbitmq.Broker }

func (d direct) Queues(ctx context.Context) ([]client.Queue, error) {
	states, err := d.b.Queues(ctx, append(slices.Clone(orderapi.QueueNames), rabbitmq.Dead)...)
	queues := make([]client.Queue, len(states))
	for i, s := range states {
		queues[i] = client.Queue(s)
	}
	return queues, err
}

func (d direct) Letters(ctx context.Context, limit int) ([]client.Letter, error) {
	found, err := d.b.Letters(ctx, "", limit)
	letters := make([]client.Letter, len(found))
	for i, l := range found {
		letters[i] = client.Letter{
			ID: l.ID, Queue: l.Queue, Reason: l.Reason, At: l.At, MessageID: l.Message.ID, Body: orderapi.Shown(l.Message.Body),
		}
	}
	return letters, err
}

func (d direct) Requeue(ctx context.Context, id string) error { return d.b.Requeue(ctx, id) }

func (d direct) Send(ctx context.Context, queue string, body json.RawMessage) error {
	return d.b.Publish(ctx, broker.Message{
		ID: "tool/" + id.NewSource(time.Now, rand.Reader).New(), Key: queue, Time: time.Now(), Body: body,
	})
}

func (d direct) Tail(ctx context.Context, topics []string, listening func(), each func(client.Event)) error {
	err := d.b.Tail(ctx, topics, func(_ context.Context, m broker.Message) error {
		body := json.RawMessage(m.Body)
		if !json.Valid(body) {
			body, _ = json.Marshal(string(m.Body)) // a string always encodes
		}
		each(client.Event{Key: m.Key, ID: m.ID, At: m.Time, Body: body})
		return nil
	})
	if err != nil {
		return fmt.Errorf("listen to %s: %w", broker.Events, err)
	}
	listening()
	<-ctx.Done()
	return ctx.Err()
}
