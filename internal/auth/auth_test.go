package auth_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAllows(t *testing.T) {
	operator := auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}}
	reader := operator
	reader.ReadOnly = true
	cook := auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Customer, auth.Kitchen}}
	for _, tt := range []struct {
		what   string
		access auth.Access
		caller auth.Caller
		method string
		want   error
	}{
		{"a menu, by nobody", auth.Everyone, auth.Caller{}, "GET", nil},
		{"signing in, by who may only read", auth.Everyone, reader, "POST", nil},
		{"nobody", auth.For(auth.Operator), auth.Caller{}, "GET", auth.ErrUnauthenticated},
		{"another role", auth.For(auth.Operator), cook, "GET", auth.ErrForbidden},
		{"one of two roles", auth.For(auth.Kitchen), cook, "PUT", nil},
		{"a reader reads", auth.For(auth.Operator), reader, "GET", nil},
		{"a reader writes", auth.For(auth.Operator), reader, "DELETE", auth.ErrForbidden},
		{"what is for nobody", auth.Access{}, auth.Root, "GET", auth.ErrForbidden},
	} {
		if err := tt.access.Allows(tt.caller, tt.method); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
		}
	}
}

// TestOwnership: nobody is everybody's by an empty id.
func TestOwnership(t *testing.T) {
	empty := auth.Caller{Subject: "account:1", Roles: auth.People[:3]}
	if empty.Acts("") || empty.Cooks("") || empty.Drives("") || (auth.Caller{Roles: []auth.Role{auth.Partner}, Company: "card"}).Speaks("transport") {
		t.Error("who is nobody in particular acts for somebody")
	}
	mine := auth.Caller{Roles: auth.People[:3], Customer: "c", Restaurants: []string{"r"}, Courier: "d"}
	if !mine.Acts("c") || mine.Acts("x") || !mine.Cooks("r") || mine.Cooks("x") || !mine.Drives("d") || mine.Drives("x") {
		t.Error("own things are others'")
	}
	if c := (auth.Caller{Roles: []auth.Role{auth.Kitchen}, Customer: "c"}); c.Acts("c") {
		t.Error("a cook orders by an id without the role")
	}
}

func TestKeys(t *testing.T) {
	k, text, err := auth.NewKey(rand.Reader, "till", []auth.Scope{"operator:read"}, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	_, other, _ := auth.NewKey(rand.Reader, "till", nil, time.Time{})
	if strings.Contains(k.Digest, text[len("tfn_"+k.ID+"_"):]) {
		t.Error("the secret is kept")
	}
	revoked := k
	revoked.Revoked = true
	mixed := "tfn_" + k.ID + other[strings.LastIndex(other, "_"):]
	for _, tt := range []struct {
		what, text string
		key        auth.Key
		at         time.Time
		ok         bool
	}{
		{"right", text, k, noon, true}, {"over", text, k, noon.Add(time.Hour), false}, {"revoked", text, revoked, noon, false},
		{"another's", other, k, noon, false}, {"another's secret", mixed, k, noon, false}, {"cut", text[:30], k, noon, false},
		{"none", "", k, noon, false}, {"not one", "hunter2", k, noon, false},
	} {
		got, err := auth.Match(auth.KeySet{k.ID: tt.key}, tt.text, tt.at)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, auth.ErrCredential) || tt.ok && got.ID != k.ID {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
	if c := k.Caller(); !c.Is(auth.Operator) || !c.ReadOnly {
		t.Errorf("%+v", c)
	}
	if _, _, err := auth.NewKey(bytes.NewReader(nil), "", nil, noon); err == nil {
		t.Error("a key without randomness")
	}
	for scope, ok := range map[auth.Scope]bool{
		"operator": true, "operator:read": true, "gateway": true, "service:order": true, "partner:card": true,
		"": false, "service:": false, "partner:bank": false, "operator:write": false, "root": false,
	} {
		if err := scope.Check(); (err == nil) != ok {
			t.Errorf("scope %q: %v", scope, err)
		}
	}
}

// TestInner: only who may speak for others is believed about a caller.
func TestInner(t *testing.T) {
	gate, gateText, _ := auth.NewKey(rand.Reader, "gateway", []auth.Scope{"gateway"}, time.Time{})
	till, tillText, _ := auth.NewKey(rand.Reader, "order", []auth.Scope{"service:order"}, time.Time{})
	inner := auth.Inner{Keys: auth.KeySet{gate.ID: gate, till.ID: till}, Shared: "in common", Now: func() time.Time { return noon }}
	ada := auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Customer}, Customer: "c1"}
	for _, tt := range []struct {
		what, key, claim string
		want             auth.Caller
		fails            bool
	}{
		{"nothing", "", "", auth.Caller{}, false},
		{"a claim alone", "", ada.Encode(), auth.Caller{}, false},
		{"a service", tillText, "", auth.InService("order"), false},
		{"a service claims", tillText, ada.Encode(), auth.InService("order"), false},
		{"the gateway speaks", gateText, ada.Encode(), ada, false},
		{"the shared key", "in common", "", auth.InService("shared"), false},
		{"the shared key speaks", "in common", ada.Encode(), ada, false},
		{"a wrong key", "in comma", "", auth.Caller{}, true},
		{"no caller at all", gateText, "{", auth.Caller{}, true},
		{"an unknown role", gateText, `{"sub":"x","roles":["king"]}`, auth.Caller{}, true},
		{"an unknown restriction", gateText, `{"sub":"x","roles":["operator"],"only":"sundays"}`, auth.Caller{}, true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if tt.key != "" {
			r.Header.Set(auth.KeyHeader, tt.key)
		}
		if tt.claim != "" {
			r.Header.Set(auth.Header, tt.claim)
		}
		got, err := inner.Authenticate(r)
		if (err != nil) != tt.fails || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v %v", tt.what, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(auth.Root.Encode())
	f.Add(`{"sub":"x","roles":null}`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := auth.Decode(s)
		if err != nil {
			if !reflect.DeepEqual(c, auth.Caller{}) {
				t.Errorf("an error and %+v", c)
			}
			return
		}
		if again, err := auth.Decode(c.Encode()); err != nil || again.Subject != c.Subject || len(again.Roles) != len(c.Roles) {
			t.Errorf("%+v came back as %+v (%v)", c, again, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("tfn_0011223344556677_abcdefghijklmnopqrstuvwxyzABCDEF")
	f.Fuzz(func(t *testing.T, s string) {
		id, dig, err := auth.ParseKey(s)
		if err == nil && (len(id) != 16 || len(dig) != 64) {
			t.Errorf("%q: %q %q", s, id, dig)
		}
	})
}
