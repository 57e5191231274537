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
	deliveryapi "github.com/tiffin-food/tiffin/internal/delivery/api"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nobody = "0190a000-0000-7000-8000-000000000099"

// Who asks.
var (
	bob      = auth.Caller{Subject: "account:1", Roles: []auth.Role{auth.Courier}, Courier: "bob"}
	eve      = auth.Caller{Subject: "account:2", Roles: []auth.Role{auth.Courier, auth.Customer}, Courier: "eve"}
	unlinked = auth.Caller{Subject: "account:3", Roles: []auth.Role{auth.Courier}}
	cook     = auth.Caller{Subject: "account:4", Roles: []auth.Role{auth.Kitchen}, Courier: "bob"}
	operator = auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}}
	order    = auth.InService("order")
	company  = auth.Caller{Subject: "key:2", Roles: []auth.Role{auth.Partner}, Company: wire.TransportCompany}
)

// claimed takes a request for whose it says that it is.
var claimed = auth.AuthenticatorFunc(func(r *http.Request) (auth.Caller, error) { return auth.Decode(r.Header.Get(auth.Header)) })

// away is a world in which nobody answers.
type away struct{}

func (away) Execute(context.Context, durable.Owed, string) durable.Outcome {
	return durable.Outcome{Verdict: durable.Retry, Detail: "away"}
}

// office is a delivery service alone.
type office struct {
	t   *testing.T
	api *httpapi.API
	n   int
}

func newOffice(t *testing.T) *office {
	o := &office{t: t}
	s := deliveryapi.New(deliveryapi.Options{
		Shell: durable.Options{
			Owner: "alone", Clock: clock.Virtual(time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)), Executor: away{},
		},
		Deliveries: memory.New(durable.Features{Exclusive: true}), Silence: time.Hour,
		NewID: func() string { o.n++; return fmt.Sprintf("0190b000-0000-7000-8000-%012d", o.n) },
	})
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	o.api = httpapi.New(httpapi.Options{Name: "DeliveryService", Version: "test", Authenticate: claimed})
	s.Routes(o.api)
	return o
}

func (o *office) ask(c auth.Caller, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(auth.Header, c.Encode())
	w := httptest.NewRecorder()
	o.api.ServeHTTP(w, r)
	return w
}

// deliver asks for a delivery, which the courier, if there is one, is committed to.
func (o *office) deliver(courier string) (id string) {
	o.t.Helper()
	w := o.ask(order, http.MethodPost, "/v1/deliveries", fmt.Sprintf(`{"items":[{"product":"Lasagna"}],"metadata":{"receiver":"OrderService",
		"order_id":"0190c000-0000-7000-8000-%012d","customer_id":"0190a000-0000-7000-8000-00000000000a"},
		"address":{"name":"Ada","street":"1 Street","zipcode":"1","city":"London"}}`, o.n))
	var answer wire.DeliveryAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); w.Code != 202 || err != nil {
		o.t.Fatal(w.Code, w.Body, err)
	}
	if courier != "" {
		o.callback(answer.DeliveryID, courier, 201)
	}
	return answer.DeliveryID
}

func (o *office) callback(id, courier string, want int) {
	o.t.Helper()
	call := `{"status":"driverAvailable","delivery_id":"` + id + `","courier_id":"` + courier + `"}`
	if w := o.ask(company, http.MethodPost, "/v1/deliveries/callback", call); w.Code != want {
		o.t.Fatal(w.Code, w.Body)
	}
}

// TestWhoseDelivery: a delivery is the courier's who drives, and the operators'. To anybody else it is not there, in
// the very words in which none is.
func TestWhoseDelivery(t *testing.T) {
	o := newOffice(t)
	bobs, open := o.deliver("bob"), o.deliver("")
	for _, c := range []struct {
		who        string
		caller     auth.Caller
		bobs, open int
	}{
		{"nobody", auth.Caller{}, 401, 401}, {"a cook", cook, 403, 403}, {"a service", order, 403, 403}, {"the company", company, 403, 403},
		{"the courier", bob, 200, 404}, {"another courier", eve, 404, 404}, {"a courier of no name", unlinked, 404, 404},
		{"an operator", operator, 200, 200},
	} {
		none := o.ask(c.caller, http.MethodGet, "/v1/deliveries/"+nobody, "")
		for id, status := range map[string]int{bobs: c.bobs, open: c.open} {
			w := o.ask(c.caller, http.MethodGet, "/v1/deliveries/"+id, "")
			if w.Code != status || status == 404 && w.Body.String() != none.Body.String() {
				t.Errorf("%s, %s: %d %s, and of none %s", c.who, id, w.Code, w.Body, none.Body)
			}
		}
	}
	o.callback(open, strings.Repeat("c", 101), 422)
	o.callback(open, "eve", 201)
	if w := o.ask(eve, http.MethodGet, "/v1/deliveries/"+open, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"courier_id":"eve"`) {
		t.Errorf("the courier's: %d %s", w.Code, w.Body)
	}
}

// TestWhoseDeliveries: a courier's list has what they drive, page by page; an operator's has all, or one courier's.
func TestWhoseDeliveries(t *testing.T) {
	o := newOffice(t)
	of := map[string][]string{}
	var all []string
	for _, courier := range []string{"bob", "eve", "", "bob", "", "bob"} {
		id := o.deliver(courier)
		of[courier] = slices.Insert(of[courier], 0, id)
		all = slices.Insert(all, 0, id)
	}
	for _, c := range []struct {
		who    string
		caller auth.Caller
		query  string
		want   []string
	}{
		{"a courier", bob, "", of["bob"]},
		{"a courier of themself", eve, "courier_id=eve&", of["eve"]},
		{"a courier of another", eve, "courier_id=bob&", nil},
		{"a courier of no name", unlinked, "", nil},
		{"a courier of no name, of one", unlinked, "courier_id=bob&", nil},
		{"an operator", operator, "", all},
		{"an operator of one", operator, "courier_id=bob&", of["bob"]},
		{"an operator of none", operator, "courier_id=nobody&", nil},
	} {
		var got []string
		for path := "/v1/deliveries?" + c.query + "limit=2"; path != ""; {
			w := o.ask(c.caller, http.MethodGet, path, "")
			var page []deliveryapi.Delivery
			if err := json.Unmarshal(w.Body.Bytes(), &page); w.Code != 200 || err != nil || page == nil {
				t.Fatalf("%s: %d %s", c.who, w.Code, w.Body)
			}
			for _, d := range page {
				got = append(got, d.DeliveryID)
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(w.Header().Get("Link"), "<"), ">")
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.who, got, c.want)
		}
	}
	for _, c := range []struct {
		caller auth.Caller
		status int
	}{{auth.Caller{}, 401}, {cook, 403}, {order, 403}, {company, 403}} {
		if w := o.ask(c.caller, http.MethodGet, "/v1/deliveries", ""); w.Code != c.status {
			t.Errorf("%+v: %d %s", c.caller, w.Code, w.Body)
		}
	}
}
