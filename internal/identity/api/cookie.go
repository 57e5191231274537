package api

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// errand is what a browser that was sent to a provider brings back, in a cookie that nobody else can read or make.
type errand struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // of PKCE
	Until    time.Time `json:"u"`
}

// errandLife is how long the browser may be away, by the clock.
const errandLife = 10 * time.Minute

// maxCookie is how many bytes a cookie of ours may have.
const maxCookie = 1 << 10

// seal encrypts cookies with AES-256-GCM.
type seal struct {
	aead   cipher.AEAD
	random io.Reader
}

func newSeal(key []byte, random io.Reader) (seal, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "tiffin identity: cookie of signing in elsewhere", 32)
	if err != nil {
		return seal{}, fmt.Errorf("cookie key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return seal{}, fmt.Errorf("cookie key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return seal{}, fmt.Errorf("cookie key: %w", err)
	}
	return seal{aead, random}, nil
}

// close encrypts an errand to a provider.
func (s seal) close(provider string, e errand) (string, error) {
	plain, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("cookie: %w", err)
	}
	nonce := make([]byte, s.aead.NonceSize(), maxCookie)
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return "", fmt.Errorf("cookie: %w", err)
	}
	sealed := s.aead.Seal(nonce, nonce, plain, []byte(provider)) //nolint:gosec // the nonce was drawn just above
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

var errCookie = errors.New("not a cookie of ours, or too old")

// open decrypts an errand to a provider, if it is one and not over.
func (s seal) open(provider, text string, now time.Time) (errand, error) {
	if len(text) > maxCookie {
		return errand{}, errCookie
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < s.aead.NonceSize() {
		return errand{}, errCookie
	}
	n := s.aead.NonceSize()
	plain, err := s.aead.Open(nil, b[:n], b[n:], []byte(provider))
	if err != nil {
		return errand{}, errCookie
	}
	var e errand
	if err := json.Unmarshal(plain, &e); err != nil || !now.Before(e.Until) {
		return errand{}, errCookie
	}
	return e, nil
}
