// Package token makes and verifies access tokens: JWTs by RFC 9068, signed with Ed25519 and nothing else.
//
// A [Signer] holds the private keys, in the identity service. A [Verifier] holds the public ones, wherever requests
// come in: the gateway. What they promise:
//
//   - A token is good for one issuer and one audience, for minutes, and says who its owner is and may do; nobody has to
//     be asked. What an account loses it loses when its last access token is over.
//   - The algorithm is fixed here and never read from a token. A header may say what kind of token it is and which key
//     signed it; one that says anything more, such as where to find another key, is refused.
//   - A key is named by its thumbprint (RFC 7638). New ones are learned when a token names them, and old tokens stay
//     good as long as their key is published.
//   - Every refusal is auth.ErrCredential, without a reason: the reason helps only who forges. No error repeats a token.
//   - Time is the caller's, in both.
package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tiffin-food/tiffin/internal/auth"
)

const (
	kind      = "at+jwt" // the header's typ (RFC 9068)
	algorithm = "EdDSA"
	curve     = "Ed25519"

	// MaxSize is how many bytes a token may have; a longer one is refused unread.
	MaxSize = 4 << 10
	// Leeway is how far two machines' clocks may be apart.
	Leeway = 30 * time.Second
	// DefaultLife is how long a token is good.
	DefaultLife = 10 * time.Minute
	// DefaultAudience is whom the tokens are for.
	DefaultAudience = "tiffin"
)

// claims are what a token says.
type claims struct {
	jwt.RegisteredClaims
	Roles       []auth.Role `json:"roles"`
	Customer    string      `json:"customer,omitempty"`
	Restaurants []string    `json:"restaurants,omitempty"`
	Courier     string      `json:"courier,omitempty"`
	Epoch       int         `json:"epoch"`
}

// JWKS are public keys as they are published (RFC 7517).
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// JWK is a public key of Ed25519 (RFC 8037).
type JWK struct {
	Kty string `json:"kty" enum:"OKP"`
	Crv string `json:"crv" enum:"Ed25519"`
	X   string `json:"x" doc:"The public key, base64url"`
	Kid string `json:"kid" doc:"Its thumbprint"`
	Alg string `json:"alg" enum:"EdDSA"`
	Use string `json:"use" enum:"sig"`
}

// public is a key as it is published.
func public(k ed25519.PublicKey) JWK {
	x := base64.RawURLEncoding.EncodeToString(k)
	return JWK{Kty: "OKP", Crv: curve, X: x, Kid: thumbprint(x), Alg: algorithm, Use: "sig"}
}

// thumbprint is RFC 7638 over the members that RFC 8037 requires, in the order of their names.
func thumbprint(x string) string {
	sum := sha256.Sum256([]byte(`{"crv":"` + curve + `","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// key is the published key, if it is one of ours: another kind is not ours to use, a wrong name a mistake.
func (k JWK) key() (ed25519.PublicKey, error) {
	if k.Kty != "OKP" || k.Crv != curve || k.Alg != "" && k.Alg != algorithm || k.Use != "" && k.Use != "sig" {
		return nil, errors.New("not an Ed25519 key for signatures")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, errors.New("x is not an Ed25519 key")
	}
	if k.Kid != thumbprint(k.X) {
		return nil, errors.New("the kid is not the key's thumbprint")
	}
	return b, nil
}

// caller is whom the claims name.
func (c *claims) caller() (auth.Caller, error) {
	id, ok := accountOf(c.Subject)
	if !ok {
		return auth.Caller{}, fmt.Errorf("the subject is no account")
	}
	for _, r := range c.Roles {
		if !slices.Contains(auth.People, r) {
			return auth.Caller{}, errors.New("a role that no account has")
		}
	}
	return auth.Caller{
		Subject: subjectPrefix + id, Roles: c.Roles, Customer: c.Customer, Restaurants: c.Restaurants, Courier: c.Courier,
	}, nil
}

const subjectPrefix = "account:"

func accountOf(subject string) (string, bool) {
	if len(subject) <= len(subjectPrefix) || subject[:len(subjectPrefix)] != subjectPrefix {
		return "", false
	}
	return subject[len(subjectPrefix):], true
}
