package story_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/story"
)

// system answers a client in this process: by path, and 404 for the rest. It keeps what it was asked.
type system struct {
	answers map[string]string
	asked   []string
}

func (s *system) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	w := httptest.NewRecorder()
	if body, ok := s.answers[r.URL.Path]; ok {
		_, _ = io.WriteString(w, body)
	} else {
		http.Error(w, `{"detail":"not here"}`, http.StatusNotFound)
	}
	return w.Result(), nil
}

func (s *system) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New("http://tiffin.test", s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRead gathers what all services still have to do; one that knows nothing of the order has nothing to do.
func TestRead(t *testing.T) {
	s := &system{answers: map[string]string{
		"/v1/orders/o1/story": `{"order":{"id":"o1","delivery_id":"d1","kitchen_id":"k1"},"notes":[],"owed":[{"service":"order","name":"cook"}]}`,
		"/v1/payments/o1":     `{"owed":[{"service":"payment","name":"silence"}]}`,
		"/v1/deliveries/d1":   `{"owed":[]}`,
	}}
	got, err := story.Read(t.Context(), s.client(t), "o1")
	if err != nil || len(got.Owed) != 2 || got.Owed[1].Service != "payment" {
		t.Errorf("%+v, %v", got.Owed, err)
	}
	want := []string{"GET /v1/orders/o1/story", "GET /v1/payments/o1", "GET /v1/deliveries/d1", "GET /v1/kitchen/k1"}
	if !slices.Equal(s.asked, want) {
		t.Errorf("asked %v", s.asked)
	}

	s = &system{answers: map[string]string{"/v1/orders/o1/story": `{"order":{"id":"o1"},"owed":[]}`, "/v1/payments/o1": `no JSON`}}
	if _, err := story.Read(t.Context(), s.client(t), "o1"); err == nil {
		t.Error("an answer that is no JSON was taken")
	}
	var refused *client.Error
	if _, err := story.Read(t.Context(), s.client(t), "o2"); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("an order that is not there: %v", err)
	}
}

func TestRetry(t *testing.T) {
	order := `{"id":"o1","delivery_id":"d1"}`
	tests := []struct {
		service string
		asked   string // the last request; empty: an error before it
	}{
		{"order", "POST /v1/orders/o1/retry/re%fund"},
		{"payment", "POST /v1/payments/o1/retry/re%fund"},
		{"delivery", "POST /v1/deliveries/d1/retry/re%fund"},
		{"kitchen", ""},
		{"nobody", ""},
	}
	for _, tt := range tests {
		s := &system{answers: map[string]string{
			"/v1/orders/o1": order, "/v1/orders/o1/retry/re%fund": "", "/v1/payments/o1/retry/re%fund": "", "/v1/deliveries/d1/retry/re%fund": "",
		}}
		err := story.Retry(t.Context(), s.client(t), "o1", tt.service, "re%fund")
		if (err == nil) != (tt.asked != "") || err == nil && s.asked[len(s.asked)-1] != tt.asked {
			t.Errorf("%s: %v, asked %v", tt.service, err, s.asked)
		}
	}
	if err := story.Retry(t.Context(), (&system{}).client(t), "o1", "payment", "x"); err == nil {
		t.Error("an order that is not there was retried")
	}
}
