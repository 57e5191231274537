package e2e_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// signingKey is the key that a system of a data folder signs tokens with.
func signingKey(t *testing.T, data string) ed25519.PrivateKey {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "signing-keys", "*.pem"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the signing key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(ed25519.PrivateKey)
}

// TestAPI2_BrokenAuthentication: OWASP API2:2023. Who is not who he says he is gets in by no door: no token that is
// forged, old, of somebody else's making or in the wrong place; no key that was revoked; no refresh token that was used;
// and no password that is guessed.
func TestAPI2_BrokenAuthentication(t *testing.T) {
	data := ""
	w := found(t, func(c *app.Config) { data = c.Data })
	const path = "/v1/me"
	adas := w.signIn("ada@example.com")
	w.as(adas.Access).want(200, http.MethodGet, path, nil)

	t.Run("tokens", func(t *testing.T) { forgeries(w.in(t), adas.Access, signingKey(t, data)) })
	t.Run("the wrong place", func(t *testing.T) {
		nobody := w.as("").in(t)
		for _, query := range []string{"access_token", "token", "api_key", "key", "X-API-Key"} {
			nobody.want(401, http.MethodGet, path+"?"+query+"="+adas.Access, nil)
			nobody.want(401, http.MethodGet, "/v1/accounts?"+query+"="+operatorKey, nil)
		}
		basic := base64.StdEncoding.EncodeToString([]byte("ada@example.com:" + app.DemoPassword))
		for _, shown := range [][]string{
			{"Authorization", "Basic " + basic}, {"Authorization", adas.Access}, {"Authorization", "Token " + adas.Access},
			{"Authorization", "Bearer"}, {"Authorization", "Bearer  " + adas.Access}, {"Authorization", "Bearer " + adas.Access + ", Bearer x"},
			{"Authorization", "Bearer " + adas.Access, auth.KeyHeader, operatorKey}, {auth.KeyHeader, ""}, {auth.KeyHeader, adas.Access},
			{"Cookie", "access_token=" + adas.Access}, {"Proxy-Authorization", "Bearer " + adas.Access}, {auth.Header, auth.Root.Encode()},
		} {
			if a := nobody.call(http.MethodGet, path, nil, shown...); a.status != 401 {
				t.Errorf("%.60q: %s", shown, a)
			} else if a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%.60q: the answer does not say how to show who one is", shown)
			}
		}
		req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"] = []string{"Bearer " + adas.Access, "Bearer " + adas.Access}
		res, err := w.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != 401 {
			t.Errorf("two tokens: %d %v", res.StatusCode, err)
		}
	})
	t.Run("keys", func(t *testing.T) {
		w := w.in(t)
		key := w.makeKey("operator:read")
		shows := func() int { return w.as(key.Key).call(http.MethodGet, "/v1/accounts", nil).status }
		if got := shows(); got != 200 {
			t.Fatalf("a new key: %d", got)
		}
		for _, wrong := range []string{key.Key + "x", key.Key[:len(key.Key)-1], strings.Replace(key.Key, key.ID, "0000000000000000", 1), "tfn__", "tfn_" + key.ID + "_"} {
			w.as(wrong).want(401, http.MethodGet, "/v1/accounts", nil)
		}
		w.want(204, http.MethodDelete, "/v1/keys/"+key.ID, nil)
		t.Logf("a revoked key was refused after %s", soon(t, "a revoked key is refused", time.Second, func() bool { return shows() == 401 }))
		w.want(422, http.MethodPost, "/v1/keys", map[string]any{"name": "x", "scopes": []string{"operator"}, "expires": w.sys.Now().Add(-time.Minute)})
		short := decoded[madeKey](t, w.want(201, http.MethodPost, "/v1/keys", map[string]any{
			"name": "short", "scopes": []string{"operator"}, "expires": w.sys.Now().Add(time.Minute),
		}).body)
		w.as(short.Key).want(200, http.MethodGet, "/v1/accounts", nil)
		w.pass(time.Minute)
		w.as(short.Key).want(401, http.MethodGet, "/v1/accounts", nil)
		for _, scope := range []string{"root", "operator:write", "partner:everybody", "service:", ""} {
			if a := w.call(http.MethodPost, "/v1/keys", map[string]any{"name": "x", "scopes": []string{scope}}); a.status != 422 {
				t.Errorf("a key of the scope %q: %s", scope, a)
			}
		}
	})
	t.Run("refresh tokens", func(t *testing.T) {
		w := w.as("").in(t)
		first := w.signIn("grace@example.com")
		refresh := func(status int, token string) tokens {
			t.Helper()
			a := w.want(status, http.MethodPost, "/v1/auth/refresh", map[string]string{"refresh_token": token})
			if status != 200 {
				return tokens{}
			}
			return decoded[tokens](t, a.body)
		}
		last := first
		for range 40 { // a moment ago is good enough, for who got no answer; this is longer
			last = refresh(200, last.Refresh)
		}
		refresh(401, first.Refresh) // somebody has it who should not: nobody knows which of the two
		refresh(401, last.Refresh)
		for _, wrong := range []string{"", "x", first.Refresh[:len(first.Refresh)-1] + "A", "tfr_" + unknownID + "_" + strings.Repeat("A", 43)} {
			refresh(401, wrong)
		}
		again := w.signIn("grace@example.com")
		w.want(204, http.MethodPost, "/v1/auth/sign-out", map[string]string{"refresh_token": again.Refresh})
		refresh(401, again.Refresh)
		w.want(401, http.MethodGet, path, nil, "Authorization", "Bearer "+again.Refresh)
	})
	t.Run("accounts", func(t *testing.T) {
		w := w.in(t)
		leaver := w.register("leaver", map[string]any{"roles": []string{"operator"}})
		id := decoded[struct{ ID string }](t, w.as(leaver.Access).want(200, http.MethodGet, path, nil).body).ID
		w.want(200, http.MethodPatch, "/v1/accounts/"+id, map[string]any{"disabled": true})
		w.as("").want(401, http.MethodPost, "/v1/auth/refresh", map[string]string{"refresh_token": leaver.Refresh})
		disabled := w.as("").call(http.MethodPost, "/v1/auth/sign-in", map[string]string{"email": "leaver@example.org", "password": password})
		wrong := w.as("").call(http.MethodPost, "/v1/auth/sign-in", map[string]string{"email": "leaver@example.org", "password": "wrong"})
		unknown := w.as("").call(http.MethodPost, "/v1/auth/sign-in", map[string]string{"email": "nobody@example.org", "password": "wrong"})
		for what, a := range map[string]answer{"a disabled account": disabled, "an unknown one": unknown} {
			if err := alike(a, wrong); err != nil || a.status != 401 {
				t.Errorf("%s is told from a wrong password: %v", what, err)
			}
		}
		w.as(leaver.Access).want(403, http.MethodPut, "/v1/me/password", map[string]string{"old": password, "new": "another good one"})

		changer := w.register("changer", nil)
		w.as(changer.Access).want(422, http.MethodPut, "/v1/me/password", map[string]string{"old": "wrong", "new": "another good one"})
		w.as(changer.Access).want(204, http.MethodPut, "/v1/me/password", map[string]string{"old": password, "new": "another good one"})
		w.as("").want(401, http.MethodPost, "/v1/auth/refresh", map[string]string{"refresh_token": changer.Refresh})
		for _, weak := range []string{"short", "weak@example.org", "1234567890", strings.Repeat("x", 129)} {
			w.want(422, http.MethodPost, "/v1/accounts", map[string]any{"email": "weak@example.org", "password": weak})
		}
	})
	t.Run("guessing", func(t *testing.T) {
		w := w.as("").in(t)
		for _, email := range []string{"simon@example.com", "nobody-at-all@example.com"} {
			var last answer
			tries := 0
			for ; tries < 20 && last.status != 429; tries++ {
				last = w.call(http.MethodPost, "/v1/auth/sign-in", map[string]string{"email": email, "password": fmt.Sprint("guess ", tries)})
			}
			if last.status != 429 || last.header.Get("Retry-After") == "" || tries > 7 {
				t.Errorf("%s: %d guesses end with %s", email, tries, last)
			}
			if a := w.call(http.MethodPost, "/v1/auth/sign-in", map[string]string{"email": strings.ToUpper(email), "password": app.DemoPassword}); a.status != 429 {
				t.Errorf("%s in capitals: %s", email, a)
			}
		}
	})
}

// forgeries are tokens that are like a good one but for one thing.
func forgeries(w *town, good string, key ed25519.PrivateKey) {
	w.t.Helper()
	now := w.sys.Now()
	parts := strings.Split(good, ".")
	read := func(part string) (m map[string]any) {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || json.Unmarshal(b, &m) != nil {
			w.t.Fatalf("%v: %s", err, b)
		}
		return m
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	forge := func(change func(header, claims map[string]any), method jwt.SigningMethod, with any) string {
		header, claims := read(parts[0]), read(parts[1])
		change(header, claims)
		tok := jwt.NewWithClaims(method, jwt.MapClaims(claims))
		for name, value := range header {
			if name != "alg" {
				tok.Header[name] = value
			}
		}
		text, err := tok.SignedString(with)
		if err != nil {
			w.t.Fatal(err)
		}
		return text
	}
	signed := func(change func(header, claims map[string]any)) string {
		return forge(change, jwt.SigningMethodEdDSA, key)
	}
	same := func(_, _ map[string]any) {}
	public := key.Public().(ed25519.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		w.t.Fatal(err)
	}
	if a := w.as(signed(same)).call(http.MethodGet, "/v1/me", nil); a.status != 200 {
		w.t.Fatalf("a token that is made here as the service makes it: %s", a)
	}
	root := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(mustDecode(w.t, parts[1]), `"customer"`, `"operator"`, 1))) + "." + parts[2]
	for what, token := range map[string]string{
		"garbage":           "garbage",
		"empty parts":       "..",
		"no signature":      parts[0] + "." + parts[1] + ".",
		"another signature": parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", 64))),
		"other claims":      root,
		"expired": signed(func(_, c map[string]any) {
			c["exp"], c["iat"], c["nbf"] = now.Add(-time.Minute).Unix(), now.Add(-time.Hour).Unix(), now.Add(-time.Hour).Unix()
		}),
		"no end":                        signed(func(_, c map[string]any) { delete(c, "exp") }),
		"of the future":                 signed(func(_, c map[string]any) { c["nbf"], c["exp"] = now.Add(time.Hour).Unix(), now.Add(2*time.Hour).Unix() }),
		"another issuer":                signed(func(_, c map[string]any) { c["iss"] = "https://accounts.example.com" }),
		"no issuer":                     signed(func(_, c map[string]any) { delete(c, "iss") }),
		"another audience":              signed(func(_, c map[string]any) { c["aud"] = "somebody else" }),
		"no audience":                   signed(func(_, c map[string]any) { delete(c, "aud") }),
		"a service's subject":           signed(func(_, c map[string]any) { c["sub"] = "service:gateway" }),
		"a service's role":              signed(func(_, c map[string]any) { c["roles"] = []string{"service"} }),
		"another kind":                  signed(func(h, _ map[string]any) { h["typ"] = "JWT" }),
		"no kind":                       signed(func(h, _ map[string]any) { h["typ"] = "" }),
		"a place of keys":               signed(func(h, _ map[string]any) { h["jku"] = "https://evil.example/jwks.json" }),
		"its own key":                   signed(func(h, _ map[string]any) { h["jwk"] = map[string]any{"kty": "OKP"} }),
		"its own certificate":           signed(func(h, _ map[string]any) { h["x5c"] = []string{"x"} }),
		"a critical header":             signed(func(h, _ map[string]any) { h["crit"] = []string{"exp"} }),
		"no kid":                        signed(func(h, _ map[string]any) { delete(h, "kid"); h["kid"] = "" }),
		"another kid":                   signed(func(h, _ map[string]any) { h["kid"] = "../../dev/null" }),
		"another's key":                 forge(same, jwt.SigningMethodEdDSA, other),
		"alg none":                      forge(same, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"HS256 by the public key":       forge(same, jwt.SigningMethodHS256, []byte(public)),
		"HS256 by the published x":      forge(same, jwt.SigningMethodHS256, []byte(base64.RawURLEncoding.EncodeToString(public))),
		"HS256 by the public key's PEM": forge(same, jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"too long":                      good + strings.Repeat("A", 8<<10),
	} {
		a := w.as(token).call(http.MethodGet, "/v1/me", nil)
		if a.status != 401 {
			w.t.Errorf("%s: %s", what, a)
		}
		if len(token) > 20 && strings.Contains(string(a.body), token[len(token)-20:]) {
			w.t.Errorf("%s: the answer repeats it: %s", what, a)
		}
	}
}

func mustDecode(t *testing.T, part string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAPI6_UnrestrictedAccessToSensitiveBusinessFlows: OWASP API6:2023. What costs a restaurant, a courier or us is not
// to be had in bulk: orders that are cancelled again and again, the same order twice, accounts.
func TestAPI6_UnrestrictedAccessToSensitiveBusinessFlows(t *testing.T) {
	w := found(t, func(c *app.Config) {
		c.LimitAddress, c.LimitCustomer, c.LimitOrders, c.LimitKey = 300, 120, 20, 6000
	})
	t.Run("cancel loops", func(t *testing.T) {
		as := w.as(w.signIn("ada@example.com").Access).in(t)
		placed := 0
		var last answer
		for placed < 20 {
			if last = as.call(http.MethodPost, "/v1/orders", wish(ada, "")); last.status == 429 {
				break
			}
			placed++
			as.want(202, http.MethodPost, "/v1/orders/"+decoded[wire.Order](t, last.body).ID+"/cancel", nil)
		}
		if last.status != 429 || last.header.Get("Retry-After") == "" || placed > 6 {
			t.Errorf("%d orders were placed and cancelled, then %s", placed, last)
		}
		as.want(200, http.MethodGet, "/v1/orders", nil)
	})
	t.Run("twice at once", func(t *testing.T) {
		as := w.as(w.signIn("grace@example.com").Access).in(t)
		ids := make([]string, 8)
		var both sync.WaitGroup
		for i := range ids {
			both.Go(func() {
				a, err := as.do(as.ctx, http.MethodPost, as.url+"/v1/orders", wish(grace, curry), "Idempotency-Key", "once")
				var o wire.Order
				if err != nil || a.status != 202 || json.Unmarshal(a.body, &o) != nil {
					t.Errorf("%s, %v", a, err)
				}
				ids[i] = o.ID
			})
		}
		both.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("one key made the orders %v", ids)
			}
		}
	})
	t.Run("accounts in bulk", func(t *testing.T) {
		nobody := w.as("").in(t)
		made := 0
		var last answer
		for made < 30 {
			if last = nobody.call(http.MethodPost, "/v1/auth/sign-up", newcomer(fmt.Sprint("bot", made))); last.status == 429 {
				break
			}
			made++
		}
		if last.status != 429 || last.header.Get("Retry-After") == "" || made > 10 {
			t.Errorf("%d accounts were made, then %s", made, last)
		}
	})
	w.pass(4 * time.Hour)
}
