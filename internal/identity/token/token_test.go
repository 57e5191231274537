package token_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/identity/token"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

const issuer = "https://tiffin.test"

var ada = auth.Caller{
	Subject: "account:1", Roles: []auth.Role{auth.Customer, auth.Kitchen}, Customer: "c1", Restaurants: []string{"r1", "r2"}, Courier: "d1",
}

// watch is a clock that a test sets.
type watch struct {
	mu sync.Mutex
	at time.Time
}

func (w *watch) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *watch) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signer(t testing.TB, w *watch, keys ...ed25519.PrivateKey) *token.Signer {
	t.Helper()
	n := 0
	s, err := token.NewSigner(token.SignerOptions{
		Issuer: issuer, Keys: keys, Now: w.now, NewID: func() string { n++; return fmt.Sprint("jti-", n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func source(s *token.Signer) func(context.Context) (token.JWKS, error) {
	return func(context.Context) (token.JWKS, error) { return s.JWKS(), nil }
}

func sign(t testing.TB, s *token.Signer) string {
	t.Helper()
	text, err := s.Sign(ada, 3)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRoundTrip(t *testing.T) {
	w := &watch{at: noon}
	s := signer(t, w, newKey(t))
	v := token.NewVerifier(token.VerifierOptions{Issuer: issuer, Source: source(s), Now: w.now})
	text := sign(t, s)
	got, err := v.Verify(t.Context(), text)
	if err != nil || !reflect.DeepEqual(got, ada) {
		t.Errorf("%+v %v", got, err)
	}
	parts := strings.Split(text, ".")
	header, body := segment(t, parts[0]), segment(t, parts[1])
	if header["typ"] != "at+jwt" || header["alg"] != "EdDSA" || len(header) != 3 || header["kid"] != s.JWKS().Keys[0].Kid {
		t.Errorf("%v", header)
	}
	if body["iss"] != issuer || body["sub"] != "account:1" || body["jti"] != "jti-1" || body["epoch"] != 3.0 ||
		body["exp"].(float64)-body["iat"].(float64) != 600 || body["nbf"] != body["iat"] {
		t.Errorf("%v", body)
	}
	if nobody, err := s.Sign(auth.Caller{Subject: "account:2"}, 0); err != nil {
		t.Error(err)
	} else if c, err := v.Verify(t.Context(), nobody); err != nil || c.Nobody() || len(c.Roles) != 0 {
		t.Errorf("who has no role is nobody: %+v %v", c, err)
	}
	for _, wrong := range []auth.Caller{auth.InService("order"), auth.Root, {}, {Subject: "account:"}, {Subject: "account:1", Roles: []auth.Role{auth.Service}}} {
		if _, err := s.Sign(wrong, 0); err == nil {
			t.Errorf("a token for %+v", wrong)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	if c, err := v.Authenticate(r); err != nil || !c.Nobody() {
		t.Errorf("%+v %v", c, err)
	}
	r.Header.Set("Authorization", "bearer "+text)
	if c, err := v.Authenticate(r); err != nil || c.Nobody() {
		t.Errorf("%+v %v", c, err)
	}
	r.Header.Add("Authorization", "Bearer "+text)
	if _, err := v.Authenticate(r); !errors.Is(err, auth.ErrCredential) {
		t.Errorf("two headers: %v", err)
	}
}

// TestThumbprint is the example of RFC 8037, appendix A.3.
func TestThumbprint(t *testing.T) {
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	k := signer(t, &watch{at: noon}, ed25519.NewKeyFromSeed(seed)).JWKS().Keys[0]
	if k.Kid != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" || k.X != "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" {
		t.Errorf("%+v", k)
	}
}

func segment(t *testing.T, s string) (m map[string]any) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// forge signs any header and any claims.
func forge(k ed25519.PrivateKey, header, claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(k, []byte(text)))
}

// TestAttacks: each of these is refused, and all alike.
func TestAttacks(t *testing.T) {
	w := &watch{at: noon}
	key, own := newKey(t), newKey(t)
	s := signer(t, w, key)
	kid := s.JWKS().Keys[0].Kid
	ownKid := signer(t, w, own).JWKS().Keys[0]
	header := fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":%q}`, kid)
	claims := func(change string) string {
		at := noon.Unix()
		all := fmt.Sprintf(`{"iss":%q,"aud":["tiffin"],"sub":"account:1","iat":%d,"nbf":%d,"exp":%d,"jti":"j","roles":["customer"],"epoch":0}`,
			issuer, at, at, at+600)
		from, to, _ := strings.Cut(change, " => ")
		if from != "" && !strings.Contains(all, from) {
			t.Fatalf("%s has no %s", all, from)
		}
		return strings.Replace(all, from, to, 1)
	}
	hs256 := func(secret []byte) string {
		text := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"HS256","typ":"at+jwt","kid":%q}`, kid)) + "." +
			base64.RawURLEncoding.EncodeToString([]byte(claims("")))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	good := forge(key, header, claims(""))
	parts := strings.Split(good, ".")
	stamp := func(name string, d time.Duration) string {
		at := noon.Unix()
		if name == "exp" {
			at += 600
		}
		return fmt.Sprintf(`"%s":%d => "%s":%d`, name, at, name, noon.Add(d).Unix())
	}
	public := key.Public().(ed25519.PublicKey)
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"":                               "",
		"two parts":                      parts[0] + "." + parts[1],
		"four parts":                     good + ".x",
		"alg none, unsigned":             base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"`+kid+`"}`)) + "." + parts[1] + ".",
		"alg none, signed":               forge(key, strings.Replace(header, "EdDSA", "none", 1), claims("")),
		"alg None":                       forge(key, strings.Replace(header, "EdDSA", "None", 1), claims("")),
		"alg in another case":            forge(key, strings.Replace(header, "EdDSA", "eddsa", 1), claims("")),
		"no alg":                         forge(key, `{"typ":"at+jwt","kid":"`+kid+`"}`, claims("")),
		"alg twice":                      forge(key, `{"alg":"none",`+header[1:], claims("")),
		"alg twice in another case":      forge(key, `{"ALG":"none",`+header[1:], claims("")),
		"HS256 by the public key":        hs256(public),
		"HS256 by the public key as x":   hs256([]byte(s.JWKS().Keys[0].X)),
		"HS256 by the public key as PEM": hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
		"another's key, our kid":         forge(own, header, claims("")),
		"another's key, its kid":         forge(own, strings.Replace(header, kid, ownKid.Kid, 1), claims("")),
		"a key in the header":            forge(own, fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":%q,"jwk":{"kty":"OKP","crv":"Ed25519","x":%q}}`, kid, ownKid.X), claims("")),
		"jku":                            forge(key, strings.Replace(header, "}", `,"jku":"https://evil.test"}`, 1), claims("")),
		"x5u":                            forge(key, strings.Replace(header, "}", `,"x5u":"https://evil.test"}`, 1), claims("")),
		"crit":                           forge(key, strings.Replace(header, "}", `,"crit":["b64"],"b64":false}`, 1), claims("")),
		"no kid":                         forge(key, `{"alg":"EdDSA","typ":"at+jwt","x":"y"}`, claims("")),
		"kid that is a path":             forge(key, strings.Replace(header, kid, "../../dev/null", 1), claims("")),
		"kid that is no string":          forge(key, `{"alg":"EdDSA","typ":"at+jwt","kid":1}`, claims("")),
		"typ JWT":                        forge(key, strings.Replace(header, "at+jwt", "JWT", 1), claims("")),
		"no typ":                         forge(key, `{"alg":"EdDSA","kid":"`+kid+`","x":"y"}`, claims("")),
		"another issuer":                 forge(key, header, claims(`"iss":"https://tiffin.test" => "iss":"https://evil.test"`)),
		"no issuer":                      forge(key, header, claims(`"iss":"https://tiffin.test", => `)),
		"another audience":               forge(key, header, claims(`"aud":["tiffin"] => "aud":["other"]`)),
		"no audience":                    forge(key, header, claims(`"aud":["tiffin"], => `)),
		"expired":                        forge(key, header, claims(stamp("exp", -token.Leeway))),
		"no exp":                         forge(key, header, claims(fmt.Sprintf(`"exp":%d, => `, noon.Unix()+600))),
		"exp a string":                   forge(key, header, claims(fmt.Sprintf(`"exp":%d => "exp":"never"`, noon.Unix()+600))),
		"not yet":                        forge(key, header, claims(stamp("nbf", token.Leeway+time.Second))),
		"no nbf":                         forge(key, header, claims(fmt.Sprintf(`"nbf":%d, => `, noon.Unix()))),
		"made later":                     forge(key, header, claims(stamp("iat", token.Leeway+time.Second))),
		"a claim twice":                  forge(key, header, claims(`"sub" => "sub":"account:2","sub"`)),
		"a claim twice in another case":  forge(key, header, claims(`"sub" => "SUB":"account:2","sub"`)),
		"a service":                      forge(key, header, claims(`"sub":"account:1" => "sub":"service:order"`)),
		"no subject":                     forge(key, header, claims(`"sub":"account:1", => `)),
		"a role of services":             forge(key, header, claims(`"customer" => "service"`)),
		"an unknown role":                forge(key, header, claims(`"customer" => "king"`)),
		"deep":                           forge(key, header, claims(`"epoch":0 => "epoch":[[[[[[0]]]]]]`)),
		"two objects":                    forge(key, header, claims("")+"{}"),
		"no object":                      forge(key, header, `[]`),
		"signature gone":                 parts[0] + "." + parts[1] + ".",
		"signature cut":                  good[:len(good)-2],
		"signature of another":           parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(claims(`account:1 => account:2`))) + "." + parts[2],
		"padded":                         good + "==",
		"bits behind the signature":      good[:len(good)-1] + string(good[len(good)-1]+1),
		"a space before":                 " " + good,
		"huge":                           forge(key, header, claims(`"jti":"j" => "jti":"`+strings.Repeat("j", 5000)+`"`)),
	} {
		v := token.NewVerifier(token.VerifierOptions{Issuer: issuer, Source: source(s), Now: w.now})
		c, err := v.Verify(t.Context(), text)
		if err != auth.ErrCredential || !c.Nobody() { //nolint:errorlint // the very value: no reason is given
			t.Errorf("%s: %+v %v", what, c, err)
		}
	}
	v := token.NewVerifier(token.VerifierOptions{Issuer: issuer, Source: source(s), Now: w.now})
	for what, text := range map[string]string{
		"good": good, "expired within the leeway": forge(key, header, claims(stamp("exp", -token.Leeway+time.Second))),
		"made by a clock that is ahead": forge(key, header, claims(stamp("nbf", token.Leeway))),
	} {
		if _, err := v.Verify(t.Context(), text); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestKeysAreLearned: each minute, and for a new name at most every 5 s; what is known outlives its source.
func TestKeysAreLearned(t *testing.T) {
	w := &watch{at: noon}
	oldKey, newKey := newKey(t), newKey(t)
	before, both := signer(t, w, oldKey), signer(t, w, oldKey, newKey)
	var (
		asked int
		set   token.JWKS
		fails error
	)
	v := token.NewVerifier(token.VerifierOptions{Issuer: issuer, Now: w.now, Source: func(context.Context) (token.JWKS, error) {
		asked++
		return set, fails
	}})
	check := func(what, text string, want error, total int) {
		t.Helper()
		if _, err := v.Verify(t.Context(), text); !errors.Is(err, want) || asked != total {
			t.Errorf("%s: %v, want %v; asked %d times, want %d", what, err, want, asked, total)
		}
	}
	oldToken, newToken := sign(t, before), sign(t, both)
	fails = errors.New("away")
	check("nothing is known", oldToken, httpapi.ErrUnavailable, 1)
	check("and not asked for again at once", oldToken, httpapi.ErrUnavailable, 1)
	w.pass(time.Second)
	fails, set = nil, before.JWKS()
	check("the first", oldToken, nil, 2)
	check("from memory", oldToken, nil, 2)
	set = both.JWKS()
	check("unknown, asked a moment ago", newToken, auth.ErrCredential, 2)
	w.pass(5 * time.Second)
	check("unknown", newToken, nil, 3)
	check("the old one still", oldToken, nil, 3)
	fails = errors.New("away")
	w.pass(time.Minute)
	check("away", oldToken, nil, 4)
	fails, set = nil, token.JWKS{}
	w.pass(time.Minute)
	check("none", oldToken, nil, 5)
	wrong := before.JWKS().Keys[0]
	wrong.Kid = both.JWKS().Keys[1].Kid
	set = token.JWKS{Keys: []token.JWK{before.JWKS().Keys[0], wrong, {Kty: "RSA", Kid: "x"}}}
	w.pass(time.Minute)
	check("a key under another's name", newToken, auth.ErrCredential, 6)
	check("among those that are right", oldToken, nil, 6)
	w.pass(11 * time.Minute)
	check("over", oldToken, auth.ErrCredential, 7)
}

func writeKey(t *testing.T, name string, key any, mode os.FileMode) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err == nil {
		err = os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err == nil {
		err = os.Chmod(name, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFolder(t *testing.T) {
	w := &watch{at: noon}
	dir := filepath.Join(t.TempDir(), "keys")
	var log bytes.Buffer
	opt := token.SignerOptions{
		Issuer: issuer, Dir: dir, Make: true, Random: rand.Reader, Now: w.now, NewID: func() string { return "j" },
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	var (
		wait    sync.WaitGroup
		signers [4]*token.Signer
	)
	for i := range signers { // instances that start at once agree
		wait.Go(func() {
			var err error
			if signers[i], err = token.NewSigner(opt); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	s := signers[0]
	for _, other := range signers {
		if !reflect.DeepEqual(other.JWKS(), s.JWKS()) || len(s.JWKS().Keys) != 1 {
			t.Fatalf("%+v %+v", other.JWKS(), s.JWKS())
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "0001.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	v := token.NewVerifier(token.VerifierOptions{Issuer: issuer, Source: source(s), Now: w.now})
	oldToken := sign(t, s)

	writeKey(t, filepath.Join(dir, "0002.pem"), newKey(t), 0o640)
	if n := len(s.JWKS().Keys); n != 1 {
		t.Errorf("%d keys within a second", n)
	}
	w.pass(time.Second)
	if n := len(s.JWKS().Keys); n != 2 {
		t.Errorf("%d keys", n)
	}
	newToken := sign(t, s)
	if kid := segment(t, strings.Split(newToken, ".")[0])["kid"]; kid != s.JWKS().Keys[1].Kid {
		t.Errorf("%v signs", kid)
	}
	for _, text := range []string{oldToken, newToken} {
		if _, err := v.Verify(t.Context(), text); err != nil {
			t.Error(err)
		}
	}

	// What is put there wrongly changes nothing, and starts nothing.
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "0003.pem")
	for says, put := range map[string]func(){
		"everybody may use it": func() { writeKey(t, bad, newKey(t), 0o604) },
		"not an Ed25519 key":   func() { writeKey(t, bad, ec, 0o600) },
		"not one PEM block":    func() { _ = os.WriteFile(bad, []byte("secret words"), 0o600) },
		"the same key": func() {
			b, _ := os.ReadFile(filepath.Join(dir, "0002.pem"))
			_ = os.WriteFile(bad, b, 0o600)
		},
	} {
		_ = os.Remove(bad)
		put()
		w.pass(time.Second)
		if n := len(s.JWKS().Keys); n != 2 {
			t.Errorf("%s: %d keys", says, n)
		}
		_, err := token.NewSigner(opt)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), bad) || !strings.Contains(log.String(), says) {
			t.Errorf("%s: %v; log %s", says, err, log.String())
		}
	}
	if strings.Contains(log.String(), "secret words") {
		t.Error("a key is in the log")
	}
	_ = os.Remove(bad)
	_ = os.Remove(filepath.Join(dir, "0001.pem"))
	w.pass(time.Second)
	if n := len(s.JWKS().Keys); n != 1 {
		t.Errorf("%d keys", n)
	}
	opt.Dir, opt.Make = t.TempDir(), false
	if _, err := token.NewSigner(opt); err == nil || !strings.Contains(err.Error(), opt.Dir) {
		t.Errorf("an empty folder: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	w := &watch{at: noon}
	s := signer(f, w, newKey(f))
	f.Add(sign(f, s))
	f.Add("e30.e30.")
	v := token.NewVerifier(token.VerifierOptions{Issuer: issuer, Source: source(s), Now: w.now})
	good := sign(f, s)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := v.Verify(t.Context(), text)
		if err != nil && (!errors.Is(err, auth.ErrCredential) || !c.Nobody()) {
			t.Errorf("%+v %v", c, err)
		}
		if err == nil && !strings.HasPrefix(text, good[:strings.IndexByte(good, '.')]) {
			t.Errorf("%q is %+v", text, c)
		}
	})
}

// BenchmarkVerify is what a request costs the gateway.
func BenchmarkVerify(b *testing.B) {
	w := &watch{at: noon}
	s := signer(b, w, newKey(b))
	v := token.NewVerifier(token.VerifierOptions{Issuer: issuer, Source: source(s), Now: w.now})
	text := sign(b, s)
	for b.Loop() {
		if _, err := v.Verify(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}
