package rabbitmq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/id"
)

// Options are how to reach the server and what to ask of it. Only URL is needed.
type Options struct {
	URL  string // amqp://user:password@host:port/vhost, or amqps:// with TLS
	Log  *slog.Logger
	Name string // of the connections, as the server's management shows them; default "tiffin"

	Classic       bool          // the service queues are classic ones, as the original system declares them
	Prefetch      int           // messages that a subscription holds at once; default 256, at most 65,535
	DeliveryLimit int           // deliveries without an answer after which a message is a dead letter; default 20
	RetryDelay    time.Duration // wait after the first failure; then 5 and 30 times as long; default 1 s
	Publishers    int           // channels to publish on, default 1

	Now func() time.Time // what dead letters are dated with; default time.Now
}

var (
	_ broker.Publisher  = (*Broker)(nil)
	_ broker.Subscriber = (*Broker)(nil)
	_ broker.Inspector  = (*Broker)(nil)
)

// Broker speaks to one RabbitMQ server or cluster. Safe for concurrent use.
type Broker struct {
	opt Options
	ids *id.Source
	at  string // host and port

	publishing *link[*session]
	consuming  *link[*connection]
	desk       chan struct{} // one at a time reads or changes the dead letters

	life context.Context // while messages are taken
	end  context.CancelFunc
	work context.Context // while handlers and calls may go on
	drop context.CancelFunc

	mu     sync.Mutex // guards closed, and users.Add against users.Wait
	closed bool
	users  sync.WaitGroup // of the connections: subscriptions and calls
	links  sync.WaitGroup
	cut    context.CancelFunc // ends the links
}

var errClosed = errors.New("the broker is closed")

// Open checks the options and begins to connect in the background, again and again until Close. It fails only
// where the URL cannot be one.
func Open(opt Options) (*Broker, error) {
	uri, err := amqp.ParseURI(opt.URL)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // without the URL, which holds the password
		}
		return nil, fmt.Errorf("the URL of RabbitMQ is not valid: want amqp://user:password@host:port/vhost or amqps://…, with reserved characters percent-encoded: %w", err)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Name == "" {
		opt.Name = "tiffin"
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Prefetch = min(orElse(opt.Prefetch, 256), 1<<16-1)
	opt.DeliveryLimit = orElse(opt.DeliveryLimit, 20)
	opt.RetryDelay = orElse(opt.RetryDelay, time.Second)
	opt.Publishers = orElse(opt.Publishers, 1)

	b := &Broker{
		opt: opt, ids: id.NewSource(opt.Now, rand.Reader), at: fmt.Sprintf("%s:%d", uri.Host, uri.Port), desk: make(chan struct{}, 1),
	}
	b.life, b.end = context.WithCancel(context.Background())
	b.work, b.drop = context.WithCancel(context.Background())
	b.publishing = newLink(b.opt.Log.With("connection", "publishing"), b.at, b.dial("publishing"), b.servePublications)
	b.consuming = newLink(b.opt.Log.With("connection", "consuming"), b.at, b.dial("consuming"), serveConsumers)
	var links context.Context
	links, b.cut = context.WithCancel(context.Background())
	b.links.Go(func() { b.publishing.run(links) })
	b.links.Go(func() { b.consuming.run(links) })
	return b, nil
}

func orElse[N int | time.Duration](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

// Close ends what Open and Subscribe began: it stops taking messages, gives back those no handler has seen, waits
// for handlers under way and their acknowledgements as long as ctx lasts, and closes the connections. Where ctx
// ends first the handlers' contexts end, their messages come again to whoever subscribes next, and the error says
// so. It takes at most about a second longer than ctx.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.end()
	finished := make(chan struct{})
	go func() { // ends with the last handler
		b.users.Wait()
		close(finished)
	}()
	var err error
	select {
	case <-finished:
	case <-ctx.Done():
		err = fmt.Errorf("close the broker: handlers were still at work: %w", context.Cause(ctx))
	}
	b.drop()
	b.cut()
	b.links.Wait()
	return err
}

// begin starts f, unless the broker is closed. Close waits for it.
func (b *Broker) begin(f func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	b.users.Go(f)
	return nil
}

// Ping asks the server for an answer, and says why there is none: no connection, the server takes no messages for
// want of memory or disk, or it is silent until ctx ends.
func (b *Broker) Ping(ctx context.Context) error {
	s, err := b.publishing.now(ctx)
	if err == nil {
		err = s.conn.blocking()
	}
	if err == nil {
		err = b.call(ctx, func(*amqp.Channel) error { return nil })
	}
	if err != nil {
		return fmt.Errorf("RabbitMQ: %w", err)
	}
	return nil
}

// call runs f with a channel of its own on the consuming connection. It does not wait longer than ctx, after which
// f goes on in the background until the server answers or the connection is lost.
func (b *Broker) call(ctx context.Context, f func(*amqp.Channel) error) error {
	c, err := b.consuming.now(ctx)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	err = b.begin(func() { done <- c.use(f) })
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer from RabbitMQ at %s: %w", b.at, ctx.Err())
	}
}
