package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// KeyHeader carries an API key.
const KeyHeader = "X-API-Key"

// keyPrefix begins every key, so that scanners for leaked secrets can be told what to look for.
const keyPrefix = "tfn"

// Key is an API key as it is kept: without its secret, of which there is a digest only. A secret has 256 random bits,
// so that a plain SHA-256 is as good as a slow one.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Digest  string    `json:"digest"` // hex of SHA-256 of the secret
	Scopes  []Scope   `json:"scopes"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked bool      `json:"revoked,omitempty"`
}

// Scope is what a key may do:
//
//	operator          whatever an operator may
//	operator:read     what an operator may read
//	service:NAME      be the service NAME to the others
//	gateway           speak for those whom the gateway has found out
//	partner:COMPANY   bring the news of card, transport or restaurant
type Scope string

// Check says what is wrong with a scope.
func (s Scope) Check() error {
	kind, of, narrowed := strings.Cut(string(s), ":")
	switch {
	case s == "operator", s == "operator:read", s == "gateway":
		return nil
	case kind == "service" && narrowed && of != "":
		return nil
	case kind == "partner" && slices.Contains([]string{"card", "transport", "restaurant"}, of):
		return nil
	}
	return fmt.Errorf("scope %.40q: not valid; expected operator, operator:read, gateway, service:NAME, or partner:card, partner:transport, partner:restaurant", string(s))
}

// Caller is who shows the key.
func (k Key) Caller() Caller {
	c := Caller{Subject: "key:" + k.ID}
	readOnly, full := false, false
	for _, s := range k.Scopes {
		kind, of, _ := strings.Cut(string(s), ":")
		switch {
		case s == "operator":
			c.Roles, full = append(c.Roles, Operator), true
		case s == "operator:read":
			c.Roles, readOnly = append(c.Roles, Operator), true
		case s == "gateway":
			c.Roles, full = append(c.Roles, Service), true
		case kind == "service":
			c.Subject, full = "service:"+of, true
			c.Roles = append(c.Roles, Service)
		case kind == "partner":
			c.Roles, c.Company, full = append(c.Roles, Partner), of, true
		}
	}
	c.ReadOnly = readOnly && !full
	return c
}

// May says whether the key has the scope.
func (k Key) May(s Scope) bool { return slices.Contains(k.Scopes, s) }

// NewKey makes a key, and the text of it that its owner is shown once.
func NewKey(random io.Reader, name string, scopes []Scope, expires time.Time) (Key, string, error) {
	var b [40]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Key{}, "", fmt.Errorf("key: %w", err)
	}
	k := Key{ID: hex.EncodeToString(b[:8]), Name: name, Scopes: scopes, Expires: expires}
	secret := base64.RawURLEncoding.EncodeToString(b[8:])
	k.Digest = digest(secret)
	return k, keyPrefix + "_" + k.ID + "_" + secret, nil
}

// ParseKey takes a key's text apart into its id and the digest of its secret.
func ParseKey(text string) (id, dig string, err error) {
	prefix, rest, _ := strings.Cut(text, "_")
	id, secret, ok := strings.Cut(rest, "_")
	if prefix != keyPrefix || !ok || len(id) != 16 || len(secret) < 32 || len(secret) > 100 {
		return "", "", errors.New("not a key; expected tfn_ID_SECRET as `tiffin key create` prints it")
	}
	return id, digest(secret), nil
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Keys finds keys by their id. It is asked for every request and answers from memory; what is revoked it knows within
// a second. The error means that nobody can say now.
type Keys interface {
	Find(id string) (Key, bool, error)
}

// KeySet is a fixed set of keys.
type KeySet map[string]Key

// Find is Keys.
func (s KeySet) Find(id string) (Key, bool, error) {
	k, ok := s[id]
	return k, ok, nil
}

// Match finds the key of a text. The error wraps ErrCredential where there is none such, or it is over.
func Match(keys Keys, text string, now time.Time) (Key, error) {
	id, dig, err := ParseKey(text)
	if err != nil {
		return Key{}, ErrCredential
	}
	k, ok, err := keys.Find(id)
	if err != nil {
		return Key{}, err
	}
	// An unknown id takes as long as a wrong secret.
	same := subtle.ConstantTimeCompare([]byte(dig), []byte(k.Digest)) == 1
	if !ok || !same || k.Revoked || !k.Expires.IsZero() && !now.Before(k.Expires) {
		return Key{}, ErrCredential
	}
	return k, nil
}

// Inner authenticates what reaches a service: other services and the gateway, by their keys. A caller whom the
// gateway names is believed, whoever else claims to be somebody is not looked at.
type Inner struct {
	Keys Keys // nil: none
	// Shared is one key for all, as in the original system: whoever shows it is a service, and the gateway. Empty:
	// there is none.
	Shared string
	Now    func() time.Time
}

// Authenticate is Authenticator.
func (a Inner) Authenticate(r *http.Request) (Caller, error) {
	text := r.Header.Get(KeyHeader)
	if text == "" {
		return Caller{}, nil
	}
	caller, speaks := InService("shared"), true
	if a.Shared == "" || !Same(text, a.Shared) {
		if a.Keys == nil {
			return Caller{}, ErrCredential
		}
		k, err := Match(a.Keys, text, a.Now())
		if err != nil {
			return Caller{}, err
		}
		caller, speaks = k.Caller(), k.May("gateway")
	}
	if claim := r.Header.Get(Header); claim != "" && speaks {
		return Decode(claim)
	}
	return caller, nil
}

// Same compares secrets in constant time, whatever their lengths.
func Same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
