package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
)

const (
	ownTrace  = "0af7651916cd43dd8448eb211c80319c"
	created   = "00-" + ownTrace + "-1111111111111111-01"
	within    = "00-" + ownTrace + "-2222222222222222-01"
	elsewhere = "00-4bf92f3577b34da6a3ce929d0e0e4736-3333333333333333-01"
)

// traced is a Telemetry whose spans come to the exporter.
func traced(t *testing.T) (*Telemetry, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	tel, err := Open(Options{Version: "1", Instance: "i", Ratio: 1, Broker: "local", Exporter: spans, Describe: func(_ string, r durable.Record, e durable.Event) (string, string) {
		return r.Key, e.Type
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Close(context.Background()) })
	return tel, spans
}

// TestEventsBelongToTheirRecord: whatever brings an event, its span is in the record's trace.
func TestEventsBelongToTheirRecord(t *testing.T) {
	for name, c := range map[string]struct {
		record, brought, kind string
		trace, parent, link   string
	}{
		"the first":                   {"", within, "place", ownTrace, "2222222222222222", ""},
		"of a command":                {created, within, "status", ownTrace, "2222222222222222", ""},
		"of a callback":               {created, elsewhere, "callback", ownTrace, "1111111111111111", "3333333333333333"},
		"of nobody":                   {created, "", "callback", ownTrace, "1111111111111111", ""},
		"of a timer":                  {created, within, "late" + durable.Due, ownTrace, "1111111111111111", "2222222222222222"},
		"at a record without a trace": {"", elsewhere, "callback", elsewhere[3:35], "3333333333333333", ""},
		"of what is no trace":         {created, "00-zz", "callback", ownTrace, "1111111111111111", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tel, spans := traced(t)
			span := tel.Records("order").Event("orders", durable.Record{ID: "r", Key: "o", Trace: c.record}, durable.Event{Type: c.kind, Trace: c.brought})
			span.End(nil)
			got := spans.GetSpans()
			if len(got) != 1 {
				t.Fatalf("%d spans", len(got))
			}
			s, link := got[0], ""
			if len(s.Links) > 0 {
				link = s.Links[0].SpanContext.SpanID().String()
			}
			if s.SpanContext.TraceID().String() != c.trace || s.Parent.SpanID().String() != c.parent || link != c.link {
				t.Errorf("in %s below %s with a link to %q", s.SpanContext.TraceID(), s.Parent.SpanID(), link)
			}
			if want := "00-" + c.trace + "-" + s.SpanContext.SpanID().String() + "-01"; span.Trace() != want {
				t.Errorf("it hands on %q, want %q", span.Trace(), want)
			}
			if s.Name != "orders "+c.kind {
				t.Errorf("it is called %q", s.Name)
			}
		})
	}
	tel, spans := traced(t)
	nobody := tel.Records("order").Event("orders", durable.Record{ID: "r"}, durable.Event{Type: "late.due"})
	if nobody.End(nil); nobody.Trace() != "" || len(spans.GetSpans()) != 0 {
		t.Error("what nobody traces began a trace")
	}
}

// TestUnsampled: what is not recorded is not recorded further on either.
func TestUnsampled(t *testing.T) {
	tel, spans := traced(t)
	span := tel.Records("order").Event("orders", durable.Record{ID: "r", Trace: strings.TrimSuffix(created, "1") + "0"}, durable.Event{Type: "x"})
	span.End(nil)
	if !strings.HasSuffix(span.Trace(), "-00") || len(spans.GetSpans()) != 0 {
		t.Errorf("it hands on %q, and %d spans were recorded", span.Trace(), len(spans.GetSpans()))
	}
}

// TestMessagesCarryTheirTrace: from what owes a message, through the broker, to who takes it.
func TestMessagesCarryTheirTrace(t *testing.T) {
	tel, spans := traced(t)
	owed := durable.Owed{Effect: durable.Message("report", "", "OrderService", nil), ID: "r/report/1", Attempt: 2, Trace: within}
	ctx, done := tel.Records("payment").Send(t.Context(), "payments", durable.Record{ID: "r", Key: "o", Trace: created}, owed)
	handler := tel.Handler("order", "OrderService", func(ctx context.Context, m broker.Message) error {
		if got := tel.Records("order").Trace(ctx); got == "" || got == m.Header["traceparent"] {
			t.Errorf("the handler works under %q, the message brought %q", got, m.Header["traceparent"])
		}
		return &broker.Reject{Reason: "4242424242424242"}
	})
	err := tel.Publisher(through(handler)).Publish(ctx, broker.Message{ID: "m", Key: "OrderService"})
	done(durable.Outcome{Verdict: durable.Retry, Detail: "4242424242424242"})
	if err == nil {
		t.Fatal("the handler's verdict was lost")
	}
	got := spans.GetSpans()
	if len(got) != 2 || got[0].Name != "process OrderService" || got[1].Name != "send report" ||
		got[0].Parent.SpanID() != got[1].SpanContext.SpanID() || got[1].Parent.SpanID().String() != "2222222222222222" {
		t.Fatalf("the spans are %+v", got)
	}
	for _, s := range got {
		if s.Status.Code != codes.Error || strings.Contains(s.Status.Description, "4242") {
			t.Errorf("%s ended with %+v", s.Name, s.Status)
		}
	}
}

type through broker.Handler

func (h through) Publish(ctx context.Context, m broker.Message) error { return h(ctx, m) }

// TestOffIsNothing: nothing is wrapped.
func TestOffIsNothing(t *testing.T) {
	tel, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := through(func(context.Context, broker.Message) error { return nil })
	if tel.Tracer("order") != nil || tel.Records("order") != nil || tel.Metrics != nil || tel.Store(nil, "a", "b", "c") != nil {
		t.Error("something is traced")
	}
	if _, same := tel.Publisher(p).(through); !same {
		t.Error("the publisher is wrapped")
	}
	if err := tel.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := (*Telemetry)(nil).Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTraceparents: what is written is read again, and what is none is none.
func TestTraceparents(t *testing.T) {
	if got := format(parse(created)); got != created {
		t.Errorf("%s became %s", created, got)
	}
	for _, s := range []string{
		"", "00", created[:54], "ff" + created[2:], strings.Replace(created, ownTrace, strings.Repeat("0", 32), 1),
		strings.Replace(created, "1111111111111111", strings.Repeat("0", 16), 1), strings.ReplaceAll(created, "-", "_"), strings.ToUpper(created),
	} {
		if parse(s).IsValid() {
			t.Errorf("%q was taken for a traceparent", s)
		}
	}
}

// TestCollectorAway: nothing waits for it, and the log says so once a minute.
func TestCollectorAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines atomic.Int64
		c := &calm{SpanExporter: broken{}, log: slog.New(counting{slog.NewTextHandler(io.Discard, nil), &lines})}
		for range 125 {
			if err := c.ExportSpans(t.Context(), make([]sdktrace.ReadOnlySpan, 3)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := lines.Load(); n != 3 {
			t.Errorf("%d lines in 125 s", n)
		}
	})
}

type broken struct{ sdktrace.SpanExporter }

func (broken) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	return errors.New("connection refused")
}

type counting struct {
	slog.Handler
	n *atomic.Int64
}

func (c counting) Handle(context.Context, slog.Record) error { c.n.Add(1); return nil }

// TestOverHTTP: spans come to a collector at its usual path, and Close hands over the last of them.
func TestOverHTTP(t *testing.T) {
	got := make(chan string, 8)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Method + " " + r.URL.Path }))
	defer collector.Close()
	tel, err := Open(Options{OTLP: collector.URL, Ratio: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Tracer("order").Start(t.Context(), "x")
	span.End()
	if err := tel.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if path := <-got; path != "POST /v1/traces" {
		t.Errorf("it was sent to %s", path)
	}
}

func TestCheckOTLP(t *testing.T) {
	for to, ok := range map[string]bool{
		"": true, "stdout": true, "http://127.0.0.1:4318": true, "https://a/b/v1/traces": true,
		"127.0.0.1:4318": false, "grpc://a:4317": false, "http://": false, "http://user:password@a:4318": false,
	} {
		if err := CheckOTLP(to); (err == nil) != ok || err != nil && strings.Contains(err.Error(), "password") {
			t.Errorf("%q: %v", to, err)
		}
	}
}
