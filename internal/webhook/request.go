package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// maxBody is how many bytes of a signed request are read, where nobody before has bounded them.
const maxBody = 1 << 20

// Verifier verifies requests. It is safe for concurrent use.
type Verifier struct {
	Secrets   []Secret // any of them will do
	Now       func() time.Time
	Tolerance time.Duration // [Tolerance] where it is 0
}

// Check says whether the request is signed: nil, what Verify says, or what reading its body came to. The body can be
// read again afterwards.
func (v Verifier) Check(r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return v.check(r.Header, body)
}

func (v Verifier) check(h http.Header, body []byte) error {
	tolerance := v.Tolerance
	if tolerance == 0 {
		tolerance = Tolerance
	}
	return verify(v.Secrets, h, body, v.Now(), tolerance)
}

// readBody reads a body and puts a reader of the same bytes in its place.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead) // for the read that finds the end
	}
	if _, err := buf.ReadFrom(io.LimitReader(r.Body, maxBody+1)); err != nil {
		return nil, err
	}
	if buf.Len() > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	r.Body = again{bytes.NewReader(buf.Bytes()), r.Body}
	return buf.Bytes(), nil
}

// again is a body that was read.
type again struct {
	io.Reader
	io.Closer
}

// Authenticator finds out by their signatures who of the outside companies makes a request, and leaves whoever shows
// none to Next.
type Authenticator struct {
	Next      auth.Authenticator
	Secrets   map[string][]Secret // by company
	Now       func() time.Time
	Tolerance time.Duration // [Tolerance] where it is 0
	// SignedOnly: a company that shows something else, a key, is not believed.
	SignedOnly bool
}

// Authenticate is auth.Authenticator. A signature that is not right is auth.ErrCredential, whatever else is shown.
func (a Authenticator) Authenticate(r *http.Request) (auth.Caller, error) {
	if _, signed := r.Header[SignatureHeader]; !signed {
		c, err := a.Next.Authenticate(r)
		if err == nil && a.SignedOnly && c.Is(auth.Partner) {
			return auth.Caller{}, fmt.Errorf("%w: an outside company signs its requests here", auth.ErrCredential)
		}
		return c, err
	}
	body, err := readBody(r)
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return auth.Caller{}, large
	}
	if err != nil { // it broke off: whatever is signed, this is not
		return auth.Caller{}, auth.ErrCredential
	}
	// Every company's secrets are tried: how long it takes says nothing.
	who := ""
	for company, secrets := range a.Secrets {
		v := Verifier{Secrets: secrets, Now: a.Now, Tolerance: a.Tolerance}
		if v.check(r.Header, body) == nil {
			who = company
		}
	}
	if who == "" {
		return auth.Caller{}, auth.ErrCredential
	}
	return auth.Caller{Subject: "partner:" + who, Roles: slices.Clone(partner), Company: who}, nil
}

var partner = []auth.Role{auth.Partner}
