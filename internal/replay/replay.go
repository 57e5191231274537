// Package replay runs a recorded day of a real delivery network through the public API, and says what became of it.
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/mdrp"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Price is what every meal of a recorded day costs: the recordings have no prices.
const Price = 1500

// Result is what became of a day. Times are simulated minutes.
type Result struct {
	Orders      int            `json:"orders"`
	Delivered   int            `json:"delivered"`
	Cancelled   map[string]int `json:"cancelled"` // by reason
	Failed      int            `json:"failed"`    // the card company said no
	Open        int            `json:"open"`      // not settled
	Mean        float64        `json:"click_to_door_mean"`
	P50         float64        `json:"click_to_door_p50"`
	P90         float64        `json:"click_to_door_p90"`
	Charges     int            `json:"charges"`
	Charged     wire.Money     `json:"charged"`
	Refunds     int            `json:"refunds"`
	Refunded    wire.Money     `json:"refunded"`
	Value       wire.Money     `json:"delivered_value"`
	Balance     int64          `json:"balance"` // charged − refunded − value delivered, in cents: 0
	Violations  []string       `json:"violations"`
	WallSeconds float64        `json:"wall_seconds"`
}

// OK says that every order is settled and the balance exact.
func (r Result) OK() bool { return r.Open == 0 && r.Balance == 0 && len(r.Violations) == 0 }

// Data is the day's restaurants and customers as a system takes them. A recorded order has a place to go to and a
// time in the kitchen: the place becomes a customer of its own, the time a product of the restaurant.
func Data(day mdrp.Day) dataset.File {
	var f dataset.File
	preps := map[string][]int{}
	for _, o := range day.Orders {
		if m := minutes(o); !slices.Contains(preps[o.Restaurant], m) {
			preps[o.Restaurant] = append(preps[o.Restaurant], m)
		}
	}
	for i, r := range day.Restaurants {
		at := r.Position
		slices.Sort(preps[r.ID])
		items := []wire.MenuItem{}
		for _, m := range preps[r.ID] {
			items = append(items, wire.MenuItem{
				Product: product(m), Price: wire.Money{Amount: Price, Currency: wire.Euro}, Available: true, Prep: m,
			})
		}
		f.Restaurants = append(f.Restaurants, dataset.Restaurant{
			ID: restaurantID(i), Name: "Restaurant " + r.ID, Position: &at, Items: items,
		})
	}
	for i, o := range day.Orders {
		to := o.Dropoff
		name := "Customer of " + o.ID
		f.Customers = append(f.Customers, dataset.Customer{
			ID: customerID(i), Email: fmt.Sprintf("customer-%d@replay.example", i+1), Name: name,
			Address:      wire.Address{Name: name, Street: "recorded", Zipcode: "00000", City: "Recorded", Position: &to},
			PaymentToken: "tok_ok",
		})
	}
	return f
}

func minutes(o mdrp.Order) int { return int(o.Prep() / time.Minute) }

func product(minutes int) string { return fmt.Sprintf("Meal of %d minutes", minutes) }

// The ids of a recorded day's data are the same in every replay, so that importing it twice is harmless.
func restaurantID(i int) string { return fmt.Sprintf("0190b000-0000-7000-8000-%012x", i+1) }
func customerID(i int) string   { return fmt.Sprintf("0190b000-0000-7000-9000-%012x", i+1) }

// Ledger sums up the card company's own books.
type Ledger struct {
	Charges, Refunds  int
	Charged, Refunded int64 // cents
}

// Options say how a day is run.
type Options struct {
	Day      mdrp.Day
	Client   *client.Client
	Clock    *clock.Clock // virtual and held by the caller, or the pace at which orders are placed on a running system
	Progress func(settled, placed, of int, now time.Time)
	Ledger   func(context.Context) (Ledger, error) // nil: the orders' own histories are believed
}

// How often the orders are looked at, by the clock, and for how long after the last one was placed.
const (
	lookEvery = 5 * time.Minute
	patience  = 36 * time.Hour
)

// run is one replay under way.
type run struct {
	Options
	base time.Time // the day's midnight

	mu     sync.Mutex
	placed []wire.Order // by index of the day's orders
	errs   []error
	done   int // orders placed or refused
	posts  sync.WaitGroup
}

// Run places the day's orders at their recorded times and waits until all are settled.
func Run(ctx context.Context, opt Options) (Result, error) {
	began := time.Now()
	r := &run{Options: opt, placed: make([]wire.Order, len(opt.Day.Orders))}
	if len(opt.Day.Orders) == 0 {
		return Result{}, errors.New("the day has no orders")
	}
	first := slices.MinFunc(opt.Day.Orders, func(a, b mdrp.Order) int { return cmp.Compare(a.Placed, b.Placed) }).Placed
	last := slices.MaxFunc(opt.Day.Orders, func(a, b mdrp.Order) int { return cmp.Compare(a.Placed, b.Placed) }).Placed
	r.base = r.Clock.Now()
	if !r.Clock.IsVirtual() {
		r.base = r.base.Add(-first) // a running system does not wait for the day to begin
	}
	for i := range opt.Day.Orders {
		alarm := r.Clock.At(r.base.Add(opt.Day.Orders[i].Placed), func() {
			r.Clock.Hold()
			r.posts.Go(func() {
				defer r.Clock.Release()
				r.place(ctx, i)
			})
		})
		defer alarm.Stop() //nolint:gocritic // all of them, at the end
	}
	settled, err := r.wait(ctx, r.base.Add(last+patience))
	r.posts.Wait()
	if err = errors.Join(append(r.errs, err)...); err != nil {
		return Result{}, err
	}
	result := r.sum(settled)
	if opt.Ledger != nil {
		books, err := opt.Ledger(ctx)
		if err != nil {
			return result, err
		}
		result.Charges, result.Refunds = books.Charges, books.Refunds
		result.Charged.Amount, result.Refunded.Amount = books.Charged, books.Refunded
	}
	result.Balance = result.Charged.Amount - result.Refunded.Amount - result.Value.Amount
	result.WallSeconds = time.Since(began).Seconds()
	return result, nil
}

// place places the day's i-th order.
func (r *run) place(ctx context.Context, i int) {
	o := r.Day.Orders[i]
	at := slices.IndexFunc(r.Day.Restaurants, func(x mdrp.Restaurant) bool { return x.ID == o.Restaurant })
	var placed wire.Order
	err := r.again(ctx, func() (err error) {
		placed, err = r.Client.Place(ctx, client.Order{
			CustomerID: customerID(i), RestaurantID: restaurantID(at), Items: []wire.Item{{Product: product(minutes(o)), Quantity: 1}},
		}, fmt.Sprintf("replay/%s/%d", r.base.Format(time.RFC3339Nano), i))
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("order %s: %w", o.ID, err))
		return
	}
	r.placed[i] = placed
}

// persistence is how long a running system that is away for a moment is asked again, under the same key, real time.
const persistence = 5 * time.Minute

// again calls f until it succeeds, or fails for good. A system of our own under a virtual clock has no excuse.
func (r *run) again(ctx context.Context, f func() error) error {
	return client.Again(ctx, persistence, func(err error) bool {
		var refused *client.Error
		return !r.Clock.IsVirtual() && (!errors.As(err, &refused) || refused.Status >= 500 || refused.Status == 429)
	}, f)
}

// wait looks at the open orders from time to time until none is left.
func (r *run) wait(ctx context.Context, until time.Time) (map[string]wire.Order, error) {
	settled := map[string]wire.Order{}
	if r.Clock.IsVirtual() {
		r.Clock.Release() // time begins
		defer r.Clock.Hold()
	}
	for {
		now := r.Clock.Now()
		if err := r.Clock.Sleep(ctx, now.Add(lookEvery)); err != nil {
			return settled, err
		}
		err := r.look(ctx, settled)
		now = r.Clock.Now()
		r.mu.Lock()
		done, failed := r.done, len(r.errs) > 0
		r.mu.Unlock()
		if r.Progress != nil {
			r.Progress(len(settled), done, len(r.Day.Orders), now)
		}
		over := err != nil || failed || len(settled) == len(r.Day.Orders) || now.After(until)
		r.Clock.Release()
		if over {
			return settled, err
		}
	}
}

// look reads the orders that were open when last looked at.
func (r *run) look(ctx context.Context, settled map[string]wire.Order) error {
	r.mu.Lock()
	open := slices.Clone(r.placed)
	r.mu.Unlock()
	for _, o := range open {
		if _, known := settled[o.ID]; known || o.ID == "" {
			continue
		}
		var now wire.Order
		err := r.again(ctx, func() (err error) {
			now, err = r.Client.Get(ctx, o.ID)
			return err
		})
		if err != nil {
			return fmt.Errorf("order %s: %w", o.ID, err)
		}
		if now.Settled {
			settled[o.ID] = now
		}
	}
	return nil
}

func (r *run) sum(settled map[string]wire.Order) Result {
	result := Result{Orders: len(r.Day.Orders), Cancelled: map[string]int{}, Violations: []string{}}
	result.Open = result.Orders - len(settled)
	result.Charged.Currency, result.Refunded.Currency, result.Value.Currency = wire.Euro, wire.Euro, wire.Euro
	var doors []float64
	for _, o := range settled {
		for _, m := range o.History {
			switch m.Status {
			case wire.PaymentPaid:
				result.Charges++
				result.Charged.Amount += o.Total.Amount
			case wire.Reimbursed:
				result.Refunds++
				result.Refunded.Amount += o.Total.Amount
			}
		}
		switch o.Status {
		case wire.Delivered:
			result.Delivered++
			result.Value.Amount += o.Total.Amount
			doors = append(doors, o.History[len(o.History)-1].When.Sub(o.Created).Minutes())
		case wire.PaymentFailed:
			result.Failed++
		default:
			result.Cancelled[o.Reason]++
		}
	}
	if n := len(doors); n > 0 {
		slices.Sort(doors)
		for _, d := range doors {
			result.Mean += d / float64(n)
		}
		result.P50, result.P90 = doors[(n-1)*50/100], doors[(n-1)*90/100]
	}
	return result
}
