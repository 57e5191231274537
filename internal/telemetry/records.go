package telemetry

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Keys of our own attributes.
const (
	keyOrder  = attribute.Key("tiffin.order_id")
	keyKind   = attribute.Key("tiffin.record.kind")
	keyRecord = attribute.Key("tiffin.record.id")
	keyEvent  = attribute.Key("tiffin.event")
	keyEffect = attribute.Key("tiffin.effect.id")
	keyTry    = attribute.Key("tiffin.effect.attempt")
	keyResult = attribute.Key("tiffin.outcome")
)

// Records follows the records of a service; nil where nothing is traced.
func (t *Telemetry) Records(service string) durable.Tracer {
	if t.export == nil {
		return nil
	}
	return &records{tracer: t.Tracer(service), opt: &t.opt}
}

type records struct {
	tracer trace.Tracer
	opt    *Options
}

// Event is durable.Tracer. The span belongs to the record's trace: below what brought the event where that is within
// it too, else below the event that created the record, with a link. A timer is linked to what has set it: between the
// two lies time in which nothing was done.
func (t *records) Event(kind string, r durable.Record, e durable.Event) durable.Span {
	own, brought := parse(r.Trace), parse(e.Trace)
	parent := brought
	if own.IsValid() && (brought.TraceID() != own.TraceID() || strings.HasSuffix(e.Type, durable.Due)) {
		parent = own
	}
	if !parent.IsValid() { // the record is older than tracing, and nobody who is traced has touched it
		return unseen{}
	}
	order, what := t.opt.Describe(kind, r, e)
	opt := make([]trace.SpanStartOption, 0, 2)
	if brought.IsValid() && !brought.Equal(parent) {
		opt = append(opt, trace.WithLinks(trace.Link{SpanContext: brought}))
	}
	attributes := append(make([]attribute.KeyValue, 0, 4), keyKind.String(kind), keyRecord.String(r.ID), keyEvent.String(e.Type))
	if order != "" {
		attributes = append(attributes, keyOrder.String(order))
	}
	_, span := t.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), kind+" "+what,
		append(opt, trace.WithAttributes(attributes...))...)
	return event{span}
}

// event is the span of an event.
type event struct{ span trace.Span }

// Trace is durable.Span.
func (e event) Trace() string { return format(e.span.SpanContext()) }

// End is durable.Span.
func (e event) End(err error) {
	switch _, refused := errors.AsType[*durable.Refusal](err); {
	case err == nil:
	case refused:
		e.span.SetAttributes(keyResult.String("refused"))
	case errors.Is(err, durable.ErrNotFound):
		e.span.SetAttributes(keyResult.String("not found"))
	case errors.Is(err, durable.ErrKeyReused):
		e.span.SetAttributes(keyResult.String("idempotency key reused"))
	default:
		if _, exists := errors.AsType[*durable.ExistsError](err); exists { // it goes on at the other record
			e.span.SetAttributes(keyResult.String("exists"))
			break
		}
		e.span.SetStatus(codes.Error, failing(err))
	}
	e.span.End()
}

// unseen is the span of an event that nobody follows.
type unseen struct{}

// Trace is durable.Span.
func (unseen) Trace() string { return "" }

// End is durable.Span.
func (unseen) End(error) {}

// Send is durable.Tracer.
func (t *records) Send(ctx context.Context, kind string, r durable.Record, o durable.Owed) (context.Context, func(durable.Outcome)) {
	parent := parse(o.Trace)
	if !parent.IsValid() {
		if parent = parse(r.Trace); !parent.IsValid() {
			return ctx, func(durable.Outcome) {}
		}
	}
	order, _ := t.opt.Describe(kind, r, durable.Event{})
	attributes := append(make([]attribute.KeyValue, 0, 8), keyKind.String(kind), keyRecord.String(r.ID), keyEffect.String(o.ID), keyTry.Int(o.Attempt+1))
	if order != "" {
		attributes = append(attributes, keyOrder.String(order))
		ctx = WithOrder(ctx, order)
	}
	as := trace.SpanKindInternal // the HTTP client's span below it is the client's
	if o.Kind == durable.KindMessage {
		as = trace.SpanKindProducer
		attributes = append(attributes, semconv.MessagingSystemKey.String(t.opt.Broker), semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(destination(o.To, o.Op)), semconv.MessagingMessageID(o.ID))
	}
	ctx, span := t.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, parent), "send "+o.Name,
		trace.WithSpanKind(as), trace.WithAttributes(attributes...))
	return ctx, func(out durable.Outcome) {
		span.SetAttributes(keyResult.String(verdicts[out.Verdict]))
		if out.Verdict == durable.Retry {
			span.SetStatus(codes.Error, "to be tried again")
		}
		span.End()
	}
}

// destination is where a message goes: the queue, or the exchange.
func destination(exchange, key string) string {
	if exchange != "" {
		return exchange
	}
	return key
}

// verdicts are the words for what came of an effect, in spans and labels.
var verdicts = [...]string{durable.Retry: "retry", durable.Accepted: "accepted", durable.Rejected: "rejected"}

// Under is durable.Tracer.
func (t *records) Under(ctx context.Context, in string) context.Context {
	if sc := parse(in); sc.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	return ctx
}

// Trace is durable.Tracer.
func (t *records) Trace(ctx context.Context) string { return format(trace.SpanContextFromContext(ctx)) }

// failing is an error's kind, of a few: its own words may quote what we do not know.
func failing(err error) string {
	switch {
	case errors.Is(err, durable.ErrConflict):
		return "conflict"
	case errors.Is(err, durable.ErrUnknown):
		return "nobody knows"
	case errors.Is(err, durable.ErrStore):
		return "the store has failed"
	case errors.Is(err, context.Canceled), errors.Is(err, durable.ErrStopping):
		return "stopping"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "failed"
}

// A traceparent as it is kept: version 00, trace, span, flags.
const traceparentLength = 2 + 1 + 32 + 1 + 16 + 1 + 2

// format writes a traceparent, empty where there is no span.
func format(sc trace.SpanContext) string {
	if !sc.IsValid() {
		return ""
	}
	var b [traceparentLength]byte
	id, span := sc.TraceID(), sc.SpanID()
	out := append(b[:0], "00-"...)
	out = hexed(out, id[:])
	out = hexed(append(out, '-'), span[:])
	out = hexed(append(out, '-'), []byte{byte(sc.TraceFlags() & trace.FlagsSampled)})
	return string(out)
}

func hexed(to, b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range b {
		to = append(to, digits[c>>4], digits[c&15])
	}
	return to
}

// parse reads a traceparent; what is none is no span.
func parse(s string) trace.SpanContext {
	if len(s) < traceparentLength || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" {
		return trace.SpanContext{}
	}
	id, err := trace.TraceIDFromHex(s[3:35])
	if err != nil {
		return trace.SpanContext{}
	}
	span, err := trace.SpanIDFromHex(s[36:52])
	if err != nil {
		return trace.SpanContext{}
	}
	var flags trace.TraceFlags
	if last := s[54]; last >= '0' && last <= '9' && (last-'0')&1 == 1 || last >= 'a' && last <= 'f' && (last-'a')&1 == 1 {
		flags = trace.FlagsSampled
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: flags, Remote: true})
}
