package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiffin-food/tiffin/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBodies holds every body that crosses a wall against the contract: its fields' names and what is left out. The
// golden file has the Go value above each JSON.
func TestBodies(t *testing.T) {
	const (
		order    = "01980000-0000-7000-8000-000000000001"
		customer = "0190a000-0000-7000-8000-00000000c001"
		drive    = "01980000-0000-7000-8000-0000000000d1"
		cook     = "01980000-0000-7000-8000-0000000000e1"
	)
	var (
		when     = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
		items    = []wire.Item{{Product: "Lasagna", Quantity: 2}}
		metadata = wire.Metadata{Receiver: wire.OrderQueue, OrderID: order, CustomerID: customer}
		address  = wire.Address{Name: "Ada Lovelace", Street: "12 St James's Square", Zipcode: "SW1Y 4JH", City: "London"}
		place    = &wire.Position{X: 900, Y: -600.5}
		amount   = wire.Decimal(2590)
		card     = wire.BillingInfo{
			Bank: "Coutts", Name: "Ada Lovelace", Expiry: "12/30", Address: "12 St James's Square", Country: "UK", MoneyRange: "high",
			CardNumber: "************4242", IssuingNetwork: "Visa", Token: "tok_ok",
		}
		trip = wire.Trip{RestaurantID: wire.DemoRestaurant, Pickup: place, Dropoff: &wire.Position{}, ReadyAt: &when}
	)
	kitchenID, deliveryID := cook, drive
	bodies := []struct {
		name string
		body any
	}{
		{"order, fresh", wire.Order{
			ID: order, Status: wire.Created, Created: when, CustomerID: customer, Items: items, RestaurantID: wire.DemoRestaurant,
			Total: wire.Money{Amount: 2590, Currency: wire.Euro}, History: []wire.Moment{{Status: wire.Created, When: when}},
		}},
		{"order, cancelled", wire.Order{
			ID: order, Status: wire.OrderCancelled, Created: when, CustomerID: customer, KitchenID: &kitchenID, DeliveryID: &deliveryID,
			Items: items, RestaurantID: wire.DemoRestaurant, Total: wire.Money{Amount: 2590, Currency: wire.Euro},
			History: []wire.Moment{{Status: wire.Created, When: when}}, Reason: "no driver", CancelRequested: true, Settled: true,
		}},
		{"payment request, the original's", wire.PaymentRequest{Items: items, Metadata: metadata}},
		{"payment request, ours", wire.PaymentRequest{Items: items, Metadata: metadata, Amount: &amount}},
		{"payment answer", wire.PaymentAnswer{Status: "requestReceived", OrderID: order}},
		{"payment callback", wire.PaymentCallback{Status: wire.PaymentPaid, CallerID: order, TransactionID: "t1"}},
		{"billing", wire.Billing{Amount: amount, BillingInfo: card}},
		{"address", address},
		{"address with a position", wire.Address{Name: "Ada", Street: "1", Zipcode: "2", City: "London", Position: place}},
		{"delivery request, demo", wire.DeliveryRequest{Items: items, Metadata: metadata, Address: address}},
		{"delivery request, elsewhere", wire.DeliveryRequest{Items: items, Metadata: metadata, Address: address, Trip: trip}},
		{"delivery answer", wire.DeliveryAnswer{DeliveryID: drive, Scheduled: when, Status: wire.DeliveryScheduled, Items: items, Metadata: metadata}},
		{"delivery callback", wire.DeliveryCallback{Status: wire.DriverAvailable, DeliveryID: drive}},
		{"kitchen request, demo", wire.KitchenRequest{Items: items, Metadata: metadata}},
		{"kitchen request, elsewhere", wire.KitchenRequest{Items: items, Metadata: metadata, Trip: trip}},
		{"kitchen answer", wire.KitchenAnswer{KitchenID: cook, Scheduled: when, Status: wire.CookingScheduled, Items: items, Metadata: metadata}},
		{"kitchen callback", wire.KitchenCallback{Status: wire.CookingMeal, KitchenID: cook}},
		{"status message, payment's", wire.StatusMessage{Status: wire.PaymentPaid, Metadata: metadata}},
		{"status message, delivery's", wire.StatusMessage{Status: wire.InTransit, Metadata: metadata, DeliveryID: drive}},
		{"status message, kitchen's", wire.StatusMessage{Status: wire.PickedUp, Metadata: metadata, KitchenID: cook}},
		{"status message, a refusal", wire.StatusMessage{Status: wire.OrderCancelled, Metadata: metadata, KitchenID: cook, Reason: "closed"}},
		{"menu", wire.MenuChanged{
			Restaurant: wire.RestaurantCard{ID: wire.DemoRestaurant, Name: "Demo", Position: place}, Version: 3,
			Items: []wire.MenuItem{
				{Product: "Lasagna", Price: wire.Money{Amount: 1295, Currency: wire.Euro}, Available: true, Prep: 12},
				{Product: "Truffle Risotto", Price: wire.Money{Amount: 1890, Currency: wire.Euro}},
			},
		}},
		{"billing request", wire.BillingRequest{CallerID: order, Amount: amount, Currency: wire.Euro, BillingInfo: card}},
		{"refund request", wire.RefundRequest{CallerID: order, TransactionID: "t1", Amount: amount, Currency: wire.Euro}},
		{"billing state", wire.BillingState{CallerID: order, TransactionID: "t1", Status: wire.Pending, Amount: amount}},
		{"transport request", wire.TransportRequest{DeliveryID: drive, Items: items, Metadata: metadata, Address: address, Trip: trip}},
		{"transport state", wire.TransportState{DeliveryID: drive, Statuses: []wire.Status{wire.DriverAvailable}, Courier: "C1", Arrival: &when}},
		{"cooking request", wire.CookingRequest{KitchenID: cook, Items: items, Metadata: metadata}},
		{"cooking state", wire.CookingState{KitchenID: cook, Cancelled: true, Statuses: []wire.Status{}}},
	}
	var out bytes.Buffer
	for _, b := range bodies {
		indented, err := json.MarshalIndent(b.body, "", "  ")
		if err != nil {
			t.Fatalf("%s: %v", b.name, err)
		}
		fmt.Fprintf(&out, "%s: %T\n----------\n%s\n\n", b.name, b.body, indented)
	}
	const file = "testdata/bodies.golden"
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, out.Bytes()) {
		t.Errorf("%s is not what comes out now (go test -update shows it in the diff):\n%s", file, out.Bytes())
	}
}

// TestBillingInfo: the original's names, and nothing like a card's secret by accident.
func TestBillingInfo(t *testing.T) {
	b, err := json.Marshal(wire.BillingInfo{})
	want := `{"CVV":"","Bank":"","Name":"","Expiry":"","Address":"","Country":"","MoneyRange":"","CardNumber":"","IssuingNetwork":""}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

func TestStatuses(t *testing.T) {
	if n := len(wire.Statuses); n != 13 {
		t.Errorf("%d statuses", n)
	}
	seen := map[wire.Status]bool{}
	for _, s := range wire.Statuses {
		if !s.Known() || seen[s] {
			t.Errorf("%s: known: %t, twice: %t", s, s.Known(), seen[s])
		}
		seen[s] = true
	}
	for _, s := range []wire.Status{"", wire.Pending, "Created", "eaten"} {
		if s.Known() {
			t.Errorf("%q is known", s)
		}
	}
}

func TestReceivers(t *testing.T) {
	if got := strings.Join(wire.Receivers, " "); got != "OrderService PaymentService CustomerService DeliveryService KitchenService" {
		t.Error(got)
	}
}

func TestDistance(t *testing.T) {
	if got := (wire.Position{X: 1, Y: 2}).Distance(wire.Position{X: 4, Y: -2}); math.Abs(got-5) > 1e-9 {
		t.Errorf("%v metres, want 5", got)
	}
}

func TestDecimalSchema(t *testing.T) {
	if s := wire.Decimal(0).Schema(nil); s.Type != huma.TypeNumber || s.Format != "decimal" {
		t.Errorf("%+v", s)
	}
}
