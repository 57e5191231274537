package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/gateway"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// TestShedding: lists are turned away first, then new orders; cancels, callbacks and whatever else never. Nobody is
// asked who he is for a refusal.
func TestShedding(t *testing.T) {
	for _, tt := range []struct {
		pressure      float64
		lists, orders int // turned away, of 100
	}{{0, 0, 0}, {0.1, 40, 10}, {0.25, 100, 25}, {0.98, 100, 98}} {
		authenticated := 0
		server := town(t, gateway.Options{
			Pressure: func() float64 { return tt.pressure },
			Authenticate: auth.AuthenticatorFunc(func(*http.Request) (auth.Caller, error) {
				authenticated++
				return auth.Root, nil
			}),
		}, nil)
		refused := map[string]int{}
		const n = 100
		asked := [][2]string{
			{"GET", "/v1/orders"}, {"POST", "/v1/orders"}, {"GET", "/v1/orders/1"}, {"POST", "/v1/orders/1/cancel"},
			{"POST", "/v1/payments/callback"}, {"POST", "/v1/auth/sign-in"}, {"GET", "/v1/dead-letters/"},
		}
		for range n {
			for _, a := range asked {
				res, body := ask(t, server, a[0], a[1], "{}")
				if res.StatusCode != http.StatusServiceUnavailable {
					continue
				}
				refused[a[0]+" "+a[1]]++
				isProblem(t, res, body, http.StatusServiceUnavailable)
				if res.Header.Get("Retry-After") == "" || res.Header.Get(httpapi.RequestIDHeader) == "" {
					t.Errorf("%s %s: %v", a[0], a[1], res.Header)
				}
			}
		}
		lists, orders := refused["GET /v1/orders"], refused["POST /v1/orders"]
		if lists != tt.lists || orders != tt.orders {
			t.Errorf("under %v, %d lists and %d orders were turned away, want %d and %d", tt.pressure, lists, orders, tt.lists, tt.orders)
		}
		delete(refused, "GET /v1/orders")
		delete(refused, "POST /v1/orders")
		if len(refused) > 0 {
			t.Errorf("under %v were turned away: %v", tt.pressure, refused)
		}
		if want := n*len(asked) - lists - orders; authenticated != want {
			t.Errorf("%d were asked who they are, want %d", authenticated, want)
		}
	}
}

// TestPressureIsOurs: what services say of their pressure is heard, and goes no further.
func TestPressureIsOurs(t *testing.T) {
	heard := -1.0
	server := town(t, gateway.Options{Hear: func(p float64) { heard = p }}, map[string]http.Handler{
		"order": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(httpapi.PressureHeader, "0.250") }),
	})
	res, _ := ask(t, server, "GET", "/v1/orders/1", "")
	if heard != 0.25 || res.Header.Get(httpapi.PressureHeader) != "" {
		t.Errorf("heard %v, passed on %q", heard, res.Header.Get(httpapi.PressureHeader))
	}
}

// BenchmarkRefusal is what turning an order away costs the gateway beyond net/http.
func BenchmarkRefusal(b *testing.B) {
	g := gateway.New(gateway.Options{Version: "bench", Transport: httpapi.NewLocal(nil), Pressure: func() float64 { return 1 }})
	for b.Loop() {
		res := httptest.NewRecorder()
		g.ServeHTTP(res, httptest.NewRequest(http.MethodPost, "/v1/orders", http.NoBody))
		if res.Code != http.StatusServiceUnavailable {
			b.Fatal(res.Code)
		}
	}
}
