package e2e_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestPrismMocks: our order and payment services work with neighbours of which they know the documents only. Prism
// mocks the customer, the delivery and the kitchen service, takes none but valid requests, and answers with what it
// makes up from our own documents. Payment, the card company and the queue are ours; what the transport company and
// the restaurant would report is told to the queue.
func TestPrismMocks(t *testing.T) {
	w := found(t, nil)
	w.lawless = true // deliveries and kitchen tickets that our services know nothing of
	mocks := w.mock(wire.CustomerService, wire.DeliveryService, wire.KitchenService)
	customers, deliveries, kitchens := mocks[wire.CustomerService], mocks[wire.DeliveryService], mocks[wire.KitchenService]

	t.Run("goes well", func(t *testing.T) {
		w := w.in(t)
		id := w.place(ada, "").ID
		o := w.reach(id, wire.DeliveryScheduled)
		mustBe(t, o, "", upTo(wire.DeliveryScheduled)...)
		asked := decoded[wire.DeliveryRequest](t, deliveries.heard("POST /v1/deliveries")[0].body)
		lives := decoded[wire.Address](t, customers.answered("GET /v1/customers/{id}/address")[0].body)
		if lives.Street == "" || asked.Address.Street != lives.Street || asked.Address.City != lives.City {
			t.Errorf("the customer service says %+v, and delivery was asked to go to %+v", lives, asked.Address)
		}
		scheduled := decoded[wire.DeliveryAnswer](t, deliveries.answered("POST /v1/deliveries")[0].body)
		if o.DeliveryID == nil || *o.DeliveryID != scheduled.DeliveryID {
			t.Errorf("the delivery is %v, and was answered as %s", o.DeliveryID, scheduled.DeliveryID)
		}
		w.report(o, wire.DriverAvailable)
		o = w.reach(id, wire.CookingScheduled)
		cooks := decoded[wire.KitchenAnswer](t, kitchens.answered("POST /v1/kitchen")[0].body)
		if o.KitchenID == nil || *o.KitchenID != cooks.KitchenID {
			t.Errorf("the ticket is %v, and was answered as %s", o.KitchenID, cooks.KitchenID)
		}
		for _, s := range whole[slices.Index(whole, wire.CookingMeal):] {
			w.report(o, s)
		}
		mustBe(t, w.settle(id), "", whole...)
	})
	t.Run("cancelled by the customer", func(t *testing.T) {
		w := w.in(t)
		id := w.place(grace, "").ID
		w.reach(id, wire.DeliveryScheduled)
		w.cancel(202, id, nil)
		mustBe(t, w.settle(id), "cancelled by the customer", upTo(wire.DeliveryScheduled, wire.OrderCancelled, wire.Reimbursed)...)
	})
	t.Run("of another restaurant, cancelled by the operator", func(t *testing.T) {
		w := w.in(t)
		id := w.place(ada, curry).ID
		w.report(w.reach(id, wire.DeliveryScheduled), wire.DriverAvailable)
		w.report(w.reach(id, wire.CookingScheduled), wire.CookingMeal)
		w.reach(id, wire.CookingMeal)
		w.cancel(202, id, map[string]any{"operator": true})
		mustBe(t, w.settle(id), "cancelled by the operator", upTo(wire.CookingMeal, wire.OrderCancelled, wire.Reimbursed)...)
	})
	t.Run("news ahead of their turn", func(t *testing.T) { // whoever owes the news before is asked, after a while
		w := w.in(t)
		id := w.place(ada, "").ID
		o := w.reach(id, wire.DeliveryScheduled)
		w.report(o, wire.CookingMeal)
		w.pass(5 * time.Minute)
		w.report(o, wire.DriverAvailable)
		w.reach(id, wire.CookingMeal)
		w.report(o, wire.InTransit)
		w.pass(5 * time.Minute)
		for _, s := range []wire.Status{wire.CookingDone, wire.PickedUp, wire.Delivered} {
			w.report(o, s)
		}
		mustBe(t, w.settle(id), "", whole...)
	})
	t.Run("payment alone", func(t *testing.T) {
		w := w.in(t)
		const id = "6a4d5c1e-8f0b-4c57-9b1e-0d6a2f3b4c5d"
		server := httptest.NewServer(w.sys.API(wire.PaymentService))
		defer server.Close()
		body := wire.PaymentRequest{
			Items:    []wire.Item{{Product: "Lasagna", Quantity: 2}},
			Metadata: wire.Metadata{Receiver: "PaymentService", OrderID: id, CustomerID: ada},
		}
		if a, err := w.do(w.ctx, http.MethodPost, server.URL+"/v1/payments", body, inside...); err != nil || a.status != 202 {
			t.Fatal(a, err)
		}
		w.pass(time.Minute)
		var p struct {
			Phase   string
			Charged wire.Decimal
		}
		p = decodedAs(t, w.told(t, wire.PaymentService, "/v1/payments/"+id), p)
		answers := customers.answered("POST /v1/customers/{id}/billing")
		bill := decoded[wire.Billing](t, answers[len(answers)-1].body)
		if p.Phase != "paid" || p.Charged != bill.Amount || bill.Amount <= 0 {
			t.Errorf("of what the customer service bills, %s, was made %+v", bill.Amount, p)
		}
	})

	for service, ops := range map[string][]string{
		wire.CustomerService: {"GET /v1/customers/{id}", "GET /v1/customers/{id}/address", "POST /v1/customers/{id}/billing"},
		wire.DeliveryService: {
			"POST /v1/deliveries", "POST /v1/deliveries/{id}/cancel", "POST /v1/deliveries/{id}/release", "POST /v1/deliveries/{id}/ask",
		},
		wire.KitchenService: {"POST /v1/kitchen", "POST /v1/kitchen/release", "POST /v1/kitchen/{id}/ask"},
	} {
		if got := mocks[service].operations(); !slices.Equal(got, slices.Sorted(slices.Values(ops))) {
			t.Errorf("the %s service was asked %q, want %q", service, got, ops)
		}
	}
}

// mock is Prism in the stead of a service of a town, and what the others told it and were answered.
type mock struct {
	*recorder
	answers map[string][]answer // by operation, as in told
}

// mock has the services mocked until the test ends. Every request must be valid, and found a success.
func (w *town) mock(names ...string) map[string]*mock {
	w.t.Helper()
	all, programs := map[string]*mock{}, map[string]*process{}
	for _, name := range names {
		programs[name] = prism(w.t, name, "mock", "--errors")
	}
	for _, name := range names {
		programs[name].awaitReady()
		to, err := url.Parse(programs[name].address())
		if err != nil {
			w.t.Fatal(err)
		}
		m := &mock{answers: map[string][]answer{}}
		forward := &httputil.ReverseProxy{
			Transport:      w.http.Transport,
			Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
			ModifyResponse: func(res *http.Response) error { return m.note(w.t, res) },
		}
		m.recorder = &recorder{next: forward}
		server := httptest.NewServer(m)
		w.t.Cleanup(server.Close)
		if err := w.sys.Find(name, server.URL); err != nil {
			w.t.Fatal(err)
		}
		all[name] = m
	}
	return all
}

// note keeps an answer.
func (m *mock) note(t *testing.T, res *http.Response) error {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	a := answer{res.StatusCode, res.Header, body}
	op := res.Request.Method + " " + anID.ReplaceAllString(res.Request.URL.Path, "{id}")
	bad, worse := violations(t, res.Header)
	if res.StatusCode/100 != 2 || len(bad)+len(worse) > 0 {
		t.Errorf("%s was answered %s: %v %v", op, a, bad, worse)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[op] = append(m.answers[op], a)
	return nil
}

// answered are the answers to op so far.
func (m *mock) answered(op string) []answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.answers[op])
}

// operations are those that were answered so far, sorted.
func (m *mock) operations() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.answers))
}

// report tells the order's queue what a delivery or a kitchen service would.
func (w *town) report(o wire.Order, s wire.Status) {
	w.t.Helper()
	w.want(202, http.MethodPost, "/v1/queues/"+wire.OrderQueue+"/messages", wire.StatusMessage{
		Status: s, Metadata: wire.Metadata{Receiver: wire.OrderQueue, OrderID: o.ID, CustomerID: o.CustomerID},
	})
}
