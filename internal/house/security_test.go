package house

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// tested are tests as a document names them.
var tested = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")

// TestPromisesAreTested: a test that docs/security.md says holds a promise is there.
func TestPromisesAreTested(t *testing.T) {
	there := map[string]bool{}
	var text string
	for _, f := range files(t) {
		if f.name == "docs/security.md" {
			text = string(f.text)
		}
		if !f.isGo() || !f.isTest() {
			continue
		}
		_, tree := f.parse(t)
		for _, d := range tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				there[fn.Name.Name] = true
			}
		}
	}
	names := tested.FindAllStringSubmatch(text, -1)
	if len(names) < 10 {
		t.Errorf("docs/security.md names %d tests", len(names))
	}
	for _, n := range names {
		if !there[n[1]] {
			t.Errorf("docs/security.md says that %s holds a promise, and there is no such test", n[1])
		}
	}
}
