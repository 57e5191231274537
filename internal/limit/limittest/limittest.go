// Package limittest is the conformance suite of [limit.Counter].
package limittest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/limit"
)

// Exercise runs the suite. open makes a counter that has counted nothing under keys of the test.
func Exercise(t *testing.T, open func(*testing.T) limit.Counter) {
	start := time.Unix(1_700_000_000, 0).Truncate(time.Hour)
	for name, test := range map[string]func(*testing.T, limit.Counter, time.Time){
		"windows":  windows,
		"looks":    looks,
		"together": together,
		"at once":  atOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), start) })
	}
}

func add(t *testing.T, c limit.Counter, at time.Time, want []limit.Count, hits ...limit.Hit) {
	t.Helper()
	got, err := c.Add(t.Context(), at, hits...)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v at %s: %v (%v), want %v", hits, at.UTC().Format(time.TimeOnly), got, err, want)
	}
}

// windows: a window's count becomes the one before, and is then forgotten.
func windows(t *testing.T, c limit.Counter, at time.Time) {
	hit := limit.Hit{Key: t.Name(), Window: time.Minute, N: 1}
	add(t, c, at, []limit.Count{{Now: 1}}, hit)
	add(t, c, at.Add(59*time.Second), []limit.Count{{Now: 2}}, hit)
	add(t, c, at.Add(60*time.Second), []limit.Count{{Now: 1, Before: 2}}, hit)
	hit.N = 5
	add(t, c, at.Add(119*time.Second), []limit.Count{{Now: 6, Before: 2}}, hit)
	add(t, c, at.Add(4*time.Minute), []limit.Count{{Now: 5}}, hit)
}

// looks: 0 counts nothing.
func looks(t *testing.T, c limit.Counter, at time.Time) {
	look, hit := limit.Hit{Key: t.Name(), Window: time.Minute}, limit.Hit{Key: t.Name(), Window: time.Minute, N: 1}
	add(t, c, at, []limit.Count{{}}, look)
	add(t, c, at, []limit.Count{{Now: 1}}, hit)
	add(t, c, at, []limit.Count{{Now: 1}}, look)
	add(t, c, at.Add(time.Minute), []limit.Count{{Before: 1}}, look)
}

// together: keys and windows do not touch each other, and answers are in the order of the hits.
func together(t *testing.T, c limit.Counter, at time.Time) {
	a := limit.Hit{Key: t.Name() + "a", Window: time.Minute, N: 1}
	b := limit.Hit{Key: t.Name() + "b", Window: 10 * time.Minute, N: 2}
	none := limit.Hit{Key: t.Name() + "c", Window: time.Minute}
	add(t, c, at, []limit.Count{{Now: 1}, {}, {Now: 2}}, a, none, b)
	add(t, c, at.Add(time.Minute), []limit.Count{{Now: 4}, {Now: 1, Before: 1}}, b, a)
	add(t, c, at, nil)
}

// atOnce: no hit is lost.
func atOnce(t *testing.T, c limit.Counter, at time.Time) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				if _, err := c.Add(t.Context(), at, limit.Hit{Key: t.Name(), Window: time.Minute, N: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	add(t, c, at, []limit.Count{{Now: 200}}, limit.Hit{Key: t.Name(), Window: time.Minute})
}
