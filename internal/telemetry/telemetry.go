// Package telemetry tells what the system does, to whoever looks: traces by OpenTelemetry, metrics for Prometheus, and
// logs that name their trace and their order.
//
// What it promises:
//
//   - One order is one trace, from the request that placed it to its end, over services, queues, timers and restarts:
//     a record keeps the trace it was created in ([durable.Record]), and whatever happens to it is within that. What
//     comes from elsewhere, a partner's callback or an operator's click, is linked to.
//   - What is off costs nothing: no wrapper is installed and no context made.
//   - There is no state of the process: two systems in one process have two of everything.
//   - No span has a body, a query, a header or an error's own words in it: names, ids, statuses and kinds of failures
//     only, and the host that a request asked for. No label has an id: how many values there are is bounded by the
//     program, not by its load.
//   - A collector that is away costs spans, never time; the log says so, at most once a minute.
//
// It decides nothing. The packages that are watched declare what they tell (httpapi.Meter, durable.Tracer and
// durable.Meter), and this one listens.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Stdout is the OTLP setting that writes spans as JSON lines to the standard output.
const Stdout = "stdout"

// Options say what is told, and to whom. The zero value tells nobody anything.
type Options struct {
	Version  string
	Instance string // of this process, unique among all
	OTLP     string // http://host:4318 of a collector, [Stdout], or empty: no traces
	Ratio    float64
	Metrics  bool
	Broker   string // what messages go through: rabbitmq, or local
	Log      *slog.Logger
	// Describe says which order a record is about (empty: none) and what an event at it is called.
	Describe func(kind string, r durable.Record, e durable.Event) (order, event string)
	// Exporter takes the spans instead of OTLP's, for tests: each when it ends.
	Exporter sdktrace.SpanExporter
}

// Telemetry is what is told. It is safe for concurrent use.
type Telemetry struct {
	Metrics *Metrics // nil: off

	opt    Options
	export sdktrace.SpanProcessor // nil: no traces
	idle   func()                 // closes what the exporter leaves open

	mu        sync.Mutex
	providers map[string]*sdktrace.TracerProvider // by service
}

// scope names this package to whoever looks at a span.
const scope = "github.com/tiffin-food/tiffin/internal/telemetry"

// CheckOTLP says what is wrong with the OTLP setting.
func CheckOTLP(to string) error {
	if to == "" || to == Stdout {
		return nil
	}
	if u, err := url.Parse(to); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errors.New("otlp: not valid; expected http://host:4318 of a collector, or stdout")
	}
	return nil
}

// Open begins. It does not wait for the collector.
func Open(opt Options) (*Telemetry, error) {
	if err := CheckOTLP(opt.OTLP); err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Describe == nil {
		opt.Describe = func(_ string, _ durable.Record, e durable.Event) (string, string) { return "", e.Type }
	}
	t := &Telemetry{opt: opt, idle: func() {}, providers: map[string]*sdktrace.TracerProvider{}}
	if opt.Metrics {
		t.Metrics = newMetrics(opt.Version)
	}
	switch {
	case opt.Exporter != nil:
		t.export = sdktrace.NewSimpleSpanProcessor(opt.Exporter)
	case opt.OTLP == Stdout:
		t.export = sdktrace.NewSimpleSpanProcessor(&lines{to: os.Stdout})
	case opt.OTLP != "":
		if err := t.overHTTP(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Room for spans that wait: some seconds of a busy system. What comes when it is full is dropped.
const (
	spanRoom  = 1 << 15
	spanBatch = 1 << 10
	spanDelay = 2 * time.Second
)

// overHTTP makes the exporter to a collector.
func (t *Telemetry) overHTTP() error {
	u, err := url.Parse(t.opt.OTLP)
	if err != nil {
		return fmt.Errorf("otlp: %w", err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	inner, err := otlptracehttp.New(context.Background(),
		otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithHTTPClient(client))
	if err != nil {
		return fmt.Errorf("otlp: %w", err)
	}
	t.idle = transport.CloseIdleConnections
	t.export = sdktrace.NewBatchSpanProcessor(&calm{SpanExporter: inner, log: t.opt.Log},
		sdktrace.WithMaxQueueSize(spanRoom), sdktrace.WithMaxExportBatchSize(spanBatch), sdktrace.WithBatchTimeout(spanDelay))
	return nil
}

// Traces says whether there are any.
func (t *Telemetry) Traces() bool { return t.export != nil }

// Tracer makes the spans of a service; nil where nothing is traced.
func (t *Telemetry) Tracer(service string) trace.Tracer {
	if t.export == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.providers[service]
	if p == nil {
		p = sdktrace.NewTracerProvider(
			sdktrace.WithSpanProcessor(t.export),
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(t.opt.Ratio))),
			sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
				semconv.ServiceName(service), semconv.ServiceNamespace("tiffin"), semconv.ServiceVersion(t.opt.Version),
				semconv.ServiceInstanceID(t.opt.Instance))),
		)
		t.providers[service] = p
	}
	return p.Tracer(scope, trace.WithInstrumentationVersion(t.opt.Version))
}

// Close hands over the spans that wait, as long as ctx allows. Call it when nothing begins any more.
func (t *Telemetry) Close(ctx context.Context) error {
	if t == nil || t.export == nil {
		return nil
	}
	defer t.idle()
	if err := t.export.Shutdown(ctx); err != nil {
		return fmt.Errorf("traces: %w", err)
	}
	return nil
}

// calm is an exporter whose failures are logged, at most once a minute.
type calm struct {
	sdktrace.SpanExporter
	log *slog.Logger

	mu    sync.Mutex
	quiet time.Time // until then
	lost  int       // since the last line
}

const complainEvery = time.Minute

// ExportSpans is sdktrace.SpanExporter. It never fails: the SDK would tell the process's own error handler.
func (c *calm) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += len(spans)
	if now := time.Now(); now.After(c.quiet) {
		c.log.Warn("traces are lost", "spans", c.lost, "err", err)
		c.quiet, c.lost = now.Add(complainEvery), 0
	}
	return nil
}
