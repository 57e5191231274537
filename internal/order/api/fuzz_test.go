package api

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tiffin-food/tiffin/internal/redact"
)

// FuzzIfNoneMatch reads any header: a version that it names, never one below nothing.
func FuzzIfNoneMatch(f *testing.F) {
	for _, s := range []string{`"7"`, `W/"7", "8"`, `*`, ``, `"-1"`, `"99999999999999999999"`, `,,,`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v := version(s); v < 0 || v > 0 && !strings.Contains(s, strings.Trim(etag(v), `"`)) && !strings.ContainsAny(s, "+0") {
			t.Errorf("%q: %d", s, v)
		}
		if etag(version(etag(7))) != `"7"` {
			t.Error("our own is not read")
		}
	})
}

// FuzzShown shows any body of a message: bounded, and without a card's number.
func FuzzShown(f *testing.F) {
	f.Add([]byte(`{"card":4242424242424242}`))
	f.Add([]byte("\xff" + strings.Repeat("ü", 2000)))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := Shown(body)
		if len(s) > maxShown || redact.Card(s) || utf8.Valid(body) && len(body) < maxShown/3 && !utf8.ValidString(s) {
			t.Errorf("%q", s)
		}
	})
}
