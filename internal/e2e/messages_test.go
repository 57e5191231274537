package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/id"
	"github.com/tiffin-food/tiffin/internal/order"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// deaf is the rest of the world to an order service alone: nobody answers.
type deaf struct{}

func (deaf) Execute(context.Context, durable.Owed, string) durable.Outcome {
	return durable.Outcome{Verdict: durable.Retry, Detail: "nobody answers"}
}

// TestContractMessages: the order service takes status messages as the original's services send them, which have no
// id, each as often as they come; what is no status message is refused with the reason and changes nothing.
func TestContractMessages(t *testing.T) {
	ctx := t.Context()
	stands := clock.Virtual(noon)
	ids := id.NewSource(stands.Now, zeros{})
	service := orderapi.New(orderapi.Options{
		Shell:  durable.Options{Owner: "alone", Clock: stands, Executor: deaf{}},
		Orders: memory.New(durable.Features{Exclusive: true}), Menus: memory.New(durable.Features{Exclusive: true}),
		Customers: func(context.Context, string) (bool, error) { return true, nil },
		NewID:     ids.New, Limits: order.DefaultLimits,
	})
	api := httpapi.New(httpapi.Options{Name: "OrderService", Version: "e2e", Authenticate: auth.Trusting})
	service.Routes(api)
	service.Start()
	t.Cleanup(func() {
		if err := service.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	menu, err := json.Marshal(wire.MenuChanged{
		Restaurant: wire.RestaurantCard{ID: wire.DemoRestaurant, Name: "Demo"}, Version: 1,
		Items: []wire.MenuItem{{Product: "Lasagna", Price: wire.Money{Amount: 1295, Currency: wire.Euro}, Available: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	queues := service.Queues()
	if err := queues[1].Handler(ctx, broker.Message{ID: "menu-1", Body: menu}); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) wire.Order {
		t.Helper()
		req := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		res := httptest.NewRecorder()
		api.ServeHTTP(res, req)
		if res.Code/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, path, res.Code, res.Body)
		}
		return decoded[wire.Order](t, res.Body.Bytes())
	}
	o := ask(http.MethodPost, "/v1/orders", `{"customer_id":"`+ada+`","items":[{"product":"Lasagna"}]}`)
	take := queues[0].Handler
	metadata := `,"metadata":{"receiver":"OrderService","order_id":"` + o.ID + `","customer_id":"` + ada + `"}`
	const delivery, kitchen = "6a4d5c1e-8f0b-4c57-9b1e-0d6a2f3b4c5d", "7a4d5c1e-8f0b-4c57-9b1e-0d6a2f3b4c5d"

	for _, s := range whole[1:] {
		body := `{"status":"` + string(s) + `"` + metadata
		switch s {
		case wire.DeliveryScheduled, wire.DriverAvailable, wire.InTransit, wire.Delivered:
			body += `,"delivery_id":"` + delivery + `"`
		case wire.CookingScheduled, wire.CookingMeal, wire.CookingDone, wire.PickedUp:
			body += `,"kitchen_id":"` + kitchen + `"`
		}
		for range 3 {
			if err := take(ctx, broker.Message{Key: wire.OrderQueue, Body: []byte(body + "}")}); err != nil {
				t.Errorf("%s}: %v", body, err)
			}
		}
	}
	for _, c := range []struct{ body, why string }{
		{"", "not a status message"},
		{"nonsense", "not a status message"},
		{"[]", "not a status message"},
		{"{}", "status"},
		{`{"status":"burnt"` + metadata + "}", "status"},
		{`{"status":"delivered"}`, "metadata.order_id"},
		{`{"status":"delivered","metadata":{"receiver":"OrderService","order_id":"` + o.ID + `"}}`, "metadata.customer_id"},
		{`{"status":"delivered"` + strings.ReplaceAll(metadata, o.ID, curry) + "}", "no such order"},
		{`{"status":"delivered"` + metadata + `,"reason":"` + strings.Repeat("x", 10<<20) + `"}`, "bytes"},
	} {
		var reject *broker.Reject
		if err := take(ctx, broker.Message{Body: []byte(c.body)}); !errors.As(err, &reject) || !strings.Contains(reject.Reason, c.why) {
			t.Errorf("%.80s: %v, want a rejection that says %q", c.body, err, c.why)
		}
	}
	o = ask(http.MethodGet, "/v1/orders/"+o.ID, "")
	if got := statuses(o.History); !slices.Equal(got, whole) || !o.Settled || *o.DeliveryID != delivery || *o.KitchenID != kitchen {
		t.Errorf("the order is %+v", o)
	}
}

// zeros is a source of randomness without any.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
