package memory_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/cache/cachetest"
	"github.com/tiffin-food/tiffin/internal/cache/memory"
	"github.com/tiffin-food/tiffin/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, most int) *memory.Cache {
	t.Helper()
	now, err := clock.New(time.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := memory.New(now, most)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConformance(t *testing.T) {
	cachetest.Exercise(t, func(t testing.TB) cache.Cache { return open(t, 1000) })
}

func TestNewRefuses(t *testing.T) {
	now := clock.Virtual(time.Now())
	if _, err := memory.New(now, 0); err == nil {
		t.Error("no room is a cache")
	}
	if _, err := memory.New(nil, 1); err == nil {
		t.Error("no clock is a cache")
	}
}

// TestUsedLongestAgoGoesFirst: reading and writing are uses, looking through is none.
func TestUsedLongestAgoGoesFirst(t *testing.T) {
	c := open(t, 3)
	put := func(key string, version int64) {
		t.Helper()
		if err := c.Put(t.Context(), key, cache.Entry{Version: version}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	has := func(keys ...string) {
		t.Helper()
		n := 0
		for _, key := range keys {
			found := false
			err := c.Each(t.Context(), key, func(string, cache.Entry, time.Duration) bool { n++; found = true; return true })
			if err != nil || !found {
				t.Fatalf("%s is gone, %v", key, err)
			}
		}
		if n != len(keys) {
			t.Fatalf("%d entries, want %q", n, keys)
		}
	}
	put("a", 1)
	put("b", 1)
	put("c", 1)
	if _, ok, _ := c.Get(t.Context(), "a"); !ok {
		t.Fatal("a is gone")
	}
	put("b", 2)
	put("d", 1)
	has("a", "b", "d")
	put("e", 1)
	has("b", "d", "e")
	for i := range 100 {
		put(fmt.Sprint("x", i), 1)
	}
	has("x97", "x98", "x99")
}

// TestTimeIsTheClocks: an hour of a clock that runs 3600 times as fast is over in a second.
func TestTimeIsTheClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, err := clock.New(time.Now(), 3600)
		if err != nil {
			t.Fatal(err)
		}
		c, err := memory.New(fast, 10)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Put(t.Context(), "a", cache.Entry{Version: 1}, time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second - time.Millisecond)
		if _, ok, _ := c.Get(t.Context(), "a"); !ok {
			t.Error("it is over too soon")
		}
		time.Sleep(time.Millisecond)
		if _, ok, _ := c.Get(t.Context(), "a"); ok {
			t.Error("it is not over")
		}
	})
}
