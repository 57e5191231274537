package transport_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/partner/partnertest"
	"github.com/tiffin-food/tiffin/internal/partner/restaurant"
	"github.com/tiffin-food/tiffin/internal/partner/transport"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// city is a world with a transport company of couriers at the origin, who travel 100 metres a minute and serve two
// minutes before and after each handing over.
type city struct {
	*partnertest.World
	t                    *testing.T
	delivery, restaurant *partnertest.Service
	store, rosters       *partnertest.Store
	company              *transport.Company
	opt                  transport.Options
	stop                 func()
}

func roster(couriers ...string) *transport.Roster {
	r := &transport.Roster{MetresPerMinute: 100, PickupServiceMinutes: 4, DropoffServiceMinutes: 4}
	for _, c := range couriers {
		r.Couriers = append(r.Couriers, transport.Shift{ID: c})
	}
	return r
}

func open(t *testing.T, opt transport.Options) *city {
	c := &city{World: partnertest.New(t), t: t, opt: opt, store: partnertest.NewStore(), rosters: partnertest.NewStore()}
	c.delivery, c.restaurant = c.Service(wire.DeliveryService), c.Service(wire.Restaurant)
	c.start("one")
	return c
}

func (c *city) start(owner string) {
	c.t.Helper()
	opt := c.opt
	opt.Shell, opt.Store, opt.Rosters = c.Shell(owner), c.store, c.rosters
	c.company = transport.New(opt)
	c.stop = c.Open(wire.TransportCompany, c.company)
}

// request is a delivery from so many minutes of travel to so many, ready ten minutes after a courier is committed.
func (c *city) request(id string, pickup, dropoff float64) wire.TransportRequest {
	ready := c.Clock.Now().Add(10 * time.Minute)
	return wire.TransportRequest{
		DeliveryID: id, Metadata: wire.Metadata{OrderID: "order-" + id},
		Trip: wire.Trip{Pickup: &wire.Position{X: 100 * pickup}, Dropoff: &wire.Position{X: 100 * dropoff}, ReadyAt: &ready},
	}
}

func (c *city) ask(id string, pickup, dropoff float64) (s wire.TransportState) {
	c.t.Helper()
	c.Do(wire.TransportCompany, "POST /delivery-requests", c.request(id, pickup, dropoff), &s, 202)
	return s
}

func (c *city) get(id string) (s wire.TransportState) {
	c.t.Helper()
	c.Do(wire.TransportCompany, "GET /delivery-requests/"+id, nil, &s, 200)
	return s
}

func (c *city) put(id, what string, want int) (s wire.TransportState) {
	c.t.Helper()
	c.Do(wire.TransportCompany, "PUT /delivery-requests/"+id+"/"+what, nil, &s, want)
	return s
}

func (c *city) pickup(id string, want int) {
	c.t.Helper()
	c.Do(wire.TransportCompany, "POST /pickups", partner.Pickup{DeliveryID: id, OrderID: "order-" + id, At: c.Clock.Now()}, nil, want)
}

// expectTold compares what the delivery service heard, once each: a stop between an answer and its note repeats it.
// What is told at one moment comes in any order.
func (c *city) expectTold(what string, want ...string) {
	c.t.Helper()
	keys := map[string]bool{}
	var got []string
	for _, t := range c.delivery.Told() {
		var b wire.DeliveryCallback
		if err := json.Unmarshal([]byte(t.Body), &b); err != nil {
			c.t.Fatal(err)
		}
		if !keys[t.Key] {
			got = append(got, fmt.Sprintf("%s %s %v", b.DeliveryID, b.Status, t.After))
		}
		keys[t.Key] = true
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Fatalf("%s: the delivery service was told\n%q, want\n%q", what, got, want)
	}
}

func (c *city) expectKnocks(what string, want ...string) {
	c.t.Helper()
	keys := map[string]bool{}
	var got []string
	for _, t := range c.restaurant.Told() {
		var h partner.Handover
		_ = json.Unmarshal([]byte(t.Body), &h) // a DELETE has no body
		if !keys[t.Key] {
			got = append(got, fmt.Sprintf("%s %s %s %v", t.Op, h.DeliveryID, h.Courier, t.After))
		}
		keys[t.Key] = true
	}
	if !slices.Equal(got, want) {
		c.t.Fatalf("%s: the restaurant was told\n%q, want\n%q", what, got, want)
	}
}

func TestALife(t *testing.T) {
	c := open(t, transport.Options{Roster: roster("c1")})
	if s := c.ask("d1", 5, 12); s.DeliveryID != "d1" || s.Cancelled {
		t.Fatalf("answered %+v", s)
	}
	c.ask("d1", 5, 12)
	c.Advance(time.Second)
	c.expectTold("at once", "d1 driverAvailable 0s")
	if s := c.get("d1"); s.Courier != "c1" || s.Arrival == nil || !s.Arrival.Equal(partnertest.Noon.Add(5*time.Minute)) {
		t.Fatalf("committed %+v", s)
	}
	c.put("d1", "cancel", 409)
	c.pickup("d1", 409)
	c.Advance(10 * time.Minute)
	c.expectKnocks("at the counter", "POST /handovers d1 c1 7m0s")
	c.pickup("d1", 202) // at 10m1s: leaves at 12m1s, is there at 19m1s
	c.pickup("d1", 202)
	c.Advance(3 * time.Minute)
	c.put("d1", "release", 409)
	c.Advance(time.Hour)
	c.expectTold("at last", "d1 driverAvailable 0s", "d1 inTransit 12m1s", "d1 delivered 21m1s")
	if s := c.get("d1"); !slices.Equal(s.Statuses, []wire.Status{wire.DriverAvailable, wire.InTransit, wire.Delivered}) {
		t.Fatalf("statuses %q", s.Statuses)
	}
	c.ask("d1", 5, 12)
	c.Advance(time.Hour)
	c.expectKnocks("at last", "POST /handovers d1 c1 7m0s")
}

// TestWhoDrivesIsTold: with the first news, but for the demo restaurant, for which the original's bodies are used as
// they are, and where it is nobody in particular. Who asks is told always.
func TestWhoDrivesIsTold(t *testing.T) {
	const tells, silent = `{"status":"driverAvailable","delivery_id":"d1","courier_id":"c1"}`, `{"status":"driverAvailable","delivery_id":"d1"}`
	for _, tt := range []struct {
		name, restaurant string
		opt              transport.Options
		first, courier   string
	}{
		{"a restaurant", "r1", transport.Options{Roster: roster("c1")}, tells, "c1"},
		{"the demo restaurant", "", transport.Options{Roster: roster("c1")}, silent, "c1"},
		{"an instant company", "r1", transport.Options{Instant: &transport.Instant{}}, silent, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := open(t, tt.opt)
			r := c.request("d1", 5, 12)
			r.RestaurantID = tt.restaurant
			c.Do(wire.TransportCompany, "POST /delivery-requests", r, nil, 202)
			c.Advance(20 * time.Minute)
			c.pickup("d1", 202)
			c.Advance(time.Hour)
			told := c.delivery.Told()
			if len(told) != 3 || told[0].Body != tt.first || strings.Contains(told[1].Body+told[2].Body, "courier") {
				t.Errorf("told %+v", told)
			}
			if s := c.get("d1"); s.Courier != tt.courier {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestTheNextJobBeginsWhenTheCourierIsFree(t *testing.T) {
	c := open(t, transport.Options{Roster: roster("c1")})
	c.ask("d1", 5, 12)
	c.ask("d2", 10, 20)
	c.Advance(time.Second)
	c.expectTold("both promised", "d1 driverAvailable 0s", "d2 driverAvailable 0s")
	foreseen := *c.get("d2").Arrival
	c.put("d2", "cancel", 409)
	c.Advance(15*time.Minute - time.Second)
	c.pickup("d1", 202) // late: leaves at 17m, delivers at 26m, is free at 28m and two minutes away from the next
	if s := c.get("d2"); !s.Arrival.After(foreseen) || !s.Arrival.Equal(partnertest.Noon.Add(30*time.Minute)) {
		t.Fatalf("arrival %v, was %v", s.Arrival, foreseen)
	}
	c.expectKnocks("the first", "POST /handovers d1 c1 7m0s")
	c.Advance(25 * time.Minute)
	c.expectKnocks("the second", "POST /handovers d1 c1 7m0s", "POST /handovers d2 c1 32m0s")
	c.pickup("d2", 202)
	c.Advance(time.Hour)
	c.expectTold("at last", "d1 driverAvailable 0s", "d2 driverAvailable 0s", "d1 inTransit 17m0s", "d1 delivered 26m0s",
		"d2 inTransit 42m0s", "d2 delivered 54m0s")
}

func TestCancel(t *testing.T) {
	t.Run("while nobody is committed", func(t *testing.T) {
		c := open(t, transport.Options{Roster: roster("c1"), Search: time.Minute})
		c.ask("d1", 5, 12)
		c.Advance(59 * time.Second)
		for range 2 {
			if s := c.put("d1", "cancel", 200); !s.Cancelled || len(s.Statuses) != 0 {
				t.Fatalf("answered %+v", s)
			}
		}
		c.Advance(time.Hour)
		c.expectTold("at last")
	})
	t.Run("after", func(t *testing.T) {
		c := open(t, transport.Options{Roster: roster("c1"), Search: time.Minute})
		c.ask("d1", 5, 12)
		c.Advance(61 * time.Second)
		c.put("d1", "cancel", 409)
		c.expectTold("at last", "d1 driverAvailable 1m0s")
	})
	t.Run("of the unknown", func(t *testing.T) {
		c := open(t, transport.Options{})
		c.put("d1", "cancel", 404)
		c.put("d1", "release", 404)
		c.Do(wire.TransportCompany, "GET /delivery-requests/d1", nil, nil, 404)
		c.pickup("d1", 404)
	})
	t.Run("racing with the dispatcher", func(t *testing.T) {
		c := open(t, transport.Options{Roster: roster("c1", "c2", "c3", "c4")})
		won, lost := 0, 0
		for i := range 40 {
			id := fmt.Sprintf("d%02d", i)
			c.Clock.Hold()
			c.ask(id, 1, 2)
			status, _, err := c.Call(wire.TransportCompany, "PUT /delivery-requests/"+id+"/cancel", nil)
			if err != nil {
				t.Fatal(err)
			}
			c.Clock.Release()
			c.Advance(time.Second)
			told := slices.ContainsFunc(c.delivery.Told(), func(x partnertest.Told) bool { return x.Body == `{"status":"driverAvailable","delivery_id":"`+id+`"}` })
			switch s := c.get(id); {
			case status == 200 && s.Cancelled && !told:
				won++
			case status == 409 && !s.Cancelled && told:
				lost++
				c.put(id, "release", 200)
			default:
				t.Fatalf("cancel answered %d, the record says %+v, told %v", status, s, told)
			}
		}
		t.Logf("%d cancels won, %d lost", won, lost)
	})
}

func TestRelease(t *testing.T) {
	for _, when := range []struct {
		name   string
		after  time.Duration
		pickup bool
		knocks []string
		next   string // when the courier, released, is at the counter of a restaurant one minute from the origin
	}{
		{"on the way", 3 * time.Minute, false, nil, "7m0s"},
		{"at the counter", 8 * time.Minute, false, []string{"POST /handovers d1 c1 7m0s", "DELETE /handovers/order-d1   8m0s"}, "14m0s"},
		{"with the meal in hand", 8 * time.Minute, true, []string{"POST /handovers d1 c1 7m0s"}, "14m0s"},
	} {
		t.Run(when.name, func(t *testing.T) {
			c := open(t, transport.Options{Roster: roster("c1")})
			c.ask("d1", 5, 12)
			c.Advance(when.after)
			if when.pickup {
				c.pickup("d1", 202)
			}
			for range 2 {
				if s := c.put("d1", "release", 200); !s.Cancelled {
					t.Fatalf("answered %+v", s)
				}
			}
			c.pickup("d1", 409)
			c.ask("d2", 1, 2)
			c.Advance(time.Hour)
			c.expectTold("at last", "d1 driverAvailable 0s", "d2 driverAvailable "+when.after.String())
			c.expectKnocks("at last", append(when.knocks, "POST /handovers d2 c1 "+when.next)...)
			c.put("d1", "cancel", 409)
		})
	}
}

func TestNobodyDrivesToNoDriverLane(t *testing.T) {
	c := open(t, transport.Options{})
	r := wire.TransportRequest{DeliveryID: "d1", Metadata: wire.Metadata{OrderID: "o1"}, Address: wire.Address{Street: "10 " + transport.NoDriverLane}}
	c.Do(wire.TransportCompany, "POST /delivery-requests", r, nil, 202)
	c.Advance(30 * time.Minute)
	c.stop()
	c.start("two")
	c.Advance(time.Minute)
	c.expectTold("ever")
	c.put("d1", "cancel", 200)

	r.DeliveryID = "d2"
	c.Do(wire.TransportCompany, "POST /delivery-requests", r, nil, 202)
	c.Advance(25 * time.Hour)
	if s := c.get("d2"); !s.Cancelled {
		t.Fatalf("after a day %+v", s)
	}
}

func TestADemoRequestHasPlaces(t *testing.T) {
	c := open(t, transport.Options{})
	r := wire.TransportRequest{DeliveryID: "d1", Metadata: wire.Metadata{OrderID: "o1"}, Address: wire.Address{Street: "12 St James's Square"}}
	c.Do(wire.TransportCompany, "POST /delivery-requests", r, nil, 202)
	c.Advance(time.Minute)
	if s := c.get("d1"); s.Courier == "" || s.Arrival.After(partnertest.Noon.Add(3*time.Minute)) {
		t.Fatalf("committed %+v", s)
	}
}

func TestRestart(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 6 * time.Minute, 8 * time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			c := open(t, transport.Options{Roster: roster("c1")})
			c.ask("d1", 5, 12)
			c.ask("d2", 10, 20)
			c.Advance(after)
			c.stop()
			c.start("two")
			c.Advance(9*time.Minute - after)
			c.pickup("d1", 202) // leaves at 11m, delivers at 20m, is free at 22m and two minutes away from the next
			c.stop()
			c.start("three")
			c.Advance(20 * time.Minute)
			c.expectKnocks("both", "POST /handovers d1 c1 7m0s", "POST /handovers d2 c1 26m0s")
			c.pickup("d2", 202)
			c.Advance(time.Hour)
			c.stop()
			c.start("four")
			c.ask("d3", 25, 25)
			c.Advance(15 * time.Minute) // from where d2 was dropped
			if s := c.get("d3"); !s.Arrival.Equal(partnertest.Noon.Add(89*time.Minute + 5*time.Minute)) {
				t.Fatalf("arrival %v after noon", s.Arrival.Sub(partnertest.Noon))
			}
		})
	}
}

func TestDownWhileACourierArrives(t *testing.T) {
	c := open(t, transport.Options{Roster: roster("c1")})
	c.ask("d1", 5, 12)
	c.ask("d2", 10, 20)
	c.Advance(8 * time.Minute)
	c.pickup("d1", 202)
	c.stop()
	c.Advance(time.Hour)
	c.start("two")
	c.Advance(time.Second)
	if n := len(c.delivery.Told()); n < 4 {
		t.Fatalf("after an hour the delivery service was told %d times", n)
	}
	c.expectKnocks("after an hour", "POST /handovers d1 c1 7m0s", "POST /handovers d2 c1 1h8m0s")
}

func TestRosterIsReplaced(t *testing.T) {
	c := open(t, transport.Options{Roster: roster("c1")})
	c.ask("d1", 5, 12)
	c.Advance(time.Minute)
	bad := roster("c2", "c2")
	c.Do(wire.TransportCompany, "PUT /fleet", bad, nil, 422)
	var got transport.Roster
	c.Do(wire.TransportCompany, "PUT /fleet", roster("c2"), &got, 200)
	c.ask("d2", 1, 2)
	c.Advance(7 * time.Minute)
	c.expectKnocks("both", "POST /handovers d2 c2 4m0s", "POST /handovers d1 c1 7m0s")
	c.pickup("d1", 202)
	c.Advance(time.Hour)
	c.stop()
	c.opt.Roster = nil
	c.start("two")
	c.Do(wire.TransportCompany, "GET /fleet", nil, &got, 200)
	if len(got.Couriers) != 1 || got.Couriers[0].ID != "c2" {
		t.Fatalf("after the restart %+v", got)
	}
	c.Do(wire.TransportCompany, "PUT /fleet", []byte(`{"metres_per_minute":0}`), nil, 422)
}

func TestABrokenStoreOnlyDelays(t *testing.T) {
	c := open(t, transport.Options{Roster: roster("c1"), Search: time.Minute})
	c.ask("d1", 5, 12)
	c.Advance(30 * time.Second)
	c.store.Broken.Store(true)
	c.Do(wire.TransportCompany, "POST /delivery-requests", c.request("d2", 1, 2), nil, 503)
	c.Advance(5 * time.Minute)
	c.expectTold("while it is broken")
	c.store.Broken.Store(false)
	c.Advance(time.Minute)
	if s := c.get("d1"); s.Courier != "c1" {
		t.Fatalf("afterwards %+v", s)
	}
}

func TestAnInstantCompanyIsFewWrites(t *testing.T) {
	c := open(t, transport.Options{Instant: &transport.Instant{Driver: time.Second, Counter: time.Second, Trip: 2 * time.Second}})
	const n = 20
	for i := range n {
		c.ask(fmt.Sprintf("d%02d", i), 5, 12)
	}
	c.put("d00", "cancel", 409)
	c.Advance(2100 * time.Millisecond)
	for i := range n {
		c.pickup(fmt.Sprintf("d%02d", i), 202)
	}
	c.Advance(10 * time.Second)
	if told := c.delivery.Told(); len(told) != 3*n {
		t.Fatalf("told %d times", len(told))
	}
	if writes := c.store.Writes.Load(); writes != 3*n {
		t.Errorf("%d deliveries cost %d writes, want 3 each", n, writes)
	}
}

// TestOneWorld has the restaurant's company and the transport company hand meals over, both misbehaving.
func TestOneWorld(t *testing.T) {
	c := open(t, transport.Options{Roster: roster("c1", "c2", "c3")})
	kitchen := c.Service(wire.KitchenService)
	b := partner.Behaviour{Fail: 0.2, Abort: 0.2, Duplicate: 0.3}
	cooks := restaurant.New(restaurant.Options{Shell: c.Shell("cooks"), Store: partnertest.NewStore(), Behaviour: b})
	c.Open(wire.Restaurant, cooks)
	insist := func(to, op string, body any) {
		t.Helper()
		for range 100 {
			if status, answer, err := c.Call(to, op, body); err == nil && status < 500 {
				if status >= 300 {
					t.Fatalf("%s: %d %s", op, status, answer)
				}
				return
			}
		}
		t.Fatalf("%s: never", op)
	}
	c.company.Behave(b)
	const n = 12
	for i := range n {
		id := fmt.Sprintf("d%02d", i)
		insist(wire.TransportCompany, "POST /delivery-requests", c.request(id, float64(i%4), float64(3+i%5)))
		c.Advance(time.Second)
		ready := c.Clock.Now().Add(time.Duration(1+i) * time.Minute)
		insist(wire.Restaurant, "POST /cooking-requests", wire.CookingRequest{
			KitchenID: "k" + id, Metadata: wire.Metadata{OrderID: "order-" + id}, Trip: wire.Trip{ReadyAt: &ready},
		})
		c.Advance(4 * time.Minute)
	}
	c.Advance(3 * time.Hour)
	count := map[string]int{}
	for _, s := range []*partnertest.Service{c.delivery, kitchen} {
		keys := map[string]bool{}
		for _, told := range s.Told() {
			if !keys[told.Body] {
				var b struct{ Status string }
				_ = json.Unmarshal([]byte(told.Body), &b)
				count[b.Status]++
			}
			keys[told.Body] = true
		}
	}
	for _, status := range []wire.Status{wire.DriverAvailable, wire.CookingMeal, wire.CookingDone, wire.PickedUp, wire.InTransit, wire.Delivered} {
		if count[string(status)] != n {
			t.Errorf("%s of %d orders, want %d", status, count[string(status)], n)
		}
	}
}

func TestRefusals(t *testing.T) {
	c := open(t, transport.Options{})
	for _, body := range []string{`{`, `[]`, `{"delivery_id":1}`, `{"delivery_id":"a/b","metadata":{"order_id":"o"}}`, `{"delivery_id":"d"}`} {
		c.Do(wire.TransportCompany, "POST /delivery-requests", []byte(body), nil, http.StatusUnprocessableEntity)
	}
	c.ask("d1", 1, 2)
	r := c.request("d1", 1, 2)
	r.Metadata.OrderID = "another"
	c.Do(wire.TransportCompany, "POST /delivery-requests", r, nil, 422)
}
