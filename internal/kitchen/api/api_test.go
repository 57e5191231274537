package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	kitchenapi "github.com/tiffin-food/tiffin/internal/kitchen/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	demo   = wire.DemoRestaurant
	curry  = "0190a000-0000-7000-8000-00000000000c"
	nobody = "0190a000-0000-7000-8000-000000000099"
)

// Who asks.
var (
	demoCook  = auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Kitchen}, Restaurants: []string{demo}}
	curryCook = auth.Caller{Subject: "account:2", Roles: []auth.Role{auth.Kitchen, auth.Customer}, Restaurants: []string{curry}}
	chainCook = auth.Caller{Subject: "account:3", Roles: []auth.Role{auth.Kitchen}, Restaurants: []string{demo, curry, nobody}}
	idleCook  = auth.Caller{Subject: "account:4", Roles: []auth.Role{auth.Kitchen}}
	courier   = auth.Caller{Subject: "account:5", Roles: []auth.Role{auth.Courier}, Restaurants: []string{demo}}
	operator  = auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}}
	order     = auth.InService("order")
)

// claimed takes a request for whose it says that it is.
var claimed = auth.AuthenticatorFunc(func(r *http.Request) (auth.Caller, error) { return auth.Decode(r.Header.Get(auth.Header)) })

// away is a world in which nobody answers.
type away struct{}

func (away) Execute(context.Context, durable.Owed, string) durable.Outcome {
	return durable.Outcome{Verdict: durable.Retry, Detail: "away"}
}

// kitchen is a kitchen service alone.
type kitchen struct {
	t   *testing.T
	api *httpapi.API
}

func newKitchen(t *testing.T) *kitchen {
	noon, n := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC), 0
	s := kitchenapi.New(kitchenapi.Options{
		Shell:   durable.Options{Owner: "alone", Clock: clock.Virtual(noon), Executor: away{}},
		Tickets: memory.New(durable.Features{Exclusive: true}), Restaurants: memory.New(durable.Features{Exclusive: true}),
		NewID: func() string { n++; return fmt.Sprintf("0190b000-0000-7000-8000-%012d", n) }, Silence: time.Hour,
	})
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	a := httpapi.New(httpapi.Options{Name: "KitchenService", Version: "test", Authenticate: claimed})
	s.Routes(a)
	return &kitchen{t, a}
}

func (k *kitchen) ask(c auth.Caller, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(auth.Header, c.Encode())
	w := httptest.NewRecorder()
	k.api.ServeHTTP(w, r)
	return w
}

// cook asks for a meal of a restaurant, the nth order.
func (k *kitchen) cook(n int, restaurant string) (ticket string) {
	k.t.Helper()
	trip := ""
	if restaurant != demo {
		trip = `,"restaurant_id":"` + restaurant + `"`
	}
	w := k.ask(order, http.MethodPost, "/v1/kitchen", fmt.Sprintf(`{"items":[{"product":"Lasagna"}],"metadata":{"receiver":"OrderService",
		"order_id":"0190c000-0000-7000-8000-%012d","customer_id":"0190a000-0000-7000-8000-00000000000a"}%s}`, n, trip))
	var answer wire.KitchenAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); w.Code != 202 || err != nil {
		k.t.Fatal(w.Code, w.Body, err)
	}
	return answer.KitchenID
}

// TestWhoseTicket: a ticket is its restaurant's and the operators'. To anybody else it is not there, in the very words
// in which none is.
func TestWhoseTicket(t *testing.T) {
	k := newKitchen(t)
	demos, currys := k.cook(1, demo), k.cook(2, curry)
	for _, c := range []struct {
		who         string
		caller      auth.Caller
		demo, other int
	}{
		{"nobody", auth.Caller{}, 401, 401}, {"a courier", courier, 403, 403}, {"a service", order, 403, 403},
		{"the demo restaurant's cook", demoCook, 200, 404}, {"the other's cook", curryCook, 404, 200},
		{"a cook of both", chainCook, 200, 200}, {"a cook of none", idleCook, 404, 404}, {"an operator", operator, 200, 200},
	} {
		none := k.ask(c.caller, http.MethodGet, "/v1/kitchen/"+nobody, "")
		for id, status := range map[string]int{demos: c.demo, currys: c.other} {
			w := k.ask(c.caller, http.MethodGet, "/v1/kitchen/"+id, "")
			if w.Code != status || status == 404 && w.Body.String() != none.Body.String() {
				t.Errorf("%s, %s: %d %s, and of none %s", c.who, id, w.Code, w.Body, none.Body)
			}
		}
	}
}

// TestWhoseTickets: a cook's list has their restaurant's tickets, page by page; an operator's has all, or one
// restaurant's.
func TestWhoseTickets(t *testing.T) {
	k := newKitchen(t)
	var demos, currys, all []string
	for n, restaurant := range []string{demo, curry, demo, demo, curry} {
		id := k.cook(n, restaurant)
		if all = append(all, id); restaurant == demo {
			demos = append(demos, id)
		} else {
			currys = append(currys, id)
		}
	}
	for _, ids := range [][]string{demos, currys, all} {
		slices.Reverse(ids)
	}
	at := func(restaurant string) string { return "restaurant_id=" + restaurant + "&" }
	for _, c := range []struct {
		who    string
		caller auth.Caller
		query  string
		want   []string
	}{
		{"a cook", demoCook, "", demos},
		{"a cook of their restaurant", curryCook, at(curry), currys},
		{"a cook of another", curryCook, at(demo), nil},
		{"a cook of two", chainCook, at(demo), demos},
		{"a cook of two, of the other", chainCook, at(curry), currys},
		{"a cook of none", idleCook, "", nil},
		{"a cook of none, of one", idleCook, at(demo), nil},
		{"an operator", operator, "", all},
		{"an operator of one", operator, at(curry), currys},
		{"an operator of none", operator, at(nobody), nil},
	} {
		var got []string
		for path := "/v1/kitchen?" + c.query + "limit=2"; path != ""; {
			w := k.ask(c.caller, http.MethodGet, path, "")
			var page []kitchenapi.Ticket
			if err := json.Unmarshal(w.Body.Bytes(), &page); w.Code != 200 || err != nil || page == nil {
				t.Fatalf("%s: %d %s", c.who, w.Code, w.Body)
			}
			for _, ticket := range page {
				got = append(got, ticket.KitchenID)
				if slices.Contains(demos, ticket.KitchenID) != (ticket.Restaurant == demo) || len(ticket.Owed) == 0 {
					t.Errorf("%+v", ticket)
				}
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), ">")
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.who, got, c.want)
		}
	}
	for _, c := range []struct {
		caller auth.Caller
		query  string
		status int
	}{
		{auth.Caller{}, "", 401}, {courier, "", 403}, {order, "", 403}, {chainCook, "", 422}, {operator, "?restaurant_id=demo", 422},
	} {
		if w := k.ask(c.caller, http.MethodGet, "/v1/kitchen"+c.query, ""); w.Code != c.status {
			t.Errorf("%+v %s: %d %s", c.caller, c.query, w.Code, w.Body)
		}
	}
}

// TestWhoseRestaurant: a cook writes the menus of their own restaurants, and none that is not there yet.
func TestWhoseRestaurant(t *testing.T) {
	k := newKitchen(t)
	card := func(name string) string {
		return `{"name":"` + name + `","items":[{"product":"` + name + `","price":{"amount":950,"currency":"EUR"},"available":true}]}`
	}
	put := func(who string, c auth.Caller, id, name string, want int) string {
		t.Helper()
		w := k.ask(c, http.MethodPut, "/v1/restaurants/"+id, card(name))
		if w.Code != want {
			t.Errorf("%s writes %s: %d %s, want %d", who, name, w.Code, w.Body, want)
		}
		return w.Body.String()
	}
	absent := put("a cook of one that is not there", demoCook, demo, "early", 404)
	put("an operator", operator, demo, "first", 204)
	put("an operator", operator, curry, "other", 204)
	put("nobody", auth.Caller{}, demo, "nobody's", 401)
	put("a courier", courier, demo, "courier's", 403)
	if theirs := put("a cook", demoCook, curry, "another's", 404); theirs != absent {
		t.Errorf("of another %s, and of none %s", theirs, absent)
	}
	put("a cook of none", idleCook, demo, "a cook's", 404)
	put("their cook", demoCook, demo, "second", 204)
	put("their cook", chainCook, curry, "third", 204)
	put("a cook of one that is not there", chainCook, nobody, "early", 404)
	for id, name := range map[string]string{demo: "second", curry: "third"} {
		if w := k.ask(auth.Caller{}, http.MethodGet, "/v1/restaurants/"+id+"/menu", ""); w.Code != 200 || !strings.Contains(w.Body.String(), name) {
			t.Errorf("%d %s, want %s", w.Code, w.Body, name)
		}
	}
}
