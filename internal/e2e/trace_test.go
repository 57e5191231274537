package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/engines"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// canary is in everything that must not be told: keys, credentials, a person's name and address, a query.
const canary = "Kanarienvogel"

// outsiders is the trace that an outsider would like our spans in.
const outsiders = "0af7651916cd43dd8448eb211c80319c"

// TestTrace: to a real Jaeger, one order is one trace from its POST to delivered, over all that had to do with it, and
// no trace holds what it must not.
func TestTrace(t *testing.T) {
	query, collector := engines.URL(t, engines.Jaeger), engines.Side(t, engines.Jaeger)
	if collector == "" {
		t.Skip("Jaeger's receiver is not named: set TIFFIN_TEST_OTLP_URL")
	}
	w := found(t, func(c *app.Config) {
		c.APIKey, c.Telemetry = canary+"-key-of-the-services", app.Telemetry{OTLP: collector, TraceRatio: 1, Metrics: true}
	})
	customer := decoded[struct{ ID string }](t, w.want(201, http.MethodPost, "/v1/customers", map[string]any{
		"name": canary, "email": canary + "@example.org", "payment_token": "tok_ok",
		"address": map[string]any{"name": canary, "street": canary + "weg 1", "zipcode": "1234", "city": canary},
	}).body)
	order := w.place(customer.ID, "",
		"Idempotency-Key", canary, "Cookie", "session="+canary, "Baggage", "who="+canary,
		"Traceparent", "00-"+outsiders+"-b7ad6b7169203331-00", "Tracestate", "x="+canary)
	w.want(401, http.MethodGet, "/v1/orders", nil, "Authorization", "Bearer "+canary)
	w.want(422, http.MethodPost, "/v1/orders?token="+canary, []byte(`{"card": "`+canary+`"}`))
	if o := w.settle(order.ID); o.Status != wire.Delivered {
		t.Fatalf("the order is %s: %s", o.Status, o.Reason)
	}
	w.pass(time.Minute)

	j := jaeger{w.outside, t, w.ctx, query}
	if whole := j.whole(order.ID); whole.ID == outsiders {
		t.Error("an outsider has chosen the trace, and that it is not recorded")
	}
	for service := range maps.Keys(j.services()) {
		if text := j.get("/api/traces?limit=1500&lookback=1h&service=" + url.QueryEscape(service)); strings.Contains(strings.ToLower(text), strings.ToLower(canary)) {
			at := strings.Index(strings.ToLower(text), strings.ToLower(canary))
			t.Errorf("a trace of %s holds what it must not: …%s…", service, text[max(0, at-200):min(len(text), at+100)])
		}
	}
}

// jaeger is Jaeger's query API.
type jaeger struct {
	outside
	t   *testing.T
	ctx context.Context
	url string
}

// whole is the order's trace when it is complete: the one that every service's spans of the order are in, from the POST
// to delivered and over the queue, and no span of it hangs in the air.
func (j jaeger) whole(order string) jaegerTrace {
	j.t.Helper()
	var whole jaegerTrace
	of := map[string]string{"tiffin.order_id": order}
	traces := j.await(of, "order", func(all []jaegerTrace) bool {
		return slices.ContainsFunc(all, func(tr jaegerTrace) bool {
			whole = tr
			return len(tr.missing()) == 0 && tr.broken() == 0
		})
	})
	if len(traces) != 1 {
		j.t.Fatalf("the order's spans are in %d traces", len(traces))
	}
	for _, service := range []string{wire.OrderService, wire.PaymentService, wire.DeliveryService, wire.KitchenService} {
		if found := j.await(of, service, func(all []jaegerTrace) bool { return len(all) > 0 }); len(found) != 1 || found[0].ID != whole.ID {
			j.t.Errorf("%s has spans of the order in other traces than %s: %d", service, whole.ID, len(found))
		}
	}
	return whole
}

type jaegerTrace struct {
	ID    string `json:"traceID"`
	Spans []struct {
		ID         string `json:"spanID"`
		Name       string `json:"operationName"`
		Process    string `json:"processID"`
		References []struct {
			Type  string `json:"refType"`
			Trace string `json:"traceID"`
			Span  string `json:"spanID"`
		} `json:"references"`
	} `json:"spans"`
	Processes map[string]struct {
		Service string `json:"serviceName"`
	} `json:"processes"`
}

func (tr jaegerTrace) has(service, name string) bool {
	for _, s := range tr.Spans {
		if s.Name == name && tr.Processes[s.Process].Service == service {
			return true
		}
	}
	return false
}

// missing are spans that the trace of an order that was delivered has, and this one has not yet.
func (tr jaegerTrace) missing() (all []string) {
	for _, span := range []struct{ service, name string }{
		{"gateway", "POST /v1/orders"}, {"order", "process OrderService"}, {"order", "orders delivered"},
		{"payment", "payments paymentPaid"}, {"customer", "POST /v1/customers/{id}/billing"},
		{"delivery", "deliveries driverAvailable"}, {"kitchen", "tickets pickedUp"},
	} {
		if !tr.has(span.service, span.name) {
			all = append(all, span.service+": "+span.name)
		}
	}
	return all
}

func (tr jaegerTrace) names() (all []string) {
	for _, s := range tr.Spans {
		all = append(all, s.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// broken counts the spans whose parent is not in the trace.
func (tr jaegerTrace) broken() (n int) {
	there := map[string]bool{}
	for _, s := range tr.Spans {
		there[s.ID] = true
	}
	for _, s := range tr.Spans {
		for _, ref := range s.References {
			if ref.Type == "CHILD_OF" && !there[ref.Span] {
				n++
			}
		}
	}
	return n
}

func (j jaeger) get(path string) string {
	j.t.Helper()
	a, err := j.do(j.ctx, http.MethodGet, j.url+path, nil)
	if err != nil || a.status != http.StatusOK {
		j.t.Fatalf("GET %s: %v %v", path, a, err)
	}
	return string(a.body)
}

func (j jaeger) services() map[string]bool {
	var list struct {
		Data []string `json:"data"`
	}
	if err := json.Unmarshal([]byte(j.get("/api/services")), &list); err != nil {
		j.t.Fatal(err)
	}
	all := map[string]bool{}
	for _, s := range list.Data {
		all[s] = true
	}
	return all
}

// await asks for the traces of a service with the tags until they are enough.
func (j jaeger) await(tags map[string]string, service string, enough func([]jaegerTrace) bool) []jaegerTrace {
	j.t.Helper()
	text, _ := json.Marshal(tags)
	ctx, cancel := context.WithTimeout(j.ctx, patience)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		var list struct {
			Data []jaegerTrace `json:"data"`
		}
		answer := j.get("/api/traces?limit=100&lookback=1h&service=" + url.QueryEscape(service) + "&tags=" + url.QueryEscape(string(text)))
		if err := json.Unmarshal([]byte(answer), &list); err != nil {
			j.t.Fatal(err)
		}
		if enough(list.Data) {
			return list.Data
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			names := []string{}
			for _, tr := range list.Data {
				names = append(names, fmt.Sprintf("%s, %d spans hang in the air, missing %v: %v", tr.ID, tr.broken(), tr.missing(), tr.names()))
			}
			j.t.Fatalf("Jaeger has not what was sent: %d traces of %s:\n%s", len(list.Data), service, strings.Join(names, "\n"))
		}
	}
}

// TestTraceApart: the same where every service is a process of its own, with RabbitMQ between them.
func TestTraceApart(t *testing.T) {
	query, collector := engines.URL(t, engines.Jaeger), engines.Side(t, engines.Jaeger)
	if collector == "" {
		t.Skip("Jaeger's receiver is not named: set TIFFIN_TEST_OTLP_URL")
	}
	flags := slices.Concat(secretFlags, []string{
		"--broker", engines.Place(t, engines.RabbitMQ), "--api-key", innerKey, "--partner-networks", "loopback",
		"--speed", "400", "--clock-from", time.Now().UTC().Format(time.RFC3339), "--otlp", collector,
	})
	names, ports := []string{"identity", "order", "payment", "customer", "delivery", "kitchen", "gateway", "partners"}, map[string]string{}
	for _, name := range names {
		ports[name] = freePort(t)
		answers := []string{name}
		switch name {
		case app.Gateway:
			answers = nil
		case app.Partners:
			answers = []string{wire.CardCompany, wire.TransportCompany, wire.Restaurant}
		}
		for _, service := range answers {
			flags = append(flags, "--instance", service+"=http://127.0.0.1:"+ports[name])
		}
	}
	own := map[string][]string{"identity": identityFlags(t)}
	var all []*process
	for _, name := range names {
		all = append(all, start(t, "ready", slices.Concat([]string{"serve", name, "--port", ports[name], "--data", t.TempDir()}, flags, own[name])...))
	}
	for _, p := range all {
		p.awaitReady()
	}
	away, gateway := newOutside(t), "http://127.0.0.1:"+ports[app.Gateway]
	c, err := client.New(gateway, away.http.Transport)
	if err != nil {
		t.Fatal(err)
	}
	c = c.As(operatorKey)
	if _, err := dataset.Import(t.Context(), c, dataset.Demo()); err != nil {
		t.Fatal(err)
	}
	var order wire.Order
	soon(t, "the menu comes to the order service", patience, func() bool {
		order, err = c.Place(t.Context(), client.Order{CustomerID: ada, Items: []wire.Item{{Product: "Lasagna", Quantity: 1}}}, "")
		return err == nil
	})
	jaeger{away, t, t.Context(), query}.whole(order.ID)
	for _, p := range all {
		p.stop()
	}
}

// TestTraceOutlivesItsProcess: what another run does for an order is in the trace that the first began, and a timer and
// a partner's callback are linked to, not followed.
func TestTraceOutlivesItsProcess(t *testing.T) {
	data := t.TempDir()
	run := func(spans sdktrace.SpanExporter, do func(*town)) {
		t.Run("run", func(t *testing.T) {
			do(found(t, func(c *app.Config) {
				c.Data, c.Spans, c.Telemetry = data, spans, app.Telemetry{TraceRatio: 1}
			}))
		})
	}
	first, second := tracetest.NewInMemoryExporter(), tracetest.NewInMemoryExporter()
	var order wire.Order
	run(kept{first}, func(w *town) {
		order = w.place(ada, "")
		w.reach(order.ID, wire.DriverAvailable)
	})
	run(kept{second}, func(w *town) {
		if o := w.settle(order.ID); o.Status != wire.Delivered {
			t.Fatalf("the order is %s: %s", o.Status, o.Reason)
		}
	})
	before, after := spansOf(first, order.ID), spansOf(second, order.ID)
	if len(before) == 0 || len(after) == 0 {
		t.Fatalf("%d spans of the order before, %d after", len(before), len(after))
	}
	traces, links := map[string]int{}, 0
	for _, s := range slices.Concat(before, after) {
		traces[s.SpanContext.TraceID().String()]++
		links += len(s.Links)
	}
	if len(traces) != 1 {
		t.Errorf("the order's spans are in the traces %v", traces)
	}
	if !slices.ContainsFunc(after, func(s tracetest.SpanStub) bool { return s.Name == "orders delivered" }) {
		t.Error("that the order was delivered is not in its trace")
	}
	if links < 5 {
		t.Errorf("%d links; every callback has one", links)
	}
}

// spansOf are the spans that are about the order.
func spansOf(all *tracetest.InMemoryExporter, id string) (found tracetest.SpanStubs) {
	for _, s := range all.GetSpans() {
		for _, a := range s.Attributes {
			if a.Key == "tiffin.order_id" && a.Value.AsString() == id {
				found = append(found, s)
			}
		}
	}
	return found
}

// kept is an exporter whose spans stay when it is shut down.
type kept struct{ *tracetest.InMemoryExporter }

// Shutdown is sdktrace.SpanExporter.
func (kept) Shutdown(context.Context) error { return nil }
