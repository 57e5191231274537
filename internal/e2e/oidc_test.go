package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tiffin-food/tiffin/internal/app"
)

// provider is another company to sign in with: an OpenID Connect provider with discovery, the authorization code flow,
// PKCE and RS256, at which somebody is always signed in already.
type provider struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey

	mu    sync.Mutex
	email string
	codes map[string]url.Values // what was asked for, by code
}

const (
	clientID     = "tiffin-tests"
	clientSecret = "between the tests and their provider"
	publicURL    = "http://tiffin.test"
)

func newProvider(t *testing.T) *provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, codes: map[string]url.Values{}, email: "zoe@example.net"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.answer(w, http.StatusOK, map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (p *provider) keys(w http.ResponseWriter, _ *http.Request) {
	b64 := base64.RawURLEncoding.EncodeToString
	p.answer(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": b64(p.key.N.Bytes()), "e": b64(big.NewInt(int64(p.key.E)).Bytes()),
	}}})
}

// authorize sends the browser back with a code.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != clientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" ||
		!strings.HasPrefix(q.Get("redirect_uri"), publicURL+"/") || q.Get("nonce") == "" || q.Get("state") == "" {
		p.t.Errorf("asked to authorize %v", q)
	}
	code := rand.Text()
	p.mu.Lock()
	p.codes[code] = q
	p.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// token changes a code, once, for an id token.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if secret, _ = url.QueryUnescape(secret); id != clientID || secret != clientSecret {
		p.answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	p.mu.Lock()
	asked, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	email := p.email
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
		p.answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": p.URL, "aud": clientID, "sub": "zoe", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"nonce": asked.Get("nonce"), "email": email, "email_verified": true, "name": "Zoe",
	})
	token.Header["kid"] = "1"
	text, err := token.SignedString(p.key)
	if err != nil {
		p.t.Error(err)
	}
	p.answer(w, http.StatusOK, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 60, "id_token": text})
}

// TestSignInElsewhere: by another company's word, through the gateway and over sockets, somebody becomes a customer and
// orders; the same way back works once, and in the browser alone in which it began.
func TestSignInElsewhere(t *testing.T) {
	p := newProvider(t)
	w := found(t, func(c *app.Config) {
		c.Identity = app.Identity{PublicURL: publicURL, OIDC: []string{"example=" + p.URL + "," + clientID + "," + clientSecret}}
	})
	w.shown = nil
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if names := w.want(200, http.MethodGet, "/v1/auth/oidc", nil).body; !strings.Contains(string(names), `"example"`) {
		t.Errorf("one can sign in with %s", names)
	}
	begin := w.want(302, http.MethodGet, "/v1/auth/oidc/example/start", nil)
	cookie, rest, _ := strings.Cut(begin.header.Get("Set-Cookie"), ";")
	for _, flag := range []string{"HttpOnly", "SameSite=Lax", "Path=/v1/auth/oidc/"} {
		if !strings.Contains(rest, flag) {
			t.Errorf("the cookie is without %s: %s", flag, rest)
		}
	}
	there, err := w.do(w.ctx, http.MethodGet, begin.header.Get("Location"), nil)
	if err != nil || there.status != http.StatusFound {
		t.Fatal(there, err)
	}
	back := strings.TrimPrefix(there.header.Get("Location"), publicURL)
	problemOf(t, w.call(http.MethodGet, back, nil)) // another browser
	tokens := decoded[struct {
		Access string `json:"access_token"`
	}](t, w.want(200, http.MethodGet, back, nil, "Cookie", cookie).body)
	if a := w.call(http.MethodGet, back, nil, "Cookie", cookie); a.status < 400 {
		t.Errorf("the same code again: %s", a)
	}
	as := []string{"Authorization", "Bearer " + tokens.Access}
	me := decoded[struct {
		ID    string
		Roles []string
	}](t, w.want(200, http.MethodGet, "/v1/me", nil, as...).body)
	w.want(403, http.MethodGet, "/v1/orders", nil, as...) // nobody's customer yet
	w.want(201, http.MethodPost, "/v1/me/customer", map[string]any{
		"name": "Zoe", "payment_token": "tok_ok",
		"address": map[string]any{"name": "Zoe", "street": "1 Street", "zipcode": "123", "city": "London"},
	}, as...)

	again := w.want(302, http.MethodGet, "/v1/auth/oidc/example/start", nil)
	there, err = w.do(w.ctx, http.MethodGet, again.header.Get("Location"), nil)
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, _ = strings.Cut(again.header.Get("Set-Cookie"), ";")
	tokens = decoded[struct {
		Access string `json:"access_token"`
	}](t, w.want(200, http.MethodGet, strings.TrimPrefix(there.header.Get("Location"), publicURL), nil, "Cookie", cookie).body)
	as = []string{"Authorization", "Bearer " + tokens.Access}
	w.want(202, http.MethodPost, "/v1/orders", wish(me.ID, ""), as...)
}
