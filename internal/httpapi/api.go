package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// MaxBody is how many bytes a request's body may have where nothing else is said.
const MaxBody = 1 << 20

// Options describe a service. Name and Version are required.
type Options struct {
	Name        string // as in health and in queues: "OrderService"
	Title       string // of the documentation; Name
	Version     string
	Description string // Markdown
	Log         *slog.Logger
	MaxBody     int64 // bytes; [MaxBody]
	Checks      []Check
	// Authenticate finds out who makes a request; nil: everybody is nobody, and only what is for everyone answers.
	Authenticate auth.Authenticator
	CertExpires  func() time.Time // of the certificate the service is served with; nil: it has none
	// Pressure is told with every answer where it is not 0, in PressureHeader; nil: none is.
	Pressure func() float64
	// Middleware wraps the routes, the first outermost. It runs inside the request's id, the body limit and the
	// recovery from panics, and outside of routing: the request's Pattern is not known yet.
	Middleware []func(http.Handler) http.Handler
	// Header looks at every answer's header before it goes out, and may add to it. The request has its Pattern then, and
	// its caller. nil: nobody looks.
	Header func(http.Header, *http.Request)
	NoDocs bool // leave /openapi.json and /docs to others

	Tracer  trace.Tracer // nil: nothing is traced
	Outside bool         // requests come from outsiders, whose traces are linked to and not continued
	Meter   Meter        // nil: nothing is counted
	Access  bool         // log every request, at level info, but health, metrics and documents that were answered well
}

// Operation describes a route; Method and Path ("/v1/orders/{id}") are required, OperationID is made from them.
type Operation = huma.Operation

// API is a service's HTTP side. Register everything before the first request; from then on it is safe for
// concurrent use.
type API struct {
	opt     Options
	huma    huma.API
	mux     *http.ServeMux
	handler http.Handler
	health  health
	ready   atomic.Bool
	spec    func() ([]byte, error)
	routes  []Route
}

// Route is a route and who may use it.
type Route struct {
	Method, Path string
	Access       auth.Access
}

// Routes are all that were registered, for whoever checks them.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// New makes an API with health and documentation and without routes. It is not ready until SetReady.
func New(opt Options) *API {
	if opt.Name == "" || opt.Version == "" {
		panic("httpapi: Name and Version are required")
	}
	if opt.Title == "" {
		opt.Title = opt.Name
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.MaxBody == 0 {
		opt.MaxBody = MaxBody
	}
	a := &API{opt: opt, mux: http.NewServeMux()}
	a.huma = humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: opt.Title, Version: opt.Version, Description: opt.Description},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: securitySchemes,
				Responses:       map[string]*huma.Response{},
			},
		},
		Formats:       formats,
		DefaultFormat: "application/json",
		// No CreateHooks: huma's own put $schema into every body.
	})
	a.spec = sync.OnceValues(func() ([]byte, error) { return json.MarshalIndent(a.huma.OpenAPI(), "", "  ") })
	a.health = health{name: opt.Name, version: opt.Version, checks: opt.Checks, expires: opt.CertExpires}
	a.handler = a.mux
	for i := len(opt.Middleware) - 1; i >= 0; i-- {
		a.handler = opt.Middleware[i](a.handler)
	}
	a.registerHealth()
	if !opt.NoDocs {
		a.registerDocs()
	}
	return a
}

// Register adds a route for those who have access, and for nobody else: who is nobody gets 401, who has another role
// 403. I holds what comes in: fields tagged path, query or header, and Body. O holds what goes
// out: fields tagged header, and Body. The handler's error is answered as errors.go says; its input is valid, and no
// text of it holds what looks like a card's number, but where the body is kept (KeepBody).
// Register panics where the types make no sense, or access is nobody's: mistakes in the program.
func Register[I, O any](a *API, access auth.Access, op Operation, handler func(context.Context, *I) (*O, error)) {
	a.complete(&op, access)
	own := maps.Clone(op.Responses)
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	if op.Metadata[keepsBody] == nil {
		handler = cardless(handler)
	}
	huma.Register(a.huma, op, handler) // writes into op.Responses
	a.share(op, own)
}

// complete fills in what every operation of ours has in common.
func (a *API) complete(op *Operation, access auth.Access) {
	a.guard(op.Method, op.Path, access)
	if !access.Public() {
		op.Security = security
		op.Middlewares = append(huma.Middlewares{admission(access)}, op.Middlewares...)
		op.Errors = append(slices.Clone(op.Errors), http.StatusUnauthorized, http.StatusForbidden)
	}
	op.Errors = append(slices.Clone(op.Errors), http.StatusTooManyRequests, http.StatusServiceUnavailable)
	if op.Method == http.MethodPost || op.Method == http.MethodPut {
		op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if op.OperationID == "" {
		op.OperationID = operationID(op.Method, op.Path)
	}
	if op.BodyReadTimeout == 0 {
		op.BodyReadTimeout = bodyTimeout
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = a.opt.MaxBody + 1 // the exchange's limit comes first; huma's refuses the exact size
	}
}

// operationID is the route in words: get-v1-orders-id.
func operationID(method, path string) string {
	words := strings.FieldsFunc(method+path, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return strings.ToLower(strings.Join(words, "-"))
}

// Handle adds a route that the documentation does not show, for those who have access. The pattern is the ServeMux's,
// with a method.
func (a *API) Handle(pattern string, access auth.Access, h http.Handler) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		panic("httpapi: the pattern " + pattern + " has no method")
	}
	a.guard(method, path, access)
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := access.Allows(auth.From(r.Context()), r.Method); err != nil {
			WriteError(w, r, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// OpenAPI is the document served at /openapi.json, the same bytes for the same routes. Call it after the last
// Register.
func (a *API) OpenAPI() ([]byte, error) {
	b, err := a.spec()
	if err != nil {
		return nil, fmt.Errorf("openapi of %s: %w", a.opt.Name, err)
	}
	return b, nil
}

// SetReady says whether /readyz answers 200: the service has started and takes requests.
func (a *API) SetReady(ready bool) { a.ready.Store(ready) }

// Drain makes the API unready. [Serve] calls it when it begins to stop.
func (a *API) Drain() { a.SetReady(false) }

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(w, r) }
