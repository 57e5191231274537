package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	problemType = "application/problem+json"
	internal    = "internal error"

	maxDetail = 500 // bytes of a detail, and of a location
	maxFields = 20  // offending fields that are listed
)

// Problem is the body of every answer that is not a success (RFC 9457). As an error of a handler it is answered as
// it is.
type Problem struct {
	Title  string       `json:"title" doc:"What the status means" example:"Unprocessable Entity"`
	Status int          `json:"status" doc:"The HTTP status" example:"422"`
	Detail string       `json:"detail" doc:"What is wrong, for a person" example:"body.items[0].quantity: expected number >= 1"`
	Errors []FieldError `json:"errors,omitempty" doc:"What is wrong, field by field"`

	// RetryAfter is when the client may come back, told in whole seconds; 0: a second where the status is 503, else
	// nothing is said.
	RetryAfter time.Duration `json:"-"`
}

// FieldError says what is wrong with one field. It never repeats the value: it might be a secret.
type FieldError struct {
	Location string `json:"location" doc:"Where" example:"body.items[0].quantity"`
	Message  string `json:"message" doc:"What" example:"expected number >= 1"`
}

// Errorf is a Problem with a status and a detail that the client is meant to read.
func Errorf(status int, format string, args ...any) error {
	return &Problem{Status: status, Detail: fmt.Sprintf(format, args...)}
}

func (p *Problem) Error() string { return strconv.Itoa(p.Status) + ": " + p.Detail }

// GetStatus is for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is for huma.
func (p *Problem) ContentType(string) string { return problemType }

// MarshalJSON fills in the title.
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	q := plain(*p)
	if q.Title == "" {
		if q.Title = http.StatusText(q.Status); q.Title == "" {
			q.Title = "Error"
		}
	}
	return json.Marshal(q)
}

// GetHeaders is for huma: whoever is told to come back is told when, and whoever is nobody how to be somebody.
func (p *Problem) GetHeaders() http.Header {
	switch {
	case p.RetryAfter > 0:
		return http.Header{"Retry-After": {strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10)}}
	case p.Status == http.StatusServiceUnavailable:
		return http.Header{"Retry-After": {strconv.Itoa(retryAfter)}}
	case p.Status == http.StatusUnauthorized:
		return http.Header{"Www-Authenticate": {`Bearer realm="tiffin"`}}
	case p.Status == http.StatusUnsupportedMediaType:
		return http.Header{"Accept-Encoding": {"identity"}} // RFC 9110, 15.5.16
	}
	return nil
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Set("Content-Type", problemType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	w.WriteHeader(p.Status)
	b, err := json.Marshal(p)
	if err != nil { // plain strings
		panic(err)
	}
	_, _ = w.Write(append(b, '\n')) // a client that is gone hears nothing
}

// bound cuts s to at most n bytes, at a character.
func bound(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = "…"
	n -= len(more)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + more
}
