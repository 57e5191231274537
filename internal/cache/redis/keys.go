package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiffin-food/tiffin/internal/cache"
)

// Delete forgets keys, many in one round trip.
func (c *Cache) Delete(ctx context.Context, keys ...string) error {
	for some := range slices.Chunk(keys, page) {
		full := make([]string, len(some))
		for i, key := range some {
			full[i] = c.prefix + key
		}
		err := c.call(ctx, func(ctx context.Context) error { return c.client.Del(ctx, full...).Err() })
		if err != nil {
			return fmt.Errorf("redis: delete %d: %w", len(keys), err)
		}
	}
	return nil
}

// Each gives f the entries whose key begins with prefix. It looks through all keys in Redis, some hundred in each
// round trip, which disturbs nobody but takes its time; it remembers the keys it has given f.
func (c *Cache) Each(ctx context.Context, prefix string, f func(string, cache.Entry, time.Duration) bool) error {
	match := literal.Replace(c.prefix+prefix) + "*"
	seen := map[string]bool{}
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var found []found
		err := c.call(ctx, func(ctx context.Context) error {
			keys, next, err := c.client.Scan(ctx, cursor, match, page).Result()
			if err != nil {
				return err
			}
			cursor = next
			keys = slices.DeleteFunc(keys, func(key string) bool { // a scan may come by twice
				defer func() { seen[key] = true }()
				return seen[key]
			})
			found, err = c.read(ctx, keys)
			return err
		})
		if err != nil {
			return fmt.Errorf("redis: list %s: %w", prefix, err)
		}
		for _, e := range found {
			if !f(e.key, e.Entry, e.left) {
				return nil
			}
		}
	}
	return nil
}

// literal keeps a key's characters from meaning something in a pattern.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

type found struct {
	key string
	cache.Entry
	left time.Duration
}

// read reads the entries at keys of Redis; those that are gone or none are left out.
func (c *Cache) read(ctx context.Context, keys []string) ([]found, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	values := make([]*redis.StringCmd, len(keys))
	left := make([]*redis.DurationCmd, len(keys))
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			values[i], left[i] = p.Get(ctx, key), p.PTTL(ctx, key)
		}
		return nil
	})
	if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
		return nil, err
	}
	all := make([]found, 0, len(keys))
	for i, key := range keys {
		if e, ok := decode(values[i].Val()); ok && values[i].Err() == nil && left[i].Val() > 0 {
			all = append(all, found{key: strings.TrimPrefix(key, c.prefix), Entry: e, left: left[i].Val()})
		}
	}
	return all, nil
}
