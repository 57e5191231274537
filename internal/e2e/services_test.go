package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// recorder stands before a service of a town and keeps what the others tell it.
type recorder struct {
	next http.Handler

	mu   sync.Mutex
	told []told
	hold func(*http.Request) // nil, or may keep a request waiting
}

// told is one request between services.
type told struct {
	op   string // with {id} for every id
	body []byte
	key  string
}

var anID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.mu.Lock()
	r.told = append(r.told, told{
		op: req.Method + " " + anID.ReplaceAllString(req.URL.Path, "{id}"), body: body, key: req.Header.Get("Idempotency-Key"),
	})
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		hold(req)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.next.ServeHTTP(w, req)
}

// record puts recorders before all services.
func (w *town) record() map[string]*recorder {
	w.t.Helper()
	all := map[string]*recorder{}
	for _, name := range app.Services {
		r := &recorder{next: w.sys.API(name)}
		server := httptest.NewServer(r)
		w.t.Cleanup(server.Close)
		if err := w.sys.Find(name, server.URL); err != nil {
			w.t.Fatal(err)
		}
		all[name] = r
	}
	return all
}

// heard are the requests for op so far.
func (r *recorder) heard(op string) (all []told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.told {
		if x.op == op {
			all = append(all, x)
		}
	}
	return all
}

// TestContractBetweenServices: an order of the demo restaurant is told with the original's bodies exactly, any other
// with ours beside them.
func TestContractBetweenServices(t *testing.T) {
	var (
		payment  = shape{"items", "metadata", "amount"}
		refund   = shape{"items", "metadata"}
		deliver  = shape{"items", "metadata", "address"}
		cook     = shape{"items", "metadata"}
		ours     = shape{"restaurant_id", "pickup", "ready_at", "dropoff?"}
		callback = map[string]shape{
			wire.PaymentService: {"status", "caller_id", "transaction_id"}, wire.DeliveryService: {"status", "delivery_id"},
			wire.KitchenService: {"status", "kitchen_id"},
		}
	)
	for restaurant, also := range map[string]shape{"": nil, curry: ours} {
		t.Run("restaurant "+restaurant, func(t *testing.T) {
			w := found(t, nil)
			services := w.record()
			drives := callback[wire.DeliveryService]
			if also != nil {
				drives = slices.Concat(drives, shape{"courier_id?"}) // with driverAvailable
			}
			id := w.place(ada, restaurant).ID
			mustBe(t, w.settle(id), "", whole...)
			gone := w.place(grace, restaurant).ID
			w.reach(gone, wire.DeliveryScheduled)
			w.cancel(202, gone, nil)
			mustBe(t, w.settle(gone), "cancelled by the customer", upTo(wire.DeliveryScheduled, wire.OrderCancelled, wire.Reimbursed)...)

			for _, c := range []struct {
				service, op string
				times       int
				body        shape // nil: none
			}{
				{wire.PaymentService, "POST /v1/payments", 2, payment},
				{wire.PaymentService, "POST /v1/payments/reimburse", 1, refund},
				{wire.PaymentService, "POST /v1/payments/callback", 3, callback[wire.PaymentService]},
				{wire.CustomerService, "POST /v1/customers/{id}/billing", 2, nil},
				{wire.CustomerService, "GET /v1/customers/{id}/address", 2, nil},
				{wire.DeliveryService, "POST /v1/deliveries", 2, slices.Concat(deliver, also)},
				{wire.DeliveryService, "POST /v1/deliveries/{id}/cancel", 1, nil},
				{wire.DeliveryService, "POST /v1/deliveries/callback", 3, drives},
				{wire.KitchenService, "POST /v1/kitchen", 1, slices.Concat(cook, also)},
				{wire.KitchenService, "POST /v1/kitchen/callback", 3, callback[wire.KitchenService]},
			} {
				all := services[c.service].heard(c.op)
				if len(all) != c.times {
					t.Errorf("%s was told %d times, want %d", c.op, len(all), c.times)
				}
				keys := map[string]bool{}
				for _, x := range all {
					if strings.HasPrefix(c.op, "POST") && (x.key == "" || keys[x.key]) {
						t.Errorf("%s has the idempotency key %q", c.op, x.key)
					}
					keys[x.key] = true
					if c.body == nil {
						continue
					}
					fields := c.body.holds(t, c.op, x.body)
					if m := fields["metadata"]; m != nil {
						metadataShape.holds(t, c.op, m)
					}
					if a := fields["address"]; a != nil {
						addressShape.holds(t, c.op, a)
					}
				}
			}
			if bill := services[wire.CustomerService].heard("POST /v1/customers/{id}/billing")[0]; string(bill.body) != fmt.Sprintf(`[{"product":%q,"quantity":1}]`, menus[restaurant]) {
				t.Errorf("billing was asked for with %s", bill.body)
			}
		})
	}
}

// TestContractOriginal: our services take what the original's send, which have nothing of ours, and answer as theirs
// do.
func TestContractOriginal(t *testing.T) {
	w := found(t, nil)
	w.lawless = true // deliveries and money for orders that nobody placed
	tell := func(t *testing.T, status int, service, method, path string, body string) []byte {
		t.Helper()
		req := httptest.NewRequestWithContext(w.ctx, method, path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		res := httptest.NewRecorder()
		w.sys.API(service).ServeHTTP(res, req)
		a := answer{res.Code, res.Header(), res.Body.Bytes()}
		if a.status != status {
			t.Fatalf("%s %s: %s, want %d", method, path, a, status)
		}
		if status >= 400 {
			problemOf(t, a)
		}
		return a.body
	}
	const (
		order     = "6a4d5c1e-8f0b-4c57-9b1e-0d6a2f3b4c5d" // of version 4, as theirs are
		unknown   = "11111111-2222-4333-8444-555555555555"
		items     = `[{"product":"Lasagna","quantity":2}]`
		metadata  = `{"receiver":"OrderService","order_id":"` + order + `","customer_id":"` + ada + `"}`
		request   = `{"items":` + items + `,"metadata":` + metadata + `}`
		addressed = `{"items":` + items + `,"metadata":` + metadata + `,"address":{"name":"Ada","street":"1 Street","zipcode":"123","city":"London"}}`
	)
	received := `{"status":"requestReceived","order_id":"` + order + `"}`
	same := func(t *testing.T, got []byte, want string) {
		t.Helper()
		var a, b any
		if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("the answer is %s, want %s", got, want)
		}
	}

	t.Run("payment", func(t *testing.T) {
		tell := func(status int, path, body string) []byte {
			t.Helper()
			return tell(t, status, wire.PaymentService, http.MethodPost, path, body)
		}
		same(t, tell(202, "/v1/payments", request), received)
		same(t, tell(202, "/v1/payments", request), received)
		w.in(t).pass(time.Minute)
		var p struct {
			Charged       json.Number
			Phase         string
			TransactionID string `json:"transaction_id"`
		}
		p = decodedAs(t, w.told(t, wire.PaymentService, "/v1/payments/"+order), p)
		if p.Phase != "paid" || p.Charged != "25.90" {
			t.Errorf("the customer service's price was not charged: %+v", p)
		}
		call := `{"status":"paymentPaid","caller_id":"` + order + `","transaction_id":"` + p.TransactionID + `"}`
		same(t, tell(201, "/v1/payments/callback", call), call)
		same(t, tell(202, "/v1/payments/reimburse", request), received)
		tell(404, "/v1/payments/callback", strings.ReplaceAll(call, order, unknown))
		tell(422, "/v1/payments/callback", strings.ReplaceAll(call, "paymentPaid", "paidPayment"))
		tell(422, "/v1/payments", strings.ReplaceAll(request, "OrderService", "NobodyService"))
		tell(404, "/v1/payments/reimburse", strings.ReplaceAll(request, order, unknown))
	})
	t.Run("customer", func(t *testing.T) {
		b := shape{"amount", "billing_info"}.holds(t, "billing",
			tell(t, 201, wire.CustomerService, http.MethodPost, "/v1/customers/"+ada+"/billing", items))
		if string(b["amount"]) != "25.90" {
			t.Errorf("amount: %s", b["amount"])
		}
		info := shape{
			"CVV", "Bank", "Name", "Expiry", "Address", "Country", "MoneyRange", "CardNumber", "IssuingNetwork", "token",
		}.holds(t, "billing_info", b["billing_info"])
		for name, value := range info {
			decoded[string](t, value)
			if name == "CVV" && string(value) != `""` || name == "CardNumber" && string(value) != `"************4242"` {
				t.Errorf("%s is %s", name, value)
			}
		}
		addressShape.holds(t, "address", w.told(t, wire.CustomerService, "/v1/customers/"+ada+"/address"))
		tell(t, 404, wire.CustomerService, http.MethodPost, "/v1/customers/"+unknown+"/billing", items)
		tell(t, 404, wire.CustomerService, http.MethodGet, "/v1/customers/"+unknown+"/address", "")
	})
	t.Run("delivery", func(t *testing.T) {
		tell := func(status int, path, body string) []byte {
			t.Helper()
			return tell(t, status, wire.DeliveryService, http.MethodPost, path, body)
		}
		answer := shape{"delivery_id", "scheduled", "status", "items", "metadata"}
		d := answer.holds(t, "the answer", tell(202, "/v1/deliveries", addressed))
		if string(d["status"]) != `"deliveryScheduled"` || string(d["items"]) != items {
			t.Errorf("the answer is %s", d)
		}
		same(t, d["metadata"], metadata)
		matches(t, "scheduled", stamp, d["scheduled"])
		id := decoded[string](t, d["delivery_id"])
		call := `{"status":"driverAvailable","delivery_id":"` + id + `"}`
		same(t, tell(201, "/v1/deliveries/callback", call), call)
		tell(409, "/v1/deliveries/"+id+"/cancel", "")
		tell(404, "/v1/deliveries/callback", strings.ReplaceAll(call, id, unknown))
		tell(404, "/v1/deliveries/"+unknown+"/cancel", "")
		other := answer.holds(t, "the answer", tell(202, "/v1/deliveries", strings.ReplaceAll(addressed, order, unknown)))
		tell(201, "/v1/deliveries/"+decoded[string](t, other["delivery_id"])+"/cancel", "")
	})
	t.Run("kitchen", func(t *testing.T) {
		tell := func(status int, path, body string) []byte {
			t.Helper()
			return tell(t, status, wire.KitchenService, http.MethodPost, path, body)
		}
		k := shape{"kitchen_id", "scheduled", "status", "items", "metadata"}.holds(t, "the answer", tell(202, "/v1/kitchen", request))
		if string(k["status"]) != `"cookingScheduled"` || string(k["items"]) != items {
			t.Errorf("the answer is %s", k)
		}
		same(t, k["metadata"], metadata)
		call := `{"status":"cookingMeal","kitchen_id":` + string(k["kitchen_id"]) + `}`
		same(t, tell(201, "/v1/kitchen/callback", call), call)
		tell(404, "/v1/kitchen/callback", `{"status":"cookingMeal","kitchen_id":"`+unknown+`"}`)
	})
}

// told is what a service answers a GET.
func (w *town) told(t *testing.T, service, path string) []byte {
	t.Helper()
	res := httptest.NewRecorder()
	w.sys.API(service).ServeHTTP(res, httptest.NewRequestWithContext(w.ctx, http.MethodGet, path, nil))
	if res.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, res.Code, res.Body)
	}
	return res.Body.Bytes()
}

// TestContractCancelUndecided: where the verdict on a cancel is not known within two seconds the customer is told so,
// and the order goes on to one end.
func TestContractCancelUndecided(t *testing.T) {
	w := found(t, nil)
	services := w.record()
	release := make(chan struct{})
	services[wire.DeliveryService].hold = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/cancel") {
			<-release
		}
	}
	id := w.place(ada, "").ID
	w.reach(id, wire.DeliveryScheduled)
	a := w.cancel(202, id, nil)
	o := orderHoldsUndecided(t, a.body)
	if string(o["status"]) != `"deliveryScheduled"` || string(o["cancel_requested"]) != "true" {
		t.Errorf("it was answered %s", a)
	}
	close(release)
	mustBe(t, w.settle(id), "cancelled by the customer", upTo(wire.DeliveryScheduled, wire.OrderCancelled, wire.Reimbursed)...)
}

// orderHoldsUndecided is for an order with a delivery and without a kitchen ticket.
func orderHoldsUndecided(t *testing.T, body []byte) map[string]json.RawMessage {
	t.Helper()
	o := orderShape.holds(t, "the order", body)
	matches(t, "delivery_id", uuid7, o["delivery_id"])
	return o
}
