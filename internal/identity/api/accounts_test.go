package api_test

import (
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/identity"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
)

const restaurant = "0190a000-0000-7000-8000-000000000001"

func TestOperatorsAccounts(t *testing.T) {
	atDesk(t, exclusive, nil, func(d *desk) {
		phc, err := identityapi.HashPassword(strings.NewReader("sixteen bytes of salt"), password)
		if err != nil {
			t.Fatal(err)
		}
		first := []identity.Account{{ID: "0190a000-0000-7000-8000-0000000000aa", Email: "Root@example.com", Password: phc, Roles: []auth.Role{auth.Operator}}}
		for range 2 {
			if err := d.service.Ensure(d.ctx, first); err != nil {
				t.Fatal(err)
			}
		}
		root := d.signIn("root@example.com", password)
		by := []string{"Authorization", bearer(root)}
		cook := `{"email":"cook@example.com","password":"` + other + `","name":"Cook","roles":["kitchen"],"restaurants":["` + restaurant + `"]}`
		made := into[identityapi.Account](t, d.want(201, `"kitchen"`, "POST", "/v1/accounts", cook, by...))
		d.want(409, "exists already", "POST", "/v1/accounts", cook, by...)
		d.want(422, "body.restaurants", "POST", "/v1/accounts", `{"email":"x@example.com","password":"`+other+`","roles":["kitchen"]}`, by...)
		d.want(422, "roles", "POST", "/v1/accounts", `{"email":"x@example.com","password":"`+other+`","roles":["service"]}`, by...)
		d.want(201, "", "POST", "/v1/accounts", `{"email":"x@example.com","password":"`+other+`"}`, by...) // the claim of before is no hindrance
		d.want(200, made.ID, "GET", "/v1/accounts/"+made.ID, "", by...)
		d.want(404, "", "GET", "/v1/accounts/0190a000-0000-7000-8000-0000000000ff", "", by...)
		page := d.want(200, "", "GET", "/v1/accounts?limit=2", "", by...)
		link := page.header.Get("Link")
		if len(into[[]identityapi.Account](t, page)) != 2 || link == "" {
			t.Errorf("%s %s", page, link)
		}
		if strings.Contains(page.body, "argon2") || strings.Contains(page.body, "password") {
			t.Errorf("a hash is shown: %s", page)
		}
		d.want(200, "", "GET", strings.Trim(strings.Split(link, ";")[0], "<>"), "", by...)

		tokens := d.signIn("cook@example.com", other)
		cookBy := []string{"Authorization", bearer(tokens)}
		d.want(403, "", "POST", "/v1/accounts", cook, cookBy...)
		d.want(403, "", "PATCH", "/v1/accounts/"+made.ID, `{"roles":["operator"]}`, cookBy...)
		d.want(200, `"courier":"d7"`, "PATCH", "/v1/accounts/"+made.ID, `{"roles":["kitchen","courier"],"courier":"d7"}`, by...)
		d.want(401, "", "POST", "/v1/auth/refresh", refreshing(tokens)) // the epoch is over
		d.want(200, `"roles":[]`, "PATCH", "/v1/accounts/"+made.ID, `{"roles":[],"restaurants":[],"courier":""}`, by...)
		d.want(409, "cannot take the role from himself", "PATCH", "/v1/accounts/"+first[0].ID, `{"roles":[]}`, by...)
		d.want(409, "cannot disable itself", "PATCH", "/v1/accounts/"+first[0].ID, `{"disabled":true}`, by...)
		d.want(404, "", "PATCH", "/v1/accounts/0190a000-0000-7000-8000-0000000000ff", `{"disabled":true}`, by...)

		d.want(200, `"disabled":true`, "PATCH", "/v1/accounts/"+made.ID, `{"disabled":true}`, by...)
		d.want(200, `"disabled":true`, "GET", "/v1/me", "", cookBy...) // its access token is good still, and of no use
		d.want(403, "", "PUT", "/v1/me/password", `{"old":"`+other+`","new":"`+password+`"}`, cookBy...)
		d.want(403, "", "POST", "/v1/me/customer", becoming, cookBy...)
		d.want(401, "", "POST", "/v1/auth/sign-in", signingIn("cook@example.com", other))

		reader := auth.Caller{Subject: "key:r", Roles: []auth.Role{auth.Operator}, ReadOnly: true}.Encode()
		d.want(200, "", "GET", "/v1/accounts", "", auth.Header, reader)
		d.want(403, "", "POST", "/v1/accounts", cook, auth.Header, reader)
		d.want(403, "", "POST", "/v1/keys", `{"name":"x","scopes":["operator"]}`, auth.Header, reader)
	})
}

// TestWeakHashesAreMadeAnew at the next sign-in, without ending a session.
func TestWeakHashesAreMadeAnew(t *testing.T) {
	atDesk(t, exclusive, nil, func(d *desk) {
		weak := identityapi.Weak(password)
		if err := d.service.Ensure(d.ctx, []identity.Account{{Email: "old@example.com", Password: weak}}); err != nil {
			t.Fatal(err)
		}
		if err := d.service.Ensure(d.ctx, []identity.Account{{Email: "bad@example.com", Password: "$argon2id$x"}}); err == nil {
			t.Error("a password that cannot be read")
		}
		before := d.service.Hashes()
		tokens := d.signIn("old@example.com", password)
		d.signIn("old@example.com", password)
		if n := d.service.Hashes() - before; n != 3 {
			t.Errorf("%d hashes", n)
		}
		d.want(200, "", "POST", "/v1/auth/refresh", refreshing(tokens))
	})
}

// TestNoSecretIsWritten looks through the log, all records and all answers but those that give the secret.
func TestNoSecretIsWritten(t *testing.T) {
	atDesk(t, shared, nil, func(d *desk) {
		d.signUp()
		tokens := d.signIn("ada@example.com", password)
		d.want(401, "", "POST", "/v1/auth/sign-in", signingIn("ada@example.com", other))
		next := into[identityapi.Tokens](t, d.want(200, "", "POST", "/v1/auth/refresh", refreshing(tokens)))
		d.want(422, "", "PUT", "/v1/me/password", `{"old":"`+other+`","new":"`+other+`"}`, "Authorization", bearer(next))
		key := into[identityapi.NewAPIKey](t, d.want(201, "", "POST", "/v1/keys", `{"name":"till","scopes":["operator"]}`, auth.Header, operator))
		d.want(200, "", "GET", "/v1/accounts", "", auth.KeyHeader, key.Text)
		d.want(401, "", "GET", "/v1/accounts", "", auth.KeyHeader, key.Text+"x")
		kept := d.log.String()
		for _, store := range d.stores() {
			records, err := store.List(d.ctx, "", "", 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				kept += string(r.State)
				for _, seen := range r.Seen {
					kept += seen.ID + seen.Hash
				}
			}
		}
		if !strings.Contains(kept, "argon2id") || !strings.Contains(kept, "till") {
			t.Error("nothing was looked through")
		}
		for _, secret := range []string{password, other, tokens.AccessToken, next.AccessToken, key.Text, key.Text[21:],
			tokens.RefreshToken, next.RefreshToken, next.RefreshToken[41:], "tok_ok", "4242"} {
			if strings.Contains(kept, secret) {
				t.Errorf("%s is kept", secret)
			}
		}
	})
}
