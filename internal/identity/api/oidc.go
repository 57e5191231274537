package api

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/identity"
)

// Provider is a company that people may sign in with, by OpenID Connect.
type Provider struct {
	Name         string // in paths: lower-case letters, digits and dashes
	Title        string // for people; Name
	Issuer       string // as its discovery document has it
	ClientID     string
	ClientSecret string
	Scopes       []string // beside openid and email; profile
}

var providerName = regexp.MustCompile(`^[a-z0-9-]{1,30}$`)

func (p Provider) check() error {
	issuer, err := url.Parse(p.Issuer)
	switch {
	case !providerName.MatchString(p.Name):
		return fmt.Errorf("identity: the provider's name %.40q is not valid; expected lower-case letters, digits and dashes", p.Name)
	case err != nil || issuer.Host == "" || issuer.Scheme != "https" && (issuer.Scheme != "http" || !loopback(issuer.Hostname())):
		return fmt.Errorf("identity: the provider %s: the issuer is not an https URL", p.Name)
	case p.ClientID == "":
		return fmt.Errorf("identity: the provider %s: the client's id is missing", p.Name)
	}
	return nil
}

// loopback says whether a host is this machine: there a provider may do without TLS.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// providerTimeout is how long a provider may take to answer, real time. discoverEvery is how often one that cannot be
// discovered is tried, by the clock.
const (
	providerTimeout = 10 * time.Second
	discoverEvery   = time.Second
)

// provider is one whose discovery document is read when it is first needed.
type provider struct {
	Provider
	redirect string
	path     string // of the callback, for the cookie
	secure   bool   // the browser comes by TLS
	client   *http.Client
	now      func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	config   *oauth2.Config
	failed   time.Time // when it could not be discovered the last time
}

func newProvider(p Provider, home *url.URL, client *http.Client, now func() time.Time) *provider {
	if p.Title == "" {
		p.Title = p.Name
	}
	if p.Scopes == nil {
		p.Scopes = []string{"profile"}
	}
	callback := home.JoinPath("v1/auth/oidc", p.Name, "callback")
	return &provider{
		Provider: p, redirect: callback.String(), path: "/" + strings.TrimPrefix(callback.EscapedPath(), "/"), secure: home.Scheme == "https", client: client, now: now,
	}
}

// discover reads the provider's document, once. The error wraps httpapi.ErrUnavailable.
func (p *provider) discover(ctx context.Context) (*oauth2.Config, *oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config != nil {
		return p.config, p.verifier, nil
	}
	undiscovered := fmt.Errorf("the provider %s cannot be discovered: %w", p.Name, httpapi.ErrUnavailable)
	if !p.failed.IsZero() && p.now().Sub(p.failed) < discoverEvery { // those who waited do not ask one after the other
		return nil, nil, undiscovered
	}
	limited, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), providerTimeout)
	defer cancel()
	found, err := oidc.NewProvider(limited, p.Issuer)
	if err != nil {
		p.failed = p.now()
		return nil, nil, undiscovered
	}
	p.config = &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: p.redirect,
		Scopes: slices.Concat([]string{oidc.ScopeOpenID, "email"}, p.Scopes),
	}
	// The verifier reads keys later, for other requests.
	p.verifier = found.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), p.client), &oidc.Config{ClientID: p.ClientID, Now: p.now})
	return p.config, p.verifier, nil
}

// cookieName is the cookie of who is away at a provider.
const cookieName = "tiffin_oidc"

func (p *provider) cookie(value string, life time.Duration) string {
	c := http.Cookie{ //nolint:gosec // Secure wherever the browser comes by TLS
		Name: cookieName, Value: value, Path: p.path, MaxAge: int(life / time.Second), HttpOnly: true, Secure: p.secure,
		SameSite: http.SameSiteLaxMode,
	}
	if life == 0 {
		c.MaxAge = -1
	}
	return c.String()
}

type (
	providersOutput struct{ Body []ProviderView }
	providerInput   struct {
		Provider string `path:"provider" pattern:"^[a-z0-9-]{1,30}$"`
	}
	startOutput struct {
		Status       int
		Location     string `header:"Location"`
		SetCookie    string `header:"Set-Cookie"`
		CacheControl string `header:"Cache-Control"`
	}
	callbackInput struct {
		Provider string `path:"provider" pattern:"^[a-z0-9-]{1,30}$"`
		State    string `query:"state" maxLength:"200"`
		Code     string `query:"code" maxLength:"2000"`
		Error    string `query:"error" maxLength:"200"`
		Issuer   string `query:"iss" maxLength:"500"`
		Cookie   string `cookie:"tiffin_oidc" maxLength:"1024"`
	}
	callbackOutput struct {
		SetCookie    string `header:"Set-Cookie"`
		CacheControl string `header:"Cache-Control"`
		Referrer     string `header:"Referrer-Policy"`
		Body         Tokens
	}
)

// ProviderView is a provider as who may sign in with it sees it.
type ProviderView struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Start string `json:"start" doc:"Where to send the browser, a path"`
}

func (s *Service) elsewhere(a *httpapi.API) {
	tags := []string{"signing in elsewhere"}
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/auth/oidc", OperationID: "list-providers", Tags: tags, Summary: "Whom one can sign in with",
	}, s.listProviders)
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/auth/oidc/{provider}/start", OperationID: "oidc-start", Tags: tags, DefaultStatus: 302,
		Summary: "Go there to sign in", Errors: []int{404, 503},
	}, s.startElsewhere)
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/auth/oidc/{provider}/callback", OperationID: "oidc-callback", Tags: tags,
		Summary:     "Come back, signed in",
		Description: "An account that was not here before has no role; POST /v1/me/customer makes it a customer's.",
		Errors:      []int{401, 404, 409, 503},
	}, s.callback)
}

func (s *Service) listProviders(context.Context, *struct{}) (*providersOutput, error) {
	out := &providersOutput{Body: []ProviderView{}}
	for _, p := range s.opt.Providers {
		out.Body = append(out.Body, ProviderView{p.Name, s.providers[p.Name].Title, "/v1/auth/oidc/" + p.Name + "/start"})
	}
	return out, nil
}

func (s *Service) provider(name string) (*provider, error) {
	p := s.providers[name]
	if p == nil {
		return nil, durable.Refuse(durable.NotFound, "no such provider")
	}
	return p, nil
}

func (s *Service) startElsewhere(ctx context.Context, in *providerInput) (*startOutput, error) {
	p, err := s.provider(in.Provider)
	if err != nil {
		return nil, err
	}
	config, _, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	var b [3][32]byte
	for i := range b {
		if _, err := io.ReadFull(s.opt.Random, b[i][:]); err != nil {
			return nil, fmt.Errorf("state of signing in elsewhere: %w", err)
		}
	}
	text := base64.RawURLEncoding.EncodeToString
	e := errand{State: text(b[0][:]), Nonce: text(b[1][:]), Verifier: text(b[2][:]), Until: s.now().Add(errandLife)}
	cookie, err := s.seal.close(p.Name, e)
	if err != nil {
		return nil, err
	}
	return &startOutput{
		Status: http.StatusFound, CacheControl: "no-store", SetCookie: p.cookie(cookie, errandLife),
		Location: config.AuthCodeURL(e.State, oidc.Nonce(e.Nonce), oauth2.S256ChallengeOption(e.Verifier)),
	}, nil
}

// errElsewhere is the answer to who comes back without being signed in. The reason is in the log.
var errElsewhere = &httpapi.Problem{Status: http.StatusUnauthorized, Detail: "signing in did not work; begin again"}

func (s *Service) callback(ctx context.Context, in *callbackInput) (*callbackOutput, error) {
	p, err := s.provider(in.Provider)
	if err != nil {
		return nil, err
	}
	who, err := s.comeBack(ctx, p, in)
	if err != nil {
		if errors.Is(err, httpapi.ErrUnavailable) {
			return nil, err
		}
		s.log.Warn("signing in elsewhere did not work", "provider", p.Name, "why", err)
		return nil, errElsewhere // the cookie stays: somebody else's link must not end what is under way
	}
	a, err := s.meet(ctx, who)
	if err != nil {
		return nil, err
	}
	if a.Disabled {
		s.log.Info("sign-in refused", "account", a.ID, "disabled", true)
		return nil, errElsewhere
	}
	out, err := s.open(ctx, a)
	if err != nil {
		return nil, err
	}
	return &callbackOutput{p.cookie("", 0), out.CacheControl, "no-referrer", out.Body}, nil
}

// comeBack finds out who came back from a provider. Its errors say why nobody did and repeat nothing that was sent.
func (s *Service) comeBack(ctx context.Context, p *provider, in *callbackInput) (identity.Meet, error) {
	var who identity.Meet
	e, err := s.seal.open(p.Name, in.Cookie, s.now())
	if err != nil {
		return who, err
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(in.State), []byte(e.State)) != 1:
		return who, errors.New("the state is another one's")
	case in.Issuer != "" && in.Issuer != p.Issuer: // RFC 9207
		return who, errors.New("another issuer answered")
	case in.Error != "":
		return who, errors.New("the provider says no")
	case in.Code == "":
		return who, errors.New("the provider gave no code")
	}
	config, verifier, err := p.discover(ctx)
	if err != nil {
		return who, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), providerTimeout)
	defer cancel()
	given, err := config.Exchange(ctx, in.Code, oauth2.VerifierOption(e.Verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		return who, fmt.Errorf("the provider refused the code: status %d", status)
	}
	if err != nil {
		return who, fmt.Errorf("the provider did not answer: %w", httpapi.ErrUnavailable)
	}
	raw, _ := given.Extra("id_token").(string)
	t, err := verifier.Verify(ctx, raw)
	if err != nil {
		return who, errors.New("the id token is not valid")
	}
	var c struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		Name     string `json:"name"`
		Azp      string `json:"azp"`
	}
	if err := t.Claims(&c); err != nil {
		return who, errors.New("the id token's claims cannot be read")
	}
	email, ok := identity.NormalEmail(c.Email)
	switch {
	case subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(e.Nonce)) != 1:
		return who, errors.New("the id token's nonce is another one's")
	case c.Azp != "" && c.Azp != p.ClientID, len(t.Audience) > 1 && c.Azp == "":
		return who, errors.New("the id token was given to another client")
	case t.AccessTokenHash != "" && t.VerifyAccessToken(given.AccessToken) != nil:
		return who, errors.New("the id token is of another access token")
	case t.Subject == "" || !ok:
		return who, errors.New("the id token names nobody, or no e-mail address")
	case !c.Verified:
		return who, errors.New("the provider did not verify the e-mail address")
	}
	subject := subjectOf(p.Issuer, t.Subject)
	return identity.Meet{ID: subjectID(subject), Subject: subject, Email: email, Name: strings.ToValidUTF8(c.Name, "")}, nil
}

// meet finds the account of who signs in elsewhere, or begins it. Another account that has the e-mail address stays
// another: 409.
func (s *Service) meet(ctx context.Context, who identity.Meet) (identity.Account, error) {
	a, found, err := s.byID(ctx, who.ID)
	if err != nil || found {
		return a, err
	}
	_, made, err := s.accounts.Create(ctx, who.ID, who.Email, durable.Event{Type: identity.EventMeet, Hash: who.ID, Value: who})
	if err == nil {
		s.log.Info("signed up elsewhere", "account", who.ID)
	}
	return made.State, err
}
