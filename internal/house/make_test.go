package house

import (
	"go/ast"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestFuzzRunsEveryTarget: make finds the targets itself, all of them.
func TestFuzzRunsEveryTarget(t *testing.T) {
	var want []string
	for _, f := range files(t) {
		if !f.isTest() {
			continue
		}
		_, tree := f.parse(t)
		for _, d := range tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				want = append(want, "./"+f.folder()+" "+fn.Name.Name)
			}
		}
	}
	if _, err := exec.LookPath("make"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command("make", "-s", "fuzz-list")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("make fuzz-list says\n%s\nthe tree has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
