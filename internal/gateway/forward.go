package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

var errTimeout = errors.New("the service did not answer in time")

var buffers = bufferPool{sync.Pool{New: func() any { return new([copyBuffer]byte) }}}

const copyBuffer = 16 << 10

type bufferPool struct{ sync.Pool }

func (p *bufferPool) Get() []byte  { return p.Pool.Get().(*[copyBuffer]byte)[:] }
func (p *bufferPool) Put(b []byte) { p.Pool.Put((*[copyBuffer]byte)(b)) }

// private are the headers that end here: credentials, what would claim an identity inside, and traces that are not ours.
var private = append([]string{auth.KeyHeader, auth.Header, "Authorization", "Cookie", "Proxy-Authorization"}, httpapi.TraceHeaders...)

// forward makes the handler of a route: the standard library's proxy, which knows the headers that go from hop to
// hop and passes event streams on as they come.
func (g *Gateway) forward(route Route) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", route.Service, route.Service
			if route.strip != "" {
				p.Out.URL.Path = strings.TrimPrefix(p.Out.URL.Path, route.strip)
			}
			p.SetXForwarded()
			if client, ok := g.opt.Proxies.Client(p.In); ok {
				p.Out.Header.Set("X-Forwarded-For", client.String())
			}
			for _, name := range private {
				if name != "Cookie" || !route.cookies {
					p.Out.Header.Del(name)
				}
			}
			httpapi.Inject(p.In.Context(), p.Out.Header) // our own trace
			if caller := auth.From(p.In.Context()); !caller.Nobody() {
				p.Out.Header.Set(auth.Header, caller.Encode())
			}
			p.Out.Header.Set(httpapi.RequestIDHeader, httpapi.RequestID(p.In.Context()))
		},
		Transport:    (*upstream)(g),
		BufferPool:   &buffers,
		ErrorLog:     slog.NewLogLogger(g.opt.Log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { g.fail(w, r, route, err) },
		ModifyResponse: func(res *http.Response) error {
			res.Header.Del(httpapi.RequestIDHeader) // it is there already
			g.hear(res)
			res.Header.Del("Server")
			res.Header.Del("X-Powered-By")
			return nil
		},
	}
}

// fail answers for a service that did not.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, route Route, err error) {
	var (
		dial  *net.OpError
		large *http.MaxBytesError
	)
	problem := httpapi.Errorf(http.StatusBadGateway, "the %s service broke off its answer", route.Service)
	switch {
	case errors.As(err, &large):
		problem = large
	case r.Context().Err() != nil: // nobody hears the answer
		httpapi.WriteError(w, r, r.Context().Err())
		return
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded):
		problem = httpapi.Errorf(http.StatusGatewayTimeout, "the %s service did not answer in time", route.Service)
	case errors.Is(err, httpapi.ErrNoService), errors.Is(err, httpapi.ErrOpen), errors.As(err, &dial) && dial.Op == "dial":
		problem = httpapi.Errorf(http.StatusServiceUnavailable, "the %s service cannot be reached now", route.Service)
	}
	g.opt.Log.WarnContext(r.Context(), "not forwarded", "request_id", httpapi.RequestID(r.Context()), "route", route.Pattern, "err", err)
	httpapi.WriteError(w, r, problem)
}

// upstream is the gateway's transport with a timeout, and with an end for event streams when the server stops.
type upstream Gateway

func (u *upstream) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(u.opt.Timeout, func() { cancel(errTimeout) })
	end := func() {
		timer.Stop()
		cancel(nil)
	}
	res, err := u.opt.Transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errTimeout) {
			err = cause
		}
		end()
		return nil, err
	}
	body := &forwarded{ReadCloser: res.Body, end: end}
	res.Body = body
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == httpapi.StreamType {
		timer.Stop()
		go func() {
			select {
			case <-httpapi.Draining(ctx):
				body.drained.Store(true)
				cancel(nil)
			case <-ctx.Done():
			}
		}()
	}
	return res, nil
}

// forwarded is a service's answer under way.
type forwarded struct {
	io.ReadCloser
	end     func()
	drained atomic.Bool
}

// Read takes the end of a stream that we ended for its own.
func (b *forwarded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.drained.Load() {
		err = io.EOF
	}
	return n, err
}

func (b *forwarded) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
