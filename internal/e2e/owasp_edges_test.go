package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// documents are the OpenAPI documents of all services and of the gateway.
func (w *town) documents() map[string]map[string]any {
	w.t.Helper()
	all := map[string]map[string]any{}
	for _, name := range append(slices.Clone(app.Services), app.Gateway) {
		b, err := w.sys.API(name).OpenAPI()
		if err != nil {
			w.t.Fatal(err)
		}
		all[name] = decoded[map[string]any](w.t, b)
	}
	return all
}

// places are names of what is a place to call.
var places = regexp.MustCompile(`(?i)ur[li]$|^ur[li]|href|endpoint|host$|redirect|return_to|next$|callback$|webhook$|domain|proxy`)

// TestAPI7_ServerSideRequestForgery: OWASP API7:2023. No request says where Tiffin is to call: no route takes such a
// thing. Where it calls say settings and the registry; and an outside company's name that leads to the inside leads
// nowhere.
func TestAPI7_ServerSideRequestForgery(t *testing.T) {
	w := found(t, nil)
	seen := 0
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(at, e)
			}
		case map[string]any:
			if name, ok := v["name"].(string); ok && v["in"] != nil {
				seen++
				if places.MatchString(name) {
					t.Errorf("%s takes the parameter %s", at, name)
				}
			}
			if properties, ok := v["properties"].(map[string]any); ok {
				for name, p := range properties {
					seen++
					format, _ := p.(map[string]any)["format"].(string)
					if answered := strings.HasSuffix(at, "/Instance"); !answered && places.MatchString(name) || strings.HasPrefix(format, "uri") {
						t.Errorf("%s has the property %s", at, name)
					}
				}
			}
			for name, e := range v {
				walk(at+"/"+name, e)
			}
		}
	}
	for name, doc := range w.documents() {
		walk(name, doc)
	}
	if seen < 100 {
		t.Errorf("%d names were looked at", seen)
	}

	var asked atomic.Int64
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(inner.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(inner.URL, "http://"), ":")
	closed, metadata := httpapi.NewOuterTransport(nil), httpapi.NewOuterTransport([]netip.Prefix{netip.MustParsePrefix("169.254.0.0/16")})
	t.Cleanup(closed.CloseIdleConnections)
	t.Cleanup(metadata.CloseIdleConnections)
	refused := func(transport http.RoundTripper, target string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
		}
		if !errors.Is(err, httpapi.ErrNotPublic) {
			t.Errorf("%s: %v", target, err)
		}
	}
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1",
		"169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[::ffff:169.254.169.254]",
	} {
		refused(closed, "http://"+host+":"+port+"/latest/meta-data/")
	}
	refused(metadata, "http://169.254.169.254/latest/meta-data/")
	if asked.Load() > 0 {
		t.Errorf("what is within was asked %d times", asked.Load())
	}
	// A company that is within, in a system that was not told so, is not asked; and its order ends.
	if err := w.sys.Find(wire.CardCompany, inner.URL); err != nil {
		t.Fatal(err)
	}
	o := w.place(ada, "")
	w.pass(time.Hour)
	if o = w.get(o.ID); asked.Load() > 0 || o.Status != wire.OrderCancelled {
		t.Errorf("it was asked %d times, and the order is %+v", asked.Load(), o)
	}
	w.lawless = true // the order's payment is still open: nobody knows what the company would say
}

// leaks are words of what runs here, and where.
var leaks = regexp.MustCompile(`(?i)goroutine|panic|\.go:\d|runtime\.|net/http|sqlite|modernc|/tmp/|/home/|huma|golang|stack|SQL|constraint`)

// TestAPI8_SecurityMisconfiguration: OWASP API8:2023. Every answer has the headers that a browser must know, every
// error is a problem without a word of what runs here, pages of other sites get nothing, the documentation loads nothing
// from outside, and what is only for a demo is refused elsewhere.
func TestAPI8_SecurityMisconfiguration(t *testing.T) {
	data := t.TempDir()
	t.Run("town", func(t *testing.T) {
		w := found(t, func(c *app.Config) { c.Data = data })
		o := w.place(ada, "")
		adas := w.as(w.signIn("ada@example.com").Access)
		nobody := w.as("")
		for _, tt := range []struct {
			as      *town
			request string
			body    any
			headers []string
			status  int
		}{
			{w, "GET /", nil, nil, 200}, {w, "GET /v1/orders", nil, nil, 200}, {w, "GET /v1/orders/" + o.ID, nil, nil, 200},
			{w, "GET /order/docs", nil, nil, 200}, {w, "GET /docs", nil, nil, 200}, {w, "GET /openapi.json", nil, nil, 200},
			{w, "GET /health", nil, nil, 200}, {w, "GET /v1/restaurants", nil, nil, 200}, {nobody, "GET /v1/orders", nil, nil, 401},
			{adas, "GET /v1/accounts", nil, nil, 403}, {w, "GET /nothing", nil, nil, 404}, {w, "GET /v1/orders/" + unknownID, nil, nil, 404},
			{w, "GET /v1/orders/not-an-id", nil, nil, 422}, {w, "POST /v1/orders", []byte("{"), nil, 422}, {w, "PATCH /v1/orders", nil, nil, 405},
			{w, "POST /v1/orders", []byte("x"), []string{"Content-Type", "text/plain"}, 415}, {w, "TRACE /v1/orders", nil, nil, 405},
			{w, "OPTIONS /v1/orders", nil, []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 405},
			{w, "GET /v1/orders", nil, []string{"Origin", "https://evil.example"}, 200},
			{w, "POST /v1/orders", wish(ada, ""), []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
			{nobody, "POST /v1/auth/sign-in", []byte(`{"email":1}`), nil, 422}, {nobody, "POST /v1/payments/callback", []byte("{}"), nil, 403},
			{nobody, "GET /metrics", nil, nil, 404}, {w, "CONNECT /v1/orders", nil, nil, 405}, {w, "GET /v1/orders/..%2faccounts", nil, nil, 404},
		} {
			method, path, _ := strings.Cut(tt.request, " ")
			a := tt.as.in(t).call(method, path, tt.body, tt.headers...)
			if a.status != tt.status {
				t.Errorf("%s: %s, want %d", tt.request, a, tt.status)
			}
			if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: the headers are %v", tt.request, a.header)
			}
			for _, name := range []string{"Server", "X-Powered-By", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Set-Cookie"} {
				if a.header.Get(name) != "" {
					t.Errorf("%s: %s: %s", tt.request, name, a.header.Get(name))
				}
			}
			switch kind := a.header.Get("Content-Type"); {
			case a.status >= 400:
				problemOf(t, a)
				if leak := leaks.Find(a.body); leak != nil {
					t.Errorf("%s: the error tells of %q: %s", tt.request, leak, a)
				}
			case strings.HasPrefix(kind, "text/html"):
				policy := a.header.Get("Content-Security-Policy")
				if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors") || strings.Contains(policy, "http") {
					t.Errorf("%s: the policy is %q", tt.request, policy)
				}
				if outside := regexp.MustCompile(`(?:src|href)="(?:https?:)?//[^"]*"`).Find(a.body); outside != nil {
					t.Errorf("%s loads %s", tt.request, outside)
				}
			case strings.HasPrefix(path, "/v1/orders") && !strings.Contains(a.header.Get("Cache-Control"), "no-"):
				t.Errorf("%s may be kept: %v", tt.request, a.header)
			}
		}
		w.settle(o.ID)
	})
	t.Run("settings", func(t *testing.T) {
		cfg := app.Config{Version: "e2e", Data: data, Speed: 1, APIKey: innerKey, Companies: secrets}
		for what, c := range map[string]func(*app.Config){
			"password is public":  func(*app.Config) {},
			"cors-origin":         func(c *app.Config) { c.CORSOrigin = []string{"https://*.example.org"} },
			"cookie-key":          func(c *app.Config) { c.CookieKey = "c2hvcnQ=" },
			"card-secret":         func(c *app.Config) { c.CardSecret = "whsec_c2hvcnQ=" },
			"the same as":         func(c *app.Config) { c.TransportSecret = c.CardSecret },
			"trusted-proxies":     func(c *app.Config) { c.TrustedProxies = []string{"everybody"} },
			"tls-key":             func(c *app.Config) { c.TLSCert = "x" },
			"partner-networks":    func(c *app.Config) { c.PartnerNetworks = []string{"0.0.0.0/0"} },
			"transport-secret: m": func(c *app.Config) { c.TransportSecret = "" },
		} {
			bad := cfg
			c(&bad)
			sys, err := app.New(t.Context(), bad, app.Services...)
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %v", what, err)
			}
			if err == nil {
				_ = sys.Stop(context.WithoutCancel(t.Context()))
			}
		}
		if app.CheckOpen("0.0.0.0:8080") == nil || app.CheckOpen(":8080") == nil || app.CheckOpen("127.0.0.1:8080") != nil {
			t.Error("--open is for a loopback address and for nothing else")
		}
	})
}

// plumbing are the routes that no OpenAPI document has: health, metrics and the documents themselves.
var plumbing = regexp.MustCompile(`^GET (/health|/livez|/readyz|/metrics|/openapi\.json|/docs|/docs/(page\.js|rapidoc-[0-9.]+\.js)|/\{\$\})$`)

// TestAPI9_ImproperInventoryManagement: OWASP API9:2023. What is routed is documented, what the gateway lets through is
// there behind it, and there is one version.
func TestAPI9_ImproperInventoryManagement(t *testing.T) {
	w := found(t, nil)
	documented := map[string]map[string]bool{}
	for name, doc := range w.documents() {
		documented[name] = map[string]bool{}
		for path, methods := range doc["paths"].(map[string]any) {
			for method := range methods.(map[string]any) {
				documented[name][strings.ToUpper(method)+" "+path] = true
			}
			if !strings.HasPrefix(path, "/v1/") && !plumbing.MatchString("GET "+path) && path != "/.well-known/jwks.json" {
				t.Errorf("%s: %s is of no version, or of another", name, path)
			}
		}
	}
	behind := map[string]auth.Access{}
	for _, name := range app.Services {
		routed := map[string]bool{}
		for _, r := range w.sys.API(name).Routes() {
			route := r.Method + " " + r.Path
			routed[route], behind[route] = true, r.Access
			if !documented[name][route] && !plumbing.MatchString(route) {
				t.Errorf("%s: %s is not documented", name, route)
			}
			if r.Access.Public() && !plumbing.MatchString(route) && !strings.HasPrefix(r.Path, "/v1/auth/") &&
				!strings.HasPrefix(r.Path, "/v1/restaurants") && r.Path != "/.well-known/jwks.json" {
				t.Errorf("%s: %s is for everyone: is that meant?", name, route)
			}
		}
		for route := range documented[name] {
			if !routed[route] {
				t.Errorf("%s: %s is documented and not there", name, route)
			}
		}
	}
	for _, r := range w.sys.API(app.Gateway).Routes() {
		route := r.Method + " " + r.Path
		first, rest, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
		switch {
		case documented[app.Gateway][route], plumbing.MatchString(route):
		case slices.Contains(app.Services, first):
			if !plumbing.MatchString("GET /"+rest) && rest != "docs/{file}" {
				t.Errorf("gateway: %s leads to more than documents", route)
			}
		default:
			if _, ok := behind[route]; !ok {
				t.Errorf("gateway: there is nothing behind %s", route)
			}
		}
	}
	for _, path := range []string{"/v0/orders", "/v2/orders", "/api/orders", "/debug/pprof/", "/debug/vars", "/.env", "/.git/config", "/admin", "/swagger.json", "/graphql"} {
		w.want(404, http.MethodGet, path, nil)
	}
}

// TestAPI10_UnsafeConsumptionOfAPIs: OWASP API10:2023. Whatever the companies answer, nothing breaks: it is tried again
// or put aside for a person, a redirect is not followed, no more of a long answer is read than is needed, and an order
// ends.
func TestAPI10_UnsafeConsumptionOfAPIs(t *testing.T) {
	elsewhere := atomic.Int64{}
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = io.WriteString(rw, `{"status":"paymentPaid","transaction_id":"t1"}`)
	}))
	t.Cleanup(other.Close)
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", kind)
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, body)
		}
	}
	const js = "application/json"
	var sent atomic.Int64
	for what, company := range map[string]http.HandlerFunc{
		"garbage":           answer(200, js, "\x00\xff{{{"),
		"nothing":           answer(202, js, ""),
		"HTML":              answer(200, "text/html", "<html><script>alert(1)</script>"),
		"wrong types":       answer(202, js, `{"status":7,"transaction_id":{},"amount":"x","caller_id":[]}`),
		"another list":      answer(202, js, `[1,2,3]`),
		"an unknown status": answer(202, js, `{"status":"paid in full","transaction_id":"t1"}`),
		"a deep answer":     answer(202, js, strings.Repeat("[", 100_000)),
		"another amount":    answer(202, js, `{"status":"paymentPaid","transaction_id":"t1","amount":0.01}`),
		"a redirect": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, other.URL, http.StatusTemporaryRedirect)
		},
		"a lasting one": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, other.URL, http.StatusPermanentRedirect)
		},
		"see there": func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, other.URL, http.StatusSeeOther) },
		"a teapot":  answer(418, js, `{"detail":"`+strings.Repeat("x", 100_000)+`"}`),
		"later, much later": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", "99999999999")
			rw.WriteHeader(503)
		},
		"compressed nonsense": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(rw, "no gzip")
		},
		"a broken answer": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(rw, "{")
		},
		"10 MB and more": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", js)
			sent.Store(0)
			for block := strings.Repeat(" ", 64<<10); sent.Load() < 256<<20; sent.Add(int64(len(block))) {
				if _, err := io.WriteString(rw, block); err != nil {
					return
				}
			}
		},
		"headers without end": func(rw http.ResponseWriter, _ *http.Request) {
			for i := range 2000 {
				rw.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1000))
			}
			rw.WriteHeader(200)
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := found(t, func(c *app.Config) { c.PartnerNetworks = []string{"loopback"} })
			w.lawless = true // nobody knows what such a company has charged
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				company(rw, r)
			}))
			t.Cleanup(server.Close)
			if err := w.sys.Find(wire.CardCompany, server.URL); err != nil {
				t.Fatal(err)
			}
			o := w.place(ada, "")
			w.pass(time.Hour)
			if o = w.get(o.ID); o.Status != wire.OrderCancelled && o.Status != wire.PaymentFailed {
				t.Errorf("the order is %s: %s", o.Status, o.Reason)
			}
			if asked.Load() == 0 {
				t.Error("the company was never asked")
			}
			if len(o.Reason) > 1000 {
				t.Errorf("the reason has %d bytes", len(o.Reason))
			}
			w.want(200, http.MethodGet, "/v1/orders/"+o.ID+"/story", nil)
			w.want(200, http.MethodGet, "/v1/payments/"+o.ID, nil)
			if b := w.want(200, http.MethodGet, "/health", nil); !json.Valid(b.body) {
				t.Error(b)
			}
		})
	}
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("%d MiB of an answer were taken", n>>20)
	}
}
