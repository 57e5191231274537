package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is what of the guide is run, and what is then to be expected.
type block struct {
	script string
	kind   string // json or text; empty: nothing is said
	want   string
}

var fenced = regexp.MustCompile("(?ms)^```(sh|json|text)\n(.*?)^```$")

// TestGuide runs every command of docs/api.md, in order, in one shell against a system of its own, and compares what it
// prints with what the guide says it does: … stands for whatever it may be.
func TestGuide(t *testing.T) {
	for _, tool := range []string{"sh", "curl", "openssl", "sed", "grep", "od", "tr"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("THE GUIDE WAS NOT RUN: there is no %s on this machine", tool)
		}
	}
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, m := range fenced.FindAllSubmatch(text, -1) {
		if kind := string(m[1]); kind == "sh" {
			blocks = append(blocks, block{script: string(m[2])})
		} else if last := len(blocks) - 1; last < 0 || blocks[last].kind != "" {
			t.Fatalf("nothing is run that prints\n%s", m[2])
		} else {
			blocks[last].kind, blocks[last].want = kind, string(m[2])
		}
	}
	if len(blocks) < 20 {
		t.Fatalf("the guide has %d blocks", len(blocks))
	}
	here := t.TempDir()
	p := up(t, here+"/data", append([]string{"--speed", "250"}, secretFlags...)...)

	const mark = "--8<-- end of block"
	var script bytes.Buffer
	for _, b := range blocks {
		fmt.Fprintf(&script, "%s\nprintf '\\n%s\\n'\n", b.script, mark)
	}
	var said, complaints bytes.Buffer
	sh := exec.CommandContext(t.Context(), "sh", "-u", "-c", script.String())
	sh.Dir, sh.Stdout, sh.Stderr = here, &said, &complaints
	sh.Env = append(environment(), "TIFFIN="+p.url, "SECRET="+secrets.CardSecret, "no_proxy=127.0.0.1")
	if err := sh.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("%v\n%s", err, &complaints)
	}
	got := strings.Split(said.String(), "\n"+mark+"\n")
	for i, b := range blocks {
		if i >= len(got) {
			t.Fatal("the shell ended early")
		}
		var err error
		switch b.kind {
		case "json":
			err = sameJSON(got[i], b.want)
		case "text":
			err = sameText(got[i], b.want)
		}
		if err != nil {
			t.Errorf("%s\nsays\n%s\nand not as the guide has it: %v", b.script, got[i], err)
		}
	}
}

const whatever = "…"

// fits says whether a text is as another, in which … stands for anything.
func fits(got, want string) bool {
	parts := strings.Split(want, whatever)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, `.*`) + `$`).MatchString(got)
}

func sameText(got, want string) error {
	if got, want := strings.TrimSpace(strings.ReplaceAll(got, "\r", "")), strings.TrimSpace(want); !fits(got, strings.ReplaceAll(want, "\n…", "…")) {
		return fmt.Errorf("it is\n%s", want)
	}
	return nil
}

func sameJSON(got, want string) error {
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		return fmt.Errorf("the guide: %w", err)
	}
	return sameValue("", g, w)
}

// sameValue compares structures: the same fields and, but for …, the same values. A field … allows more fields, an
// element … more elements.
func sameValue(at string, got, want any) error {
	switch want := want.(type) {
	case string:
		if want == whatever {
			return nil
		}
		if text, ok := got.(string); !ok || !fits(text, want) {
			return fmt.Errorf("%s is %v, not %q", at, got, want)
		}
	case []any:
		list, ok := got.([]any)
		more := slices.Contains(want, any(whatever))
		want = slices.DeleteFunc(want, func(v any) bool { return v == whatever })
		if !ok || len(list) < len(want) || len(list) > len(want) && !more {
			return fmt.Errorf("%s is %v", at, got)
		}
		for i := range want {
			if err := sameValue(fmt.Sprintf("%s[%d]", at, i), list[i], want[i]); err != nil {
				return err
			}
		}
	case map[string]any:
		fields, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v", at, got)
		}
		_, more := want[whatever]
		for name := range fields {
			if _, known := want[name]; !known && !more {
				return fmt.Errorf("%s has the field %s", at, name)
			}
		}
		for name, v := range want {
			if name == whatever {
				continue
			}
			value, there := fields[name]
			if !there {
				return fmt.Errorf("%s has no field %s", at, name)
			}
			if err := sameValue(at+"."+name, value, v); err != nil {
				return err
			}
		}
	default:
		if got != want {
			return fmt.Errorf("%s is %v, not %v", at, got, want)
		}
	}
	return nil
}
