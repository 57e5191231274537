package token

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// VerifierOptions are a verifier's settings; Issuer, Source and Now have no default.
type VerifierOptions struct {
	Issuer   string
	Audience string // [DefaultAudience]
	// Source gives the published keys. It is asked for the first token, once a minute, and when a token names a key
	// that is not known, but then at most every 5 s. When it fails, what is known is used on.
	Source func(context.Context) (JWKS, error)
	Now    func() time.Time
	Log    *slog.Logger
}

// From asks the service that has the keys for them: GET /.well-known/jwks.json.
func From(client *httpapi.Client, service string) func(context.Context) (JWKS, error) {
	return func(ctx context.Context) (set JWKS, err error) {
		r, err := client.Get(ctx, service, "/.well-known/jwks.json")
		if err != nil {
			return JWKS{}, err
		}
		if err := json.Unmarshal(r.Body, &set); err != nil {
			return JWKS{}, fmt.Errorf("%s: the keys of access tokens cannot be read", service)
		}
		return set, nil
	}
}

// How often the source is asked, by the clock; and how long it may take, real time.
const (
	refreshEvery  = time.Minute
	unknownEvery  = 5 * time.Second
	nothingEvery  = 500 * time.Millisecond // while none is known
	sourceTimeout = 2 * time.Second
)

// Verifier tells who shows a token. Safe for concurrent use.
type Verifier struct {
	opt    VerifierOptions
	parser *jwt.Parser

	mu    sync.Mutex
	keys  map[string]ed25519.PublicKey
	asked time.Time // the source, in vain or not

	asking sync.Mutex // one asks at a time; taken before mu
}

// NewVerifier makes a verifier that knows no keys yet.
func NewVerifier(opt VerifierOptions) *Verifier {
	if opt.Audience == "" {
		opt.Audience = DefaultAudience
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Verifier{opt: opt, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(opt.Issuer), jwt.WithAudience(opt.Audience),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(opt.Now), jwt.WithStrictDecoding(),
	)}
}

// Authenticate is auth.Authenticator by the header Authorization alone.
func (v *Verifier) Authenticate(r *http.Request) (auth.Caller, error) {
	shown := r.Header.Values("Authorization")
	if len(shown) == 0 {
		return auth.Caller{}, nil
	}
	scheme, text, _ := strings.Cut(shown[0], " ")
	if len(shown) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return auth.Caller{}, auth.ErrCredential
	}
	return v.Verify(r.Context(), text)
}

// Verify tells whose the token is. The error is auth.ErrCredential where it is not good, and wraps
// httpapi.ErrUnavailable where no key has ever been heard of.
func (v *Verifier) Verify(ctx context.Context, text string) (auth.Caller, error) {
	kid, ok := named(text)
	if !ok {
		return auth.Caller{}, auth.ErrCredential
	}
	key, err := v.key(ctx, kid)
	if err != nil {
		return auth.Caller{}, err
	}
	var c claims
	t, err := v.parser.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil || !t.Valid {
		return auth.Caller{}, auth.ErrCredential
	}
	caller, err := c.caller()
	if err != nil {
		return auth.Caller{}, auth.ErrCredential
	}
	return caller, nil
}

// named is the key that a token says it is signed with, if the token could be one of ours. It looks at the form alone
// and believes nothing.
func named(text string) (kid string, ok bool) {
	if len(text) > MaxSize {
		return "", false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return "", false
	}
	var header, body []byte
	for i, into := range []*[]byte{&header, &body} {
		b, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil {
			return "", false
		}
		*into = b
	}
	has, err := names(header)
	if err != nil || len(has) != 3 || !slices.Contains(has, "alg") || !slices.Contains(has, "typ") || !slices.Contains(has, "kid") {
		return "", false
	}
	if _, err := names(body); err != nil {
		return "", false
	}
	var h struct{ Alg, Typ, Kid string }
	if json.Unmarshal(header, &h) != nil || h.Alg != algorithm || h.Typ != kind {
		return "", false
	}
	return h.Kid, h.Kid != ""
}

// key finds a key by its name, and asks for them where that is due.
func (v *Verifier) key(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	key, some, due := v.known(kid)
	if due {
		// Who has a key does not wait for who asks already; who has none does.
		switch {
		case key == nil:
			v.asking.Lock()
			defer v.asking.Unlock()
		case v.asking.TryLock():
			defer v.asking.Unlock()
		default:
			return key, nil
		}
		if key, some, due = v.known(kid); due {
			v.ask(ctx)
			key, some, _ = v.known(kid)
		}
	}
	switch {
	case key != nil:
		return key, nil
	case some:
		return nil, auth.ErrCredential
	}
	return nil, fmt.Errorf("the keys of access tokens are not known: %w", httpapi.ErrUnavailable)
}

// known looks a key up and says whether any is known and whether the source is to be asked.
func (v *Verifier) known(kid string) (key ed25519.PublicKey, some, due bool) {
	now := v.opt.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	key, some = v.keys[kid], v.keys != nil
	since := now.Sub(v.asked)
	switch {
	case v.asked.IsZero(), since >= refreshEvery:
		due = true
	case some:
		due = key == nil && since >= unknownEvery
	default:
		due = since >= nothingEvery
	}
	return key, some, due
}

// ask asks the source. One request asks for all, so that it does so to the end though its own client may be gone.
// v.asking is held.
func (v *Verifier) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sourceTimeout)
	defer cancel()
	set, err := v.opt.Source(ctx)
	keys := make(map[string]ed25519.PublicKey, len(set.Keys))
	for _, k := range set.Keys {
		if public, err := k.key(); err == nil {
			keys[k.Kid] = public
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked = v.opt.Now()
	switch {
	case err != nil:
		v.opt.Log.Warn("keys of access tokens: nobody tells them; what is known is used", "known", len(v.keys), "err", err)
	case len(keys) == 0:
		v.opt.Log.Warn("keys of access tokens: none was told; what is known is used", "known", len(v.keys))
	default:
		v.keys = keys
	}
}
