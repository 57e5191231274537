package e2e_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/telemetry"
)

// TestWhoDidItIsKnown: what somebody might later deny is in the log, with who it was and by which request, and without
// anything secret.
func TestWhoDidItIsKnown(t *testing.T) {
	log := &safeBuffer{}
	w := found(t, func(c *app.Config) { c.Log = slog.New(telemetry.Handler(slog.NewJSONHandler(log, nil))) })
	nobody := w.as("")
	operator := w.signIn(app.DemoOperator)
	me := decoded[struct{ ID string }](t, w.as(operator.Access).want(200, http.MethodGet, "/v1/me", nil).body).ID
	by := w.as(operator.Access)

	nobody.want(401, http.MethodPost, "/v1/auth/sign-in", map[string]string{"email": "ada@example.com", "password": "a guess"}, "X-Request-Id", "guess-1")
	key := decoded[madeKey](t, by.want(201, http.MethodPost, "/v1/keys", map[string]any{"name": "x", "scopes": []string{"operator:read"}}).body)
	by.want(204, http.MethodDelete, "/v1/keys/"+key.ID, nil)
	by.want(200, http.MethodPatch, "/v1/accounts/"+ada, map[string]any{"disabled": true})
	o := w.place(grace, curry)
	by.want(202, http.MethodPost, "/v1/orders/"+o.ID+"/cancel", map[string]any{"operator": true, "reason": "he asked by telephone"}, "X-Request-Id", "cancel-1")
	w.settle(o.ID)

	lines := bytes.Split(log.bytes(), []byte("\n"))
	for what, words := range map[string][]string{
		"a guess":            {"sign-in refused", `"account":"` + ada + `"`},
		"a key made":         {"key made", `"by":"account:` + me + `"`, key.ID},
		"a key revoked":      {"key revoked", `"by":"account:` + me + `"`, key.ID},
		"an account changed": {"account changed", `"by":"account:` + me + `"`, `"disabled":true`},
		"a cancel":           {`"request_id":"cancel-1"`, `"caller":"account:` + me + `"`, "/v1/orders/{id}/cancel", `"status":202`},
		"a request":          {`"request_id":"guess-1"`, "/v1/auth/sign-in", `"status":401`},
	} {
		found := false
		for _, line := range lines {
			all := true
			for _, word := range words {
				all = all && bytes.Contains(line, []byte(word))
			}
			found = found || all
		}
		if !found {
			t.Errorf("%s is not in the log: no line has %s", what, strings.Join(words, " and "))
		}
	}
	for what, secret := range map[string]string{
		"a password": app.DemoPassword, "a wrong one": "a guess", "a key": key.Key, "an access token": operator.Access, "a refresh token": operator.Refresh,
		"an e-mail address": "ada@example.com", "the operator's key": operatorKey, "a street": "Langestraat",
	} {
		if bytes.Contains(log.bytes(), []byte(secret)) {
			t.Errorf("the log has %s", what)
		}
	}
}
