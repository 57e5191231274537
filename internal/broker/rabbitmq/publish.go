package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tiffin-food/tiffin/internal/broker"
)

// Publish returns nil when the server has confirmed the message: every queue that gets it has it on disk.
// [broker.ErrUnroutable] says that no queue would get it, or that the exchange is none of ours. Any other error
// leaves open whether the message is there: publish it again. While there is no connection it fails at once,
// saying why; while the server takes no messages (memory, disk) it waits until ctx ends. Calls do not wait for
// each other's confirms.
func (b *Broker) Publish(ctx context.Context, m broker.Message) error {
	p, err := b.publication(ctx, m)
	if err == nil {
		err = b.send(p)
	}
	if err != nil {
		return fmt.Errorf("publish %s to %q %s: %w", m.ID, m.Exchange, m.Key, err)
	}
	return nil
}

func (b *Broker) publication(ctx context.Context, m broker.Message) (*publication, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.Exchange != "" && m.Exchange != broker.Events {
		// Not left to the server, which would close the channel under everybody.
		return nil, fmt.Errorf("no such exchange: %w", broker.ErrUnroutable)
	}
	message, err := encode(m)
	if err != nil {
		return nil, err
	}
	return newPublication(ctx, m.Exchange, m.Key, message), nil
}

// publication is a message on its way to the server.
type publication struct {
	ctx      context.Context
	exchange string
	key      string
	message  amqp.Publishing
	returned bool       // the server has routed it to no queue
	done     chan error // gets the outcome
}

func newPublication(ctx context.Context, exchange, key string, message amqp.Publishing) *publication {
	return &publication{ctx: ctx, exchange: exchange, key: key, message: message, done: make(chan error, 1)}
}

// send hands the publication to a channel and waits for the outcome, or for the end of its context.
func (b *Broker) send(p *publication) error {
	s, err := b.publishing.now(p.ctx)
	if err != nil {
		return err
	}
	select {
	case s.requests <- p:
	case <-s.over:
		return fmt.Errorf("not connected to RabbitMQ at %s: %w", b.at, s.why)
	case <-p.ctx.Done():
		return errors.Join(p.ctx.Err(), s.conn.blocking())
	}
	select {
	case err := <-p.done:
		return err
	case <-p.ctx.Done():
		return errors.Join(fmt.Errorf("no confirm: %w", p.ctx.Err()), s.conn.blocking())
	}
}

// session takes publications while a connection lasts.
type session struct {
	conn     *connection
	requests chan *publication
	over     chan struct{} // closed when it takes no more
	why      error         // it is over; set before
}

// servePublications offers a session on the connection. Where one of its channels is closed the session is over.
func (b *Broker) servePublications(ctx context.Context, c *connection, up func(*session)) error {
	if err := c.use(declareEvents); err != nil {
		return err
	}
	s := &session{conn: c, requests: make(chan *publication), over: make(chan struct{})}
	until, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var pipes sync.WaitGroup
	defer pipes.Wait()
	defer c.close() // which ends the pipes
	for range b.opt.Publishers {
		p, err := openPipe(c)
		if err != nil {
			return fmt.Errorf("open a channel to publish on: %w", err)
		}
		pipes.Go(func() { cancel(p.settle()) })
		pipes.Go(func() { p.write(until, s.requests) })
	}
	up(s)
	<-until.Done()
	s.why = context.Cause(until)
	if ctx.Err() != nil {
		s.why = errClosed
	}
	close(s.over)
	return s.why
}

// pipe publishes on one channel. One goroutine writes, one takes in the server's answers; a publication belongs to
// whoever takes it out of pending, and is answered by them.
type pipe struct {
	conn     *connection
	ch       *amqp.Channel
	closed   <-chan *amqp.Error
	returns  <-chan amqp.Return
	confirms <-chan amqp.Confirmation
	over     chan struct{} // closed when nobody takes in answers any more

	mu      sync.Mutex
	pending map[uint64]*publication // by the channel's number; nil when it is over
}

func openPipe(c *connection) (*pipe, error) {
	ch, err := c.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	return &pipe{
		conn: c, ch: ch, over: make(chan struct{}), pending: map[uint64]*publication{},
		closed: ch.NotifyClose(make(chan *amqp.Error, 1)),
		// Unbuffered, and received from by one goroutine: so a return, which the server sends before the confirm of
		// the same message, is noted before the confirm is seen.
		returns:  ch.NotifyReturn(make(chan amqp.Return)),
		confirms: ch.NotifyPublish(make(chan amqp.Confirmation)),
	}, nil
}

// write publishes what comes, until ctx or the channel ends.
func (p *pipe) write(ctx context.Context, requests <-chan *publication) {
	for p.conn.free(ctx) {
		select {
		case r := <-requests:
			p.publish(r)
		case <-p.over:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (p *pipe) publish(r *publication) {
	if err := r.ctx.Err(); err != nil { // nobody waits for it
		r.done <- err
		return
	}
	number := p.ch.GetNextPublishSeqNo()
	p.mu.Lock()
	if p.pending == nil {
		p.mu.Unlock()
		r.done <- errors.New("the channel was closed before the message was sent")
		return
	}
	p.pending[number] = r
	p.mu.Unlock()
	message := r.message // the publication may be repeated
	message.CorrelationId = strconv.FormatUint(number, 10)
	// On the default exchange a message that no queue gets is returned; a topic may go unheard.
	err := p.ch.PublishWithContext(r.ctx, r.exchange, r.key, r.exchange == "", false, message)
	if err != nil && p.take(number) != nil {
		r.done <- fmt.Errorf("send: %w", err)
	}
}

func (p *pipe) take(number uint64) *publication {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.pending[number]
	delete(p.pending, number)
	return r
}

// settle answers publications as the server does, until the channel ends, and then the rest.
func (p *pipe) settle() error {
	for open := true; open; {
		select {
		case back, ok := <-p.returns:
			if !ok {
				p.returns = nil
				continue
			}
			number, err := strconv.ParseUint(back.CorrelationId, 10, 64)
			if err != nil {
				continue
			}
			p.mu.Lock()
			if r := p.pending[number]; r != nil {
				r.returned = true
			}
			p.mu.Unlock()
		case c, ok := <-p.confirms:
			if open = ok; !ok {
				continue
			}
			r := p.take(c.DeliveryTag)
			switch {
			case r == nil:
			case !c.Ack:
				r.done <- errors.New("the server has refused the message (nack)")
			case r.returned:
				r.done <- broker.ErrUnroutable
			default:
				r.done <- nil
			}
		}
	}
	cause := errors.New("the channel was closed")
	if err, ok := <-p.closed; ok {
		cause = fmt.Errorf("the channel was closed: %w", err)
	}
	p.mu.Lock()
	left := p.pending
	p.pending = nil
	p.mu.Unlock()
	close(p.over)
	for _, r := range left {
		r.done <- fmt.Errorf("no confirm: %w", cause)
	}
	return cause
}
