package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tiffin-food/tiffin/internal/broker"
)

// Dead names the dead-letter exchange, and the queue behind it.
const Dead = "tiffin.dead"

// never is a delivery limit that is not reached. (Without one RabbitMQ 4 takes 20, and -1 is unknown to 3.)
const never = math.MaxInt32

// tiers are the waits after the first, the second and every further failure.
func (b *Broker) tiers() [3]time.Duration {
	d := b.opt.RetryDelay
	return [3]time.Duration{d, 5 * d, 30 * d}
}

// retryQueue is where a queue's messages wait before they come again. The wait is in the name, so that another
// setting gets other queues.
func retryQueue(queue string, wait time.Duration) string {
	return fmt.Sprintf("%s.retry.%s", queue, wait)
}

// serviceQueue are the arguments of a queue that is consumed. A classic one has none, as the original declares it.
func (b *Broker) serviceQueue() amqp.Table {
	if b.opt.Classic {
		return nil
	}
	return amqp.Table{
		"x-queue-type":           "quorum",
		"x-delivery-limit":       b.opt.DeliveryLimit,
		"x-dead-letter-exchange": Dead,
		"x-dead-letter-strategy": "at-least-once",
		"x-overflow":             "reject-publish", // which at-least-once asks for
	}
}

func deadQueue() amqp.Table {
	return amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": never}
}

func delayQueue(queue string, wait time.Duration) amqp.Table {
	return amqp.Table{
		"x-queue-type":              "quorum",
		"x-delivery-limit":          never,
		"x-message-ttl":             wait.Milliseconds(),
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": queue,
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
	}
}

func declareEvents(ch *amqp.Channel) error {
	if err := ch.ExchangeDeclare(broker.Events, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare exchange %s: %w", broker.Events, err)
	}
	return nil
}

// declare makes sure that the queue, its bindings and the queues behind it exist.
func (b *Broker) declare(ch *amqp.Channel, q broker.Queue) error {
	if err := declareEvents(ch); err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(Dead, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare exchange %s: %w", Dead, err)
	}
	if err := b.declareQueue(ch, Dead, deadQueue()); err != nil {
		return err
	}
	if err := ch.QueueBind(Dead, "", Dead, false, nil); err != nil {
		return fmt.Errorf("bind queue %s: %w", Dead, err)
	}
	if err := b.declareQueue(ch, q.Name, b.serviceQueue()); err != nil {
		return err
	}
	for _, wait := range b.tiers() {
		if err := b.declareQueue(ch, retryQueue(q.Name, wait), delayQueue(q.Name, wait)); err != nil {
			return err
		}
	}
	return bind(ch, q.Name, q.Topics)
}

// Declare makes sure that a queue exists which another process consumes, perhaps for the first time later: what is
// published until then waits in it. One that is there with other properties than ours is left as it is.
func (b *Broker) Declare(ctx context.Context, q broker.Queue) error {
	err := b.call(ctx, func(ch *amqp.Channel) error { return b.declare(ch, q) })
	if isCode(err, amqp.PreconditionFailed) {
		return nil
	}
	return err
}

func bind(ch *amqp.Channel, queue string, topics []string) error {
	for _, topic := range topics {
		if err := ch.QueueBind(queue, topic, broker.Events, false, nil); err != nil {
			return fmt.Errorf("bind queue %s to %s of %s: %w", queue, topic, broker.Events, err)
		}
	}
	return nil
}

func (b *Broker) declareQueue(ch *amqp.Channel, name string, args amqp.Table) error {
	_, err := ch.QueueDeclare(name, true, false, false, false, args)
	if !isCode(err, amqp.PreconditionFailed) {
		if err != nil {
			return fmt.Errorf("declare queue %s: %w", name, err)
		}
		return nil
	}
	way := "delete the queue once it is empty"
	switch {
	case name == Dead:
	case b.opt.Classic:
		way += ", or ask for quorum queues if it is one"
	default:
		way += ", or ask for classic queues if it belongs to the original system, whose queues are classic"
	}
	return fmt.Errorf("queue %s exists with other properties than ours: %s: %w", name, way, err) // the server says which
}

func isCode(err error, code int) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Code == code
}
