package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers a client's requests in this process: no socket, so that synctest sees when all wait.
type server struct{ http.Handler }

func (s server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil { // a server's requests have one
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

// write answers with text.
func write(w io.Writer, text string) { _, _ = io.WriteString(w, text) } // to a recorder: it cannot fail

func talkingTo(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	c, err := client.New("http://tiffin.test/", server{h})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNew(t *testing.T) {
	for _, bad := range []string{"", "localhost:8080", "/v1", "ftp://x", "http://", "http://a b"} {
		if _, err := client.New(bad, nil); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"http://127.0.0.1:8080", "https://tiffin.example/", "http://[::1]:80/base"} {
		if _, err := client.New(good, nil); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// TestRequests: what each call sends, to the byte.
func TestRequests(t *testing.T) {
	var got string
	c := talkingTo(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = strings.TrimSpace(fmt.Sprint(r.Method, " ", r.URL.RequestURI(), " ", r.Header.Get("Content-Type"), " ",
			r.Header.Get("Idempotency-Key"), " ", string(body)))
		write(w, `{"id":"o1"}`)
	})
	o := client.Order{CustomerID: "c1", Items: []wire.Item{{Product: "Lasagna", Quantity: 2}}}
	tests := []struct {
		call func() (wire.Order, error)
		want string
	}{
		{func() (wire.Order, error) { return c.Place(t.Context(), o, "k1") },
			`POST /v1/orders application/json k1 {"customer_id":"c1","items":[{"product":"Lasagna","quantity":2}]}`},
		{func() (wire.Order, error) { return c.Get(t.Context(), "a/b?c") }, `GET /v1/orders/a%2Fb%3Fc`},
		{func() (wire.Order, error) { return c.Cancel(t.Context(), "o1", false, "") }, `POST /v1/orders/o1/cancel application/json  {}`},
		{func() (wire.Order, error) { return c.Cancel(t.Context(), "o1", true, "closed") },
			`POST /v1/orders/o1/cancel application/json  {"operator":true,"reason":"closed"}`},
	}
	for _, tt := range tests {
		if o, err := tt.call(); err != nil || o.ID != "o1" || got != tt.want {
			t.Errorf("%+v, %v\ngot  %s\nwant %s", o, err, got, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"a problem", 422, `{"title":"Unprocessable","status":422,"detail":"body.items: expected at least 1"}`, "422 Unprocessable Entity: body.items: expected at least 1"},
		{"no JSON", 502, "<html>bad gateway</html>", "502 Bad Gateway: <html>bad gateway</html>"},
		{"another JSON", 500, `{"error":"x"}`, `500 Internal Server Error: {"error":"x"}`},
		{"nothing", 503, "", "503 Service Unavailable: "},
		{"a long page", 500, strings.Repeat("x", 5000), "500 Internal Server Error: " + strings.Repeat("x", 200)},
		{"a redirect to nowhere", 304, "", "304 Not Modified: "},
	}
	for _, tt := range tests {
		c := talkingTo(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			write(w, tt.body)
		})
		_, err := c.Get(t.Context(), "o1")
		var e *client.Error
		if !errors.As(err, &e) || e.Status != tt.status || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		if err := c.Watch(t.Context(), "o1", nil); !errors.As(err, &e) || e.Status != tt.status {
			t.Errorf("%s: Watch: %v", tt.name, err)
		}
	}

	t.Run("an answer that is no order", func(t *testing.T) {
		c := talkingTo(t, func(w http.ResponseWriter, _ *http.Request) { write(w, `[]`) })
		if _, err := c.Get(t.Context(), "o1"); err == nil || !strings.Contains(err.Error(), "GET /v1/orders/o1") {
			t.Errorf("%v", err)
		}
	})
	t.Run("the raw answer", func(t *testing.T) {
		c := talkingTo(t, func(w http.ResponseWriter, _ *http.Request) { write(w, `not json`) })
		var raw json.RawMessage
		if _, err := c.Do(t.Context(), "GET", "/x", "", nil, &raw); err != nil || string(raw) != "not json" {
			t.Errorf("%s, %v", raw, err)
		}
	})
	t.Run("nothing listens", func(t *testing.T) {
		s := httptest.NewServer(http.NotFoundHandler())
		s.Close()
		c, err := client.New(s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Get(t.Context(), "o1")
		if err == nil || !strings.Contains(err.Error(), "start it with `tiffin up`") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a body that is no JSON", func(t *testing.T) {
		c := talkingTo(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
		if _, err := c.Do(t.Context(), "POST", "/x", "", func() {}, nil); err == nil {
			t.Error("it was taken")
		}
	})
}

// TestEach reads page after page until the last, or until it is told to stop.
func TestEach(t *testing.T) {
	pages := map[string]struct{ body, link string }{
		"/v1/orders":          {`[1,2]`, `</v1/orders?cursor=b>; rel="next"`},
		"/v1/orders?cursor=b": {`[3]`, `</v1/orders>; rel="first", </v1/orders?cursor=c>; rel="next"`},
		"/v1/orders?cursor=c": {`[4,5]`, `</v1/orders>; rel="first"`},
	}
	asked := 0
	c := talkingTo(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		page, ok := pages[r.URL.RequestURI()]
		if !ok {
			http.Error(w, `{"detail":"no such page"}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Link", page.link)
		write(w, page.body)
	})
	for _, tt := range []struct {
		until int
		want  []int
		asked int
	}{{99, []int{1, 2, 3, 4, 5}, 3}, {3, []int{1, 2, 3}, 2}, {1, []int{1}, 1}} {
		asked = 0
		var got []int
		err := client.Each(t.Context(), c, "/v1/orders", func(n int) bool {
			got = append(got, n)
			return n < tt.until
		})
		if err != nil || !slices.Equal(got, tt.want) || asked != tt.asked {
			t.Errorf("until %d: %v after %d requests, %v", tt.until, got, asked, err)
		}
	}
	var e *client.Error
	if err := client.Each(t.Context(), c, "/v1/other", func(int) bool { return true }); !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("%v", err)
	}
}

func event(id int, s wire.Status, settled bool) string {
	return fmt.Sprintf("event: status\nid: %d\ndata: {\"status\":%q,\"when\":\"2026-03-01T12:00:00Z\",\"settled\":%t}\n\n", id, s, settled)
}

// TestWatch takes up a stream that broke where it broke, and ends when the order is settled.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams := []struct{ after, text string }{
			{"", event(1, wire.Created, false) + event(2, wire.PaymentPaid, false)},
			{"2", ""},
			{"2", ": still here\n\n" + event(3, wire.DeliveryScheduled, false) + "id: 4\ndata: {\"sta"}, // broken off
			{"4", "id: 4\nevent: status\ndata: {\"status\":\"orderCancelled\",\ndata: \"reason\":\"no driver\"}\n\n" + event(5, wire.Reimbursed, true)},
		}
		n := 0
		c := talkingTo(t, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Last-Event-ID"); got != streams[n].after {
				t.Errorf("stream %d: after %q, want %q", n, got, streams[n].after)
			}
			write(w, streams[n].text)
			n++
		})
		var got []string
		err := c.Watch(t.Context(), "o1", func(e client.StatusEvent) bool {
			got = append(got, strings.TrimSpace(string(e.Status)+" "+e.Reason))
			return true
		})
		want := []string{"created", "paymentPaid", "deliveryScheduled", "orderCancelled no driver", "reimbursed"}
		if err != nil || n != len(streams) || !slices.Equal(got, want) {
			t.Errorf("%v after %d streams, %v", got, n, err)
		}
	})
}

// TestWatchPauses: a server that ends every stream at once is asked less and less, and ctx ends the wait.
func TestWatchPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams := 0
		c := talkingTo(t, func(http.ResponseWriter, *http.Request) { streams++ })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		err := c.Watch(ctx, "o1", func(client.StatusEvent) bool { return true })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		if streams < 20 || streams > 60 {
			t.Errorf("%d streams in a minute", streams)
		}
	})
}

func TestWatchEnds(t *testing.T) {
	c := talkingTo(t, func(w http.ResponseWriter, _ *http.Request) {
		write(w, event(1, wire.Created, false)+event(2, wire.PaymentPaid, false)+"data: {\n\n")
	})
	seen := 0
	if err := c.Watch(t.Context(), "o1", func(client.StatusEvent) bool { seen++; return false }); err != nil || seen != 1 {
		t.Errorf("told to stop: %v after %d events", err, seen)
	}
	if err := c.Watch(t.Context(), "o1", func(client.StatusEvent) bool { return true }); err == nil || !strings.Contains(err.Error(), "event") {
		t.Errorf("an event that is no JSON: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Watch(ctx, "o1", func(client.StatusEvent) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}
