// Package redis counts in Redis, where all instances count together. Any Redis from 5 on serves.
//
// A window of a key is a Redis key of its own, KEY:INDEX, which holds a number and lives for two windows: then nobody asks
// for it any more. It is made with its time to live before it is counted up, so none is ever left behind. A Redis that
// forgets everything gives everybody a fresh start.
package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tiffin-food/tiffin/internal/limit"
)

// Server is a connection to Redis; *Cache of internal/cache/redis is one.
type Server interface {
	// Pipeline sends the commands that f queues in one round trip.
	Pipeline(ctx context.Context, f func(redis.Pipeliner)) error
}

// Counter is a [limit.Counter]. Safe for concurrent use.
type Counter struct {
	server Server
	prefix string
}

// New makes a counter; prefix stands before every key in Redis.
func New(server Server, prefix string) *Counter { return &Counter{server, prefix} }

// Add is limit.Counter. The error says that Redis was away, or had something else under a key of ours.
func (c *Counter) Add(ctx context.Context, at time.Time, hits ...limit.Hit) ([]limit.Count, error) {
	type pending struct {
		now    *redis.IntCmd // nil: only looked at
		looked *redis.StringCmd
		before *redis.StringCmd
	}
	sent := make([]pending, len(hits))
	err := c.server.Pipeline(ctx, func(p redis.Pipeliner) {
		for i, h := range hits {
			index := limit.Index(at, h.Window)
			key := c.key(h, index)
			if h.N > 0 {
				p.SetNX(ctx, key, 0, 2*h.Window)
				sent[i].now = p.IncrBy(ctx, key, h.N)
			} else {
				sent[i].looked = p.Get(ctx, key)
			}
			sent[i].before = p.Get(ctx, c.key(h, index-1))
		}
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("redis: count: %w", err)
	}
	counts := make([]limit.Count, len(hits))
	for i, s := range sent {
		if s.now != nil {
			counts[i].Now, err = s.now.Result()
		} else {
			counts[i].Now, err = number(s.looked)
		}
		if err == nil {
			counts[i].Before, err = number(s.before)
		}
		if err != nil {
			return nil, fmt.Errorf("redis: count: %w", err)
		}
	}
	return counts, nil
}

func (c *Counter) key(h limit.Hit, index int64) string {
	return c.prefix + h.Key + ":" + strconv.FormatInt(index, 10)
}

// number is what a key holds; 0 where it is not there.
func number(s *redis.StringCmd) (int64, error) {
	n, err := s.Int64()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return n, err
}
