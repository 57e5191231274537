package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/identity"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
)

const (
	home     = "https://tiffin.test"
	comeBack = home + "/v1/auth/oidc/company/callback"
)

// withCompany runs a test at a desk where people can sign in with a company.
func withCompany(t *testing.T, test func(*desk, *company)) {
	t.Helper()
	c := newCompany(t)
	atDesk(t, exclusive, func(o *identityapi.Options) {
		c.now = o.Shell.Clock.Now
		o.Providers = []identityapi.Provider{
			{Name: "company", Title: "The Company", Issuer: c.issuer, ClientID: c.client, ClientSecret: c.secret},
			{Name: "other", Issuer: "https://other.test", ClientID: "x"},
		}
		o.PublicURL, o.CookieKey, o.HTTPClient = home, []byte(strings.Repeat("k", 32)), &http.Client{Transport: c}
	}, func(d *desk) { test(d, c) })
}

// browser is one that goes to the company and back.
type browser struct {
	d      *desk
	c      *company
	cookie *http.Cookie
	back   *url.URL // where the company sends it
}

// goAway goes to the company and has it say where to come back.
func goAway(d *desk, c *company) *browser {
	d.t.Helper()
	a := d.want(302, "", "GET", "/v1/auth/oidc/company/start", "")
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		d.t.Fatalf("%v", a.header)
	}
	req, err := http.NewRequestWithContext(d.ctx, "GET", a.header.Get("Location"), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := c.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	back, err := res.Location()
	if err != nil {
		d.t.Fatalf("the company refuses %s", req.URL)
	}
	return &browser{d, c, cookies[0], back}
}

// returns comes back, with changes to the query, two by two.
func (b *browser) returns(status int, says string, changes ...string) answer {
	b.d.t.Helper()
	q := b.back.Query()
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	path := b.back.Path
	headers := []string{}
	if b.cookie != nil {
		headers = []string{"Cookie", b.cookie.Name + "=" + b.cookie.Value}
	}
	return b.d.want(status, says, "GET", path+"?"+q.Encode(), "", headers...)
}

func TestSigningInElsewhere(t *testing.T) {
	withCompany(t, func(d *desk, c *company) {
		d.want(200, `[{"name":"company","title":"The Company","start":"/v1/auth/oidc/company/start"}`, "GET", "/v1/auth/oidc", "")
		d.want(404, "no such provider", "GET", "/v1/auth/oidc/nobody/start", "")
		d.want(503, "", "GET", "/v1/auth/oidc/other/start", "") // it names another issuer
		c.down = true
		d.want(503, "", "GET", "/v1/auth/oidc/company/start", "")
		c.down = false
		d.want(503, "", "GET", "/v1/auth/oidc/company/start", "") // not asked again at once
		d.pass(time.Second)

		// Where one comes back is a setting, whatever a request says.
		lied := d.want(302, "", "GET", "/v1/auth/oidc/company/start", "", "X-Forwarded-Host", "evil.test", "Forwarded", "host=evil.test")
		if to, err := url.Parse(lied.header.Get("Location")); err != nil || to.Query().Get("redirect_uri") != comeBack || to.Query().Get("code_challenge_method") != "S256" {
			t.Errorf("%s %v", to, err)
		}

		b := goAway(d, c)
		if k := b.cookie; !k.HttpOnly || !k.Secure || k.SameSite != http.SameSiteLaxMode || k.MaxAge != 600 || k.Path != "/v1/auth/oidc/company/callback" {
			t.Errorf("%+v", k)
		}
		if strings.Contains(b.cookie.Value, b.back.Query().Get("state")) {
			t.Error("the cookie can be read")
		}
		a := b.returns(200, "access_token")
		if k := (&http.Response{Header: a.header}).Cookies(); len(k) != 1 || k[0].MaxAge >= 0 || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", a.header)
		}
		tokens := into[identityapi.Tokens](t, a)
		by := []string{"Authorization", bearer(tokens)}
		me := into[identityapi.Account](t, d.want(200, `"elsewhere":true`, "GET", "/v1/me", "", by...))
		if me.Email != "grace@company.test" || me.Name != "Grace" || len(me.Roles) != 0 || me.Joining != identity.NotJoining {
			t.Errorf("%+v", me)
		}
		d.want(409, "no password", "PUT", "/v1/me/password", `{"old":"x","new":"`+password+`"}`, by...)
		d.want(401, "", "POST", "/v1/auth/sign-in", signingIn("grace@company.test", ""))
		d.want(201, `"joined"`, "POST", "/v1/me/customer", becoming, by...)
		if body := string(d.customers.asked[0].Body); !strings.Contains(body, me.ID) || !strings.Contains(body, me.Email) {
			t.Errorf("%s", body)
		}
		next := into[identityapi.Tokens](t, d.want(200, "", "POST", "/v1/auth/refresh", refreshing(tokens)))
		d.want(200, `"roles":["customer"]`, "GET", "/v1/me", "", "Authorization", bearer(next))

		// It is found again, though the address is another one now.
		c.claims["email"] = "hopper@company.test"
		again := into[identityapi.Tokens](t, goAway(d, c).returns(200, "access_token"))
		d.want(200, me.ID, "GET", "/v1/me", "", "Authorization", bearer(again))
		d.want(200, "", "PATCH", "/v1/accounts/"+me.ID, `{"disabled":true}`, auth.Header, operator)
		goAway(d, c).returns(401, "signing in did not work")
	})
}

// TestNoSilentLinking: who has an address at the company does not get the account that has it here, nor the other way
// round.
func TestNoSilentLinking(t *testing.T) {
	withCompany(t, func(d *desk, c *company) {
		d.signUp()
		c.claims["email"] = "ADA@example.com"
		goAway(d, c).returns(409, "exists already")
		goAway(d, c).returns(409, "exists already")
		c.claims["email"] = "grace@company.test"
		goAway(d, c).returns(200, "access_token")
		grace := strings.Replace(signingUp, "Ada@Example.com", "grace@company.test", 1)
		d.want(409, "exists already", "POST", "/v1/auth/sign-up", grace)
		d.want(409, "exists already", "POST", "/v1/auth/sign-up", grace)
		d.want(401, "", "POST", "/v1/auth/sign-in", signingIn("grace@company.test", password))
		c.claims["sub"] = "78" // another person of the company with the same address
		goAway(d, c).returns(409, "exists already")
	})
}

func TestAttacksFromElsewhere(t *testing.T) {
	const no = "signing in did not work"
	withCompany(t, func(d *desk, c *company) {
		good := jwt.MapClaims{}
		for k, v := range c.claims {
			good[k] = v
		}
		stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for what, change := range map[string]jwt.MapClaims{
			"another nonce":          {"nonce": "n"},
			"no nonce":               {"nonce": ""},
			"unverified":             {"email_verified": false},
			"verified is a word":     {"email_verified": "true"},
			"not said":               {"email_verified": nil},
			"no address":             {"email": ""},
			"an address with a name": {"email": "Grace <grace@company.test>"},
			"another issuer":         {"iss": "https://evil.test"},
			"another client":         {"aud": "somebody else"},
			"two clients":            {"aud": []string{"tiffin", "somebody else"}},
			"made for another":       {"azp": "somebody else"},
			"over":                   {"exp": noon.Add(-time.Hour).Unix()},
			"nobody":                 {"sub": ""},
			"another access token":   {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
		} {
			c.claims = jwt.MapClaims{}
			for k, v := range good {
				c.claims[k] = v
			}
			for k, v := range change {
				c.claims[k] = v
			}
			if a := goAway(d, c).returns(401, no); a.status != 401 {
				t.Error(what)
			}
		}
		c.claims = good
		c.method, c.signs = jwt.SigningMethodES256, stranger
		goAway(d, c).returns(401, no)
		c.method, c.signs = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
		goAway(d, c).returns(401, no)
		c.method, c.signs = jwt.SigningMethodHS256, []byte(c.secret)
		goAway(d, c).returns(401, no)
		c.method = nil

		mine, theirs := goAway(d, c), goAway(d, c)
		mine.returns(401, no, "state", theirs.back.Query().Get("state"))
		before := c.refused
		mine.cookie = theirs.cookie // another's code in one's own browser: its state, but its verifier is not ours
		mine.returns(401, no, "state", theirs.back.Query().Get("state"))
		if c.refused != before+1 {
			t.Error("the company was not asked, or believed it")
		}
		b := goAway(d, c)
		b.cookie = nil
		b.returns(401, no)
		b = goAway(d, c)
		b.cookie.Value = b.cookie.Value[:len(b.cookie.Value)-2] + "AA"
		b.returns(401, no)
		goAway(d, c).returns(401, no, "iss", "https://evil.test")
		goAway(d, c).returns(401, no, "error", "access_denied")
		goAway(d, c).returns(401, no, "code", "")
		b = goAway(d, c)
		b.back.Path = "/v1/auth/oidc/other/callback" // what is for one provider is not for the other
		b.returns(401, no, "iss", "https://other.test")
		b = goAway(d, c)
		b.returns(200, "access_token")
		b.returns(401, no) // the code was used
		b = goAway(d, c)
		d.pass(10 * time.Minute)
		b.returns(401, no)
		b = goAway(d, c)
		c.down = true
		b.returns(503, "")
		if log := d.log.String(); strings.Contains(log, "-secret") || strings.Contains(log, c.secret) || strings.Contains(log, "eyJ") {
			t.Errorf("a secret is in the log:\n%s", log)
		}
	})
}

// TestComingBackIsRegistered: a company that knows another place to come back to sends nobody here.
func TestComingBackIsRegistered(t *testing.T) {
	withCompany(t, func(d *desk, c *company) {
		c.comes = "https://elsewhere.test/callback"
		a := d.want(302, "", "GET", "/v1/auth/oidc/company/start", "")
		req, err := http.NewRequestWithContext(d.ctx, "GET", a.header.Get("Location"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := c.RoundTrip(req); err != nil || res.StatusCode != 400 || c.refused != 1 {
			t.Errorf("%+v %v", res, err)
		}
	})
}

func TestSettingsOfProviders(t *testing.T) {
	good := identityapi.Provider{Name: "company", Issuer: "https://company.test", ClientID: "x"}
	key := []byte(strings.Repeat("k", 32))
	atDesk(t, exclusive, nil, func(d *desk) {
		for says, change := range map[string]func(*identityapi.Options){
			"Signer":     func(o *identityapi.Options) { o.Signer = nil },
			"public URL": func(o *identityapi.Options) { o.PublicURL = "tiffin.test" },
			"cookie key": func(o *identityapi.Options) { o.CookieKey = key[:31] },
			"name":       func(o *identityapi.Options) { o.Providers = []identityapi.Provider{{Name: "A/B"}} },
			"issuer":     func(o *identityapi.Options) { o.Providers = []identityapi.Provider{{Name: "a", ClientID: "x"}} },
			"an https URL": func(o *identityapi.Options) {
				o.Providers = []identityapi.Provider{{Name: "a", Issuer: "http://company.test", ClientID: "x"}}
			},
			"client's id":      func(o *identityapi.Options) { o.Providers = []identityapi.Provider{{Name: "a", Issuer: "https://x"}} },
			"configured twice": func(o *identityapi.Options) { o.Providers = []identityapi.Provider{good, good} },
		} {
			o := d.opt
			o.PublicURL, o.CookieKey, o.Providers = home, key, []identityapi.Provider{good}
			change(&o)
			if _, err := identityapi.New(o); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", says, err)
			}
		}
	})
}

// TestDocumentation: every route is described, and the document can be made.
func TestDocumentation(t *testing.T) {
	atDesk(t, durable.Features{}, nil, func(d *desk) {
		a := d.want(200, "", "GET", "/openapi.json", "")
		for _, route := range d.api.Routes() {
			if !strings.HasPrefix(route.Path, "/v1/") {
				continue
			}
			if !strings.Contains(a.body, `"`+route.Path+`"`) {
				t.Errorf("%s is not described", route.Path)
			}
		}
		keys := d.want(200, `"crv":"Ed25519"`, "GET", "/.well-known/jwks.json", "")
		if keys.header.Get("Cache-Control") != "public, max-age=60" {
			t.Errorf("%v", keys.header)
		}
	})
}
