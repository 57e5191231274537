package e2e_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// shape is what an object of JSON has: the fields in the order of the alphabet, a ? behind those that may be missing.
type shape []string

// holds reports fields that are missing or that nobody expects.
func (s shape) holds(t testing.TB, what string, body json.RawMessage) map[string]json.RawMessage {
	t.Helper()
	fields := decoded[map[string]json.RawMessage](t, body)
	known := map[string]bool{}
	for _, name := range s {
		name, optional := strings.CutSuffix(name, "?")
		known[name] = true
		if _, there := fields[name]; !there && !optional {
			t.Errorf("%s has no %s: %s", what, name, body)
		}
	}
	for name := range fields {
		if !known[name] {
			t.Errorf("%s has %s, which CONTRACT does not: %s", what, name, body)
		}
	}
	return fields
}

// The shapes of CONTRACT.
var (
	orderShape    = shape{"id", "status", "created", "customer_id", "kitchen_id", "delivery_id", "items", "restaurant_id", "total", "history", "settled", "reason?", "cancel_requested?"}
	itemShape     = shape{"product", "quantity"}
	moneyShape    = shape{"amount", "currency"}
	momentShape   = shape{"status", "when"}
	healthShape   = shape{"status", "name", "version", "cert_remaining_days", "resources"}
	resourceShape = shape{"name", "status"}
	metadataShape = shape{"receiver", "order_id", "customer_id"}
	addressShape  = shape{"name", "street", "zipcode", "city"}
	problemShape  = shape{"title", "status", "detail", "errors?"}
)

// uuid7 is an id of ours, stamp a time in UTC.
var (
	uuid7 = regexp.MustCompile(`^"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"$`)
	stamp = regexp.MustCompile(`^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"$`)
)

func matches(t testing.TB, what string, re *regexp.Regexp, value json.RawMessage) {
	t.Helper()
	if !re.Match(value) {
		t.Errorf("%s is %s", what, value)
	}
}

// orderHolds checks an order, field by field.
func orderHolds(t testing.TB, body []byte, scheduled bool) map[string]json.RawMessage {
	t.Helper()
	o := orderShape.holds(t, "the order", body)
	matches(t, "id", uuid7, o["id"])
	matches(t, "created", stamp, o["created"])
	null := regexp.MustCompile("^null$")
	for _, id := range []string{"kitchen_id", "delivery_id"} {
		if scheduled {
			matches(t, id, uuid7, o[id])
		} else {
			matches(t, id, null, o[id])
		}
	}
	for _, item := range decoded[[]json.RawMessage](t, o["items"]) {
		itemShape.holds(t, "an item", item)
	}
	moneyShape.holds(t, "total", o["total"])
	for _, m := range decoded[[]json.RawMessage](t, o["history"]) {
		matches(t, "when", stamp, momentShape.holds(t, "a moment", m)["when"])
	}
	return o
}

// TestContractOrders: an order looks as CONTRACT says at every stage.
func TestContractOrders(t *testing.T) {
	w := found(t, nil)
	a := w.want(202, http.MethodPost, "/v1/orders", wish(ada, ""))
	o := orderHolds(t, a.body, false)
	for field, want := range map[string]string{
		"status": `"created"`, "customer_id": `"` + ada + `"`, "restaurant_id": `"` + wire.DemoRestaurant + `"`,
		"items": `[{"product":"Lasagna","quantity":1}]`, "total": `{"amount":1295,"currency":"EUR"}`, "settled": "false",
	} {
		if string(o[field]) != want {
			t.Errorf("%s is %s, want %s", field, o[field], want)
		}
	}
	id := strings.Trim(string(o["id"]), `"`)
	if got := a.header.Get("Location"); got != "/v1/orders/"+id {
		t.Errorf("Location: %s", got)
	}
	refused := w.place(ada, closedKitchen).ID
	w.pass(2 * time.Hour)
	orderHolds(t, w.want(200, http.MethodGet, "/v1/orders/"+id, nil).body, true)
	o = orderHolds(t, w.want(200, http.MethodGet, "/v1/orders/"+refused, nil).body, true)
	if len(o["reason"]) == 0 || string(o["status"]) != `"reimbursed"` {
		t.Errorf("the refused order is %s", o)
	}
	for _, o := range decoded[[]json.RawMessage](t, w.want(200, http.MethodGet, "/v1/orders", nil).body) {
		orderHolds(t, o, true)
	}
	if etag := w.call(http.MethodGet, "/v1/orders/"+id, nil).header.Get("ETag"); !regexp.MustCompile(`^(W/)?"[1-9]\d*"$`).MatchString(etag) {
		t.Errorf("ETag: %s", etag)
	}
}

// TestContractHealth: health looks the same everywhere.
func TestContractHealth(t *testing.T) {
	w := found(t, nil)
	for path, name := range map[string]string{
		"/health": "Gateway", "/order/health": "OrderService", "/payment/health": "PaymentService", "/customer/health": "CustomerService",
		"/delivery/health": "DeliveryService", "/kitchen/health": "KitchenService",
	} {
		a := w.want(200, http.MethodGet, path, nil)
		h := healthShape.holds(t, path, a.body)
		if string(h["name"]) != `"`+name+`"` || string(h["status"]) != "true" || string(h["version"]) != `"e2e"` || string(h["cert_remaining_days"]) != "0" {
			t.Errorf("%s: %s", path, a)
		}
		resources := decoded[[]json.RawMessage](t, h["resources"])
		for _, r := range resources {
			resourceShape.holds(t, path, r)
		}
		if len(resources) == 0 {
			t.Errorf("%s names no resource", path)
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		w.want(200, http.MethodGet, path, nil)
	}
}

// TestContractErrors: every refusal is a problem with a detail.
func TestContractErrors(t *testing.T) {
	w := found(t, nil)
	open := w.place(ada, "").ID
	large := append([]byte(`{"customer_id":"`), bytes.Repeat([]byte("x"), 2<<20)...)
	for _, c := range []struct {
		name, method, path string
		body               any
		status             int
	}{
		{"no such path", http.MethodGet, "/v2/orders", nil, 404},
		{"no such path, with what looks like a file", http.MethodGet, "/favicon.ico", nil, 404},
		{"a path that climbs", http.MethodGet, "/v1/orders/..%2f..%2fpayments", nil, 404},
		{"no such order", http.MethodGet, "/v1/orders/" + ada, nil, 404},
		{"no such customer", http.MethodGet, "/v1/customers/" + curry, nil, 404},
		{"no such restaurant", http.MethodGet, "/v1/restaurants/" + ada + "/menu", nil, 404},
		{"wrong method", http.MethodPut, "/v1/orders", nil, 405},
		{"wrong method of one", http.MethodPatch, "/v1/orders/" + open, nil, 405},
		{"not finished", http.MethodDelete, "/v1/orders/" + open, nil, 409},
		{"e-mail taken", http.MethodPost, "/v1/customers", customer("ada@example.com"), 409},
		{"too large", http.MethodPost, "/v1/orders", large, 413},
		{"no JSON", http.MethodPost, "/v1/orders", []byte("{"), 422},
		{"no list", http.MethodPost, "/v1/orders", []byte(`{"customer_id":"` + ada + `","items":null}`), 422},
		{"nothing", http.MethodPost, "/v1/orders", []byte{}, 422},
		{"no id", http.MethodGet, "/v1/orders/one", nil, 422},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.in(t).want(c.status, c.method, c.path, c.body)
			problemOf(t, a)
			problemShape.holds(t, "the problem", a.body)
			if c.status == 405 && a.header.Get("Allow") == "" {
				t.Error("it does not say which methods are allowed")
			}
		})
	}
	t.Run("no JSON by its type", func(t *testing.T) {
		problemOf(t, w.in(t).want(415, http.MethodPost, "/v1/orders", wish(ada, ""), "Content-Type", "text/plain"))
	})
}

func customer(email string) map[string]any {
	return map[string]any{
		"email": email, "name": "New Customer", "payment_token": "tok_ok",
		"address": map[string]any{"name": "New Customer", "street": "1 New Street", "zipcode": "12345", "city": "Newtown"},
	}
}

// TestContractCatalogue: customers and restaurants as ours have them.
func TestContractCatalogue(t *testing.T) {
	w := found(t, nil)
	ours := shape{"id", "email", "name", "address", "payment_token", "masked_card?"}
	a := w.want(201, http.MethodPost, "/v1/customers", customer("new@example.com"))
	c := ours.holds(t, "the customer", a.body)
	matches(t, "id", uuid7, c["id"])
	same := w.want(200, http.MethodGet, "/v1/customers/"+strings.Trim(string(c["id"]), `"`), nil)
	if !bytes.Equal(same.body, a.body) {
		t.Errorf("%s was registered, and is %s", a, same)
	}
	for _, c := range decoded[[]json.RawMessage](t, w.want(200, http.MethodGet, "/v1/customers", nil).body) {
		addressShape.holds(t, "an address", ours.holds(t, "a customer", c)["address"])
	}
	number := customer("card@example.com")
	number["payment_token"] = "4242424242424242"
	if a := w.want(422, http.MethodPost, "/v1/customers", number); bytes.Contains(a.body, []byte("4242")) {
		t.Errorf("a card number was taken, or repeated: %s", a)
	}
	cards := decoded[[]json.RawMessage](t, w.want(200, http.MethodGet, "/v1/restaurants", nil).body)
	for _, c := range cards {
		shape{"id", "name", "position?"}.holds(t, "a restaurant", c)
	}
	menu := decoded[[]json.RawMessage](t, w.want(200, http.MethodGet, "/v1/restaurants/"+wire.DemoRestaurant+"/menu", nil).body)
	var products []string
	for _, m := range menu {
		item := shape{"product", "price", "available", "prep_minutes?"}.holds(t, "an item of a menu", m)
		moneyShape.holds(t, "a price", item["price"])
		products = append(products, decoded[string](t, item["product"]))
	}
	for _, original := range []string{
		"Lasagna", "Double Cheeseburger", "Veil with glazed onions and blue cheese", "Vegetarian Salad with healthy produce",
	} {
		if !slices.Contains(products, original) {
			t.Errorf("the demo restaurant does not sell %s", original)
		}
	}
}

// TestContractDocs: every service's documentation is behind the gateway, and needs nothing from elsewhere.
func TestContractDocs(t *testing.T) {
	w := found(t, nil)
	routes := map[string][]string{
		wire.OrderService: {
			"POST /v1/orders", "GET /v1/orders", "GET /v1/orders/{id}", "POST /v1/orders/{id}/cancel", "DELETE /v1/orders/{id}",
		},
		wire.PaymentService: {"POST /v1/payments", "POST /v1/payments/reimburse", "POST /v1/payments/callback"},
		wire.CustomerService: {
			"POST /v1/customers/{id}/billing", "GET /v1/customers/{id}/address", "POST /v1/customers", "GET /v1/customers", "GET /v1/customers/{id}",
		},
		wire.DeliveryService: {"POST /v1/deliveries", "POST /v1/deliveries/{id}/cancel", "POST /v1/deliveries/callback"},
		wire.KitchenService:  {"POST /v1/kitchen", "POST /v1/kitchen/callback", "GET /v1/restaurants", "GET /v1/restaurants/{id}/menu"},
	}
	elsewhere := regexp.MustCompile(`(?:src|href)="(?:https?:)?//`)
	for _, service := range slices.Sorted(maps.Keys(routes)) {
		t.Run(service, func(t *testing.T) {
			w := w.in(t)
			page := w.want(200, http.MethodGet, "/"+service+"/docs", nil)
			if kind := page.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/html") || elsewhere.Match(page.body) {
				t.Errorf("the page is %s: %s", kind, page)
			}
			var doc struct {
				OpenAPI string
				Paths   map[string]map[string]any
			}
			doc = decodedAs(t, w.want(200, http.MethodGet, "/"+service+"/openapi.json", nil).body, doc)
			if doc.OpenAPI != "3.1.0" {
				t.Errorf("OpenAPI %s", doc.OpenAPI)
			}
			for _, route := range append(routes[service], "GET /health") {
				method, path, _ := strings.Cut(route, " ")
				if _, ok := doc.Paths[path][strings.ToLower(method)]; !ok {
					t.Errorf("%s is not in the document", route)
				}
			}
			printed, err := app.OpenAPI(service, "e2e")
			if err != nil {
				t.Fatal(err)
			}
			if served := w.call(http.MethodGet, "/"+service+"/openapi.json", nil); !bytes.Equal(bytes.TrimSpace(served.body), bytes.TrimSpace(printed)) {
				t.Error("`tiffin openapi` prints another document than the service has")
			}
		})
	}
	if page := w.want(200, http.MethodGet, "/", nil); elsewhere.Match(page.body) || !bytes.Contains(page.body, []byte(`href="order/docs"`)) {
		t.Errorf("the first page: %s", page)
	}
}

// TestContractDoor: what services tell each other to do cannot be told them through the gateway.
func TestContractDoor(t *testing.T) {
	w := found(t, nil)
	o := w.place(ada, "")
	w.reach(o.ID, wire.CookingMeal)
	o = w.get(o.ID)
	command := map[string]any{
		"items":    []wire.Item{{Product: "Lasagna", Quantity: 1}},
		"metadata": wire.Metadata{Receiver: wire.OrderQueue, OrderID: o.ID, CustomerID: ada},
		"address":  map[string]any{"name": "Ada", "street": "1", "zipcode": "2", "city": "3"},
	}
	for _, route := range []string{
		"POST /v1/payments", "POST /v1/payments/reimburse", "POST /v1/payments/" + o.ID + "/ask",
		"POST /v1/deliveries", "POST /v1/deliveries/" + *o.DeliveryID + "/cancel", "POST /v1/deliveries/" + *o.DeliveryID + "/release",
		"POST /v1/deliveries/" + *o.DeliveryID + "/ask",
		"POST /v1/kitchen", "POST /v1/kitchen/release", "POST /v1/kitchen/" + *o.KitchenID + "/ask",
		"POST /v1/customers/" + ada + "/billing", "GET /v1/customers/" + ada + "/address",
		"POST /billings", "GET /billings/" + o.ID, "POST /billings/reimburse", "GET /ledger", "PUT /fleet", "GET /fleet",
		"POST /delivery-requests", "POST /cooking-requests", "POST /handovers", "POST /pickups",
		"POST /payment/v1/payments", "POST /order/v1/orders",
	} {
		method, path, _ := strings.Cut(route, " ")
		a := w.call(method, path, command)
		if a.status != 404 && a.status != 405 {
			t.Errorf("%s: %s", route, a)
		}
		problemOf(t, a)
	}
	mustBe(t, w.settle(o.ID), "", whole...)
}
