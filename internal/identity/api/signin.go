package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/identity"
	"github.com/tiffin-food/tiffin/internal/limit"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// joinWait is how long a sign-up waits for the customer service, in real time.
const joinWait = 2 * time.Second

// Answers to what shows no good credential.
var (
	errSignIn  = &httpapi.Problem{Status: http.StatusUnauthorized, Detail: "the e-mail address or the password is wrong"}
	errRefresh = &httpapi.Problem{Status: http.StatusUnauthorized, Detail: "the refresh token is not valid; sign in again"}
)

// Becoming is what a customer is made of.
type Becoming struct {
	Name         string       `json:"name" minLength:"1" maxLength:"200"`
	Address      wire.Address `json:"address"`
	PaymentToken string       `json:"payment_token" pattern:"^tok_[A-Za-z0-9_]{1,60}$" example:"tok_ok" doc:"What the card company knows the card by. Never a card number"`
	MaskedCard   string       `json:"masked_card,omitempty" pattern:"^[*]{4,15}[0-9]{0,4}$" example:"************4242"`
}

func (b Becoming) join() identity.Join {
	return identity.Join{Name: b.Name, Address: b.Address, PaymentToken: b.PaymentToken, MaskedCard: b.MaskedCard}
}

// Tokens are what who signs in is given (RFC 6749, section 5.1).
type Tokens struct {
	AccessToken  string `json:"access_token" doc:"For the header Authorization: Bearer"`
	TokenType    string `json:"token_type" enum:"Bearer"`
	ExpiresIn    int    `json:"expires_in" doc:"Seconds that the access token is good"`
	RefreshToken string `json:"refresh_token" doc:"Good once, for the next two"`
}

type (
	signUpInput struct {
		Body struct {
			Email    string `json:"email" format:"email" maxLength:"254"`
			Password string `json:"password" minLength:"10" maxLength:"128" kept:"hashed"`
			Becoming
		}
	}
	signInInput struct {
		Body struct {
			Email    string `json:"email" maxLength:"254"`
			Password string `json:"password" maxLength:"128" kept:"hashed"`
		}
	}
	refreshInput struct {
		Body struct {
			RefreshToken string `json:"refresh_token" maxLength:"200" kept:"hashed"`
		}
	}
	tokensOutput struct {
		CacheControl string `header:"Cache-Control"`
		Body         Tokens
	}
)

func (s *Service) signingIn(a *httpapi.API) {
	tags := []string{"signing in"}
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/auth/sign-up", OperationID: "sign-up", Tags: tags, DefaultStatus: 201,
		Summary:     "Sign up as a customer",
		Description: "The account may sign in at once. Until the customer service has answered, joining is asked and the account has no role.",
		Errors:      []int{409, 422, 503},
	}, s.signUp)
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/auth/sign-in", OperationID: "sign-in", Tags: tags,
		Summary: "Sign in", Errors: []int{401, 422, 503},
	}, s.signIn)
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/auth/refresh", OperationID: "refresh", Tags: tags,
		Summary:     "Get the next tokens",
		Description: "A refresh token is good once. Within 10 s it may be repeated by who got no answer; later that ends the session.",
		Errors:      []int{401, 422, 503},
	}, s.refresh)
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/auth/sign-out", OperationID: "sign-out", Tags: tags, DefaultStatus: 204,
		Summary: "End the session", Description: "An access token already given is good until it is over.", Errors: []int{422, 503},
	}, s.signOut)
}

func (s *Service) signUp(ctx context.Context, in *signUpInput) (*accountOutput, error) {
	email, ok := identity.NormalEmail(in.Body.Email)
	if !ok {
		return nil, invalid("body.email", "not an e-mail address")
	}
	if why := guessable(email, in.Body.Password); why != "" {
		return nil, invalid("body.password", why)
	}
	a, found, err := s.byEmail(ctx, email)
	if err != nil {
		return nil, err
	}
	if found {
		return s.signUpAgain(ctx, a, in)
	}
	phc, err := s.mill.hash(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	id, err := s.claim(ctx, email, s.opt.NewID())
	if err != nil {
		return nil, err
	}
	_, made, err := s.accounts.Create(ctx, id, email, durable.Event{Type: identity.EventSignUp, Hash: id, Value: identity.SignUp{
		ID: id, Email: email, Password: phc, Join: in.Body.join(),
	}})
	if err != nil {
		return nil, err
	}
	s.log.Info("signed up", "account", id)
	return s.joined(ctx, made)
}

// signUpAgain is for who signed up before and is no customer yet. Whoever does not know the password is told that the
// address is taken.
func (s *Service) signUpAgain(ctx context.Context, a identity.Account, in *signUpInput) (*accountOutput, error) {
	right, _, err := s.mill.check(ctx, a.Password, in.Body.Password)
	if err != nil {
		return nil, err
	}
	if !right || a.Disabled || a.Joining == identity.NotJoining || a.Joining == identity.Joined {
		return nil, durable.Refuse(durable.Conflict, "an account with this e-mail address exists already; sign in")
	}
	return s.join(ctx, a.ID, in.Body.join())
}

// join has an account ask to be a customer.
func (s *Service) join(ctx context.Context, id string, j identity.Join) (*accountOutput, error) {
	a, err := s.accounts.Apply(ctx, id, durable.Event{Type: identity.EventJoin, Value: j, Hash: id})
	if err != nil {
		return nil, err
	}
	return s.joined(ctx, a)
}

// joined waits a while for the customer service's answer.
func (s *Service) joined(ctx context.Context, a durable.Applied[identity.Account]) (*accountOutput, error) {
	if a.State.Joining == identity.Asked {
		wait, done := context.WithTimeout(ctx, joinWait)
		defer done()
		last, err := s.accounts.Await(wait, a.State.ID, func(a identity.Account) bool { return a.Joining != identity.Asked })
		switch {
		case err == nil:
			a = last
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return nil, err
		}
	}
	switch a.State.Joining {
	case identity.Declined:
		return nil, durable.Refuse(durable.Conflict, "%s", a.State.Reason)
	case identity.Unanswered:
		return nil, httpapi.Errorf(http.StatusServiceUnavailable, "%s", a.State.Reason)
	case identity.NotJoining, identity.Asked, identity.Joined:
	}
	return &accountOutput{view(a.State)}, nil
}

func (s *Service) signIn(ctx context.Context, in *signInInput) (*tokensOutput, error) {
	var (
		a     identity.Account
		found bool
		err   error
	)
	if email, ok := identity.NormalEmail(in.Body.Email); ok {
		if s.opt.Limit != nil {
			if d := s.opt.Limit.Allow(ctx, limit.SignInMail, email); !d.OK { // whether there is such an account or not
				return nil, &httpapi.Problem{
					Status: http.StatusTooManyRequests, RetryAfter: d.Wait,
					Detail: "too many tries to sign in to this account; wait a little",
				}
			}
		}
		if a, found, err = s.byEmail(ctx, email); err != nil {
			return nil, err
		}
	}
	right, weak, err := s.mill.check(ctx, a.Password, in.Body.Password)
	switch {
	case err != nil:
		return nil, err
	case !found || !right || a.Disabled:
		if found {
			s.log.Info("sign-in refused", "account", a.ID, "disabled", a.Disabled)
		}
		return nil, errSignIn
	}
	if weak {
		s.rehash(ctx, a, in.Body.Password)
	}
	return s.open(ctx, a)
}

// rehash keeps a password better than it was kept. That it fails is no reason not to sign in.
func (s *Service) rehash(ctx context.Context, a identity.Account, password string) {
	phc, err := s.mill.hash(ctx, password)
	if err == nil {
		_, err = s.accounts.Apply(ctx, a.ID, durable.Event{
			Type: identity.EventRehash, Hash: a.ID, Value: identity.Password{Old: a.Password, New: phc},
		})
	}
	if err != nil {
		s.log.Warn("a password's hash stays weak", "account", a.ID, "err", err)
	}
}

// open begins a session.
func (s *Service) open(ctx context.Context, a identity.Account) (*tokensOutput, error) {
	text, hash, err := s.secret()
	if err != nil {
		return nil, err
	}
	id := s.opt.NewID()
	_, _, err = s.sessions.Create(ctx, id, "", durable.Event{Type: identity.EventOpen, Hash: id, Value: identity.Open{
		ID: id, Account: a.ID, Epoch: a.Epoch, Hash: hash,
	}})
	if err != nil {
		return nil, err
	}
	return s.tokens(a, id, text)
}

func (s *Service) tokens(a identity.Account, session, secret string) (*tokensOutput, error) {
	access, err := s.opt.Signer.Sign(a.Caller(), a.Epoch)
	if err != nil {
		return nil, err
	}
	return &tokensOutput{"no-store", Tokens{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int(s.opt.Signer.Life() / time.Second),
		RefreshToken: refreshPrefix + session + "_" + secret,
	}}, nil
}

func (s *Service) refresh(ctx context.Context, in *refreshInput) (*tokensOutput, error) {
	id, shown, ok := parseRefresh(in.Body.RefreshToken)
	if !ok {
		return nil, errRefresh
	}
	before, err := s.sessions.View(ctx, id)
	if errors.Is(err, durable.ErrNotFound) {
		return nil, errRefresh
	}
	if err != nil {
		return nil, err
	}
	a, found, err := s.byID(ctx, before.State.Account)
	if err != nil {
		return nil, err
	}
	epoch := a.Epoch
	if !found || a.Disabled {
		epoch = -1 // no session has it
	}
	text, next, err := s.secret()
	if err != nil {
		return nil, err
	}
	after, err := s.sessions.Apply(ctx, id, durable.Event{Type: identity.EventRefresh, Hash: next, Value: identity.Refresh{
		Shown: shown, Next: next, Epoch: epoch,
	}})
	if err != nil {
		return nil, err
	}
	if !after.State.Holds(next) {
		if after.State.Revoked == identity.RevokedReuse && before.State.Revoked == "" {
			s.log.Warn("a refresh token was shown again; the session is revoked", "session", id, "account", a.ID)
		}
		return nil, errRefresh
	}
	return s.tokens(a, id, text)
}

func (s *Service) signOut(ctx context.Context, in *refreshInput) (*struct{}, error) {
	id, shown, ok := parseRefresh(in.Body.RefreshToken)
	if !ok {
		return nil, nil // nothing to end (RFC 7009, section 2.2)
	}
	before, err := s.sessions.View(ctx, id)
	if err == nil {
		why := identity.RevokedSignOut
		if !before.State.Holds(shown) {
			why = identity.RevokedReuse
		}
		_, err = s.sessions.Apply(ctx, id, durable.Event{Type: identity.EventRevoke, Hash: id, Value: identity.Revoke{Why: why}})
	}
	if err != nil && !errors.Is(err, durable.ErrNotFound) {
		return nil, err
	}
	return nil, nil
}

// refreshPrefix begins every refresh token, so that scanners for leaked secrets can be told what to look for.
const refreshPrefix = "tfr_"

const (
	sessionIDSize = 36 // a UUID
	secretBits    = 256
	secretSize    = (secretBits + 5) / 6 // base64url
)

// secret draws the secret of a refresh token, and the digest that is kept of it.
func (s *Service) secret() (text, hash string, err error) {
	var b [secretBits / 8]byte
	if _, err := io.ReadFull(s.opt.Random, b[:]); err != nil {
		return "", "", fmt.Errorf("secret of a refresh token: %w", err)
	}
	text = base64.RawURLEncoding.EncodeToString(b[:])
	return text, digest(text), nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// parseRefresh takes a refresh token apart into its session and the digest of its secret.
func parseRefresh(text string) (session, hash string, ok bool) {
	rest, ok := strings.CutPrefix(text, refreshPrefix)
	if !ok || len(rest) != sessionIDSize+1+secretSize || rest[sessionIDSize] != '_' {
		return "", "", false
	}
	session = rest[:sessionIDSize]
	for _, c := range []byte(session) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || c == '-') {
			return "", "", false
		}
	}
	return session, digest(rest[sessionIDSize+1:]), true
}
