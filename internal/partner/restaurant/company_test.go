package restaurant_test

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/partner/partnertest"
	"github.com/tiffin-food/tiffin/internal/partner/restaurant"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kitchenID = "0190a000-0000-7000-8000-00000000cccc"
	orderID   = "0190a000-0000-7000-8000-00000000aaaa"
)

type fixture struct {
	*partnertest.World
	t                  *testing.T
	kitchen, transport *partnertest.Service
	store              *partnertest.Store
	company            *restaurant.Company
	stop               func()
}

func open(t *testing.T) *fixture {
	f := &fixture{World: partnertest.New(t), t: t, store: partnertest.NewStore()}
	f.kitchen, f.transport = f.Service(wire.KitchenService), f.Service(wire.TransportCompany)
	f.start("one")
	return f
}

func (f *fixture) start(owner string) {
	f.company = restaurant.New(restaurant.Options{
		Shell: f.Shell(owner), Store: f.store,
		Terms: restaurant.Terms{BeginLeast: 5 * time.Second, BeginMost: 5 * time.Second, Prep: 10 * time.Minute},
	})
	f.stop = f.Open(wire.Restaurant, f.company)
}

func request() wire.CookingRequest {
	return wire.CookingRequest{KitchenID: kitchenID, Metadata: wire.Metadata{OrderID: orderID}}
}

func (f *fixture) cook() (s wire.CookingState) {
	f.t.Helper()
	f.Do(wire.Restaurant, "POST /cooking-requests", request(), &s, 202)
	return s
}

func (f *fixture) knock(want int) {
	f.t.Helper()
	f.Do(wire.Restaurant, "POST /handovers", partner.Handover{OrderID: orderID, DeliveryID: "d", Courier: "c", AtCounter: f.Clock.Now()}, nil, want)
}

func (f *fixture) cancel(want int) (s wire.CookingState) {
	f.t.Helper()
	f.Do(wire.Restaurant, "PUT /cooking-requests/"+kitchenID+"/cancel", nil, &s, want)
	return s
}

func (f *fixture) statuses() []wire.Status {
	f.t.Helper()
	var s wire.CookingState
	f.Do(wire.Restaurant, "GET /cooking-requests/"+kitchenID, nil, &s, 200)
	return s.Statuses
}

func (f *fixture) expectTold(what string, statuses ...string) {
	f.t.Helper()
	if got := f.kitchen.Statuses(); !slices.Equal(got, statuses) {
		f.t.Fatalf("%s: the kitchen was told %q, want %q", what, got, statuses)
	}
}

func (f *fixture) expectPickup(after ...time.Duration) {
	f.t.Helper()
	var got []time.Duration
	keys := map[string]bool{}
	for _, told := range f.transport.Told() { // more than once where a stop came between the answer and its note
		if !keys[told.Key] {
			got = append(got, told.After)
		}
		keys[told.Key] = true
	}
	if !slices.Equal(got, after) {
		f.t.Fatalf("pickups after %v, want %v", got, after)
	}
}

func TestTheCourierWaits(t *testing.T) {
	f := open(t)
	if s := f.cook(); s.KitchenID != kitchenID || s.Cancelled || len(s.Statuses) != 0 {
		t.Fatalf("answered %+v", s)
	}
	f.cook()
	f.Advance(9 * time.Minute)
	f.knock(202)
	f.knock(202)
	f.expectPickup()
	f.Advance(9 * time.Minute)
	f.expectTold("at last", "cookingMeal@5s", "cookingDone@10m5s", "pickedUp@10m6s")
	f.expectPickup(10*time.Minute + 5*time.Second)
	if s := f.statuses(); !slices.Equal(s, []wire.Status{wire.CookingMeal, wire.CookingDone, wire.PickedUp}) {
		t.Fatalf("statuses %q", s)
	}
	f.cancel(409)
}

func TestTheMealWaits(t *testing.T) {
	f := open(t)
	f.cook()
	f.Advance(12 * time.Minute)
	f.knock(202)
	f.Advance(time.Second)
	f.expectTold("at last", "cookingMeal@5s", "cookingDone@10m5s", "pickedUp@12m0s")
	f.expectPickup(12 * time.Minute)
}

func TestTheCourierIsHereBeforeTheRequest(t *testing.T) {
	f := open(t)
	f.Do(wire.Restaurant, "GET /cooking-requests/"+kitchenID, nil, nil, 404)
	f.knock(202)
	f.Advance(time.Minute)
	f.stop()
	f.start("two")
	f.cook()
	f.cook()
	f.Advance(time.Minute)
	if s := f.statuses(); !slices.Equal(s, []wire.Status{wire.CookingMeal}) {
		t.Fatalf("statuses %q", s)
	}
	f.Advance(time.Hour)
	f.expectTold("at last", "cookingMeal@1m5s", "cookingDone@11m5s", "pickedUp@11m6s")
	f.expectPickup(11*time.Minute + 5*time.Second)
	f.cook()
	f.knock(202)
	f.cancel(409)
}

func TestReadyAtIsKept(t *testing.T) {
	for _, c := range []struct {
		ready time.Duration
		done  string
	}{{20 * time.Minute, "cookingDone@20m0s"}, {time.Second, "cookingDone@6s"}} {
		f := open(t)
		r, ready := request(), partnertest.Noon.Add(c.ready)
		r.ReadyAt = &ready
		f.Do(wire.Restaurant, "POST /cooking-requests", r, nil, 202)
		f.Advance(time.Hour)
		f.expectTold("at last", "cookingMeal@5s", c.done)
	}
}

func TestCancel(t *testing.T) {
	t.Run("while it cooks", func(t *testing.T) {
		f := open(t)
		f.cook()
		f.Advance(time.Minute)
		for range 2 {
			if s := f.cancel(200); !s.Cancelled || !slices.Equal(s.Statuses, []wire.Status{wire.CookingMeal}) {
				t.Fatalf("answered %+v", s)
			}
		}
		f.knock(409)
		f.Advance(time.Hour)
		f.expectTold("at last", "cookingMeal@5s")
		f.Do(wire.Restaurant, "POST /cooking-requests", request(), nil, 409)
	})
	t.Run("with the courier at the counter", func(t *testing.T) {
		f := open(t)
		f.knock(202)
		f.cook()
		f.Advance(10 * time.Minute)
		f.cancel(200)
		f.Advance(time.Hour)
		f.expectTold("at last", "cookingMeal@5s")
		f.expectPickup()
	})
	t.Run("as it is handed over", func(t *testing.T) {
		f := open(t)
		f.knock(202)
		f.cook()
		f.Advance(10*time.Minute + 4500*time.Millisecond)
		f.cancel(409)
		f.Advance(time.Hour)
		f.expectPickup(10*time.Minute + 5*time.Second)
	})
	t.Run("before the request", func(t *testing.T) {
		f := open(t)
		f.cancel(200)
		f.Do(wire.Restaurant, "GET /cooking-requests/"+kitchenID, nil, nil, 404)
		f.Do(wire.Restaurant, "POST /cooking-requests", request(), nil, 409)
		f.Advance(time.Hour)
		f.expectTold("at last")
	})
}

func TestTheCourierIsCalledBack(t *testing.T) {
	f := open(t)
	f.cook()
	f.Advance(time.Minute)
	f.knock(202)
	f.Do(wire.Restaurant, "DELETE /handovers/"+orderID, nil, nil, 200)
	f.Do(wire.Restaurant, "DELETE /handovers/"+orderID, nil, nil, 200)
	f.knock(409)
	f.Advance(time.Hour)
	f.expectTold("at last", "cookingMeal@5s", "cookingDone@10m5s")
	f.expectPickup()

	f = open(t)
	f.knock(202)
	f.cook()
	f.Advance(time.Hour)
	f.Do(wire.Restaurant, "DELETE /handovers/"+orderID, nil, nil, 409)
}

func TestRestaurantsToBeTriedOut(t *testing.T) {
	f := open(t)
	r := request()
	r.RestaurantID = restaurant.Refusing
	f.Do(wire.Restaurant, "POST /cooking-requests", r, nil, 422)
	r.RestaurantID = restaurant.Silent
	f.Do(wire.Restaurant, "POST /cooking-requests", r, nil, 202)
	f.knock(202)
	f.Advance(time.Hour)
	f.expectTold("at last")
	f.expectPickup()
	if s := f.statuses(); len(s) != 0 {
		t.Fatalf("statuses %q", s)
	}
	f.cancel(200)
}

func TestRestartInTheMiddle(t *testing.T) {
	f := open(t)
	f.cook()
	f.Advance(time.Minute)
	f.stop()
	f.Advance(20 * time.Minute)
	f.start("two")
	f.Advance(time.Second)
	f.expectTold("after the restart", "cookingMeal@5s", "cookingDone@21m0s")
	f.knock(202)
	f.stop()
	f.start("three")
	f.Advance(time.Second)
	f.expectPickup(21*time.Minute + time.Second)
}

func TestAMealIsFewWrites(t *testing.T) {
	f := open(t)
	f.company = restaurant.New(restaurant.Options{
		Shell: f.Shell("quick"), Store: f.store, Terms: restaurant.Terms{Prep: time.Second, Quick: true},
	})
	f.stop()
	f.Open(wire.Restaurant, f.company)
	r, ready := request(), partnertest.Noon.Add(time.Hour)
	r.ReadyAt = &ready
	f.Do(wire.Restaurant, "POST /cooking-requests", r, nil, 202)
	f.Advance(2 * time.Second)
	f.knock(202)
	f.Advance(time.Minute)
	f.expectPickup(2 * time.Second)
	if n := f.store.Writes.Load(); n != 3 {
		t.Errorf("a meal cost %d writes, want 3", n)
	}
}

func TestOneMealForAnOrder(t *testing.T) {
	f := open(t)
	f.cook()
	r := request()
	r.KitchenID = "another"
	f.Do(wire.Restaurant, "POST /cooking-requests", r, nil, 409)
	f.knock(202)
	f.Do(wire.Restaurant, "POST /handovers", partner.Handover{OrderID: orderID, DeliveryID: "e"}, nil, 409)
	f.Do(wire.Restaurant, "POST /handovers", partner.Handover{OrderID: orderID}, nil, 422)
	f.Do(wire.Restaurant, "POST /cooking-requests", wire.CookingRequest{KitchenID: "k"}, nil, 422)
}
