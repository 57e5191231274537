package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// scope names this package to whoever looks at a span.
const scope = "github.com/tiffin-food/tiffin/internal/httpapi"

// TraceHeaders carry a trace from process to process. An outsider's end at the gateway.
var TraceHeaders = []string{"Traceparent", "Tracestate", "Baggage"}

var w3c propagation.TraceContext

// Inject has a request continue the trace of ctx, if it has one.
func Inject(ctx context.Context, header http.Header) {
	if trace.SpanContextFromContext(ctx).IsValid() {
		w3c.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// quiet says whether a path is one that machines ask all the time and nobody wants to see: health, metrics, documents.
func quiet(path string) bool {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "health", "livez", "readyz", "metrics", "openapi.json", "docs":
		return true
	}
	return strings.Contains(path, "/docs/")
}

// follow begins the request's span. It continues the caller's trace where the caller is one of us, and begins one that
// links to it where not: an outsider chooses neither what is recorded nor whose trace it is in.
func (x *exchange) follow(r *http.Request) *http.Request {
	opt := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("http.request.method", method(r.Method)), attribute.String("server.address", hostname(r.Host)),
			attribute.String("tiffin.request_id", x.id)),
	}
	from := w3c.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx := from
	if remote := trace.SpanContextFromContext(from); remote.IsValid() && !x.api.continues(auth.From(r.Context())) {
		ctx = r.Context()
		opt = append(opt, trace.WithLinks(trace.Link{SpanContext: remote}))
	}
	ctx, x.span = x.api.opt.Tracer.Start(ctx, method(r.Method), opt...)
	return r.WithContext(ctx)
}

// continues says whether the caller's trace is ours.
func (a *API) continues(caller auth.Caller) bool {
	return !a.opt.Outside && (a.opt.Authenticate == nil || !caller.Nobody() && !caller.Is(auth.Partner))
}

// followed ends the request's span.
func (x *exchange) followed(pattern string, status int) {
	if pattern != "" {
		x.span.SetName(pattern)
		_, route, _ := strings.Cut(pattern, " ")
		x.span.SetAttributes(attribute.String("http.route", route))
	}
	x.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= 500 {
		x.span.SetStatus(codes.Error, http.StatusText(status))
	}
	x.span.End()
}

// called begins the span of a request to a service, where what it is for is traced. What it is given the service may
// be told: a service that we have no key for is none of ours, and hears nothing of our traces.
func (c *Client) called(ctx context.Context, to, verb string, header http.Header, attempt int) (context.Context, callSpan) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsValid() {
		return ctx, callSpan{}
	}
	if verb != uncalled {
		verb = method(verb)
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, verb+" "+to,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("http.request.method", method(verb)), attribute.String("peer.service", to)))
	if attempt > 1 {
		span.SetAttributes(attribute.Int("http.request.resend_count", attempt-1))
	}
	if header != nil && c.opt.Keys[to] != "" {
		w3c.Inject(ctx, propagation.HeaderCarrier(header))
	}
	return ctx, callSpan{span}
}

// uncalled stands for the method of a call that was not made.
const uncalled = "call"

// refused is the span of a call that was not made.
func (c *Client) refused(ctx context.Context, to string, err error) {
	_, span := c.called(ctx, to, uncalled, nil, 0)
	span.end(0, err)
}

// callSpan is a call's span; the zero value is none.
type callSpan struct{ span trace.Span }

func (s callSpan) end(status int, err error) {
	if s.span == nil {
		return
	}
	switch {
	case err != nil:
		kind := failure(err)
		s.span.SetAttributes(attribute.String("error.type", kind))
		s.span.SetStatus(codes.Error, kind) // the error's own words may quote what we do not know
	case status >= 400:
		s.span.SetStatus(codes.Error, http.StatusText(status))
	}
	if status != 0 {
		s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	s.span.End()
}

// failure is an error's kind, of a few.
func failure(err error) string {
	var network *net.OpError
	switch {
	case errors.Is(err, ErrOpen):
		return "circuit open"
	case errors.Is(err, ErrNoService):
		return "no instance"
	case errors.Is(err, ErrTooLarge):
		return "answer too large"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &network):
		return network.Op // dial, read, write
	}
	return "broken connection"
}

// method is an HTTP method, of those there are.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "_OTHER"
}

// hostname is a request's host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host[:min(len(host), 255)]
}
