package sim

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultOrdersPerWorld is how many orders share a world where the configuration does not say.
const DefaultOrdersPerWorld = 32

// Config says what is simulated.
type Config struct {
	Orders         int
	Seed           uint64
	Faults         Faults
	OrdersPerWorld int       // 0: DefaultOrdersPerWorld. It is part of what a seed means
	Workers        int       // worlds at once; 0: one per processor. It changes nothing but the time it takes
	Trace          io.Writer // gets every step; one worker then
	KeepGoing      int       // violations after which the run ends; 0: at the first
	Progress       func(orders int)
}

// Violation is an invariant that did not hold.
type Violation struct {
	Invariant int // its number in INVARIANTS.md; 0: the room itself, or a panic
	What      string
	At        time.Time // in the world
	World     uint64    // its seed
	Replay    string    // the command that shows it again
	Tail      []string  // what happened last in that world
}

func (v *Violation) String() string {
	return fmt.Sprintf("invariant %d: %s\n  at %s; replay: %s", v.Invariant, v.What, v.At.Format(time.RFC3339Nano), v.Replay)
}

// Result is what a run came to.
type Result struct {
	Orders     int
	Worlds     int
	Steps      int
	Hash       uint64 // of everything that happened: the same configuration gives the same hash
	Coverage   *Coverage
	Violations []*Violation
	Missing    []string // what should have happened somewhere in a run of this size, and did not
}

// OK says that nothing is wrong: no violation, and the run saw what it had to see.
func (r *Result) OK() bool { return len(r.Violations) == 0 && len(r.Missing) == 0 }

// enough is how many orders a run needs to have seen everything.
const enough = 50_000

// collectAt is the garbage collector's percentage during a run: a world lives for milliseconds and leaves nothing,
// so that collecting as usual would be a third of the work.
const collectAt = 1600

// Run simulates the worlds of the configuration.
func Run(c Config) *Result {
	per := c.OrdersPerWorld
	if per <= 0 {
		per = DefaultOrdersPerWorld
	}
	worlds := (c.Orders + per - 1) / per
	workers := c.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if c.Trace != nil {
		workers = 1
	}
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	r := &Result{Coverage: newCoverage()}
	var (
		mu   sync.Mutex
		next atomic.Int64
		stop atomic.Bool
		all  sync.WaitGroup
	)
	for range min(workers, worlds) {
		all.Go(func() {
			cover := newCoverage()
			sum := Result{}
			for !stop.Load() {
				n := int(next.Add(1)) - 1
				if n >= worlds {
					break
				}
				orders := min(per, c.Orders-n*per)
				w := newWorld(worldSeed(c.Seed, n), orders, c.Faults, cover, c.Trace)
				w.run()
				sum.Orders += orders
				sum.Worlds++
				sum.Steps += w.steps
				sum.Hash += mix(w.story.hash, uint64(n)) // in any order
				if w.broken != nil {
					w.broken.Replay = replay(c, w.seed, orders)
					w.broken.Tail = w.story.last()
					mu.Lock()
					r.Violations = append(r.Violations, w.broken)
					if len(r.Violations) > c.KeepGoing {
						stop.Store(true)
					}
					mu.Unlock()
				}
				if c.Progress != nil {
					c.Progress(orders)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			r.Orders += sum.Orders
			r.Worlds += sum.Worlds
			r.Steps += sum.Steps
			r.Hash += sum.Hash
			r.Coverage.add(cover)
		})
	}
	all.Wait()
	slices.SortFunc(r.Violations, func(a, b *Violation) int { return strings.Compare(a.Replay+a.What, b.Replay+b.What) })
	if c.Faults == All && r.Orders >= enough && len(r.Violations) == 0 {
		r.Missing = r.Coverage.missing()
	}
	return r
}

// worldSeed is the seed of the n-th world. The first world's is the run's own: so a single world is replayed by a
// run of that size.
func worldSeed(seed uint64, n int) uint64 {
	if n == 0 {
		return seed
	}
	return mix(mix(seed, 0x9e3779b97f4a7c15), uint64(n))
}

func replay(c Config, seed uint64, orders int) string {
	s := fmt.Sprintf("tiffin sim --orders %d --seed %d", orders, seed)
	if c.Faults != All {
		s += " --faults " + c.Faults.String()
	}
	return s
}
