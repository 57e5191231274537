package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/local"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// messenger is a whole broker.
type messenger interface {
	broker.Publisher
	broker.Subscriber
	broker.Inspector
}

// openBroker makes the broker that the configuration names. RabbitMQ is connected to in the background: orders are
// taken without it. The local one keeps its dead letters beside the orders; whoever serves no orders has no queue either,
// and opens no database for it.
func (s *System) openBroker(ctx context.Context, names []string) (err error) {
	if !s.cfg.local() {
		s.rabbit, err = rabbitmq.Open(rabbitmq.Options{
			URL: s.cfg.Broker, Classic: s.cfg.ClassicQueues, Log: s.log, Now: s.Clock.Now, Name: "tiffin " + s.owner,
		})
		s.broker = &patient{Broker: s.rabbit}
		return err
	}
	var dead durable.Store = memory.New(durable.Features{})
	if slices.Contains(names, wire.OrderService) {
		if dead, err = s.store(ctx, wire.OrderService, DeadLetters); err != nil {
			return err
		}
	}
	s.broker = local.New(local.NewBox(dead, s.ids.New, s.Clock.Now))
	return nil
}

// patient is RabbitMQ to those who publish. A topic exchange forgets what nobody asked for, and the order service,
// which must hear of every menu, may run for the first time after the kitchen has published: its queue is there first.
type patient struct {
	*rabbitmq.Broker
	declared atomic.Bool
}

// Publish is broker.Publisher.
func (p *patient) Publish(ctx context.Context, m broker.Message) error {
	if m.Exchange == broker.Events && m.Key == wire.MenuTopic && !p.declared.Load() {
		if err := p.Declare(ctx, orderapi.MenuQueue); err != nil {
			return fmt.Errorf("the queue of menus: %w", err)
		}
		p.declared.Store(true)
	}
	return p.Broker.Publish(ctx, m)
}

// subscribe has the handler take the queue's messages until the system stops. Where the broker is away it begins
// when that is back.
func (s *System) subscribe(q broker.Queue, h broker.Handler) error {
	if s.rabbit == nil {
		return s.broker.Subscribe(s.listen, q, h)
	}
	s.loops.Go(func() {
		if err := s.broker.Subscribe(s.listen, q, h); err != nil && s.listen.Err() == nil && !errors.Is(err, context.Canceled) {
			s.log.Error("nobody listens to a queue", "queue", q.Name, "err", err)
		}
	})
	return nil
}
