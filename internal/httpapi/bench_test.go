package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

type item struct {
	Product  string `json:"product" minLength:"1"`
	Quantity int    `json:"quantity,omitempty" minimum:"1" default:"1"`
}

type placeInput struct {
	httpapi.Idempotency
	Body struct {
		CustomerID string `json:"customer_id" format:"uuid"`
		Items      []item `json:"items" minItems:"1" nullable:"false"`
	}
}

type order struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Items  []item `json:"items"`
}

type orderOutput struct{ Body order }

func orders(opt httpapi.Options) *httpapi.API {
	if opt.Name == "" {
		opt.Name = "OrderService"
	}
	opt.Version = "1.2.3"
	a := httpapi.New(opt)
	httpapi.Register(a, auth.Everyone, httpapi.Operation{Method: "POST", Path: "/v1/orders", DefaultStatus: 202},
		func(_ context.Context, in *placeInput) (*orderOutput, error) {
			return &orderOutput{order{ID: in.Body.CustomerID, Status: "created", Items: in.Body.Items}}, nil
		})
	return a
}

const placeBody = `{"customer_id":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e","items":[{"product":"Lasagna","quantity":2}]}`

func benchCall(b *testing.B, rt http.RoundTripper, url string) {
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(placeBody))
		req.Header.Set("Content-Type", "application/json")
		res, err := rt.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			b.Fatal(err)
		}
		_ = res.Body.Close()
	}
}

var plainAnswer = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte(placeBody))
})

// direct calls the handler with no transport at all: what the others are compared with.
type direct struct{ h http.Handler }

type sink struct {
	h http.Header
	n int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(b []byte) (int, error) { s.n += len(b); return len(b), nil }
func (s *sink) WriteHeader(int)             {}

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	d.h.ServeHTTP(&sink{h: http.Header{}}, r)
	return &http.Response{Body: http.NoBody}, nil
}

func BenchmarkDirect(b *testing.B) { benchCall(b, direct{plainAnswer}, "http://order/v1/orders") }
func BenchmarkDirectAPI(b *testing.B) {
	benchCall(b, direct{orders(httpapi.Options{})}, "http://order/v1/orders")
}
func BenchmarkDirectStd(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in placeInput
		if err := json.NewDecoder(r.Body).Decode(&in.Body); err != nil {
			b.Fatal(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(202)
		_ = json.NewEncoder(w).Encode(order{ID: in.Body.CustomerID, Status: "created", Items: in.Body.Items})
	})
	benchCall(b, direct{h}, "http://order/v1/orders")
}

func BenchmarkLocal(b *testing.B) {
	l := httpapi.NewLocal(nil)
	l.Handle("order", plainAnswer)
	benchCall(b, l, "http://order/v1/orders")
}

func BenchmarkLocalAPI(b *testing.B) {
	l := httpapi.NewLocal(nil)
	l.Handle("order", orders(httpapi.Options{}))
	benchCall(b, l, "http://order/v1/orders")
}

func BenchmarkTCP(b *testing.B) {
	s := httptest.NewServer(plainAnswer)
	defer s.Close()
	rt := httpapi.NewTransport()
	defer rt.CloseIdleConnections()
	benchCall(b, rt, s.URL+"/v1/orders")
}

func BenchmarkClientLocal(b *testing.B) {
	l := httpapi.NewLocal(nil)
	l.Handle("order", plainAnswer)
	c := httpapi.NewClient(httpapi.ClientOptions{Resolver: one("http://order"), Transport: l})
	b.ReportAllocs()
	for b.Loop() {
		r, err := c.Do(b.Context(), httpapi.Call{To: "order", Op: "POST /v1/orders", Body: []byte(placeBody), IdempotencyKey: "k"})
		if err != nil || r.Status != 202 {
			b.Fatal(r, err)
		}
	}
}

type one string

func (o one) Resolve(context.Context, string) ([]string, error) { return []string{string(o)}, nil }
