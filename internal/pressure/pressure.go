// Package pressure says how much of the work that is offered a process should turn away.
//
// A [Gauge] counts the events that are being brought to records, and how many are done in a second. What has just come
// will wait for as long as those before it take: their number through that rate (Little's law). Where that is longer
// than the target, new work should go elsewhere or come later, the more of it the longer the wait is: as routers drop
// early at random (RFC 2309). What counts is the fewest that were under way in the last tenth of a second: a burst, or
// a moment in which the machine did something else, is no overload (RFC 8289). Nothing is integrated, so that nothing
// swings, and what has been turned away counts for nothing a moment later.
//
// Whoever answers for others tells its pressure with every answer, and whoever asks remembers the highest it heard: so
// the door hears of the busiest room. It promises that a pressure which nobody confirms fades within seconds, and that
// few events under way are none, however slow the store is. It refuses nothing itself.
package pressure

import (
	"math"
	"sync/atomic"
	"time"
)

// Target is the wait from which on there is pressure, real time. An event takes 2 to 10 ms where there is time.
const Target = 8 * time.Millisecond

const (
	window = 100 * time.Millisecond
	few    = 32   // events under way that are no pressure, however slow the store is
	full   = 3    // times as many as are no pressure: all new work is turned away, but for a little
	most   = 0.98 // so that what is let in shows when the pressure falls
	fade   = time.Second
)

// Gauge is a process's pressure. Safe for concurrent use.
type Gauge struct {
	target float64          // seconds
	now    func() time.Time // real time

	underway atomic.Int64
	done     atomic.Int64  // in this window
	fewest   atomic.Int64  // under way in this window
	before   atomic.Int64  // and in the one before it
	window   atomic.Int64  // its number
	rate     atomic.Uint64 // bits of a float64: done in a second, smoothed over some windows

	heard atomic.Uint64 // bits of a float64
	when  atomic.Int64  // of what was heard, in nanoseconds
}

// New makes a gauge over real time.
func New(target time.Duration, now func() time.Time) *Gauge {
	return &Gauge{target: target.Seconds(), now: now}
}

// Begin notes that an event has come, and End that it is done or was given up.
func (g *Gauge) Begin() { g.underway.Add(1) }

// End is Begin's.
func (g *Gauge) End() {
	g.turn(g.now())
	for n := g.underway.Add(-1); ; {
		least := g.fewest.Load()
		if n >= least || g.fewest.CompareAndSwap(least, n) {
			break
		}
	}
	g.done.Add(1)
}

// turn closes the window when its time is over.
func (g *Gauge) turn(now time.Time) {
	this := now.UnixNano() / int64(window)
	last := g.window.Load()
	if this <= last || !g.window.CompareAndSwap(last, this) {
		return
	}
	g.before.Store(g.fewest.Swap(g.underway.Load()))
	passed := float64(min(this-last, 50)) * window.Seconds()
	latest := float64(g.done.Swap(0)) / passed
	weight := 1 - math.Exp(-passed/0.5) // half a second's memory
	before := math.Float64frombits(g.rate.Load())
	g.rate.Store(math.Float64bits(before + weight*(latest-before)))
}

// own is the process's own pressure.
func (g *Gauge) own(now time.Time) float64 {
	g.turn(now)
	enough := max(few, g.target*math.Float64frombits(g.rate.Load()))
	n := float64(min(g.underway.Load(), g.fewest.Load(), g.before.Load()))
	return min(most, max(0, (n/enough-1)/(full-1)))
}

// Hear notes the pressure that another process has told: the highest of the last moments, and then what is newer.
func (g *Gauge) Hear(p float64) {
	if !(p >= 0) { // not a number
		return
	}
	now := g.now()
	if p = min(p, most); p >= g.faded(now) || now.UnixNano()-g.when.Load() > int64(window) {
		g.heard.Store(math.Float64bits(p))
		g.when.Store(now.UnixNano())
	}
}

// faded is what was heard, less the older it is.
func (g *Gauge) faded(now time.Time) float64 {
	age := float64(now.UnixNano()-g.when.Load()) / float64(fade)
	return max(0, math.Float64frombits(g.heard.Load())*(1-max(0, age-1)/3))
}

// Value is the share of the work offered that should be turned away, 0 to 0.98: the process's own or what it heard.
func (g *Gauge) Value() float64 {
	now := g.now()
	return max(g.own(now), g.faded(now))
}
