package e2e_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/verify"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// noon is when a town begins.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// innerKey is what the services of a town show each other.
const innerKey = "between the services of a town"

// inside is what a request shows a service to be taken for one of its neighbours and for an operator.
var inside = []string{auth.KeyHeader, innerKey, auth.Header, auth.Root.Encode()}

// town is the whole system in the test's own process, with real databases and a real socket for its gateway. Its
// clock is virtual and stands still but while the test lets time pass: between two calls nothing happens that needs
// time, and what needs none is soon done.
type town struct {
	outside
	t   *testing.T
	ctx context.Context
	sys *app.System
	url string

	lawless bool // the test does what no service would: the invariants are not checked at the end
}

// found makes a town that ends with the test. When it ends every invariant must hold.
func found(t *testing.T, change func(*app.Config)) *town {
	t.Helper()
	cfg := app.Config{
		Version: "e2e", Data: t.TempDir(), Speed: 1, Virtual: noon, Partners: true, Demo: true, Search: 3 * time.Minute,
		APIKey: innerKey, Companies: secrets,
	}
	if change != nil {
		change(&cfg)
	}
	beOperator(t, cfg.Data)
	ctx := context.WithoutCancel(t.Context())
	sys, err := app.New(ctx, cfg, app.Services...)
	if err != nil {
		t.Fatal(err)
	}
	w := &town{outside: newOutside(t), t: t, ctx: ctx, sys: sys, url: serve(t, sys, sys.Gateway)}
	t.Cleanup(func() { // before the server stops, and before the system does
		if !w.lawless {
			w.verify()
		}
	})
	return w
}

// serve answers on a free port until the test ends; then the system is stopped.
func serve(t *testing.T, sys *app.System, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- sys.Serve(ctx, ln, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer done()
		if err := sys.Stop(grace); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

// in is the town for a subtest.
func (w *town) in(t *testing.T) *town {
	sub := *w
	sub.t = t
	return &sub
}

// verify checks every invariant now.
func (w *town) verify() verify.Report {
	w.t.Helper()
	report, err := w.sys.Verify(w.ctx)
	if err != nil {
		w.t.Error(err)
	}
	for _, v := range report.Violations {
		w.t.Error(v)
	}
	return report
}

// pass lets time pass: when it returns all that was due before is done.
func (w *town) pass(d time.Duration) {
	w.t.Helper()
	there := make(chan struct{})
	w.sys.Clock.At(w.sys.Clock.Now().Add(d), func() {
		w.sys.Clock.Hold()
		close(there)
	})
	w.sys.Clock.Release()
	select {
	case <-there:
	case <-time.After(patience):
		w.t.Fatalf("time stands still at %s: something holds the clock", w.sys.Now())
	}
}

// call makes a request to the gateway that must be answered.
func (w *town) call(method, path string, body any, headers ...string) answer {
	w.t.Helper()
	a, err := w.do(w.ctx, method, w.url+path, body, headers...)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// want is call, where only one status will do.
func (w *town) want(status int, method, path string, body any, headers ...string) answer {
	w.t.Helper()
	a := w.call(method, path, body, headers...)
	if a.status != status {
		w.t.Fatalf("%s %s: %s, want %d", method, path, a, status)
	}
	return a
}

// wish is the body of an order: one of what the restaurant sells, empty for the demo restaurant.
func wish(customer, restaurant string) map[string]any {
	body := map[string]any{"customer_id": customer, "items": []map[string]any{{"product": menus[restaurant]}}}
	if restaurant != "" {
		body["restaurant_id"] = restaurant
	}
	return body
}

// place places one.
func (w *town) place(customer, restaurant string, headers ...string) wire.Order {
	w.t.Helper()
	return decoded[wire.Order](w.t, w.want(202, http.MethodPost, "/v1/orders", wish(customer, restaurant), headers...).body)
}

// get reads an order.
func (w *town) get(id string) wire.Order {
	w.t.Helper()
	return decoded[wire.Order](w.t, w.want(200, http.MethodGet, "/v1/orders/"+id, nil).body)
}

// reach lets time pass until the order is as far as status, and no further than it comes within a second.
func (w *town) reach(id string, status wire.Status) wire.Order {
	w.t.Helper()
	return w.until(id, time.Second, func(o wire.Order) bool { return slices.Contains(statuses(o.History), status) })
}

// settle lets time pass until the order is settled.
func (w *town) settle(id string) wire.Order {
	w.t.Helper()
	return w.until(id, time.Minute, func(o wire.Order) bool { return o.Settled })
}

func (w *town) until(id string, step time.Duration, enough func(wire.Order) bool) wire.Order {
	w.t.Helper()
	for began := w.sys.Now(); ; w.pass(step) {
		o := w.get(id)
		if enough(o) {
			return o
		}
		if w.sys.Now().Sub(began) > 4*time.Hour {
			w.t.Fatalf("after %s the order is %+v", w.sys.Now().Sub(began), o)
		}
	}
}

// when is when the order reached a status.
func when(t *testing.T, o wire.Order, s wire.Status) time.Time {
	t.Helper()
	for _, m := range o.History {
		if m.Status == s {
			return m.When
		}
	}
	t.Fatalf("the order never was %s: %v", s, o.History)
	return time.Time{}
}
