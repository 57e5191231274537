package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/registry"
)

// ErrCacheBehind says that a list was stored, and that the cache may still have the one before.
var ErrCacheBehind = errors.New("the list is stored, but the cache may have the old one: seed it again when the cache is back")

const (
	tries = 10  // of a save that others get ahead of
	page  = 100 // records, or keys, at a time
)

// Seed sets a service's list; an empty one withdraws the service. Of two at once one is the last. Seeding what is
// there writes nothing but the cache. The error is ErrCacheBehind where the list is stored all the same.
func (c *Catalog) Seed(ctx context.Context, service string, urls ...string) error {
	if service == "" {
		return errors.New("seed: no service")
	}
	if err := registry.CheckURLs(service, urls...); err != nil {
		return err
	}
	state, err := json.Marshal(lists{URLs: append([]string{}, urls...)})
	if err != nil {
		return fmt.Errorf("seed %s: %w", service, err)
	}
	version, err := c.store(ctx, service, state)
	if err != nil {
		return fmt.Errorf("seed %s: %w", service, err)
	}
	c.mu.Lock()
	m := c.known[service]
	if m == nil {
		m = &memo{}
		c.known[service] = m
	}
	if version >= m.found.version {
		m.found, m.err = lists{slices.Clone(urls), version}, nil
		m.until = time.Now().Add(c.opt.Memo)
	}
	c.mu.Unlock()
	if c.opt.Cache == nil {
		return nil
	}
	if err := c.opt.Cache.Put(ctx, prefix+service, cache.Entry{Version: version, Value: state}, c.opt.TTL); err != nil {
		return fmt.Errorf("seed %s: %w: %w", service, ErrCacheBehind, err)
	}
	return nil
}

// store creates or replaces the record and returns its version.
func (c *Catalog) store(ctx context.Context, service string, state []byte) (int64, error) {
	var last error
	for range tries {
		r, err := c.opt.Store.Load(ctx, service)
		now := c.opt.Clock.Now()
		switch {
		case errors.Is(err, durable.ErrNotFound):
			r = durable.Record{ID: service, Version: 1, Created: now, Updated: now, State: state}
			err = c.opt.Store.Create(ctx, r)
		case err != nil:
			return 0, err
		case same(r.State, state):
			return r.Version, nil
		default:
			r.Version, r.Updated, r.State = r.Version+1, now, state
			err = c.opt.Store.Save(ctx, r)
		}
		_, exists := errors.AsType[*durable.ExistsError](err)
		switch {
		case err == nil:
			return r.Version, nil
		case exists, errors.Is(err, durable.ErrConflict), errors.Is(err, durable.ErrUnknown):
			last = err // look again
		default:
			return 0, err
		}
	}
	return 0, last
}

// same says whether two states are the same list. (A store may write JSON another way.)
func same(a, b []byte) bool {
	x, err := decode(cache.Entry{Value: a})
	y, err2 := decode(cache.Entry{Value: b})
	return err == nil && err2 == nil && slices.Equal(x.URLs, y.URLs)
}

// Service is a service's list as the store has it.
type Service struct {
	Name    string    `json:"name"`
	URLs    []string  `json:"urls"`
	Version int64     `json:"version"`
	Updated time.Time `json:"updated"`
}

// List reads all services that have a list from the store, by name.
func (c *Catalog) List(ctx context.Context) ([]Service, error) {
	var all []Service
	for before := ""; ; {
		records, err := c.opt.Store.List(ctx, "", before, page)
		if err != nil {
			return nil, fmt.Errorf("list the catalogue: %w", err)
		}
		for _, r := range records {
			found, err := decode(cache.Entry{Version: r.Version, Value: r.State})
			if err != nil {
				return nil, fmt.Errorf("list the catalogue: %s: %w", r.ID, err)
			}
			if len(found.URLs) > 0 {
				all = append(all, Service{Name: r.ID, URLs: found.URLs, Version: r.Version, Updated: r.Updated})
			}
			before = r.ID
		}
		if len(records) < page {
			slices.SortFunc(all, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
			return all, nil
		}
	}
}

// ClearCache forgets every cached list and says how many there were. Every instance goes to the store when what it
// remembers is a few seconds old; this one does so at once.
func (c *Catalog) ClearCache(ctx context.Context) (int, error) {
	c.mu.Lock()
	for _, m := range c.known {
		m.until = time.Time{}
	}
	c.mu.Unlock()
	if c.opt.Cache == nil {
		return 0, nil
	}
	var keys []string
	err := c.opt.Cache.Each(ctx, prefix, func(key string, _ cache.Entry, _ time.Duration) bool {
		keys = append(keys, key)
		return true
	})
	if err == nil {
		err = c.opt.Cache.Delete(ctx, keys...)
	}
	if err != nil {
		return 0, fmt.Errorf("clear the cached lists: %w", err)
	}
	return len(keys), nil
}
