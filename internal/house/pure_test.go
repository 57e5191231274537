package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// clockReaders are the names of package time that read the machine's clock or wait by it.
var clockReaders = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// isPure says whether a file is of a pure core, or of the shell's bookkeeping, which does no I/O either.
func isPure(f file) bool {
	if !f.isGo() || f.isTest() {
		return false
	}
	switch f.name {
	case "internal/durable/cell.go", "internal/durable/record.go", "internal/durable/machine.go":
		return true
	}
	return slices.Contains(services, f.folder())
}

// TestPureCoresAreStill: no clock, no chance, no goroutine, no channel, no state of the package.
func TestPureCoresAreStill(t *testing.T) {
	seen := 0
	for _, f := range files(t) {
		if !isPure(f) {
			continue
		}
		seen++
		set, tree := f.parse(t)
		wrong := func(at token.Pos, what string) { t.Errorf("%s: %s in a pure core", set.Position(at), what) }
		for name, at := range calls(tree, "time") {
			if slices.Contains(clockReaders, name) {
				wrong(at[0], "time."+name)
			}
		}
		for _, spec := range tree.Imports {
			switch p := strings.Trim(spec.Path.Value, `"`); p {
			case "math/rand", "math/rand/v2", "crypto/rand", "sync", "sync/atomic", "unsafe":
				wrong(spec.Pos(), "package "+p)
			}
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				wrong(n.Pos(), "a goroutine")
			case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
				wrong(n.Pos(), "a channel")
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					wrong(n.Pos(), "an init function")
				}
			}
			return true
		})
	}
	if seen < 10 {
		t.Errorf("%d pure files only", seen)
	}
}

// realTime are the packages that may read the machine's clock, and what for. Everybody else follows internal/clock.
var realTime = map[string]string{
	"internal/clock":            "it is the clock",
	"internal/keyring":          "how often keys are asked for, and how old they are",
	"internal/broker/rabbitmq":  "connections: timeouts and backoff",
	"internal/cache":            "how long a cache that is away is left alone",
	"internal/registry/catalog": "how long what was found is remembered",
	"internal/registry/consul":  "timeouts and pauses",
	"internal/durable/postgres": "timeouts and backoff",
	"internal/durable/mongo":    "timeouts and backoff",
	"internal/order/api":        "how long a count of the backlog is believed",
	"internal/engines":          "servers of tests start in real time",
	"internal/engines/with":     "how long servers of tests took to start",
	"internal/httpapi":          "timeouts and heartbeats",
	"internal/gateway":          "timeouts",
	"internal/app":              "the moment at which the clock begins; how long stopping may take",
	"internal/partner":          "Slow: a company that takes long to answer",
	"internal/bench":            "it measures",
	"internal/replay":           "how long the day took on the wall",
	"internal/durable":          "a reader of a shared store looks again now and then",
	"internal/durable/sqlite":   "how long a commit waits for more writes",
	"internal/console":          "progress on a terminal",
	"internal/sim":              "how long the run took on the wall",
	"internal/client":           "timeouts",
	"internal/telemetry":        "how often a backlog is counted, and how often a lost trace is complained of",
	"cmd/tiffin":                "how long starting took",
}

func TestOneClock(t *testing.T) {
	for _, f := range files(t) {
		if !f.isGo() || f.isTest() || realTime[f.folder()] != "" || isSuite(f.folder()) {
			continue
		}
		set, tree := f.parse(t)
		for name, at := range calls(tree, "time") {
			if slices.Contains(clockReaders, name) {
				t.Errorf("%s: time.%s; what happens in the system follows internal/clock", set.Position(at[0]), name)
			}
		}
	}
}

// TestNoSleepInTests: inside a synctest bubble sleeping takes no time and is no race; outside it is both. A
// benchmark may sleep, to keep a pace.
func TestNoSleepInTests(t *testing.T) {
	for _, f := range files(t) {
		if !f.isGo() || !f.isTest() && !isSuite(f.folder()) {
			continue
		}
		set, tree := f.parse(t)
		if len(calls(tree, "testing/synctest")) > 0 {
			continue
		}
		for _, at := range calls(tree, "time")["Sleep"] {
			if !slices.ContainsFunc(tree.Decls, func(d ast.Decl) bool {
				fn, ok := d.(*ast.FuncDecl)
				return ok && strings.HasPrefix(fn.Name.Name, "Benchmark") && fn.Pos() <= at && at < fn.End()
			}) {
				t.Errorf("%s: a test sleeps; use testing/synctest or a signal", set.Position(at))
			}
		}
	}
}

// TestOnlyTestsPlantBugs: a switch for a bug is thrown by nobody else.
func TestOnlyTestsPlantBugs(t *testing.T) {
	for _, f := range files(t) {
		if !f.isGo() || f.isTest() || f.folder() == "internal/planted" {
			continue
		}
		set, tree := f.parse(t)
		for _, at := range calls(tree, module+"internal/planted")["Plant"] {
			t.Errorf("%s: planted.Plant outside a test", set.Position(at))
		}
	}
}
