package e2e_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestAPI1_BrokenObjectLevelAuthorization: OWASP API1:2023. What is another's is, to whoever asks, not there: the same
// answer as for an id that nobody has, in every route with an id that is not for operators alone; and in no list.
func TestAPI1_BrokenObjectLevelAuthorization(t *testing.T) {
	w := found(t, nil)
	anna, a := w.signUp("anna")
	ben, b := w.signUp("ben")
	cook := w.register("cook-of-two", map[string]any{"roles": []string{"kitchen"}, "restaurants": []string{wire.DemoRestaurant, curry}})
	courier := w.register("courier-of-none", map[string]any{"roles": []string{"courier"}, "courier": "courier-nobody"})

	annas := decoded[wire.Order](t, w.as(a.Access).want(202, http.MethodPost, "/v1/orders", wish(anna, "")).body)
	bens := decoded[wire.Order](t, w.as(b.Access).want(202, http.MethodPost, "/v1/orders", wish(ben, silentKitchen), "Idempotency-Key", "the-same").body)
	w.reach(bens.ID, wire.CookingScheduled)
	w.reach(annas.ID, wire.CookingScheduled)
	bens, annas = w.get(bens.ID), w.get(annas.ID)

	t.Run("by id", func(t *testing.T) {
		type attempt struct {
			who     string
			as      *town
			pattern string
			of      string // another's
			body    any
		}
		attempts := []attempt{
			{"a customer", w.as(a.Access), "GET /v1/orders/{id}", bens.ID, nil},
			{"a customer", w.as(a.Access), "GET /v1/orders/{id}/events", bens.ID, nil},
			{"a customer", w.as(a.Access), "POST /v1/orders/{id}/cancel", bens.ID, map[string]any{}},
			{"a customer", w.as(a.Access), "DELETE /v1/orders/{id}", bens.ID, nil},
			{"a customer", w.as(a.Access), "GET /v1/customers/{id}", ben, nil},
			{"a cook", w.as(cook.Access), "GET /v1/kitchen/{id}", *bens.KitchenID, nil},
			{"a cook", w.as(cook.Access), "PUT /v1/restaurants/{id}", silentKitchen, map[string]any{"name": "Mine", "items": []any{}}},
			{"a courier", w.as(courier.Access), "GET /v1/deliveries/{id}", *bens.DeliveryID, nil},
		}
		tried := map[string]bool{}
		for _, x := range attempts {
			tried[x.pattern] = true
			method, path, _ := strings.Cut(x.pattern, " ")
			others := x.as.call(method, fill(path, x.of), x.body)
			nobodys := x.as.call(method, fill(path, unknownID), x.body)
			if err := alike(others, nobodys); err != nil || others.status != 404 {
				t.Errorf("%s, %s: another's and nobody's are told apart: %v", x.who, x.pattern, err)
			}
		}
		for _, r := range w.sys.API(app.Gateway).Routes() {
			forPeople := slices.ContainsFunc(r.Access.Roles(), func(role auth.Role) bool { return role != auth.Operator && role != auth.Service })
			if strings.Contains(r.Path, "{id}") && forPeople && !r.Access.Public() && !tried[r.Method+" "+r.Path] {
				t.Errorf("%s %s is for %s, and whose it is was not tried", r.Method, r.Path, r.Access)
			}
		}
		if o := w.get(bens.ID); o.CancelRequested || o.Reason != "" {
			t.Errorf("Ben's order is %+v", o)
		}
		for as, path := range map[*town]string{
			w.as(a.Access): "/v1/orders/" + annas.ID, w.as(b.Access): "/v1/customers/" + ben, w.as(cook.Access): "/v1/kitchen/" + *annas.KitchenID,
		} {
			as.in(t).want(200, http.MethodGet, path, nil)
		}
	})
	t.Run("in lists", func(t *testing.T) {
		for _, list := range []struct {
			as      *town
			path    string
			has     string // nothing where it is empty
			hasNot  []string
			isEmpty bool
		}{
			{w.as(a.Access), "/v1/orders", annas.ID, []string{bens.ID, ben}, false},
			{w.as(a.Access), "/v1/orders?customer_id=" + anna, annas.ID, []string{bens.ID}, false},
			{w.as(a.Access), "/v1/orders?customer_id=" + ben, "", nil, true},
			{w.as(a.Access), "/v1/me/dashboard", annas.ID, []string{bens.ID, ben}, false},
			{w.as(cook.Access), "/v1/kitchen?restaurant_id=" + wire.DemoRestaurant, *annas.KitchenID, []string{*bens.KitchenID}, false},
			{w.as(cook.Access), "/v1/kitchen?restaurant_id=" + silentKitchen, "", nil, true},
			{w.as(cook.Access), "/v1/me/dashboard", wire.DemoRestaurant, []string{*bens.KitchenID, annas.ID, bens.ID}, false},
			{w.as(courier.Access), "/v1/deliveries", "", nil, true},
		} {
			text := string(list.as.in(t).want(200, http.MethodGet, list.path, nil).body)
			if list.isEmpty && strings.TrimSpace(text) != "[]" || !strings.Contains(text, list.has) {
				t.Errorf("GET %s: %s", list.path, text)
			}
			for _, other := range list.hasNot {
				if strings.Contains(text, other) {
					t.Errorf("GET %s shows %s: %s", list.path, other, text)
				}
			}
		}
		// A page of one's own cannot be made to begin among those of somebody else.
		page := w.as(b.Access).want(200, http.MethodGet, "/v1/orders?limit=1", nil).header.Get("Link")
		if _, rest, found := strings.Cut(page, "<"); found {
			path, _, _ := strings.Cut(rest, ">")
			if text := string(w.as(a.Access).want(200, http.MethodGet, path, nil).body); strings.Contains(text, bens.ID) {
				t.Errorf("with Ben's cursor Anna sees %s", text)
			}
		}
	})
	t.Run("for somebody else", func(t *testing.T) {
		as := w.as(a.Access).in(t)
		others := as.want(422, http.MethodPost, "/v1/orders", wish(ben, ""))
		if err := alike(others, as.want(422, http.MethodPost, "/v1/orders", wish(unknownID, ""))); err != nil {
			t.Errorf("who is a customer is told: %v", err)
		}
		if err := alike(others, as.want(422, http.MethodPost, "/v1/orders", wish(ben, silentKitchen), "Idempotency-Key", "the-same")); err != nil {
			t.Errorf("with Ben's idempotency key: %v", err)
		}
		mine := decoded[wire.Order](t, as.want(202, http.MethodPost, "/v1/orders", wish(anna, silentKitchen), "Idempotency-Key", "the-same").body)
		if mine.ID == bens.ID || mine.CustomerID != anna {
			t.Errorf("Ben's idempotency key gave Anna %+v", mine)
		}
	})
	w.pass(4 * time.Hour)
}

// TestAPI3_BrokenObjectPropertyLevelAuthorization: OWASP API3:2023. What a request may not set is refused or has no
// effect (mass assignment), and what nobody needs to see is in no answer (excessive data exposure).
func TestAPI3_BrokenObjectPropertyLevelAuthorization(t *testing.T) {
	w := found(t, nil)
	anna, a := w.signUp("anna")
	ben, _ := w.signUp("ben")
	as := w.as(a.Access)
	t.Run("mass assignment", func(t *testing.T) {
		as := as.in(t)
		for field, value := range map[string]any{
			"roles": []string{"operator"}, "id": ben, "customer": ben, "disabled": false, "restaurants": []string{curry},
			"courier": "courier-01", "epoch": 7, "joining": "joined", "created": "2020-01-01T00:00:00Z",
		} {
			body := newcomer("mallory")
			body[field] = value
			as.as("").in(t).want(422, http.MethodPost, "/v1/auth/sign-up", body)
		}
		for field, value := range map[string]any{
			"id": unknownID, "status": "delivered", "total": map[string]any{"amount": 1, "currency": "EUR"}, "settled": true,
			"created": "2020-01-01T00:00:00Z", "history": []any{}, "reason": "x", "price": 1,
		} {
			body := wish(anna, "")
			body[field] = value
			as.want(422, http.MethodPost, "/v1/orders", body)
		}
		as.want(422, http.MethodPost, "/v1/orders", map[string]any{"customer_id": anna, "items": []any{
			map[string]any{"product": "Lasagna", "price": map[string]any{"amount": 1, "currency": "EUR"}},
		}})
		for _, quantity := range []any{0, -1, 1.5, "1", 1e9} {
			as.want(422, http.MethodPost, "/v1/orders", map[string]any{"customer_id": anna, "items": []any{
				map[string]any{"product": "Lasagna", "quantity": quantity},
			}})
		}
		as.want(403, http.MethodPatch, "/v1/accounts/"+anna, map[string]any{"roles": []string{"operator"}})
		as.want(409, http.MethodPost, "/v1/me/customer", map[string]any{
			"name": "Anna", "payment_token": "tok_ok", "address": newcomer("anna")["address"],
		})
		// A name in other letters, and a name twice, are what they are for the check and for the decoder.
		as.want(422, http.MethodPost, "/v1/orders", []byte(`{"customer_id":"`+anna+`","Customer_ID":"`+ben+`","items":[{"product":"Lasagna"}]}`))
		o := decoded[wire.Order](t, as.want(202, http.MethodPost, "/v1/orders", wish(anna, "")).body)
		as.want(403, http.MethodPost, "/v1/orders/"+o.ID+"/cancel", map[string]any{"operator": true})
		as.want(422, http.MethodPost, "/v1/orders/"+o.ID+"/cancel", map[string]any{"status": "reimbursed"})
		if now := w.in(t).get(o.ID); now.CustomerID != anna || now.CancelRequested || now.Total.Amount <= 100 {
			t.Errorf("the order is %+v", now)
		}
	})
	t.Run("excessive data", func(t *testing.T) {
		w := w.in(t)
		w.reach(w.place(ada, "").ID, wire.CookingScheduled)
		key := w.makeKey("operator:read")
		_, digest, err := auth.ParseKey(key.Key)
		if err != nil {
			t.Fatal(err)
		}
		secrets := map[string]string{
			"a password's hash": "argon2", "a key": key.Key[len(key.Key)-20:], "a key's digest": digest, "the operator's key": operatorKey,
			"a company's secret": "whsec_", "that of the services": innerKey, "a refresh token": "tfr_", "a stack": "goroutine ",
		}
		shown := w.everythingShown()
		if len(shown) < 60 {
			t.Errorf("%d answers only", len(shown))
		}
		for path, answer := range shown {
			if strings.HasSuffix(path, "openapi.json") || strings.Contains(path, "/docs") {
				continue // they name what is sent, and hold nothing that was
			}
			for what, text := range secrets {
				if strings.Contains(string(answer.body), text) {
					t.Errorf("GET %s shows %s", path, what)
				}
			}
		}
		for _, who := range []tokens{w.signIn(app.DemoCook), w.signIn(app.DemoCourier)} {
			as := w.as(who.Access)
			for _, path := range []string{"/v1/me", "/v1/me/dashboard", "/v1/kitchen?restaurant_id=" + wire.DemoRestaurant, "/v1/deliveries", "/v1/restaurants"} {
				if text := string(as.call(http.MethodGet, path, nil).body); strings.Contains(text, "tok_") || strings.Contains(text, "@example.com\",\"name\":\"Ada") {
					t.Errorf("GET %s shows how or who pays: %s", path, text)
				}
			}
		}
		if text := string(as.in(t).want(200, http.MethodGet, "/v1/me", nil).body); strings.Contains(text, "tok_") || strings.Contains(text, "password") {
			t.Errorf("GET /v1/me: %s", text)
		}
	})
	w.pass(4 * time.Hour)
}

// statusOf is a request of which the answer's head is enough: some answers have no end.
func (w *town) statusOf(method, path string) int {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader("{}"))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	w.show(req.Header)
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	if err := res.Body.Close(); err != nil {
		w.t.Error(err)
	}
	return res.StatusCode
}

// TestAPI5_BrokenFunctionLevelAuthorization: OWASP API5:2023. Each route of the gateway, as it is really routed, is
// asked by everybody there is, with credentials that are really theirs, and keeps to its own word.
// (TestEveryRouteForEveryRole does the same behind the gateway.)
func TestAPI5_BrokenFunctionLevelAuthorization(t *testing.T) {
	w := found(t, nil)
	routes := w.sys.API(app.Gateway).Routes()
	for _, who := range w.everybody() {
		as := w.as(who.credential)
		for _, r := range routes {
			got := as.statusOf(r.Method, fill(r.Path, unknownID))
			denied := got == 401 || got == 403
			want := r.Access.Allows(who.caller, r.Method)
			switch {
			case strings.HasSuffix(r.Path, "/callback") && r.Method == http.MethodPost: // the service knows who signs
				if !denied && got != 422 {
					t.Errorf("%s: %s %s: %d", who.name, r.Method, r.Path, got)
				}
			case who.credential != "" && who.caller.Nobody():
				if got != 401 {
					t.Errorf("%s: %s %s: %d; a credential that is none is refused everywhere", who.name, r.Method, r.Path, got)
				}
			case (want != nil) != denied && !(r.Access.Public() && got == 401):
				t.Errorf("%s: %s %s is for %s, and is answered %d", who.name, r.Method, r.Path, r.Access, got)
			case want != nil && (got == 401) != who.caller.Nobody():
				t.Errorf("%s: %s %s: %d", who.name, r.Method, r.Path, got)
			}
		}
	}
	// A way around the table: another method, a trailing slash, escapes, what the services say to each other.
	cook := w.as(w.signIn(app.DemoCook).Access)
	for _, path := range []string{
		"POST /v1/payments", "POST /v1/payments/reimburse", "POST /v1/deliveries", "POST /v1/kitchen", "POST /v1/kitchen/release",
		"POST /v1/customers/" + ada + "/billing", "GET /v1/customers/" + ada + "/address", "GET /v1/keys/snapshot", "GET /v1/accounts/",
		"GET /v1//accounts", "GET /v1/%61ccounts", "GET /V1/accounts", "GET /identity/v1/accounts", "GET /identity/../v1/accounts",
		"PUT /v1/accounts", "HEAD /v1/accounts", "GET /v1/orders/%2e%2e/accounts", "GET /order/docs/..%2f..%2fv1/accounts",
	} {
		method, path, _ := strings.Cut(path, " ")
		if got := cook.statusOf(method, path); got < 400 || got == 500 {
			t.Errorf("%s %s: %d", method, path, got)
		}
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", auth.Header} {
		value := map[string]string{"X-HTTP-Method-Override": "DELETE", auth.Header: auth.Root.Encode()}[name]
		if value == "" {
			value = "/v1/accounts"
		}
		if a := cook.call(http.MethodGet, "/v1/accounts", nil, name, value); a.status != 403 {
			t.Errorf("%s: %s", name, a)
		}
	}
}
