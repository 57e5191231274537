// Package catalog is the registry that is kept in a store: a list of base URLs for each service, which an operator
// seeds, with a cache in front that all instances share.
//
// A call costs no round trip: what was found is remembered in the process for a few seconds (Options.Memo), then in
// the cache for a day (Options.TTL), and the store has the truth. Seed writes the store first and the cache after it,
// so that a new list is everywhere within the few seconds. While cache and store are away, what was found last goes
// on being used, however long.
//
// A cached list is older than the store's only where Seed could not reach the cache, which it says: seeding again
// puts that right, and so does ClearCache.
package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Store is what a catalogue needs of a [durable.Store] of its own: a record's ID is the service's name.
type Store interface {
	Create(context.Context, durable.Record) error
	Load(ctx context.Context, id string) (durable.Record, error)
	Save(context.Context, durable.Record) error
	List(ctx context.Context, party, before string, limit int) ([]durable.Record, error)
}

// Options are a catalogue's settings; Store and Clock have no default.
type Options struct {
	Store Store
	Clock *clock.Clock  // of the records' times; what is remembered ages in real time
	Cache cache.Cache   // nil: none
	TTL   time.Duration // in the cache; 24 h
	Memo  time.Duration // in the process; 3 s
	Log   *slog.Logger
}

// Catalog is a registry. Safe for concurrent use; it has no goroutine.
type Catalog struct {
	opt    Options
	reader *cache.Reader

	mu    sync.RWMutex
	known map[string]*memo
}

// memo is what was found of a service. Its found, err and until are replaced as one, under the catalogue's lock.
type memo struct {
	found  lists
	err    error // why it could not be found out anew; found is what was known before then
	until  time.Time
	asking bool // somebody is finding out: nobody else does
}

// lists is a record's state, and the bytes in the cache.
type lists struct {
	URLs    []string `json:"urls"`
	version int64    // 0: no such record
}

const (
	prefix  = "url:"          // of the cache's keys
	patient = 2 * time.Second // for finding out anew, while what was known before is served; real time
)

// New makes a catalogue.
func New(opt Options) *Catalog {
	if opt.TTL == 0 {
		opt.TTL = 24 * time.Hour
	}
	if opt.Memo == 0 {
		opt.Memo = 3 * time.Second
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Catalog{opt: opt, reader: cache.NewReader(opt.Cache, opt.TTL), known: map[string]*memo{}}
}

// Resolve is httpapi.Resolver. An error other than ErrNoService says that neither cache nor store were to be had and
// nothing is known from before.
func (c *Catalog) Resolve(ctx context.Context, service string) ([]string, error) {
	c.mu.RLock()
	m := c.known[service]
	fresh := m != nil && (m.asking || time.Now().Before(m.until))
	var found lists
	if fresh {
		found = m.found
	}
	c.mu.RUnlock()
	if !fresh {
		var err error
		if found, err = c.find(ctx, service); err != nil {
			return nil, err
		}
	}
	if len(found.URLs) == 0 {
		return nil, fmt.Errorf("%s: %w", service, httpapi.ErrNoService)
	}
	return found.URLs, nil
}

// find asks cache and store. Where something is known from before, one caller does so, for at most a while, and the
// others go on with what is known.
func (c *Catalog) find(ctx context.Context, service string) (lists, error) {
	c.mu.Lock()
	m := c.known[service]
	if m == nil {
		m = &memo{}
		c.known[service] = m
	}
	before := m.found
	if before.version > 0 {
		if m.asking {
			c.mu.Unlock()
			return before, nil
		}
		m.asking = true
		defer func() {
			c.mu.Lock()
			m.asking = false
			c.mu.Unlock()
		}()
	}
	c.mu.Unlock()

	asked := ctx
	if before.version > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patient)
		defer cancel()
	}
	found, err := c.read(ctx, service, before.version)
	c.mu.Lock()
	defer c.mu.Unlock()
	known := m.found.version > 0
	switch {
	case err != nil && !known:
		return lists{}, fmt.Errorf("instances of %s: %w", service, err)
	case err != nil && asked.Err() != nil: // the caller gave up: the next one asks
		return m.found, nil
	case err != nil:
		if m.err == nil {
			c.opt.Log.Warn("catalogue: store and cache are away, what was known goes on", "service", service, "err", err)
		}
	case m.found.version == before.version || found.version > m.found.version: // else it was seeded here meanwhile
		m.found = found
	}
	m.err, m.until = err, time.Now().Add(c.opt.Memo)
	return m.found, nil
}

// read reads through the cache, which is passed by where it has less than is known, or what cannot be read.
func (c *Catalog) read(ctx context.Context, service string, atLeast int64) (lists, error) {
	load := func(ctx context.Context) (cache.Entry, error) {
		r, err := c.opt.Store.Load(ctx, service)
		return cache.Entry{Version: r.Version, Value: r.State}, err
	}
	e, err := c.reader.Read(ctx, prefix+service, atLeast, load)
	if errors.Is(err, durable.ErrNotFound) {
		return lists{}, nil
	}
	if err != nil {
		return lists{}, err
	}
	found, err := decode(e)
	if err == nil || c.opt.Cache == nil {
		return found, err
	}
	if e, err = load(ctx); err != nil {
		return lists{}, err
	}
	if found, err = decode(e); err == nil {
		_ = c.opt.Cache.Put(ctx, prefix+service, e, c.opt.TTL) // best effort, as the reader's
	}
	return found, err
}

func decode(e cache.Entry) (lists, error) {
	found := lists{version: e.Version}
	if err := json.Unmarshal(e.Value, &found); err != nil {
		return lists{}, fmt.Errorf("a list of version %d: %w", e.Version, err)
	}
	return found, nil
}

// Ping says whether the store answers.
func (c *Catalog) Ping(ctx context.Context) error {
	if _, err := c.opt.Store.List(ctx, "", "", 1); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	return nil
}
