package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/cache/cachetest"
	"github.com/tiffin-food/tiffin/internal/cache/redis"
	"github.com/tiffin-food/tiffin/internal/engines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(engines.Main{M: m}) }

// patient is a timeout that a busy machine does not reach.
const patient = 20 * time.Second

var prefixes atomic.Int64

// open is a cache; where it has no prefix it is given one of its own, so that it is empty.
func open(t testing.TB, opt redis.Options) *redis.Cache {
	t.Helper()
	if opt.Prefix == "" {
		opt.Prefix = fmt.Sprintf("tiffin-test-%d-%d*:", os.Getpid(), prefixes.Add(1))
	}
	c, err := redis.Open(opt)
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

// raw is a client that sees what is really there.
func raw(t testing.TB, url string) *goredis.Client {
	t.Helper()
	opt, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(opt)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func put(t testing.TB, c cache.Cache, key string, version int64, value string) {
	t.Helper()
	if err := c.Put(t.Context(), key, cache.Entry{Version: version, Value: []byte(value)}, time.Hour); err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, c cache.Cache, key string, version int64) {
	t.Helper()
	if e, ok, err := c.Get(t.Context(), key); err != nil || ok != (version > 0) || e.Version != version {
		t.Errorf("%s is %d, %v, %v; want %d", key, e.Version, ok, err, version)
	}
}

// until waits for what will be.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		if t.Context().Err() != nil {
			t.Fatalf("not %s", what)
		}
		runtime.Gosched()
	}
}

func TestConformance(t *testing.T) {
	url := engines.Place(t, engines.Redis)
	cachetest.Exercise(t, func(t testing.TB) cache.Cache { return open(t, redis.Options{URL: url, Timeout: patient}) })
}

// TestWhatIsInRedis: what a person finds there, and that others' keys are left alone.
func TestWhatIsInRedis(t *testing.T) {
	s := engines.Private(t, engines.Redis)
	r := raw(t, s.URL())
	c := open(t, redis.Options{URL: s.URL(), Prefix: "tiffin:", Timeout: patient})
	for _, key := range []string{"order:1", "xtiffin:order:2"} {
		if err := r.Set(t.Context(), key, "9\nof others", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, c, "order:1", 7, "seven")
	if got := r.Get(t.Context(), "tiffin:order:1").Val(); got != "7\nseven" {
		t.Errorf("it is written as %q", got)
	}
	if left := r.PTTL(t.Context(), "tiffin:order:1").Val(); left <= 59*time.Minute || left > time.Hour {
		t.Errorf("%s are left", left)
	}
	n := 0
	if err := c.Each(t.Context(), "", func(string, cache.Entry, time.Duration) bool { n++; return true }); err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// TestWhatIsNoEntry under a key of ours is nothing, and is overwritten.
func TestWhatIsNoEntry(t *testing.T) {
	s := engines.Private(t, engines.Redis)
	r := raw(t, s.URL())
	c := open(t, redis.Options{URL: s.URL(), Prefix: "p:", Timeout: patient})
	ctx := t.Context()
	for _, value := range []string{"", "x", "7", "-7\nx", "\n", "99999999999999999999\nx", "9999999999999999999\nx", " 7\nx", "7 \nx", "007\nx", "+7\nx"} {
		if err := r.Set(ctx, "p:a", value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		want(t, c, "a", 0)
		if err := c.Each(ctx, "", func(string, cache.Entry, time.Duration) bool { t.Errorf("%q was found", value); return true }); err != nil {
			t.Error(err)
		}
		put(t, c, "a", 1, "")
		want(t, c, "a", 1)
	}
	if err := errors.Join(r.Del(ctx, "p:a").Err(), r.LPush(ctx, "p:a", "a list").Err()); err != nil {
		t.Fatal(err)
	}
	want(t, c, "a", 0)
	if err := c.Each(ctx, "", func(string, cache.Entry, time.Duration) bool { t.Error("a list was found"); return true }); err != nil {
		t.Error(err)
	}
	put(t, c, "a", 1, "")
	want(t, c, "a", 1)
}

func TestFlushAndRestart(t *testing.T) {
	s := engines.Private(t, engines.Redis)
	r := raw(t, s.URL())
	c := open(t, redis.Options{URL: s.URL(), Timeout: patient})
	put(t, c, "a", 5, "")
	for _, err := range []error{r.FlushAll(t.Context()).Err(), r.ScriptFlush(t.Context()).Err()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want(t, c, "a", 0)
	put(t, c, "a", 4, "")
	want(t, c, "a", 4)

	if err := errors.Join(s.Kill(t.Context()), s.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	until(t, "back", func() bool { _, ok, err := c.Get(t.Context(), "a"); return err == nil && !ok })
	put(t, c, "a", 3, "")
	want(t, c, "a", 3)
}

// TestGone: no Redis costs next to nothing, and it is used again by itself.
func TestGone(t *testing.T) {
	s := engines.Private(t, engines.Redis)
	c := open(t, redis.Options{URL: s.URL(), Timeout: time.Second})
	put(t, c, "a", 1, "")
	if err := s.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for range 10_000 {
		if _, ok, err := c.Get(t.Context(), "a"); ok || err == nil {
			t.Fatal("it is still there")
		}
	}
	if d := time.Since(begun); d > 10*time.Second { // 10,000 timeouts are 3 hours
		t.Errorf("10,000 calls took %s", d)
	}
	if err := c.Ping(t.Context()); err == nil {
		t.Error("it answers")
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	until(t, "back", func() bool { _, _, err := c.Get(t.Context(), "a"); return err == nil })
	put(t, c, "a", 2, "")
	want(t, c, "a", 2)
}

// TestOpensWithoutRedis: it may come later.
func TestOpensWithoutRedis(t *testing.T) {
	s := engines.Private(t, engines.Redis)
	if err := s.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := open(t, redis.Options{URL: s.URL(), Timeout: time.Second})
	if err := c.Put(t.Context(), "a", cache.Entry{Version: 1}, time.Hour); err == nil {
		t.Error("it put into nothing")
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "there", func() bool {
		return c.Put(t.Context(), "a", cache.Entry{Version: 1}, time.Hour) == nil
	})
	want(t, c, "a", 1)
}

// TestWriterAndReaderOverAnOutage: what an instance commits while Redis is away is what another instance finds there
// soon after, though Redis kept what it had.
func TestWriterAndReaderOverAnOutage(t *testing.T) {
	s := engines.Private(t, engines.Redis)
	link := newLink(t, s.URL())
	here := open(t, redis.Options{URL: link.url(), Prefix: "p:", Timeout: 200 * time.Millisecond})
	there := open(t, redis.Options{URL: s.URL(), Prefix: "p:", Timeout: patient})
	w := cache.NewWriter(cache.WriterOptions{Cache: here, TTL: time.Hour})
	w.Start()
	note := func(version int64) {
		for i := range 300 {
			w.Note(fmt.Sprint(i), version, func() []byte { return nil })
		}
	}
	note(1)
	until(t, "written", func() bool { return w.Stats().Pending == 0 })
	want(t, there, "299", 1)
	link.hang(true)
	note(2)
	note(3)
	until(t, "tried", func() bool { return w.Stats().Failures > 0 })
	r := cache.NewReader(here, time.Hour)
	e, err := r.Read(t.Context(), "299", 0, func(context.Context) (cache.Entry, error) { return cache.Entry{Version: 3}, nil })
	if err != nil || e.Version != 3 {
		t.Errorf("meanwhile it reads %d, %v", e.Version, err)
	}
	link.hang(false)
	until(t, "written", func() bool { return w.Stats().Pending == 0 })
	for i := range 300 {
		want(t, there, fmt.Sprint(i), 3)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestURL: what is none is refused by a text that names the setting and keeps the password to itself; so do the
// errors of a Redis that is not there or wants another.
func TestURL(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://localhost:6379", "redis://:secret@host:port", "redis://:sec/ret@host:1/0", "redis://:secret%zz@host",
		"redis://:secret@host/secret", "redis://:secret@host/0?secret=1", "redis://h/1/secret",
	} {
		c, err := redis.Open(redis.Options{URL: url})
		if err == nil {
			t.Errorf("%q was taken", url)
			_ = c.Close()
			continue
		}
		if !strings.Contains(err.Error(), "redis: the URL is not redis://") || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec/ret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	s := engines.Private(t, engines.Redis)
	hostPort := strings.TrimPrefix(s.URL(), "redis://")
	for _, url := range []string{"redis://user:secret@" + hostPort, "redis://:secret@127.0.0.1:1"} {
		log := &buffer{}
		c := open(t, redis.Options{URL: url, Timeout: time.Second, Log: log.logger()})
		err := c.Ping(t.Context())
		for range 5 {
			_, _, e := c.Get(t.Context(), "a")
			err = errors.Join(err, e)
		}
		if err == nil || strings.Contains(err.Error()+log.String(), "secret") {
			t.Errorf("%q: %v\n%s", url, err, log)
		}
	}
}

func TestUnixSocketAndDatabase(t *testing.T) {
	url := engines.Private(t, engines.Redis).URL()
	one := open(t, redis.Options{URL: url + "/1", Prefix: "p:", Timeout: patient})
	zero := open(t, redis.Options{URL: url, Prefix: "p:", Timeout: patient})
	put(t, one, "a", 1, "")
	want(t, zero, "a", 0)
	missing := open(t, redis.Options{URL: "unix://" + filepath.Join(t.TempDir(), "none"), Timeout: time.Second})
	if err := missing.Ping(t.Context()); err == nil {
		t.Error("nobody answers")
	}
}

// TestManyAtOnce: more callers than connections wait their turn, and none fails.
func TestManyAtOnce(t *testing.T) {
	c := open(t, redis.Options{URL: engines.Place(t, engines.Redis), Timeout: patient})
	var group sync.WaitGroup
	for g := range 200 {
		group.Go(func() {
			for v := range int64(20) {
				key := fmt.Sprint(g % 10)
				if err := c.Put(t.Context(), key, cache.Entry{Version: v}, time.Hour); err != nil {
					t.Error(err)
					return
				}
				if _, ok, err := c.Get(t.Context(), key); err != nil || !ok {
					t.Error(ok, err)
					return
				}
			}
		})
	}
	group.Wait()
}
