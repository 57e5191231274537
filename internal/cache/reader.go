package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Reader reads through a cache: from it where it has what is asked for, from the store where not, leaving a copy
// behind. It is safe for concurrent use.
type Reader struct {
	cache Cache
	ttl   time.Duration

	hits, misses, failures atomic.Int64

	mu    sync.Mutex
	loads map[string]*loading
}

// loading is one read of the store that others wait for.
type loading struct {
	done  chan struct{}
	entry Entry
	err   error
	quit  bool // err is because the loader's own context ended
}

// NewReader makes a reader whose copies live for ttl. c may be nil: then the store is asked every time.
func NewReader(c Cache, ttl time.Duration) *Reader {
	return &Reader{cache: c, ttl: ttl, loads: map[string]*loading{}}
}

// ReaderStats counts what a reader did.
type ReaderStats struct {
	Hits     int64 `json:"hits"`
	Misses   int64 `json:"misses"`   // not there, or older than asked for
	Failures int64 `json:"failures"` // the cache was not to be had
}

// Stats counts since the beginning.
func (r *Reader) Stats() ReaderStats {
	return ReaderStats{Hits: r.hits.Load(), Misses: r.misses.Load(), Failures: r.failures.Load()}
}

// Read returns the entry at key: the cached one where its version is at least atLeast, else what load reads from the
// store, which is then cached, best effort. Readers who miss one key at once share one load, but nobody is given
// the result of one that was begun too early to know the version they have seen: what the store says to their
// own load stands, also where it is older. Errors are load's, or ctx's; those of the cache only cost the load.
// load must read the store itself, not a copy.
func (r *Reader) Read(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) (Entry, error) {
	if r.cache == nil {
		return r.share(ctx, key, atLeast, load)
	}
	switch e, ok, err := r.cache.Get(ctx, key); {
	case err != nil:
		r.failures.Add(1)
	case ok && e.Version >= atLeast:
		r.hits.Add(1)
		return e, nil
	default:
		r.misses.Add(1)
	}
	return r.share(ctx, key, atLeast, load)
}

// share loads, or waits for a load under way.
func (r *Reader) share(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) (Entry, error) {
	r.mu.Lock()
	l, ok := r.loads[key]
	if !ok {
		l = &loading{done: make(chan struct{})}
		r.loads[key] = l
		r.mu.Unlock()
		return r.lead(ctx, key, l, load)
	}
	r.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
		return Entry{}, fmt.Errorf("read %s: %w", key, ctx.Err())
	}
	if l.err == nil && l.entry.Version >= atLeast || l.err != nil && !l.quit && atLeast == 0 {
		return l.entry, l.err
	}
	e, err := load(ctx)
	if err == nil {
		r.keep(ctx, key, e)
	}
	return e, err
}

var errNoLoad = errors.New("the load did not return")

// lead loads for everybody who comes meanwhile.
func (r *Reader) lead(ctx context.Context, key string, l *loading, load func(context.Context) (Entry, error)) (Entry, error) {
	l.err = errNoLoad // unless it returns
	defer func() {
		r.mu.Lock()
		delete(r.loads, key)
		r.mu.Unlock()
	}()
	func() {
		defer close(l.done)
		l.entry, l.err = load(ctx)
		l.quit = l.err != nil && ctx.Err() != nil
	}()
	if l.err == nil {
		r.keep(ctx, key, l.entry)
	}
	return l.entry, l.err
}

func (r *Reader) keep(ctx context.Context, key string, e Entry) {
	if r.cache == nil {
		return
	}
	if err := r.cache.Put(ctx, key, e, r.ttl); err != nil {
		r.failures.Add(1)
	}
}
