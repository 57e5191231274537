package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/cache"
)

// load is a store that has this, and counts how often it is asked.
func load(n *int, e cache.Entry) func(context.Context) (cache.Entry, error) {
	return func(context.Context) (cache.Entry, error) {
		*n++
		return e, nil
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name    string
		cached  int64 // 0: nothing
		away    bool
		store   int64
		atLeast int64
		want    int64
		loads   int
		after   int64 // cached afterwards
	}{
		{name: "what is cached is served", cached: 3, store: 4, want: 3, after: 3},
		{name: "also where just as new as asked for", cached: 3, store: 4, atLeast: 3, want: 3, after: 3},
		{name: "not where older", cached: 3, store: 4, atLeast: 4, want: 4, loads: 1, after: 4},
		{name: "what is missing is loaded and cached", store: 4, want: 4, loads: 1, after: 4},
		{name: "what the store says stands", cached: 3, store: 4, atLeast: 9, want: 4, loads: 1, after: 4},
		{name: "a cache that is away is passed by", cached: 3, away: true, store: 4, want: 4, loads: 1, after: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFrail(t)
			if c.cached > 0 {
				if err := f.Put(t.Context(), "a", entry(c.cached, ""), time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			f.away.Store(c.away)
			loads := 0
			e, err := cache.NewReader(f, time.Minute).Read(t.Context(), "a", c.atLeast, load(&loads, entry(c.store, "")))
			if err != nil || e.Version != c.want || loads != c.loads {
				t.Errorf("version %d with %d loads, %v; want %d with %d", e.Version, loads, err, c.want, c.loads)
			}
			f.away.Store(false)
			has(t, f, "a", c.after)
		})
	}
}

func TestReadWithoutACache(t *testing.T) {
	r := cache.NewReader(nil, time.Minute)
	loads := 0
	for range 3 {
		if e, err := r.Read(t.Context(), "a", 0, load(&loads, entry(1, ""))); err != nil || e.Version != 1 {
			t.Fatal(e, err)
		}
	}
	if loads != 3 {
		t.Errorf("%d loads", loads)
	}
}

func TestErrorsOfTheStoreAreNotCached(t *testing.T) {
	f := newFrail(t)
	r := cache.NewReader(f, time.Minute)
	boom := errors.New("boom")
	if _, err := r.Read(t.Context(), "a", 0, func(context.Context) (cache.Entry, error) { return entry(1, ""), boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	loads := 0
	if _, err := r.Read(t.Context(), "a", 0, load(&loads, entry(2, ""))); err != nil || loads != 1 {
		t.Fatal(loads, err)
	}
	if s := r.Stats(); s != (cache.ReaderStats{Misses: 2}) {
		t.Errorf("%+v", s)
	}
}

// held is a load that says when it has begun and ends when it is told.
type held struct {
	begun, end chan struct{}
	entry      cache.Entry
	err        error
}

func hold(e cache.Entry, err error) *held {
	return &held{begun: make(chan struct{}), end: make(chan struct{}), entry: e, err: err}
}

func (h *held) load(ctx context.Context) (cache.Entry, error) {
	close(h.begun)
	select {
	case <-h.end:
		return h.entry, h.err
	case <-ctx.Done():
		return cache.Entry{}, ctx.Err()
	}
}

// TestMissesShareALoad, its result or its error.
func TestMissesShareALoad(t *testing.T) {
	boom := errors.New("boom")
	for _, want := range []error{nil, boom} {
		synctest.Test(t, func(t *testing.T) {
			r := cache.NewReader(newFrail(t), time.Minute)
			h := hold(entry(1, ""), want)
			var group sync.WaitGroup
			for range 10 {
				group.Go(func() {
					e, err := r.Read(t.Context(), "a", 0, h.load) // a second call of h.load would panic
					if e.Version != 1 || !errors.Is(err, want) {
						t.Errorf("%v, %v", e, err)
					}
				})
			}
			synctest.Wait()
			close(h.end)
			group.Wait()
		})
	}
}

// TestALoadIsSharedWithWhoItIsGoodFor: a load that began before the version a reader has seen was committed is not
// for that reader, nor is one that broke off because its own caller gave up.
func TestALoadIsSharedWithWhoItIsGoodFor(t *testing.T) {
	for _, c := range []struct {
		name    string
		entry   cache.Entry
		err     error
		give    bool // its caller gives up
		atLeast int64
		own     int // loads of the reader's own
	}{
		{name: "new enough", entry: entry(6, ""), atLeast: 6},
		{name: "too old", entry: entry(6, ""), atLeast: 7, own: 1},
		{name: "not there then", err: errors.New("no such record"), atLeast: 1, own: 1},
		{name: "given up", give: true, own: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := cache.NewReader(newFrail(t), time.Minute)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				h := hold(c.entry, c.err)
				var group sync.WaitGroup
				group.Go(func() { _, _ = r.Read(ctx, "a", 0, h.load) })
				<-h.begun
				own := 0
				group.Go(func() {
					e, err := r.Read(t.Context(), "a", c.atLeast, load(&own, entry(7, "")))
					if err != nil || e.Version < max(c.atLeast, 1) {
						t.Errorf("%v, %v", e, err)
					}
				})
				synctest.Wait()
				if c.give {
					cancel()
				} else {
					close(h.end)
				}
				group.Wait()
				if own != c.own {
					t.Errorf("%d loads of its own, want %d", own, c.own)
				}
			})
		})
	}
}

func TestReadersGiveUpAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := cache.NewReader(nil, time.Minute)
		h := hold(entry(1, ""), nil)
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := r.Read(t.Context(), "a", 0, h.load); err != nil {
				t.Error(err)
			}
		})
		<-h.begun
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Read(ctx, "a", 0, h.load); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(h.end)
		group.Wait()
	})
}

// TestAPanicOfALoadIsItsOwn: who waits for it is told, and the next one loads.
func TestAPanicOfALoadIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := cache.NewReader(nil, time.Minute)
		end := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = r.Read(t.Context(), "a", 0, func(context.Context) (cache.Entry, error) {
				<-end
				panic("boom")
			})
		})
		synctest.Wait()
		group.Go(func() {
			if _, err := r.Read(t.Context(), "a", 0, nil); err == nil {
				t.Error("nobody was told")
			}
		})
		synctest.Wait()
		close(end)
		group.Wait()
		loads := 0
		if _, err := r.Read(t.Context(), "a", 0, load(&loads, entry(1, ""))); err != nil || loads != 1 {
			t.Error(loads, err)
		}
	})
}

// TestNeverOlderThanSeen: a store, a writer and readers, with a cache that is flushed, away, and loses entries at
// any time. No reader is served an older version than it has seen, and when all is quiet what is cached is what the
// store has.
func TestNeverOlderThanSeen(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			f := newFrail(t)
			w := cache.NewWriter(cache.WriterOptions{Cache: f, TTL: 30 * time.Minute})
			w.Start()
			r := cache.NewReader(f, 30*time.Minute)
			store := map[string]int64{} // versions
			seen := [3]map[string]int64{{}, {}, {}}
			for step := range 2000 {
				key := fmt.Sprint("order:", rng.IntN(5))
				switch rng.IntN(20) {
				case 0:
					f.flush(t)
				case 1:
					f.away.Store(true)
				case 2, 3:
					f.away.Store(false)
				case 4:
					time.Sleep(time.Duration(rng.IntN(int(10 * time.Minute))))
				case 5, 6, 7, 8:
					store[key]++
					v := store[key]
					w.Note(key, v, func() []byte { return fmt.Append(nil, v) })
				default:
					mine := seen[rng.IntN(len(seen))]
					e, err := r.Read(t.Context(), key, mine[key], func(context.Context) (cache.Entry, error) {
						return entry(store[key], fmt.Sprint(store[key])), nil
					})
					if err != nil || e.Version < mine[key] || e.Version > store[key] || string(e.Value) != fmt.Sprint(e.Version) {
						t.Fatalf("seed %d, step %d: %s is %d %q, %v; the reader has seen %d, the store has %d",
							seed, step, key, e.Version, e.Value, err, mine[key], store[key])
					}
					mine[key] = e.Version
				}
			}
			f.away.Store(false)
			time.Sleep(5 * time.Second)
			for key, v := range store {
				if e, ok, err := f.Get(t.Context(), key); err != nil || ok && e.Version != v {
					t.Errorf("seed %d: %s is left at %d, %v; the store has %d", seed, key, e.Version, err, v)
				}
			}
			stop(t, w)
		})
	}
}
