// Package clock is the one source of time: limits, timers, backoff, the partners and every timestamp follow it.
// Only HTTP timeouts and heartbeats are real time.
//
// A real clock runs at a chosen speed from a chosen moment and follows the machine's monotonic time, so that a
// wall clock being set moves nothing. A virtual clock stands still while anything is held (a request, a due
// effect, a message or a save that is not finished) and then jumps to the next alarm: a recorded day runs as
// fast as the machine can, and a stall of the machine decides nothing.
//
// The package never sleeps in anybody's name and starts no goroutine: Run is the loop, and its caller owns it.
package clock

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"
)

// Clock tells the time and rings alarms. All methods are safe for concurrent use.
type Clock struct {
	virtual bool
	speed   float64
	start   time.Time // what it showed at base
	base    time.Time // with the monotonic reading

	mu     sync.Mutex
	now    time.Time // virtual only
	held   int       // virtual only
	alarms alarms
	order  uint64
	poke   chan struct{} // the loop looks again
}

// New is a clock that shows start now and runs speed times as fast as the machine's. The speed must be positive.
func New(start time.Time, speed float64) (*Clock, error) {
	if !(speed > 0) || speed > 1e6 {
		return nil, fmt.Errorf("clock: speed %v is not between 0 and 1000000", speed)
	}
	return &Clock{speed: speed, start: start.UTC().Round(0), base: time.Now(), poke: make(chan struct{}, 1)}, nil
}

// Virtual is a clock that shows start and moves only by jumping to the next alarm while nothing is held. It is held
// once by its maker, whose Release lets time begin.
func Virtual(start time.Time) *Clock {
	return &Clock{virtual: true, speed: 1, now: start.UTC().Round(0), held: 1, poke: make(chan struct{}, 1)}
}

// IsVirtual says whether time jumps.
func (c *Clock) IsVirtual() bool { return c.virtual }

// Now is the time, UTC, never less than an earlier answer.
func (c *Clock) Now() time.Time {
	if c.virtual {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now
	}
	return c.start.Add(time.Duration(float64(time.Since(c.base)) * c.speed)).Truncate(time.Microsecond)
}

// Hold keeps a virtual clock from moving until as many Release calls have followed. Who hands work to another
// goroutine holds on its behalf before letting go itself.
func (c *Clock) Hold() {
	if c.virtual {
		c.mu.Lock()
		c.held++
		c.mu.Unlock()
	}
}

// Release undoes one Hold.
func (c *Clock) Release() {
	if !c.virtual {
		return
	}
	c.mu.Lock()
	c.held--
	idle := c.held == 0
	if c.held < 0 {
		panic("clock: released more often than held")
	}
	c.mu.Unlock()
	if idle {
		c.look()
	}
}

// Alarm is one future call. Stop it when it is no longer wanted.
type Alarm struct {
	clock *Clock
	at    time.Time
	order uint64
	ring  func()
	index int
}

// At calls ring at t, or soon where t has passed, on the goroutine of Run. A virtual clock is held during the
// call. ring must not block: it hands work over (with a Hold of its own) and returns.
func (c *Clock) At(t time.Time, ring func()) *Alarm {
	a := &Alarm{clock: c, at: t, ring: ring}
	c.mu.Lock()
	c.order++
	a.order = c.order
	heap.Push(&c.alarms, a)
	first := a.index == 0
	c.mu.Unlock()
	if first {
		c.look()
	}
	return a
}

// Stop takes the alarm back and says whether it was still to come.
func (a *Alarm) Stop() bool {
	a.clock.mu.Lock()
	defer a.clock.mu.Unlock()
	if a.index < 0 {
		return false
	}
	heap.Remove(&a.clock.alarms, a.index)
	return true
}

// Sleep waits until the clock shows t. The caller must not hold the clock meanwhile; when Sleep returns nil the
// clock is held for the caller, who must Release it.
func (c *Clock) Sleep(ctx context.Context, t time.Time) error {
	rung := make(chan struct{})
	a := c.At(t, func() {
		c.Hold()
		close(rung)
	})
	select {
	case <-rung:
		return nil
	case <-ctx.Done():
		if !a.Stop() {
			<-rung // it rang or is about to: the hold is ours to give back
			c.Release()
		}
		return ctx.Err()
	}
}

// Run rings the alarms until ctx ends.
func (c *Clock) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait, due := c.next()
		for _, a := range due {
			a.ring()
		}
		if due != nil {
			c.Release()
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-c.poke:
		case <-timer.C:
		}
	}
}

// next takes out the alarms that are due, the clock held for them, or says how long to wait for the first.
func (c *Clock) next() (wait time.Duration, due []*Alarm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.alarms) == 0 || c.virtual && c.held > 0 {
		return time.Hour, nil
	}
	first := c.alarms[0].at
	now := first
	if c.virtual {
		if c.now.After(now) {
			now = c.now
		}
		c.now = now
	} else {
		now = c.start.Add(time.Duration(float64(time.Since(c.base)) * c.speed))
		if first.After(now) {
			return time.Duration(float64(first.Sub(now))/c.speed) + time.Microsecond, nil
		}
	}
	for len(c.alarms) > 0 && !c.alarms[0].at.After(now) {
		due = append(due, heap.Pop(&c.alarms).(*Alarm))
	}
	if c.virtual {
		c.held++
	}
	return 0, due
}

func (c *Clock) look() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// alarms is a heap, earliest first, and first set first among equals.
type alarms []*Alarm

func (h alarms) Len() int { return len(h) }
func (h alarms) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}
func (h alarms) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *alarms) Push(x any) {
	a := x.(*Alarm)
	a.index = len(*h)
	*h = append(*h, a)
}
func (h *alarms) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.index = -1
	return a
}
