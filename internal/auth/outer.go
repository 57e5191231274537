package auth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Tokens verifies access tokens; *token.Verifier of the identity service does. The error wraps ErrCredential where the
// token is not valid; any other says that nobody can say now.
type Tokens interface {
	Verify(ctx context.Context, text string) (Caller, error)
}

// Outer authenticates what comes from outside, at the gateway: a signed-in person by
//
//	Authorization: Bearer ACCESS-TOKEN
//
// and a program by its key, in the same header or in X-API-Key. One request shows one credential: two, of one kind or
// of both, are refused, because two readers might believe different ones. A key of a service or of the gateway is
// refused too: it is for the inside, where its owner may name whom he speaks for.
//
// What a request says of its caller in Header is not looked at.
type Outer struct {
	Tokens Tokens // nil: no token is valid
	Keys   Keys   // nil: no key is valid
	Now    func() time.Time
}

// Authenticate is Authenticator.
func (a Outer) Authenticate(r *http.Request) (Caller, error) {
	bearer, keys := r.Header.Values("Authorization"), r.Header.Values(KeyHeader)
	switch len(bearer) + len(keys) {
	case 0:
		return Caller{}, nil
	case 1:
	default:
		return Caller{}, ErrCredential
	}
	if len(keys) == 1 {
		return a.key(keys[0])
	}
	scheme, text, _ := strings.Cut(bearer[0], " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return Caller{}, ErrCredential
	case strings.HasPrefix(text, keyPrefix+"_"):
		return a.key(text)
	case a.Tokens == nil:
		return Caller{}, ErrCredential
	}
	return a.Tokens.Verify(r.Context(), text)
}

func (a Outer) key(text string) (Caller, error) {
	if a.Keys == nil {
		return Caller{}, ErrCredential
	}
	k, err := Match(a.Keys, text, a.Now())
	if err != nil {
		return Caller{}, err
	}
	if slices.ContainsFunc(k.Scopes, Scope.inner) {
		return Caller{}, ErrCredential
	}
	return k.Caller(), nil
}

// inner says whether the scope is for the inside only.
func (s Scope) inner() bool { return s == "gateway" || strings.HasPrefix(string(s), "service:") }
