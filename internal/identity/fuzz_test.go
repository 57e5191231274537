package identity_test

import (
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/identity"
)

// FuzzNormalEmail: an address that is taken is its own normal form, and has none of what a header or a page could trip
// over.
func FuzzNormalEmail(f *testing.F) {
	for _, s := range []string{"Ada@Example.com", " a@b ", "a@b@c", "@", "a@", "ä@ö.de", "a\r\n@b", "<a@b>", "İ@x.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		email, ok := identity.NormalEmail(s)
		if !ok {
			return
		}
		if again, ok := identity.NormalEmail(email); !ok || again != email || strings.ContainsAny(email, " \r\n\t<>\"") || len(email) > 254 {
			t.Errorf("%q became %q, and that %q", s, email, again)
		}
	})
}
