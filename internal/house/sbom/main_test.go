package main

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestListsWhatIsInside: this test is a Go program like any other.
func TestListsWhatIsInside(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "it.cdx.json")
	if err := run(program, "v1.2.3", file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Format != "CycloneDX" || doc.Metadata.Component.Version != "v1.2.3" || len(doc.Metadata.Component.Hashes) != 1 {
		t.Errorf("%+v", doc.Metadata)
	}
	if len(doc.Components) != len(info.Deps)+1 || len(doc.Dependencies[0].On) != len(doc.Components) {
		t.Errorf("%d components of %d modules and the standard library", len(doc.Components), len(info.Deps))
	}
	seen := map[string]bool{}
	for _, c := range doc.Components {
		if !strings.HasPrefix(c.PURL, "pkg:golang/") || c.Version == "" || seen[c.Ref] {
			t.Errorf("%+v", c)
		}
		seen[c.Ref] = true
	}
	if err := run(filepath.Join(t.TempDir(), "nothing"), "", file); err == nil {
		t.Error("a program that is not there was described")
	}
}
