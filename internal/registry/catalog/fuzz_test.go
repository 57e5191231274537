package catalog

import (
	"testing"

	"github.com/tiffin-food/tiffin/internal/cache"
)

// FuzzDecode reads whatever the cache or the store may hold: a list of that version, or an error.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"urls":["http://a:1"]}`, `{}`, `null`, `{"urls":[1]}`, `{"version":9}`, ``} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found, err := decode(cache.Entry{Version: 3, Value: []byte(s)})
		if err == nil && found.version != 3 || err != nil && len(found.URLs) > 0 {
			t.Errorf("%q: %+v, %v", s, found, err)
		}
	})
}
