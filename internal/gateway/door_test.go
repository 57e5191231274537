package gateway_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/gateway"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

func origins(t *testing.T, texts ...string) gateway.Origins {
	t.Helper()
	o, err := gateway.ParseOrigins(texts)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOriginsAreChecked(t *testing.T) {
	for _, text := range []string{
		"shop.example.org", "https://", "https://shop.example.org/", "https://shop.example.org/x", "ftp://x", "null", "https://*.example.org",
		"https://Shop.example.org", "https://u:p@shop.example.org", "https://x?y", "",
	} {
		if _, err := gateway.ParseOrigins([]string{text}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if _, err := gateway.ParseOrigins([]string{"*", "https://x"}); err == nil || !strings.Contains(err.Error(), "without credentials") {
		t.Errorf("* beside another: %v", err)
	}
	origins(t, "https://shop.example.org", "http://127.0.0.1:3000", "http://[::1]:3000")
}

func TestCORS(t *testing.T) {
	const shop = "https://shop.example.org"
	for _, tt := range []struct {
		name, origin string
		allowed      []string
		allow        string // Access-Control-Allow-Origin
		cookies      bool
	}{
		{name: "none", origin: shop},
		{name: "another", origin: "https://evil.example.org", allowed: []string{shop}},
		{name: "this one", origin: shop, allowed: []string{"http://127.0.0.1:3000", shop}, allow: shop, cookies: true},
		{name: "any", origin: shop, allowed: []string{"*"}, allow: "*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := town(t, gateway.Options{Origins: origins(t, tt.allowed...), Authenticate: byKey}, nil)
			res, body := ask(t, server, "OPTIONS", "/v1/orders", "", "Origin", tt.origin,
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,idempotency-key")
			h := res.Header
			if h.Get("Access-Control-Allow-Origin") != tt.allow || (h.Get("Access-Control-Allow-Credentials") != "") != tt.cookies {
				t.Errorf("asked before: %d %v", res.StatusCode, h)
			}
			if tt.allow != "" && (h.Get("Access-Control-Max-Age") == "" || h.Get("Access-Control-Allow-Methods") != "POST" || res.StatusCode != http.StatusNoContent) {
				t.Errorf("asked before: %d %v %s", res.StatusCode, h, body)
			}
			// a refusal can be read too: a page must see that its token has expired
			res, body = ask(t, server, "GET", "/v1/orders", "", "Origin", tt.origin, auth.KeyHeader, "expired")
			isProblem(t, res, body, http.StatusUnauthorized)
			if res.Header.Get("Access-Control-Allow-Origin") != tt.allow ||
				tt.allow != "" && !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "Retry-After") {
				t.Errorf("a refusal: %v", res.Header)
			}
			res, body = ask(t, server, "POST", "/v1/orders", "{}", "Origin", tt.origin, "Sec-Fetch-Site", "cross-site", auth.KeyHeader, "root")
			if want := map[bool]int{true: 200, false: 403}[tt.allow != ""]; res.StatusCode != want {
				t.Errorf("a change: %d %s", res.StatusCode, body)
			}
		})
	}
}

// TestPagesOfOthers: what a browser would send for a page of another site is refused where it changes something;
// programs, and the site's own pages, are not.
func TestPagesOfOthers(t *testing.T) {
	for _, allowed := range [][]string{nil, {"*"}} {
		server := town(t, gateway.Options{Origins: origins(t, allowed...)}, nil)
		for _, tt := range []struct {
			method, path, site, origin string
			ok                         bool
		}{
			{"POST", "/v1/orders/1/cancel", "cross-site", "https://evil.example.org", allowed != nil},
			{"DELETE", "/v1/orders/1", "same-site", "", allowed != nil},
			{"POST", "/v1/orders", "", "https://evil.example.org", allowed != nil},
			{"POST", "/v1/auth/refresh", "cross-site", "https://evil.example.org", false},
			{"GET", "/v1/orders", "cross-site", "https://evil.example.org", true},
			{"POST", "/v1/orders", "same-origin", server.URL, true},
			{"POST", "/v1/orders", "", "", true},
		} {
			header := []string{}
			if tt.site != "" {
				header = append(header, "Sec-Fetch-Site", tt.site)
			}
			if tt.origin != "" {
				header = append(header, "Origin", tt.origin)
			}
			res, body := ask(t, server, tt.method, tt.path, "", header...)
			if (res.StatusCode != http.StatusForbidden) != tt.ok {
				t.Errorf("allowed %v: %+v: %d %s", allowed, tt, res.StatusCode, body)
			}
		}
	}
}

func TestCompression(t *testing.T) {
	long := `{"text":"` + strings.Repeat("lasagna ", 500) + `"}`
	body, kind := long, "application/json"
	server := town(t, gateway.Options{}, map[string]http.Handler{"order": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("ETag", `"7"`)
		if strings.Contains(r.Header.Get("If-None-Match"), `"7"`) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, body)
	})})
	for _, tt := range []struct {
		name, body, kind, accept, coding string
	}{
		{"gzip", long, "application/json", "gzip, deflate, br", "gzip"},
		{"both", long, "application/json", "gzip, deflate, br, zstd", "zstd"},
		{"a problem", long, "application/problem+json", "gzip", "gzip"},
		{"text", long, "text/html; charset=utf-8", "zstd", "zstd"},
		{"short", long[:1000], "application/json", "gzip", ""},
		{"a picture", long, "image/png", "gzip", ""},
		{"a stream", long, httpapi.StreamType, "gzip, zstd", ""},
		{"not wanted", long, "application/json", "identity", ""},
		{"refused", long, "application/json", "gzip;q=0", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body, kind = tt.body, tt.kind
			res, got := ask(t, server, "GET", "/v1/orders/1", "", "Accept-Encoding", tt.accept)
			if res.Header.Get("Content-Encoding") != tt.coding || !strings.Contains(res.Header.Get("Vary"), "Accept-Encoding") {
				t.Fatalf("%v", res.Header)
			}
			want := `"7"`
			var err error
			plain := []byte(got)
			switch tt.coding {
			case "gzip":
				var r *gzip.Reader
				if r, err = gzip.NewReader(strings.NewReader(got)); err == nil {
					plain, err = io.ReadAll(r)
				}
			case "zstd":
				var r *zstd.Decoder
				if r, err = zstd.NewReader(strings.NewReader(got), zstd.WithDecoderConcurrency(1)); err == nil {
					plain, err = io.ReadAll(r)
					r.Close()
				}
			}
			if tt.coding != "" {
				want = "W/" + want
			}
			if err != nil || string(plain) != tt.body || res.Header.Get("ETag") != want {
				t.Errorf("%d bytes, %d sent, ETag %s, %v", len(plain), len(got), res.Header.Get("ETag"), err)
			}
			res, got = ask(t, server, "GET", "/v1/orders/1", "", "Accept-Encoding", tt.accept, "If-None-Match", res.Header.Get("ETag"))
			if res.StatusCode != http.StatusNotModified || got != "" || res.Header.Get("Content-Encoding") != "" {
				t.Errorf("asked again: %d %v", res.StatusCode, res.Header)
			}
		})
	}
}

// TestHeaders: what browsers are told with every answer.
func TestHeaders(t *testing.T) {
	server := town(t, gateway.Options{Authenticate: byKey}, map[string]http.Handler{"order": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Server", "uvicorn")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/v1/orders/tagged":
			h.Set("ETag", `"1"`)
		case "/v1/orders/said":
			h.Set("Cache-Control", "max-age=5")
		}
	})})
	for path, want := range map[string]string{
		"/v1/orders/1": "no-store", "/v1/orders/tagged": "private, no-cache", "/v1/orders/said": "max-age=5", "/v1/restaurants": "",
		"/v1/nothing": "no-store", "/v1/me/dashboard": "no-store", "/health": "", "/": "no-cache", "/v1/auth/x": "no-store",
	} {
		res, _ := ask(t, server, "GET", path, "", auth.KeyHeader, "customer-1")
		h := res.Header
		if h.Get("Cache-Control") != want {
			t.Errorf("%s: Cache-Control %q, want %q", path, h.Get("Cache-Control"), want)
		}
		if len(h.Values("X-Content-Type-Options")) != 1 || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Server") != "" || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", path, h)
		}
		if strings.HasPrefix(h.Get("Content-Type"), "text/html") && !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors") {
			t.Errorf("%s may be framed", path)
		}
	}
}

func TestDashboard(t *testing.T) {
	order := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := auth.Decode(r.Header.Get(auth.Header))
		if err != nil && r.URL.Path != "/health" {
			t.Error(err)
		}
		switch r.URL.Path {
		case "/v1/orders":
			_, _ = io.WriteString(w, `[{"id":"`+caller.Customer+`","status":"created","items":[],"history":[]}]`)
		case "/v1/queues":
			httpapi.WriteError(w, r, httpapi.Errorf(http.StatusServiceUnavailable, "the broker is away"))
		case "/v1/dead-letters":
			w.Header().Set("Link", `<x>; rel="next"`)
			_, _ = io.WriteString(w, `[{"id":"1"},{"id":"2"}]`)
		case "/v1/backlog":
			_, _ = io.WriteString(w, `{"orders":4,"more":false}`)
		case "/health":
		default:
			t.Errorf("%s was asked for", r.URL)
		}
	})
	server := town(t, gateway.Options{Authenticate: byKey, Instances: func() []httpapi.Instance {
		return []httpapi.Instance{{Service: "order", URL: "http://a:8000", State: "open", Failures: 5}}
	}}, map[string]http.Handler{"order": order, "kitchen": nil})
	get := func(who string) gateway.Dashboard {
		t.Helper()
		res, body := ask(t, server, "GET", "/v1/me/dashboard", "", auth.KeyHeader, who)
		var d gateway.Dashboard
		if err := json.Unmarshal([]byte(body), &d); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s (%v)", res.StatusCode, body, err)
		}
		return d
	}
	d := get("customer-1")
	if d.Account.Customer != "customer-1" || d.Orders == nil || d.Orders.Status != 200 || len(d.Orders.Items) != 1 || d.Orders.Items[0].ID != "customer-1" ||
		d.Restaurants.Status != http.StatusServiceUnavailable || d.Restaurants.Items == nil || d.Restaurants.Detail == "" || d.Operations != nil {
		t.Errorf("%+v", d)
	}
	o := get("program").Operations
	if o == nil || o.Queues.Status != 503 || o.Queues.Detail != "the broker is away" || o.DeadLetters.Count != 2 || !o.DeadLetters.More ||
		o.Backlog != (gateway.Count{Status: 200, Count: 4}) || len(o.Instances) != 1 || len(o.Health.Resources) != len(gateway.Services) {
		t.Errorf("%+v", o)
	}
	for _, path := range []string{"/v1/me/dashboard", "/v1/instances"} {
		res, body := ask(t, server, "GET", path, "")
		isProblem(t, res, body, http.StatusUnauthorized)
	}
	res, body := ask(t, server, "GET", "/v1/instances", "", auth.KeyHeader, "customer-1")
	isProblem(t, res, body, http.StatusForbidden)
	_, body = ask(t, server, "GET", "/v1/instances", "", auth.KeyHeader, "program")
	if !strings.Contains(body, `"state":"open"`) {
		t.Error(body)
	}
	res, body = ask(t, server, "GET", "/openapi.json", "")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "/v1/me/dashboard") {
		t.Errorf("the document: %d", res.StatusCode)
	}
}
