// Package redis keeps copies in Redis, where all instances share them. Any Redis from 5 on serves, with or without
// persistence, flushed or restarted at any time.
//
// A key holds the version in decimal, a newline and the value, so that redis-cli shows what a person looks for. A
// script sets it only over a lower or equal version. What somebody else wrote under a key of ours is no entry, and is
// overwritten.
//
// Every call takes at most Options.Timeout, and those that find Redis away are the price of noticing: after three in
// a row nobody asks for a second, and then one call does. So a Redis that is gone or hangs costs a timeout now and
// then, and is used again about a second after it is back. Times to live are Redis's own, real time.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tiffin-food/tiffin/internal/cache"
)

// ErrOpen says that Redis was not asked, because it was away a moment ago.
var ErrOpen = errors.New("circuit open")

// Options are the settings; URL has no default.
type Options struct {
	URL     string        // redis://[user:password@]host:port[/db], rediss:// for TLS, unix:///path?db=0
	Prefix  string        // of every key in Redis, so that others may use it too
	Timeout time.Duration // of a round trip, connecting included; 75 ms
	Log     *slog.Logger
}

const (
	failures = 3           // in a row: Redis is away
	openFor  = time.Second // how long it is not asked then; varies by a fifth
	page     = 500         // keys of one round trip of Each and Delete
)

// Cache is a [cache.Cache] and a [cache.Batcher]. Safe for concurrent use.
type Cache struct {
	prefix  string
	timeout time.Duration
	client  *redis.Client
	breaker circuitbreaker.CircuitBreaker[struct{}]
}

// Open makes a cache; Close ends it. Redis need not be there yet: the only error is a URL that is none, which is not
// repeated in the error, since it may hold a password. go-redis's own lines on standard error are turned off for the
// process; what they tell is in the errors returned here.
func Open(opt Options) (*Cache, error) {
	settings, err := redis.ParseURL(opt.URL)
	if err != nil { // it quotes the URL
		return nil, errors.New("redis: the URL is not redis://[user:password@]host:port[/db] or rediss:// or unix:// " +
			"(a password's special characters are written as %XX)")
	}
	if opt.Timeout == 0 {
		opt.Timeout = 75 * time.Millisecond
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	logging.Disable()
	settings.Protocol = 2 // nothing is pushed
	settings.DisableIdentity = true
	settings.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	settings.MaxRetries = -1 // the caller goes to the store instead
	settings.DialerRetries = 1
	settings.DialTimeout = opt.Timeout
	settings.ReadTimeout = opt.Timeout
	settings.WriteTimeout = opt.Timeout
	settings.PoolTimeout = opt.Timeout
	settings.ContextTimeoutEnabled = true
	settings.PoolSize = 32
	settings.MaxActiveConns = 32
	settings.PipelinePoolSize = -1 // pipelines use the same connections
	settings.ConnMaxIdleTime = 5 * time.Minute
	c := &Cache{prefix: opt.Prefix, timeout: opt.Timeout, client: redis.NewClient(settings)}
	c.breaker = circuitbreaker.NewBuilder[struct{}]().WithFailureThreshold(failures).WithSuccessThreshold(1).
		WithDelay(openFor).WithJitterFactor(0.2).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			switch {
			case e.OldState == circuitbreaker.ClosedState && e.NewState == circuitbreaker.OpenState:
				opt.Log.Warn("redis: it is away", "addr", settings.Addr)
			case e.NewState == circuitbreaker.ClosedState:
				opt.Log.Info("redis: it is back", "addr", settings.Addr)
			}
		}).Build()
	return c, nil
}

// Close closes the connections. Calls under way fail.
func (c *Cache) Close() error {
	if err := c.client.Close(); err != nil {
		return fmt.Errorf("redis: close: %w", err)
	}
	return nil
}

// Ping says whether Redis answers now, whatever happened before.
func (c *Cache) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis: ping: %w", err)
	}
	return nil
}

// Get returns the entry at a key.
func (c *Cache) Get(ctx context.Context, key string) (cache.Entry, bool, error) {
	var raw string
	err := c.call(ctx, func(ctx context.Context) error {
		var err error
		raw, err = c.client.Get(ctx, c.prefix+key).Result()
		return err
	})
	switch {
	case errors.Is(err, redis.Nil), redis.HasErrorPrefix(err, "WRONGTYPE"):
		return cache.Entry{}, false, nil
	case err != nil:
		return cache.Entry{}, false, fmt.Errorf("redis: get %s: %w", key, err)
	}
	e, ok := decode(raw)
	return e, ok, nil
}

// Put keeps an entry, unless a higher version is there.
func (c *Cache) Put(ctx context.Context, key string, e cache.Entry, ttl time.Duration) error {
	return c.PutAll(ctx, []cache.Item{{Key: key, Entry: e, TTL: ttl}})
}

// setIfHigher sets KEYS[1] to version ARGV[1] with value ARGV[2] for ARGV[3] milliseconds, unless its version is higher.
// Versions are compared as decimal strings: a number of Lua's is exact up to 2^53 only. Version 0 is lower than any.
var setIfHigher = redis.NewScript(`
local now = redis.pcall('GETRANGE', KEYS[1], 0, 19)
if type(now) == 'string' then
	local v = string.match(now, '^([1-9]%d*)\n')
	local most = '9223372036854775807'
	if v and (#v < #most or v <= most) and (#v > #ARGV[1] or #v == #ARGV[1] and v > ARGV[1]) then
		return 0
	end
end
redis.call('SET', KEYS[1], ARGV[1] .. '\n' .. ARGV[2], 'PX', ARGV[3])
return 1`)

// PutAll puts entries in one round trip; in three where Redis has not got the script (yet, or after a restart).
func (c *Cache) PutAll(ctx context.Context, items []cache.Item) error {
	for _, i := range items {
		if err := i.Check(); err != nil {
			return err
		}
	}
	err := c.call(ctx, func(ctx context.Context) error {
		err := c.putAll(ctx, items)
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			if err = setIfHigher.Load(ctx, c.client).Err(); err == nil {
				err = c.putAll(ctx, items)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("redis: put %d: %w", len(items), err)
	}
	return nil
}

func (c *Cache) putAll(ctx context.Context, items []cache.Item) error {
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, i := range items {
			setIfHigher.EvalSha(ctx, p, []string{c.prefix + i.Key}, i.Version, i.Value, i.TTL.Milliseconds())
		}
		return nil
	})
	return err // the first of any of them
}

// call does one round trip, or a few that belong together, in at most the timeout; not at all while Redis is away.
func (c *Cache) call(ctx context.Context, f func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !c.breaker.TryAcquirePermit() {
		return ErrOpen
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := f(limited)
	_, answered := errors.AsType[redis.Error](err) // redis.Nil is one
	switch {
	case err == nil, answered:
		c.breaker.RecordSuccess()
	case gaveUp(ctx, limited, err): // says nothing about Redis
		if c.breaker.IsHalfOpen() { // the one try must end in something
			c.breaker.RecordFailure()
		}
	default:
		c.breaker.RecordFailure()
	}
	return err
}

// gaveUp says whether a call failed because its caller's context ended, and not for what is limited beyond that. (A
// connection's deadline may pass a moment before the context's.)
func gaveUp(ctx, limited context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	theirs, has := ctx.Deadline()
	if ours, _ := limited.Deadline(); !has || ours.Before(theirs) {
		return false
	}
	late, ok := errors.AsType[net.Error](err) // context.DeadlineExceeded is one
	return ok && late.Timeout()
}

// decode reads what Redis has; false where it is no entry of ours.
func decode(raw string) (cache.Entry, bool) {
	for i := range min(len(raw), 20) {
		if raw[i] == '\n' {
			v, err := strconv.ParseInt(raw[:i], 10, 64)
			if err != nil || v < 0 || strconv.FormatInt(v, 10) != raw[:i] {
				return cache.Entry{}, false
			}
			return cache.Entry{Version: v, Value: []byte(raw[i+1:])}, true
		}
	}
	return cache.Entry{}, false
}

// Pipeline sends the commands that f queues in one round trip, for whoever shares the connections: under the same
// timeout, and not at all while Redis is away. The error is the first of any of them, redis.Nil included; the others
// have been carried out.
func (c *Cache) Pipeline(ctx context.Context, f func(redis.Pipeliner)) error {
	return c.call(ctx, func(ctx context.Context) error {
		_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			f(p)
			return nil
		})
		return err
	})
}
