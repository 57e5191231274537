package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Middleware is one link of the chain.
type Middleware = func(http.Handler) http.Handler

// Options are a gateway's settings; Version and Transport have no default.
type Options struct {
	Version string
	// Transport reaches a service by its name: an *httpapi.Local, or an *httpapi.Client, which resolves and balances.
	Transport http.RoundTripper
	Log       *slog.Logger
	Timeout   time.Duration // of a forwarded request, event streams excepted once they have begun; real time, 30 s
	MaxBody   int64         // bytes; 1 MiB

	// Limit is around every route that does work; see the package comment for the order. nil: not there.
	Limit Middleware
	// Origins are the pages of other sites that may use the API.
	Origins Origins
	// Proxies are believed when they say for whom they ask.
	Proxies Proxies

	// Authenticate finds out who a request is from; nil: everybody is nobody.
	Authenticate auth.Authenticator

	// Instances lists the instances that were called; nil: nobody knows any.
	Instances func() []httpapi.Instance
	// CertExpires is when the certificate does that the gateway is served with; nil: it has none.
	CertExpires func() time.Time
	Tracer      trace.Tracer  // nil: nothing is traced
	Meter       httpapi.Meter // nil: nothing is counted

	// Pressure is the share of new work to turn away now, 0 to 1, and Hear is told what services say of theirs; see
	// package pressure. nil: nothing is turned away.
	Pressure func() float64
	Hear     func(float64)

	// Demo is the customer that the landing page's example orders for; zero: whoever reads it puts in his own.
	Demo Demo
}

// Demo is a customer whose password everybody may know.
type Demo struct{ ID, Email, Password string }

// Public says whether there is one.
func (d Demo) Public() bool { return d.ID != "" }

// Gateway is the public door. It is an http.Handler, safe for concurrent use.
type Gateway struct {
	*httpapi.API
	opt     Options
	outer   http.Handler // the API with what is around it
	shedder *shedder
}

// New makes a gateway. It is not ready until SetReady.
func New(opt Options) *Gateway {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Timeout == 0 {
		opt.Timeout = 30 * time.Second
	}
	g := &Gateway{opt: opt, shedder: newShedder(opt.Pressure, public)}
	settings := httpapi.Options{
		Name: "Gateway", Title: "Tiffin gateway", Version: opt.Version, Log: opt.Log, MaxBody: opt.MaxBody,
		Description: "What the public door answers itself. What it forwards is in the services' own documents, behind their names: " +
			"/order/docs and so on.",
		Authenticate: opt.Authenticate, CertExpires: opt.CertExpires, Header: header,
		Middleware: []Middleware{opt.Origins.protect},
		Tracer:     opt.Tracer, Meter: opt.Meter, Outside: true, Access: true,
	}
	for _, s := range Services {
		settings.Checks = append(settings.Checks, httpapi.Check{
			Name: s.Title, Peer: true, Func: func(ctx context.Context) error { return g.probe(ctx, s.Name) },
		})
	}
	g.API = httpapi.New(settings)
	g.outer = g.shedder.before(compress(g.API))
	if share := opt.Origins.share(); share != nil {
		g.outer = share(g.outer)
	}
	for _, route := range routes() {
		h := g.forward(route)
		if opt.Limit != nil {
			h = opt.Limit(h)
		}
		g.Handle(route.Pattern, route.For, plainPath(h))
	}
	g.own()
	g.Handle("GET /{$}", everyone, http.HandlerFunc(g.landing))
	return g
}

// ServeHTTP answers a request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.outer.ServeHTTP(w, r) }

// plainPath refuses escapes in a path. No public path needs one, and what one side takes for a slash the other may
// take for a letter.
func plainPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawPath != "" || r.URL.EscapedPath() != r.URL.Path {
			httpapi.WriteError(w, r, httpapi.Errorf(http.StatusNotFound, "there is no such path"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// probe asks whether a service does its work.
func (g *Gateway) probe(ctx context.Context, service string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+service+"/health", nil)
	if err != nil {
		return err
	}
	res, err := g.opt.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // only the status counts
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}
