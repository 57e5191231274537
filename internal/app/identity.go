package app

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
	"github.com/tiffin-food/tiffin/internal/identity/token"
	"github.com/tiffin-food/tiffin/internal/keyring"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Identity says how people and programs are known.
type Identity struct {
	SigningKeys string   `help:"Folder of the keys that sign access tokens: *.pem, Ed25519 in PKCS#8; the last by name signs. Looked at again every second. tiffin up makes one in its data folder." placeholder:"DIR"`
	FirstKeys   string   `help:"File of API keys that exist from the start, a line each: NAME SCOPE,… KEY. One that is revoked stays so." placeholder:"FILE"`
	PublicURL   string   `help:"Where browsers find the gateway, for signing in with another company: https://tiffin.example." name:"public-url" placeholder:"URL"`
	OIDC        []string `help:"A company to sign in with by OpenID Connect: NAME=ISSUER,CLIENT-ID,CLIENT-SECRET; repeat it, or have them in a file (TIFFIN_OIDC_FILE) with a semicolon between." name:"oidc" sep:";" placeholder:"NAME=…"`
	CookieKey   string   `help:"What seals the cookie of a sign-in under way: the base64 of 32 random bytes, the same for all instances. One of this run's own if empty." placeholder:"BASE64"`
}

// issuer is what access tokens say they come from. Each deployment has its own keys; the name tells them from tokens of
// other makes.
const issuer = "tiffin"

// OperatorKeyFile is where, in its data folder, tiffin up keeps the key of its operator.
const OperatorKeyFile = "operator.key"

// signingKeys is the folder in the data folder where tiffin up keeps its signing key.
const signingKeys = "signing-keys"

// checkIdentity says which setting is wrong.
func (i Identity) checkIdentity() error {
	_, err := i.firstKeys()
	_, e := i.providers()
	if _, err := i.cookieKey(); err != nil {
		e = errors.Join(e, err)
	}
	if len(i.OIDC) > 0 && i.PublicURL == "" {
		e = errors.Join(e, errors.New("public-url: missing; signing in with another company comes back there: expected such as https://tiffin.example"))
	}
	return errors.Join(err, e)
}

// placeholder is what a secret is to be written in place of, as in deploy/secrets/*.example.
var placeholder = regexp.MustCompile(`<[^<>]*>|^tfn_ID_SECRET$`)

// minAPIKey is how short a key of the services may be, in characters.
const minAPIKey = 16

const validAPIKey = "expected one of the scope service:NAME or gateway as tiffin key create prints it, or one text of 16 or more " +
	"characters that all processes share"

// CheckKeys says which key is missing, or is none, to serve units in a process of their own. Whoever serves everything
// needs no key, and the simulated companies have none.
func (c Config) CheckKeys(units []string) error {
	var errs []error
	wrong := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("api-key: "+format+"; "+validAPIKey, a...))
	}
	alone := !slices.ContainsFunc(append([]string{Gateway}, Services...), func(name string) bool { return !slices.Contains(units, name) })
	switch {
	case c.APIKey == "" && !alone && slices.ContainsFunc(units, func(u string) bool { return u != Partners }):
		wrong("missing")
	case c.APIKey == "":
	case placeholder.MatchString(c.APIKey):
		wrong("it is the placeholder of an example")
	case len(c.APIKey) < minAPIKey:
		wrong("of %d characters", len(c.APIKey))
	case strings.HasPrefix(c.APIKey, "tfn_"):
		if _, _, err := auth.ParseKey(c.APIKey); err != nil {
			wrong("begins as a key of ours and is none")
		}
	}
	if c.SigningKeys == "" && slices.Contains(units, wire.IdentityService) {
		errs = append(errs, errors.New("signing-keys: missing; expected a folder of *.pem, the same for all instances, "+
			"each such as openssl genpkey -algorithm ed25519 prints; only tiffin up makes its own"))
	}
	return errors.Join(errs...)
}

// firstKeys reads the file of the first keys.
func (i Identity) firstKeys() (keys []auth.Key, err error) {
	if i.FirstKeys == "" {
		return nil, nil
	}
	f, err := os.Open(i.FirstKeys)
	if err != nil {
		return nil, fmt.Errorf("first-keys: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was read
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("first-keys: line %d: expected NAME SCOPE,… KEY", n)
		}
		if placeholder.MatchString(fields[2]) {
			return nil, fmt.Errorf("first-keys: line %d: the key is the placeholder of an example; expected one as tiffin key create prints it", n)
		}
		k, err := keyOf(fields[0], fields[2], strings.Split(fields[1], ",")...)
		if err != nil {
			return nil, fmt.Errorf("first-keys: line %d: %w", n, err)
		}
		keys = append(keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("first-keys: %w", err)
	}
	return keys, nil
}

// keyOf is the key of a text.
func keyOf(name, text string, scopes ...string) (k auth.Key, err error) {
	k.Name = name
	if k.ID, k.Digest, err = auth.ParseKey(text); err != nil {
		return k, err
	}
	for _, s := range scopes {
		if err := auth.Scope(s).Check(); err != nil {
			return k, err
		}
		k.Scopes = append(k.Scopes, auth.Scope(s))
	}
	return k, nil
}

func (i Identity) cookieKey() ([]byte, error) {
	if i.CookieKey == "" {
		b := make([]byte, 32)
		_, err := rand.Read(b)
		return b, err
	}
	b, err := base64.StdEncoding.DecodeString(i.CookieKey)
	if err != nil || len(b) < 32 {
		return nil, errors.New("cookie-key: not valid; expected the base64 of 32 random bytes, such as openssl rand -base64 32 prints")
	}
	return b, nil
}

// providers are the companies that people may sign in with.
func (i Identity) providers() (all []identityapi.Provider, err error) {
	for _, text := range i.OIDC {
		name, rest, ok := strings.Cut(strings.TrimSpace(text), "=")
		parts := strings.Split(rest, ",")
		if !ok || len(parts) != 3 {
			return nil, fmt.Errorf("oidc: %.30q is not valid; expected NAME=ISSUER,CLIENT-ID,CLIENT-SECRET", name)
		}
		all = append(all, identityapi.Provider{Name: name, Issuer: parts[0], ClientID: parts[1], ClientSecret: parts[2]})
	}
	return all, nil
}

// inner finds out who speaks to a service. A key of our make is looked up like any other; another text that the process
// was given is one key for all, as in the original system.
func (s *System) inner() auth.Inner {
	shared := s.cfg.APIKey
	if _, _, err := auth.ParseKey(shared); err == nil {
		shared = ""
	}
	return auth.Inner{Keys: (*keys)(s), Shared: shared, Now: s.wall.Now}
}

// atDoor finds out who comes to the gateway.
func (s *System) atDoor() auth.Authenticator {
	if s.cfg.Open {
		return auth.Trusting
	}
	source := token.From(s.http, wire.IdentityService)
	if s.identity != nil {
		source = s.identity.JWKS
	}
	return auth.Outer{
		Tokens: token.NewVerifier(token.VerifierOptions{Issuer: issuer, Source: source, Now: s.wall.Now, Log: s.log}),
		Keys:   (*keys)(s), Now: s.wall.Now,
	}
}

// makeIdentity makes the identity service. It follows real time: how long somebody is signed in has nothing to do with
// how fast meals are cooked.
func (s *System) makeIdentity(store func(kind string) durable.Store, failed *error) (service, error) {
	opt := identityapi.Options{
		Shell: s.shellOf(wire.IdentityService), NewID: s.ids.New, PublicURL: s.cfg.PublicURL, Limit: s.limiter(),
		Accounts: store(Accounts), Logins: store(Logins), Sessions: store(Sessions), Keys: store(Keys),
	}
	opt.Shell.Clock = s.wall
	if *failed != nil {
		return nil, *failed
	}
	var err error
	if opt.Providers, err = s.cfg.providers(); err != nil {
		return nil, err
	}
	if opt.CookieKey, err = s.cfg.cookieKey(); err != nil {
		return nil, err
	}
	signer := token.SignerOptions{
		Issuer: issuer, Dir: s.cfg.SigningKeys, Now: s.wall.Now, NewID: s.ids.New, Random: rand.Reader, Log: s.log,
	}
	if signer.Dir == "" {
		signer.Dir, signer.Make = filepath.Join(s.cfg.Data, signingKeys), true
	}
	if opt.Signer, err = token.NewSigner(signer); err != nil {
		return nil, err
	}
	if s.identity, err = identityapi.New(opt); err != nil {
		return nil, err
	}
	s.known = s.identity
	return s.identity, nil
}

// findKeys has the keys told by the identity service, where that is in another process. Simulated companies alone know
// none, and have none to ask with.
func (s *System) findKeys(names []string) {
	switch {
	case slices.Contains(names, wire.IdentityService):
		return
	case s.cfg.strangers:
		s.known = auth.KeySet{}
		return
	}
	s.ring = keyring.New(keyring.Options{Source: keyring.From(s.http, wire.IdentityService), Log: s.log})
	s.known = s.ring
	s.ring.Start(s.life)
}

// hearKeys waits until the keys are known, where another process tells them: a moment, because that one may be away for
// long. Whoever shows a key before that is told to come again.
func (s *System) hearKeys(ctx context.Context) {
	if s.ring == nil {
		return
	}
	enough := time.NewTimer(2 * time.Second)
	defer enough.Stop()
	select {
	case <-s.ring.Ready():
	case <-enough.C:
		s.log.Warn("keys: nobody tells them yet; whoever shows one is told to come again")
	case <-ctx.Done():
	}
}

// keys are those that the process knows, as auth.Keys: its own, then whatever the identity service knows, here or
// elsewhere.
type keys System

// Find is auth.Keys.
func (k *keys) Find(id string) (auth.Key, bool, error) {
	if id == k.self.ID {
		return k.self, true, nil
	}
	return k.known.Find(id)
}

// firstPeople makes the keys and accounts that are there from the start.
func (s *System) firstPeople(ctx context.Context) error {
	if s.identity == nil {
		return nil
	}
	known, err := s.cfg.firstKeys()
	if err != nil {
		return err
	}
	if s.cfg.Demo {
		k, err := s.operatorKey()
		if err != nil {
			return err
		}
		known = append(known, k)
	}
	if err := s.identity.EnsureKeys(ctx, known); err != nil {
		return err
	}
	if !s.cfg.Demo {
		return s.refuseDemo(ctx)
	}
	return s.identity.Ensure(ctx, demoAccounts())
}

// operatorKey is the key of whoever started tiffin up, in a file of the data folder that nobody else can read.
func (s *System) operatorKey() (auth.Key, error) {
	file := filepath.Join(s.cfg.Data, OperatorKeyFile)
	b, err := os.ReadFile(file) //nolint:gosec // the data folder's
	if err == nil {
		k, err := keyOf("operator", strings.TrimSpace(string(b)), "operator")
		if err != nil {
			return k, fmt.Errorf("%s: %w; remove the file for a new one", file, err)
		}
		return k, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return auth.Key{}, fmt.Errorf("the operator's key: %w", err)
	}
	k, text, err := auth.NewKey(rand.Reader, "operator", []auth.Scope{"operator"}, time.Time{})
	if err != nil {
		return k, err
	}
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		return k, fmt.Errorf("the operator's key: %w", err)
	}
	return k, nil
}

// CheckOpen says whether a system that believes everybody may listen there.
func CheckOpen(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("open: whoever reaches %s would be an operator; expected a loopback address to listen on, such as 127.0.0.1:8080", addr)
}
