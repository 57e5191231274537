package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// aKey is a key as tiffin key create prints it.
const aKey = "tfn_0011223344556677_hunter2hunter2hunter2hunter2hunter2hunter2x"

// TestKeysAreNeeded, where not everything is in one process; no error shows one.
func TestKeysAreNeeded(t *testing.T) {
	whole := strings.Join(append([]string{Gateway}, Services...), " ")
	for _, tt := range []struct {
		units, key, dir string
		says            string // empty: nothing is wrong
	}{
		{"order", "", "", "api-key: missing; expected"},
		{"gateway", "", "", "api-key: missing"},
		{whole, "", "keys", ""},
		{whole + " partners", "", "keys", ""},
		{whole, "", "", "signing-keys: missing; expected a folder"},
		{"partners", "", "", ""},
		{"order partners", "", "", "api-key: missing"},
		{"order", "hunter2", "", "api-key: of 7 characters"},
		{whole, "hunter2", "keys", "api-key: of 7 characters"},
		{"order", "hunter2 hunter2 hunter2", "", ""},
		{"order", aKey, "", ""},
		{"order", aKey[:40], "", "api-key: begins as a key of ours and is none"},
		{"order", "<order-api-key>", "", "api-key: it is the placeholder"},
		{"identity", aKey, "", "signing-keys: missing"},
		{"identity", aKey, "keys", ""},
	} {
		err := Config{APIKey: tt.key, Identity: Identity{SigningKeys: tt.dir}}.CheckKeys(strings.Fields(tt.units))
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s with %q: %v, want %q", tt.units, tt.key, err, tt.says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: it shows the key: %v", tt.units, err)
		}
	}
}

// TestFirstKeys are those of a file; what is none is said with its line, and not shown.
func TestFirstKeys(t *testing.T) {
	for _, tt := range []struct{ text, says string }{
		{"# ours\n\norder service:order " + aKey + "\n", ""},
		{"order " + aKey, "line 1: expected NAME SCOPE"},
		{"# ours\norder service:order <order-api-key>", "line 2: the key is the placeholder"},
		{"order service:order hunter2", "line 1: not a key"},
		{"order waiter " + aKey, "line 1: scope"},
	} {
		file := filepath.Join(t.TempDir(), "first-keys")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := Identity{FirstKeys: file}.firstKeys()
		if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.says)
		}
		if err == nil && (len(keys) != 1 || keys[0].Name != "order" || keys[0].ID != "0011223344556677") {
			t.Errorf("%q: %+v", tt.text, keys)
		}
	}
	if err := (Identity{FirstKeys: "nowhere"}).checkIdentity(); err == nil || !strings.Contains(err.Error(), "first-keys: ") {
		t.Error(err)
	}
}

// TestStrangersKnowNoKeys: the simulated companies alone ask nobody for keys; whoever asks waits for them a moment.
func TestStrangersKnowNoKeys(t *testing.T) {
	for _, strangers := range []bool{true, false} {
		cfg := embedded(t, func(c *Config) { c.Partners = true })
		cfg.CardSecret, cfg.TransportSecret, cfg.RestaurantSecret = aSecret(1), aSecret(2), aSecret(3)
		cfg.strangers = strangers
		sys, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if (sys.ring == nil) != strangers {
			t.Errorf("strangers %v: it asks for keys: %v", strangers, sys.ring != nil)
		}
		told, cancel := context.WithCancel(t.Context())
		cancel()
		sys.hearKeys(told) // returns
		if err := sys.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
