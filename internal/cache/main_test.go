package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/cache/memory"
	"github.com/tiffin-food/tiffin/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("away")

// frail is a cache that can be away, or hang.
type frail struct {
	cache.Cache
	away  atomic.Bool
	hangs atomic.Bool // every call, until its context ends
	puts  atomic.Int64
}

func newFrail(t testing.TB) *frail {
	t.Helper()
	now, err := clock.New(time.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := memory.New(now, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return &frail{Cache: c}
}

func (f *frail) fails(ctx context.Context) error {
	if f.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.away.Load() {
		return errAway
	}
	return nil
}

func (f *frail) Get(ctx context.Context, key string) (cache.Entry, bool, error) {
	if err := f.fails(ctx); err != nil {
		return cache.Entry{}, false, err
	}
	return f.Cache.Get(ctx, key)
}

func (f *frail) Put(ctx context.Context, key string, e cache.Entry, ttl time.Duration) error {
	if err := f.fails(ctx); err != nil {
		return err
	}
	f.puts.Add(1)
	return f.Cache.Put(ctx, key, e, ttl)
}

// flush forgets everything.
func (f *frail) flush(t testing.TB) {
	t.Helper()
	err := f.Each(t.Context(), "", func(key string, _ cache.Entry, _ time.Duration) bool {
		return f.Delete(t.Context(), key) == nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func has(t testing.TB, c cache.Cache, key string, version int64) {
	t.Helper()
	if e, ok, err := c.Get(t.Context(), key); err != nil || !ok || e.Version != version {
		t.Errorf("%s has version %d, %v, %v; want %d", key, e.Version, ok, err, version)
	}
}

func entry(version int64, value string) cache.Entry {
	return cache.Entry{Version: version, Value: []byte(value)}
}
