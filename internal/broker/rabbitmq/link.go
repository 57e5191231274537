package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	dialTimeout  = 10 * time.Second
	closeTimeout = time.Second      // for the server's goodbye
	heartbeat    = 10 * time.Second // a silent server is given up after three
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 5 * time.Second
	steady       = 5 * time.Second // what has lasted so long is tried again at once
	logEvery     = 5 * time.Second // at most so often that something is still not there
)

// link keeps a connection to the server, made again whenever it is lost, and offers what use makes of it.
type link[T any] struct {
	log  *slog.Logger
	at   string
	dial func(context.Context) (*connection, error)
	// use serves a connection until it is lost or the context ends. It calls up when there is something to offer.
	use func(ctx context.Context, c *connection, up func(T)) error

	mu      sync.Mutex
	there   bool
	what    T
	why     error         // there is nothing to offer; nil before the first attempt has ended
	changed chan struct{} // closed when any of these changes
}

func newLink[T any](log *slog.Logger, at string, dial func(context.Context) (*connection, error), use func(context.Context, *connection, func(T)) error) *link[T] {
	return &link[T]{log: log, at: at, dial: dial, use: use, changed: make(chan struct{})}
}

// run connects, and connects again, until ctx ends.
func (l *link[T]) run(ctx context.Context) {
	var r retry
	for {
		began := time.Now()
		err := l.once(ctx)
		if ctx.Err() != nil {
			err = errClosed
		}
		var none T
		l.set(false, none, fmt.Errorf("not connected to RabbitMQ at %s: %w", l.at, err))
		if !r.again(ctx, time.Since(began), func() { l.log.Warn("no connection to RabbitMQ; trying again", "at", l.at, "error", err) }) {
			return
		}
	}
}

func (l *link[T]) once(ctx context.Context) error {
	c, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return l.use(ctx, c, func(what T) {
		l.set(true, what, nil)
		version, _ := c.Properties["version"].(string)
		l.log.Info("connected to RabbitMQ", "at", l.at, "version", version)
	})
}

func (l *link[T]) set(there bool, what T, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.there, l.what, l.why = there, what, why
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link[T]) get() (there bool, what T, changed <-chan struct{}, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.there, l.what, l.changed, l.why
}

// now is what there is, or why there is nothing. It waits only while the first attempt to connect is under way.
func (l *link[T]) now(ctx context.Context) (T, error) { return l.wait(ctx, false) }

// await waits for something to be there.
func (l *link[T]) await(ctx context.Context) (T, error) { return l.wait(ctx, true) }

func (l *link[T]) wait(ctx context.Context, long bool) (T, error) {
	for {
		there, what, changed, why := l.get()
		if there || why != nil && !long {
			return what, why
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if why == nil {
				why = fmt.Errorf("still connecting to RabbitMQ at %s", l.at)
			}
			return what, fmt.Errorf("%w (%w)", ctx.Err(), why)
		}
	}
}

// retry paces a loop that does again what keeps failing.
type retry struct {
	failures int
	said     time.Time
}

// again waits before the next attempt, the longer the more attempts have failed one after the other, and reports
// whether ctx is still alive. It calls say first, but not more often than every logEvery.
func (r *retry) again(ctx context.Context, lasted time.Duration, say func()) bool {
	if ctx.Err() != nil {
		return false
	}
	if now := time.Now(); now.Sub(r.said) >= logEvery {
		r.said = now
		say()
	}
	if lasted >= steady {
		r.failures = 0
	}
	r.failures++
	return pause(ctx, r.failures)
}

// pause waits before the attempt after so many failures, with jitter, and reports whether ctx is still alive.
func pause(ctx context.Context, failures int) bool {
	d := min(backoffMost, backoffFirst<<min(failures-1, 10))
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// connection is a connection to the server while it lasts.
type connection struct {
	*amqp.Connection
	socket net.Conn
	lost   chan struct{} // closed at its end

	mu      sync.Mutex
	cause   error         // of its end
	blocked string        // why the server takes no messages
	freed   chan struct{} // closed when it takes them again; nil while it does
}

// dial makes connections for one purpose.
func (b *Broker) dial(purpose string) func(context.Context) (*connection, error) {
	return func(ctx context.Context) (*connection, error) {
		c := &connection{lost: make(chan struct{})}
		unhook := func() bool { return true }
		properties := amqp.NewConnectionProperties()
		properties.SetClientConnectionName(b.opt.Name + " " + purpose)
		var err error
		c.Connection, err = amqp.DialConfig(b.opt.URL, amqp.Config{
			Heartbeat: heartbeat, Properties: properties,
			Dial: func(network, addr string) (net.Conn, error) {
				dialer := net.Dialer{Timeout: dialTimeout}
				var err error
				if c.socket, err = dialer.DialContext(ctx, network, addr); err != nil {
					return nil, err
				}
				unhook = context.AfterFunc(ctx, func() { _ = c.socket.Close() })
				return c.socket, c.socket.SetDeadline(time.Now().Add(dialTimeout)) // until the handshake is through
			},
		})
		unhook()
		if err != nil {
			if c.socket != nil {
				_ = c.socket.Close()
			}
			return nil, err
		}
		closed := c.NotifyClose(make(chan *amqp.Error, 1))
		blocked := c.NotifyBlocked(make(chan amqp.Blocking, 8))
		go c.watch(closed, blocked) // close waits for it
		return c, nil
	}
}

// watch notes what happens to the connection, until its end.
func (c *connection) watch(closed <-chan *amqp.Error, blocked <-chan amqp.Blocking) {
	for {
		select {
		case b, ok := <-blocked:
			if !ok {
				blocked = nil
				continue
			}
			c.mu.Lock()
			if c.blocked = ""; b.Active {
				c.blocked = b.Reason
			}
			switch {
			case b.Active && c.freed == nil:
				c.freed = make(chan struct{})
			case !b.Active && c.freed != nil:
				close(c.freed)
				c.freed = nil
			}
			c.mu.Unlock()
		case err := <-closed:
			c.mu.Lock()
			if c.cause == nil {
				c.cause = errors.New("the connection was closed")
				if err != nil {
					c.cause = fmt.Errorf("the connection was lost: %w", err)
				}
			}
			c.mu.Unlock()
			close(c.lost)
			return
		}
	}
}

// why is the cause of the connection's end.
func (c *connection) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// blocking is an error while the server takes no messages.
func (c *connection) blocking() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freed == nil {
		return nil
	}
	return fmt.Errorf("the server takes no messages: %s", c.blocked)
}

// free waits until the server takes messages, and reports false when the connection or ctx has ended first.
func (c *connection) free(ctx context.Context) bool {
	for {
		c.mu.Lock()
		freed := c.freed
		c.mu.Unlock()
		if freed == nil {
			return true
		}
		select {
		case <-freed:
		case <-c.lost:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// use runs f with a channel of its own.
func (c *connection) use(f func(*amqp.Channel) error) error {
	ch, err := c.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	defer func() { _ = ch.Close() }() // an error says that it is closed
	return f(ch)
}

// close says goodbye to the server, and hangs up where it does not answer.
func (c *connection) close() {
	_ = c.CloseDeadline(time.Now().Add(closeTimeout)) // an error says that it is closed
	_ = c.socket.Close()
	<-c.lost
}

// serveConsumers offers the connection itself.
func serveConsumers(ctx context.Context, c *connection, up func(*connection)) error {
	up(c)
	select {
	case <-c.lost:
		return c.why()
	case <-ctx.Done():
		return ctx.Err()
	}
}
