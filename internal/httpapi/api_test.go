package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
		Value    any    `json:"value"`
	} `json:"errors"`
}

func ask(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, target, r)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// wantProblem checks everything an answer that is no success must be.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int) problem {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	if w.Header().Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if p.Status != status || p.Title != http.StatusText(status) || p.Detail == "" {
		t.Errorf("problem %+v", p)
	}
	return p
}

func TestValidation(t *testing.T) {
	const id = `"customer_id":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e"`
	a := orders(httpapi.Options{})
	for _, c := range []struct {
		name, body, detail string
		status             int
		header             []string
	}{
		{name: "nothing", body: "", status: 422, detail: "request body is required"},
		{name: "no JSON", body: "{", status: 422, detail: "body: malformed JSON at byte 1"},
		{name: "more than JSON", body: placeBody + "}", status: 422, detail: "body: malformed JSON at byte 100"},
		{name: "not UTF-8 JSON", body: "\xff", status: 422, detail: "body: malformed JSON at byte 1"},
		{name: "null", body: "null", status: 422, detail: "body: expected object"},
		{name: "array", body: "[]", status: 422, detail: "body: expected object"},
		{name: "no items", body: `{` + id + `}`, status: 422, detail: "body: expected required property items to be present"},
		{name: "null items", body: `{` + id + `,"items":null}`, status: 422, detail: "body.items: expected array"},
		{name: "empty items", body: `{` + id + `,"items":[]}`, status: 422, detail: "body.items: expected array length >= 1"},
		{name: "quantity", body: `{` + id + `,"items":[{"product":"a","quantity":0}]}`, status: 422, detail: "body.items[0].quantity: expected number >= 1"},
		{name: "two wrong", body: `{` + id + `,"items":[{"product":"a","quantity":0},{"product":""}]}`, status: 422, detail: "body.items[0].quantity: expected number >= 1 (and 1 more)"},
		{name: "too big a number", body: `{` + id + `,"items":[{"product":"a","quantity":4111111111111111000000}]}`, status: 422, detail: "body: items.quantity: expected integer"},
		{name: "id", body: `{"customer_id":"4111111111111111","items":[{"product":"a"}]}`, status: 422, detail: "body.customer_id: expected string to be RFC 4122 uuid"},
		{name: "unknown fields", body: `{` + id + `,"items":[{"product":"a"}],"z":1,"b":"4111111111111111","y":3}`, status: 422, detail: "body.b: unexpected property (and 2 more)"},
		{name: "the same twice", body: `{` + id + `,"items":[{"product":"a","Product":""}]}`, status: 422, detail: "in different case"},
		{name: "key", body: placeBody, header: []string{"Idempotency-Key", "a b"}, status: 422, detail: "header.Idempotency-Key: expected string to be visible ASCII"},
		{name: "long key", body: placeBody, header: []string{"Idempotency-Key", strings.Repeat("k", 256)}, status: 422, detail: "header.Idempotency-Key: expected length <= 255"},
		{name: "form", body: "a=b", header: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, detail: "the body must be application/json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(a, "POST", "/v1/orders", c.body, append([]string{"Content-Type", "application/json"}, c.header...)...)
			p := wantProblem(t, w, c.status)
			if !strings.Contains(p.Detail, c.detail) {
				t.Errorf("detail %q, want %q", p.Detail, c.detail)
			}
			if strings.Contains(w.Body.String(), "4111") || strings.Contains(w.Body.String(), `"value"`) {
				t.Errorf("a value is repeated: %s", w.Body)
			}
			if strings.Contains(w.Body.String(), "placeInput") {
				t.Errorf("a type is named: %s", w.Body)
			}
		})
	}
}

func TestBodiesAreExact(t *testing.T) {
	w := ask(orders(httpapi.Options{}), "POST", "/v1/orders", `{"customer_id":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e","items":[{"product":"<Lasagna>"}]}`)
	const want = `{"id":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e","status":"created","items":[{"product":"<Lasagna>","quantity":1}]}` + "\n"
	if w.Code != 202 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
	if w.Header().Get("Link") != "" {
		t.Errorf("Link %q", w.Header().Get("Link"))
	}
}

func TestForeignBodiesMayCarryMore(t *testing.T) {
	a := httpapi.New(httpapi.Options{Name: "PaymentService", Version: "1"})
	type input struct {
		Body struct {
			_      struct{} `additionalProperties:"true"`
			Status string   `json:"status" enum:"pending,paymentPaid"`
			Note   string   `json:"note,omitempty" maxLength:"3"`
		}
	}
	type output struct{ Body struct{ Status, Note string } }
	httpapi.Register(a, auth.Everyone, httpapi.Operation{Method: "POST", Path: "/v1/payments/callback", DefaultStatus: 201},
		func(_ context.Context, in *input) (*output, error) {
			out := &output{}
			out.Body.Status, out.Body.Note = in.Body.Status, in.Body.Note
			return out, nil
		})
	for body, status := range map[string]int{
		`{"status":"paymentPaid","bank":{"x":1}}`:           201,
		`{"status":"stolen","bank":1}`:                      422,
		`{"status":"paymentPaid","STATUS":"stolen"}`:        422, // would pass validation and be decoded
		`{"status":"paymentPaid","\u017ftatus":"stolen"}`:   422, // ſ folds to s
		`{"status":"paymentPaid","NOTE":"longer"}`:          422,
		`{"status":"paymentPaid","bank":[{"a":1},{"A":1}]}`: 201,
		`{"status":"paymentPaid","bank":[{"a":1,"A":1}]}`:   422,
	} {
		if w := ask(a, "POST", "/v1/payments/callback", body); w.Code != status {
			t.Errorf("%s: %d, want %d: %s", body, w.Code, status, w.Body)
		}
	}
}

func TestErrors(t *testing.T) {
	secret := errors.New("dial tcp 10.0.0.7: password 4711 refused")
	for _, c := range []struct {
		name   string
		err    error
		status int
		detail string
		retry  bool
		logged bool
	}{
		{"not found", durable.Refuse(durable.NotFound, "there is no order %d", 7), 404, "there is no order 7", false, false},
		{"conflict", fmt.Errorf("cancel: %w", durable.Refuse(durable.Conflict, "a driver is on the way")), 409, "a driver is on the way", false, false},
		{"invalid", &durable.Refusal{Code: durable.Invalid, Field: "body.items[0].product", Detail: "unknown"}, 422, "body.items[0].product: unknown", false, false},
		{"record", fmt.Errorf("secret: %w", durable.ErrNotFound), 404, "no such record", false, false},
		{"key", fmt.Errorf("secret: %w", durable.ErrKeyReused), 422, "the idempotency key was used before with another body", false, false},
		{"deadline", fmt.Errorf("secret: %w", context.DeadlineExceeded), 503, "repeat", true, false},
		{"unavailable", fmt.Errorf("secret: %w", httpapi.ErrUnavailable), 503, "repeat", true, false},
		{"stopping", durable.ErrStopping, 503, "repeat", true, false},
		{"conflict in the store", durable.ErrConflict, 503, "repeat", true, false},
		{"unknown outcome", durable.ErrUnknown, 503, "the same Idempotency-Key", true, false},
		{"of our own", httpapi.Errorf(http.StatusPaymentRequired, "no %s", "money"), 402, "no money", false, false},
		{"unforeseen", fmt.Errorf("load: %w", secret), 500, "internal error", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			a := httpapi.New(httpapi.Options{Name: "X", Version: "1", Log: slog.New(slog.NewTextHandler(&log, nil))})
			httpapi.Register(a, auth.Everyone, httpapi.Operation{Method: "GET", Path: "/typed/{id}"},
				func(context.Context, *struct {
					ID string `path:"id"`
				}) (*struct{}, error) {
					return nil, c.err
				})
			a.Handle("GET /plain", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { httpapi.WriteError(w, r, c.err) }))
			for _, path := range []string{"/typed/1", "/plain"} {
				log.Reset()
				w := ask(a, "GET", path, "", "X-Request-Id", "abc-1")
				p := wantProblem(t, w, c.status)
				if !strings.Contains(p.Detail, c.detail) || strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "4711") {
					t.Errorf("%s: %s", path, w.Body)
				}
				if got := w.Header().Get("Retry-After"); (got != "") != c.retry {
					t.Errorf("%s: Retry-After %q", path, got)
				}
				if n := strings.Count(log.String(), "\n"); (n == 1) != c.logged || n > 1 {
					t.Errorf("%s: log %q", path, log.String())
				}
				if c.logged && (!strings.Contains(log.String(), "request_id=abc-1") || !strings.Contains(log.String(), "4711")) {
					t.Errorf("%s: log %q", path, log.String())
				}
			}
		})
	}
}

func TestRouting(t *testing.T) {
	a := orders(httpapi.Options{})
	p := wantProblem(t, ask(a, "GET", "/nowhere", ""), 404)
	if p.Detail != "there is no /nowhere" {
		t.Errorf("detail %q", p.Detail)
	}
	w := ask(a, "DELETE", "/v1/orders", "")
	p = wantProblem(t, w, 405)
	if w.Header().Get("Allow") != "POST" || !strings.Contains(p.Detail, "DELETE") {
		t.Errorf("Allow %q, detail %q", w.Header().Get("Allow"), p.Detail)
	}
	if p := wantProblem(t, ask(a, "GET", "/"+strings.Repeat("x", 5000), ""), 404); len(p.Detail) > 500 {
		t.Errorf("detail of %d bytes", len(p.Detail))
	}
}

func TestBodyLimit(t *testing.T) {
	const limit = 200
	a := orders(httpapi.Options{MaxBody: limit})
	fits := placeBody + strings.Repeat(" ", limit-len(placeBody))
	if w := ask(a, "POST", "/v1/orders", fits); w.Code != 202 {
		t.Errorf("a body of the exact size: %d %s", w.Code, w.Body)
	}
	wantProblem(t, ask(a, "POST", "/v1/orders", fits+" "), 413)
	req := httptest.NewRequest("POST", "/v1/orders", io.MultiReader(strings.NewReader(fits), strings.NewReader(" "))) // of unknown length
	req.ContentLength = -1
	w := httptest.NewRecorder()
	a.ServeHTTP(w, req)
	wantProblem(t, w, 413)
	req = httptest.NewRequest("POST", "/v1/orders", io.MultiReader(strings.NewReader(fits)))
	req.ContentLength = -1
	w = httptest.NewRecorder()
	if a.ServeHTTP(w, req); w.Code != 202 {
		t.Errorf("an exact body of unknown length: %d %s", w.Code, w.Body)
	}
}

func TestPanic(t *testing.T) {
	var log bytes.Buffer
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1", Log: slog.New(slog.NewTextHandler(&log, nil))})
	a.Handle("GET /early", auth.Everyone, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the secret") }))
	a.Handle("GET /late", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("begun")); panic("the secret") }))
	w := ask(a, "GET", "/early", "")
	wantProblem(t, w, 500)
	if strings.Contains(w.Body.String(), "secret") || !strings.Contains(log.String(), "the secret") || !strings.Contains(log.String(), "api_test.go") {
		t.Errorf("answer %s, log %s", w.Body, log.String())
	}
	s := httptest.NewServer(a)
	defer s.Close()
	res, err := s.Client().Get(s.URL + "/late")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("a panic in the middle looks like a whole answer")
	}
}

func TestRequestID(t *testing.T) {
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1"})
	a.Handle("GET /id", auth.Everyone, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, httpapi.RequestID(r.Context()))
	}))
	for id, kept := range map[string]bool{"a.B-9_": true, "": false, "a b": false, "ä": false, "a\"": false, strings.Repeat("x", 65): false} {
		w := ask(a, "GET", "/id", "", "X-Request-Id", id)
		got := w.Header().Get("X-Request-Id")
		if got == "" || got != w.Body.String() || (got == id) != kept {
			t.Errorf("%q became %q, the handler saw %q", id, got, w.Body)
		}
	}
}

func TestMiddlewareOrder(t *testing.T) {
	var seen []string
	mark := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if httpapi.RequestID(r.Context()) == "" {
					t.Error("no id yet")
				}
				seen = append(seen, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1", Middleware: []func(http.Handler) http.Handler{mark("a"), mark("b")}})
	ask(a, "GET", "/livez", "")
	if strings.Join(seen, "") != "ab" {
		t.Errorf("order %q", seen)
	}
}

func TestOpenAPI(t *testing.T) {
	a := orders(httpapi.Options{Title: "Orders", Description: "What **orders** do."})
	b, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI string
		Info    struct{ Title, Version, Description string }
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.Title != "Orders" || doc.Info.Version != "1.2.3" {
		t.Errorf("%+v", doc)
	}
	for path, method := range map[string]string{"/v1/orders": "post", "/health": "get"} {
		if doc.Paths[path][method] == nil {
			t.Errorf("no %s %s", method, path)
		}
	}
	if bytes.Contains(b, []byte("$schema")) || !bytes.Contains(b, []byte("application/problem+json")) {
		t.Errorf("%s", b)
	}
	w := ask(a, "GET", "/openapi.json", "")
	if w.Code != 200 || !bytes.Equal(bytes.TrimSpace(w.Body.Bytes()), b) {
		t.Errorf("/openapi.json: %d", w.Code)
	}
	again, err := orders(httpapi.Options{Title: "Orders", Description: "What **orders** do."}).OpenAPI()
	if err != nil || !bytes.Equal(again, b) {
		t.Error("the document is not the same each time")
	}
}

type pageInput struct{ httpapi.Page }

type pageOutput struct {
	httpapi.Linked
	Body []string
}

func TestPages(t *testing.T) {
	a := httpapi.New(httpapi.Options{Name: "X", Version: "1"})
	var in pageInput
	httpapi.Register(a, auth.Everyone, httpapi.Operation{Method: "GET", Path: "/v1/orders"},
		func(_ context.Context, i *pageInput) (*pageOutput, error) {
			in = *i
			return &pageOutput{Linked: i.Next("id 1/ü")}, nil
		})
	w := ask(a, "GET", "/v1/orders?status=open", "")
	if w.Code != 200 || in.Limit != 50 || in.After != "" {
		t.Fatalf("%d %s %+v", w.Code, w.Body, in)
	}
	link := w.Header().Get("Link")
	target, ok := strings.CutPrefix(link, "<")
	target, ok2 := strings.CutSuffix(target, `>; rel="next"`)
	if !ok || !ok2 || !strings.HasPrefix(target, "/v1/orders?") || !strings.Contains(target, "status=open") || !strings.Contains(target, "limit=50") {
		t.Fatalf("Link %q", link)
	}
	if w := ask(a, "GET", target, ""); w.Code != 200 || in.After != "id 1/ü" || in.Limit != 50 {
		t.Errorf("%d %s %+v", w.Code, w.Body, in)
	}
	for _, q := range []string{"limit=0", "limit=201", "limit=x", "cursor=!", "cursor=AAAA", "cursor=" + strings.Repeat("A", 201)} {
		p := wantProblem(t, ask(a, "GET", "/v1/orders?"+q, ""), 422)
		if name, _, _ := strings.Cut(q, "="); !strings.HasPrefix(p.Detail, "query."+name+": ") {
			t.Errorf("%s: %q", q, p.Detail)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for key, ok := range map[string]bool{"a": true, "0190/pay/1": true, "~!": true, "": false, "a b": false, "ä": false, "\x7f": false,
		strings.Repeat("k", 255): true, strings.Repeat("k", 256): false} {
		err := httpapi.CheckKey(key)
		var refusal *durable.Refusal
		if (err == nil) != ok || err != nil && !errors.As(err, &refusal) {
			t.Errorf("%q: %v", key, err)
		}
	}
}
