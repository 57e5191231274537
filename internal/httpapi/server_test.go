package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// start serves h on a free port. stop begins the drain and ended gives what Serve returned.
func start(t *testing.T, h http.Handler, opt httpapi.ServeOptions) (url string, stop func(), ended <-chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- httpapi.Serve(ctx, ln, h, opt) }()
	return "http://" + ln.Addr().String(), cancel, done
}

func TestServeCutsNoRequest(t *testing.T) {
	inside, finish := make(chan struct{}), make(chan struct{})
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1"})
	a.SetReady(true)
	a.Handle("POST /slow", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		<-finish
		if r.Context().Err() != nil {
			t.Error("the context ended with the server")
		}
		_, _ = io.Copy(w, r.Body)
	}))
	url, stop, ended := start(t, a, httpapi.ServeOptions{})
	type answer struct {
		body string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		res, err := http.Post(url+"/slow", "text/plain", strings.NewReader("whole"))
		if err != nil {
			answers <- answer{"", err}
			return
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		answers <- answer{string(b), err}
	}()
	<-inside
	stop()
	select {
	case err := <-ended:
		t.Fatalf("Serve returned over a request under way: %v", err)
	default:
	}
	close(finish)
	if got := <-answers; got.err != nil || got.body != "whole" {
		t.Errorf("%+v", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
		t.Error("the listener is still open")
	}
	if w := ask(a, "GET", "/readyz", ""); w.Code != 503 {
		t.Errorf("/readyz: %d", w.Code)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestServeEndsStreams(t *testing.T) {
	for _, path := range []string{"direct", "through Local"} {
		t.Run(path, func(t *testing.T) {
			stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				httpapi.Stream(w, r, func(ctx context.Context, e *httpapi.Events) {
					if err := e.Send("status", "1", "created"); err != nil {
						t.Error(err)
					}
					<-ctx.Done()
				})
			})
			var h http.Handler = stream
			if path != "direct" {
				l := httpapi.NewLocal(nil)
				defer l.CloseIdleConnections()
				l.Handle("order", stream)
				h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					req, _ := http.NewRequestWithContext(r.Context(), "GET", "http://order/", nil)
					res, err := l.RoundTrip(req)
					if err != nil {
						t.Error(err)
						return
					}
					defer func() { _ = res.Body.Close() }()
					buf := make([]byte, 100)
					for {
						n, err := res.Body.Read(buf)
						_, _ = w.Write(buf[:n])
						w.(http.Flusher).Flush()
						if err != nil {
							return
						}
					}
				})
			}
			url, stop, ended := start(t, h, httpapi.ServeOptions{})
			res, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(res.Body)
			for lines.Scan() && lines.Text() != `data: "created"` {
			}
			stop()
			for lines.Scan() {
			}
			if err := lines.Err(); err != nil {
				t.Errorf("the stream did not end well: %v", err)
			}
			_ = res.Body.Close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

func TestServeGivesUpAfterGrace(t *testing.T) {
	inside := make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(inside); <-r.Context().Done() })
	url, stop, ended := start(t, h, httpapi.ServeOptions{Grace: time.Millisecond})
	failed := make(chan error, 1)
	go func() {
		res, err := http.Get(url)
		if err == nil {
			_ = res.Body.Close()
		}
		failed <- err
	}()
	<-inside
	stop()
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestServeReportsABrokenListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := httpapi.Serve(t.Context(), ln, http.NotFoundHandler(), httpapi.ServeOptions{}); err == nil {
		t.Error("no error")
	}
}

// deadlined is a connection that remembers its read deadline.
type deadlined struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlined) SetReadDeadline(t time.Time) error { d.set = append(d.set, t); return nil }

// A handler may work longer than its body was allowed to take: a deadline left on the connection would end the
// request's context.
func TestBodyDeadlineIsLifted(t *testing.T) {
	w := &deadlined{ResponseRecorder: httptest.NewRecorder()}
	orders(httpapi.Options{}).ServeHTTP(w, httptest.NewRequest("POST", "/v1/orders", strings.NewReader(placeBody)))
	if w.Code != 202 || len(w.set) < 2 || w.set[0].IsZero() || !w.set[len(w.set)-1].IsZero() {
		t.Errorf("%d, deadlines %v", w.Code, w.set)
	}
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := httpapi.NewLocal(nil)
		defer l.CloseIdleConnections()
		type input struct {
			ID   string `path:"id"`
			Last string `header:"Last-Event-ID"`
		}
		type status struct {
			Status string `json:"status"`
		}
		more, ended := make(chan struct{}), make(chan error, 1)
		a := httpapi.New(httpapi.Options{Name: "OrderService", Version: "1"})
		httpapi.RegisterStream[input, status](a, auth.Everyone, httpapi.Operation{Method: "GET", Path: "/v1/orders/{id}/events"},
			func(_ context.Context, in *input) (func(context.Context, *httpapi.Events), error) {
				if in.ID != "7" {
					return nil, httpapi.Errorf(404, "there is no order %s", in.ID)
				}
				return func(ctx context.Context, e *httpapi.Events) {
					if err := e.Send("status", in.Last+"1", status{"created\n"}); err != nil {
						t.Error(err)
					}
					if err := e.Send("a\nb", "", 1); err == nil {
						t.Error("a line break in a name was sent")
					}
					<-more
					if err := e.Send("", "", status{"paymentPaid"}); err != nil {
						t.Error(err)
					}
					<-ctx.Done()
					ended <- e.Send("late", "", 1)
				}, nil
			})
		l.Handle("order", a)

		req, _ := http.NewRequest("GET", "http://order/v1/orders/8/events", nil)
		res, err := l.RoundTrip(req)
		if err != nil || res.StatusCode != 404 || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Fatalf("%v %v", res, err)
		}
		_ = res.Body.Close()

		req, _ = http.NewRequest("GET", "http://order/v1/orders/7/events", nil)
		req.Header.Set("Last-Event-ID", "x")
		if res, err = l.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		if ct := res.Header.Get("Content-Type"); res.StatusCode != 200 || ct != "text/event-stream" || res.ContentLength != -1 {
			t.Errorf("%d %s", res.StatusCode, ct)
		}
		r := bufio.NewReader(res.Body)
		frame := func(want string) {
			t.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
				t.Fatalf("%q (%v), want %q", got, err, want)
			}
		}
		frame(": \n\n")
		frame("event: status\nid: x1\ndata: {\"status\":\"created\\n\"}\n\n")
		began := time.Now()
		frame(": \n\n")
		frame(": \n\n")
		if quiet := time.Since(began); quiet != 30*time.Second {
			t.Errorf("two heartbeats after %v", quiet)
		}
		close(more)
		frame("data: {\"status\":\"paymentPaid\"}\n\n")
		_ = res.Body.Close() // the client goes away
		if err := <-ended; err == nil {
			t.Error("an event was sent to nobody")
		}
	})
}
