package e2e_test

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// gate is Prism before a service of a town, and how often each of the service's routes was driven through it.
type gate struct {
	*process
	t       *testing.T
	w       *town
	service string
	tailed  chan struct{} // closed when the service is asked for its domain events
	close   func()        // ends the service's server; Prism stays
	driven  map[string]map[verdict]int
}

// verdict is what the document and the service say to a request.
type verdict string

const (
	fine      verdict = "good"
	refused   verdict = "refused"   // by the service; the document has nothing against it
	malformed verdict = "malformed" // for both
)

// ask is a request: op is the route, {id} and {name} in it are the others.
type ask struct {
	op, id, name, query string
	body                any
	headers             []string
}

// contracted are the services of the contract, which others' may stand in for. Identity is ours alone: the guide and the
// tests of who may do what drive it.
var contracted = []string{wire.CustomerService, wire.KitchenService, wire.OrderService, wire.PaymentService, wire.DeliveryService}

// gates puts Prism before all services until the test ends.
func (w *town) gates() map[string]*gate {
	w.t.Helper()
	all := map[string]*gate{}
	for _, name := range contracted {
		g := &gate{t: w.t, w: w, service: name, tailed: make(chan struct{}), driven: map[string]map[verdict]int{}}
		to := g.serve()
		g.process = prism(w.t, name, "proxy", to)
		all[name] = g
	}
	for _, g := range all {
		g.awaitReady()
	}
	return all
}

// serve has the service on a socket, and says where.
func (g *gate) serve() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(g.w.ctx)
	served := make(chan error, 1)
	tailed := sync.OnceFunc(func() { close(g.tailed) })
	service := g.w.sys.API(g.service)
	go func() {
		served <- g.w.sys.Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/events" {
				tailed()
			}
			service.ServeHTTP(w, r)
		}))
	}()
	g.close = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			g.t.Error(err)
		}
	})
	g.t.Cleanup(g.close)
	return "http://" + ln.Addr().String()
}

// in is the gate for a subtest.
func (g *gate) in(t *testing.T) *gate {
	sub := *g
	sub.t, sub.w = t, g.w.in(t)
	return &sub
}

// good makes a request that the document allows and the service carries out.
func (g *gate) good(status int, a ask) answer {
	g.t.Helper()
	return g.drive(status, a, fine)
}

// refused makes a request that the document allows and the service refuses.
func (g *gate) refused(status int, a ask) {
	g.t.Helper()
	g.drive(status, a, refused)
}

// bad makes a request that the document forbids and the service refuses.
func (g *gate) bad(status int, a ask) {
	g.t.Helper()
	g.drive(status, a, malformed)
}

func (g *gate) drive(status int, a ask, v verdict) answer {
	g.t.Helper()
	method, path, _ := strings.Cut(a.op, " ")
	path = strings.NewReplacer("{id}", a.id, "{name}", a.name).Replace(path)
	if a.query != "" {
		path += "?" + a.query
	}
	shown := inside
	if strings.HasSuffix(path, "/callback") { // a signature is over bytes that Prism writes anew
		shown = byAKey(companyOf(path))
	}
	got, err := g.w.do(g.w.ctx, method, g.address()+path, a.body, slices.Concat(shown, a.headers)...)
	if err != nil {
		g.t.Fatalf("%s: %v", a.op, err)
	}
	g.check(a, got, status, v)
	return got
}

// check holds an answer against the document.
func (g *gate) check(a ask, got answer, status int, v verdict) {
	g.t.Helper()
	if g.driven[a.op] == nil {
		g.driven[a.op] = map[verdict]int{}
	}
	g.driven[a.op][v]++
	if got.status != status {
		g.t.Errorf("%s %s: %s, want %d", a.op, a.id, got, status)
	}
	request, response := violations(g.t, got.header)
	if len(response) > 0 {
		g.t.Errorf("%s: the answer %s is against the document: %v", a.op, got, response)
	}
	if v == malformed && len(request) == 0 {
		g.t.Errorf("%s: the service finds malformed what the document allows: %s", a.op, got)
	}
	if v != malformed && len(request) > 0 {
		g.t.Errorf("%s: the request is against the document: %v", a.op, request)
	}
	if v != fine {
		problemOf(g.t, got)
	}
}

// complete reports routes of the document that were not driven, and driven ones that it does not have.
func (g *gate) complete() {
	g.t.Helper()
	document, err := app.OpenAPI(g.service, "e2e")
	if err != nil {
		g.t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	doc = decodedAs(g.t, document, doc)
	var ops []string
	for path, methods := range doc.Paths {
		for method := range methods {
			op := strings.ToUpper(method) + " " + strings.ReplaceAll(path, "{queue}", "{name}")
			ops = append(ops, op)
			d := g.driven[op]
			if d[fine] == 0 || d[refused]+d[malformed] == 0 && !slices.Contains(irrefusable, op) {
				g.t.Errorf("%s: %s was driven %v", g.service, op, d)
			}
		}
	}
	slices.Sort(ops)
	if got := slices.Sorted(maps.Keys(g.driven)); !slices.Equal(got, ops) {
		g.t.Errorf("the %s service was asked %q, and its document has %q", g.service, got, ops)
	}
}
