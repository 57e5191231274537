package transport

import (
	"fmt"
	"math"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// Terms are the physics of a fleet and how far ahead it promises. The physics are those of the Meal Delivery Routing
// Problem (Reyes, Erera, Savelsbergh, Sahasrabudhe, O'Neil, 2018) as its published evaluator checks them
// (github.com/grubhub/mdrplib, MDRP_code/compute_performance_summary.py): a courier travels in a straight line for a
// whole number of minutes, and the service minutes at either end are for parking and walking, half of them before
// the meal changes hands and half after.
type Terms struct {
	MetresPerMinute float64
	PickupService   time.Duration
	DropoffService  time.Duration

	// Horizon is how far ahead a courier may be promised: it must be at the restaurant's door within Horizon of the
	// commitment. A longer one finds a courier for more orders in a rush; it also keeps more cooked meals waiting.
	Horizon time.Duration
}

// GrubhubTerms are the terms of the recorded days at their original speed: 320 metres a minute and four minutes of
// service at either end. The horizon is this company's own: TestRecordedDays says what it does to each day.
func GrubhubTerms() Terms {
	return Terms{MetresPerMinute: 320, PickupService: 4 * time.Minute, DropoffService: 4 * time.Minute, Horizon: 35 * time.Minute}
}

func (t Terms) check() error {
	if !(t.MetresPerMinute > 0) || math.IsInf(t.MetresPerMinute, 0) {
		return fmt.Errorf("%v metres a minute is not a speed", t.MetresPerMinute)
	}
	if t.PickupService < 0 || t.DropoffService < 0 || t.Horizon < 0 {
		return fmt.Errorf("a negative time among pickup service %v, dropoff service %v, horizon %v", t.PickupService, t.DropoffService, t.Horizon)
	}
	return nil
}

// farAway is the longest travel there is. It keeps a position that is not finite from becoming a time that wraps
// around: such a trip is further than any horizon, so no courier is promised for it.
const farAway = 1e6 // minutes

// Travel is the time from one place to another: whole minutes, begun ones counted. Never negative.
func (t Terms) Travel(from, to wire.Position) time.Duration {
	minutes := math.Ceil(from.Distance(to) / t.MetresPerMinute)
	if !(minutes < farAway) {
		minutes = farAway
	}
	return time.Duration(minutes) * time.Minute
}

// Counter is when a courier who arrives at the restaurant's door stands at the counter.
func (t Terms) Counter(arrive time.Time) time.Time { return arrive.Add(t.PickupService / 2) }

// HandOver is when the meal changes hands: as soon as the courier is at the counter and the meal is ready.
func (t Terms) HandOver(arrive, ready time.Time) time.Time {
	if counter := t.Counter(arrive); counter.After(ready) {
		return counter
	}
	return ready
}

// Leave is when the courier who was handed the meal drives off: the order is in transit.
func (t Terms) Leave(handOver time.Time) time.Time {
	return handOver.Add(t.PickupService - t.PickupService/2)
}

// Deliver is when the customer has the meal of a courier who left the restaurant.
func (t Terms) Deliver(leave time.Time, pickup, dropoff wire.Position) time.Time {
	return leave.Add(t.Travel(pickup, dropoff) + t.DropoffService/2)
}

// Free is when the courier who delivered sets out for the next restaurant, from the drop-off's position.
func (t Terms) Free(delivered time.Time) time.Time {
	return delivered.Add(t.DropoffService - t.DropoffService/2)
}
