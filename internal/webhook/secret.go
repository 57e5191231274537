// Package webhook signs what passes between Tiffin and the outside companies, and believes nothing that is not signed:
// Standard Webhooks 1.0 (https://www.standardwebhooks.com), HMAC-SHA256 over "id.timestamp.body" in three headers.
//
// What it promises:
//
//   - A signature is over the bytes as they came. Nothing is decoded before it is verified.
//   - A request is believed for [Tolerance] around its timestamp, both ways. Within that time it can come again: who
//     takes it recognises it by what it says, and does it once.
//   - Secrets are compared in constant time, and shown by no method, error or log line.
//   - While a secret is exchanged two are valid, and what goes out is signed with both.
package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"strings"
	"sync"
)

// secretPrefix begins every secret.
const secretPrefix = "whsec_"

// How many bytes a secret may have.
const (
	minSecret = 24
	maxSecret = 64
)

// Secret is a key that two sides have in common. The zero value is none, signs nothing and verifies nothing. It is
// safe for concurrent use, and may be copied.
type Secret struct{ key *key }

// key holds the secret's bytes, and states of HMAC that have hashed them already.
type key struct {
	bytes  []byte
	states sync.Pool
}

// state is a keyed hash with room for its sum.
type state struct {
	hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// errSecret never says what was given.
var errSecret = errors.New("not a secret; expected whsec_ and the base64 of 24 to 64 random bytes")

// ParseSecret reads "whsec_" and the base64, with or without padding, of 24 to 64 bytes.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return Secret{}, errSecret
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(b) < minSecret || len(b) > maxSecret {
		return Secret{}, errSecret
	}
	return NewSecret(b)
}

// NewSecret is the secret of 24 to 64 bytes.
func NewSecret(b []byte) (Secret, error) {
	if len(b) < minSecret || len(b) > maxSecret {
		return Secret{}, errSecret
	}
	k := &key{bytes: bytes.Clone(b)}
	k.states.New = func() any { return &state{Hash: hmac.New(sha256.New, k.bytes), text: make([]byte, 0, 128)} }
	return Secret{k}, nil
}

// published is the secret of the standard's own examples, which everybody knows.
const published = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// ParseSecrets reads the secrets of a setting: one, or two and more with commas between them while they are exchanged,
// the newest first. Beyond ParseSecret it refuses what nobody has drawn: few different bytes, a repetition, the
// published example.
func ParseSecrets(list string) ([]Secret, error) {
	var all []Secret
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		s, err := ParseSecret(text)
		if err != nil {
			return nil, err
		}
		if text == published || !s.drawn() {
			return nil, fmt.Errorf("nobody has drawn this secret, it can be guessed: %w", errSecret)
		}
		all = append(all, s)
	}
	return all, nil
}

// drawn says whether the bytes can have been drawn: of 24 random ones fewer than 8 are different in less than one of
// 10^20 cases.
func (s Secret) drawn() bool {
	b := s.key.bytes
	seen := map[byte]bool{}
	for _, c := range b {
		seen[c] = true
	}
	for period := 1; period <= len(b)/2; period++ {
		if bytes.Equal(b[period:], b[:len(b)-period]) {
			return false
		}
	}
	return len(seen) >= 8
}

// hidden stands for a secret wherever one is shown.
const hidden = secretPrefix + "…"

// String is not the secret.
func (Secret) String() string { return hidden }

// GoString is not the secret.
func (Secret) GoString() string { return hidden }

// LogValue is not the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText is not the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// get is a state whose sum is the HMAC of "id.timestamp.body". It goes back with put.
func (k *key) get(id, timestamp string, body []byte) *state {
	st := k.states.Get().(*state)
	st.Reset()
	st.text = append(append(append(append(st.text[:0], id...), '.'), timestamp...), '.')
	_, _ = st.Write(st.text) // a hash takes everything
	_, _ = st.Write(body)
	st.Sum(st.sum[:0])
	return st
}

func (k *key) put(st *state) { k.states.Put(st) }
