package gateway

import (
	"net/http"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// Service is one that the gateway forwards to. Name is the host it has in the transport, and its prefix for
// documentation and health.
type Service struct {
	Name  string
	Title string
	About string
}

// Services are those behind the gateway.
var Services = []Service{
	{"order", "OrderService", "takes orders, tells how far they are, cancels them while that is possible"},
	{"payment", "PaymentService", "charges once, refunds exactly what was charged"},
	{"customer", "CustomerService", "knows who orders, where they live and how they pay"},
	{"delivery", "DeliveryService", "finds a driver and follows them to the door"},
	{"kitchen", "KitchenService", "keeps the menus and sees the meal through the kitchen"},
}

// Whom routes are for: the services say the same again, for themselves.
var (
	everyone  = auth.Everyone
	customers = auth.For(auth.Customer, auth.Operator)
	kitchens  = auth.For(auth.Kitchen, auth.Operator)
	couriers  = auth.For(auth.Courier, auth.Operator)
	operators = auth.For(auth.Operator)
	// partners show their signature, which the service checks, or a key.
	partners = auth.Everyone
)

// Route is one door.
type Route struct {
	Pattern string // the ServeMux's: method and path
	Service string
	For     auth.Access
	strip   string // prefix that the service does not know
}

// public is everything the outside may ask of the services. What is not here does not exist: commands between
// services (POST /v1/payments, /v1/payments/reimburse, /v1/deliveries, /v1/kitchen), a customer's billing and
// address.
var public = []Route{
	{Pattern: "POST /v1/orders", Service: "order", For: customers},
	{Pattern: "GET /v1/orders", Service: "order", For: customers},
	{Pattern: "GET /v1/orders/{id}", Service: "order", For: customers},
	{Pattern: "GET /v1/orders/{id}/events", Service: "order", For: customers},
	{Pattern: "POST /v1/orders/{id}/cancel", Service: "order", For: customers},
	{Pattern: "DELETE /v1/orders/{id}", Service: "order", For: customers},

	{Pattern: "POST /v1/customers", Service: "customer", For: operators},
	{Pattern: "GET /v1/customers", Service: "customer", For: operators},
	{Pattern: "GET /v1/customers/{id}", Service: "customer", For: customers},

	{Pattern: "GET /v1/restaurants", Service: "kitchen", For: everyone},
	{Pattern: "GET /v1/restaurants/{id}/menu", Service: "kitchen", For: everyone},

	{Pattern: "GET /v1/orders/{id}/story", Service: "order", For: operators},
	{Pattern: "POST /v1/orders/{id}/retry/{name}", Service: "order", For: operators},
	{Pattern: "GET /v1/queues", Service: "order", For: operators},
	{Pattern: "POST /v1/queues/{queue}/messages", Service: "order", For: operators},
	{Pattern: "GET /v1/events", Service: "order", For: operators},
	{Pattern: "GET /v1/dead-letters", Service: "order", For: operators},
	{Pattern: "POST /v1/dead-letters/{id}/requeue", Service: "order", For: operators},
	{Pattern: "GET /v1/payments/{id}", Service: "payment", For: operators},
	{Pattern: "POST /v1/payments/{id}/retry/{name}", Service: "payment", For: operators},
	{Pattern: "GET /v1/deliveries", Service: "delivery", For: couriers},
	{Pattern: "GET /v1/deliveries/{id}", Service: "delivery", For: couriers},
	{Pattern: "POST /v1/deliveries/{id}/retry/{name}", Service: "delivery", For: operators},
	{Pattern: "GET /v1/kitchen", Service: "kitchen", For: kitchens},
	{Pattern: "GET /v1/kitchen/{id}", Service: "kitchen", For: kitchens},
	{Pattern: "POST /v1/kitchen/{id}/retry/{name}", Service: "kitchen", For: operators},
	{Pattern: "PUT /v1/restaurants/{id}", Service: "kitchen", For: kitchens},

	{Pattern: "POST /v1/payments/callback", Service: "payment", For: partners},
	{Pattern: "POST /v1/deliveries/callback", Service: "delivery", For: partners},
	{Pattern: "POST /v1/kitchen/callback", Service: "kitchen", For: partners},
}

// routes is public and, for every service, its documentation and health.
func routes() []Route {
	all := append([]Route(nil), public...)
	for _, s := range Services {
		for _, path := range []string{"/docs", "/docs/{file}", "/openapi.json", "/health"} {
			all = append(all, Route{Pattern: "GET /" + s.Name + path, Service: s.Name, For: everyone, strip: "/" + s.Name})
		}
	}
	return all
}

// byPattern finds a route again.
var byPattern = func() map[string]Route {
	m := map[string]Route{}
	for _, r := range routes() {
		m[r.Pattern] = r
	}
	return m
}()

// RouteOf is the route a request took.
func RouteOf(r *http.Request) (Route, bool) {
	route, ok := byPattern[r.Pattern]
	return route, ok
}
