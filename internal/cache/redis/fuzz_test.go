package redis

import (
	"strconv"
	"testing"
)

// FuzzDecode reads whatever Redis may hold: what is no entry of ours is none.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"7\n{}", "7", "\n", "-1\nx", "007\nx", "99999999999999999999\nx", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		e, ok := decode(raw)
		if ok && strconv.FormatInt(e.Version, 10)+"\n"+string(e.Value) != raw {
			t.Errorf("%q became %d, %q", raw, e.Version, e.Value)
		}
	})
}
