package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/gateway"
	"github.com/tiffin-food/tiffin/internal/limit"
	"github.com/tiffin-food/tiffin/internal/limit/memory"
)

// byKey are callers by what they show as X-API-Key.
var byKey = auth.AuthenticatorFunc(func(r *http.Request) (auth.Caller, error) {
	switch key := r.Header.Get(auth.KeyHeader); {
	case key == "":
		return auth.Caller{}, nil
	case strings.HasPrefix(key, "customer-"):
		return auth.Caller{Subject: "account:" + key, Roles: []auth.Role{auth.Customer}, Customer: key}, nil
	case key == "program":
		return auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}}, nil
	case key == "root":
		return auth.Root, nil
	}
	return auth.Caller{}, auth.ErrCredential
})

// limited is a gateway with rules, at a time that the test sets. Requests come from the address that X-Forwarded-For
// says.
func limited(t *testing.T, rules limit.Rules, services map[string]http.Handler) (func(who, from, method, path string) (*http.Response, string), *time.Time) {
	t.Helper()
	now := time.Unix(1_700_000_000, 0).Truncate(time.Hour)
	proxies, err := gateway.ParseProxies([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	l := &gateway.Limits{Limiter: limit.New(memory.New(0), func() time.Time { return now }), Rules: rules, Proxies: proxies}
	server := town(t, gateway.Options{Authenticate: byKey, Limit: l.Middleware, Proxies: proxies}, services)
	return func(who, from, method, path string) (*http.Response, string) {
		t.Helper()
		return ask(t, server, method, path, "", auth.KeyHeader, who, "X-Forwarded-For", from)
	}, &now
}

// upTo asks until it is refused, and fails where that is not after n.
func upTo(t *testing.T, n int, request func() (*http.Response, string)) (*http.Response, string) {
	t.Helper()
	for i := range n + 1 {
		res, body := request()
		if (res.StatusCode == http.StatusTooManyRequests) != (i == n) {
			t.Fatalf("request %d of %d: %d %s", i+1, n, res.StatusCode, body)
		}
		if i == n {
			isProblem(t, res, body, http.StatusTooManyRequests)
			return res, body
		}
	}
	return nil, ""
}

func TestLimits(t *testing.T) {
	rules := limit.PerMinute(30, 8, 3, 50)
	ask, now := limited(t, rules, nil)
	res, body := upTo(t, 30, func() (*http.Response, string) { return ask("", "192.0.2.1", "GET", "/v1/restaurants") })
	wait, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || wait < 60 || wait > 120 || !strings.Contains(body, "30 requests of one address a minute") {
		t.Errorf("Retry-After %q: %s", res.Header.Get("Retry-After"), body)
	}
	if p, l := res.Header.Get("RateLimit-Policy"), res.Header.Get("RateLimit"); p != `"address";q=30;w=60` || l != fmt.Sprintf(`"address";r=0;t=%d`, wait) {
		t.Errorf("%s and %s", p, l)
	}
	if res, _ := ask("", "192.0.2.2", "GET", "/v1/restaurants"); res.StatusCode != http.StatusOK || res.Header.Get("RateLimit") != `"address";r=29;t=60` {
		t.Errorf("another address: %d %v", res.StatusCode, res.Header)
	}
	upTo(t, 8, func() (*http.Response, string) { return ask("customer-1", "192.0.2.3", "GET", "/v1/orders") })
	res, _ = upTo(t, 3, func() (*http.Response, string) { return ask("customer-2", "192.0.2.4", "POST", "/v1/orders") })
	if p := res.Header.Get("RateLimit-Policy"); !strings.Contains(p, `"customer";q=8;w=60`) || !strings.Contains(p, `"orders";q=3;w=60`) {
		t.Error(p)
	}
	if res, body := ask("customer-2", "192.0.2.4", "GET", "/v1/orders"); res.StatusCode != http.StatusOK {
		t.Errorf("reading after too many orders: %d %s", res.StatusCode, body)
	}
	upTo(t, 50, func() (*http.Response, string) { return ask("program", "192.0.2.5", "GET", "/v1/orders") })
	// A company has few addresses: its news is not held to what a person's address is.
	upTo(t, 50, func() (*http.Response, string) { return ask("", "192.0.2.6", "POST", "/v1/payments/callback") })
	for range 100 {
		if res, body := ask("root", "192.0.2.7", "GET", "/v1/orders"); res.StatusCode != http.StatusOK || res.Header.Get("RateLimit") != "" {
			t.Fatalf("root: %d %s", res.StatusCode, body)
		}
	}
	*now = now.Add(time.Duration(wait) * time.Second)
	if res, body := ask("", "192.0.2.1", "GET", "/v1/restaurants"); res.StatusCode != http.StatusOK {
		t.Errorf("after Retry-After: %d %s", res.StatusCode, body)
	}
	upTo(t, 8, func() (*http.Response, string) { return ask("customer-3", "192.0.2.8", "GET", "/v1/me/dashboard") })
}

// TestCancelLoops: whoever cancels again and again waits with new orders, and may cancel all the same.
func TestCancelLoops(t *testing.T) {
	answer := http.StatusConflict
	ask, now := limited(t, limit.PerMinute(0, 2, 100, 0), map[string]http.Handler{
		"order": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/cancel") {
				w.WriteHeader(answer)
			}
		}),
	})
	cancel := func(n int) {
		t.Helper()
		for range n {
			if res, body := ask("customer-1", "192.0.2.1", "POST", "/v1/orders/1/cancel"); res.StatusCode != answer {
				t.Fatalf("a cancel: %d %s", res.StatusCode, body)
			}
		}
	}
	place := func(want int) *http.Response {
		t.Helper()
		res, body := ask("customer-1", "192.0.2.1", "POST", "/v1/orders")
		if res.StatusCode != want {
			t.Errorf("a new order: %d %s, want %d", res.StatusCode, body, want)
		}
		return res
	}
	cancel(20) // too late, all of them: nothing was cancelled
	place(http.StatusOK)
	answer = http.StatusAccepted
	cancel(5)
	wait, err := strconv.Atoi(place(http.StatusTooManyRequests).Header.Get("Retry-After"))
	if err != nil || wait < 600 || wait > 1200 {
		t.Errorf("Retry-After %d", wait)
	}
	cancel(3)
	if res, body := ask("customer-2", "192.0.2.1", "POST", "/v1/orders"); res.StatusCode != http.StatusOK {
		t.Errorf("another customer: %d %s", res.StatusCode, body)
	}
	*now = now.Add(20 * time.Minute)
	place(http.StatusOK)
}

func TestClient(t *testing.T) {
	proxies, err := gateway.ParseProxies([]string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.9"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ peer, forwarded, want string }{
		{"203.0.113.5:99", "", "203.0.113.5"},
		{"203.0.113.5:99", "198.51.100.1", "203.0.113.5"}, // nobody we know says so
		{"10.1.2.3:99", "198.51.100.1", "198.51.100.1"},
		{"10.1.2.3:99", "6.6.6.6, 198.51.100.1", "198.51.100.1"},
		{"10.1.2.3:99", "6.6.6.6, 198.51.100.1, 10.9.9.9, 192.0.2.9", "198.51.100.1"},
		{"10.1.2.3:99", "6.6.6.6, nonsense, 10.9.9.9", "10.9.9.9"},
		{"10.1.2.3:99", "", "10.1.2.3"},
		{"[::ffff:10.1.2.3]:99", "::ffff:198.51.100.1", "198.51.100.1"},
		{"[2001:db8::1]:99", "2a00:1:2:3:4:5:6:7", "2a00:1:2:3:4:5:6:7"},
		{"local", "198.51.100.1", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if got, ok := proxies.Client(r); ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("%s for %s: %s", tt.peer, tt.forwarded, got)
		}
	}
	if _, err := gateway.ParseProxies([]string{"10.0.0.0/33"}); err == nil {
		t.Error("a network of 33 bits")
	}
	ask, _ := limited(t, limit.PerMinute(2, 0, 0, 0), nil)
	i := 0
	upTo(t, 2, func() (*http.Response, string) { // one household
		i++
		return ask("", fmt.Sprintf("2a00:1:2:3::%d", i), "GET", "/v1/restaurants")
	})
	if res, _ := ask("", "2a00:1:2:4::1", "GET", "/v1/restaurants"); res.StatusCode != http.StatusOK {
		t.Error("the neighbours are refused")
	}
}

// TestForwardedFor: a service is told who asks, and not what the asker says.
func TestForwardedFor(t *testing.T) {
	var got string
	services := map[string]http.Handler{"kitchen": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-Forwarded-For") })}
	request, _ := limited(t, limit.PerMinute(0, 0, 0, 0), services)
	request("", "6.6.6.6, 198.51.100.1", "GET", "/v1/restaurants")
	if got != "198.51.100.1" {
		t.Error(got)
	}
	ask(t, town(t, gateway.Options{}, services), "GET", "/v1/restaurants", "", "X-Forwarded-For", "6.6.6.6")
	if got != "127.0.0.1" {
		t.Error(got)
	}
}
