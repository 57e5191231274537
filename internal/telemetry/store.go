package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Store makes a span of every call to a store that is made for something that is traced. s itself where nothing is.
// system is the engine, as semantic conventions call it: sqlite, mongodb, postgresql.
func (t *Telemetry) Store(s durable.Store, service, kind, system string) durable.Store {
	if t.export == nil || s == nil {
		return s
	}
	return &store{Store: s, tracer: t.Tracer(service), attributes: trace.WithAttributes(
		semconv.DBSystemNameKey.String(system), semconv.DBCollectionName(kind)), kind: kind}
}

type store struct {
	durable.Store
	tracer     trace.Tracer
	kind       string
	attributes trace.SpanStartEventOption
}

// Features are the store's own.
func (s *store) Features() durable.Features { return durable.FeaturesOf(s.Store) }

func (s *store) begin(ctx context.Context, call string) (context.Context, trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, nil
	}
	return s.tracer.Start(ctx, call+" "+s.kind, trace.WithSpanKind(trace.SpanKindClient), s.attributes,
		trace.WithAttributes(semconv.DBOperationName(call)))
}

func end(span trace.Span, err error) {
	if span == nil {
		return
	}
	_, exists := errors.AsType[*durable.ExistsError](err)
	switch {
	case err == nil:
	case exists:
		span.SetAttributes(keyResult.String("exists"))
	case errors.Is(err, durable.ErrNotFound):
		span.SetAttributes(keyResult.String("not found"))
	case errors.Is(err, durable.ErrConflict):
		span.SetAttributes(keyResult.String("conflict"))
	default:
		span.SetStatus(codes.Error, failing(err))
	}
	span.End()
}

// Create is durable.Store.
func (s *store) Create(ctx context.Context, r durable.Record) error {
	ctx, span := s.begin(ctx, "create")
	err := s.Store.Create(ctx, r)
	end(span, err)
	return err
}

// Load is durable.Store.
func (s *store) Load(ctx context.Context, id string) (durable.Record, error) {
	ctx, span := s.begin(ctx, "load")
	r, err := s.Store.Load(ctx, id)
	end(span, err)
	return r, err
}

// Save is durable.Store.
func (s *store) Save(ctx context.Context, r durable.Record) error {
	ctx, span := s.begin(ctx, "save")
	err := s.Store.Save(ctx, r)
	end(span, err)
	return err
}

// Claim is durable.Store.
func (s *store) Claim(ctx context.Context, c durable.Claim) ([]durable.Record, time.Time, error) {
	ctx, span := s.begin(ctx, "claim")
	claimed, next, err := s.Store.Claim(ctx, c)
	if span != nil {
		span.SetAttributes(attribute.Int("tiffin.claimed", len(claimed)))
	}
	end(span, err)
	return claimed, next, err
}
