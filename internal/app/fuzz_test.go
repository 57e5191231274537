package app_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// FuzzBodies sends any body to any route of any service that takes one, as somebody who may do everything: it is taken
// or refused, and no handler breaks.
func FuzzBodies(f *testing.F) {
	sys, err := app.New(f.Context(), app.Config{
		Version: "test", Data: f.TempDir(), Speed: 1, Virtual: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Partners: true, Demo: true, APIKey: innerKey, Companies: app.Companies{Callbacks: "either"},
	}, app.Services...)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := sys.Stop(context.WithoutCancel(f.Context())); err != nil {
			f.Error(err)
		}
	})
	type door struct {
		api   http.Handler
		route httpapi.Route
	}
	var doors []door
	for _, name := range app.Services {
		for _, r := range sys.API(name).Routes() {
			if slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, r.Method) {
				doors = append(doors, door{sys.API(name), r})
			}
		}
	}
	const (
		who  = "0190a000-0000-7000-8000-00000000c001"
		meta = `"metadata":{"receiver":"OrderService","order_id":"` + who + `","customer_id":"` + who + `"}`
	)
	for i := range doors {
		for _, body := range []string{
			`{}`, `[]`, `null`, `{"customer_id":"` + who + `","items":[{"product":"Lasagna"}]}`, `{"items":[{"product":"x"}],` + meta + `}`,
			`{"status":"paymentPaid","caller_id":"` + who + `","transaction_id":"t"}`, `{"name":"x","items":[]}`, `[{"product":"x"}]`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, at uint8, body []byte) {
		d := doors[int(at)%len(doors)]
		path := param.ReplaceAllString(d.route.Path, who)
		req := httptest.NewRequestWithContext(t.Context(), d.route.Method, path, bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(auth.KeyHeader, innerKey)
		caller := auth.Root
		if strings.HasSuffix(d.route.Path, "/callback") {
			caller = auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Partner}, Company: map[string]string{
				"/v1/payments/callback": "card", "/v1/deliveries/callback": "transport", "/v1/kitchen/callback": "restaurant",
			}[d.route.Path]}
		}
		req.Header.Set(auth.Header, caller.Encode())
		res := httptest.NewRecorder()
		d.api.ServeHTTP(res, req)
		if res.Code == http.StatusInternalServerError {
			t.Errorf("%s %s: %d %s", d.route.Method, path, res.Code, res.Body)
		}
	})
}

// FuzzSettings checks any settings: they are valid, or an error says what is wrong.
func FuzzSettings(f *testing.F) {
	file := filepath.Join(f.TempDir(), "keys")
	f.Add("a operator tfn_0123456789abcdef_0123456789012345678901234567890123456789012", "10.0.0.0/8", "whsec_Y2FyZCBjb21wYW55IG9mIGEgdG93bjsgMDEyMzQ1Njc4OQ==", "https://a.example")
	f.Add("# nothing", "loopback", "whsec_x,whsec_y", "*")
	f.Add("a b c d", "::1", "", "http://[::1]:8080")
	f.Fuzz(func(t *testing.T, keys, network, secret, origin string) {
		if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
			t.Fatal(err)
		}
		c := app.Config{Data: "x", Speed: 1}
		c.FirstKeys, c.OIDC, c.CookieKey, c.PublicURL = file, []string{keys}, secret, origin
		c.CardSecret, c.PartnerNetworks = secret, []string{network}
		c.TrustedProxies, c.CORSOrigin = []string{network}, []string{origin}
		if err := c.Check(); err == nil || secret != "" && len(secret) > 8 && strings.Contains(err.Error(), secret) {
			t.Errorf("%q, %q, %q, %q: %v", keys, network, secret, origin, err)
		}
	})
}
