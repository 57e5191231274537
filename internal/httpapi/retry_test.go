package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// TestReadsAreTriedOnceMore: on another instance, and only what is safe.
func TestReadsAreTriedOnceMore(t *testing.T) {
	var bad, good atomic.Int64
	status, header := http.StatusBadGateway, ""
	local := httpapi.NewLocal(nil)
	defer local.CloseIdleConnections()
	local.Handle("bad", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		bad.Add(1)
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.WriteHeader(status)
	}))
	local.Handle("good", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		good.Add(1)
		_, _ = io.WriteString(w, "good")
	}))
	for _, tt := range []struct {
		name, method, body, accept, header string
		status                             int
		again                              bool
	}{
		{name: "502", method: "GET", status: 502, again: true},
		{name: "503", method: "HEAD", status: 503, again: true},
		{name: "broken off", method: "GET", status: 0, again: true},
		{name: "503 with a time", method: "GET", status: 503, header: "3"},
		{name: "500", method: "GET", status: 500},
		{name: "404", method: "GET", status: 404},
		{name: "POST", method: "POST", status: 502},
		{name: "DELETE", method: "DELETE", status: 0},
		{name: "GET with a body", method: "GET", body: "x", status: 502},
		{name: "a stream", method: "GET", accept: "text/event-stream", status: 502},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, header = tt.status, tt.header
			for range 20 { // which of the two is asked first is chance
				bad.Store(0)
				good.Store(0)
				c := httpapi.NewClient(httpapi.ClientOptions{Resolver: fixed{"http://bad", "http://good"}, Transport: local})
				req := httptest.NewRequest(tt.method, "http://order/x", strings.NewReader(tt.body))
				if tt.body == "" {
					req.Body = http.NoBody
				}
				req.Header.Set("Accept", tt.accept)
				res, err := c.RoundTrip(req)
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				if bad.Load() == 0 {
					continue
				}
				if (good.Load() == 1) != tt.again || bad.Load() != 1 {
					t.Fatalf("%d and %d calls", bad.Load(), good.Load())
				}
				if tt.again != (err == nil && res.StatusCode == 200) {
					t.Fatalf("%v, %v", res, err)
				}
				for _, in := range c.Instances() {
					if in.InFlight != 0 {
						t.Errorf("%+v", in)
					}
				}
			}
		})
	}
	c := httpapi.NewClient(httpapi.ClientOptions{Resolver: fixed{"http://bad"}, Transport: local})
	status = http.StatusBadGateway
	bad.Store(0)
	res, err := c.RoundTrip(httptest.NewRequest("GET", "http://order/x", nil))
	if err != nil || res.StatusCode != http.StatusBadGateway || bad.Load() != 1 {
		t.Errorf("where there is no other: %v, %v, %d calls", res, err, bad.Load())
	} else {
		_ = res.Body.Close()
	}
}

func TestCompressedBodiesAreRefused(t *testing.T) {
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1"})
	a.Handle("POST /x", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for coding, want := range map[string]int{"gzip": 415, "br, zstd": 415, "identity": 204, "": 204} {
		r := httptest.NewRequest("POST", "/x", strings.NewReader("{}"))
		if coding != "" {
			r.Header.Set("Content-Encoding", coding)
		}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != want || want == 415 && (w.Header().Get("Accept-Encoding") != "identity" || !strings.Contains(w.Body.String(), "identity")) {
			t.Errorf("%q: %d %v %s", coding, w.Code, w.Header(), w.Body)
		}
	}
}

// fixed are always the same instances.
type fixed []string

func (f fixed) Resolve(context.Context, string) ([]string, error) { return f, nil }
