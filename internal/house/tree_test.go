package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/tiffin-food/tiffin/"
)

// pkg is what go list says of one of our packages. Paths are written without the module's.
type pkg struct {
	path    string
	imports []string // of its code, without its tests
}

// packages are all of ours, by path.
var packages = sync.OnceValues(func() (map[string]pkg, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	found := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		for i, name := range p.Imports {
			p.Imports[i] = strings.TrimPrefix(name, module)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		found[name] = pkg{name, p.Imports}
	}
})

func ours(t *testing.T) map[string]pkg {
	t.Helper()
	p, err := packages()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if len(p) < 20 {
		t.Fatalf("go list names %d packages only", len(p))
	}
	return p
}

// isOurs says whether an import is a package of this module.
func isOurs(name string) bool {
	return strings.HasPrefix(name, "internal/") || strings.HasPrefix(name, "cmd/")
}

// file is a file of the tree, by its path from the root with slashes.
type file struct {
	name string
	text []byte
}

func (f file) isGo() bool        { return strings.HasSuffix(f.name, ".go") }
func (f file) isTest() bool      { return strings.HasSuffix(f.name, "_test.go") }
func (f file) isGenerated() bool { return generated.Match(f.text) }
func (f file) folder() string    { return path.Dir(f.name) }

// generated is what marks a generated file: Go's own convention, or its like in Markdown.
var generated = regexp.MustCompile(`(?m)^(// Code generated .* DO NOT EDIT\.|<!-- Generated .* Do not edit\. -->)$`)

// suffixes are those of the files that people write here.
var suffixes = []string{".go", ".md", ".yml", ".yaml", ".html", ".css", ".js", ".sql", ".sh", ".templ"}

// foreign are folders with files that are not ours, as they came.
var foreign = []string{"internal/httpapi/docs"}

// written are the files that people wrote, without what is built, stored or foreign.
var written = sync.OnceValues(func() ([]file, error) {
	var found []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if slices.Contains([]string{".git", "bin", "data", "node_modules"}, rel) || d.Name() == "testdata" || slices.Contains(foreign, rel) {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(suffixes, path.Ext(rel)) && rel != "Makefile" && rel != ".ci/run" {
			return nil
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's
		}
		found = append(found, file{rel, text})
		return err
	})
	return found, err
})

func files(t *testing.T) []file {
	t.Helper()
	f, err := written()
	if err != nil {
		t.Fatal(err)
	}
	if len(f) < 50 {
		t.Fatalf("the tree has %d files only", len(f))
	}
	return f
}

// parse reads a Go file.
func (f file) parse(t *testing.T) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, f.name, f.text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return set, tree
}

// calls are the places where a file names something of another package: "time.Now" under the import path "time".
// It sees through a renamed import.
func calls(tree *ast.File, importPath string) map[string][]token.Pos {
	name := ""
	for _, spec := range tree.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && p == importPath {
			name = path.Base(importPath)
			if importPath == "math/rand/v2" {
				name = "rand"
			}
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	}
	found := map[string][]token.Pos{}
	if name == "" {
		return found
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
				found[s.Sel.Name] = append(found[s.Sel.Name], s.Pos())
			}
		}
		return true
	})
	return found
}
