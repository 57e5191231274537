package redis_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	cacheredis "github.com/tiffin-food/tiffin/internal/cache/redis"
	"github.com/tiffin-food/tiffin/internal/engines"
	"github.com/tiffin-food/tiffin/internal/limit"
	"github.com/tiffin-food/tiffin/internal/limit/limittest"
	"github.com/tiffin-food/tiffin/internal/limit/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(engines.Main{M: m}) }

var prefixes atomic.Int64

// connect is a connection as the copies of orders have it.
func connect(t *testing.T, url string) *cacheredis.Cache {
	t.Helper()
	c, err := cacheredis.Open(cacheredis.Options{URL: url, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestConforms(t *testing.T) {
	c := connect(t, engines.Place(t, engines.Redis))
	limittest.Exercise(t, func(*testing.T) limit.Counter {
		return redis.New(c, fmt.Sprintf("tiffin-test-%d-%d:", os.Getpid(), prefixes.Add(1)))
	})
}

// TestLeavesNothing: every key lives for two windows, and what is foreign under one of ours is an error.
func TestLeavesNothing(t *testing.T) {
	c := connect(t, engines.Place(t, engines.Redis))
	prefix := fmt.Sprintf("tiffin-test-%d-%d:", os.Getpid(), prefixes.Add(1))
	at, hit := time.Now(), limit.Hit{Key: "k", Window: time.Minute, N: 3}
	counter := redis.New(c, prefix)
	for range 2 {
		if _, err := counter.Add(t.Context(), at, hit); err != nil {
			t.Fatal(err)
		}
	}
	key := fmt.Sprintf("%sk:%d", prefix, limit.Index(at, hit.Window))
	var left *goredis.DurationCmd
	var value *goredis.StringCmd
	if err := c.Pipeline(t.Context(), func(p goredis.Pipeliner) {
		left, value = p.PTTL(t.Context(), key), p.Get(t.Context(), key)
		p.Set(t.Context(), prefix+fmt.Sprintf("odd:%d", limit.Index(at, hit.Window)), "word", time.Minute)
	}); err != nil {
		t.Fatal(err)
	}
	if left.Val() <= time.Minute || left.Val() > 2*time.Minute || value.Val() != "6" {
		t.Errorf("%s is %q for %s", key, value.Val(), left.Val())
	}
	hit.Key = "odd"
	if _, err := counter.Add(t.Context(), at, hit); err == nil {
		t.Error("a word was counted")
	}
}

// TestAway: an error, and not a hang.
func TestAway(t *testing.T) {
	c, err := cacheredis.Open(cacheredis.Options{URL: "redis://127.0.0.1:1/0"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // nothing was open
	if _, err := redis.New(c, "x").Add(t.Context(), time.Now(), limit.Hit{Key: "k", Window: time.Minute, N: 1}); err == nil {
		t.Error("nobody was there and counted")
	}
}
