package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// a card's number with its check digit, of no card.
const cardNumber = "4242424242424242"

type Noted struct {
	Note   string   `json:"note,omitempty"`
	Labels []string `json:"labels,omitempty"`
}

type carding struct {
	httpapi.Idempotency
	Where string `query:"where"`
	Body  struct {
		Noted
		Name     string   `json:"name,omitempty"`
		Secret   string   `json:"secret,omitempty" kept:"hashed"`
		Children []Noted `json:"children,omitempty"`
	}
}

// TestCardsAreRefused: wherever in an input a card's number is, it does not reach the handler, and is not repeated.
func TestCardsAreRefused(t *testing.T) {
	a := httpapi.New(httpapi.Options{Name: "Test", Version: "test"})
	reached, key := 0, ""
	httpapi.Register(a, auth.Everyone, httpapi.Operation{Method: http.MethodPost, Path: "/x"}, func(_ context.Context, in *carding) (*struct{}, error) {
		reached++
		key = in.Key
		return nil, nil
	})
	httpapi.Register(a, auth.Everyone, httpapi.KeepBody(httpapi.Operation{Method: http.MethodPost, Path: "/kept"}), func(context.Context, *carding) (*struct{}, error) {
		reached++
		return nil, nil
	})
	ask := func(path, body, key string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		res := httptest.NewRecorder()
		a.ServeHTTP(res, req)
		return res
	}
	for _, tt := range []struct{ path, body, where string }{
		{"/x", `{"name":"` + cardNumber + `"}`, "body.name"},
		{"/x", `{"name":"at 4242 4242 4242 4242."}`, "body.name"},
		{"/x", `{"note":"` + cardNumber + `"}`, "body.note"},
		{"/x", `{"labels":["a","` + cardNumber + `"]}`, "body.labels[1]"},
		{"/x", `{"children":[{},{"labels":["` + cardNumber + `"]}]}`, "body.children[1].labels[0]"},
		{"/x?where=" + cardNumber, `{}`, "query.where"},
	} {
		res := ask(tt.path, tt.body, "")
		if res.Code != http.StatusUnprocessableEntity || !strings.Contains(res.Body.String(), `"`+tt.where+`"`) || strings.Contains(res.Body.String(), "4242") {
			t.Errorf("%s %s: %d %s", tt.path, tt.body, res.Code, res.Body)
		}
	}
	if reached != 0 {
		t.Errorf("%d of them reached the handler", reached)
	}
	for _, tt := range []struct{ path, body string }{
		{"/x", `{"name":"Ada","secret":"` + cardNumber + `"}`}, {"/kept", `{"name":"` + cardNumber + `"}`},
		{"/x", `{"name":"4242424242424243"}`}, {"/x", `{"name":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e"}`},
	} {
		if res := ask(tt.path, tt.body, ""); res.Code >= 300 {
			t.Errorf("%s %s: %d %s", tt.path, tt.body, res.Code, res.Body)
		}
	}
	if res := ask("/x", `{}`, cardNumber); res.Code >= 300 || strings.Contains(key, "4242") || key == "" {
		t.Errorf("a key: %d %s, %q", res.Code, res.Body, key)
	}
}
