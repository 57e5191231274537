package api_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/identity"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
)

// TestSignUp: who signs up is a customer when the customer service has said so.
func TestSignUp(t *testing.T) {
	for _, features := range []durable.Features{exclusive, shared} {
		atDesk(t, features, nil, func(d *desk) {
			a := d.signUp()
			if a.Email != "ada@example.com" || len(a.Roles) != 1 || a.Roles[0] != auth.Customer || a.Customer != a.ID || a.Joining != identity.Joined {
				t.Errorf("%+v", a)
			}
			if len(d.customers.asked) != 1 || d.customers.asked[0].Op != "POST /v1/customers" || !strings.Contains(string(d.customers.asked[0].Body), `"id":"`+a.ID+`"`) {
				t.Errorf("%+v", d.customers.asked)
			}
			tokens := d.signIn("ADA@example.com ", password)
			if tokens.ExpiresIn != 600 || tokens.TokenType != "Bearer" {
				t.Errorf("%+v", tokens)
			}
			d.want(200, a.ID, "GET", "/v1/me", "", "Authorization", bearer(tokens))
			d.want(401, "sign in", "GET", "/v1/me", "")
			d.want(401, "not valid", "GET", "/v1/me", "", "Authorization", bearer(tokens)+"x")
			d.want(409, "exists already", "POST", "/v1/auth/sign-up", signingUp)
			d.want(403, "", "GET", "/v1/accounts", "", "Authorization", bearer(tokens))
			d.want(409, "customer's already", "POST", "/v1/me/customer", becoming, "Authorization", bearer(tokens))
		})
	}
}

// TestSignUpOutcomes: what the customer service says, or does not say.
func TestSignUpOutcomes(t *testing.T) {
	atDesk(t, exclusive, nil, func(d *desk) {
		d.customers.say(taken)
		d.want(409, "belongs to a customer already; ask the operator", "POST", "/v1/auth/sign-up", signingUp)
		tokens := d.signIn("ada@example.com", password) // it is an account all the same
		d.want(200, `"roles":[]`, "GET", "/v1/me", "", "Authorization", bearer(tokens))
		d.want(409, "exists already", "POST", "/v1/auth/sign-up", strings.Replace(signingUp, password, other, 1))
		// Asked twice and refused, it looks whether the customer is its own.
		d.want(409, "belongs to a customer already; ask the operator", "POST", "/v1/auth/sign-up", signingUp)
		if n := len(d.customers.asked); n != 3 || !strings.HasPrefix(d.customers.asked[2].Op, "GET /v1/customers/") {
			t.Errorf("%d: %+v", n, d.customers.asked)
		}
		d.customers.say(welcome)
		d.want(201, `"joining":"joined"`, "POST", "/v1/auth/sign-up", signingUp)
	})
	atDesk(t, exclusive, nil, func(d *desk) {
		d.customers.say(away)
		began := time.Now()
		d.want(201, `"joining":"asked"`, "POST", "/v1/auth/sign-up", signingUp)
		if waited := time.Since(began); waited < 2*time.Second || waited > 3*time.Second {
			t.Errorf("waited %v", waited)
		}
		d.customers.say(welcome)
		d.pass(time.Minute)
		tokens := d.signIn("ada@example.com", password)
		d.want(200, `"joining":"joined"`, "GET", "/v1/me", "", "Authorization", bearer(tokens))
	})
	atDesk(t, exclusive, nil, func(d *desk) {
		d.customers.say(away)
		d.want(201, `"joining":"asked"`, "POST", "/v1/auth/sign-up", signingUp)
		d.pass(identity.JoinLimit + time.Minute)
		tokens := d.signIn("ada@example.com", password)
		d.want(200, `"joining":"unanswered"`, "GET", "/v1/me", "", "Authorization", bearer(tokens))
		d.customers.say(welcome)
		d.want(201, `"joining":"joined"`, "POST", "/v1/me/customer", becoming, "Authorization", bearer(tokens))
		next := into[identityapi.Tokens](t, d.want(200, "", "POST", "/v1/auth/refresh", refreshing(tokens)))
		d.want(200, `"roles":["customer"]`, "GET", "/v1/me", "", "Authorization", bearer(next))
	})
}

func TestPasswordsThatWillNotDo(t *testing.T) {
	atDesk(t, exclusive, nil, func(d *desk) {
		for _, bad := range []string{"short", "Password123", "qwertyuiop", "ada@example.com", "example.com", strings.Repeat("x", 129)} {
			body := strings.Replace(signingUp, password, bad, 1)
			d.want(422, "body.password", "POST", "/v1/auth/sign-up", body)
		}
		for _, bad := range []string{"ada", "Ada <ada@example.com>", "a@b@c", "a b@c", "@", "ada@"} {
			d.want(422, "body.email", "POST", "/v1/auth/sign-up", strings.Replace(signingUp, "Ada@Example.com", bad, 1))
		}
		d.want(201, "", "POST", "/v1/auth/sign-up", strings.Replace(signingUp, password, "пароль, которого нет", 1))
	})
}

// TestSignInTellsNothing: the same answer after the same work, whatever is wrong.
func TestSignInTellsNothing(t *testing.T) {
	atDesk(t, exclusive, nil, func(d *desk) {
		a := d.signUp()
		d.want(201, "", "POST", "/v1/accounts", `{"email":"eve@example.com","password":"`+password+`"}`, auth.Header, operator)
		list := into[[]identityapi.Account](t, d.want(200, "eve@", "GET", "/v1/accounts", "", auth.Header, operator))
		d.want(200, `"disabled":true`, "PATCH", "/v1/accounts/"+list[0].ID, `{"disabled":true}`, auth.Header, operator)
		if err := d.service.Ensure(d.ctx, []identity.Account{{Email: "bob@example.com"}}); err != nil {
			t.Fatal(err)
		}
		var first answer
		for _, wrong := range []string{
			signingIn("ada@example.com", other), signingIn("nobody@example.com", password), signingIn("eve@example.com", password),
			signingIn("bob@example.com", password), signingIn("bob@example.com", ""), signingIn("not an address", password),
		} {
			before := d.service.Hashes()
			got := d.want(401, "the e-mail address or the password is wrong", "POST", "/v1/auth/sign-in", wrong)
			if n := d.service.Hashes() - before; n != 1 {
				t.Errorf("%s: %d hashes", wrong, n)
			}
			if first.body == "" {
				first = got
			}
			if got.body != first.body {
				t.Errorf("%s: %s, others %s", wrong, got, first)
			}
		}
		before := d.service.Hashes()
		d.signIn(a.Email, password)
		if n := d.service.Hashes() - before; n != 1 {
			t.Errorf("%d hashes for who is right", n)
		}
	})
}

func TestRefresh(t *testing.T) {
	for _, features := range []durable.Features{exclusive, shared} {
		atDesk(t, features, nil, func(d *desk) {
			d.signUp()
			first := d.signIn("ada@example.com", password)
			refresh := func(status int, t identityapi.Tokens) identityapi.Tokens {
				d.t.Helper()
				a := d.want(status, "", "POST", "/v1/auth/refresh", refreshing(t))
				if status != 200 {
					return identityapi.Tokens{}
				}
				if a.header.Get("Cache-Control") != "no-store" {
					d.t.Errorf("%v", a.header)
				}
				return into[identityapi.Tokens](d.t, a)
			}
			second := refresh(200, first)
			d.pass(9 * time.Second)
			third := refresh(200, first) // the answer was lost
			fourth := refresh(200, second)
			fifth := refresh(200, third)
			d.pass(identity.Grace)
			last := refresh(200, fifth)
			refresh(401, fourth) // somebody has a copy
			refresh(401, last)
			if !strings.Contains(d.log.String(), "the session is revoked") {
				t.Error("nothing in the log")
			}

			a := d.signIn("ada@example.com", password)
			d.want(204, "", "POST", "/v1/auth/sign-out", refreshing(a))
			d.want(204, "", "POST", "/v1/auth/sign-out", refreshing(a))
			refresh(401, a)
			for _, bad := range []string{"", "x", strings.ToUpper(a.RefreshToken), a.RefreshToken + "x", "tfr_" + strings.Repeat("0", 80)} {
				refresh(401, identityapi.Tokens{RefreshToken: bad})
				d.want(204, "", "POST", "/v1/auth/sign-out", `{"refresh_token":"`+bad+`"}`)
			}

			if !features.Exclusive {
				return // a shared store is polled each second, for a week
			}
			b := d.signIn("ada@example.com", password)
			d.pass(identity.SessionIdle)
			refresh(401, b)
		})
	}
}

func TestPasswordChange(t *testing.T) {
	atDesk(t, exclusive, nil, func(d *desk) {
		d.signUp()
		tokens, phone := d.signIn("ada@example.com", password), d.signIn("ada@example.com", password)
		change := func(status int, says, old, next string) {
			d.t.Helper()
			d.want(status, says, "PUT", "/v1/me/password", `{"old":"`+old+`","new":"`+next+`"}`, "Authorization", bearer(tokens))
		}
		change(422, "body.old", other, other)
		change(422, "body.new", password, "password123")
		change(204, "", password, other)
		d.want(401, "", "POST", "/v1/auth/refresh", refreshing(phone))
		d.want(401, "", "POST", "/v1/auth/sign-in", signingIn("ada@example.com", password))
		d.signIn("ada@example.com", other)
		d.want(404, "a key has no account", "GET", "/v1/me", "", auth.Header, inside)
	})
}

// TestAllAtOnce: who signs up or refreshes in parallel with himself does it once.
func TestAllAtOnce(t *testing.T) {
	for _, features := range []durable.Features{exclusive, shared} {
		atDesk(t, features, nil, func(d *desk) {
			atOnce := func(body, path string) []answer {
				answers := make([]answer, 6)
				var wait sync.WaitGroup
				for i := range answers {
					wait.Go(func() { answers[i] = d.ask("POST", path, body) })
				}
				wait.Wait()
				return answers
			}
			welcomed := 0
			for _, a := range atOnce(signingUp, "/v1/auth/sign-up") {
				if a.status == 201 {
					welcomed++
				} else if a.status != 409 {
					t.Errorf("%s", a)
				}
			}
			list := into[[]identityapi.Account](t, d.want(200, "", "GET", "/v1/accounts", "", auth.Header, operator))
			if welcomed == 0 || len(list) != 1 || len(d.customers.asked) != 1 {
				t.Errorf("%d were welcomed, %d accounts, %d customers", welcomed, len(list), len(d.customers.asked))
			}
			tokens := d.signIn("ada@example.com", password)
			for _, a := range atOnce(refreshing(tokens), "/v1/auth/refresh") {
				if a.status != 200 {
					t.Fatalf("%s", a)
				}
				d.want(200, "", "POST", "/v1/auth/refresh", refreshing(into[identityapi.Tokens](t, a)))
			}
		})
	}
}
