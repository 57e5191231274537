package app_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

var update = flag.Bool("update", false, "write the golden files again")

// someone is a caller of every kind there is.
var someone = []struct {
	name   string
	caller auth.Caller
}{
	{"nobody", auth.Caller{}},
	{"signed in", auth.Caller{Subject: "account:1"}},
	{"customer", auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Customer}, Customer: "0190a000-0000-7000-8000-00000000c0ff"}},
	{"kitchen", auth.Caller{Subject: "account:2", Roles: []auth.Role{auth.Kitchen}, Restaurants: []string{"0190a000-0000-7000-8000-00000000c0fe"}}},
	{"courier", auth.Caller{Subject: "account:3", Roles: []auth.Role{auth.Courier}, Courier: "c-1"}},
	{"operator", auth.Caller{Subject: "account:4", Roles: []auth.Role{auth.Operator}}},
	{"reader", auth.Caller{Subject: "key:5", Roles: []auth.Role{auth.Operator}, ReadOnly: true}},
	{"service", auth.InService("order")},
	{"partner", auth.Caller{Subject: "partner:card", Roles: []auth.Role{auth.Partner}, Company: "card"}},
}

const innerKey = "between the services of a test"

// TestEveryRouteForEveryRole walks what is really routed, in every service and at the gateway: who may use what is
// the table in testdata/access.txt, and each route is asked by everybody whether it keeps to it. OWASP API5:2023.
func TestEveryRouteForEveryRole(t *testing.T) {
	sys := start(t)
	var table bytes.Buffer
	for _, name := range append(slices.Clone(app.Services), app.Gateway) {
		api := sys.API(name)
		routes := api.Routes()
		if len(routes) < 5 {
			t.Errorf("%s has %d routes", name, len(routes))
		}
		slices.SortFunc(routes, func(a, b httpapi.Route) int {
			return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
		})
		for _, r := range routes {
			fmt.Fprintf(&table, "%-9s %-6s %-42s %s\n", name, r.Method, r.Path, r.Access)
			if name == app.Gateway || r.Path == "/v1/events" { // the gateway's callers are e2e's; this stream has no end
				continue
			}
			for _, who := range someone {
				want := r.Access.Allows(who.caller, r.Method)
				got := ask(t, api, r, who.caller)
				denied := got == http.StatusUnauthorized || got == http.StatusForbidden
				switch {
				case want == nil && denied:
					t.Errorf("%s: %s %s: %s may, and is answered %d", name, r.Method, r.Path, who.name, got)
				case want != nil && !denied:
					t.Errorf("%s: %s %s: %s may not, and is answered %d", name, r.Method, r.Path, who.name, got)
				case want != nil && (got == http.StatusUnauthorized) != who.caller.Nobody():
					t.Errorf("%s: %s %s: %s is answered %d", name, r.Method, r.Path, who.name, got)
				}
			}
		}
	}
	const golden = "testdata/access.txt"
	if *update {
		if err := os.WriteFile(golden, table.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, table.Bytes()) {
		t.Errorf("who may use what has changed; if that is meant, run this test with -update and read the difference:\n%s", table.Bytes())
	}
}

// TestGatewayAndServicesAgree: the gateway lets nobody further than the service would.
func TestGatewayAndServicesAgree(t *testing.T) {
	sys := start(t)
	inside := map[string]auth.Access{}
	for _, name := range app.Services {
		for _, r := range sys.API(name).Routes() {
			inside[r.Method+" "+r.Path] = r.Access
		}
	}
	for _, r := range sys.API(app.Gateway).Routes() {
		at, ok := inside[r.Method+" "+r.Path]
		if !ok || at.Public() || strings.HasSuffix(r.Path, "/callback") { // whoever signs is known to the service alone
			continue
		}
		if r.Access.Public() {
			t.Errorf("%s %s is for everyone at the gateway, and for %s behind it", r.Method, r.Path, at)
		}
		for _, role := range r.Access.Roles() {
			if !slices.Contains(at.Roles(), role) {
				t.Errorf("%s %s is for %s at the gateway, and for %s behind it", r.Method, r.Path, r.Access, at)
			}
		}
	}
}

var param = regexp.MustCompile(`\{[^}]*\}`)

// ask makes a request that means nothing, and gives the status of its answer.
func ask(t *testing.T, api http.Handler, r httpapi.Route, who auth.Caller) int {
	t.Helper()
	path := param.ReplaceAllString(strings.ReplaceAll(r.Path, "{$}", ""), "0190a000-0000-7000-8000-0000000abcde")
	req := httptest.NewRequestWithContext(t.Context(), r.Method, path, strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	if !who.Nobody() {
		req.Header.Set(auth.KeyHeader, innerKey)
		req.Header.Set(auth.Header, who.Encode())
	}
	res := httptest.NewRecorder()
	api.ServeHTTP(res, req)
	return res.Code
}

// start is a whole system in this process.
func start(t *testing.T) *app.System {
	t.Helper()
	sys, err := app.New(t.Context(), app.Config{
		Version: "test", Data: t.TempDir(), Speed: 1, Virtual: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Partners: true, Demo: true, APIKey: innerKey, Companies: app.Companies{Callbacks: "either"},
	}, app.Services...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return sys
}
