package api

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// cost are the parameters of argon2id.
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// owasp is what OWASP's password storage cheat sheet recommends for argon2id.
var owasp = cost{memory: 19456, passes: 2, threads: 1}

// today is what a new hash costs. Only tests, which make many, change it.
var today = owasp

const (
	saltSize = 16
	hashSize = 32
)

// Bounds of what is computed, whatever a hash in the store asks for.
const (
	maxMemory  = 1 << 18 // KiB
	maxPasses  = 16
	maxThreads = 8
	maxPHC     = 512 // bytes of the string
)

// hashed is a password as it is kept.
type hashed struct {
	cost
	salt, sum []byte
}

// HashPassword makes what is kept of a password: a PHC string of argon2id. The error is the random source's.
func HashPassword(random io.Reader, password string) (string, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("salt of a password: %w", err)
	}
	return hashed{today, salt, today.sum(password, salt, hashSize)}.String(), nil
}

func (c cost) sum(password string, salt []byte, size int) []byte {
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, uint32(size))
}

// String is the PHC string.
func (h hashed) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

var errPHC = errors.New("not a PHC string of argon2id")

// parsePHC reads a PHC string of argon2id. No error repeats it.
func parsePHC(s string) (h hashed, err error) {
	if len(s) > maxPHC {
		return h, errPHC
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, errPHC
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return h, errPHC
	}
	var n [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(params[i], name)
		if !ok || strings.HasPrefix(digits, "0") || strings.HasPrefix(digits, "+") {
			return h, errPHC
		}
		if n[i], err = strconv.ParseUint(digits, 10, 32); err != nil {
			return h, errPHC
		}
	}
	if n[0] < 8*n[2] || n[0] > maxMemory || n[1] < 1 || n[1] > maxPasses || n[2] < 1 || n[2] > maxThreads {
		return h, errPHC
	}
	h.cost = cost{uint32(n[0]), uint32(n[1]), uint8(n[2])}
	b64 := base64.RawStdEncoding.Strict()
	if h.salt, err = b64.DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return hashed{}, errPHC
	}
	if h.sum, err = b64.DecodeString(parts[5]); err != nil || len(h.sum) < 16 || len(h.sum) > 64 {
		return hashed{}, errPHC
	}
	return h, nil
}

// weaker says whether a hash is less than what a new one would be.
func (h hashed) weaker() bool {
	return h.memory < today.memory || h.passes < today.passes || len(h.salt) < saltSize || len(h.sum) < hashSize
}

// nobodys is what is compared with where there is no password to compare with: it costs the same, and no password has
// it.
func nobodys() hashed { return hashed{today, make([]byte, saltSize), make([]byte, hashSize)} }

// hashWait is how long a hash waits for its turn, real time.
const hashWait = 2 * time.Second

// mill computes hashes, a few at once: each takes 19 MiB and some 20 ms of a core, and whoever can send passwords could
// otherwise take the whole machine.
type mill struct {
	random io.Reader
	turns  chan struct{}
	ground atomic.Int64 // hashes so far
}

func newMill(random io.Reader, atOnce int) *mill {
	return &mill{random: random, turns: make(chan struct{}, atOnce)}
}

// enter waits for a turn until the context ends, or hashWait has passed; then the error wraps httpapi.ErrUnavailable.
func (m *mill) enter(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case m.turns <- struct{}{}:
		m.ground.Add(1)
		return func() { <-m.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("too many passwords to check: %w", httpapi.ErrUnavailable)
	}
}

// hash is HashPassword in its turn.
func (m *mill) hash(ctx context.Context, password string) (string, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return HashPassword(m.random, password)
}

// check says whether the password is the one that phc was made of, and whether phc should be made anew. An empty or
// unreadable phc costs the same and is nobody's.
func (m *mill) check(ctx context.Context, phc, password string) (right, weak bool, err error) {
	h, bad := parsePHC(phc)
	if bad != nil {
		h = nobodys()
	}
	leave, err := m.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	same := subtle.ConstantTimeCompare(h.sum, h.cost.sum(password, h.salt, len(h.sum))) == 1
	return same && bad == nil, h.weaker(), nil
}

//go:embed passwords.txt
var common string

// usual are the passwords that are tried first, in lower case.
var usual = func() map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(common) {
		m[strings.TrimSpace(line)] = true
	}
	return m
}()

// guessable says why a password would be guessed, empty where it is not known to be. The rest is its length, which the
// schema says.
func guessable(email, password string) string {
	p := strings.ToLower(strings.TrimSpace(password))
	local, domain, _ := strings.Cut(email, "@")
	switch {
	case usual[p]:
		return "it is among the most common ones"
	case p == email, p == local, p == domain, p == local+domain:
		return "it is part of the e-mail address"
	}
	return ""
}
