package quarantine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/quarantine"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// card is a number with its check digit, of no card.
const card = "4242424242424242"

// opened is a quarantine and the clock that it follows.
func opened(t *testing.T) (*quarantine.Service, *httpapi.API) {
	t.Helper()
	n := 0
	ctx, cancel := context.WithCancel(t.Context())
	c := clock.Virtual(noon)
	ran := make(chan struct{})
	go func() { c.Run(ctx); close(ran) }()
	s := quarantine.New(quarantine.Options{
		Shell: durable.Options{Owner: "test", Clock: c}, Store: memory.New(durable.Features{Exclusive: true}),
		NewID: func() string { n++; return fmt.Sprintf("01980000-0000-7000-8000-%012d", n) },
	})
	a := httpapi.New(httpapi.Options{Name: "Test", Version: "test", Authenticate: auth.Trusting})
	s.Routes(a, "/v1/payments", "payment")
	s.Start()
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
		cancel()
		<-ran
	})
	return s, a
}

func list(t *testing.T, a *httpapi.API, path string) (kept []quarantine.Kept, link string) {
	t.Helper()
	res := httptest.NewRecorder()
	a.ServeHTTP(res, httptest.NewRequest("GET", path, nil))
	if err := json.Unmarshal(res.Body.Bytes(), &kept); err != nil || res.Code != 200 {
		t.Fatalf("%d %s %v", res.Code, res.Body, err)
	}
	return kept, res.Header().Get("Link")
}

func TestKeep(t *testing.T) {
	s, a := opened(t)
	ctx := t.Context()
	keep := func(company, id, body, why string) {
		t.Helper()
		if err := s.Keep(ctx, company, "paymentPaid", id, []byte(body), why); err != nil {
			t.Fatal(err)
		}
	}
	keep("card", "m1", `{"a":1}`, "because")
	keep("card", "m2", `{ "a": 1 }`, "because")
	keep("transport", "m3", `{"a":1}`, "because")
	keep("card", "m4", `{"a":"`+card+`"}`, strings.Repeat("x", 1000))
	kept, link := list(t, a, "/v1/payments/quarantine")
	if len(kept) != 3 || link != "" || kept[2].Count != 2 || kept[2].WebhookID != "m2" || kept[2].Company != "card" || !kept[2].First.Equal(noon) {
		t.Fatalf("%+v", kept)
	}
	if k := kept[0]; k.WebhookID != "m4" || len(k.Reason) != 300 || k.Body != `{"a":"[redacted]"}` {
		t.Errorf("the newest is %+v", k)
	}
	if page, link := list(t, a, "/v1/payments/quarantine?limit=2"); len(page) != 2 || link == "" {
		t.Errorf("a page of %d, %q", len(page), link)
	}
	dismiss := func(id string) int {
		res := httptest.NewRecorder()
		a.ServeHTTP(res, httptest.NewRequest("POST", "/v1/payments/quarantine/dismiss/"+id, nil))
		return res.Code
	}
	for _, d := range []struct {
		id     string
		status int
	}{{kept[2].ID, 202}, {kept[2].ID, 202}, {"01980000-0000-7000-8000-00000000ffff", 404}} {
		if got := dismiss(d.id); got != d.status {
			t.Errorf("dismissing %s: %d, want %d", d.id, got, d.status)
		}
	}
	if kept, _ := list(t, a, "/v1/payments/quarantine"); !kept[2].Dismissed || kept[0].Dismissed {
		t.Errorf("%+v", kept)
	}
	keep("card", "m5", `{"a":1}`, "because")
	if kept, _ := list(t, a, "/v1/payments/quarantine"); kept[2].Dismissed || kept[2].Count != 3 {
		t.Errorf("it came again: %+v", kept[2])
	}
}

func TestJudge(t *testing.T) {
	s, a := opened(t)
	broken := errors.New("the disk is full")
	for i, tt := range []struct {
		err     error
		doubted bool
		kept    int
	}{
		{nil, false, 0}, {broken, false, 0}, {durable.Refuse(durable.Conflict, "no"), false, 0},
		{durable.Refuse(durable.Doubtful, "it cannot be"), true, 1}, {durable.ErrNotFound, false, 2}, {durable.Refuse(durable.NotFound, "none"), false, 3},
	} {
		doubted, err := s.Judge(t.Context(), "card", "paymentPaid", "m", fmt.Appendf(nil, "%d", i), tt.err)
		if doubted != tt.doubted || doubted && err != nil || !doubted && !errors.Is(err, tt.err) {
			t.Errorf("%v: %v, %v", tt.err, doubted, err)
		}
		if kept, _ := list(t, a, "/v1/payments/quarantine"); len(kept) != tt.kept {
			t.Errorf("%v: it keeps %+v", tt.err, kept)
		}
	}
}
