package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
)

var formats = map[string]huma.Format{
	"application/json": {Marshal: marshal, Unmarshal: unmarshal},
	"json":             {Marshal: marshal, Unmarshal: unmarshal},
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// marshal writes v and a newline in one piece. That the client is gone is nobody's error.
func marshal(w io.Writer, v any) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= 64<<10 {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, _ = w.Write(buf.Bytes())
	return nil
}

// unmarshal decodes data. Its errors say where and what, and never repeat a value.
func unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return plainly(err)
	}
	if generic, ok := v.(*any); ok { // what huma validates, before it decodes into the type
		return ambiguous(*generic)
	}
	return nil
}

func plainly(err error) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("malformed JSON at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		if kind.Field != "" {
			return fmt.Errorf("%s: expected %s", kind.Field, jsonKind(kind.Type))
		}
		return fmt.Errorf("expected %s", jsonKind(kind.Type))
	}
	return errors.New("malformed JSON")
}

func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	default:
		return "object"
	}
}

// ambiguous refuses an object with two names that differ in case alone. The decoder takes both for the same field
// and the last one wins, while only one of them was validated.
func ambiguous(v any) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := ambiguous(e); err != nil {
				return err
			}
		}
	case map[string]any:
		if err := sameName(v); err != nil {
			return err
		}
		for _, e := range v {
			if err := ambiguous(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func sameName(m map[string]any) error {
	alike := false
	for name := range m {
		alike = alike || !plain(name)
	}
	if !alike || len(m) < 2 {
		return nil
	}
	seen := make(map[string]struct{}, len(m))
	for name := range m {
		f := fold(name)
		if _, ok := seen[f]; ok {
			return fmt.Errorf("%q is there twice, in different case", bound(name, 50))
		}
		seen[f] = struct{}{}
	}
	return nil
}

// plain names are their own fold, and no two of them are alike.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// fold is the same for all names that encoding/json and huma take for the same.
func fold(s string) string {
	if plain(s) {
		return s
	}
	return strings.Map(smallest, s)
}

func smallest(r rune) rune {
	if 'a' <= r && r <= 'z' { // as fold leaves plain names: k and s have relatives outside of ASCII
		return r
	}
	least := r
	for s := unicode.SimpleFold(r); s != r; s = unicode.SimpleFold(s) {
		if 'a' <= s && s <= 'z' {
			return s
		}
		least = min(least, s)
	}
	return least
}
