package house

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// maxLines is how long a file may be: more is more than one subject.
const maxLines = 600

func TestFilesHaveOneSubject(t *testing.T) {
	for _, f := range files(t) {
		if n := bytes.Count(f.text, []byte("\n")); n > maxLines && !f.isGenerated() {
			t.Errorf("%s has %d lines, more than %d", f.name, n, maxLines)
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	said := map[string]bool{}
	for _, f := range files(t) {
		if !f.isGo() || f.isTest() {
			continue
		}
		_, tree := f.parse(t)
		said[f.folder()] = said[f.folder()] || tree.Doc != nil && len(strings.TrimSpace(tree.Doc.Text())) > 0
	}
	for folder, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", folder)
		}
	}
}

// unfinished are the marks of work put off; they belong into an issue. (Spelled so that this file has none.)
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`)

func TestNothingIsPutOff(t *testing.T) {
	for _, f := range files(t) {
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			if unfinished.Match(line) {
				t.Errorf("%s:%d: %s", f.name, i+1, bytes.TrimSpace(line))
			}
		}
	}
}
