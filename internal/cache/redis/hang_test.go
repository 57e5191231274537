package redis_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/cache/redis"
	"github.com/tiffin-food/tiffin/internal/engines"
)

// link forwards connections to a server, and can hang: connections stay open, new ones are taken, nothing passes.
type link struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	flows *sync.Cond
	hangs bool
	ended bool
	conns []net.Conn
	dials int
	group sync.WaitGroup
}

func newLink(t testing.TB, to string) *link {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{to: u.Host}
	l.flows = sync.NewCond(&l.mu)
	if l.listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	l.group.Go(l.accept)
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.mu.Lock()
		l.ended = true
		for _, c := range l.conns {
			_ = c.Close()
		}
		l.flows.Broadcast()
		l.mu.Unlock()
		l.group.Wait()
	})
	return l
}

func (l *link) url() string { return "redis://" + l.listener.Addr().String() }

func (l *link) hang(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hangs = yes
	l.flows.Broadcast()
}

func (l *link) dialed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}

func (l *link) accept() {
	for {
		here, err := l.listener.Accept()
		if err != nil {
			return
		}
		there, err := net.Dial("tcp", l.to)
		if err != nil {
			_ = here.Close()
			continue
		}
		l.mu.Lock()
		l.dials++
		l.conns = append(l.conns, here, there)
		if l.ended {
			_, _ = here.Close(), there.Close()
		}
		l.mu.Unlock()
		l.group.Go(func() { l.copy(here, there) })
		l.group.Go(func() { l.copy(there, here) })
	}
}

func (l *link) copy(to, from net.Conn) {
	defer to.Close()   //nolint:errcheck // a test's
	defer from.Close() //nolint:errcheck // a test's
	_, _ = io.Copy(writer(func(p []byte) (int, error) {
		l.mu.Lock()
		for l.hangs && !l.ended {
			l.flows.Wait()
		}
		l.mu.Unlock()
		return to.Write(p)
	}), struct{ io.Reader }{from})
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// buffer is a log that many write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// TestHangs: a Redis that takes connections and says nothing costs three timeouts, then one a second; it is used again
// by itself, and the log tells of it once.
func TestHangs(t *testing.T) {
	const timeout = 100 * time.Millisecond
	l := newLink(t, engines.Private(t, engines.Redis).URL())
	log := &buffer{}
	c := open(t, redis.Options{URL: l.url(), Prefix: "p:", Timeout: timeout, Log: log.logger()})
	until(t, "there", func() bool { return c.Put(t.Context(), "a", cache.Entry{Version: 1}, time.Hour) == nil })
	l.hang(true)
	calls, asked := 0, 0
	for begun := time.Now(); time.Since(begun) < 3*time.Second; calls++ {
		before := time.Now()
		_, ok, err := c.Get(t.Context(), "a")
		if ok || err == nil {
			t.Fatal("it got something")
		}
		if d := time.Since(before); d > timeout+5*time.Second { // seconds for a busy machine
			t.Errorf("a call took %s", d)
		}
		if !errors.Is(err, redis.ErrOpen) {
			asked++
		}
	}
	if calls < 100 || asked < 3 || asked > 8 {
		t.Errorf("of %d calls %d asked; want 3 and then about one a second", calls, asked)
	}
	if err := c.Ping(t.Context()); err == nil {
		t.Error("it answers")
	}
	l.hang(false)
	until(t, "back", func() bool { _, _, err := c.Get(t.Context(), "a"); return err == nil })
	want(t, c, "a", 1)
	if away, back := strings.Count(log.String(), "it is away"), strings.Count(log.String(), "it is back"); away != back || away < 1 {
		t.Errorf("the log:\n%s", log)
	}
	if n := l.dialed(); n > 20 {
		t.Errorf("%d connections were opened", n)
	}
}

// TestCallersWhoGiveUp say nothing about Redis.
func TestCallersWhoGiveUp(t *testing.T) {
	l := newLink(t, engines.Private(t, engines.Redis).URL())
	c := open(t, redis.Options{URL: l.url(), Prefix: "p:", Timeout: patient})
	put(t, c, "a", 1, "")
	l.hang(true)
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, _, err := c.Get(ctx, "a"); err == nil || errors.Is(err, redis.ErrOpen) {
			t.Error(err)
		}
		cancel()
	}
	l.hang(false)
	want(t, c, "a", 1)
}
