package memory_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/limit"
	"github.com/tiffin-food/tiffin/internal/limit/limittest"
	"github.com/tiffin-food/tiffin/internal/limit/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConforms(t *testing.T) {
	limittest.Exercise(t, func(*testing.T) limit.Counter { return memory.New(0) })
}

// TestForgets: no more keys than were allowed, and the ones that were hit last.
func TestForgets(t *testing.T) {
	c, at := memory.New(3), time.Unix(1_700_000_000, 0)
	hit := func(key string, n int64) int64 {
		counts, err := c.Add(t.Context(), at, limit.Hit{Key: key, Window: time.Minute, N: n})
		if err != nil {
			t.Fatal(err)
		}
		return counts[0].Now
	}
	for i := range 3 {
		hit(fmt.Sprint(i), 1)
	}
	hit("0", 1)
	hit("3", 1)
	for key, want := range map[string]int64{"0": 2, "1": 0, "2": 1, "3": 1} {
		if got := hit(key, 0); got != want {
			t.Errorf("%s: %d, want %d", key, got, want)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	c, at := memory.New(1000), time.Unix(1_700_000_000, 0)
	keys := make([]string, 2000)
	for i := range keys {
		keys[i] = fmt.Sprint("address:", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := c.Add(b.Context(), at, limit.Hit{Key: keys[i%len(keys)], Window: time.Minute, N: 1}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
