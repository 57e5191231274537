package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// pipes is a listener without sockets, so that time can be the bubble's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial is the client's end of a new connection.
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// withPipes serves h to test in a bubble.
func withPipes(t *testing.T, h http.Handler, test func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- httpapi.Serve(ctx, ln, h, httpapi.ServeOptions{}) }()
		test(t, ln.dial)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestWhoDoesNotRead: a client that takes nothing is left after a minute; one that takes its time is not, and neither is
// a connection that is used again, or an answer that was long in the making.
func TestWhoDoesNotRead(t *testing.T) {
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1"})
	var failed chan error
	a.Handle("GET /long", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
		failed <- err
	}))
	a.Handle("GET /late", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(3 * time.Minute) // the bubble's
		_, _ = io.WriteString(w, "second")
	}))
	a.Handle("GET /none", auth.Everyone, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	withPipes(t, a, func(t *testing.T, dial func() net.Conn) {
		failed = make(chan error, 1) // the bubble's
		began := time.Now()
		deaf := dial()
		_, _ = io.WriteString(deaf, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		_ = deaf.Close()

		conn := dial()
		defer conn.Close() //nolint:errcheck // the test is over
		from := bufio.NewReader(conn)
		for _, path := range []string{"/none", "/late", "/none"} {
			_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
			res, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || path == "/late" && string(body) != "firstsecond" {
				t.Errorf("%s: %q, %v", path, body, err)
			}
			time.Sleep(90 * time.Second) // longer than a write may take
		}
	})
}

// TestWhoDoesNotWrite: a header and a body must come in time, however busily a client drips them.
func TestWhoDoesNotWrite(t *testing.T) {
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1"})
	a.Handle("POST /x", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("the whole body came")
		}
		httpapi.WriteError(w, r, httpapi.Errorf(http.StatusBadRequest, "broken off"))
	}))
	for what, c := range map[string]struct {
		begin string
		limit time.Duration
	}{
		"header": {"POST /x HTTP/1.1\r\nHost: x\r\nX-A: ", 6 * time.Second},
		"body":   {"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 11 * time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			withPipes(t, a, func(t *testing.T, dial func() net.Conn) {
				began, conn := time.Now(), dial()
				defer conn.Close() //nolint:errcheck // the other side has closed it
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				_, err := io.WriteString(conn, c.begin)
				for err == nil && time.Since(began) < time.Minute {
					time.Sleep(time.Second)
					_, err = io.WriteString(conn, "a")
				}
				if took := time.Since(began); took > c.limit {
					t.Errorf("it was listened to for %s", took)
				}
			})
		})
	}
}
