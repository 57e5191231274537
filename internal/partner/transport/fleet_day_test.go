package transport

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/mdrp"
	"github.com/tiffin-food/tiffin/internal/wire"
)

const driverLimit = 30 * time.Minute

// TestRecordedDays runs every recorded day there is and holds the fleet to its targets for orders cancelled for want
// of a driver. With -v it prints a line per day and seed.
func TestRecordedDays(t *testing.T) {
	dir := os.Getenv("TIFFIN_MDRPLIB")
	if dir == "" {
		dir = "../../../../shared/data/mdrplib"
	}
	days, err := filepath.Glob(filepath.Join(dir, "*", mdrp.OrdersFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(days) == 0 {
		t.Skipf("no recorded days in %s; set TIFFIN_MDRPLIB to the folder of the instances", dir)
	}
	limits := map[string]float64{ // of the orders; 1 where the day itself sets none
		"0o100t100s1p100": 0, "1o100t100s1p100": 0.06, "4o100t100s1p100": 0.06,
		"0o50t75s2p125": 0, "2o100t100s2p100": 0, "3o100t100s1p100": 0.002, "3o100t75s1p125": 0, "1r50t100s1p100": 0.1,
	}
	for _, d := range days {
		name := filepath.Base(filepath.Dir(d))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			day, err := mdrp.Load(filepath.Dir(d))
			if err != nil {
				t.Fatal(err)
			}
			limit, set := limits[name]
			if !set {
				limit = 1
			}
			for seed := range uint64(8) {
				s := run(t, day, seed)
				t.Logf("seed %d: %v", seed, s)
				if share := float64(s.cancelled) / float64(len(day.Orders)); share > limit {
					t.Errorf("seed %d: %.1f%% cancelled for want of a driver, limit %.1f%%", seed, 100*share, 100*limit)
				}
				if s.cancelled+len(s.clickToDoor) != len(day.Orders) {
					t.Errorf("seed %d: %d orders, %v", seed, len(day.Orders), s)
				}
				if worst := slices.Max(s.clickToDoor); worst > 4*time.Hour {
					t.Errorf("seed %d: a customer waited %v", seed, worst)
				}
			}
		})
	}
}

type summary struct {
	cancelled   int
	clickToDoor []time.Duration
	mealWaited  time.Duration // in all
	drift       time.Duration // the most an arrival came after its promise
}

func (s summary) String() string {
	slices.Sort(s.clickToDoor)
	n := len(s.clickToDoor)
	var sum time.Duration
	for _, d := range s.clickToDoor {
		sum += d
	}
	return fmt.Sprintf("%d of %d cancelled (%.1f%%), click-to-door mean %.1f p50 %.1f p90 %.1f max %.1f, meals waited %.1f on average, worst drift %.1f",
		s.cancelled, s.cancelled+n, 100*float64(s.cancelled)/float64(s.cancelled+n), sum.Minutes()/float64(n),
		s.clickToDoor[n/2].Minutes(), s.clickToDoor[n*9/10].Minutes(), s.clickToDoor[n-1].Minutes(),
		s.mealWaited.Minutes()/float64(n), s.drift.Minutes())
}

// run is the company's day with its owner, the payment and the kitchens played by a queue of events: an order is
// known 5 to 20 seconds after its placement, the kitchen starts up to 3 seconds after the commitment, and whoever
// has no courier after the limit withdraws. Where couriers are is kept here as well, to see that nobody is in two
// places or drives faster than the terms allow.
func run(t *testing.T, day mdrp.Day, seed uint64) summary {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	seconds := func(from, to float64) time.Duration {
		return time.Duration((from + (to-from)*random.Float64()) * float64(time.Second))
	}
	midnight := noon.Add(-12 * time.Hour)
	terms := GrubhubTerms()
	terms.MetresPerMinute, terms.PickupService, terms.DropoffService = day.Parameters.MetresPerMinute, day.Parameters.PickupService, day.Parameters.DropoffService

	type whereabouts struct {
		wire.Position
		free, off time.Time
	}
	var couriers []Courier
	where := map[string]*whereabouts{}
	for _, c := range day.Couriers {
		couriers = append(couriers, Courier{c.ID, c.Start, midnight.Add(c.On), midnight.Add(c.Off)})
		where[c.ID] = &whereabouts{c.Start, midnight.Add(c.On), midnight.Add(c.Off)}
	}
	f, err := NewFleet(terms, couriers)
	if err != nil {
		t.Fatal(err)
	}
	restaurants := map[string]wire.Position{}
	for _, r := range day.Restaurants {
		restaurants[r.ID] = r.Position
	}

	var (
		s        summary
		queue    agenda
		open     = map[string]Request{}
		placed   = map[string]time.Time{}
		promised = map[string]time.Time{}
		ready    = map[string]time.Time{}
		now      time.Time
		wake     time.Time // the last Next that is in the queue
		arrive   func(Commitment)
		assign   func()
	)
	// arrive is called for every courier that sets out for a restaurant, with the arrival that cannot move any more.
	arrive = func(c Commitment) {
		r, w := open[c.RequestID], where[c.CourierID]
		depart := w.free
		if depart.Before(now) {
			depart = now
		}
		if earliest := depart.Add(terms.Travel(w.Position, r.Pickup)); c.Arrive.Before(earliest) {
			t.Fatalf("%+v, but the courier cannot be there before %v", c, earliest)
		}
		s.drift = max(s.drift, c.Arrive.Sub(promised[r.ID]))
		handOver := terms.HandOver(c.Arrive, ready[r.ID])
		s.mealWaited += handOver.Sub(ready[r.ID])
		queue.at(handOver, func() {
			if _, ok := f.PickedUp(r.ID, now); !ok {
				t.Fatalf("%s was not picked up", r.ID)
			}
			assign()
			queue.at(terms.Deliver(terms.Leave(now), r.Pickup, r.Dropoff), func() {
				later, ok := f.Delivered(r.ID, now)
				if !ok {
					t.Fatalf("%s was not delivered", r.ID)
				}
				where[c.CourierID] = &whereabouts{r.Dropoff, terms.Free(now), w.off}
				delete(open, r.ID)
				s.clickToDoor = append(s.clickToDoor, now.Sub(placed[r.ID]))
				if len(later) > 0 {
					arrive(later[0])
				}
				assign()
			})
		})
	}
	assign = func() {
		for _, c := range f.Assign(now) {
			if c.Arrive.After(where[c.CourierID].off) {
				t.Fatalf("%+v after the end of the shift", c)
			}
			promised[c.RequestID] = c.Arrive
			ready[c.RequestID] = now.Add(seconds(0, 3) + open[c.RequestID].Prep)
			if c.Firm {
				arrive(c)
			}
		}
		if next := f.Next(); !next.IsZero() && next != wake {
			wake = next
			queue.at(next, assign)
		}
	}
	for _, o := range day.Orders {
		placed[o.ID] = midnight.Add(o.Placed)
		asked := placed[o.ID].Add(seconds(5, 20))
		r := Request{ID: o.ID, Pickup: restaurants[o.Restaurant], Dropoff: o.Dropoff, Asked: asked, Prep: o.Prep()}
		queue.at(asked, func() {
			open[r.ID] = r
			f.Ask(r)
			assign()
		})
		queue.at(asked.Add(driverLimit), func() {
			if _, committed := promised[r.ID]; !committed {
				if _, ok := f.Withdraw(r.ID, now); !ok {
					t.Fatalf("%s was not withdrawn", r.ID)
				}
				delete(open, r.ID)
				s.cancelled++
			}
		})
	}
	for len(queue.events) > 0 {
		e := heap.Pop(&queue).(event)
		now = e.at
		e.do()
	}
	if len(open) > 0 || f.Waiting() > 0 {
		t.Fatalf("%d orders are stranded, %d of them without a courier", len(open), f.Waiting())
	}
	return s
}

// agenda is what is still to happen, the soonest first and in the order it was set.
type agenda struct {
	events []event
	set    int
}

type event struct {
	at  time.Time
	set int
	do  func()
}

func (a *agenda) at(t time.Time, do func()) {
	a.set++
	heap.Push(a, event{t, a.set, do})
}

func (a *agenda) Len() int { return len(a.events) }
func (a *agenda) Less(i, j int) bool {
	x, y := a.events[i], a.events[j]
	return x.at.Before(y.at) || x.at.Equal(y.at) && x.set < y.set
}
func (a *agenda) Swap(i, j int) { a.events[i], a.events[j] = a.events[j], a.events[i] }
func (a *agenda) Push(e any)    { a.events = append(a.events, e.(event)) }
func (a *agenda) Pop() any {
	last := a.events[len(a.events)-1]
	a.events = a.events[:len(a.events)-1]
	return last
}
