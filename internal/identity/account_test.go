package identity_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/identity"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// with is a state with changes.
func with[S any](s S, changes ...func(*S)) S {
	for _, c := range changes {
		c(&s)
	}
	return s
}

func event(kind string, body any) durable.Event {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return durable.Event{Type: kind, Body: b, At: noon}
}

// outcome is what a step came to: "" the state wanted, "ignored", "fails", or a refusal's code.
func outcome(err error) string {
	refusal, ok := errors.AsType[*durable.Refusal](err)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, durable.ErrIgnored):
		return "ignored"
	case ok:
		return string(refusal.Code)
	}
	return "fails"
}

// Accounts in every state.
var (
	none     = identity.Account{}
	asked    = identity.Account{ID: "a", Email: "ada@x", Password: "phc", Name: "Ada", Joining: identity.Asked, Asks: 1, Created: noon}
	again    = with(asked, func(a *identity.Account) { a.Asks = 2 })
	joined   = with(asked, func(a *identity.Account) { a.Joining, a.Customer, a.Roles = identity.Joined, "a", customerOnly })
	declined = with(asked, func(a *identity.Account) { a.Joining, a.Reason = identity.Declined, identity.ReasonTaken })
	silent   = with(asked, func(a *identity.Account) { a.Joining, a.Reason = identity.Unanswered, identity.ReasonSilent })
	boss     = identity.Account{ID: "a", Email: "ada@x", Password: "phc", Roles: []auth.Role{auth.Operator}, Created: noon}
	met      = identity.Account{ID: "a", Email: "ada@x", Name: "Ada", Subject: "iss|1", Created: noon}
	gone     = with(met, func(a *identity.Account) { a.Disabled, a.Epoch = true, 1 })

	customerOnly = []auth.Role{auth.Customer}
	states       = map[string]identity.Account{
		"none": none, "asked": asked, "again": again, "joined": joined, "declined": declined, "silent": silent, "boss": boss, "met": met, "gone": gone,
	}
)

// TestAccountSteps says for every event in every state what it comes to.
func TestAccountSteps(t *testing.T) {
	join := identity.Join{Name: "Ada", PaymentToken: "tok_ok"}
	rejection := func(status int) durable.Rejection { return durable.Rejection{Status: status, Detail: "no"} }
	yes, empty := true, ""
	for _, tt := range []struct {
		what  string
		event durable.Event
		// by state, "" for all others; "ok" is a change, "same" none but in what is owed
		comes map[string]string
	}{
		{"signUp", event(identity.EventSignUp, identity.SignUp{ID: "a", Email: "ada@x", Password: "phc", Join: join}), map[string]string{"none": "ok", "": "conflict"}},
		{"signUp without a password", event(identity.EventSignUp, identity.SignUp{ID: "a"}), map[string]string{"none": "fails", "": "conflict"}},
		{"register", event(identity.EventRegister, boss), map[string]string{"none": "ok", "": "conflict"}},
		{"meet", event(identity.EventMeet, identity.Meet{ID: "a", Email: "ada@x", Name: "Ada", Subject: "iss|1"}), map[string]string{"none": "ok", "met": "ignored", "gone": "ignored", "": "conflict"}},
		{"meet another", event(identity.EventMeet, identity.Meet{ID: "a", Subject: "iss|2"}), map[string]string{"none": "ok", "": "conflict"}},
		{"join", event(identity.EventJoin, join), map[string]string{
			"none": "not found", "asked": "ignored", "again": "ignored", "joined": "conflict", "gone": "conflict", "": "ok",
		}},
		{"change roles", event(identity.EventChange, identity.Change{By: "account:b", Roles: []auth.Role{auth.Courier}, Courier: &[]string{"d"}[0]}), map[string]string{"none": "not found", "": "ok"}},
		{"change nothing", event(identity.EventChange, identity.Change{By: "account:a"}), map[string]string{"none": "not found", "": "ignored"}},
		{"take all roles", event(identity.EventChange, identity.Change{By: "account:b", Roles: []auth.Role{}}), map[string]string{
			"none": "not found", "joined": "ok", "boss": "ok", "": "ignored",
		}},
		{"take one's own", event(identity.EventChange, identity.Change{By: "account:a", Roles: []auth.Role{}}), map[string]string{
			"none": "not found", "joined": "ok", "boss": "conflict", "": "ignored",
		}},
		{"disable", event(identity.EventChange, identity.Change{By: "key:k", Disabled: &yes}), map[string]string{"none": "not found", "gone": "ignored", "": "ok"}},
		{"disable oneself", event(identity.EventChange, identity.Change{By: "account:a", Disabled: &yes}), map[string]string{"none": "not found", "gone": "ignored", "": "conflict"}},
		{"an unknown role", event(identity.EventChange, identity.Change{Roles: []auth.Role{auth.Service}}), map[string]string{"none": "not found", "": "invalid"}},
		{"a role twice", event(identity.EventChange, identity.Change{Roles: []auth.Role{auth.Operator, auth.Operator}}), map[string]string{"none": "not found", "": "invalid"}},
		{"kitchen nowhere", event(identity.EventChange, identity.Change{Roles: []auth.Role{auth.Kitchen}}), map[string]string{"none": "not found", "": "invalid"}},
		{"customer without one", event(identity.EventChange, identity.Change{Roles: customerOnly, Customer: &empty}), map[string]string{"none": "not found", "": "invalid"}},
		{"password", event(identity.EventPassword, identity.Password{Old: "phc", New: "new"}), map[string]string{"none": "not found", "met": "conflict", "gone": "conflict", "": "ok"}},
		{"password of before", event(identity.EventPassword, identity.Password{Old: "old", New: "new"}), map[string]string{"none": "not found", "": "conflict"}},
		{"rehash", event(identity.EventRehash, identity.Password{Old: "phc", New: "new"}), map[string]string{"none": "not found", "met": "ignored", "gone": "ignored", "": "ok"}},
		{"rehash of before", event(identity.EventRehash, identity.Password{Old: "old", New: "new"}), map[string]string{"none": "not found", "": "ignored"}},
		{"registered", event("register.done", nil), map[string]string{"none": "not found", "asked": "ok", "again": "ok", "": "ignored"}},
		{"refused", event("register.refused", rejection(409)), map[string]string{"none": "not found", "asked": "ok", "again": "same", "": "ignored"}},
		{"not valid", event("register.refused", rejection(422)), map[string]string{"none": "not found", "asked": "ok", "again": "ok", "": "ignored"}},
		{"gave up", event("register.gaveUp", rejection(0)), map[string]string{"none": "not found", "asked": "ok", "again": "ok", "": "ignored"}},
		{"found", event("look.done", nil), map[string]string{"none": "not found", "asked": "ok", "again": "ok", "": "ignored"}},
		{"not found", event("look.refused", rejection(404)), map[string]string{"none": "not found", "asked": "ok", "again": "ok", "": "ignored"}},
		{"not looked", event("look.gaveUp", rejection(0)), map[string]string{"none": "not found", "asked": "ok", "again": "ok", "": "ignored"}},
		{"unknown", event("fly", nil), map[string]string{"none": "not found", "": "fails"}},
		{"no JSON", durable.Event{Type: identity.EventJoin, Body: []byte("{")}, map[string]string{"none": "not found", "": "fails"}},
	} {
		for name, state := range states {
			want, ok := tt.comes[name]
			if !ok {
				want = tt.comes[""]
			}
			got, _, err := identity.AccountMachine{}.Step(state, tt.event)
			changed := !reflect.DeepEqual(got, state)
			o := outcome(err)
			switch {
			case o == "" && changed:
				o = "ok"
			case o == "":
				o = "same"
			case changed:
				t.Errorf("%s in state %s: %v, and another state", tt.what, name, err)
			}
			if o != want {
				t.Errorf("%s in state %s: %q (%v); want %q", tt.what, name, o, err, want)
			}
		}
	}
}

// TestAccountLeadsTo looks at the states and what is owed.
func TestAccountLeadsTo(t *testing.T) {
	signUp := event(identity.EventSignUp, identity.SignUp{ID: "a", Email: "ada@x", Password: "phc", Join: identity.Join{Name: "Ada", PaymentToken: "tok_ok"}})
	rejected := func(kind string, status int) durable.Event {
		return event(kind, durable.Rejection{Status: status, Detail: "the token is no token"})
	}
	no := false
	for _, tt := range []struct {
		what   string
		before identity.Account
		event  durable.Event
		want   identity.Account
		owes   string
	}{
		{"sign-up", none, signUp, asked, "register POST /v1/customers"},
		{"done", asked, event("register.done", nil), joined, ""},
		{"done, but an operator was faster", with(asked, func(a *identity.Account) { a.Customer, a.Roles = "c", customerOnly }), event("register.done", nil),
			with(joined, func(a *identity.Account) { a.Customer = "c" }), ""},
		{"taken", asked, rejected("register.refused", 409), declined, ""},
		{"not valid", asked, rejected("register.refused", 422), with(declined, func(a *identity.Account) {
			a.Reason = "the customer service refused: the token is no token"
		}), ""},
		{"taken at the second time: by ourselves?", again, rejected("register.refused", 409), again, "look GET /v1/customers/a"},
		{"by ourselves", again, event("look.done", nil), with(joined, func(a *identity.Account) { a.Asks = 2 }), ""},
		{"by another", again, rejected("look.refused", 404), with(declined, func(a *identity.Account) { a.Asks = 2 }), ""},
		{"silence", asked, rejected("register.gaveUp", 0), silent, ""},
		{"once more", silent, event(identity.EventJoin, identity.Join{Name: "Ada"}), again, "register POST /v1/customers"},
		{"password", boss, event(identity.EventPassword, identity.Password{Old: "phc", New: "new"}), with(boss, func(a *identity.Account) { a.Password, a.Epoch = "new", 1 }), ""},
		{"rehash keeps the sessions", boss, event(identity.EventRehash, identity.Password{Old: "phc", New: "new"}), with(boss, func(a *identity.Account) { a.Password = "new" }), ""},
		{"enable", gone, event(identity.EventChange, identity.Change{Disabled: &no}), with(met, func(a *identity.Account) { a.Epoch = 2 }), ""},
		{"what only the core says is not taken from outside", none,
			event(identity.EventRegister, with(boss, func(a *identity.Account) { a.Epoch, a.Joining, a.Reason, a.Asks = 9, identity.Joined, "x", 7 })), boss, ""},
	} {
		got, effects, err := identity.AccountMachine{}.Step(tt.before, tt.event)
		owes := ""
		for _, e := range effects {
			owes += e.Name + " " + e.Op
			if e.To != "customer" || !e.GiveUp.Equal(noon.Add(identity.JoinLimit)) {
				t.Errorf("%s: %+v", tt.what, e)
			}
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) || owes != tt.owes {
			t.Errorf("%s: %+v\nowes %q, %v\nwant %+v", tt.what, got, owes, err, tt.want)
		}
	}
}

func TestNormalEmail(t *testing.T) {
	for in, want := range map[string]string{
		" Ada@Example.COM ": "ada@example.com", "a+b@c.d": "a+b@c.d", "ünï@cödé": "ünï@cödé",
		"": "", "ada": "", "@x": "", "a@": "", "a@b@c": "", "a b@c": "", "<a@b>": "", "a@b,c@d": "", "a\x00@b": "", "a\n@b": "",
		strings.Repeat("a", 65) + "@b": "", "a@" + strings.Repeat("b", 260): "",
	} {
		if got, ok := identity.NormalEmail(in); got != want && ok || ok != (want != "") {
			t.Errorf("%q: %q %t, want %q", in, got, ok, want)
		}
	}
	if id, ok := identity.AccountOf(auth.Caller{Subject: "account:x"}); id != "x" || !ok {
		t.Error(id, ok)
	}
	for _, c := range []auth.Caller{{}, auth.Root, {Subject: "account:"}, auth.InService("account")} {
		if id, ok := identity.AccountOf(c); ok {
			t.Errorf("%+v is the account %s", c, id)
		}
	}
}

func TestLoginSteps(t *testing.T) {
	for _, tt := range []struct {
		before identity.Login
		event  durable.Event
		want   string
		comes  string
	}{
		{identity.Login{}, event(identity.EventClaim, identity.Login{Account: "a"}), "a", ""},
		{identity.Login{}, event(identity.EventClaim, identity.Login{}), "", "fails"},
		{identity.Login{}, durable.Event{Type: identity.EventClaim, Body: []byte("{")}, "", "fails"},
		{identity.Login{Account: "a"}, event(identity.EventClaim, identity.Login{Account: "b"}), "a", "ignored"},
		{identity.Login{Account: "a"}, event("move", nil), "a", "fails"},
	} {
		got, effects, err := identity.LoginMachine{}.Step(tt.before, tt.event)
		if got.Account != tt.want || outcome(err) != tt.comes || len(effects) > 0 {
			t.Errorf("%+v %s: %+v %v", tt.before, tt.event.Type, got, err)
		}
	}
}
