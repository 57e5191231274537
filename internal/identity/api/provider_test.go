package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// company is a provider of OpenID Connect: discovery, authorization code with PKCE, tokens, keys. It believes nothing
// that it must not, and counts what it refuses.
type company struct {
	t       *testing.T
	issuer  string
	client  string
	secret  string
	comes   string // the one redirect URI that is registered
	key     *ecdsa.PrivateKey
	now     func() time.Time
	codes   map[string]url.Values // not used yet, with the request that they were given for
	claims  jwt.MapClaims         // of who signs in there
	method  jwt.SigningMethod     // nil: ES256
	signs   any                   // nil: key
	down    bool
	refused int
}

func newCompany(t *testing.T) *company {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &company{
		t: t, issuer: "https://company.test", client: "tiffin", secret: "the client's secret", comes: comeBack, key: key,
		codes: map[string]url.Values{}, claims: jwt.MapClaims{"sub": "77", "email": "Grace@company.test", "email_verified": true, "name": "Grace"},
	}
}

// RoundTrip answers without a socket.
func (c *company) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.down {
		return nil, fmt.Errorf("dial %s: nobody there", r.URL.Host)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

func (c *company) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			c.t.Error(err)
		}
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer(200, map[string]any{
			"issuer": c.issuer, "authorization_endpoint": c.issuer + "/authorize", "token_endpoint": c.issuer + "/token",
			"jwks_uri": c.issuer + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	case "/keys":
		point, err := c.key.PublicKey.Bytes()
		if err != nil {
			c.t.Error(err)
			return
		}
		b64 := base64.RawURLEncoding.EncodeToString
		answer(200, map[string]any{"keys": []any{map[string]string{
			"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "alg": "ES256", "x": b64(point[1:33]), "y": b64(point[33:]),
		}}})
	case "/authorize":
		q := r.URL.Query()
		if q.Get("client_id") != c.client || q.Get("redirect_uri") != c.comes || q.Get("response_type") != "code" ||
			q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 ||
			!slices.Contains(strings.Fields(q.Get("scope")), "openid") {
			c.refused++
			http.Error(w, "no", 400)
			return
		}
		code := fmt.Sprintf("code-%d-secret", len(c.codes)+1)
		c.codes[code] = q
		http.Redirect(w, r, c.comes+"?"+url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {c.issuer}}.Encode(), 302)
	case "/token":
		id, secret, ok := r.BasicAuth()
		if !ok {
			id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
		}
		secret, _ = url.QueryUnescape(secret)
		q := c.codes[r.PostFormValue("code")]
		delete(c.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if q == nil || id != c.client || secret != c.secret || r.PostFormValue("redirect_uri") != q.Get("redirect_uri") ||
			base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") {
			c.refused++
			answer(400, map[string]string{"error": "invalid_grant", "error_description": r.PostFormValue("code")})
			return
		}
		claims := jwt.MapClaims{"iss": c.issuer, "aud": c.client, "nonce": q.Get("nonce"), "iat": c.now().Unix(), "exp": c.now().Add(time.Hour).Unix()}
		for name, v := range c.claims {
			claims[name] = v
		}
		method, key := c.method, c.signs
		if method == nil {
			method, key = jwt.SigningMethodES256, c.key
		}
		t := jwt.NewWithClaims(method, claims)
		t.Header["kid"] = "1"
		text, err := t.SignedString(key)
		if err != nil {
			c.t.Error(err)
		}
		answer(200, map[string]any{"access_token": "theirs", "token_type": "Bearer", "id_token": text, "expires_in": 60})
	default:
		http.NotFound(w, r)
	}
}
