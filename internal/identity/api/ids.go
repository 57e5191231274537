package api

import (
	"crypto/sha256"
	"encoding/hex"
)

// loginID is the id of an e-mail address's login. It is a digest, so that ids in logs name nobody.
func loginID(email string) string { return derived("login", email) }

// subjectOf is an account of another company: the issuer and who it is there.
func subjectOf(issuer, subject string) string { return issuer + "|" + subject }

// subjectID is the id of the account of a subjectOf.
func subjectID(subject string) string { return derived("subject", subject) }

// derived is a UUID of version 8 (RFC 9562, section 5.8): the first bits of a SHA-256.
func derived(kind, name string) string {
	b := sha256.Sum256([]byte("tiffin\x00" + kind + "\x00" + name))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
