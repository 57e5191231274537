package house

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// decoders are the packages that read what comes from outside, and what they read of it. Each has a fuzz target.
var decoders = map[string]string{
	"internal/app":              "the bodies of all routes, and settings",
	"internal/auth":             "keys, and the caller that the gateway names",
	"internal/broker/rabbitmq":  "headers of messages, and dead letters",
	"internal/cache/redis":      "copies",
	"internal/dataset":          "files to import",
	"internal/gateway":          "X-Forwarded-For, Accept-Encoding, If-None-Match, and the door's settings",
	"internal/httpapi":          "JSON, cursors, request ids, Retry-After, and errors of others",
	"internal/identity":         "e-mail addresses",
	"internal/identity/api":     "cookies, kept hashes, and refresh tokens",
	"internal/identity/token":   "access tokens, and published keys",
	"internal/mdrp":             "recorded days",
	"internal/order":            "messages of the order queue, and menus",
	"internal/order/api":        "If-None-Match, and bodies of messages that are shown",
	"internal/redact":           "texts and bodies that may hold a card's number",
	"internal/registry/catalog": "lists of instances in the cache",
	"internal/registry/consul":  "answers of Consul",
	"internal/sim":              "messages, as another model reads them",
	"internal/webhook":          "signatures, and secrets",
	"internal/wire":             "amounts",
}

// trusted are the packages that decode and need no fuzz target, and why.
var trusted = map[string]string{
	"cmd/tiffin":                     "its own arguments, by kong, and what the system answers",
	"internal/keyring":               "the identity service's list of keys",
	"internal/broker/local":          "letters as it has written them",
	"internal/client":                "what the system answers",
	"internal/durable":               "states as their machines have written them",
	"internal/durable/postgres":      "rows as it has written them",
	"internal/durable/sqlite":        "rows as it has written them",
	"internal/engines":               "servers of tests",
	"internal/house/sbom":            "the program that was built",
	"internal/partner":               "it is simulated; what it is asked the services have made",
	"internal/partner/partnertest":   "for tests",
	"internal/registry":              "settings, as URLs; consul's target reads them too",
	"internal/registry/registrytest": "for tests",
	"internal/telemetry":             "what is logged, after it was encoded here; redact's targets read it too",
}

// decoding are calls that read a text or bytes into something else.
var decoding = map[string][]string{
	"encoding/json": {"Unmarshal", "NewDecoder"}, "encoding/csv": {"NewReader"}, "encoding/hex": {"DecodeString"}, "encoding/pem": {"Decode"},
	"net/netip": {"ParseAddr", "ParsePrefix", "ParseAddrPort"}, "net/url": {"Parse"}, "encoding/xml": {"Unmarshal", "NewDecoder"},
}

// TestDecodersAreFuzzed: who reads what comes from outside has a fuzz target, and whoever decodes is on one of the two
// lists.
func TestDecodersAreFuzzed(t *testing.T) {
	fuzzed, decodes := map[string]bool{}, map[string]string{}
	for _, f := range files(t) {
		if !f.isGo() {
			continue
		}
		set, tree := f.parse(t)
		if f.isTest() {
			for _, d := range tree.Decls {
				fn, ok := d.(*ast.FuncDecl)
				fuzzed[f.folder()] = fuzzed[f.folder()] || ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz")
			}
			continue
		}
		for pkg, names := range decoding {
			for name, at := range calls(tree, pkg) {
				if slices.Contains(names, name) {
					decodes[f.folder()] = set.Position(at[0]).String()
				}
			}
		}
	}
	for folder, what := range decoders {
		if !fuzzed[folder] {
			t.Errorf("%s reads %s and has no fuzz target", folder, what)
		}
	}
	for folder, at := range decodes {
		if decoders[folder] == "" && trusted[folder] == "" {
			t.Errorf("%s decodes something (%s): give it a fuzz target, and both lists their word", folder, at)
		}
	}
	for folder := range trusted {
		if decoders[folder] != "" {
			t.Errorf("%s is on both lists", folder)
		}
	}
}
