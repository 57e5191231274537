package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/clock"
	customerapi "github.com/tiffin-food/tiffin/internal/customer/api"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ada    = "0190a000-0000-7000-8000-000000000001"
	nobody = "0190a000-0000-7000-8000-000000000009"
)

// claimed takes a request for whose it says that it is.
var claimed = auth.AuthenticatorFunc(func(r *http.Request) (auth.Caller, error) { return auth.Decode(r.Header.Get(auth.Header)) })

// TestWhoseCustomer: a customer is their own and the staff's. To anybody else they are not there, in the very words in
// which nobody is.
func TestWhoseCustomer(t *testing.T) {
	noon := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	s := customerapi.New(customerapi.Options{
		Shell:     durable.Options{Owner: "alone", Clock: clock.Virtual(noon)},
		Customers: memory.New(durable.Features{Exclusive: true}),
	})
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	a := httpapi.New(httpapi.Options{Name: "CustomerService", Version: "test", Authenticate: claimed})
	s.Routes(a)
	ask := func(c auth.Caller, method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(auth.Header, c.Encode())
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w
	}
	w := ask(auth.Root, http.MethodPost, "/v1/customers", `{"id":"`+ada+`","email":"ada@example.org","name":"Ada",
		"address":{"name":"Ada","street":"1 Street","zipcode":"1","city":"London"},"payment_token":"tok_ok"}`)
	if w.Code != 201 {
		t.Fatal(w.Code, w.Body)
	}
	for _, c := range []struct {
		who    string
		caller auth.Caller
		status int
	}{
		{"nobody", auth.Caller{}, 401},
		{"the customer", auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Customer}, Customer: ada}, 200},
		{"another customer", auth.Caller{Subject: "account:2", Roles: []auth.Role{auth.Customer}, Customer: nobody}, 404},
		{"who is no customer yet", auth.Caller{Subject: "account:3", Roles: []auth.Role{auth.Customer}}, 404},
		{"a cook", auth.Caller{Subject: "account:4", Roles: []auth.Role{auth.Kitchen}, Customer: ada}, 403},
		{"an operator", auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}, ReadOnly: true}, 200},
		{"a service", auth.InService("order"), 200},
	} {
		got, none := ask(c.caller, http.MethodGet, "/v1/customers/"+ada, ""), ask(c.caller, http.MethodGet, "/v1/customers/"+nobody, "")
		if got.Code != c.status || c.status == 404 && got.Body.String() != none.Body.String() {
			t.Errorf("%s: %d %s, and of nobody %d %s", c.who, got.Code, got.Body, none.Code, none.Body)
		}
	}
}
