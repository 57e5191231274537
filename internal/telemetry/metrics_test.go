package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func measured(t testing.TB) *Metrics {
	t.Helper()
	tel, err := Open(Options{Version: "1.2.3", Metrics: true})
	if err != nil {
		t.Fatal(err)
	}
	return tel.Metrics
}

// scrape is what Prometheus reads.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestMetrics(t *testing.T) {
	m := measured(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	history := []wire.Moment{{Status: wire.Created, When: noon}, {Status: wire.PaymentPaid, When: noon.Add(10 * time.Second)}, {Status: wire.Delivered, When: noon.Add(25 * time.Minute)}}
	for i := range history {
		m.Order(history[:i+1])
	}
	m.Order(nil)
	m.Order([]wire.Moment{{Status: "unheard of"}})
	s := m.Server("order")
	s.Begin()
	s.Begin()
	s.End("GET /v1/orders/{id}", 404, 2*time.Millisecond)
	s.Begin()
	s.End("GET /v1/orders/{id}/events", 200, -1)
	s.Begin()
	s.End("", 999, time.Second)
	r := m.Runner("orders")
	r.Sent("pay", 0, durable.Retry)
	r.Sent("pay", 1, durable.Accepted)
	r.Parked("pay")
	for _, err := range []error{nil, &broker.Reject{}, errors.New("away")} {
		_ = m.counted("OrderService", func(context.Context, broker.Message) error { return err })(t.Context(), broker.Message{})
	}
	var asked atomic.Int64
	m.Backlog("orders", func(context.Context, int) (int, time.Duration, error) { asked.Add(1); return 7, time.Minute, nil })
	m.Backlog("away", func(context.Context, int) (int, time.Duration, error) { return 0, 0, errors.New("away") })
	m.Instances(func() []Instance { return []Instance{{"order", "http://a:1", "open"}, {"card", "http://b:2", "none"}} })
	m.Database("tiffin.db", func() Commits {
		return Commits{Writes: 10, Commits: 4, Spent: time.Second, BySize: map[float64]uint64{1: 3, 3: 4}, ByTook: map[float64]uint64{.0001: 4}}
	})
	m.Door(func() (int64, int64) { return 4, 2 })
	m.Pressure(func() float64 { return 0.25 })
	m.Certificate("gateway", func() time.Time { return noon })
	m.Certificate("order", func() time.Time { return time.Time{} })
	text := scrape(t, m)
	for _, want := range []string{
		`tiffin_shed_total{turn="lists"} 4`, `tiffin_shed_total{turn="orders"} 2`, `tiffin_pressure 0.25`,
		`tiffin_orders_total{status="delivered"} 1`, `tiffin_orders_total{status="orderCancelled"} 0`,
		`tiffin_order_stage_seconds_sum{from="created",to="paymentPaid"} 10`, `tiffin_order_click_to_door_seconds_sum 1500`,
		`tiffin_http_in_flight{service="order"} 1`,
		`tiffin_http_requests_total{method="GET",route="/v1/orders/{id}",service="order",status="4xx"} 1`,
		`tiffin_http_requests_total{method="none",route="none",service="order",status="other"} 1`,
		`tiffin_http_request_duration_seconds_count{method="GET",route="/v1/orders/{id}/events",service="order"} 0`,
		`tiffin_effects_total{effect="pay",kind="orders",outcome="retry"} 1`, `tiffin_effect_retries_total{effect="pay",kind="orders"} 1`,
		`tiffin_parked_total{kind="orders"} 1`, `tiffin_unparked_total{kind="orders"} 0`,
		`tiffin_messages_total{outcome="dead",queue="OrderService"} 1`, `tiffin_messages_total{outcome="requeued",queue="OrderService"} 1`,
		`tiffin_outbox_depth{kind="orders"} 7`, `tiffin_outbox_age_seconds{kind="orders"} 60`,
		`tiffin_breaker_state{instance="http://a:1",service="order"} 2`,
		`tiffin_commit_batch_size_bucket{database="tiffin.db",le="1"} 3`, `tiffin_commit_seconds_sum{database="tiffin.db"} 1`,
		`tiffin_certificate_expires_timestamp_seconds{service="gateway"} 1.7723664e+09`, `version="1.2.3"} 1`, `go_goroutines `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nobody hears %s", want)
		}
	}
	for _, unwanted := range []string{`kind="away"`, `service="card"`, `timestamp_seconds{service="order"`, "unheard"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("%s is told", unwanted)
		}
	}
	scrape(t, m)
	if n := asked.Load(); n != 1 {
		t.Errorf("the store was asked %d times by two scrapes within 5 s", n)
	}
}

// TestLabelsAreBounded: a name that is made of what came in would not make series for ever.
func TestLabelsAreBounded(t *testing.T) {
	m := measured(t)
	r := m.Runner("orders")
	for i := range 10 * mostEffects {
		r.Sent(fmt.Sprint("effect-", i), 0, durable.Accepted)
	}
	text := scrape(t, m)
	if n := strings.Count(text, `tiffin_effect_retries_total{`); n != mostEffects+1 {
		t.Errorf("%d names of effects", n)
	}
	if want := fmt.Sprintf(`tiffin_effects_total{effect="other",kind="orders",outcome="accepted"} %d`, 9*mostEffects); !strings.Contains(text, want) {
		t.Errorf("nobody hears %s", want)
	}
}

// TestCountingAllocatesNothing once what is counted was found.
func TestCountingAllocatesNothing(t *testing.T) {
	m := measured(t)
	s, r := m.Server("order"), m.Runner("orders")
	history := []wire.Moment{{Status: wire.Created}, {Status: wire.PaymentPaid}}
	if n := testing.AllocsPerRun(100, func() {
		s.Begin()
		s.End("POST /v1/orders", 202, time.Millisecond)
		r.Sent("pay", 0, durable.Accepted)
		m.Order(history)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	s := measured(b).Server("order")
	b.ReportAllocs()
	for b.Loop() {
		s.Begin()
		s.End("POST /v1/orders", 202, time.Millisecond)
	}
}

func BenchmarkEffect(b *testing.B) {
	r := measured(b).Runner("orders")
	b.ReportAllocs()
	for b.Loop() {
		r.Sent("pay", 0, durable.Accepted)
	}
}

func BenchmarkStatus(b *testing.B) {
	m := measured(b)
	history := []wire.Moment{{Status: wire.Created}, {Status: wire.PaymentPaid}}
	b.ReportAllocs()
	for b.Loop() {
		m.Order(history)
	}
}
