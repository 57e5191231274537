package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
)

// records are what was logged.
type records struct {
	mu   sync.Mutex
	list []slog.Record
	text bytes.Buffer
	came chan string // the messages
}

func newRecords() *records { return &records{came: make(chan string, 1000)} }

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }
func (r *records) Handle(ctx context.Context, rec slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, rec)
	r.came <- rec.Message
	return slog.NewTextHandler(&r.text, nil).Handle(ctx, rec)
}

// all are the values of an attribute.
func (r *records) all(key string) (values []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.list {
		rec.Attrs(func(a slog.Attr) bool {
			if a.Key == key {
				values = append(values, a.Value.String())
			}
			return true
		})
	}
	return values
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func TestInvalidURL(t *testing.T) {
	for _, u := range []string{"", "localhost", "http://u:s3cret@x", "amqp://u:s3cret@x:port", "amqp://u:s3cret@x:1 2", "amqp://u:s3cr%et@x"} {
		b, err := rabbitmq.Open(rabbitmq.Options{URL: u})
		if err == nil {
			must(t, b.Close(t.Context()))
			t.Errorf("%q is taken", u)
			continue
		}
		if s := err.Error(); strings.Contains(s, "s3cr") || !strings.Contains(s, "amqps://") {
			t.Errorf("%q: %v", u, err)
		}
	}
}

// TestDisconnected: without a server nothing hangs, everything says why, and nothing tells the password.
func TestDisconnected(t *testing.T) {
	h := open(t)
	wrong, err := url.Parse(h.url)
	must(t, err)
	wrong.User = url.UserPassword("guest", "s3cret")
	for name, u := range map[string]struct{ url, why string }{
		"nobody there":   {"amqp://guest:s3cret@127.0.0.1:1/", "refused"},
		"wrong password": {wrong.String(), "403"},
	} {
		t.Run(name, func(t *testing.T) {
			log := newRecords()
			b, err := rabbitmq.Open(rabbitmq.Options{URL: u.url, Log: slog.New(log)})
			must(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			waited := b.Subscribe(ctx, broker.Queue{Name: "q"}, nil)
			if !errors.Is(waited, context.DeadlineExceeded) || !strings.Contains(waited.Error(), "RabbitMQ at 127.0.0.1:") {
				t.Errorf("Subscribe: %v", waited)
			}
			_, letters := b.Letters(t.Context(), "", 1)
			for _, err := range []error{
				b.Publish(t.Context(), broker.Message{ID: "m", Key: "q"}), b.Ping(t.Context()), b.Requeue(t.Context(), "x"), letters,
			} {
				if err == nil || !strings.Contains(err.Error(), u.why) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error: %v", err)
				}
			}
			must(t, b.Close(t.Context()))
			if s := log.String(); strings.Contains(s, "s3cret") || !strings.Contains(s, u.why) || strings.Count(s, "\n") > 5 {
				t.Errorf("logged: %s", s)
			}
		})
	}
}

// TestDeletedQueues: a queue that is deleted under its consumer is there again, and so are those behind it.
func TestDeletedQueues(t *testing.T) {
	h := open(t)
	b := h.open(t, rabbitmq.Options{})
	got := make(chan string, 10)
	failed := false
	must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q", Topics: []string{"a"}}, func(_ context.Context, m broker.Message) error {
		switch {
		case m.ID == "bad":
			return &broker.Reject{Reason: "bad"}
		case m.ID == "later" && !failed:
			failed = true
			return errors.New("not now")
		}
		got <- m.ID
		return nil
	}))
	remove := func(queue string) { h.manage(t, http.MethodDelete, "/api/queues/"+h.vhost(t)+"/"+queue, nil) }
	remove("q")
	wait(t, func() bool { return h.state(t, b, "q").Consumers == 1 })
	must(t, b.Publish(t.Context(), broker.Message{ID: "direct", Key: "q"}))
	must(t, b.Publish(t.Context(), broker.Message{ID: "topic", Exchange: broker.Events, Key: "a"}))
	<-got
	<-got
	remove("q.retry.20ms")
	must(t, b.Publish(t.Context(), broker.Message{ID: "later", Key: "q"}))
	if id := <-got; id != "later" {
		t.Errorf("came %s", id)
	}
	remove("tiffin.dead")
	must(t, b.Publish(t.Context(), broker.Message{ID: "bad", Key: "q"}))
	wait(t, func() bool { return h.state(t, b, "tiffin.dead").Ready == 1 })
}

// TestConnectionsClosed: the server closes the connections under publishers, consumers and listeners, twice.
func TestConnectionsClosed(t *testing.T) {
	h := open(t)
	b := h.open(t, rabbitmq.Options{})
	queue := collect(t, b, broker.Queue{Name: "q", Topics: []string{"a"}})
	tail := make(chan broker.Message, 100)
	must(t, b.Tail(t.Context(), []string{"a"}, func(_ context.Context, m broker.Message) error {
		tail <- m
		return nil
	}))
	for range 2 {
		var names []struct{ Name string }
		wait(t, func() bool { // they are listed some time after they are made
			names = nil
			h.manage(t, http.MethodGet, "/api/vhosts/"+h.vhost(t)+"/connections", &names)
			return len(names) == 2
		})
		for _, c := range names {
			h.manage(t, http.MethodDelete, "/api/connections/"+url.PathEscape(c.Name), nil)
		}
		wait(t, func() bool { // until then somebody listens to what was
			return errors.Join(b.Ping(t.Context()), b.Publish(t.Context(), broker.Message{ID: "m", Exchange: broker.Events, Key: "a"})) == nil && len(tail) > 0
		})
		<-queue
		<-tail
	}
}

// TestOtherArguments: a queue that the original has declared is not ours to change; the error says what to do, and
// it is tried again until somebody has done it.
func TestOtherArguments(t *testing.T) {
	h, log := open(t), newRecords()
	b := h.open(t, rabbitmq.Options{Log: slog.New(log)})
	ch := h.raw(t)
	_, err := ch.QueueDeclare("OrderService", true, false, false, false, nil)
	must(t, err)
	subscribed := make(chan error, 1)
	go func() { subscribed <- b.Subscribe(t.Context(), broker.Queue{Name: "OrderService"}, nil) }()
	for m := range log.came {
		if strings.HasPrefix(m, "not consuming") {
			break
		}
	}
	if s := log.String(); !strings.Contains(s, "inequivalent arg") || !strings.Contains(s, "ask for classic queues") {
		t.Errorf("logged: %s", s)
	}
	life, leave := context.WithCancel(t.Context())
	must(t, h.open(t, rabbitmq.Options{Classic: true}).Subscribe(life, broker.Queue{Name: "OrderService"}, nil))
	leave()
	wait(t, func() bool { return h.state(t, b, "OrderService").Consumers == 0 })
	_, err = ch.QueueDelete("OrderService", false, false, false)
	must(t, err)
	must(t, <-subscribed)
}

// TestStalled: a server that has stopped reading holds up nobody longer than their context.
func TestStalled(t *testing.T) {
	h := open(t)
	u, err := url.Parse(h.url)
	must(t, err)
	p := newProxy(t, u.Host)
	u.Host = p.addr
	h.url = u.String()
	b := h.open(t, rabbitmq.Options{})
	got := collect(t, b, broker.Queue{Name: "q"})
	h.publish(t, b, 1)
	<-got
	p.stall()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	body := make([]byte, 8<<20) // more than the sockets hold
	errs := make(chan error)
	for range 4 {
		go func() { errs <- b.Publish(ctx, broker.Message{ID: "m", Key: "q", Body: body}) }()
	}
	for range 4 {
		if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish: %v", err)
		}
	}
	for i, err := range []error{b.Ping(ctx), b.Requeue(ctx, "x"), b.Close(ctx)} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// proxy passes bytes on, until it stalls.
type proxy struct {
	addr string
	stop chan struct{}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{addr: l.Addr().String(), stop: make(chan struct{})}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		all.Wait()
	})
	pass := func(from, to net.Conn) {
		hangUp := func() { _, _ = from.Close(), to.Close() }
		defer hangUp()
		defer context.AfterFunc(ctx, hangUp)()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			select {
			case <-p.stop:
				<-ctx.Done()
				return
			default:
			}
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_, _ = io.WriteString(in, err.Error())
				_ = in.Close()
				continue
			}
			all.Go(func() { pass(in, out) })
			all.Go(func() { pass(out, in) })
		}
	})
	return p
}

func (p *proxy) stall() { close(p.stop) }
