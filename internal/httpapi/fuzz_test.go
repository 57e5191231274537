package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "MQ", encodeCursor("0190e2a6"), "!", "MQ=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := decodeCursor(s)
		if !ok || id == "" {
			return
		}
		if strings.ContainsAny(id, "\r\n\x00") || !utf8.ValidString(id) {
			t.Errorf("%q became %q", s, id)
		}
		if encodeCursor(id) != s {
			t.Errorf("%q is not the only cursor of %q", s, id)
		}
	})
}

// What passes as unambiguous has no two names that the decoder takes for one.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{"a":1,"A":2}`, `{"k":1,"\u212a":2}`, `[{"s":1,"\u017f":2}]`, `{"a":{"b":[1,{"c":2}]}}`, `{`, `{"ab":1} x`, "\xff", `{"\u03a3":1,"\u03c2":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		err := unmarshal(data, &v)
		if err == nil != (json.Unmarshal(data, new(any)) == nil && ambiguous(v) == nil) {
			t.Errorf("%v", err)
		}
		if err != nil {
			return
		}
		var walk func(any)
		walk = func(v any) {
			switch v := v.(type) {
			case []any:
				for _, e := range v {
					walk(e)
				}
			case map[string]any:
				for a := range v {
					for b := range v {
						if a != b && strings.EqualFold(a, b) {
							t.Errorf("%q and %q", a, b)
						}
					}
				}
				for _, e := range v {
					walk(e)
				}
			}
		}
		walk(v)
	})
}

func FuzzDetail(f *testing.F) {
	for _, s := range []string{`{"detail":"x"}`, `{"detail":[{"loc":["a",1,null],"msg":"m"}]}`, `{"title":"t"}`, ``, `[]`, `{"detail":{}}`} {
		f.Add(400, []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		d := Detail(status, body)
		if d == "" || len(d) > maxDetail || !utf8.ValidString(d) {
			t.Errorf("%q", d)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []string{"", "0", "120", "-1", "99999999999999999999", now.Add(time.Minute).Format(http.TimeFormat), "soon"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := parseRetryAfter(s, now); d < 0 || d > maxRetryAfter {
			t.Errorf("%q: %v", s, d)
		}
	})
}

func FuzzRequestID(f *testing.F) {
	f.Add("a-1")
	f.Add("a\nb")
	f.Fuzz(func(t *testing.T, s string) {
		if saneID(s) && (len(s) > 64 || s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' })) {
			t.Errorf("%q", s)
		}
	})
	if !saneID(newID()) {
		f.Error("our own id is not sane")
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-7": 0, "1.5": 0, "99999": time.Hour, "9999999999999": 0, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := parseRetryAfter(s, now); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

func TestBound(t *testing.T) {
	for _, n := range []int{3, 4, 5, 6, 7, 8} {
		for _, s := range []string{"", "abc", "abcdefghi", "ééééé", "a日本語"} {
			got := bound(s, n)
			if len(got) > n || !utf8.ValidString(got) || len(s) <= n && got != s {
				t.Errorf("bound(%q, %d) = %q", s, n, got)
			}
		}
	}
}
