// Package api is the identity service's HTTP side over the pure cores of package identity: signing up, in and out,
// accounts and keys for operators, the public keys of access tokens.
//
// What it promises:
//
//   - An unknown, a disabled, a passwordless account and a wrong password are answered alike, after the same work.
//   - Passwords, refresh tokens, keys and the codes of other companies are in no log line, no error and no record.
//   - Who is signed out, or shows a refresh token twice, cannot refresh again, whichever instance he asks.
//   - Where a browser is sent to and comes back from is made of settings, never of what a request says.
package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/identity"
	"github.com/tiffin-food/tiffin/internal/identity/token"
	"github.com/tiffin-food/tiffin/internal/limit"
)

// Options are what the service is made of. Shell, the four stores, NewID and Signer have no default.
type Options struct {
	// Shell is Owner, Clock, Executor and limits; Name and Store are set here. Sessions, keys, tokens and cookies live
	// by its clock, and so should the gateway's verifier.
	Shell    durable.Options
	Accounts durable.Store
	Logins   durable.Store
	Sessions durable.Store
	Keys     durable.Store
	NewID    func() string
	Random   io.Reader // of secrets and salts, safe for concurrent use; crypto/rand
	Signer   *token.Signer
	Hashes   int            // passwords checked at once; a core each
	Limit    *limit.Limiter // of tries to sign in to an account; nil: none

	// Providers are the companies that people may sign in with. With any of them, PublicURL and CookieKey are required.
	Providers  []Provider
	PublicURL  string       // where browsers find the gateway: https://tiffin.example
	CookieKey  []byte       // at least 32 random bytes, the same for all instances
	HTTPClient *http.Client // to the providers; one with a timeout
}

// Service knows who is who.
type Service struct {
	opt       Options
	log       *slog.Logger
	accounts  *durable.Runner[identity.Account]
	logins    *durable.Runner[identity.Login]
	sessions  *durable.Runner[identity.Session]
	keys      *durable.Runner[identity.Key]
	mill      *mill
	ring      ring
	providers map[string]*provider
	seal      seal
}

// minCookieKey is how many bytes the cookies' key has at least.
const minCookieKey = 32

// New makes the service; Start begins its work. The error names the setting that is wrong.
func New(opt Options) (*Service, error) {
	if opt.Random == nil {
		opt.Random = rand.Reader
	}
	if opt.Hashes == 0 {
		opt.Hashes = runtime.NumCPU()
	}
	if opt.HTTPClient == nil {
		opt.HTTPClient = &http.Client{Timeout: providerTimeout}
	}
	log := opt.Shell.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if opt.Signer == nil {
		return nil, errors.New("identity: Signer is missing")
	}
	s := &Service{
		opt: opt, log: log,
		accounts: durable.NewRunner(identity.AccountMachine{}, shell(opt.Shell, "accounts", opt.Accounts)),
		logins:   durable.NewRunner(identity.LoginMachine{}, shell(opt.Shell, "logins", opt.Logins)),
		sessions: durable.NewRunner(identity.SessionMachine{}, shell(opt.Shell, "sessions", opt.Sessions)),
		keys:     durable.NewRunner(identity.KeyMachine{}, shell(opt.Shell, "keys", opt.Keys)),
		mill:     newMill(opt.Random, opt.Hashes),
	}
	s.ring.init(s)
	if err := s.readProviders(); err != nil {
		// What was begun waits for nobody: no runner has been started or asked.
		return nil, errors.Join(err, s.Stop(context.Background()))
	}
	return s, nil
}

func shell(o durable.Options, name string, store durable.Store) durable.Options {
	o.Name, o.Store = name, store
	return o
}

// readProviders checks the settings of signing in elsewhere.
func (s *Service) readProviders() error {
	s.providers = map[string]*provider{}
	if len(s.opt.Providers) == 0 {
		return nil
	}
	home, err := url.Parse(s.opt.PublicURL)
	if err != nil || home.Scheme != "https" && home.Scheme != "http" || home.Host == "" || home.RawQuery != "" || home.Fragment != "" {
		return fmt.Errorf("identity: the public URL %q is not valid; expected such as https://tiffin.example", s.opt.PublicURL)
	}
	if len(s.opt.CookieKey) < minCookieKey {
		return fmt.Errorf("identity: the cookie key has %d bytes; expected %d at least", len(s.opt.CookieKey), minCookieKey)
	}
	if s.seal, err = newSeal(s.opt.CookieKey, s.opt.Random); err != nil {
		return err
	}
	for _, p := range s.opt.Providers {
		if err := p.check(); err != nil {
			return err
		}
		if s.providers[p.Name] != nil {
			return fmt.Errorf("identity: the provider %s is configured twice", p.Name)
		}
		s.providers[p.Name] = newProvider(p, home, s.opt.HTTPClient, s.now)
	}
	return nil
}

// Start takes up the work that is owed.
func (s *Service) Start() {
	s.accounts.Start()
	s.logins.Start()
	s.sessions.Start()
	s.keys.Start()
}

// Stop ends the work under way; see durable.Runner.
func (s *Service) Stop(ctx context.Context) error {
	return errors.Join(s.accounts.Stop(ctx), s.logins.Stop(ctx), s.sessions.Stop(ctx), s.keys.Stop(ctx))
}

func (s *Service) now() time.Time { return s.opt.Shell.Clock.Now() }

// JWKS is a verifier's source in the same process.
func (s *Service) JWKS(context.Context) (token.JWKS, error) { return s.opt.Signer.JWKS(), nil }

// Whom the routes are for.
var operators = auth.For(auth.Operator)

// Routes registers the service's HTTP side.
func (s *Service) Routes(a *httpapi.API) {
	s.signingIn(a)
	s.ownAccount(a)
	s.allAccounts(a)
	s.allKeys(a)
	s.elsewhere(a)
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodGet, Path: "/.well-known/jwks.json", OperationID: "jwks", Tags: []string{"tokens"},
		Summary: "The public keys of access tokens",
	}, s.jwks)
}

type jwksOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         token.JWKS
}

func (s *Service) jwks(context.Context, *struct{}) (*jwksOutput, error) {
	return &jwksOutput{"public, max-age=60", s.opt.Signer.JWKS()}, nil
}

// Account is an account as the API shows it.
type Account struct {
	ID          string           `json:"id" format:"uuid"`
	Email       string           `json:"email"`
	Name        string           `json:"name,omitempty"`
	Roles       []auth.Role      `json:"roles" enum:"customer,kitchen,courier,operator"`
	Customer    string           `json:"customer,omitempty" doc:"Of the role customer: who that is"`
	Restaurants []string         `json:"restaurants,omitempty" doc:"Of the role kitchen: where"`
	Courier     string           `json:"courier,omitempty" doc:"Of the role courier: who that is to the transport company"`
	Disabled    bool             `json:"disabled,omitempty"`
	Elsewhere   bool             `json:"elsewhere,omitempty" doc:"It signs in with another company and has no password here"`
	Joining     identity.Joining `json:"joining,omitempty" enum:"asked,joined,declined,unanswered" doc:"How far it is on its way to being a customer: asked until the customer service has answered"`
	Reason      string           `json:"reason,omitempty" doc:"Why it is no customer"`
	Created     time.Time        `json:"created"`
}

func view(a identity.Account) Account {
	v := Account{
		ID: a.ID, Email: a.Email, Name: a.Name, Roles: a.Roles, Customer: a.Customer, Restaurants: a.Restaurants,
		Courier: a.Courier, Disabled: a.Disabled, Elsewhere: a.Password == "", Joining: a.Joining, Reason: a.Reason,
		Created: a.Created,
	}
	if v.Roles == nil {
		v.Roles = []auth.Role{}
	}
	return v
}

type accountOutput struct{ Body Account }

// byEmail finds the account that an e-mail address signs in; ok is false where there is none.
func (s *Service) byEmail(ctx context.Context, email string) (a identity.Account, ok bool, err error) {
	login, err := s.logins.View(ctx, loginID(email))
	if err == nil {
		return s.byID(ctx, login.State.Account)
	}
	if errors.Is(err, durable.ErrNotFound) {
		return a, false, nil
	}
	return a, false, err
}

func (s *Service) byID(ctx context.Context, id string) (a identity.Account, ok bool, err error) {
	found, err := s.accounts.View(ctx, id)
	if errors.Is(err, durable.ErrNotFound) {
		return a, false, nil
	}
	return found.State, err == nil, err
}

// claim has an e-mail address sign in the account with the id, or says whose it is already.
func (s *Service) claim(ctx context.Context, email, id string) (owner string, err error) {
	_, login, err := s.logins.Create(ctx, loginID(email), "", durable.Event{
		Type: identity.EventClaim, Value: identity.Login{Account: id}, Hash: id,
	})
	return login.State.Account, err
}

// Ensure makes the accounts that are not there: the first operator, a demo's people. Those that are there stay as they
// are. Passwords are given as HashPassword makes them; ids are made where they are missing.
func (s *Service) Ensure(ctx context.Context, accounts []identity.Account) error {
	for _, a := range accounts {
		email, ok := identity.NormalEmail(a.Email)
		if !ok {
			return fmt.Errorf("account %s: the e-mail address is not valid", a.ID)
		}
		a.Email = email
		if a.Password != "" {
			if _, err := parsePHC(a.Password); err != nil {
				return fmt.Errorf("account %s: the password: %w", email, err)
			}
		}
		if _, err := s.begin(ctx, a); err != nil && !conflicts(err) {
			return fmt.Errorf("account %s: %w", email, err)
		}
	}
	return nil
}

// begin makes an account by an operator's word.
func (s *Service) begin(ctx context.Context, a identity.Account) (identity.Account, error) {
	var err error
	if a.ID == "" {
		a.ID = s.opt.NewID()
	}
	if a.ID, err = s.claim(ctx, a.Email, a.ID); err != nil {
		return a, err
	}
	_, made, err := s.accounts.Create(ctx, a.ID, a.Email, durable.Event{Type: identity.EventRegister, Value: a, Hash: a.ID})
	return made.State, err
}

// conflicts says whether an error is a core's no because of what is there already.
func conflicts(err error) bool {
	refusal, ok := errors.AsType[*durable.Refusal](err)
	return ok && refusal.Code == durable.Conflict
}

// invalid is the refusal of one field.
func invalid(field, detail string) error {
	return &durable.Refusal{Code: durable.Invalid, Field: field, Detail: detail}
}
