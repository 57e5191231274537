package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/auth"
)

// as is the town for who shows a credential: an access token or a key. Empty: for nobody.
func (w *town) as(credential string) *town {
	sub := *w
	sub.shown = nil
	if credential != "" {
		sub.shown = []string{"Authorization", "Bearer " + credential}
	}
	return &sub
}

// tokens are what who signs in is given.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// signIn signs a demo account in.
func (w *town) signIn(email string) tokens {
	w.t.Helper()
	return w.signInWith(email, app.DemoPassword)
}

func (w *town) signInWith(email, password string) tokens {
	w.t.Helper()
	a := w.as("").want(200, http.MethodPost, "/v1/auth/sign-in", map[string]string{"email": email, "password": password})
	return decoded[tokens](w.t, a.body)
}

// password is that of everybody who signs up in these tests.
const password = "correct horse battery"

// newcomer is the body of a sign-up.
func newcomer(name string) map[string]any {
	return map[string]any{
		"email": name + "@example.org", "password": password, "name": name, "payment_token": "tok_ok", "masked_card": "************4242",
		"address": map[string]any{"name": name, "street": "Langestraat 1", "zipcode": "1234", "city": "Delft"},
	}
}

// signUp signs somebody up as a customer, and in; who is the customer's id.
func (w *town) signUp(name string) (who string, signedIn tokens) {
	w.t.Helper()
	a := decoded[struct{ Customer string }](w.t, w.as("").want(201, http.MethodPost, "/v1/auth/sign-up", newcomer(name)).body)
	if a.Customer == "" {
		w.t.Fatalf("%s has signed up and is no customer", name)
	}
	return a.Customer, w.signInWith(name+"@example.org", password)
}

// register makes an account by the operator's word, and signs it in.
func (w *town) register(name string, may map[string]any) tokens {
	w.t.Helper()
	body := map[string]any{"email": name + "@example.org", "password": password, "name": name}
	for k, v := range may {
		body[k] = v
	}
	w.want(201, http.MethodPost, "/v1/accounts", body)
	return w.signInWith(name+"@example.org", password)
}

// madeKey is a key of an operator's making.
type madeKey struct{ ID, Key string }

func (w *town) makeKey(scopes ...string) madeKey {
	w.t.Helper()
	return decoded[madeKey](w.t, w.want(201, http.MethodPost, "/v1/keys", map[string]any{"name": strings.Join(scopes, " "), "scopes": scopes}).body)
}

// soon repeats a question until its answer will do, and says how long that took.
func soon(t *testing.T, what string, within time.Duration, enough func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for tick := time.Tick(10 * time.Millisecond); !enough(); <-tick {
		if time.Since(began) > within {
			t.Fatalf("%s: not within %s", what, within)
		}
	}
	return time.Since(began)
}

// folk are callers of every kind, by real credentials, and what each shows.
type folk struct {
	name       string
	credential string
	caller     auth.Caller // what it should be taken for
}

// everybody is one caller of each kind at the gateway.
func (w *town) everybody() []folk {
	w.t.Helper()
	service := w.makeKey("service:order")
	return []folk{
		{"nobody", "", auth.Caller{}},
		{"a customer", w.signIn("ada@example.com").Access, auth.Caller{Subject: "account:" + ada, Roles: []auth.Role{auth.Customer}, Customer: ada}},
		{"a cook", w.signIn(app.DemoCook).Access, auth.Caller{Subject: "account:2", Roles: []auth.Role{auth.Kitchen}}},
		{"a courier", w.signIn(app.DemoCourier).Access, auth.Caller{Subject: "account:3", Roles: []auth.Role{auth.Courier}}},
		{"an operator", w.signIn(app.DemoOperator).Access, auth.Caller{Subject: "account:4", Roles: []auth.Role{auth.Operator}}},
		{"an operator's key", w.makeKey("operator").Key, auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}}},
		{"a reader's key", w.makeKey("operator:read").Key, auth.Caller{Subject: "key:2", Roles: []auth.Role{auth.Operator}, ReadOnly: true}},
		{"a partner's key", w.makeKey("partner:card").Key, auth.Caller{Subject: "key:3", Roles: []auth.Role{auth.Partner}, Company: "card"}},
		{"a service's key", service.Key, auth.Caller{}}, // nobody, at the door
		{"somebody's garbage", "garbage", auth.Caller{}},
	}
}

// fill gives a route's parameters values.
func fill(pattern, id string) string {
	for _, name := range []string{"{id}", "{name}", "{queue}", "{provider}", "{file}"} {
		value := id
		if name != "{id}" {
			value = "none"
		}
		pattern = strings.ReplaceAll(pattern, name, value)
	}
	return strings.ReplaceAll(pattern, "{$}", "")
}

// unknownID is nobody's.
const unknownID = "0190a000-0000-7000-8000-0000000abcde"

// alike says whether two answers are the same to whoever gets them.
func alike(a, b answer) error {
	if a.status != b.status || string(a.body) != string(b.body) {
		return fmt.Errorf("%s and %s", a, b)
	}
	return nil
}
