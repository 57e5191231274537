package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/cache"
	memorycache "github.com/tiffin-food/tiffin/internal/cache/memory"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/registry/catalog"
	"github.com/tiffin-food/tiffin/internal/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("away")

// store is a store that can be away, and counts how often it is read.
type store struct {
	*memory.Store
	away  atomic.Bool
	loads atomic.Int64
	saved func() // called before each save
}

func newStore() *store { return &store{Store: memory.New(durable.Features{})} }

func (s *store) Load(ctx context.Context, id string) (durable.Record, error) {
	s.loads.Add(1)
	if s.away.Load() {
		return durable.Record{}, errAway
	}
	return s.Store.Load(ctx, id)
}

func (s *store) Save(ctx context.Context, r durable.Record) error {
	if s.saved != nil {
		s.saved()
	}
	return s.Store.Save(ctx, r)
}

func (s *store) List(ctx context.Context, party, before string, limit int) ([]durable.Record, error) {
	if s.away.Load() {
		return nil, errAway
	}
	return s.Store.List(ctx, party, before, limit)
}

// frail is a cache that can be away, and counts how often it is read.
type frail struct {
	cache.Cache
	away atomic.Bool
	gets atomic.Int64
}

func newCache(t testing.TB) *frail {
	t.Helper()
	c, err := memorycache.New(realTime(t), 100)
	if err != nil {
		t.Fatal(err)
	}
	return &frail{Cache: c}
}

func (f *frail) Get(ctx context.Context, key string) (cache.Entry, bool, error) {
	f.gets.Add(1)
	if f.away.Load() {
		return cache.Entry{}, false, errAway
	}
	return f.Cache.Get(ctx, key)
}

func (f *frail) Put(ctx context.Context, key string, e cache.Entry, ttl time.Duration) error {
	if f.away.Load() {
		return errAway
	}
	return f.Cache.Put(ctx, key, e, ttl)
}

func (f *frail) Each(ctx context.Context, prefix string, fn func(string, cache.Entry, time.Duration) bool) error {
	if f.away.Load() {
		return errAway
	}
	return f.Cache.Each(ctx, prefix, fn)
}

func realTime(t testing.TB) *clock.Clock {
	t.Helper()
	c, err := clock.New(time.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func seed(t testing.TB, c *catalog.Catalog, service string, urls ...string) {
	t.Helper()
	if err := c.Seed(t.Context(), service, urls...); err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, c *catalog.Catalog, service string, urls ...string) {
	t.Helper()
	got, err := c.Resolve(t.Context(), service)
	if !slices.Equal(got, urls) || (len(urls) == 0) != errors.Is(err, httpapi.ErrNoService) || len(urls) > 0 && err != nil {
		t.Errorf("%s has %q, %v; want %q", service, got, err, urls)
	}
}

// TestConformance: with and without a cache, seeded here and by another process.
func TestConformance(t *testing.T) {
	for _, cached := range []bool{false, true} {
		for _, elsewhere := range []bool{false, true} {
			t.Run(fmt.Sprintf("cached=%v,elsewhere=%v", cached, elsewhere), func(t *testing.T) {
				registrytest.Exercise(t, func(t *testing.T) (httpapi.Resolver, registrytest.Set) {
					opt := catalog.Options{Store: newStore(), Clock: realTime(t), Memo: time.Millisecond}
					if cached {
						opt.Cache = newCache(t)
					}
					here := catalog.New(opt)
					seeds := here
					if elsewhere {
						seeds = catalog.New(opt)
					}
					return here, func(t *testing.T, service string, urls ...string) { seed(t, seeds, service, urls...) }
				})
			})
		}
	}
}

// TestACallCostsNoRoundTrip: one look into the cache every few seconds, one into the store a day.
func TestACallCostsNoRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newStore(), newCache(t)
		seed(t, catalog.New(catalog.Options{Store: s, Clock: realTime(t)}), "order", "http://a")
		s.loads.Store(0)
		c := catalog.New(catalog.Options{Store: s, Clock: realTime(t), Cache: f})
		for range 300 {
			for range 10 {
				want(t, c, "order", "http://a")
				want(t, c, "nobody")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if gets, loads := f.gets.Load(), s.loads.Load(); gets != 20 || loads != 11 {
			t.Errorf("in 30 s the cache was read %d times and the store %d times; want 10 and 10, 1 and 10", gets, loads)
		}
		s.loads.Store(0)
		time.Sleep(24 * time.Hour)
		want(t, c, "order", "http://a")
		if n := s.loads.Load(); n != 1 {
			t.Errorf("after a day the store was read %d times", n)
		}
	})
}

// TestSeedReachesEverybody within the few seconds, through the cache.
func TestSeedReachesEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newStore(), newCache(t)
		opt := catalog.Options{Store: s, Clock: realTime(t), Cache: f}
		here, there := catalog.New(opt), catalog.New(opt)
		seed(t, here, "order", "http://a")
		want(t, there, "order", "http://a")
		seed(t, here, "order", "http://b", "http://c")
		want(t, here, "order", "http://b", "http://c")
		want(t, there, "order", "http://a")
		time.Sleep(3 * time.Second)
		loads := s.loads.Load()
		want(t, there, "order", "http://b", "http://c")
		if s.loads.Load() != loads {
			t.Error("the store was asked for what the cache has")
		}
		seed(t, here, "order")
		time.Sleep(3 * time.Second)
		want(t, here, "order")
		want(t, there, "order")
	})
}

// TestLastKnownGood: while store and cache are away what was known goes on, for days, and the log says so once.
func TestLastKnownGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newStore(), newCache(t)
		var log bytes.Buffer
		c := catalog.New(catalog.Options{Store: s, Clock: realTime(t), Cache: f, Log: slog.New(slog.NewTextHandler(&log, nil))})
		seed(t, c, "order", "http://a")
		s.away.Store(true)
		f.away.Store(true)
		if err := c.Ping(t.Context()); err == nil {
			t.Error("the store answers")
		}
		if _, err := c.Resolve(t.Context(), "payment"); !errors.Is(err, errAway) || errors.Is(err, httpapi.ErrNoService) {
			t.Errorf("what was never known: %v", err)
		}
		for range 1000 {
			time.Sleep(10 * time.Minute)
			want(t, c, "order", "http://a")
		}
		if n := strings.Count(log.String(), "away"); n != 2 { // in the text and in the error
			t.Errorf("the log:\n%s", log.String())
		}
		s.away.Store(false)
		seed(t, catalog.New(catalog.Options{Store: s, Clock: realTime(t)}), "order", "http://b")
		time.Sleep(3 * time.Second)
		want(t, c, "order", "http://b")
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestNobodyWaitsForAStoreThatHangs but one caller, for two seconds, where something is known.
func TestNobodyWaitsForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &hanging{Cache: newCache(t)}
		c := catalog.New(catalog.Options{Store: newStore(), Clock: realTime(t), Cache: f})
		seed(t, c, "order", "http://a")
		time.Sleep(3 * time.Second)
		f.hangs.Store(true)
		var group sync.WaitGroup
		var waited atomic.Int64
		for range 10 {
			group.Go(func() {
				begun := time.Now()
				want(t, c, "order", "http://a")
				if d := time.Since(begun); d > 0 {
					waited.Add(1)
					if d != 2*time.Second {
						t.Errorf("it waited %s", d)
					}
				}
			})
		}
		group.Wait()
		if n := waited.Load(); n != 1 {
			t.Errorf("%d callers waited", n)
		}
		// A caller who gives up is given what is known, and the next one asks.
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if urls, err := c.Resolve(ctx, "order"); err != nil || len(urls) != 1 {
			t.Errorf("who gives up has %q, %v", urls, err)
		}
		begun := time.Now()
		want(t, c, "order", "http://a")
		if time.Since(begun) != 2*time.Second {
			t.Error("nobody asked again")
		}
	})
}

type hanging struct {
	cache.Cache
	hangs atomic.Bool
}

func (h *hanging) Get(ctx context.Context, key string) (cache.Entry, bool, error) {
	if h.hangs.Load() {
		<-ctx.Done()
		return cache.Entry{}, false, ctx.Err()
	}
	return h.Cache.Get(ctx, key)
}

// TestCacheBehind: where the cache could not be told, Seed says so, and seeding again puts it right.
func TestCacheBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newStore(), newCache(t)
		opt := catalog.Options{Store: s, Clock: realTime(t), Cache: f}
		here, there := catalog.New(opt), catalog.New(opt)
		seed(t, here, "order", "http://a")
		f.away.Store(true)
		if err := here.Seed(t.Context(), "order", "http://b"); !errors.Is(err, catalog.ErrCacheBehind) || !errors.Is(err, errAway) {
			t.Errorf("Seed = %v", err)
		}
		if _, err := here.ClearCache(t.Context()); err == nil {
			t.Error("a cache that is away was cleared")
		}
		f.away.Store(false)
		want(t, there, "order", "http://a")
		time.Sleep(3 * time.Second)
		want(t, here, "order", "http://b") // it knows of a newer one
		seed(t, here, "order", "http://b")
		time.Sleep(3 * time.Second)
		want(t, there, "order", "http://b")
		r, err := s.Store.Load(t.Context(), "order")
		if err != nil || r.Version != 2 {
			t.Errorf("version %d, %v", r.Version, err)
		}
	})
}

func TestClearCache(t *testing.T) {
	s, f := newStore(), newCache(t)
	c := catalog.New(catalog.Options{Store: s, Clock: realTime(t), Cache: f})
	seed(t, c, "order", "http://a")
	seed(t, c, "payment", "http://b")
	if err := f.Put(t.Context(), "order:1", cache.Entry{Version: 1}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if n, err := c.ClearCache(t.Context()); err != nil || n != 2 {
		t.Errorf("ClearCache = %d, %v", n, err)
	}
	if _, ok, _ := f.Get(t.Context(), "order:1"); !ok {
		t.Error("it cleared what is not its own")
	}
	loads := s.loads.Load()
	want(t, c, "order", "http://a")
	if s.loads.Load() != loads+1 {
		t.Error("the store was not asked")
	}
	if n, err := catalog.New(catalog.Options{Store: s, Clock: realTime(t)}).ClearCache(t.Context()); err != nil || n != 0 {
		t.Errorf("without a cache: %d, %v", n, err)
	}
}

// TestWhatCannotBeRead in the cache is read from the store, and put right.
func TestWhatCannotBeRead(t *testing.T) {
	s, f := newStore(), newCache(t)
	opt := catalog.Options{Store: s, Clock: realTime(t), Cache: f}
	seed(t, catalog.New(opt), "order", "http://a")
	if err := f.Put(t.Context(), "url:order", cache.Entry{Version: 1, Value: []byte("http://old")}, time.Hour); err != nil {
		t.Fatal(err)
	}
	want(t, catalog.New(opt), "order", "http://a")
	if e, _, _ := f.Get(t.Context(), "url:order"); string(e.Value) != `{"urls":["http://a"]}` {
		t.Errorf("the cache has %q", e.Value)
	}
	if err := s.Store.Create(t.Context(), durable.Record{ID: "broken", Version: 1, State: []byte("?")}); err != nil {
		t.Fatal(err)
	}
	c := catalog.New(opt)
	if _, err := c.Resolve(t.Context(), "broken"); err == nil || errors.Is(err, httpapi.ErrNoService) {
		t.Errorf("a broken record: %v", err)
	}
	if _, err := c.List(t.Context()); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("List = %v", err)
	}
	seed(t, c, "broken", "http://b")
	want(t, c, "broken", "http://b")
}

func TestList(t *testing.T) {
	c := catalog.New(catalog.Options{Store: newStore(), Clock: clock.Virtual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))})
	if all, err := c.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("an empty catalogue: %v, %v", all, err)
	}
	for i := range 250 {
		seed(t, c, fmt.Sprintf("s%03d", i), "http://a", "http://b")
	}
	seed(t, c, "s100")
	all, err := c.List(t.Context())
	if err != nil || len(all) != 249 || !slices.IsSortedFunc(all, func(a, b catalog.Service) int { return strings.Compare(a.Name, b.Name) }) {
		t.Fatalf("%d services, %v", len(all), err)
	}
	if got := fmt.Sprint(all[248]); got != "{s249 [http://a http://b] 1 2026-03-01 12:00:00 +0000 UTC}" {
		t.Error(got)
	}
}

func TestSeedRefuses(t *testing.T) {
	c := catalog.New(catalog.Options{Store: newStore(), Clock: realTime(t)})
	for _, raw := range []string{"", "localhost:8000", "ftp://a", "http://a?x=1", "http://user:secret@a"} {
		if err := c.Seed(t.Context(), "order", "http://a", raw); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if err := c.Seed(t.Context(), "", "http://a"); err == nil {
		t.Error("a service without a name was seeded")
	}
	want(t, c, "order")
}

// TestSeedersAtOnce: each has its list stored, and everybody ends with the last.
func TestSeedersAtOnce(t *testing.T) {
	s, f := newStore(), newCache(t)
	opt := catalog.Options{Store: s, Clock: realTime(t), Cache: f, Memo: time.Nanosecond}
	all := []*catalog.Catalog{catalog.New(opt), catalog.New(opt), catalog.New(opt), catalog.New(opt)}
	var group sync.WaitGroup
	for i, c := range all {
		group.Go(func() {
			for n := range 3 {
				seed(t, c, "order", fmt.Sprintf("http://%d-%d", i, n))
			}
		})
	}
	group.Wait()
	r, err := s.Store.Load(t.Context(), "order")
	if err != nil || r.Version != 12 {
		t.Fatalf("version %d, %v", r.Version, err)
	}
	last, err := all[0].Resolve(t.Context(), "order")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		want(t, c, "order", last...)
	}
	// One that never gets its turn gives up.
	again := catalog.New(opt)
	n := 0
	s.saved = func() {
		r, err := s.Store.Load(t.Context(), "order")
		if err != nil {
			t.Fatal(err)
		}
		n++
		r.Version, r.State = r.Version+1, fmt.Appendf(nil, `{"urls":["http://%d"]}`, n)
		if err := s.Store.Save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := again.Seed(t.Context(), "order", "http://mine"); !errors.Is(err, durable.ErrConflict) {
		t.Errorf("Seed = %v", err)
	}
}
