// Package memory is the cache in the process's memory: so many entries, of which those used longest ago go first.
// It is the model that every other cache is compared with. It is never away.
package memory

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/clock"
)

// Cache is a [cache.Cache]. Safe for concurrent use.
type Cache struct {
	clock *clock.Clock
	most  int

	mu      sync.Mutex
	entries map[string]*list.Element // of *entry
	used    *list.List               // the last used first
}

type entry struct {
	key string
	cache.Entry
	until time.Time
}

// New makes an empty cache of at most so many entries, which live by the clock.
func New(c *clock.Clock, most int) (*Cache, error) {
	if c == nil {
		return nil, errors.New("cache: no clock")
	}
	if most < 1 {
		return nil, fmt.Errorf("cache: %d entries are none", most)
	}
	return &Cache{clock: c, most: most, entries: map[string]*list.Element{}, used: list.New()}, nil
}

// Get returns the entry at a key.
func (c *Cache) Get(ctx context.Context, key string) (cache.Entry, bool, error) {
	if err := ctx.Err(); err != nil {
		return cache.Entry{}, false, fmt.Errorf("get %s: %w", key, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.live(key)
	if el == nil {
		return cache.Entry{}, false, nil
	}
	c.used.MoveToFront(el)
	return el.Value.(*entry).Entry, true, nil
}

// Put keeps a copy of an entry, unless a higher version is there.
func (c *Cache) Put(ctx context.Context, key string, e cache.Entry, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := (cache.Item{Key: key, Entry: e, TTL: ttl}).Check(); err != nil {
		return err
	}
	e.Value = slices.Clone(e.Value)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := &entry{key: key, Entry: e, until: c.clock.Now().Add(ttl)}
	if el := c.live(key); el != nil {
		if el.Value.(*entry).Version <= e.Version {
			el.Value = now
			c.used.MoveToFront(el)
		}
		return nil
	}
	c.entries[key] = c.used.PushFront(now)
	if len(c.entries) > c.most {
		c.drop(c.used.Back())
	}
	return nil
}

// Delete forgets keys.
func (c *Cache) Delete(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete from the cache: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		if el := c.entries[key]; el != nil {
			c.drop(el)
		}
	}
	return nil
}

// Each gives f the entries as they are now. It is no use of them.
func (c *Cache) Each(ctx context.Context, prefix string, f func(string, cache.Entry, time.Duration) bool) error {
	now := c.clock.Now()
	for _, e := range c.snapshot(prefix, now) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list the cache: %w", err)
		}
		if !f(e.key, e.Entry, e.until.Sub(now)) {
			return nil
		}
	}
	return nil
}

func (c *Cache) snapshot(prefix string, now time.Time) []entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []entry
	for el := c.used.Front(); el != nil; el = el.Next() {
		if e := el.Value.(*entry); strings.HasPrefix(e.key, prefix) && e.until.After(now) {
			all = append(all, *e)
		}
	}
	return all
}

// live is the entry at key whose time is not over; nil where there is none. c.mu is held.
func (c *Cache) live(key string) *list.Element {
	el := c.entries[key]
	if el != nil && !el.Value.(*entry).until.After(c.clock.Now()) {
		c.drop(el)
		return nil
	}
	return el
}

func (c *Cache) drop(el *list.Element) {
	delete(c.entries, c.used.Remove(el).(*entry).key)
}
