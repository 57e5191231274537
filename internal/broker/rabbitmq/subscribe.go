package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/redact"
)

// Subscribe declares the queue and hands its messages to the handler, Prefetch of them at once, until ctx ends or
// the broker is closed; then messages that no handler has seen go back, and handlers under way are finished and
// their messages acknowledged. It returns once the queue is consumed, and waits for the server until then; after
// that a lost connection or queue is made anew without a word to the caller.
//
// The handler's context ends only when Close does not wait any longer.
func (b *Broker) Subscribe(ctx context.Context, q broker.Queue, h broker.Handler) error {
	s := &subscription{
		b: b, name: q.Name, log: b.opt.Log.With("queue", q.Name), slots: make(chan struct{}, b.opt.Prefetch),
		declare: func(ch *amqp.Channel) (string, error) { return q.Name, b.declare(ch, q) },
	}
	s.take = func(ctx context.Context, d *amqp.Delivery) { s.hand(ctx, d, q, h) }
	return s.start(ctx)
}

// subscription consumes one queue, on one channel after the other.
type subscription struct {
	b       *Broker
	name    string
	log     *slog.Logger
	declare func(*amqp.Channel) (queue string, err error)
	take    func(context.Context, *amqp.Delivery) // acknowledges, too
	slots   chan struct{}                         // one for each message in hand

	mu  sync.Mutex
	why error // it is not consuming
}

// start returns when the subscription consumes.
func (s *subscription) start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("subscribe to %s: %w", s.name, err)
	}
	life, end := context.WithCancel(ctx)
	unhook := context.AfterFunc(s.b.life, end)
	started := make(chan struct{})
	err := s.b.begin(func() {
		defer unhook()
		defer end()
		s.run(life, sync.OnceFunc(func() { close(started) }))
	})
	if err != nil {
		unhook()
		end()
		return fmt.Errorf("subscribe to %s: %w", s.name, err)
	}
	select {
	case <-started:
		return nil
	case <-life.Done():
	}
	if err = ctx.Err(); err == nil {
		err = errClosed
	}
	return fmt.Errorf("subscribe to %s: %w (%w)", s.name, err, s.waitsFor())
}

// waitsFor is why the subscription is not consuming.
func (s *subscription) waitsFor() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		return s.why
	}
	if _, _, _, why := s.b.consuming.get(); why != nil {
		return why
	}
	return fmt.Errorf("RabbitMQ at %s has not answered yet", s.b.at)
}

// run consumes, and consumes again, until life ends, and waits for what is under way.
func (s *subscription) run(life context.Context, started func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(life))
	defer cancel()
	defer context.AfterFunc(s.b.work, cancel)()
	var under sync.WaitGroup
	defer under.Wait()
	var r retry
	for {
		c, err := s.connection(life)
		began := time.Now()
		if err == nil {
			err = s.consume(life, work, c, &under, started)
		}
		s.mu.Lock()
		s.why = err
		s.mu.Unlock()
		if !r.again(life, time.Since(began), func() { s.log.Warn("not consuming; trying again", "error", err) }) {
			return
		}
	}
}

// connection waits for one; now and then it says so.
func (s *subscription) connection(life context.Context) (*connection, error) {
	for {
		ctx, cancel := context.WithTimeout(life, logEvery)
		c, err := s.b.consuming.await(ctx)
		cancel()
		if err == nil || life.Err() != nil {
			return c, err
		}
		s.log.Warn("waiting for RabbitMQ", "error", s.waitsFor())
	}
}

// consume takes messages on a channel of its own until life or the channel ends. Handlers that are then under way
// go on, counted in under.
func (s *subscription) consume(life, work context.Context, c *connection, under *sync.WaitGroup, started func()) error {
	var queue string
	err := c.use(func(ch *amqp.Channel) (err error) { // which a refusal closes
		queue, err = s.declare(ch)
		return err
	})
	if err != nil {
		return err
	}
	ch, err := c.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	var handlers sync.WaitGroup
	defer under.Go(func() {
		handlers.Wait()
		_ = ch.Close() // an error says that it is closed
	})
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Qos(s.b.opt.Prefetch, 0, false); err != nil {
		return fmt.Errorf("set the prefetch: %w", err)
	}
	tag := s.b.ids.New()
	deliveries, err := ch.Consume(queue, tag, false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume %s: %w", queue, err)
	}
	started()
	for {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return lost(c, closed)
			}
			select {
			case s.slots <- struct{}{}:
			case <-life.Done():
			}
			if life.Err() != nil { // the slot, if there is one, is needed no more
				giveBack(&d)
				leave(ch, tag, deliveries)
				return nil
			}
			handlers.Go(func() {
				defer func() { <-s.slots }()
				s.take(work, &d)
			})
		case <-life.Done():
			leave(ch, tag, deliveries)
			return nil
		}
	}
}

// leave ends the consumer and gives back what it has been sent.
func leave(ch *amqp.Channel, tag string, deliveries <-chan amqp.Delivery) {
	_ = ch.Cancel(tag, false) // an error says that the channel is closed: then everything goes back, too
	for d := range deliveries {
		giveBack(&d)
	}
}

// giveBack puts a message into its queue again; where the channel is closed, the server does that.
func giveBack(d *amqp.Delivery) { _ = d.Nack(false, true) }

// lost says why there are no more deliveries.
func lost(c *connection, closed <-chan *amqp.Error) error {
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("the channel was closed: %w", err)
		}
	default:
		return errors.New("the server has ended the subscription; was the queue deleted?")
	}
	if err := c.why(); err != nil {
		return err
	}
	return errors.New("the channel was closed")
}

// hand gives a message to the handler, and acknowledges it when it is settled: applied, or put for good among the
// dead letters or the messages that wait.
func (s *subscription) hand(ctx context.Context, d *amqp.Delivery, q broker.Queue, h broker.Handler) {
	m := decode(d)
	err := call(ctx, h, m)
	if err == nil {
		_ = d.Ack(false) // an error says that the channel is closed: then the message comes again
		return
	}
	var to string
	var more amqp.Table
	if reject, ok := errors.AsType[*broker.Reject](err); ok {
		s.log.Warn("a message was rejected and is a dead letter", "message", m.ID, "reason", reject.Reason)
		d.MessageId, d.Body = redact.Key(d.MessageId), redact.Body(d.Body) // as it came it is gone with the acknowledgement
		to, more = Dead, amqp.Table{
			headerLetter: s.b.ids.New(), headerQueue: q.Name, headerReason: redact.Text(reject.Reason, maxReason),
			headerWhen: s.b.opt.Now().UTC().Format(time.RFC3339Nano),
		}
	} else {
		failures, tiers := attempts(d)+1, s.b.tiers()
		wait := tiers[min(failures, len(tiers))-1]
		s.log.Warn("a message was not handled and comes again", "message", m.ID, "failures", failures, "in", wait, "error", err)
		to, more = retryQueue(q.Name, wait), amqp.Table{headerAttempt: int32(min(failures, 1<<30))}
	}
	if to != Dead || !planted.Is(planted.DeadLetterNotRecorded) {
		if err := s.move(ctx, q, to, again(d, m, more)); err != nil {
			s.log.Warn("a message could not be put aside and comes again at once", "message", m.ID, "to", to, "error", err)
			giveBack(d)
			return
		}
	}
	_ = d.Ack(false) // an error says that the channel is closed: then the message comes again, and is recognised
}

// moveAttempts is how often a message is tried to be put aside; with the waits between, for some seconds.
const moveAttempts = 5

// move publishes a message to one of the queues behind q, and makes them anew where they were deleted.
func (s *subscription) move(ctx context.Context, q broker.Queue, to string, message amqp.Publishing) error {
	for attempt := 1; ; attempt++ {
		err := s.b.send(newPublication(ctx, "", to, message))
		if err == nil {
			return nil
		}
		if errors.Is(err, broker.ErrUnroutable) {
			if again := s.redeclare(ctx, q); again != nil {
				err = errors.Join(err, again)
			}
		}
		if attempt == moveAttempts || !pause(ctx, attempt) {
			return err
		}
	}
}

func (s *subscription) redeclare(ctx context.Context, q broker.Queue) error {
	c, err := s.b.consuming.now(ctx)
	if err != nil {
		return err
	}
	return c.use(func(ch *amqp.Channel) error { return s.b.declare(ch, q) })
}

// call runs the handler; its panic is an error, as a message must not end the process.
func call(ctx context.Context, h broker.Handler, m broker.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return h(ctx, m)
}
