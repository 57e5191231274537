package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of the standard, as net/http writes them.
const (
	IDHeader        = "Webhook-Id"
	TimestampHeader = "Webhook-Timestamp"
	SignatureHeader = "Webhook-Signature"
)

// Tolerance is how far a timestamp may be from our time, either way.
const Tolerance = 5 * time.Minute

// version begins a signature: HMAC-SHA256.
const version = "v1,"

// Bounds on what is looked at. A sender signs with as many secrets as it has, and that is two.
const (
	maxID         = 256
	maxSignatures = 8
)

// Errors of Verify. They are for logs and tests: whoever showed the signature is told nothing of this.
var (
	ErrHeaders   = errors.New("the webhook headers are missing, repeated or malformed")
	ErrTimestamp = errors.New("the webhook's timestamp is too far from now")
	ErrSignature = errors.New("no webhook signature is right")
)

// Sign is one signature of a request: "v1," and the base64 of its HMAC. The id has 1 to 256 visible ASCII characters
// and no full stop, which is what parts it from the rest.
func Sign(s Secret, id string, at time.Time, body []byte) string {
	return sign(s, id, strconv.FormatInt(at.Unix(), 10), body)
}

func sign(s Secret, id, timestamp string, body []byte) string {
	st := s.key.get(id, timestamp, body)
	defer s.key.put(st)
	var text [len(version) + (sha256.Size+2)/3*4]byte
	copy(text[:], version)
	base64.StdEncoding.Encode(text[len(version):], st.sum[:])
	return string(text[:])
}

// Headers are the headers of a request that is signed with every one of the secrets, so that the other side may be the
// first or the last to exchange its own.
func Headers(secrets []Secret, id string, at time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		signatures[i] = sign(s, id, timestamp, body)
	}
	return http.Header{
		IDHeader: {id}, TimestampHeader: {timestamp}, SignatureHeader: {strings.Join(signatures, " ")},
	}
}

// Verify says whether a request is signed with one of the secrets and no older and no newer than Tolerance: nil,
// ErrHeaders, ErrTimestamp or ErrSignature. Signatures of versions that it does not know do not count.
func Verify(secrets []Secret, header http.Header, body []byte, now time.Time) error {
	return verify(secrets, header, body, now, Tolerance)
}

func verify(secrets []Secret, header http.Header, body []byte, now time.Time, tolerance time.Duration) error {
	id, ok := only(header, IDHeader)
	timestamp, timed := only(header, TimestampHeader)
	list, signed := only(header, SignatureHeader)
	if !ok || !timed || !signed || !plain(id) {
		return ErrHeaders
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 || strconv.FormatInt(seconds, 10) != timestamp {
		return ErrHeaders
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return ErrTimestamp
	}
	var given [maxSignatures][sha256.Size]byte
	n := 0
	for text := range strings.SplitSeq(list, " ") {
		encoded, known := strings.CutPrefix(text, version)
		if !known || len(encoded) != base64.StdEncoding.EncodedLen(sha256.Size) || n == maxSignatures {
			continue
		}
		var sum [sha256.Size + 1]byte
		if l, err := base64.StdEncoding.Strict().Decode(sum[:], []byte(encoded)); err == nil && l == sha256.Size {
			copy(given[n][:], sum[:])
			n++
		}
	}
	if n == 0 {
		return ErrSignature
	}
	right := false
	for _, s := range secrets {
		if s.key == nil {
			continue
		}
		st := s.key.get(id, timestamp, body)
		for _, g := range given[:n] {
			right = hmac.Equal(st.sum[:], g[:]) || right // every one is compared
		}
		s.key.put(st)
	}
	if !right {
		return ErrSignature
	}
	return nil
}

// only is the one value of a header.
func only(h http.Header, name string) (string, bool) {
	if v := h[name]; len(v) == 1 {
		return v[0], true
	}
	return "", false
}

// plain says whether an id can be one: with a full stop in it, "id.timestamp.body" could be read in two ways.
func plain(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' || id[i] == '.' {
			return false
		}
	}
	return true
}
