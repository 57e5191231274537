package telemetry

import (
	"context"
	"errors"
	"maps"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/broker"
)

// traceHeader is a message's, as RabbitMQ carries it.
const traceHeader = "traceparent"

// Publisher has messages carry the trace of what they are published for. p itself where nothing is traced.
func (t *Telemetry) Publisher(p broker.Publisher) broker.Publisher {
	if t.export == nil {
		return p
	}
	return publisher{p}
}

type publisher struct{ broker.Publisher }

// Publish is broker.Publisher.
func (p publisher) Publish(ctx context.Context, m broker.Message) error {
	if in := format(trace.SpanContextFromContext(ctx)); in != "" && m.Header[traceHeader] == "" {
		m.Header = maps.Clone(m.Header)
		if m.Header == nil {
			m.Header = make(map[string]string, 1)
		}
		m.Header[traceHeader] = in
	}
	return p.Publisher.Publish(ctx, m)
}

// Handler makes a span of every message of a queue that a service takes, within the trace that the message carries, and
// counts what becomes of it. h itself where neither is wanted.
func (t *Telemetry) Handler(service, queue string, h broker.Handler) broker.Handler {
	if t.Metrics != nil {
		h = t.Metrics.counted(queue, h)
	}
	if t.export == nil {
		return h
	}
	tracer := t.Tracer(service)
	attributes := trace.WithAttributes(semconv.MessagingSystemKey.String(t.opt.Broker), semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationName(queue))
	return func(ctx context.Context, m broker.Message) error {
		if sc := parse(m.Header[traceHeader]); sc.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
		} else {
			ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
		}
		ctx, span := tracer.Start(ctx, "process "+queue, trace.WithSpanKind(trace.SpanKindConsumer), attributes,
			trace.WithAttributes(attribute.String("messaging.message.id", m.ID)))
		defer span.End()
		err := h(ctx, m)
		switch _, rejected := errors.AsType[*broker.Reject](err); {
		case rejected:
			span.SetStatus(codes.Error, "dead letter")
		case err != nil:
			span.SetStatus(codes.Error, "comes again")
		}
		return err
	}
}
