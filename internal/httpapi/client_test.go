package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

func TestClassify(t *testing.T) {
	want := map[int]durable.Verdict{401: durable.Retry, 403: durable.Retry, 408: durable.Retry, 425: durable.Retry, 429: durable.Retry}
	for status := range 1000 {
		v, ok := want[status]
		if !ok {
			switch status / 100 {
			case 2:
				v = durable.Accepted
			case 4:
				v = durable.Rejected
			default:
				v = durable.Retry
			}
		}
		if got := httpapi.Classify(status, nil); got != v {
			t.Errorf("%d: %v, want %v", status, got, v)
		}
		if got := httpapi.Classify(status, io.ErrUnexpectedEOF); got != durable.Retry {
			t.Errorf("%d with an error: %v", status, got)
		}
	}
}

func TestDetail(t *testing.T) {
	for body, want := range map[string]string{
		`{"detail":"too late"}`: "too late",
		`{"detail":[{"loc":["body","items",0,"quantity"],"msg":"too small","input":"4111"}]}`: "body.items.0.quantity: too small",
		`{"title":"Conflict"}`:       "Conflict",
		`{"detail":{"card":"4111"}}`: "status 409 Conflict",
		`{"detail":7}`:               "status 409 Conflict",
		`<html>4111</html>`:          "status 409 Conflict",
		``:                           "status 409 Conflict",
		`{"detail":""}`:              "status 409 Conflict",
		`{"detail":[]}`:              "status 409 Conflict",
		"{\"detail\":\"a\xffb\"}":    "a\uFFFDb",
		`{"detail":"` + strings.Repeat("é", 400) + `"}`: strings.Repeat("é", 248) + "…",
	} {
		if got := httpapi.Detail(409, []byte(body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		r    httpapi.Result
		err  error
		want string
	}{
		{httpapi.Result{Status: 202, Body: []byte("{}")}, nil, "{1 [123 125] 202  0s}"},
		{httpapi.Result{Status: 409, Body: []byte(`{"detail":"late"}`)}, nil, "{2 [] 409 late 0s}"},
		{httpapi.Result{Status: 503, RetryAfter: time.Second}, nil, "{0 [] 503 status 503 Service Unavailable 1s}"},
		{httpapi.Result{}, errors.New("reset"), "{0 [] 0 reset 0s}"},
	} {
		if got := fmt.Sprint(httpapi.Outcome(c.r, c.err)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// client calls h as the service "payment", without sockets.
func client(t *testing.T, h http.HandlerFunc, change func(*httpapi.ClientOptions)) *httpapi.Client {
	l := httpapi.NewLocal(nil)
	l.Handle("payment", h)
	t.Cleanup(l.CloseIdleConnections)
	opt := httpapi.ClientOptions{Resolver: one("http://payment"), Transport: l}
	if change != nil {
		change(&opt)
	}
	return httpapi.NewClient(opt)
}

func TestClientSends(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s key=%s api=%s id=%s type=%s x=%s", r.Method, r.URL, b, r.Header.Get("Idempotency-Key"),
			r.Header.Get(httpapi.APIKeyHeader), r.Header.Get("X-Request-Id"), r.Header.Get("Content-Type"), r.Header.Get("X-X"))
	}
	c := client(t, h, func(o *httpapi.ClientOptions) { o.Keys = map[string]string{"payment": "s3cret", "order": "no"} })
	r, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: "POST /v1/pay%2Fments?a=b", Body: []byte("{}"), IdempotencyKey: "k",
		Header: http.Header{"X-X": {"y"}}})
	const want = "POST /v1/pay%2Fments?a=b {} key=k api=s3cret id= type=application/json x=y"
	if err != nil || r.Status != 200 || string(r.Body) != want {
		t.Errorf("%d %s %v", r.Status, r.Body, err)
	}
	c = client(t, h, nil)
	if r, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: "GET /"}); err != nil || string(r.Body) != "GET /  key= api= id= type= x=" {
		t.Errorf("%s %v", r.Body, err)
	}
	for _, op := range []string{"", "GET", "GET x", " /", "/v1", "GET /%zz"} {
		if _, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: op}); err == nil {
			t.Errorf("%q was sent", op)
		}
	}
}

func TestClientPassesTheRequestIDOn(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-Request-Id")) }, nil)
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1"})
	a.Handle("GET /", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res, err := c.Get(r.Context(), "payment", "/")
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(res.Body)
	}))
	if w := ask(a, "GET", "/", "", "X-Request-Id", "r-1"); w.Body.String() != "r-1" {
		t.Errorf("%q", w.Body)
	}
}

func TestClientOverTCP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /base/v1/payments", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(202); _, _ = io.Copy(w, r.Body) })
	mux.HandleFunc("/base/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/base/v1/payments", 307) })
	mux.HandleFunc("/base/truncated", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("short"))
	})
	mux.HandleFunc("/base/torn", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/base/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1001)) })
	mux.HandleFunc("/base/larger", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = w.Write(make([]byte, 1001))
	})
	mux.HandleFunc("/base/fits", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) })
	mux.HandleFunc("/base/hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/base/busy", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(429)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	rt := httpapi.NewTransport()
	defer rt.CloseIdleConnections()
	c := httpapi.NewClient(httpapi.ClientOptions{Resolver: one(s.URL + "/base/"), Transport: rt, MaxBody: 1000, Timeout: time.Second, Failures: 100})
	for _, x := range []struct {
		op      string
		status  int
		err     error
		verdict durable.Verdict
	}{
		{"POST /v1/payments", 202, nil, durable.Accepted},
		{"POST /redirect", 307, nil, durable.Retry},
		{"GET /truncated", 0, io.ErrUnexpectedEOF, durable.Retry},
		{"GET /torn", 0, io.ErrUnexpectedEOF, durable.Retry},
		{"GET /large", 0, httpapi.ErrTooLarge, durable.Retry},
		{"GET /larger", 0, httpapi.ErrTooLarge, durable.Retry},
		{"GET /fits", 200, nil, durable.Accepted},
		{"GET /nowhere", 404, nil, durable.Rejected},
		{"GET /busy", 429, nil, durable.Retry},
	} {
		r, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: x.op, Body: []byte("{}")})
		if r.Status != x.status || !errors.Is(err, x.err) || (err == nil) != (x.err == nil) || httpapi.Classify(r.Status, err) != x.verdict {
			t.Errorf("%s: %d %v", x.op, r.Status, err)
		}
		if x.op == "GET /busy" && r.RetryAfter != 7*time.Second {
			t.Errorf("Retry-After %v", r.RetryAfter)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Do(ctx, httpapi.Call{To: "payment", Op: "GET /hangs"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if b := c.Instances(); len(b) != 1 || b[0].InFlight != 0 || b[0].State != "closed" {
		t.Errorf("%+v", b)
	}
}

func TestClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil)
		began := time.Now()
		_, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: "POST /"})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, calls := 500, 0
		var hang bool
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			calls++
			if hang {
				<-r.Context().Done()
			}
			w.WriteHeader(status)
		}, func(o *httpapi.ClientOptions) { o.Failures = 3 })
		do := func(ctx context.Context) error {
			_, err := c.Do(ctx, httpapi.Call{To: "payment", Op: "POST /"})
			synctest.Wait() // a handler nobody waits for has ended too
			return err
		}
		state := func(want string) {
			t.Helper()
			if b := c.Instances(); len(b) != 1 || b[0].State != want || b[0].InFlight != 0 || b[0].URL != "http://payment" || b[0].Service != "payment" {
				t.Fatalf("%+v, want %s", b, want)
			}
		}
		for _, status = range []int{500, 503, 404, 500, 503, 304, 500, 429, 302, 502} { // never three in a row: a 4xx or 304 is alive
			if err := do(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		state("closed")
		status = 500
		_ = do(t.Context())
		state("open")
		calls = 0
		if err := do(t.Context()); !errors.Is(err, httpapi.ErrOpen) || calls != 0 {
			t.Errorf("%v, %d calls", err, calls)
		}
		time.Sleep(7 * time.Second)
		_ = do(t.Context()) // the try fails
		state("open")
		time.Sleep(7 * time.Second)
		hang = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_ = do(ctx) // the try is given up by the caller, and must not be the last one ever
		cancel()
		state("open")
		time.Sleep(7 * time.Second)
		hang, status = false, 202
		if err := do(t.Context()); err != nil {
			t.Error(err)
		}
		state("closed")
		hang = true
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = do(ctx)
			cancel()
		}
		state("closed") // a caller who gives up says nothing about the instance
	})
}

func TestNoBreaker(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, func(o *httpapi.ClientOptions) { o.Failures = -1 })
	for range 20 {
		if r, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: "POST /"}); err != nil || r.Status != 500 {
			t.Fatal(r, err)
		}
	}
	if b := c.Instances(); b[0].State != "none" {
		t.Errorf("%+v", b)
	}
}

type several struct {
	mu   sync.Mutex
	urls []string
}

func (s *several) Resolve(context.Context, string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.urls) == 0 {
		return nil, httpapi.ErrNoService
	}
	return s.urls, nil
}

func TestBalance(t *testing.T) {
	l := httpapi.NewLocal(nil)
	t.Cleanup(l.CloseIdleConnections)
	var counts [3]atomic.Int64
	var sick atomic.Bool
	for i := range counts {
		l.Handle(fmt.Sprint("p", i), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			counts[i].Add(1)
			if i == 0 && sick.Load() {
				w.WriteHeader(500)
			}
		}))
	}
	res := &several{urls: []string{"http://p0", "http://p1", "http://p2"}}
	c := httpapi.NewClient(httpapi.ClientOptions{Resolver: res, Transport: l, OpenFor: time.Hour})
	run := func(n int) (got [3]int64) {
		for i := range counts {
			counts[i].Store(0)
		}
		for range n {
			if _, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: "POST /"}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range counts {
			got[i] = counts[i].Load()
		}
		return got
	}
	for i, n := range run(600) {
		if n < 100 || n > 300 {
			t.Errorf("instance %d took %d of 600", i, n)
		}
	}
	sick.Store(true)
	run(100)
	if got := run(100); got[0] != 0 {
		t.Errorf("a sick instance took %d of 100", got[0])
	}
	if b := c.Instances(); len(b) != 3 || b[0].State != "open" || b[1].State != "closed" {
		t.Errorf("%+v", b)
	}
	res.mu.Lock()
	res.urls = []string{"http://p2", "http://p0"} // p1 is gone, p0 is known to be sick
	res.mu.Unlock()
	if got := run(50); got != [3]int64{0, 0, 50} {
		t.Errorf("%v", got)
	}
	res.mu.Lock()
	res.urls = nil
	res.mu.Unlock()
	if _, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: "POST /"}); !errors.Is(err, httpapi.ErrNoService) {
		t.Error(err)
	}
}

// A slow instance is spared: of two, the one with fewer calls under way is taken.
func TestBalanceBySpare(t *testing.T) {
	l := httpapi.NewLocal(nil)
	t.Cleanup(l.CloseIdleConnections)
	enough := make(chan struct{})
	inside := make(chan struct{}, 1000)
	var slow, fast atomic.Int64
	l.Handle("slow", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { slow.Add(1); inside <- struct{}{}; <-enough }))
	l.Handle("fast", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fast.Add(1); inside <- struct{}{} }))
	c := httpapi.NewClient(httpapi.ClientOptions{Resolver: &several{urls: []string{"http://slow", "http://fast"}}, Transport: l, Failures: -1})
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if _, err := c.Do(t.Context(), httpapi.Call{To: "payment", Op: "POST /"}); err != nil {
				t.Error(err)
			}
		})
		<-inside // one after the other: then all that are under way are the slow one's
	}
	close(enough)
	group.Wait()
	if slow.Load() > 20 || fast.Load() < 80 {
		t.Errorf("slow %d, fast %d", slow.Load(), fast.Load())
	}
}

func TestGet(t *testing.T) {
	for _, c := range []struct {
		name     string
		statuses []int
		calls    int
		err      error
	}{
		{"at once", []int{200}, 1, nil},
		{"at last", []int{500, 503, 200}, 3, nil},
		{"never", []int{500, 500, 500}, 3, httpapi.ErrUnavailable},
		{"refused", []int{404}, 1, &httpapi.Refused{}},
		{"refused later", []int{500, 404}, 2, &httpapi.Refused{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				cl := client(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.statuses[calls]); calls++ }, nil)
				r, err := cl.Get(t.Context(), "payment", "/v1/x")
				var refused *httpapi.Refused
				switch {
				case calls != c.calls:
					t.Errorf("%d calls", calls)
				case c.err == nil && (err != nil || r.Status != 200):
					t.Errorf("%v %v", r, err)
				case errors.As(c.err, &refused) && !errors.As(err, &refused):
					t.Errorf("%v", err)
				case c.err != nil && refused == nil && !errors.Is(err, c.err):
					t.Errorf("%v", err)
				}
				if refused != nil && (refused.Status != 404 || refused.Detail == "") {
					t.Errorf("%+v", refused)
				}
			})
		})
	}
	t.Run("told to wait", func(t *testing.T) {
		calls := 0
		cl := client(t, func(w http.ResponseWriter, _ *http.Request) {
			calls++
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(503)
		}, nil)
		if _, err := cl.Get(t.Context(), "payment", "/"); !errors.Is(err, httpapi.ErrUnavailable) || calls != 1 {
			t.Errorf("%v, %d calls", err, calls)
		}
	})
}
