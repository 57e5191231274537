package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/cache/redis"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/registry/catalog"
)

// redisPrefix is what every key of ours in Redis begins with.
const redisPrefix = "tiffin:"

// redisPatience is how long a person's question to Redis may take.
const redisPatience = 2 * time.Second

// Copy is the copy of an order in Redis.
type Copy struct {
	Found   bool            `json:"found"`
	Version int64           `json:"version,omitempty"`
	Left    time.Duration   `json:"left_ns,omitempty"` // until it is forgotten
	Order   json.RawMessage `json:"order,omitempty"`   // null: the order was deleted
}

// openRedis is for a person's question: Redis must be there.
func openRedis(ctx context.Context, url string) (*redis.Cache, error) {
	c, err := redis.Open(redis.Options{URL: url, Prefix: redisPrefix, Timeout: redisPatience})
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if err := c.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("redis: %w", err), c.Close())
	}
	return c, nil
}

// ShowCopy reads the copy of an order.
func ShowCopy(ctx context.Context, url, id string) (shown Copy, err error) {
	c, err := openRedis(ctx, url)
	if err != nil {
		return shown, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	key := orderapi.CopyKey(id)
	err = c.Each(ctx, key, func(found string, e cache.Entry, left time.Duration) bool {
		if found != key {
			return true
		}
		shown = Copy{Found: true, Version: e.Version, Left: left, Order: e.Value}
		return false
	})
	return shown, err
}

// ClearURLs takes the copies of service URLs out of Redis and says how many there were.
func ClearURLs(ctx context.Context, url string) (n int, err error) {
	c, err := openRedis(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	none := memory.New(durable.Features{}) // the catalogue itself is not asked
	return catalog.New(catalog.Options{Store: none, Cache: c}).ClearCache(ctx)
}

// ServiceURL is where a service is, as the catalogue has it.
type ServiceURL = catalog.Service

// SeedURLs writes where services are (SERVICE=URL,…; where none are given, all on their own ports here) into the
// catalogue, and says what it has then.
func SeedURLs(ctx context.Context, cfg Config, services []string) (all []ServiceURL, err error) {
	cfg.Instance = services
	given, err := cfg.instances()
	if err != nil {
		return nil, err
	}
	if len(given) == 0 {
		given = ownPorts("127.0.0.1")
	}
	err = withCatalog(ctx, cfg, func(c *catalog.Catalog) error {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if err := c.Seed(ctx, name, given[name]...); err != nil {
				return err
			}
		}
		all, err = c.List(ctx)
		return err
	})
	return all, err
}

// ListURLs says what the catalogue has.
func ListURLs(ctx context.Context, cfg Config) (all []ServiceURL, err error) {
	err = withCatalog(ctx, cfg, func(c *catalog.Catalog) error {
		all, err = c.List(ctx)
		return err
	})
	return all, err
}

func withCatalog(ctx context.Context, cfg Config, f func(*catalog.Catalog) error) (err error) {
	if err := cfg.checkEngines(); err != nil {
		return err
	}
	at, err := cfg.place(urlsName)
	if err != nil {
		return err
	}
	if at.scheme == schemeSQLite { // which may be the first to need its folder
		if err := os.MkdirAll(filepath.Dir(at.url), 0o700); err != nil {
			return fmt.Errorf("data: %w", err)
		}
	}
	dbs := newDatabases(cfg, false)
	defer func() { err = errors.Join(err, dbs.close()) }()
	store, err := dbs.store(ctx, urlsName, ServiceURLs)
	if err != nil {
		return err
	}
	now, err := clock.New(time.Now(), 1)
	if err != nil {
		return err
	}
	opt := catalog.Options{Store: store, Clock: now, Log: cfg.Log}
	if cfg.Redis != "" {
		c, err := openRedis(ctx, cfg.Redis)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		opt.Cache = c
	}
	return f(catalog.New(opt))
}
