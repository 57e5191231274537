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
	{"identity", "IdentityService", "knows who is who: accounts, sessions, and the keys of programs"},
	{"kitchen", "KitchenService", "keeps the menus and sees the meal through the kitchen"},
}

// Whom routes are for: the services say the same again, for themselves.
var (
	everyone  = auth.Everyone
	customers = auth.For(auth.Customer, auth.Operator)
	kitchens  = auth.For(auth.Kitchen, auth.Operator)
	couriers  = auth.For(auth.Courier, auth.Operator)
	operators = auth.For(auth.Operator)
	signedIn  = auth.SignedIn
	people    = auth.For(auth.People...)
	// partners show their signature, which the service checks, or a key.
	partners = auth.Everyone
)

// Route is one door.
type Route struct {
	Pattern string // the ServeMux's: method and path
	Service string
	For     auth.Access
	Turn    Turn   // when it is turned away under too much work
	cookies bool   // the service sees the browser's cookies
	strip   string // prefix that the service does not know
}

// public is everything the outside may ask of the services. What is not here does not exist: commands between
// services (POST /v1/payments, /v1/payments/reimburse, /v1/deliveries, /v1/kitchen), a customer's billing and
// address.
var public = []Route{
	{Pattern: "POST /v1/orders", Service: "order", For: customers, Turn: NewOrders},
	{Pattern: "GET /v1/orders", Service: "order", For: customers, Turn: Lists},
	{Pattern: "GET /v1/orders/{id}", Service: "order", For: customers},
	{Pattern: "GET /v1/orders/{id}/events", Service: "order", For: customers},
	{Pattern: "POST /v1/orders/{id}/cancel", Service: "order", For: customers},
	{Pattern: "DELETE /v1/orders/{id}", Service: "order", For: customers},

	{Pattern: "POST /v1/auth/sign-up", Service: "identity", For: everyone},
	{Pattern: "POST /v1/auth/sign-in", Service: "identity", For: everyone},
	{Pattern: "POST /v1/auth/refresh", Service: "identity", For: everyone},
	{Pattern: "POST /v1/auth/sign-out", Service: "identity", For: everyone},
	{Pattern: "GET /v1/auth/oidc", Service: "identity", For: everyone},
	{Pattern: "GET /v1/auth/oidc/{provider}/start", Service: "identity", For: everyone},
	{Pattern: "GET /v1/auth/oidc/{provider}/callback", Service: "identity", For: everyone, cookies: true},
	{Pattern: "GET /.well-known/jwks.json", Service: "identity", For: everyone},
	{Pattern: "GET /v1/me", Service: "identity", For: signedIn},
	{Pattern: "PUT /v1/me/password", Service: "identity", For: signedIn},
	{Pattern: "POST /v1/me/customer", Service: "identity", For: signedIn},
	{Pattern: "GET /v1/accounts", Service: "identity", For: operators, Turn: Lists},
	{Pattern: "POST /v1/accounts", Service: "identity", For: operators},
	{Pattern: "GET /v1/accounts/{id}", Service: "identity", For: operators},
	{Pattern: "PATCH /v1/accounts/{id}", Service: "identity", For: operators},
	{Pattern: "GET /v1/keys", Service: "identity", For: operators, Turn: Lists},
	{Pattern: "POST /v1/keys", Service: "identity", For: operators},
	{Pattern: "DELETE /v1/keys/{id}", Service: "identity", For: operators},

	{Pattern: "POST /v1/customers", Service: "customer", For: operators},
	{Pattern: "GET /v1/customers", Service: "customer", For: operators, Turn: Lists},
	{Pattern: "GET /v1/customers/{id}", Service: "customer", For: customers},

	{Pattern: "GET /v1/restaurants", Service: "kitchen", For: everyone, Turn: Lists},
	{Pattern: "GET /v1/restaurants/{id}/menu", Service: "kitchen", For: everyone},

	{Pattern: "GET /v1/orders/{id}/story", Service: "order", For: operators},
	{Pattern: "POST /v1/orders/{id}/retry/{name}", Service: "order", For: operators},
	{Pattern: "GET /v1/queues", Service: "order", For: operators},
	{Pattern: "POST /v1/queues/{queue}/messages", Service: "order", For: operators},
	{Pattern: "GET /v1/events", Service: "order", For: operators},
	{Pattern: "GET /v1/backlog", Service: "order", For: operators},
	{Pattern: "GET /v1/dead-letters", Service: "order", For: operators, Turn: Lists},
	{Pattern: "POST /v1/dead-letters/{id}/requeue", Service: "order", For: operators},
	{Pattern: "GET /v1/payments/{id}", Service: "payment", For: operators},
	{Pattern: "POST /v1/payments/{id}/retry/{name}", Service: "payment", For: operators},
	{Pattern: "GET /v1/deliveries", Service: "delivery", For: couriers, Turn: Lists},
	{Pattern: "GET /v1/deliveries/{id}", Service: "delivery", For: couriers},
	{Pattern: "POST /v1/deliveries/{id}/retry/{name}", Service: "delivery", For: operators},
	{Pattern: "GET /v1/kitchen", Service: "kitchen", For: kitchens, Turn: Lists},
	{Pattern: "GET /v1/kitchen/{id}", Service: "kitchen", For: kitchens},
	{Pattern: "POST /v1/kitchen/{id}/retry/{name}", Service: "kitchen", For: operators},
	{Pattern: "PUT /v1/restaurants/{id}", Service: "kitchen", For: kitchens},

	{Pattern: "GET /v1/payments/quarantine", Service: "payment", For: operators, Turn: Lists},
	{Pattern: "POST /v1/payments/quarantine/dismiss/{id}", Service: "payment", For: operators},
	{Pattern: "GET /v1/deliveries/quarantine", Service: "delivery", For: operators, Turn: Lists},
	{Pattern: "POST /v1/deliveries/quarantine/dismiss/{id}", Service: "delivery", For: operators},
	{Pattern: "GET /v1/kitchen/quarantine", Service: "kitchen", For: operators, Turn: Lists},
	{Pattern: "POST /v1/kitchen/quarantine/dismiss/{id}", Service: "kitchen", For: operators},

	{Pattern: "POST /v1/payments/callback", Service: "payment", For: partners},
	{Pattern: "POST /v1/deliveries/callback", Service: "delivery", For: partners},
	{Pattern: "POST /v1/kitchen/callback", Service: "kitchen", For: partners},
}

// answered are the routes of the API that the gateway answers itself, for its page.
var answered = []Route{
	{Pattern: "GET /v1/me/dashboard", Service: "gateway", For: people},
	{Pattern: "GET /v1/instances", Service: "gateway", For: operators},
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
