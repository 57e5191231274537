package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/wire"
)

const grace = "0190a000-0000-7000-8000-000000000002"

// Who asks.
var (
	adaHerself = auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Customer}, Customer: ada}
	graceToo   = auth.Caller{Subject: "account:2", Roles: []auth.Role{auth.Customer, auth.Kitchen}, Customer: grace, Restaurants: []string{wire.DemoRestaurant}}
	unlinked   = auth.Caller{Subject: "account:3", Roles: []auth.Role{auth.Customer}} // who is no customer yet
	cook       = auth.Caller{Subject: "account:4", Roles: []auth.Role{auth.Kitchen}, Customer: ada}
	operator   = auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}}
	reader     = auth.Caller{Subject: "key:2", Roles: []auth.Role{auth.Operator}, ReadOnly: true}
	payments   = auth.InService("payment")
)

func by(c auth.Caller) []string { return []string{auth.Header, c.Encode()} }

// TestWhoseOrder: an order is its customer's and the staff's. To anybody else it is not there, in the very words in
// which none is.
func TestWhoseOrder(t *testing.T) {
	for name, copies := range map[string]bool{"from the store": false, "from copies": true} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shared, copies, nil, func(s *shop) {
				adas := s.place()
				requests := []struct{ method, path, body string }{
					{http.MethodGet, "", ""}, {http.MethodGet, "/events", ""},
					{http.MethodPost, "/cancel", `{"reason":"no"}`}, {http.MethodDelete, "", ""},
				}
				for _, c := range []struct {
					who    string
					caller auth.Caller
					status []int // of the requests
				}{
					{"nobody", auth.Caller{}, []int{401, 401, 401, 401}},
					{"a cook", cook, []int{403, 403, 403, 403}},
					{"another customer", graceToo, []int{404, 404, 404, 404}},
					{"who is no customer yet", unlinked, []int{404, 404, 404, 404}},
					{"a reading operator", reader, []int{200, 200, 403, 403}},
					{"the customer", adaHerself, []int{200, 200, 202, 409}},
					{"an operator", operator, []int{200, 200, 202, 409}},
					{"a service", payments, []int{200, 200, 202, 409}},
				} {
					for i, r := range requests {
						if r.path == "/events" && c.status[i] == 200 {
							continue // it goes on until the order is settled: below
						}
						a := s.want(c.status[i], "", r.method, "/v1/orders/"+adas+r.path, r.body, by(c.caller)...)
						none := s.ask(r.method, "/v1/orders/"+shopID(999)+r.path, r.body, by(c.caller)...)
						if c.status[i] == 404 && a.String() != none.String() {
							t.Errorf("%s, %s %s: %s, and of none %s", c.who, r.method, r.path, a, none)
						}
						synctest.Wait()
					}
				}
				s.want(404, "no such order", http.MethodGet, "/v1/orders/"+adas, "", append(by(graceToo), "If-None-Match", `"1"`)...)
				s.want(403, "not yours to do", http.MethodGet, "/v1/orders/"+adas+"/story", "", by(adaHerself)...)
				paid := s.place()
				s.tell(paid, wire.PaymentFailed)
				for _, c := range []auth.Caller{adaHerself, operator, payments} {
					s.want(200, `"settled":true`, http.MethodGet, "/v1/orders/"+paid+"/events", "", by(c)...)
				}
				s.want(204, "", http.MethodDelete, "/v1/orders/"+paid, "", by(adaHerself)...)
				synctest.Wait() // for the copy
				s.want(404, "no such order", http.MethodGet, "/v1/orders/"+paid, "", by(operator)...)
			})
		})
	}
}

// TestOperatorsCancel: who is no operator does not cancel as one, whosever order it is.
func TestOperatorsCancel(t *testing.T) {
	inShop(t, exclusive, false, nil, func(s *shop) {
		const asOperator = `{"operator":true,"reason":"no more cheese"}`
		for _, c := range []struct {
			caller auth.Caller
			status int
		}{
			{auth.Caller{}, 401}, {cook, 403}, {reader, 403}, {adaHerself, 403}, {graceToo, 403}, {operator, 202}, {payments, 202},
		} {
			path := "/v1/orders/" + s.place()
			s.want(c.status, "", http.MethodPost, path+"/cancel", asOperator, by(c.caller)...)
			synctest.Wait()
			says := `"status":"created"`
			if c.status == 202 {
				says = "no more cheese"
			}
			s.want(200, says, http.MethodGet, path, "")
		}
	})
}

// TestWhoOrders: a customer orders for themself. For somebody else it is as for nobody, before anything is read.
func TestWhoOrders(t *testing.T) {
	inShop(t, exclusive, false, nil, func(s *shop) {
		for _, c := range []struct {
			caller auth.Caller
			status int
		}{
			{auth.Caller{}, 401}, {cook, 403}, {reader, 403}, {unlinked, 422}, {graceToo, 422},
			{adaHerself, 202}, {operator, 202}, {payments, 202},
		} {
			a := s.want(c.status, "", http.MethodPost, "/v1/orders", wish, by(c.caller)...)
			if c.status == 422 && !strings.Contains(a.body, `"location":"body.customer_id","message":"no such customer"`) {
				t.Errorf("%s", a)
			}
		}
		elsewhere := strings.Replace(wish, `"items"`, `"restaurant_id":"`+shopID(7)+`","items"`, 1)
		s.want(422, "body.customer_id: no such customer", http.MethodPost, "/v1/orders", elsewhere, by(graceToo)...)
		s.want(422, "body.restaurant_id", http.MethodPost, "/v1/orders", elsewhere, by(adaHerself)...)
		s.orders.away.Store(true)
		s.want(422, "body.customer_id: no such customer", http.MethodPost, "/v1/orders", wish, by(graceToo)...)
		s.want(503, "", http.MethodPost, "/v1/orders", wish, by(adaHerself)...)
	})
}

// TestKeysDoNotMeet: an idempotency key is its customer's: another's is neither found nor taken by it, also not once
// the order was deleted.
func TestKeysDoNotMeet(t *testing.T) {
	inShop(t, exclusive, false, nil, func(s *shop) {
		graces := strings.Replace(wish, ada, grace, 1)
		place := func(status int, says, body string, caller auth.Caller) string {
			t.Helper()
			a := s.want(status, says, http.MethodPost, "/v1/orders", body, append(by(caller), "Idempotency-Key", "dinner")...)
			synctest.Wait()
			return strings.TrimPrefix(a.header.Get("Location"), "/v1/orders/")
		}
		first := place(202, ada, wish, adaHerself)
		if again := place(202, ada, wish, operator); again != first {
			t.Errorf("the same key and order: %s and %s", first, again)
		}
		theirs := place(202, grace, graces, graceToo)
		if theirs == first {
			t.Error("another customer's order was found")
		}
		place(422, "used before with another body", strings.Replace(wish, `"Lasagna"`, `"Lasagna","quantity":2`, 1), adaHerself)
		place(422, "no such customer", wish, graceToo)
		s.tell(first, wire.PaymentFailed)
		s.want(204, "", http.MethodDelete, "/v1/orders/"+first, "", by(adaHerself)...)
		place(409, "was deleted", wish, adaHerself)
		if again := place(202, grace, graces, graceToo); again != theirs {
			t.Errorf("%s and %s", theirs, again)
		}
	})
}

// TestWhoseOrders: a customer's list has their own orders, page by page; the staff's has everybody's, or one
// customer's.
func TestWhoseOrders(t *testing.T) {
	inShop(t, exclusive, false, nil, func(s *shop) {
		var adas, graces, all []string
		for _, customer := range []string{ada, grace, ada, grace, ada} {
			a := s.want(202, "", http.MethodPost, "/v1/orders", strings.Replace(wish, ada, customer, 1))
			id := strings.TrimPrefix(a.header.Get("Location"), "/v1/orders/")
			if all = append(all, id); customer == ada {
				adas = append(adas, id)
			} else {
				graces = append(graces, id)
			}
		}
		for _, ids := range [][]string{adas, graces, all} {
			slices.Reverse(ids)
		}
		for _, c := range []struct {
			who    string
			caller auth.Caller
			query  string
			want   []string
		}{
			{"a customer", adaHerself, "", adas},
			{"a customer of themself", adaHerself, "customer_id=" + ada + "&", adas},
			{"a customer of another", adaHerself, "customer_id=" + grace + "&", nil},
			{"another customer", graceToo, "", graces},
			{"who is no customer yet", unlinked, "", nil},
			{"who is no customer yet, of a customer", unlinked, "customer_id=" + ada + "&", nil},
			{"an operator", operator, "", all},
			{"an operator of a customer", reader, "customer_id=" + grace + "&", graces},
			{"an operator of nobody", operator, "customer_id=" + shopID(99) + "&", nil},
			{"a service", payments, "", all},
		} {
			var got []string
			for path := "/v1/orders?" + c.query + "limit=2"; path != ""; {
				a := s.want(200, "", http.MethodGet, path, "", by(c.caller)...)
				var page []wire.Order
				if err := json.Unmarshal([]byte(a.body), &page); err != nil || page == nil {
					t.Fatalf("%s: %s, %v", c.who, a, err)
				}
				for _, o := range page {
					got = append(got, o.ID)
				}
				path, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.who, got, c.want)
			}
		}
		s.want(401, "", http.MethodGet, "/v1/orders", "", by(auth.Caller{})...)
		s.want(403, "", http.MethodGet, "/v1/orders", "", by(cook)...)
		s.want(422, "query.customer_id", http.MethodGet, "/v1/orders?customer_id=ada", "", by(operator)...)
	})
}
