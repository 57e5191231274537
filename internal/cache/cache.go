// Package cache is the port for copies of what a store has, and what is built on it: a Writer that fills a cache
// after the store's commit, and a Reader that goes to the store for what the cache has not, or has too old.
//
// A cache is never the truth. It may forget everything at any moment, and it may be away: whoever reads goes to the
// store then. What it promises is that a copy is never replaced by an older one. A copy that is older than the store
// is possible for as long as its time to live; a reader who has seen a newer version names it, and is not served
// the older.
//
// Adapters are in the packages below, their suite is cachetest.
package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Entry is a copy of one thing at one version. It is a value: who is given one may keep it, and nobody writes into
// its bytes.
type Entry struct {
	Version int64 // as the store counts, not negative
	Value   []byte
}

// Item is an entry with where and for how long it is kept.
type Item struct {
	Key string
	Entry
	TTL time.Duration
}

// Check says why no cache takes the item: no key, a negative version or no time to live.
func (i Item) Check() error {
	switch {
	case i.Key == "":
		return errors.New("put: no key")
	case i.Version < 0:
		return fmt.Errorf("put %s: version %d is negative", i.Key, i.Version)
	case i.TTL < time.Millisecond:
		return fmt.Errorf("put %s: a time to live of %s is less than a millisecond", i.Key, i.TTL)
	}
	return nil
}

// Cache keeps copies. All methods are safe for concurrent use and return within a bounded time, whatever happened to
// the cache. An error means that the cache is not to be had: who reads goes to the store; what was written may
// be there or not.
type Cache interface {
	// Get returns the entry at a key, false where there is none or its time is over.
	Get(ctx context.Context, key string) (Entry, bool, error)
	// Put keeps an entry for ttl. It never replaces a higher version, and says nothing then; an equal version is
	// replaced and its time begins anew. It is atomic: of any number at once the highest version stays.
	Put(ctx context.Context, key string, e Entry, ttl time.Duration) error
	// Delete forgets keys, whatever their version. One that is not there is no error.
	Delete(ctx context.Context, keys ...string) error
	// Each gives f the entries whose key begins with prefix, each once and in no order, with the time they have left,
	// until f returns false. It is for inspection: what changes meanwhile may be seen before or after. f may use
	// the cache.
	Each(ctx context.Context, prefix string, f func(key string, e Entry, left time.Duration) bool) error
}

// Batcher is a cache that puts many entries in one round trip, each as Put does. After an error any of them may have
// been put.
type Batcher interface {
	PutAll(ctx context.Context, items []Item) error
}

// PutAll puts many entries: at once where c is a [Batcher], one after the other until the first error where not.
func PutAll(ctx context.Context, c Cache, items []Item) error {
	if b, ok := c.(Batcher); ok {
		return b.PutAll(ctx, items)
	}
	for _, i := range items {
		if err := c.Put(ctx, i.Key, i.Entry, i.TTL); err != nil {
			return err
		}
	}
	return nil
}
