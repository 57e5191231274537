package app

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// aSecret is one that somebody could have drawn.
func aSecret(first byte) string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = first + byte(i*7)
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(b)
}

// TestCompanySettings: what is wrong is named, with what would be right, and no secret is shown.
func TestCompanySettings(t *testing.T) {
	placeholder, err := os.ReadFile("../../deploy/secrets/card-secret.example")
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.ReadFile("../../deploy/k8s/overlays/example/secrets/card-secret.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what string
		c    Companies
		says []string // nil: it is valid
	}{
		{"nothing", Companies{}, nil},
		{"all of it", Companies{
			CardSecret: aSecret(1), TransportSecret: aSecret(2) + "," + aSecret(3), RestaurantSecret: aSecret(4), Callbacks: "either",
			PartnerNetworks: []string{"loopback", "private", "10.1.0.0/16", "2001:db8::/32", "169.254.169.254/32"},
		}, nil},
		{"no secret", Companies{CardSecret: "hunter2"}, []string{"card-secret: not valid: ", "expected whsec_ and the base64"}},
		{"a placeholder", Companies{CardSecret: strings.TrimSpace(string(placeholder))}, []string{"card-secret: not valid: "}},
		{"another placeholder", Companies{TransportSecret: strings.TrimSpace(string(in))}, []string{"transport-secret: not valid: "}},
		{"one byte again and again", Companies{RestaurantSecret: "whsec_" + strings.Repeat("A", 43)}, []string{"restaurant-secret: ", "guessed"}},
		{"the old one is none", Companies{CardSecret: aSecret(1) + ","}, []string{"card-secret: "}},
		{"one for two", Companies{CardSecret: aSecret(1), TransportSecret: aSecret(2) + "," + aSecret(1)}, []string{"transport-secret: the same as card-secret"}},
		{"a word", Companies{Callbacks: "none"}, []string{`callbacks: "none" is not valid; expected signature, key or either`}},
		{"a network", Companies{PartnerNetworks: []string{"lan"}}, []string{`partner-networks: "lan" is not valid; expected loopback, private, or`}},
		{"an address", Companies{PartnerNetworks: []string{"10.0.0.1"}}, []string{"partner-networks: "}},
		{"an address for a network", Companies{PartnerNetworks: []string{"10.0.0.1/8"}}, []string{"partner-networks: "}},
		{"everything", Companies{PartnerNetworks: []string{"0.0.0.0/0"}}, []string{"partner-networks: "}},
	} {
		cfg := embedded(t, func(c *Config) { c.Companies = tt.c })
		err := cfg.Check()
		if (err == nil) != (tt.says == nil) {
			t.Errorf("%s: %v", tt.what, err)
			continue
		}
		for _, want := range tt.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", tt.what, err, want)
			}
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), aSecret(1)[8:])) {
			t.Errorf("%s: it shows the secret: %v", tt.what, err)
		}
	}
}

// TestSecretsAreNeeded, by whoever speaks with a company and by the companies; a service and its company in one
// process have one of their own.
func TestSecretsAreNeeded(t *testing.T) {
	all := Companies{CardSecret: aSecret(1), TransportSecret: aSecret(2), RestaurantSecret: aSecret(3)}
	for _, tt := range []struct {
		units   string
		c       Companies
		missing string
	}{
		{"order customer gateway", Companies{}, ""},
		{"payment", Companies{}, "card-secret"},
		{"payment", Companies{CardSecret: all.CardSecret}, ""},
		{"payment delivery kitchen", Companies{Callbacks: byKey}, ""},
		{"kitchen delivery", Companies{Callbacks: "either"}, ""},
		{"kitchen delivery", Companies{}, "transport-secret restaurant-secret"},
		{"partners", Companies{}, "card-secret transport-secret restaurant-secret"},
		{"partners", Companies{Callbacks: "either", CardSecret: all.CardSecret}, "transport-secret restaurant-secret"},
		{"partners", all, ""},
		{"partners", Companies{Callbacks: byKey, CardSecret: aSecret(1), TransportSecret: aSecret(2), RestaurantSecret: aSecret(3)}, "callbacks"},
	} {
		err := tt.c.CheckSecrets(strings.Fields(tt.units))
		if (err == nil) != (tt.missing == "") {
			t.Errorf("%s with %+v: %v", tt.units, tt.c.Callbacks, err)
		}
		for name := range strings.FieldsSeq(tt.missing) {
			if err == nil || !strings.Contains(err.Error(), name+": ") {
				t.Errorf("%s: %v does not name %s", tt.units, err, name)
			}
		}
	}

	cfg := embedded(t, func(c *Config) { c.Partners = true })
	own, err := cfg.secrets(Services)
	if err != nil || len(own) != 3 {
		t.Errorf("%d secrets, %v", len(own), err)
	}
	cfg.Partners = false
	cfg.Data = filepath.Join(cfg.Data, "none")
	if _, err := New(t.Context(), cfg, Services...); err == nil || !strings.Contains(err.Error(), "card-secret: missing; expected whsec_") {
		t.Errorf("without the companies: %v", err)
	}
	if _, err := os.Stat(cfg.Data); err == nil {
		t.Error("it left its folder")
	}
	cfg.Partners, cfg.Callbacks = true, byKey
	if _, err := New(t.Context(), cfg, Services...); err == nil || !strings.Contains(err.Error(), "callbacks: key is not valid") {
		t.Errorf("simulated companies with a key: %v", err)
	}
}

// TestCompaniesAreStrangers: a simulated company believes nobody who does not sign, and is not shown what our services
// show each other.
func TestCompaniesAreStrangers(t *testing.T) {
	cfg := embedded(t, func(c *Config) { c.Partners, c.APIKey = true, secret })
	sys, err := New(t.Context(), cfg, Services...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sys.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	unsigned := httpapi.NewClient(httpapi.ClientOptions{Resolver: sys.dir, Transport: sys.outer})
	for name, op := range map[string]string{
		wire.CardCompany: "GET /billings/1", wire.TransportCompany: "GET /delivery-requests/1", wire.Restaurant: "GET /cooking-requests/1",
	} {
		if r, err := unsigned.Do(t.Context(), httpapi.Call{To: name, Op: op}); err != nil || r.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d, %v", name, r.Status, err)
		}
		if r, err := sys.http.Do(t.Context(), httpapi.Call{To: name, Op: op}); err != nil || r.Status != http.StatusNotFound {
			t.Errorf("%s, signed: %d, %v", name, r.Status, err)
		}
	}
	var shown []string
	sys.local.Handle(wire.PaymentService, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, values := range r.Header {
			shown = append(shown, values...)
		}
	}))
	if _, err := sys.partners.client.Do(t.Context(), httpapi.Call{To: wire.PaymentService, Op: "POST /v1/payments/callback", Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(shown, secret) || !slices.ContainsFunc(shown, func(s string) bool { return strings.HasPrefix(s, "v1,") }) {
		t.Errorf("the company shows %q", shown)
	}
}
