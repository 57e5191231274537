package house

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// services are the six; each is a pure core, with its HTTP side in api/ below it.
var services = []string{
	"internal/order", "internal/payment", "internal/customer", "internal/delivery", "internal/kitchen", "internal/identity",
}

// further is what one of them may import beside what all may: identity keeps roles and keys, and its tokens are read by
// the gateway too.
var further = map[string][]string{
	"internal/identity":     {"internal/auth"},
	"internal/identity/api": {tokens},
}

// tokens is the one package below a service that others than its API may import.
const tokens = "internal/identity/token"

// layers say what of ours the packages below the services may import.
var layers = map[string][]string{
	"internal/wire":     {},
	"internal/planted":  {},
	"internal/clock":    {},
	"internal/broker":   {},
	"internal/cache":    {},
	"internal/id":       {},
	"internal/auth":     {},
	"internal/pressure": {},
	"internal/crew":     {},
	"internal/redact":   {},

	"internal/keyring": {"internal/auth", "internal/httpapi"},
	tokens:             {"internal/auth", "internal/httpapi"},

	"internal/limit":   {},
	"internal/durable": {"internal/clock", "internal/crew", "internal/planted"},
	"internal/httpapi": {"internal/auth", "internal/crew", "internal/durable", "internal/planted", "internal/redact"},
	"internal/client":  {"internal/wire"},
	"internal/mdrp":    {"internal/wire"},
	"internal/webhook": {"internal/auth"},

	"internal/quarantine": {"internal/auth", "internal/durable", "internal/httpapi", "internal/redact"},
}

// forCores and forAPIs are what the services may import of ours.
var (
	forCores = []string{"internal/durable", "internal/wire", "internal/broker", "internal/planted", "internal/redact"}
	forAPIs  = append([]string{"internal/httpapi", "internal/auth", "internal/clock", "internal/cache", "internal/quarantine", "internal/limit"}, forCores...)
)

// pureStd is what of the standard library a pure core may import: nothing that does I/O, tells the time, starts or
// waits for anything, or draws a number. (Which names of package time are right says TestPureCoresAreStill.)
var pureStd = []string{
	"bytes", "cmp", "encoding/json", "errors", "fmt", "iter", "maps", "math", "slices", "strconv", "strings", "time",
	"unicode", "unicode/utf8",
}

func TestServicesImportOnlyWhatIsTheirs(t *testing.T) {
	all := ours(t)
	for name, allowed := range layers {
		checkOurs(t, all, name, allowed)
	}
	for _, core := range services {
		checkOurs(t, all, core, slices.Concat(forCores, further[core]))
		checkOurs(t, all, core+"/api", slices.Concat([]string{core}, forAPIs, further[core+"/api"]))
		for _, i := range all[core].imports {
			if !isOurs(i) && !slices.Contains(pureStd, i) {
				t.Errorf("%s is a pure core and imports %s", core, i)
			}
		}
	}
}

func checkOurs(t *testing.T, all map[string]pkg, name string, allowed []string) {
	t.Helper()
	p, ok := all[name]
	if !ok {
		t.Errorf("%s is gone: the rules name it", name)
	}
	for _, i := range p.imports {
		if isOurs(i) && !slices.Contains(allowed, i) {
			t.Errorf("%s imports %s; of ours it may import: %s", name, i, strings.Join(allowed, ", "))
		}
	}
}

// TestServicesReachNoOther also follows what they import.
func TestServicesReachNoOther(t *testing.T) {
	all := ours(t)
	for _, core := range services {
		for _, from := range []string{core, core + "/api"} {
			for i, by := range reach(all, from) {
				if isAdapter(i) {
					t.Errorf("%s reaches the adapter %s: %s", from, i, by)
				}
				for _, other := range services {
					if other != core && (i == other || strings.HasPrefix(i, other+"/")) {
						t.Errorf("%s reaches the service %s: %s", from, i, by)
					}
				}
			}
		}
	}
}

// reach is what a package imports of ours, directly or not, and by which way.
func reach(all map[string]pkg, from string) map[string]string {
	ways := map[string]string{from: from}
	for todo := []string{from}; len(todo) > 0; todo = todo[1:] {
		for _, i := range all[todo[0]].imports {
			if _, seen := ways[i]; !seen && isOurs(i) {
				ways[i] = ways[todo[0]] + " → " + i
				todo = append(todo, i)
			}
		}
	}
	return ways
}

// isAdapter says whether a package is an adapter of a port: it lies below the port's package and is not its suite.
func isAdapter(name string) bool {
	switch path.Dir(name) {
	case "internal/durable", "internal/broker", "internal/registry", "internal/cache", "internal/limit":
		return !isSuite(name)
	}
	return false
}

// isSuite says whether a package is a port's conformance suite.
func isSuite(name string) bool { return strings.HasSuffix(name, "test") }

// who may import what, besides tests.
var doors = []struct {
	what string
	is   func(string) bool
	who  func(importer, imported string) bool
}{
	{"an adapter", isAdapter, func(importer, imported string) bool {
		model := imported == "internal/durable/memory" && (importer == "internal/sim" || isSuite(importer))
		return model || isAdapter(importer) && path.Dir(importer) == path.Dir(imported)
	}},
	{"the gateway", func(n string) bool { return under(n, "internal/gateway") }, nil},
	{"a simulated partner", func(n string) bool { return under(n, "internal/partner") }, nil},
	{"a service's HTTP side", func(n string) bool { return n != tokens && slices.Contains(services, path.Dir(n)) }, func(importer, _ string) bool {
		return importer == "internal/story" // it tells the order's story, in the API's type
	}},
	{"the composition root", func(n string) bool { return under(n, "internal/app") }, nil},
}

func under(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }

// TestServersAreForTests: nothing that ships starts the servers that tests need.
func TestServersAreForTests(t *testing.T) {
	for _, p := range ours(t) {
		for _, i := range p.imports {
			if under(i, "internal/engines") && !under(p.path, "internal/engines") {
				t.Errorf("%s imports %s, which is for tests", p.path, i)
			}
		}
	}
}

// TestOnlyTheRootKnowsAdapters holds all packages to the doors: besides what a door says, only internal/app, cmd
// and what lies beside the imported package may go through.
func TestOnlyTheRootKnowsAdapters(t *testing.T) {
	for _, p := range ours(t) {
		for _, i := range p.imports {
			for _, door := range doors {
				if !door.is(i) || under(p.path, "internal/app") || under(p.path, "cmd") || door.who != nil && door.who(p.path, i) {
					continue
				}
				if door.what != "an adapter" && room(p.path) == room(i) {
					continue
				}
				t.Errorf("%s imports %s (%s): only internal/app and cmd know it", p.path, i, door.what)
			}
		}
	}
}

// room is the package's folder right below internal/.
func room(name string) string {
	first, rest, _ := strings.Cut(name, "/")
	second, _, _ := strings.Cut(rest, "/")
	return first + "/" + second
}
