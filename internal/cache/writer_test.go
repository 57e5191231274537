package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/cache"
)

func value(s string) func() []byte { return func() []byte { return []byte(s) } }

// stop ends a writer that has nothing left to write.
func stop(t testing.TB, w *cache.Writer) {
	t.Helper()
	if err := w.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// check fails where the counts do not add up, or are others.
func check(t testing.TB, w *cache.Writer, want cache.WriterStats) {
	t.Helper()
	got := w.Stats()
	want.Noted = want.Coalesced + want.Dropped + want.Written + int64(want.Pending)
	if got.Failures > 0 {
		want.Failures = got.Failures
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWriterWritesTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFrail(t)
		w := cache.NewWriter(cache.WriterOptions{Cache: c, TTL: time.Hour})
		for _, v := range []int64{3, 5, 4, 5} {
			w.Note("a", v, func() []byte {
				if v != 5 {
					t.Errorf("version %d was made", v)
				}
				return fmt.Append(nil, v)
			})
		}
		for i := range 300 {
			w.Note(fmt.Sprint("b", i), 1, value("b"))
		}
		w.Start()
		synctest.Wait()
		has(t, c, "a", 5)
		has(t, c, "b299", 1)
		check(t, w, cache.WriterStats{Coalesced: 3, Written: 301})
		w.Note("a", 4, value("late")) // the cache knows better
		w.Note("c", 1, value(""))
		synctest.Wait()
		has(t, c, "a", 5)
		has(t, c, "c", 1)
		if left := timeLeft(t, c, "c"); left != time.Hour {
			t.Errorf("c has %s left", left)
		}
		stop(t, w)
	})
}

func timeLeft(t testing.TB, c cache.Cache, key string) (found time.Duration) {
	t.Helper()
	err := c.Each(t.Context(), key, func(_ string, _ cache.Entry, left time.Duration) bool { found = left; return false })
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestWriterSurvivesAnOutage: what was committed meanwhile is in the cache a few seconds after it is back, so that
// what it had before is not served for longer.
func TestWriterSurvivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFrail(t)
		var log bytes.Buffer
		w := cache.NewWriter(cache.WriterOptions{Cache: c, TTL: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))})
		w.Start()
		for i := range 1000 {
			w.Note(fmt.Sprint(i), 1, value("before"))
		}
		synctest.Wait()
		c.away.Store(true)
		for v := range int64(5) {
			for i := range 1000 {
				w.Note(fmt.Sprint(i), 2+v, value("meanwhile"))
			}
			time.Sleep(time.Minute)
		}
		check(t, w, cache.WriterStats{Coalesced: 4000, Written: 1000, Pending: 1000})
		if n := w.Stats().Failures; n < 100 || n > 500 { // one in 1 to 3 s
			t.Errorf("in 5 minutes it was tried %d times", n)
		}
		c.away.Store(false)
		time.Sleep(3 * time.Second)
		check(t, w, cache.WriterStats{Coalesced: 4000, Written: 2000})
		for i := range 1000 {
			has(t, c, fmt.Sprint(i), 6)
		}
		stop(t, w)
		if away, back := strings.Count(log.String(), "away"), strings.Count(log.String(), "back"); away != 2 || back != 1 {
			t.Errorf("the log tells of one outage so:\n%s", log.String())
		}
	})
}

// TestWriterIsBounded: what is too much is dropped and counted; a key that waits already costs nothing.
func TestWriterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFrail(t)
		c.away.Store(true)
		w := cache.NewWriter(cache.WriterOptions{Cache: c, TTL: time.Hour, Pending: 3})
		w.Start()
		for i := range 5 {
			w.Note(fmt.Sprint(i), 1, value("one"))
			w.Note(fmt.Sprint(i), 2, value("two"))
			synctest.Wait()
		}
		check(t, w, cache.WriterStats{Coalesced: 3, Dropped: 4, Pending: 3})
		c.away.Store(false)
		time.Sleep(3 * time.Second)
		for i := range 3 {
			has(t, c, fmt.Sprint(i), 2)
		}
		if _, ok, _ := c.Get(t.Context(), "3"); ok {
			t.Error("there was room for more than three")
		}
		w.Note("3", 3, value("three")) // there is room again
		w.Note("", 1, value("no key"))
		w.Note("4", -1, value("no version"))
		synctest.Wait()
		has(t, c, "3", 3)
		check(t, w, cache.WriterStats{Coalesced: 3, Dropped: 6, Written: 4})
		stop(t, w)
	})
}

// TestNoteDoesNotBlock while a write hangs; what is noted meanwhile is written after it.
func TestNoteDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFrail(t)
		w := cache.NewWriter(cache.WriterOptions{Cache: c, TTL: time.Hour})
		w.Start()
		inside, on := make(chan struct{}), make(chan struct{})
		w.Note("a", 1, func() []byte {
			close(inside)
			<-on
			return nil
		})
		<-inside
		w.Note("a", 2, value("two"))
		w.Note("b", 1, value("one"))
		check(t, w, cache.WriterStats{Coalesced: 1, Pending: 2})
		close(on)
		synctest.Wait()
		has(t, c, "a", 2)
		has(t, c, "b", 1)
		check(t, w, cache.WriterStats{Coalesced: 1, Written: 2})
		stop(t, w)
	})
}

func TestWriterStops(t *testing.T) {
	filled := func(t *testing.T) (*frail, *cache.Writer) {
		c := newFrail(t)
		w := cache.NewWriter(cache.WriterOptions{Cache: c, TTL: time.Hour})
		for i := range 1000 {
			w.Note(fmt.Sprint(i), 1, value("v"))
		}
		return c, w
	}
	for _, what := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"and writes what waits", func(t *testing.T) {
			c, w := filled(t)
			w.Start()
			stop(t, w)
			has(t, c, "999", 1)
			w.Note("a", 1, value("late"))
			check(t, w, cache.WriterStats{Written: 1000, Dropped: 1})
			stop(t, w)
		}},
		{"but waits for no cache that is away", func(t *testing.T) {
			c, w := filled(t)
			c.away.Store(true)
			w.Start()
			synctest.Wait()
			begun := time.Now()
			for range 2 {
				if err := w.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "1000 keys") {
					t.Errorf("Stop = %v", err)
				}
			}
			if d := time.Since(begun); d != 0 {
				t.Errorf("it took %s", d)
			}
		}},
		{"nor longer than it may for one that hangs", func(t *testing.T) {
			c, w := filled(t)
			c.hangs.Store(true)
			w.Start()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			if err := w.Stop(ctx); err == nil || time.Since(begun) != time.Second {
				t.Errorf("Stop = %v after %s", err, time.Since(begun))
			}
		}},
		{"without having begun", func(t *testing.T) {
			_, w := filled(t)
			if err := w.Stop(t.Context()); err == nil {
				t.Error("Stop says that all was written")
			}
			stop(t, cache.NewWriter(cache.WriterOptions{Cache: newFrail(t), TTL: time.Hour}))
		}},
		{"idle", func(t *testing.T) {
			w := cache.NewWriter(cache.WriterOptions{Cache: newFrail(t), TTL: time.Hour})
			w.Start()
			synctest.Wait()
			stop(t, w)
		}},
	} {
		t.Run(what.name, func(t *testing.T) { synctest.Test(t, what.run) })
	}
}

// TestWriterCounts: with many noting at once and a cache that comes and goes, every note is accounted for.
func TestWriterCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFrail(t)
		w := cache.NewWriter(cache.WriterOptions{Cache: c, TTL: time.Hour, Pending: 50})
		w.Start()
		var group sync.WaitGroup
		for g := range 8 {
			group.Go(func() {
				for v := range int64(200) {
					w.Note(fmt.Sprint((int64(g)+v)%70), v, value("v"))
					c.away.Store(v%3 == 0)
					time.Sleep(time.Duration(g) * time.Millisecond)
				}
			})
		}
		group.Wait()
		c.away.Store(false)
		time.Sleep(3 * time.Second)
		s := w.Stats()
		if s.Noted != 1600 || s.Pending != 0 || s.Noted != s.Coalesced+s.Dropped+s.Written {
			t.Errorf("%+v", s)
		}
		stop(t, w)
	})
}
