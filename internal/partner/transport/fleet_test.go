package transport

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/wire"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return noon.Add(time.Duration(minutes * float64(time.Minute))) }

// east is a place so many minutes of travel from the city's origin.
func east(minutes float64) wire.Position { return wire.Position{X: 100 * minutes} }

func terms() Terms {
	return Terms{MetresPerMinute: 100, PickupService: 4 * time.Minute, DropoffService: 4 * time.Minute, Horizon: 35 * time.Minute}
}

func fleet(t testing.TB, couriers ...Courier) *Fleet {
	t.Helper()
	f, err := NewFleet(terms(), couriers)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func request(id string, asked, pickup, dropoff, prep float64) Request {
	return Request{ID: id, Pickup: east(pickup), Dropoff: east(dropoff), Asked: at(asked), Prep: time.Duration(prep * float64(time.Minute))}
}

func text(cs []Commitment) (s []string) {
	for _, c := range cs {
		firm := ""
		if c.Firm {
			firm = " firm"
		}
		s = append(s, fmt.Sprintf("%s by %s at %v%s", c.RequestID, c.CourierID, c.Arrive.Sub(noon).Minutes(), firm))
	}
	return s
}

func expect(t *testing.T, what string, got []Commitment, want ...string) {
	t.Helper()
	if !slices.Equal(text(got), want) {
		t.Errorf("%s: %q, want %q", what, text(got), want)
	}
}

func TestTravel(t *testing.T) {
	cases := []struct {
		to   wire.Position
		want time.Duration
	}{
		{wire.Position{}, 0},
		{wire.Position{X: 1}, time.Minute},
		{wire.Position{X: 300, Y: 400}, 5 * time.Minute},
		{wire.Position{X: 300, Y: 401}, 6 * time.Minute},
		{wire.Position{X: 1e300}, farAway * time.Minute},
		{wire.Position{X: 1e300, Y: -1e300}, farAway * time.Minute},
	}
	for _, c := range cases {
		if got := terms().Travel(wire.Position{}, c.to); got != c.want {
			t.Errorf("to %v: %v, want %v", c.to, got, c.want)
		}
	}
}

func TestTripTimes(t *testing.T) {
	for _, c := range []struct{ ready, handOver, leave, deliver, free float64 }{
		{ready: 5, handOver: 12, leave: 14, deliver: 23, free: 25}, // the meal waits
		{ready: 20, handOver: 20, leave: 22, deliver: 31, free: 33},
	} {
		handOver := terms().HandOver(at(10), at(c.ready))
		leave := terms().Leave(handOver)
		deliver := terms().Deliver(leave, east(0), east(7))
		if free := terms().Free(deliver); handOver != at(c.handOver) || leave != at(c.leave) || deliver != at(c.deliver) || free != at(c.free) {
			t.Errorf("ready %v: %v %v %v %v", c.ready, handOver, leave, deliver, free)
		}
	}
}

func TestNewFleetRefuses(t *testing.T) {
	slow, negative := terms(), terms()
	slow.MetresPerMinute = 0
	negative.Horizon = -1
	for name, try := range map[string]func() (*Fleet, error){
		"no speed":      func() (*Fleet, error) { return NewFleet(slow, nil) },
		"negative time": func() (*Fleet, error) { return NewFleet(negative, nil) },
		"no name":       func() (*Fleet, error) { return NewFleet(terms(), []Courier{{}}) },
		"twice":         func() (*Fleet, error) { return NewFleet(terms(), []Courier{{ID: "a"}, {ID: "a"}}) },
		"shift":         func() (*Fleet, error) { return NewFleet(terms(), []Courier{{ID: "a", On: at(2), Off: at(1)}}) },
	} {
		if _, err := try(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAssign(t *testing.T) {
	cases := []struct {
		name     string
		couriers []Courier
		requests []Request
		want     []string
		next     float64 // minutes; 0 for none
	}{
		{name: "the first to be there",
			couriers: []Courier{{ID: "far", Start: east(9)}, {ID: "near", Start: east(2)}},
			requests: []Request{request("r", 0, 0, 1, 10)}, want: []string{"r by near at 2 firm"}},
		{name: "the oldest request first",
			couriers: []Courier{{ID: "c"}},
			requests: []Request{request("new", 0, 0, 1, 0), request("old", -1, 5, 5, 0)},
			want:     []string{"old by c at 5 firm", "new by c at 18"}},
		{name: "a busy one before an idle one far away",
			couriers: []Courier{{ID: "busy"}, {ID: "idle", Start: east(30)}},
			requests: []Request{request("a", -1, 0, 1, 0), request("b", 0, 0, 1, 0)},
			want:     []string{"a by busy at 0 firm", "b by busy at 10"}},
		{name: "a shift about to begin",
			couriers: []Courier{{ID: "soon", On: at(10)}},
			requests: []Request{request("r", 0, 3, 1, 0)}, want: []string{"r by soon at 13 firm"}},
		{name: "beyond the horizon until time passes",
			couriers: []Courier{{ID: "later", On: at(40)}},
			requests: []Request{request("r", 0, 3, 1, 0)}, next: 8},
		{name: "beyond the horizon for good",
			couriers: []Courier{{ID: "away", Start: east(36)}},
			requests: []Request{request("r", 0, 0, 1, 0)}},
		{name: "at the last moment of the shift",
			couriers: []Courier{{ID: "c", Off: at(5)}},
			requests: []Request{request("r", 0, 5, 9, 30)}, want: []string{"r by c at 5 firm"}},
		{name: "too late for the shift",
			couriers: []Courier{{ID: "c", Off: at(4)}},
			requests: []Request{request("r", 0, 5, 9, 0)}},
		{name: "one that cannot be served does not hold up the next",
			couriers: []Courier{{ID: "c", Off: at(4)}},
			requests: []Request{request("old", -5, 9, 9, 0), request("new", 0, 1, 1, 0)}, want: []string{"new by c at 1 firm"}},
		{name: "among equals the shift that ends first",
			couriers: []Courier{{ID: "open"}, {ID: "ends", Off: at(60)}, {ID: "ends too", Off: at(60)}},
			requests: []Request{request("r", 0, 1, 1, 0)}, want: []string{"r by ends at 1 firm"}},
		{name: "nowhere on the plane",
			couriers: []Courier{{ID: "c"}},
			requests: []Request{{ID: "r", Pickup: wire.Position{X: 1e308, Y: -1e308}, Asked: noon, Prep: 1 << 62}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := fleet(t, c.couriers...)
			for _, r := range c.requests {
				if !f.Ask(r) {
					t.Fatalf("%s refused", r.ID)
				}
			}
			expect(t, "commitments", f.Assign(noon), c.want...)
			if next := f.Next(); c.next == 0 && !next.IsZero() || c.next != 0 && next != at(c.next) {
				t.Errorf("next %v", next)
			}
			if c.next != 0 && len(f.Assign(f.Next())) == 0 {
				t.Error("Next came and nothing was committed")
			}
			if again := f.Assign(noon); again != nil {
				t.Errorf("committed again: %v", again)
			}
		})
	}
}

func TestReportsMoveThePlan(t *testing.T) {
	f := fleet(t, Courier{ID: "c"})
	f.Ask(request("a", 0, 0, 4, 10))
	f.Ask(request("b", 1, 4, 8, 0))
	expect(t, "commitments", f.Assign(at(0)), "a by c at 0 firm", "b by c at 20")
	if f.Ask(request("a", 0, 0, 4, 10)) {
		t.Error("a asked for twice")
	}
	if p, ok := f.Plan("a", at(0)); !ok || p.HandOver != at(10) || p.Leave != at(12) || p.Deliver != at(18) || p.PickedUp {
		t.Errorf("plan of a: %+v %v", p, ok)
	}
	// The kitchen is late and nobody has said so: the plan moves with the present.
	if p, _ := f.Plan("b", at(13)); p.Arrive != at(23) {
		t.Errorf("b foreseen at %v", p.Arrive)
	}
	later, ok := f.PickedUp("a", at(15))
	if expect(t, "picked up", later, "b by c at 25"); !ok {
		t.Error("a not picked up")
	}
	if _, ok := f.PickedUp("a", at(16)); ok {
		t.Error("a picked up twice")
	}
	if _, ok := f.Withdraw("a", at(16)); ok {
		t.Error("a withdrawn on its way")
	}
	later, _ = f.Delivered("a", at(22))
	expect(t, "delivered", later, "b by c at 24 firm")
	if _, ok := f.Delivered("a", at(22)); ok {
		t.Error("a delivered twice")
	}
	if _, ok := f.Plan("a", at(22)); ok {
		t.Error("a not forgotten")
	}
}

func TestWithdraw(t *testing.T) {
	cases := []struct {
		name  string
		at    float64
		which string
		want  []string // later commitments
		then  string   // who serves a request at 0, and when
	}{
		{"on the way", 4, "a", []string{"b by c at 10 firm"}, "x by c at 28"}, // at 4 of 10, and 6 to b's restaurant
		{"at the restaurant", 11, "a", []string{"b by c at 11 firm"}, "x by c at 29"},
		{"behind another", 4, "b", nil, "x by c at 28"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := fleet(t, Courier{ID: "c"})
			f.Ask(request("a", 0, 10, 10, 0))
			f.Ask(request("b", 1, 10, 10, 0))
			expect(t, "commitments", f.Assign(noon), "a by c at 10 firm", "b by c at 18")
			later, ok := f.Withdraw(c.which, at(c.at))
			if expect(t, "later", later, c.want...); !ok {
				t.Fatal("not withdrawn")
			}
			if _, again := f.Withdraw(c.which, at(c.at)); again {
				t.Error("withdrawn twice")
			}
			f.Ask(request("x", 2, 0, 0, 0))
			f.Assign(at(c.at))
			p, _ := f.Plan("x", at(c.at))
			expect(t, "then", []Commitment{p.Commitment}, c.then)
		})
	}
	f := fleet(t)
	f.Ask(request("a", 0, 10, 10, 0))
	if _, ok := f.Withdraw("a", noon); !ok || f.Waiting() != 0 || f.Assign(noon) != nil {
		t.Error("a waiting request was not withdrawn")
	}
}

func TestRestoreWithoutTheCourier(t *testing.T) {
	f := fleet(t, Courier{ID: "other", Start: east(30)})
	f.Restore([]Record{
		{Request: request("b", 1, 4, 8, 0), CourierID: "gone", Turn: 8, Committed: at(1), Arrive: at(20)},
		{Request: request("a", 0, 0, 4, 10), CourierID: "gone", Turn: 7, Committed: at(1), Arrive: at(3)},
		{Request: request("w", 0, 30, 30, 0)},
		{Request: request("v", 0, 30, 30, 0), Withdrawn: at(1)},
	})
	if p, _ := f.Plan("a", at(2)); p.Arrive != at(3) || !p.Firm {
		t.Errorf("a: %+v", p)
	}
	if p, _ := f.Plan("b", at(2)); p.Arrive != at(21) || p.Firm { // a is ready at 11, left at 13, delivered at 19
		t.Errorf("b: %+v", p)
	}
	expect(t, "commitments", f.Assign(at(2)), "w by other at 2 firm")
	later, _ := f.Delivered("a", at(19))
	expect(t, "delivered", later, "b by gone at 21 firm")
}

// TestFleetProperties drives a fleet with arbitrary facts and holds it to the rules of its doc comment; beside it
// runs one that searches all couriers for all requests every time, and one restored from the records at every step.
func TestFleetProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := rapid.Custom(func(t *rapid.T) wire.Position {
			return wire.Position{X: rapid.Float64Range(0, 2000).Draw(t, "x"), Y: rapid.Float64Range(0, 2000).Draw(t, "y")}
		})
		var couriers []Courier
		shift := map[string]Courier{}
		for i := range rapid.IntRange(1, 6).Draw(t, "couriers") {
			c := Courier{ID: fmt.Sprintf("c%d", i), Start: place.Draw(t, "start")}
			if rapid.Bool().Draw(t, "shift") {
				c.On = at(float64(rapid.IntRange(0, 120).Draw(t, "on")))
				c.Off = c.On.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "length")) * time.Minute)
			}
			couriers = append(couriers, c)
			shift[c.ID] = c
		}
		build := func() *Fleet {
			f, err := NewFleet(terms(), couriers)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		f, thorough := build(), build()
		records := map[string]*Record{}
		var order []string // of the records
		queues := map[string][]string{}
		now := noon
		asked := 0

		same := func(what string, a, b any) {
			if fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("%s: %v and %v", what, a, b)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			if next := f.Next(); rapid.Bool().Draw(t, "at next") && !next.IsZero() && next.After(now) {
				now = next
			}
			var busy []string // at the head of their courier's queue
			for _, c := range couriers {
				if q := queues[c.ID]; len(q) > 0 {
					busy = append(busy, q[0])
				}
			}
			drop := func(id string) {
				c := records[id].CourierID
				queues[c] = slices.DeleteFunc(queues[c], func(o string) bool { return o == id })
			}
			switch action := rapid.IntRange(0, 5).Draw(t, "action"); {
			case action <= 2 || len(busy) == 0:
				r := Request{ID: fmt.Sprintf("r%d", asked), Pickup: place.Draw(t, "pickup"), Dropoff: place.Draw(t, "dropoff"), Asked: now,
					Prep: time.Duration(rapid.IntRange(0, 40).Draw(t, "prep")) * time.Minute}
				asked++
				records[r.ID] = &Record{Request: r}
				order = append(order, r.ID)
				f.Ask(r)
				thorough.Ask(r)
			case action == 3: // the withdrawal of any
				id := rapid.SampledFrom(order).Draw(t, "withdrawn")
				later, ok := f.Withdraw(id, now)
				again, okAgain := thorough.Withdraw(id, now)
				same("withdrawn", later, again)
				r := records[id]
				if open := r.PickedUp.IsZero() && r.Delivered.IsZero() && r.Withdrawn.IsZero(); ok != open || ok != okAgain {
					t.Fatalf("withdrawal of %+v: %v", *r, ok)
				}
				if ok {
					drop(id)
					r.Withdrawn = now
				}
			default: // the next report about a courier's first trip, at its time or later
				id := rapid.SampledFrom(busy).Draw(t, "busy")
				p, ok := f.Plan(id, now)
				if !ok || !p.Firm {
					t.Fatalf("plan of %s: %+v", id, p)
				}
				var later []Commitment
				if r := records[id]; r.PickedUp.IsZero() {
					if p.HandOver.After(now) {
						now = p.HandOver
					}
					r.PickedUp = now
					later, ok = f.PickedUp(id, now)
					thorough.PickedUp(id, now)
				} else {
					if p.Deliver.After(now) {
						now = p.Deliver
					}
					r.Delivered = now
					drop(id)
					later, ok = f.Delivered(id, now)
					thorough.Delivered(id, now)
				}
				if !ok {
					t.Fatalf("report on %s refused", id)
				}
				for _, c := range later {
					if p, _ := f.Plan(c.RequestID, now); p.Commitment != c {
						t.Fatalf("told %+v, planned %+v", c, p.Commitment)
					}
				}
			}

			var all []Record
			for _, id := range order {
				all = append(all, *records[id])
			}
			slices.Reverse(all)
			restored := build()
			restored.Restore(all)

			for _, w := range thorough.waiting {
				w.fresh = true
			}
			made := f.Assign(now)
			same("with a search for all", made, thorough.Assign(now))
			same("restored", made, restored.Assign(now))
			for _, c := range made {
				s := shift[c.CourierID]
				if c.Arrive.Before(now) || c.Arrive.After(now.Add(terms().Horizon)) || c.Arrive.Before(s.On) || !s.Off.IsZero() && c.Arrive.After(s.Off) {
					t.Fatalf("at %v: %+v, shift %+v", now, c, s)
				}
				r := records[c.RequestID]
				if r.CourierID != "" {
					t.Fatalf("%s committed twice", r.ID)
				}
				r.CourierID, r.Turn, r.Arrive, r.Committed = c.CourierID, c.Turn, c.Arrive, now
				queues[c.CourierID] = append(queues[c.CourierID], c.RequestID)
			}
			if next := f.Next(); !next.IsZero() && !next.After(now) {
				t.Fatalf("next %v at %v", next, now)
			}
			for _, c := range couriers { // nobody is in two places
				var end time.Time
				for i, id := range queues[c.ID] {
					p, ok := f.Plan(id, now)
					if !ok || p.CourierID != c.ID || p.Firm != (i == 0) || p.Arrive.Before(end) {
						t.Fatalf("plan of %s after %v: %+v", id, end, p)
					}
					end = terms().Free(p.Deliver)
				}
			}
		}
	})
}

func BenchmarkAssign(b *testing.B) {
	for _, size := range []struct{ couriers, waiting int }{{200, 0}, {1000, 0}, {2000, 0}, {2000, 300}} {
		b.Run(fmt.Sprintf("couriers=%d/waiting=%d", size.couriers, size.waiting), func(b *testing.B) {
			var couriers []Courier
			for i := range size.couriers {
				couriers = append(couriers, Courier{ID: fmt.Sprint(i), Start: wire.Position{X: float64(i * 7919 % 3000), Y: float64(i * 104729 % 3000)}})
			}
			f := fleet(b, couriers...)
			for i := range size.waiting {
				f.Ask(Request{ID: fmt.Sprint("far", i), Pickup: wire.Position{X: 1e6}, Asked: noon})
			}
			f.Assign(noon)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now := noon.Add(time.Duration(i) * time.Second)
				id := fmt.Sprint(i)
				f.Ask(Request{ID: id, Pickup: wire.Position{X: float64(i * 31 % 3000), Y: 9}, Asked: now})
				if len(f.Assign(now)) != 1 {
					b.Fatal("not committed")
				}
				f.PickedUp(id, now)
				f.Delivered(id, now)
			}
		})
	}
}
