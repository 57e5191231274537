package gateway_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/gateway"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// town is a gateway over services that say what reached them.
func town(t *testing.T, opt gateway.Options, services map[string]http.Handler) *httptest.Server {
	t.Helper()
	local := httpapi.NewLocal(nil)
	for _, s := range gateway.Services {
		h := services[s.Name]
		if h == nil {
			h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"service":%q,"method":%q,"path":%q,"query":%q,"key":%q,"request":%q}`,
					s.Name, r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get(httpapi.APIKeyHeader), r.Header.Get(httpapi.RequestIDHeader))
			})
		}
		local.Handle(s.Name, h)
	}
	for name, h := range services {
		if h == nil {
			local.Handle(name, nil)
		}
	}
	opt.Version, opt.Transport = "test", local
	if opt.Authenticate == nil {
		opt.Authenticate = auth.Trusting
	}
	server := httptest.NewServer(gateway.New(opt))
	t.Cleanup(func() {
		server.Close()
		local.CloseIdleConnections()
	})
	return server
}

// ask makes a request and gives the answer with its body.
func ask(t *testing.T, server *httptest.Server, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// isProblem fails where an answer is not a problem with a detail.
func isProblem(t *testing.T, res *http.Response, body string, status int) {
	t.Helper()
	var p struct{ Detail string }
	if res.StatusCode != status || res.Header.Get("Content-Type") != "application/problem+json" ||
		json.Unmarshal([]byte(body), &p) != nil || p.Detail == "" {
		t.Errorf("%s %s: %d %s %s, want a problem with %d", res.Request.Method, res.Request.URL.Path, res.StatusCode,
			res.Header.Get("Content-Type"), body, status)
	}
}

func TestForwards(t *testing.T) {
	server := town(t, gateway.Options{}, nil)
	for _, tt := range []struct{ method, path, service, arrives string }{
		{"POST", "/v1/orders", "order", "/v1/orders"},
		{"GET", "/v1/orders/1", "order", "/v1/orders/1"},
		{"POST", "/v1/orders/1/cancel", "order", "/v1/orders/1/cancel"},
		{"GET", "/v1/restaurants/1/menu", "kitchen", "/v1/restaurants/1/menu"},
		{"POST", "/v1/customers", "customer", "/v1/customers"},
		{"POST", "/v1/payments/callback", "payment", "/v1/payments/callback"},
		{"POST", "/v1/deliveries/callback", "delivery", "/v1/deliveries/callback"},
		{"GET", "/kitchen/docs", "kitchen", "/docs"},
		{"GET", "/payment/openapi.json", "payment", "/openapi.json"},
		{"GET", "/order/health", "order", "/health"},
	} {
		res, body := ask(t, server, tt.method, tt.path+"?limit=3", "", httpapi.APIKeyHeader, "stolen", httpapi.RequestIDHeader, "mine")
		var got map[string]string
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, res.StatusCode, body)
			continue
		}
		want := map[string]string{"service": tt.service, "method": tt.method, "path": tt.arrives, "query": "limit=3", "key": "", "request": "mine"}
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s %s: %s is %q, want %q", tt.method, tt.path, name, got[name], value)
			}
		}
		if res.Header.Get(httpapi.RequestIDHeader) != "mine" {
			t.Errorf("%s %s: the answer's request id is %q", tt.method, tt.path, res.Header.Get(httpapi.RequestIDHeader))
		}
	}
}

// TestCommandsAreNotPublic: what services ask of each other does not exist outside.
func TestCommandsAreNotPublic(t *testing.T) {
	server := town(t, gateway.Options{}, nil)
	for _, route := range []string{
		"POST /v1/payments", "POST /v1/payments/reimburse", "POST /v1/payments/1/ask",
		"POST /v1/deliveries", "POST /v1/deliveries/1/cancel", "POST /v1/deliveries/1/release",
		"POST /v1/kitchen", "POST /v1/kitchen/release", "POST /v1/customers/1/billing", "GET /v1/customers/1/address",
		"GET /v1/nothing", "GET /order/v1/orders",
	} {
		method, path, _ := strings.Cut(route, " ")
		res, body := ask(t, server, method, path, "{}")
		if res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d %s", route, res.StatusCode, body)
			continue
		}
		isProblem(t, res, body, res.StatusCode)
	}
	res, body := ask(t, server, "GET", "/v1/orders/1%2fcancel", "")
	isProblem(t, res, body, http.StatusNotFound)
}

func TestWhatServicesDoNotAnswer(t *testing.T) {
	release := make(chan struct{})
	server := town(t, gateway.Options{Timeout: 50 * time.Millisecond, MaxBody: 100}, map[string]http.Handler{
		"order":    http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"kitchen":  nil,
		"customer": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); close(release) }),
	})
	res, body := ask(t, server, "GET", "/v1/orders", "")
	isProblem(t, res, body, http.StatusBadGateway)
	res, body = ask(t, server, "GET", "/v1/customers", "")
	isProblem(t, res, body, http.StatusGatewayTimeout)
	<-release // the service was told that nobody waits
	res, body = ask(t, server, "POST", "/v1/payments/callback", strings.Repeat("x", 101))
	isProblem(t, res, body, http.StatusRequestEntityTooLarge)
}

// TestStreams: an event arrives when it is sent, not when the stream ends.
func TestStreams(t *testing.T) {
	seen := make(chan struct{})
	server := town(t, gateway.Options{Timeout: time.Second}, map[string]http.Handler{
		"order": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", httpapi.StreamType)
			_, _ = io.WriteString(w, "data: first\n\n")
			_ = http.NewResponseController(w).Flush()
			<-seen
			_, _ = io.WriteString(w, "data: second\n\n")
		}),
	})
	res, err := server.Client().Get(server.URL + "/v1/orders/1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	lines := bufio.NewScanner(res.Body)
	for _, want := range []string{"data: first", "", "data: second", ""} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("%q (%v), want %q", lines.Text(), lines.Err(), want)
		}
		if want == "data: first" {
			close(seen)
		}
	}
}

// TestChain: limits stand inside authentication, and outside of the services.
func TestChain(t *testing.T) {
	limit := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			httpapi.WriteError(w, r, httpapi.Errorf(http.StatusTooManyRequests, "limit of %s", auth.From(r.Context()).Subject))
		})
	}
	server := town(t, gateway.Options{Limit: limit, Authenticate: auth.AuthenticatorFunc(func(r *http.Request) (auth.Caller, error) {
		switch r.Header.Get(httpapi.APIKeyHeader) {
		case "":
			return auth.Caller{}, nil
		case "operator":
			return auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}}, nil
		case "courier":
			return auth.Caller{Subject: "key:2", Roles: []auth.Role{auth.Courier}}, nil
		}
		return auth.Caller{}, auth.ErrCredential
	})}, nil)
	for _, tt := range []struct {
		key    string
		status int
		detail string
	}{
		{"", http.StatusUnauthorized, "sign in"}, {"guess", http.StatusUnauthorized, "not valid"},
		{"courier", http.StatusForbidden, "not yours"}, {"operator", http.StatusTooManyRequests, "key:1"},
	} {
		res, body := ask(t, server, "POST", "/v1/orders", "{}", httpapi.APIKeyHeader, tt.key)
		isProblem(t, res, body, tt.status)
		if !strings.Contains(body, tt.detail) {
			t.Errorf("key %q: %s", tt.key, body)
		}
		if (res.Header.Get("WWW-Authenticate") != "") != (tt.status == http.StatusUnauthorized) {
			t.Errorf("key %q: WWW-Authenticate %q", tt.key, res.Header.Get("WWW-Authenticate"))
		}
	}
}

// TestNoIdentityFromOutside: what a request says of its own caller does not reach a service; what the gateway found
// out does.
func TestNoIdentityFromOutside(t *testing.T) {
	var got http.Header
	order := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
	caller := auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Customer}, Customer: "c1"}
	server := town(t, gateway.Options{Authenticate: auth.AuthenticatorFunc(func(*http.Request) (auth.Caller, error) {
		return caller, nil
	})}, map[string]http.Handler{"order": order})
	ask(t, server, "GET", "/v1/orders", "", auth.Header, auth.Root.Encode(), "Authorization", "Bearer x", "Cookie", "a=b", auth.KeyHeader, "k")
	if who, err := auth.Decode(got.Get(auth.Header)); err != nil || who.Subject != caller.Subject || who.Is(auth.Operator) {
		t.Errorf("the service was told %q (%v)", got.Values(auth.Header), err)
	}
	for _, name := range []string{"Authorization", "Cookie", auth.KeyHeader} {
		if got.Get(name) != "" {
			t.Errorf("%s went on", name)
		}
	}
}

func TestLanding(t *testing.T) {
	server := town(t, gateway.Options{Demo: gateway.Demo{ID: "0190a000-0000-7000-8000-00000000c001", Email: "ada@example.com", Password: "public"}}, nil)
	res, body := ask(t, server, "GET", "/", "")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "0190a000-0000-7000-8000-00000000c001") || !strings.Contains(body, server.URL) {
		t.Errorf("%d without the customer or the address", res.StatusCode)
	}
	for _, from := range []string{`src="http`, `href="http`, "@import", "url(http"} {
		if strings.Contains(body, from) {
			t.Errorf("the page needs the internet: %s", from)
		}
	}
	res, body = ask(t, server, "GET", "/health", "")
	var h httpapi.Health
	if err := json.Unmarshal([]byte(body), &h); res.StatusCode != http.StatusOK || err != nil || len(h.Resources) != len(gateway.Services) {
		t.Errorf("health: %d %s", res.StatusCode, errors.Join(err, errors.New(body)))
	}
}

// TestOutsidersTracesEndHere: no service sees a trace that is not ours, whether we trace or not.
func TestOutsidersTracesEndHere(t *testing.T) {
	for name, opt := range map[string]gateway.Options{
		"off": {}, "on": {Tracer: sdktrace.NewTracerProvider().Tracer("test")},
	} {
		t.Run(name, func(t *testing.T) {
			var got http.Header
			server := town(t, opt, map[string]http.Handler{"order": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })})
			ask(t, server, http.MethodGet, "/v1/orders", "",
				"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate", "a=canary", "baggage", "b=canary")
			if strings.Contains(fmt.Sprint(got), "canary") || strings.Contains(fmt.Sprint(got), "0af7651916cd43dd8448eb211c80319c") {
				t.Errorf("the service saw %v", got)
			}
			if (got.Get("Traceparent") != "") != (opt.Tracer != nil) {
				t.Errorf("the service is in the trace %q", got.Get("Traceparent"))
			}
		})
	}
}
