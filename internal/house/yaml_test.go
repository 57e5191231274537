package house

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
)

// readYAML reads the YAML that deploy/ is written in, and fails on any other: block and flow collections, plain and
// quoted scalars on one line, literal and folded blocks, anchors, aliases and merge keys. Every scalar is a string,
// as it is written. One value a document.
func readYAML(t *testing.T, f file) (docs []any) {
	t.Helper()
	r := &yamlReader{anchors: map[string]any{}}
	defer func() {
		if e := recover(); e != nil {
			t.Fatalf("%s:%d: %v", f.name, r.at+1, e)
		}
	}()
	r.lines = strings.Split(string(bytes.TrimRight(f.text, "\n")), "\n")
	for r.peek() {
		if r.lines[r.at] == "---" {
			r.at++
			continue
		}
		docs = append(docs, r.block(r.indent()))
	}
	return docs
}

type yamlReader struct {
	lines   []string
	at      int
	anchors map[string]any
}

// peek goes to the next line that is not empty or a comment, and says whether there is one.
func (r *yamlReader) peek() bool {
	for ; r.at < len(r.lines); r.at++ {
		if s := strings.TrimSpace(r.lines[r.at]); s != "" && s[0] != '#' {
			return true
		}
	}
	return false
}

func (r *yamlReader) indent() int {
	return len(r.lines[r.at]) - len(strings.TrimLeft(r.lines[r.at], " "))
}

func (r *yamlReader) text() string { return strings.TrimSpace(r.lines[r.at]) }

func isItem(s string) bool { return s == "-" || strings.HasPrefix(s, "- ") }

// here says whether the next line is one of the collection that is indented so.
func (r *yamlReader) here(indent int) bool {
	if !r.peek() || r.lines[r.at] == "---" || r.indent() < indent {
		return false
	}
	if r.indent() > indent {
		panic("indented more than what it stands under")
	}
	return true
}

func (r *yamlReader) block(indent int) any {
	if isItem(r.text()) {
		list := []any{}
		for r.here(indent) && isItem(r.text()) {
			rest := strings.TrimSpace(r.text()[1:])
			if _, _, ok := keyOf(rest); ok { // a mapping that begins on the item's line
				r.lines[r.at] = strings.Repeat(" ", indent+2) + rest
				list = append(list, r.block(indent+2))
				continue
			}
			r.at++
			list = append(list, r.value(rest, indent))
		}
		return list
	}
	m := map[string]any{}
	for r.here(indent) {
		key, rest, ok := keyOf(r.text())
		if !ok {
			panic("neither a key nor an item: " + r.text())
		}
		r.at++
		put(m, key, r.value(rest, indent))
	}
	return m
}

var yamlKey = regexp.MustCompile(`^([A-Za-z0-9_./<-]+):(?: +(.*))?$`)

func keyOf(s string) (key, rest string, ok bool) {
	m := yamlKey.FindStringSubmatch(s)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// put sets a key; those of a merged mapping only where there is none yet.
func put(m map[string]any, key string, value any) {
	if key != "<<" {
		m[key] = value
		return
	}
	merged := maps.Clone(value.(map[string]any))
	maps.Copy(merged, m)
	maps.Copy(m, merged)
}

// value reads what stands after a key or a dash, whose line is indented so.
func (r *yamlReader) value(s string, indent int) any {
	s = uncommented(s)
	if name, ok := strings.CutPrefix(s, "&"); ok {
		name, rest, _ := strings.Cut(name, " ")
		v := r.value(rest, indent)
		r.anchors[name] = v
		return v
	}
	switch {
	case s == "":
		if r.peek() && (r.indent() > indent || r.indent() == indent && isItem(r.text())) {
			return r.block(r.indent())
		}
		return nil
	case s == "|-" || s == ">-":
		var lines []string
		margin := strings.Repeat(" ", r.indent())
		for r.at < len(r.lines) && (strings.TrimSpace(r.lines[r.at]) == "" || r.indent() > indent) {
			lines = append(lines, strings.TrimPrefix(r.lines[r.at], margin))
			r.at++
		}
		return strings.TrimSpace(strings.Join(lines, map[string]string{"|-": "\n", ">-": " "}[s]))
	}
	flow := &flow{rest: s, anchors: r.anchors}
	v := flow.value("")
	if flow.rest != "" {
		panic("left over: " + flow.rest)
	}
	return v
}

var yamlString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'|[^"'#]+|#`)

// uncommented is the line without its comment.
func uncommented(s string) string {
	kept := ""
	for _, part := range yamlString.FindAllString(s, -1) {
		if part == "#" && (kept == "" || strings.HasSuffix(kept, " ")) {
			break
		}
		kept += part
	}
	return strings.TrimSpace(kept)
}

// flow reads what is on one line.
type flow struct {
	rest    string
	anchors map[string]any
}

func (f *flow) take(prefix string) bool {
	f.rest = strings.TrimLeft(f.rest, " ")
	rest, ok := strings.CutPrefix(f.rest, prefix)
	if ok {
		f.rest = strings.TrimLeft(rest, " ")
	}
	return ok
}

// value ends a plain scalar before one of the characters.
func (f *flow) value(ends string) any {
	switch {
	case f.take("["):
		list := []any{}
		for !f.take("]") {
			list = append(list, f.value(",]"))
			if !f.take(",") && !strings.HasPrefix(f.rest, "]") {
				panic("expected , or ] before " + f.rest)
			}
		}
		return list
	case f.take("{"):
		m := map[string]any{}
		for !f.take("}") {
			key, rest, ok := strings.Cut(f.rest, ":")
			if !ok {
				panic("expected a key: " + f.rest)
			}
			f.rest = rest
			put(m, strings.TrimSpace(key), f.value(",}"))
			if !f.take(",") && !strings.HasPrefix(f.rest, "}") {
				panic("expected , or } before " + f.rest)
			}
		}
		return m
	case f.take("*"):
		name := f.plain(ends)
		v, ok := f.anchors[name]
		if !ok {
			panic("no anchor " + name)
		}
		return v
	}
	for _, quote := range []string{`"`, `'`} {
		if strings.HasPrefix(f.rest, quote) {
			s := yamlString.FindString(f.rest)
			f.rest = strings.TrimLeft(f.rest[len(s):], " ")
			return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s[1 : len(s)-1])
		}
	}
	return f.plain(ends)
}

func (f *flow) plain(ends string) string {
	n := len(f.rest)
	if ends != "" {
		if i := strings.IndexAny(f.rest, ends); i >= 0 {
			n = i
		}
	}
	s := strings.TrimSpace(f.rest[:n])
	f.rest = f.rest[n:]
	return s
}

// at is what a path of keys and positions leads to, or nil.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// list is what a path leads to as strings.
func list(v any, path ...any) (all []string) {
	l, _ := at(v, path...).([]any)
	for _, x := range l {
		all = append(all, fmt.Sprint(x))
	}
	return all
}

// dict is what a path leads to as a mapping.
func dict(v any, path ...any) map[string]any {
	m, _ := at(v, path...).(map[string]any)
	return m
}
