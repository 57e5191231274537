package partner_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/partner/cardcompany"
	"github.com/tiffin-food/tiffin/internal/partner/partnertest"
	"github.com/tiffin-food/tiffin/internal/partner/restaurant"
	"github.com/tiffin-food/tiffin/internal/partner/transport"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDraw(t *testing.T) {
	low, high := time.Hour, time.Duration(0)
	for i := range 1000 {
		d := partner.Between(5*time.Second, 20*time.Second, fmt.Sprintf("0190a000-0000-7000-8000-%012d", i), "x")
		low, high = min(low, d), max(high, d)
	}
	if low < 5*time.Second || high > 20*time.Second || low > 5100*time.Millisecond || high < 19900*time.Millisecond {
		t.Fatalf("from %v to %v", low, high)
	}
	if partner.Between(time.Second, time.Second, "a", "b") != time.Second || partner.Draw("ab", "c") == partner.Draw("a", "bc") {
		t.Fatal("drawn wrongly")
	}
}

// companies are all three on one SQLite file, as quick as can be.
type companies struct {
	db    *sqlite.DB
	stops []func()
}

func openCompanies(t testing.TB, w *partnertest.World, path, owner string, instant *transport.Instant) *companies {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	store := func(kind string) durable.Store {
		s, err := db.Store(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return &companies{db, []func(){
		w.Open(wire.CardCompany, cardcompany.New(cardcompany.Options{
			Shell: w.Shell(owner), Store: store(cardcompany.Kind), Terms: cardcompany.Terms{DecideMost: time.Second, Late: time.Hour},
		})),
		w.Open(wire.Restaurant, restaurant.New(restaurant.Options{
			Shell: w.Shell(owner), Store: store(restaurant.Kind), Terms: restaurant.Terms{Prep: time.Second, Quick: true},
		})),
		w.Open(wire.TransportCompany, transport.New(transport.Options{
			Shell: w.Shell(owner), Store: store(transport.Kind), Rosters: store(transport.RosterKind), Instant: instant,
		})),
	}}
}

func (c *companies) close(t testing.TB) {
	t.Helper()
	for _, stop := range c.stops {
		stop()
	}
	if err := c.db.Close(); err != nil {
		t.Error(err)
	}
}

// order has one order paid, cooked and brought.
func order(w *partnertest.World, id string) {
	w.Do(wire.CardCompany, "POST /billings", wire.BillingRequest{CallerID: id, Amount: 1295, Currency: "EUR"}, nil, 202)
	w.Do(wire.TransportCompany, "POST /delivery-requests", wire.TransportRequest{
		DeliveryID: "d-" + id, Metadata: wire.Metadata{OrderID: id}, Items: []wire.Item{{Product: "Lasagna", Quantity: 2}},
		Address: wire.Address{Name: "Ada Lovelace", Street: "12 St James's Square", Zipcode: "SW1Y 4JH", City: "London"},
	}, nil, 202)
	w.Do(wire.Restaurant, "POST /cooking-requests", wire.CookingRequest{
		KitchenID: "k-" + id, Metadata: wire.Metadata{OrderID: id}, Items: []wire.Item{{Product: "Lasagna", Quantity: 2}},
	}, nil, 202)
}

// TestRestartOnSQLite stops all companies with orders in every phase and starts them on the same file.
func TestRestartOnSQLite(t *testing.T) {
	w := partnertest.New(t)
	payment, kitchen, delivery := w.Service(wire.PaymentService), w.Service(wire.KitchenService), w.Service(wire.DeliveryService)
	path := filepath.Join(t.TempDir(), "partners.db")
	const n = 30
	c := openCompanies(t, w, path, "0", nil)
	for i := range n {
		order(w, fmt.Sprintf("o%02d", i))
		w.Advance(40 * time.Second)
		if i%10 == 9 {
			c.close(t)
			c = openCompanies(t, w, path, fmt.Sprint(i), nil)
		}
	}
	w.Advance(3 * time.Hour)
	distinct := func(s *partnertest.Service) int {
		bodies := map[string]bool{}
		for _, told := range s.Told() {
			bodies[told.Body] = true
		}
		return len(bodies)
	}
	if p, k, d := distinct(payment), distinct(kitchen), distinct(delivery); p != n || k != 3*n || d != 3*n {
		t.Errorf("%d payments, %d statuses of meals and %d of deliveries for %d orders", p, k, d, n)
	}
	c.close(t)

	db, err := sqlite.OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	store, err := db.Store(t.Context(), cardcompany.Kind)
	if err != nil {
		t.Fatal(err)
	}
	var charged wire.Decimal
	for e, err := range cardcompany.Ledger(t.Context(), store, w.Clock.Now()) {
		if err != nil {
			t.Fatal(err)
		}
		charged += e.Charged - e.Refunded
	}
	if charged != n*1295 {
		t.Errorf("the ledger has %s, want %s", charged, wire.Decimal(n*1295))
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkOrder is what all three companies take for one order on one SQLite file, their callbacks and the
// requests' way included.
func BenchmarkOrder(b *testing.B) {
	w := partnertest.New(b)
	for _, name := range []string{wire.PaymentService, wire.KitchenService, wire.DeliveryService} {
		w.Handle(name, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte("{}"))
		}))
	}
	c := openCompanies(b, w, filepath.Join(b.TempDir(), "partners.db"), "bench",
		&transport.Instant{Driver: time.Second, Counter: time.Second, Trip: 4 * time.Second})
	b.ReportAllocs()
	b.ResetTimer()
	const customers = 128
	for done := 0; done < b.N; {
		var wait sync.WaitGroup
		for range min(customers, b.N-done) {
			id := fmt.Sprintf("0190a000-0000-7000-8000-%012d", done)
			done++
			wait.Go(func() { order(w, id) })
		}
		wait.Wait()
		w.Advance(time.Second)
	}
	w.Advance(30 * time.Second)
	b.StopTimer()
	b.ReportMetric(float64(c.db.Stats().Writes)/float64(b.N), "writes/op")
	c.close(b)
}
