package token

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// SignerOptions are a signer's settings; Issuer, Now and NewID have no default, nor has one of Dir and Keys.
type SignerOptions struct {
	Issuer   string
	Audience string        // [DefaultAudience]
	Life     time.Duration // of a token; [DefaultLife]

	// Dir is a folder of *.pem, each an Ed25519 private key in PKCS#8. The last by name signs, all are published. It is
	// looked at again when a second has passed: a key put there, or taken away, needs no restart. Files that others
	// than their owner and its group can read are refused. All instances of the service are given the same keys: a
	// verifier asks any of them. A key that goes while tokens of it are good ends them within a minute.
	Dir string
	// Make has a key made where the folder has none, drawn from Random; the folder too.
	Make   bool
	Random io.Reader
	// Keys are used where Dir is empty; the last one signs.
	Keys []ed25519.PrivateKey

	Now   func() time.Time
	NewID func() string // of tokens
	Log   *slog.Logger
}

// Signer makes access tokens. Safe for concurrent use.
type Signer struct {
	opt SignerOptions

	mu     sync.Mutex
	keys   []ed25519.PrivateKey
	jwks   JWKS
	looked time.Time
	stamp  string // of the folder, when it was read
	failed string // why it could not be read the last time
}

// NewSigner makes a signer. The error names the setting or the file that is wrong.
func NewSigner(opt SignerOptions) (*Signer, error) {
	if opt.Audience == "" {
		opt.Audience = DefaultAudience
	}
	if opt.Life == 0 {
		opt.Life = DefaultLife
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Issuer == "" {
		return nil, errors.New("signing keys: the issuer is missing")
	}
	s := &Signer{opt: opt}
	if opt.Dir == "" {
		if len(opt.Keys) == 0 {
			return nil, errors.New("signing keys: neither a folder nor keys are given")
		}
		s.take(opt.Keys)
		return s, nil
	}
	if opt.Make {
		if err := makeKey(opt.Dir, opt.Random); err != nil {
			return nil, err
		}
	}
	keys, stamp, err := readKeys(opt.Dir)
	if err != nil {
		return nil, err
	}
	s.take(keys)
	s.stamp, s.looked = stamp, opt.Now()
	return s, nil
}

func (s *Signer) take(keys []ed25519.PrivateKey) {
	jwks := JWKS{Keys: make([]JWK, len(keys))}
	for i, k := range keys {
		jwks.Keys[i] = public(k.Public().(ed25519.PublicKey))
	}
	s.keys, s.jwks = keys, jwks
}

// folderEvery is how often the folder is looked at, by the clock.
const folderEvery = time.Second

// look reads the folder again where it changed. Where it cannot be read the keys stay as they are: tokens must not
// stop because somebody is copying a file. s.mu is held.
func (s *Signer) look(now time.Time) {
	if s.opt.Dir == "" || now.Sub(s.looked) < folderEvery {
		return
	}
	s.looked = now
	stamp, err := folderStamp(s.opt.Dir)
	if err == nil && stamp == s.stamp {
		s.failed = ""
		return
	}
	var keys []ed25519.PrivateKey
	if err == nil {
		keys, stamp, err = readKeys(s.opt.Dir)
	}
	if err != nil {
		if why := err.Error(); why != s.failed {
			s.failed = why
			s.opt.Log.Error("signing keys: the folder changed and cannot be read; the keys stay as they were", "err", err)
		}
		return
	}
	s.take(keys)
	s.stamp, s.failed = stamp, ""
	s.opt.Log.Info("signing keys: read again", "keys", len(keys), "signs", s.jwks.Keys[len(keys)-1].Kid)
}

// JWKS are the public keys, as they are to be published.
func (s *Signer) JWKS() JWKS {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(s.opt.Now())
	return s.jwks
}

// Life is how long a token is good.
func (s *Signer) Life() time.Duration { return s.opt.Life }

// Issuer is whose tokens they are.
func (s *Signer) Issuer() string { return s.opt.Issuer }

// Sign makes a token for the caller, whose account has the epoch.
func (s *Signer) Sign(c auth.Caller, epoch int) (string, error) {
	now := s.opt.Now()
	s.mu.Lock()
	s.look(now)
	last := len(s.keys) - 1
	key, kid := s.keys[last], s.jwks.Keys[last].Kid
	s.mu.Unlock()
	roles := c.Roles
	if roles == nil {
		roles = []auth.Role{}
	}
	body := &claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.opt.Issuer, Audience: jwt.ClaimStrings{s.opt.Audience}, Subject: c.Subject, ID: s.opt.NewID(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(s.opt.Life)),
		},
		Roles: roles, Customer: c.Customer, Restaurants: c.Restaurants, Courier: c.Courier, Epoch: epoch,
	}
	if _, err := body.caller(); err != nil {
		return "", fmt.Errorf("access token for %s: %w", c.Subject, err)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, body)
	t.Header["typ"], t.Header["kid"] = kind, kid
	text, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("access token for %s: %w", c.Subject, err)
	}
	if len(text) > MaxSize {
		return "", fmt.Errorf("access token for %s: it has more than %d bytes", c.Subject, MaxSize)
	}
	return text, nil
}
