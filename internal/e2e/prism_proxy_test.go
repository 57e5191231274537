package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/quarantine"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// nobody is the id of nothing.
const nobody = "0190a000-0000-7000-8000-0000000abcde"

// irrefusable are the routes that take neither parameters nor a body, or whatever comes: there is no bad request for them.
var irrefusable = []string{"GET /health", "GET /v1/queues", "GET /v1/backlog", "GET /v1/events"}

// TestPrismProxies: every route that a document of ours has is answered as the document says, whether the request is
// good, is refused though the document allows it, or is malformed; and what the service finds malformed the document
// forbids.
//
// Prism runs without --errors: it then lets malformed requests and wrong answers through, so that it is the service
// that is seen, and tells in a header what it would have refused and, beside that, what it only warns of.
func TestPrismProxies(t *testing.T) {
	w := found(t, func(c *app.Config) { // companies with a key, and liars in their stead
		c.Callbacks, c.PartnerNetworks = "either", []string{"loopback"}
	})
	gates := w.gates()
	order, payment, customer := gates[wire.OrderService], gates[wire.PaymentService], gates[wire.CustomerService]
	delivery, kitchen := gates[wire.DeliveryService], gates[wire.KitchenService]

	tail := make(chan answer, 1)
	go func() {
		a, err := w.do(w.ctx, http.MethodGet, order.address()+"/v1/events?topic=order.%23", nil, inside...)
		if err != nil {
			t.Error(err)
		}
		tail <- a
	}()
	<-order.tailed // before anything happens

	// Orders as far as there is something to say about them.
	placed := w.place(grace, "").ID
	w.settle(placed)
	done := w.get(placed)
	unpaid := w.place(declined, "")
	w.settle(unpaid.ID)
	open := w.reach(w.place(ada, "").ID, wire.CookingMeal)
	gone := w.place(ada, curry)
	w.reach(gone.ID, wire.DriverAvailable)
	w.cancel(202, gone.ID, map[string]any{"operator": true})
	gone = w.settle(gone.ID)
	waits := w.reach(w.place(grace, curry).ID, wire.DeliveryScheduled)

	t.Run(wire.OrderService, func(t *testing.T) { order.in(t).orders(done, open, waits) })
	t.Run("queues", func(t *testing.T) { order.in(t).queues() })
	t.Run(wire.PaymentService, func(t *testing.T) { payment.in(t).payments(open, waits, unpaid) })
	t.Run(wire.CustomerService, func(t *testing.T) { customer.in(t).customers() })
	t.Run(wire.DeliveryService, func(t *testing.T) { delivery.in(t).deliveries(done, open, waits, gone) })
	t.Run(wire.KitchenService, func(t *testing.T) { kitchen.in(t).kitchen(done, open, gone) })
	t.Run("parked work", func(t *testing.T) { w.in(t).parked(gates) })
	t.Run("deleted", func(t *testing.T) {
		order.in(t).good(204, ask{op: "DELETE /v1/orders/{id}", id: done.ID})
	})
	w.pass(3 * time.Hour)

	order.close() // a stream that follows for ever ends with the server, and Prism passes it on whole
	order.check(ask{op: "GET /v1/events"}, <-tail, 200, fine)
	for _, name := range contracted {
		gates[name].complete()
	}
}

func (g *gate) orders(done, open, waits wire.Order) {
	const orders, one = " /v1/orders", " /v1/orders/{id}"
	g.good(200, ask{op: "GET /health"})
	o := decoded[wire.Order](g.t, g.good(202, ask{op: "POST" + orders, body: wish(ada, ""), headers: []string{"Idempotency-Key", "once"}}).body)
	g.refused(422, ask{op: "POST" + orders, body: wish(ada, curry), headers: []string{"Idempotency-Key", "once"}})
	g.refused(422, ask{op: "POST" + orders, body: map[string]any{"customer_id": ada, "items": []wire.Item{{Product: "Ambrosia"}}}})
	g.bad(422, ask{op: "POST" + orders, body: map[string]any{"customer_id": ada, "items": []wire.Item{}}})
	g.bad(422, ask{op: "POST" + orders, body: wish(ada, ""), headers: []string{"Idempotency-Key", strings.Repeat("k", 256)}})

	g.good(200, ask{op: "GET" + orders})
	g.good(200, ask{op: "GET" + orders, query: "limit=1"})
	g.good(200, ask{op: "GET" + orders, query: "customer_id=" + ada})
	g.refused(422, ask{op: "GET" + orders, query: "cursor=x"})
	g.bad(422, ask{op: "GET" + orders, query: "limit=0"})

	a := g.good(200, ask{op: "GET" + one, id: o.ID})
	g.good(304, ask{op: "GET" + one, id: o.ID, headers: []string{"If-None-Match", a.header.Get("ETag")}})
	g.good(200, ask{op: "GET" + one, id: done.ID})
	g.refused(404, ask{op: "GET" + one, id: nobody})
	g.bad(422, ask{op: "GET" + one, id: "one"})

	g.good(202, ask{op: "POST" + one + "/cancel", id: o.ID})
	g.good(202, ask{op: "POST" + one + "/cancel", id: waits.ID, body: map[string]any{"reason": "not hungry any more"}})
	g.refused(409, ask{op: "POST" + one + "/cancel", id: open.ID})
	g.refused(404, ask{op: "POST" + one + "/cancel", id: nobody})
	g.bad(422, ask{op: "POST" + one + "/cancel", id: "one"})
	g.bad(422, ask{op: "POST" + one + "/cancel", id: o.ID, body: map[string]any{"reason": 1}})

	g.good(200, ask{op: "GET" + one + "/story", id: done.ID})
	g.good(200, ask{op: "GET" + one + "/story", id: open.ID})
	g.refused(404, ask{op: "GET" + one + "/story", id: nobody})
	g.bad(422, ask{op: "GET" + one + "/story", id: "one"})

	g.good(200, ask{op: "GET" + one + "/events", id: done.ID})
	g.refused(404, ask{op: "GET" + one + "/events", id: nobody})
	g.bad(422, ask{op: "GET" + one + "/events", id: "one"})

	g.refused(404, ask{op: "DELETE" + one, id: nobody})
	g.refused(409, ask{op: "DELETE" + one, id: open.ID})
	g.bad(422, ask{op: "DELETE" + one, id: "one"})
}

func (g *gate) queues() {
	const send, letters = "POST /v1/queues/{name}/messages", "/v1/dead-letters"
	g.good(200, ask{op: "GET /v1/queues"})
	g.good(200, ask{op: "GET /v1/backlog"})
	g.good(202, ask{op: send, name: wire.OrderQueue, body: map[string]any{"status": "burnt"}})
	g.refused(404, ask{op: send, name: "NobodyService", body: map[string]any{}})
	g.bad(422, ask{op: send, name: strings.Repeat("q", 101), body: map[string]any{}})
	g.w.pass(time.Second)

	list := decoded[[]struct{ ID string }](g.t, g.good(200, ask{op: "GET " + letters}).body)
	if len(list) != 1 {
		g.t.Fatalf("the dead letters are %v", list)
	}
	g.refused(422, ask{op: "GET " + letters, query: "cursor=x"})
	g.bad(422, ask{op: "GET " + letters, query: "limit=201"})
	g.good(202, ask{op: "POST " + letters + "/{id}/requeue", id: list[0].ID})
	g.refused(404, ask{op: "POST " + letters + "/{id}/requeue", id: nobody})
	g.bad(422, ask{op: "POST " + letters + "/{id}/requeue", id: "one"})
}

// about is the metadata of an order.
func about(o wire.Order) wire.Metadata {
	return wire.Metadata{Receiver: wire.OrderQueue, OrderID: o.ID, CustomerID: o.CustomerID}
}

func (g *gate) payments(open, waits, unpaid wire.Order) {
	const root, one = "POST /v1/payments", " /v1/payments/{id}"
	body := func(o wire.Order) wire.PaymentRequest { return wire.PaymentRequest{Items: o.Items, Metadata: about(o)} }
	stranger := body(open)
	stranger.Metadata.Receiver = "NobodyService"
	unknown := body(open)
	unknown.Metadata.OrderID = nobody
	nameless := body(open)
	nameless.Metadata.CustomerID = "me"

	g.good(200, ask{op: "GET /health"})
	g.good(202, ask{op: root, body: body(open)}) // again, and charged once
	g.refused(422, ask{op: root, body: stranger})
	g.bad(422, ask{op: root, body: nameless})
	g.good(202, ask{op: root + "/reimburse", body: body(waits)}) // again, and given back once
	g.refused(404, ask{op: root + "/reimburse", body: unknown})
	g.refused(409, ask{op: root + "/reimburse", body: body(unpaid)})
	g.bad(422, ask{op: root + "/reimburse", body: nameless})

	var p struct {
		TransactionID string `json:"transaction_id"`
	}
	p = decodedAs(g.t, g.good(200, ask{op: "GET" + one, id: open.ID}).body, p)
	g.good(200, ask{op: "GET" + one, id: unpaid.ID})
	g.refused(404, ask{op: "GET" + one, id: nobody})
	g.bad(422, ask{op: "GET" + one, id: "one"})

	call := wire.PaymentCallback{Status: wire.PaymentPaid, CallerID: open.ID, TransactionID: p.TransactionID}
	g.good(201, ask{op: root + "/callback", body: call})
	call.CallerID = nobody
	g.refused(404, ask{op: root + "/callback", body: call})
	call.Status = wire.Delivered
	g.bad(422, ask{op: root + "/callback", body: call})

	g.quarantine("/v1/payments")

	g.good(202, ask{op: "POST" + one + "/ask", id: open.ID})
	g.refused(404, ask{op: "POST" + one + "/ask", id: nobody})
	g.bad(422, ask{op: "POST" + one + "/ask", id: "one"})
}

// quarantine looks at what a service keeps of callbacks for what nobody knows.
func (g *gate) quarantine(path string) {
	list, dismiss := "GET "+path+"/quarantine", "POST "+path+"/quarantine/dismiss/{id}"
	kept := decoded[[]quarantine.Kept](g.t, g.good(200, ask{op: list}).body)
	if len(kept) == 0 {
		g.t.Fatalf("%s: nothing", list)
	}
	g.refused(422, ask{op: list, query: "cursor=x"})
	g.bad(422, ask{op: list, query: "limit=many"})
	g.good(202, ask{op: dismiss, id: kept[0].ID})
	g.refused(404, ask{op: dismiss, id: nobody})
	g.bad(422, ask{op: dismiss, id: "one"})
}

func (g *gate) customers() {
	const root, one = " /v1/customers", " /v1/customers/{id}"
	g.good(200, ask{op: "GET /health"})
	g.good(201, ask{op: "POST" + root, body: customer("prism@example.com")})
	g.refused(409, ask{op: "POST" + root, body: customer("ada@example.com")})
	number := customer("card@example.com")
	number["payment_token"] = "4242424242424242"
	g.bad(422, ask{op: "POST" + root, body: number})

	g.good(200, ask{op: "GET" + root, query: "limit=200"})
	g.refused(422, ask{op: "GET" + root, query: "cursor=x"})
	g.bad(422, ask{op: "GET" + root, query: "limit=many"})

	items := []wire.Item{{Product: "Lasagna", Quantity: 2}}
	g.good(201, ask{op: "POST" + one + "/billing", id: ada, body: items})
	g.refused(404, ask{op: "POST" + one + "/billing", id: nobody, body: items})
	g.bad(422, ask{op: "POST" + one + "/billing", id: ada, body: []wire.Item{}})
	for _, of := range []string{"", "/address"} {
		g.good(200, ask{op: "GET" + one + of, id: ada})
		g.refused(404, ask{op: "GET" + one + of, id: nobody})
		g.bad(422, ask{op: "GET" + one + of, id: "me"})
	}
}

func (g *gate) deliveries(done, open, waits, gone wire.Order) {
	const root, one = "POST /v1/deliveries", " /v1/deliveries/{id}"
	g.good(200, ask{op: "GET /health"})
	body := wire.DeliveryRequest{
		Items: open.Items, Metadata: about(open), Address: wire.Address{Name: "Ada", Street: "1 Street", Zipcode: "123", City: "London"},
	}
	g.good(202, ask{op: root, body: body}) // again, and delivered once
	body.Items = nil
	g.bad(422, ask{op: root, body: body})

	g.good(200, ask{op: "GET /v1/deliveries"})
	g.good(200, ask{op: "GET /v1/deliveries", query: "courier_id=nobody&limit=1"})
	g.refused(422, ask{op: "GET /v1/deliveries", query: "cursor=x"})
	g.good(200, ask{op: "GET" + one, id: *done.DeliveryID})
	g.good(200, ask{op: "GET" + one, id: *open.DeliveryID})
	for _, question := range []string{"GET" + one, "POST" + one + "/cancel", "POST" + one + "/release", "POST" + one + "/ask"} {
		g.refused(404, ask{op: question, id: nobody})
		g.bad(422, ask{op: question, id: "one"})
	}
	g.good(201, ask{op: "POST" + one + "/cancel", id: *waits.DeliveryID}) // again: the order was cancelled
	g.refused(409, ask{op: "POST" + one + "/cancel", id: *open.DeliveryID})
	g.good(202, ask{op: "POST" + one + "/release", id: *gone.DeliveryID}) // again
	g.refused(409, ask{op: "POST" + one + "/release", id: *done.DeliveryID})
	g.good(202, ask{op: "POST" + one + "/ask", id: *open.DeliveryID})

	call := wire.DeliveryCallback{Status: wire.DriverAvailable, DeliveryID: *open.DeliveryID}
	g.good(201, ask{op: root + "/callback", body: call})
	call.DeliveryID = nobody
	g.refused(404, ask{op: root + "/callback", body: call})
	call.Status = wire.CookingMeal
	g.bad(422, ask{op: root + "/callback", body: call})
	g.quarantine("/v1/deliveries")
}

func (g *gate) kitchen(done, open, gone wire.Order) {
	const root, one = "POST /v1/kitchen", " /v1/kitchen/{id}"
	g.good(200, ask{op: "GET /health"})
	body := func(o wire.Order) wire.KitchenRequest { return wire.KitchenRequest{Items: o.Items, Metadata: about(o)} }
	g.good(202, ask{op: root, body: body(open)}) // again, and cooked once
	g.refused(409, ask{op: root, body: body(gone)})
	g.bad(422, ask{op: root, body: map[string]any{"items": gone.Items}})
	g.good(202, ask{op: root + "/release", body: body(gone)}) // again
	g.refused(409, ask{op: root + "/release", body: body(done)})
	g.bad(422, ask{op: root + "/release", body: map[string]any{"metadata": about(gone)}})

	g.good(200, ask{op: "GET /v1/kitchen"})
	g.good(200, ask{op: "GET /v1/kitchen", query: "restaurant_id=" + curry + "&limit=1"})
	g.refused(422, ask{op: "GET /v1/kitchen", query: "cursor=x"})
	g.good(200, ask{op: "GET" + one, id: *done.KitchenID})
	g.good(200, ask{op: "GET" + one, id: *open.KitchenID})
	g.good(202, ask{op: "POST" + one + "/ask", id: *open.KitchenID})
	for _, question := range []string{"GET" + one, "POST" + one + "/ask"} {
		g.refused(404, ask{op: question, id: nobody})
		g.bad(422, ask{op: question, id: "one"})
	}
	call := wire.KitchenCallback{Status: wire.CookingMeal, KitchenID: *open.KitchenID}
	g.good(201, ask{op: root + "/callback", body: call})
	call.KitchenID = nobody
	g.refused(404, ask{op: root + "/callback", body: call})
	call.Status = wire.InTransit
	g.bad(422, ask{op: root + "/callback", body: call})
	g.quarantine("/v1/kitchen")

	const restaurants, restaurant = "GET /v1/restaurants", " /v1/restaurants/{id}"
	g.good(200, ask{op: restaurants})
	g.refused(422, ask{op: restaurants, query: "cursor=x"})
	g.bad(422, ask{op: restaurants, query: "limit=-1"})
	tea := wire.MenuItem{Product: "Tea", Price: wire.Money{Amount: 250, Currency: wire.Euro}, Available: true}
	menu := func(items ...wire.MenuItem) map[string]any { return map[string]any{"name": "Tea Room", "items": items} }
	g.good(204, ask{op: "PUT" + restaurant, id: "0190a000-0000-7000-8000-0000000000aa", body: menu(tea)})
	g.refused(422, ask{op: "PUT" + restaurant, id: nobody, body: menu(tea, tea)})
	tea.Price.Currency = "euro"
	g.bad(422, ask{op: "PUT" + restaurant, id: nobody, body: menu(tea)})
	g.good(200, ask{op: "GET" + restaurant + "/menu", id: "0190a000-0000-7000-8000-0000000000aa"})
	g.refused(404, ask{op: "GET" + restaurant + "/menu", id: nobody})
	g.bad(422, ask{op: "GET" + restaurant + "/menu", id: "one"})
}

// parked takes work up again of all who can have some parked. It is parked because a neighbour or a company answers
// what nobody understands.
func (w *town) parked(gates map[string]*gate) {
	babble := httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, _ *http.Request) { _, _ = res.Write([]byte("[]")) }))
	w.t.Cleanup(babble.Close)
	find := func(name, url string) {
		w.t.Helper()
		if err := w.sys.Find(name, url); err != nil {
			w.t.Fatal(err)
		}
	}
	find(wire.CustomerService, babble.URL) // the first thing that is done for an order is to bill it
	id := w.place(grace, "").ID
	for _, c := range []struct {
		at        wire.Status // of the order, by then
		who       string      // babbles
		service   string      // has its work parked
		read, one string
		asks      bool // it talks to who when it is told to, and otherwise has done so already
	}{
		{wire.Created, wire.CustomerService, wire.PaymentService, "/v1/payments/{id}", "/v1/payments/{id}", false},
		{wire.PaymentPaid, wire.DeliveryService, wire.OrderService, "/v1/orders/{id}/story", "/v1/orders/{id}", false},
		{wire.DeliveryScheduled, wire.TransportCompany, wire.DeliveryService, "/v1/deliveries/{id}", "/v1/deliveries/{id}", true},
		{wire.CookingScheduled, wire.Restaurant, wire.KitchenService, "/v1/kitchen/{id}", "/v1/kitchen/{id}", true},
	} {
		g := gates[c.service].in(w.t)
		if !c.asks {
			find(c.who, babble.URL)
		}
		w.reach(id, c.at)
		w.pass(2 * time.Second) // what follows from the status is done, and on disk
		o := w.get(id)
		its := map[string]*string{wire.DeliveryService: o.DeliveryID, wire.KitchenService: o.KitchenID}[c.service]
		if its == nil {
			its = &id
		}
		if c.asks {
			find(c.who, babble.URL)
			g.good(202, ask{op: "POST " + c.one + "/ask", id: *its})
			w.pass(2 * time.Second)
		}
		var state struct {
			Owed []struct{ Name, Parked string }
		}
		state = decodedAs(w.t, g.good(200, ask{op: "GET " + c.read, id: *its}).body, state)
		name := ""
		for _, x := range state.Owed {
			if x.Parked != "" {
				name = x.Name
			}
		}
		if name == "" {
			w.t.Fatalf("at %s nothing is parked: %+v", c.at, state)
		}
		retry := "POST " + c.one + "/retry/{name}"
		find(c.who, "http://"+c.who)
		g.good(202, ask{op: retry, id: *its, name: name})
		g.refused(404, ask{op: retry, id: *its, name: "nothing"})
		g.refused(404, ask{op: retry, id: nobody, name: "nothing"})
		g.bad(422, ask{op: retry, id: "one", name: "nothing"})
	}
	mustBe(w.t, w.settle(id), "", whole...)
}
