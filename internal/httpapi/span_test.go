package httpapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

const foreign = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// recorder keeps the spans of a tracer.
func recorder() (*tracetest.SpanRecorder, trace.Tracer) {
	spans := tracetest.NewSpanRecorder()
	return spans, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
}

// attribute is a span's attribute as text, empty where it has none.
func attribute(s sdktrace.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// TestServerSpans: whose trace is continued, and whose is linked to.
func TestServerSpans(t *testing.T) {
	as := func(c auth.Caller) auth.Authenticator {
		return auth.AuthenticatorFunc(func(*http.Request) (auth.Caller, error) { return c, nil })
	}
	for name, c := range map[string]struct {
		who       auth.Authenticator
		outside   bool
		continued bool
	}{
		"nobody is asked":           {nil, false, true},
		"a service":                 {as(auth.InService("order")), false, true},
		"a customer by the gateway": {as(auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Customer}}), false, true},
		"a partner":                 {as(auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Partner}}), false, false},
		"nobody":                    {as(auth.Caller{}), false, false},
		"an operator from outside":  {as(auth.Root), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			spans, tracer := recorder()
			a := orders(httpapi.Options{Tracer: tracer, Outside: c.outside, Authenticate: c.who})
			for _, path := range []string{"/v1/orders", "/health", "/docs", "/docs/page.js", "/openapi.json", "/livez"} {
				method, body := http.MethodGet, ""
				if path == "/v1/orders" {
					method, body = http.MethodPost, placeBody
				}
				r := httptest.NewRequestWithContext(t.Context(), method, path+"?secret=canary", strings.NewReader(body))
				r.Header.Set("Traceparent", foreign)
				r.Header.Set("Content-Type", "application/json")
				a.ServeHTTP(httptest.NewRecorder(), r)
			}
			ended := spans.Ended()
			if len(ended) != 1 {
				t.Fatalf("%d spans", len(ended))
			}
			s := ended[0]
			if s.Name() != "POST /v1/orders" || s.SpanKind() != trace.SpanKindServer || attribute(s, "http.route") != "/v1/orders" ||
				attribute(s, "http.response.status_code") != "202" || attribute(s, "server.address") != "example.com" {
				t.Errorf("the span is %q %v", s.Name(), s.Attributes())
			}
			for _, a := range s.Attributes() {
				if strings.Contains(a.Value.String(), "canary") {
					t.Errorf("%s holds the query", a.Key)
				}
			}
			in := s.SpanContext().TraceID().String() == foreign[3:35]
			if in != c.continued || s.Parent().IsValid() != c.continued || (len(s.Links()) == 1) == c.continued {
				t.Errorf("it is in the caller's trace: %v, with %d links", in, len(s.Links()))
			}
		})
	}
}

// TestSpansOfFailures: a panic is a failure of ours, a wrong request is not.
func TestSpansOfFailures(t *testing.T) {
	spans, tracer := recorder()
	a := orders(httpapi.Options{Tracer: tracer})
	a.Handle("GET /panic", auth.Everyone, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary") }))
	for _, target := range []string{"GET /panic", "POST /v1/orders", "BREW /canary"} {
		method, path, _ := strings.Cut(target, " ")
		a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
	}
	got := []string{}
	for _, s := range spans.Ended() {
		got = append(got, s.Name()+" "+attribute(s, "http.response.status_code")+" "+s.Status().Code.String())
	}
	if want := []string{"GET /panic 500 Error", "POST /v1/orders 422 Unset", "_OTHER 404 Unset"}; !slices.Equal(got, want) {
		t.Errorf("the spans are %q, want %q", got, want)
	}
}

// TestClientSpans: a call that is made for something that is traced is a span, and continues in a service of ours.
func TestClientSpans(t *testing.T) {
	spans, tracer := recorder()
	var mu sync.Mutex
	heard := map[string]string{}
	l := httpapi.NewLocal(nil)
	defer l.CloseIdleConnections()
	for _, host := range []string{"order", "card"} {
		l.Handle(host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			heard[host] = r.Header.Get("Traceparent")
			if r.URL.Path == "/fails" {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
	}
	c := httpapi.NewClient(httpapi.ClientOptions{
		Resolver: byName{}, Transport: l, Keys: map[string]string{"order": "k"}, Failures: 1, OpenFor: time.Minute,
	})
	if _, err := c.Do(t.Context(), httpapi.Call{To: "order", Op: "GET /x"}); err != nil || len(spans.Ended()) != 0 || heard["order"] != "" {
		t.Fatalf("a call for nobody: %v, %d spans, heard %q", err, len(spans.Ended()), heard["order"])
	}
	ctx, parent := tracer.Start(t.Context(), "parent")
	for _, call := range []httpapi.Call{{To: "order", Op: "GET /x"}, {To: "card", Op: "POST /x"}, {To: "card", Op: "GET /fails"}, {To: "card", Op: "GET /x"}, {To: "nobody", Op: "GET /x"}} {
		_, _ = c.Do(ctx, call)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://order/y", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	parent.End()
	got := []string{}
	for _, s := range spans.Ended() {
		if s.SpanKind() == trace.SpanKindClient {
			got = append(got, strings.TrimSpace(strings.Join([]string{s.Name(), attribute(s, "peer.service"), attribute(s, "http.response.status_code"), attribute(s, "error.type")}, " ")))
			if s.Parent().SpanID() != parent.SpanContext().SpanID() {
				t.Errorf("%s is below another span", s.Name())
			}
			if failed := s.Status().Code == codes.Error; failed != (attribute(s, "error.type") != "" || attribute(s, "http.response.status_code") == "500") {
				t.Errorf("%s: %v", s.Name(), s.Status())
			}
		}
	}
	want := []string{"GET order order 200", "POST card card 200", "GET card card 500", "call card card  circuit open", "call nobody nobody  no instance", "GET order order 200"}
	if !slices.Equal(got, want) {
		t.Errorf("the calls are\n%q, want\n%q", got, want)
	}
	if heard["card"] != "" || !strings.HasPrefix(heard["order"], "00-"+parent.SpanContext().TraceID().String()) {
		t.Errorf("they heard %v", heard)
	}
}

type byName struct{}

func (byName) Resolve(_ context.Context, service string) ([]string, error) {
	if service == "nobody" {
		return nil, httpapi.ErrNoService
	}
	return []string{"http://" + service}, nil
}

// seen is a Meter.
type seen struct {
	mu    sync.Mutex
	begun int
	ends  []string
	took  []time.Duration
}

func (s *seen) Begin() { s.mu.Lock(); s.begun++; s.mu.Unlock() }

func (s *seen) End(pattern string, status int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends, s.took = append(s.ends, pattern+" "+http.StatusText(status)), append(s.took, took)
}

// TestMeter: every request is counted once, whatever becomes of it; and logged without what was sent.
func TestMeter(t *testing.T) {
	var m seen
	var out strings.Builder
	a := orders(httpapi.Options{Meter: &m, Access: true, Log: slog.New(slog.NewTextHandler(&out, nil)), Authenticate: auth.AuthenticatorFunc(func(r *http.Request) (auth.Caller, error) {
		if r.Header.Get("Authorization") == "wrong" {
			return auth.Caller{}, auth.ErrCredential
		}
		return auth.Caller{Subject: "account:7", Roles: []auth.Role{auth.Customer}}, nil
	})})
	a.Handle("GET /panic", auth.Everyone, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") }))
	a.Handle("GET /stream", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", httpapi.StreamType) }))
	ask := func(target, authorization string) {
		method, path, _ := strings.Cut(target, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path+"?token=canary", strings.NewReader(`{"canary":1}`))
		r.Header.Set("Authorization", authorization)
		a.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("GET /panic", "")
	ask("GET /stream", "")
	ask("POST /v1/orders", "")
	ask("POST /v1/orders", "wrong")
	ask("GET /nowhere", "")
	want := []string{"GET /panic Internal Server Error", "GET /stream OK", "POST /v1/orders Unprocessable Entity", " Unauthorized", " Not Found"}
	if !slices.Equal(m.ends, want) || m.begun != len(want) {
		t.Errorf("%d began, and ended %q; want %q", m.begun, m.ends, want)
	}
	for i, took := range m.took {
		if (took < 0) != (i == 1) {
			t.Errorf("%s took %s", m.ends[i], took)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(want)+1 || strings.Contains(out.String(), "canary") { // and the panic's
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
	if line := lines[3]; !strings.Contains(line, "method=POST route=/v1/orders status=422 ms=") || !strings.Contains(line, "caller=account:7") {
		t.Errorf("the line is %s", line)
	}
}
