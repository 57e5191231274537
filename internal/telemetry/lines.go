package telemetry

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// lines is an exporter that writes a line of JSON for each span.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

// line is a span as it is written.
type line struct {
	Service string         `json:"service"`
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`
	Trace   string         `json:"trace_id"`
	Span    string         `json:"span_id"`
	Parent  string         `json:"parent_id,omitempty"`
	Links   []string       `json:"links,omitempty"`
	Start   time.Time      `json:"start"`
	Seconds float64        `json:"seconds"`
	Error   string         `json:"error,omitempty"`
	Attr    map[string]any `json:"attributes,omitempty"`
}

// ExportSpans is sdktrace.SpanExporter.
func (l *lines) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	enc := json.NewEncoder(l.to)
	for _, s := range spans {
		out := line{
			Name: s.Name(), Kind: s.SpanKind().String(), Trace: s.SpanContext().TraceID().String(), Span: s.SpanContext().SpanID().String(),
			Start: s.StartTime(), Seconds: s.EndTime().Sub(s.StartTime()).Seconds(), Error: s.Status().Description, Attr: map[string]any{},
		}
		if p := s.Parent(); p.IsValid() {
			out.Parent = p.SpanID().String()
		}
		for _, link := range s.Links() {
			out.Links = append(out.Links, link.SpanContext.TraceID().String()+"/"+link.SpanContext.SpanID().String())
		}
		for _, a := range s.Attributes() {
			out.Attr[string(a.Key)] = a.Value.AsInterface()
		}
		if name, ok := s.Resource().Set().Value(semconv.ServiceNameKey); ok {
			out.Service = name.AsString()
		}
		if err := enc.Encode(out); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown is sdktrace.SpanExporter.
func (l *lines) Shutdown(context.Context) error { return nil }
