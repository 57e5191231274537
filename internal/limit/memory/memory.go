// Package memory counts in this process's memory: a bounded number of keys, of which those that were hit least recently
// are forgotten first. It has no goroutine and gives back what it has when it is dropped.
package memory

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/limit"
)

// Keys is how many keys are remembered where nothing else is said: some 20 MB.
const Keys = 100_000

// Counter is a [limit.Counter]. Its error is always nil.
type Counter struct {
	most int

	mu     sync.Mutex
	keys   map[string]*list.Element
	recent list.List // of *windows, the last that was hit first
}

// windows are the counts of a key.
type windows struct {
	key         string
	index       int64 // of the window that now is the count of
	now, before int64
}

// New makes a counter that remembers so many keys at most; 0: [Keys].
func New(most int) *Counter {
	if most <= 0 {
		most = Keys
	}
	return &Counter{most: most, keys: map[string]*list.Element{}}
}

// Add is limit.Counter.
func (c *Counter) Add(_ context.Context, at time.Time, hits ...limit.Hit) ([]limit.Count, error) {
	counts := make([]limit.Count, len(hits))
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, h := range hits {
		counts[i] = c.add(h, limit.Index(at, h.Window))
	}
	return counts, nil
}

func (c *Counter) add(h limit.Hit, index int64) limit.Count {
	e, known := c.keys[h.Key]
	if !known {
		if h.N == 0 {
			return limit.Count{}
		}
		for len(c.keys) >= c.most {
			last := c.recent.Back()
			delete(c.keys, c.recent.Remove(last).(*windows).key)
		}
		e = c.recent.PushFront(&windows{key: h.Key, index: index})
		c.keys[h.Key] = e
	}
	w := e.Value.(*windows)
	switch {
	case index == w.index+1:
		w.index, w.before, w.now = index, w.now, 0
	case index > w.index:
		w.index, w.before, w.now = index, 0, 0
	} // a moment before the window is counted in it: of two callers at a seam one may come late
	w.now += h.N
	if known && h.N > 0 {
		c.recent.MoveToFront(e)
	}
	return limit.Count{Now: w.now, Before: w.before}
}
