package limit_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/limit"
	"github.com/tiffin-food/tiffin/internal/limit/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Unix(1_700_000_000, 0).Truncate(time.Minute)

// TestQuietIsRewarded: whoever waits as long as was said passes, and no window lets more than the limit through at
// once.
func TestQuietIsRewarded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start
		l := limit.New(memory.New(0), func() time.Time { return now })
		rule := limit.Rule{Name: "x", Most: rapid.Int64Range(1, 50).Draw(t, "most"), Window: time.Minute}
		passed := map[int64]int64{}
		for range rapid.IntRange(1, 200).Draw(t, "hits") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "pause")))
			d := l.Allow(t.Context(), rule, "k")
			if d.OK {
				if passed[limit.Index(now, rule.Window)]++; passed[limit.Index(now, rule.Window)] > rule.Most {
					t.Fatalf("more than %d in a window", rule.Most)
				}
				continue
			}
			if d.Wait <= 0 || d.Wait > 2*rule.Window+time.Second || d.Left != 0 {
				t.Fatalf("%+v", d)
			}
			if rapid.Bool().Draw(t, "waits") {
				now = now.Add(d.Wait)
				if again := l.Allow(t.Context(), rule, "k"); !again.OK {
					t.Fatalf("after %v: %+v", d.Wait, again)
				}
				passed[limit.Index(now, rule.Window)]++
			}
		}
	})
}

func TestNoBurstAtTheSeam(t *testing.T) {
	now := start.Add(59 * time.Second)
	l := limit.New(memory.New(0), func() time.Time { return now })
	rule := limit.Rule{Name: "x", Most: 10, Window: time.Minute}
	for range 10 {
		if !l.Allow(t.Context(), rule, "k").OK {
			t.Fatal("refused below the limit")
		}
	}
	now = now.Add(2 * time.Second)
	if d := l.Allow(t.Context(), rule, "k"); d.OK || d.Wait > time.Minute {
		t.Errorf("%+v", d)
	}
	if d := l.Allow(t.Context(), rule, "other"); !d.OK || d.Left != 9 {
		t.Errorf("another key: %+v", d)
	}
	if d := l.Allow(t.Context(), limit.Rule{}, "k"); !d.OK {
		t.Errorf("no rule: %+v", d)
	}
}

// TestLooking: a look says what a hit would meet, and counts nothing.
func TestLooking(t *testing.T) {
	l := limit.New(memory.New(0), func() time.Time { return start })
	rule := limit.Rule{Name: "x", Most: 2, Window: 10 * time.Minute}
	for i, want := range []bool{true, true, false, false} {
		for range 3 {
			if d := l.Decide(t.Context(), limit.Ask{Rule: rule, Key: "k"})[0]; d.OK != want {
				t.Errorf("after %d: %+v", i, d)
			}
		}
		l.Note(t.Context(), rule, "k")
	}
}

// seen is a counter that keeps the keys it was asked for, and may be away.
type seen struct {
	keys []string
	err  error
	limit.Counter
}

func (s *seen) Add(ctx context.Context, at time.Time, hits ...limit.Hit) ([]limit.Count, error) {
	if s.err != nil {
		return nil, s.err
	}
	for _, h := range hits {
		s.keys = append(s.keys, h.Key)
	}
	return s.Counter.Add(ctx, at, hits...)
}

func TestKeysTellNothing(t *testing.T) {
	c := &seen{Counter: memory.New(0)}
	limit.New(c, func() time.Time { return start }).Allow(t.Context(), limit.Rule{Name: "mail", Most: 1, Window: time.Minute}, "ann@example.org")
	if len(c.keys) != 1 || strings.Contains(c.keys[0], "ann") || !strings.HasPrefix(c.keys[0], "mail:") || len(c.keys[0]) > 40 {
		t.Errorf("%q", c.keys)
	}
}

// TestFallback: where the first is away the second counts, and both changes are told once.
func TestFallback(t *testing.T) {
	var said strings.Builder
	first := &seen{Counter: memory.New(0)}
	f := &limit.Fallback{First: first, Second: memory.New(0), Log: slog.New(slog.NewTextHandler(&said, nil))}
	l := limit.New(f, func() time.Time { return start })
	rule := limit.Rule{Name: "x", Most: 2, Window: time.Minute}
	for _, step := range []struct {
		away bool
		left int64
	}{{false, 1}, {true, 1}, {true, 0}, {false, 0}} {
		first.err = nil
		if step.away {
			first.err = errors.New("away")
		}
		if d := l.Allow(t.Context(), rule, "k"); d.Left != step.left || !d.OK {
			t.Errorf("%+v: %+v", step, d)
		}
	}
	if n := strings.Count(said.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, said.String())
	}
	first.err = errors.New("away")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if d := l.Decide(gone, limit.Ask{Rule: rule, Key: "k", N: 9}); !d[0].OK {
		t.Error("who has gone is refused")
	}
}
