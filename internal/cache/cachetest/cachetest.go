// Package cachetest is the suite every cache passes.
package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/cache"
)

const long = time.Hour // no entry of the suite's is over before its test is

// Exercise runs the suite; open makes an empty cache for one test, with room for a few hundred entries. Its time must
// pass.
func Exercise(t *testing.T, open func(testing.TB) cache.Cache) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, cache.Cache)
	}{
		{"nothing there is no error", nothingThere},
		{"what is put is got", roundTrip},
		{"the caller's bytes are its own", copied},
		{"a higher version is never replaced", higherStays},
		{"of many puts at once the highest stays", highestOfMany},
		{"readers never see a version go down", monotonic},
		{"an entry's time ends", expires},
		{"putting begins the time anew", renewed},
		{"what is no item is refused", refused},
		{"deleted is gone", deleted},
		{"each entry under a prefix", each},
		{"a prefix is taken literally", literal},
		{"each ends when told, and may use the cache", eachEnds},
		{"many are put as one by one", batches},
		{"a context that has ended", ended},
		{"random calls are answered as a map would", likeAMap},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// odd are keys that an adapter might trip over.
var odd = []string{"a", "order:0198c5b2", "a b", "a\nb", "ünïcode", "*", "a*", "a?", "[ab]", `back\slash`, "\x00", "{tag}"}

func entry(version int64, value string) cache.Entry {
	return cache.Entry{Version: version, Value: []byte(value)}
}

func put(t testing.TB, c cache.Cache, key string, e cache.Entry, ttl time.Duration) {
	t.Helper()
	if err := c.Put(t.Context(), key, e, ttl); err != nil {
		t.Fatal(err)
	}
}

// want fails where the cache has not exactly this at key.
func want(t testing.TB, c cache.Cache, key string, e cache.Entry) {
	t.Helper()
	got, ok, err := c.Get(t.Context(), key)
	if err != nil || !ok || !same(got, e) {
		t.Fatalf("%q has %d %q, %v, %v; want %d %q", key, got.Version, got.Value, ok, err, e.Version, e.Value)
	}
}

func wantNone(t testing.TB, c cache.Cache, key string) {
	t.Helper()
	if got, ok, err := c.Get(t.Context(), key); ok || err != nil || got.Version != 0 || got.Value != nil {
		t.Fatalf("%q has %d %q, %v, %v; want nothing", key, got.Version, got.Value, ok, err)
	}
}

// gone waits until there is nothing at key.
func gone(t testing.TB, c cache.Cache, key string) {
	t.Helper()
	for {
		_, ok, err := c.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return
		}
		runtime.Gosched()
	}
}

// all is what is under a prefix.
func all(t testing.TB, c cache.Cache, prefix string) map[string]cache.Entry {
	t.Helper()
	m := map[string]cache.Entry{}
	err := c.Each(t.Context(), prefix, func(key string, e cache.Entry, left time.Duration) bool {
		if _, twice := m[key]; twice {
			t.Errorf("%q came twice", key)
		}
		if left <= 0 || left > long {
			t.Errorf("%q has %s left", key, left)
		}
		m[key] = e
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func nothingThere(t *testing.T, c cache.Cache) {
	for _, key := range odd {
		wantNone(t, c, key)
	}
	if m := all(t, c, ""); len(m) != 0 {
		t.Fatalf("an empty cache has %v", m)
	}
}

func roundTrip(t *testing.T, c cache.Cache) {
	for i, key := range odd {
		put(t, c, key, entry(int64(i), key+" value"), long)
	}
	for i, key := range odd {
		want(t, c, key, entry(int64(i), key+" value"))
	}
	for i, value := range []string{"", "\n", "7\nseven", "\x00\xff\xfe", string(make([]byte, 100_000))} {
		key := "value" + strconv.Itoa(i)
		put(t, c, key, entry(3, value), long)
		want(t, c, key, entry(3, value))
	}
}

func copied(t *testing.T, c cache.Cache) {
	e := entry(1, "mine")
	put(t, c, "a", e, long)
	copy(e.Value, "MINE")
	want(t, c, "a", entry(1, "mine"))
}

func higherStays(t *testing.T, c cache.Cache) {
	const exact = int64(1) << 53 // the first number that a float cannot tell from the next
	for _, v := range []struct{ old, now, left int64 }{
		{1, 2, 2}, {2, 1, 2}, {1, 1, 1}, {0, 0, 0}, {0, 1, 1}, {1, 0, 1},
		{9, 10, 10}, {10, 9, 10}, {99, 100, 100}, {100, 99, 100},
		{exact, exact + 1, exact + 1}, {exact + 1, exact, exact + 1},
		{math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64}, {math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64},
	} {
		key := fmt.Sprint(v)
		put(t, c, key, entry(v.old, "old"), long)
		put(t, c, key, entry(v.now, "now"), long)
		value := "now"
		if v.now < v.old {
			value = "old"
		}
		want(t, c, key, entry(v.left, value))
	}
}

func highestOfMany(t *testing.T, c cache.Cache) {
	const n = 20
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for _, v := range rand.Perm(n) {
				if err := c.Put(t.Context(), "a", entry(int64(v), strconv.Itoa(v)), long); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	want(t, c, "a", entry(n-1, strconv.Itoa(n-1)))
}

func monotonic(t *testing.T, c cache.Cache) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	put(t, c, "a", entry(0, ""), long)
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			last := int64(0)
			for ctx.Err() == nil {
				e, ok, err := c.Get(t.Context(), "a")
				if err != nil || !ok || e.Version < last {
					t.Errorf("after version %d: %d, %v, %v", last, e.Version, ok, err)
					return
				}
				last = e.Version
			}
		})
	}
	for range 4 {
		writers.Go(func() {
			for v := range int64(50) {
				if err := c.Put(t.Context(), "a", entry(v, ""), long); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
}

func expires(t *testing.T, c cache.Cache) {
	put(t, c, "a", entry(7, "seven"), 20*time.Millisecond)
	put(t, c, "b", entry(1, "stays"), long)
	gone(t, c, "a")
	if m := all(t, c, ""); len(m) != 1 {
		t.Fatalf("each sees %v", m)
	}
	want(t, c, "b", entry(1, "stays"))
	put(t, c, "a", entry(6, "six"), long) // what is over holds nobody up
	want(t, c, "a", entry(6, "six"))
}

func renewed(t *testing.T, c cache.Cache) {
	put(t, c, "longer", entry(1, ""), 200*time.Millisecond)
	put(t, c, "longer", entry(1, ""), long)
	put(t, c, "shorter", entry(1, ""), long)
	put(t, c, "shorter", entry(2, ""), 20*time.Millisecond)
	put(t, c, "lower", entry(2, ""), 200*time.Millisecond)
	put(t, c, "lower", entry(1, ""), long) // changes nothing, the time neither
	gone(t, c, "shorter")
	gone(t, c, "lower")
	want(t, c, "longer", entry(1, ""))
}

func refused(t *testing.T, c cache.Cache) {
	for _, i := range []cache.Item{
		{Key: "", Entry: entry(1, ""), TTL: long},
		{Key: "a", Entry: entry(-1, ""), TTL: long},
		{Key: "a", Entry: entry(1, "")},
		{Key: "a", Entry: entry(1, ""), TTL: -time.Second},
		{Key: "a", Entry: entry(1, ""), TTL: time.Microsecond},
	} {
		if err := c.Put(t.Context(), i.Key, i.Entry, i.TTL); err == nil {
			t.Errorf("%+v was taken", i)
		}
		if err := cache.PutAll(t.Context(), c, []cache.Item{{Key: "b", Entry: entry(1, ""), TTL: long}, i}); err == nil {
			t.Errorf("%+v was taken among others", i)
		}
	}
	wantNone(t, c, "a")
}

func deleted(t *testing.T, c cache.Cache) {
	for _, key := range odd {
		put(t, c, key, entry(5, ""), long)
	}
	put(t, c, "stays", entry(1, ""), long)
	if err := c.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), append([]string{"nobody"}, odd...)...); err != nil {
		t.Fatal(err)
	}
	for _, key := range odd {
		wantNone(t, c, key)
	}
	want(t, c, "stays", entry(1, ""))
	put(t, c, "a", entry(4, "lower"), long) // nothing remembers the version
	want(t, c, "a", entry(4, "lower"))
}

func each(t *testing.T, c cache.Cache) {
	in := map[string]cache.Entry{}
	for i := range 200 {
		key := fmt.Sprintf("order:%d", i)
		in[key] = entry(int64(i), "value of "+key)
		put(t, c, key, in[key], long)
		if i < 20 {
			put(t, c, fmt.Sprintf("url:%d", i), entry(1, ""), long)
		}
	}
	got := all(t, c, "order:")
	if !maps.EqualFunc(got, in, same) {
		t.Fatalf("%d entries, want %d as they were put", len(got), len(in))
	}
	if n := len(all(t, c, "")); n != 220 {
		t.Fatalf("%d entries in all, want 220", n)
	}
	if n := len(all(t, c, "order:200")); n != 0 {
		t.Fatalf("%d entries under a prefix nobody has", n)
	}
}

func literal(t *testing.T, c cache.Cache) {
	for _, key := range append([]string{"ab", "xa", "b"}, odd...) {
		put(t, c, key, entry(1, ""), long)
	}
	for _, prefix := range []string{"*", "a*", "a?", "[ab]", `back\`, "{"} {
		if m := all(t, c, prefix); len(m) != 1 {
			t.Errorf("under %q: %q", prefix, slices.Collect(maps.Keys(m)))
		}
	}
}

func eachEnds(t *testing.T, c cache.Cache) {
	for i := range 10 {
		put(t, c, strconv.Itoa(i), entry(1, ""), long)
	}
	n := 0
	err := c.Each(t.Context(), "", func(key string, _ cache.Entry, _ time.Duration) bool {
		n++
		if err := c.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
		return n < 3
	})
	if err != nil || n != 3 {
		t.Fatalf("told to end at 3 it ends at %d, %v", n, err)
	}
	if m := all(t, c, ""); len(m) != 7 {
		t.Fatalf("%d are left, want 7", len(m))
	}
}

func batches(t *testing.T, c cache.Cache) {
	if err := cache.PutAll(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	put(t, c, "50", entry(100, "higher"), long)
	var items []cache.Item
	for i := range 150 {
		items = append(items, cache.Item{Key: strconv.Itoa(i), Entry: entry(int64(i), "in a batch"), TTL: long})
	}
	items = append(items, cache.Item{Key: "0", Entry: entry(2, "twice"), TTL: long}, cache.Item{Key: "0", Entry: entry(1, "no"), TTL: long})
	if err := cache.PutAll(t.Context(), c, items); err != nil {
		t.Fatal(err)
	}
	want(t, c, "0", entry(2, "twice"))
	want(t, c, "50", entry(100, "higher"))
	want(t, c, "149", entry(149, "in a batch"))
	if n := len(all(t, c, "")); n != 150 {
		t.Fatalf("%d entries, want 150", n)
	}
}

func ended(t *testing.T, c cache.Cache) {
	put(t, c, "a", entry(1, ""), long)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok, err := c.Get(ctx, "a")
	if ok {
		t.Error("get gave something")
	}
	for what, err := range map[string]error{
		"get":    err,
		"put":    c.Put(ctx, "a", entry(2, ""), long),
		"putall": cache.PutAll(ctx, c, []cache.Item{{Key: "a", Entry: entry(2, ""), TTL: long}}),
		"delete": c.Delete(ctx, "a"),
		"each":   c.Each(ctx, "", func(string, cache.Entry, time.Duration) bool { return true }),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	want(t, c, "a", entry(1, ""))
}

func likeAMap(t *testing.T, c cache.Cache) {
	keys := rapid.SampledFrom([]string{"a", "a:1", "a:2", "b", "*"})
	rapid.Check(t, func(rt *rapid.T) {
		model := map[string]cache.Entry{}
		if err := c.Delete(t.Context(), "a", "a:1", "a:2", "b", "*"); err != nil {
			rt.Fatal(err)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				key, version := keys.Draw(rt, "key"), rapid.Int64Range(0, 12).Draw(rt, "version")
				e := cache.Entry{Version: version, Value: rapid.SliceOf(rapid.Byte()).Draw(rt, "value")}
				if err := c.Put(t.Context(), key, e, long); err != nil {
					rt.Fatal(err)
				}
				if old, ok := model[key]; !ok || old.Version <= version {
					model[key] = e
				}
			},
			"delete": func(rt *rapid.T) {
				some := rapid.SliceOf(keys).Draw(rt, "keys")
				if err := c.Delete(t.Context(), some...); err != nil {
					rt.Fatal(err)
				}
				for _, key := range some {
					delete(model, key)
				}
			},
			"get": func(rt *rapid.T) {
				key := keys.Draw(rt, "key")
				got, ok, err := c.Get(t.Context(), key)
				if e, there := model[key]; err != nil || ok != there || !same(got, e) {
					rt.Fatalf("%q has %v, %v, %v; want %v, %v", key, got, ok, err, e, there)
				}
			},
			"each": func(rt *rapid.T) {
				if got := all(t, c, ""); !maps.EqualFunc(got, model, same) {
					rt.Fatalf("each gives %v, want %v", got, model)
				}
			},
		})
	})
}

func same(a, b cache.Entry) bool { return a.Version == b.Version && bytes.Equal(a.Value, b.Value) }
