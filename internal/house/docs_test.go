package house

import (
	"bytes"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`!?\[[^\]]*\]\(([^)\s]+)(?:\s+"[^"]*")?\)`)
	heading  = regexp.MustCompile(`(?m)^#{1,6}\s+(.+?)\s*$`)
	fence    = regexp.MustCompile("(?ms)^```.*?^```\\s*$")
	code     = regexp.MustCompile("`[^`\n]*`")
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

func TestLinksLead(t *testing.T) {
	anchors := map[string][]string{}
	for _, f := range files(t) {
		for _, h := range heading.FindAllSubmatch(fence.ReplaceAll(f.text, nil), -1) {
			slug := noAnchor.ReplaceAllString(strings.ToLower(string(h[1])), "")
			anchors[f.name] = append(anchors[f.name], strings.ReplaceAll(slug, " ", "-"))
		}
	}
	for _, f := range files(t) {
		if path.Ext(f.name) != ".md" {
			continue
		}
		prose := code.ReplaceAll(fence.ReplaceAll(f.text, nil), nil)
		for _, m := range link.FindAllSubmatch(prose, -1) {
			target := string(m[1])
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to, anchor, _ := strings.Cut(target, "#")
			if to == "" {
				to = f.name
			} else {
				to = path.Join(f.folder(), to)
			}
			if _, err := os.Stat(path.Join(root, to)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", f.name, target)
			} else if anchor != "" && path.Ext(to) == ".md" && !slices.Contains(anchors[to], anchor) {
				t.Errorf("%s: the link %s leads to no heading", f.name, target)
			}
		}
	}
}

// named are files and folders of ours as prose names them.
var named = regexp.MustCompile("`((?:internal|cmd|docs|deploy|web)/[A-Za-z0-9_./-]+)`")

// TestDocsNameWhatExists: a document that names a file of the tree is right.
func TestDocsNameWhatExists(t *testing.T) {
	for _, f := range files(t) {
		if path.Ext(f.name) != ".md" {
			continue
		}
		for _, m := range named.FindAllSubmatch(fence.ReplaceAll(f.text, nil), -1) {
			if _, err := os.Stat(path.Join(root, string(m[1]))); err != nil {
				t.Errorf("%s names %s, which is not there", f.name, m[1])
			}
		}
	}
}

var (
	command   = regexp.MustCompile(`(?m)(?:^|[` + "`" + `\s])(?:bin/)?tiffin((?: [a-z][a-z-]*){1,2})`)
	longFlag  = regexp.MustCompile(`--[a-z][a-z-]+`)
	makeGoal  = regexp.MustCompile("(?m)(?:`|^|&& )make ([a-z-]+)")
	reference = "docs/cli.md" // generated from the program
)

// TestDocsNameWhatCanBeRun: a command, a flag or a make target that a document names is there.
func TestDocsNameWhatCanBeRun(t *testing.T) {
	var cli, targets string
	for _, f := range files(t) {
		switch f.name {
		case reference:
			cli = string(f.text)
		case "Makefile":
			targets = "\n" + string(f.text)
		}
	}
	for _, f := range files(t) {
		if path.Ext(f.name) != ".md" || f.name == reference {
			continue
		}
		for _, snippet := range append(fence.FindAll(f.text, -1), code.FindAll(fence.ReplaceAll(f.text, nil), -1)...) {
			if bytes.HasPrefix(snippet, []byte("```mermaid")) || bytes.HasPrefix(snippet, []byte("```go")) {
				continue
			}
			for _, m := range command.FindAllSubmatch(snippet, -1) {
				words := strings.Fields(string(m[1]))
				one := strings.Contains(cli, "## tiffin "+words[0]+"\n")
				two := len(words) == 2 && strings.Contains(cli, "## tiffin "+words[0]+" "+words[1]+"\n")
				group := strings.Contains(cli, "## tiffin "+words[0]+" ")
				if !two && (!one || group && len(words) == 2) {
					t.Errorf("%s names tiffin %s, which is not there", f.name, strings.Join(words, " "))
				}
				for _, flag := range longFlag.FindAll(snippet, -1) {
					if !strings.Contains(cli, string(flag)) {
						t.Errorf("%s names %s, which no command has", f.name, flag)
					}
				}
			}
			for _, m := range makeGoal.FindAllSubmatch(snippet, -1) {
				if !strings.Contains(targets, "\n"+string(m[1])+":") {
					t.Errorf("%s names make %s, which is not there", f.name, m[1])
				}
			}
		}
	}
}
