package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// FuzzClient reads any X-Forwarded-For: an address that is nobody's proxy, or the proxy's own, and one that is not
// believed changes nothing.
func FuzzClient(f *testing.F) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"192.0.2.1", "192.0.2.1, 10.0.0.2", "::ffff:192.0.2.1", "fe80::1%eth0", "unknown", ", ,", "10.0.0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["X-Forwarded-For"] = []string{said}
		r.RemoteAddr = "192.0.2.9:1234"
		if a, ok := proxies.Client(r); !ok || a != netip.MustParseAddr("192.0.2.9") {
			t.Errorf("%q made a stranger %v", said, a)
		}
		r.RemoteAddr = "10.0.0.1:1234"
		if a, ok := proxies.Client(r); !ok || !a.IsValid() || a.Zone() != "" || a.Is4In6() || network(a) == "" {
			t.Errorf("%q: %v", said, a)
		}
	})
}

// FuzzParse reads any settings of the door.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"*", "https://a.example", "http://[::1]:80", "https://a.example/", "10.0.0.0/8", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := ParseOrigins([]string{s}); err == nil {
			o.protect(http.NotFoundHandler()) // panics where ParseOrigins has not looked
		}
		if p, err := ParseProxies([]string{s}); err == nil && len(p) != 1 {
			t.Errorf("%q: %v", s, p)
		}
	})
}

// FuzzAccept answers whatever is asked for in Accept-Encoding and If-None-Match with something.
func FuzzAccept(f *testing.F) {
	g := New(Options{Version: "test", Transport: httpapi.NewLocal(http.DefaultTransport)})
	g.SetReady(true)
	for _, s := range []string{"gzip", "zstd;q=0", "br, *;q=0.1", "gzip;q=x", ",,,", "identity;q=0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := httptest.NewRequest(http.MethodGet, "/openapi.json", nil)
		r.Header["Accept-Encoding"], r.Header["If-None-Match"] = []string{s}, []string{s}
		res := httptest.NewRecorder()
		g.ServeHTTP(res, r)
		if res.Code != http.StatusOK && res.Code != http.StatusNotModified && res.Code != http.StatusNotAcceptable {
			t.Errorf("%q: %d", s, res.Code)
		}
	})
}
