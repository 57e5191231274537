package partner

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/webhook"
)

// Desk is where a company takes requests: JSON in and out, errors as problem+json, a body of at most 1 MiB, fields it
// does not know ignored. While a request is at the desk a virtual clock stands still. It logs errors, never bodies.
type Desk struct {
	clock   *clock.Clock
	log     *slog.Logger
	conduct *Conduct
	signed  *webhook.Verifier
	mux     *http.ServeMux
}

// NewDesk is a desk without routes, which believes of what concerns its trade what is signed; where signed is nil it
// believes everybody. Register everything before the first request.
func NewDesk(c *clock.Clock, log *slog.Logger, conduct *Conduct, signed *webhook.Verifier) *Desk {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Desk{clock: c, log: log, conduct: conduct, signed: signed, mux: http.NewServeMux()}
	d.Manage("/", func(r *http.Request) (int, any, error) {
		return 0, nil, httpapi.Errorf(http.StatusNotFound, "there is no %s %.100s here", r.Method, r.URL.Path)
	})
	return d
}

// Answer handles a request and says what is answered: a status and what becomes the JSON body, or an error.
type Answer func(r *http.Request) (status int, body any, err error)

// Handle adds a route of the company's trade with Tiffin, subject to its conduct. What is not signed as it has to be is
// answered 401.
func (d *Desk) Handle(pattern string, a Answer) {
	d.Neighbour(pattern, func(r *http.Request) (int, any, error) {
		if d.signed != nil {
			if err := d.signed.Check(r); err != nil {
				return 0, nil, httpapi.Errorf(http.StatusUnauthorized, "the request is not signed, or not by whom we know")
			}
		}
		return a(r)
	})
}

// Neighbour adds a route for the other companies of the street, subject to the company's conduct.
func (d *Desk) Neighbour(pattern string, a Answer) {
	d.mux.Handle(pattern, d.conduct.misbehave(d.handler(a)))
}

// Manage adds a route of the simulation's own, not subject to the company's conduct.
func (d *Desk) Manage(pattern string, a Answer) { d.mux.Handle(pattern, d.handler(a)) }

// ServeHTTP answers a request.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.clock.Hold()
	defer d.clock.Release()
	d.mux.ServeHTTP(w, r)
}

func (d *Desk) handler(answer Answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, err := answer(r)
		if err != nil {
			s := &statusWriter{ResponseWriter: w}
			httpapi.WriteError(s, r, err)
			if _, meant := errors.AsType[*httpapi.Problem](err); s.status == http.StatusInternalServerError && !meant {
				d.log.Error("partner", "method", r.Method, "route", r.Pattern, "err", err)
			}
			return
		}
		b, err := json.Marshal(body)
		if err != nil { // plain structs of ours
			d.log.Error("partner", "method", r.Method, "route", r.Pattern, "err", err)
			httpapi.WriteError(w, r, err)
			return
		}
		w.Header()["Content-Type"] = jsonType
		w.WriteHeader(status)
		_, _ = w.Write(b) // a client that is gone hears nothing
	})
}

var jsonType = []string{"application/json"}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Read decodes the request's body. Its errors say what is wrong and never repeat what was sent.
func Read(r *http.Request, v any) error {
	tooLarge := &http.MaxBytesError{Limit: httpapi.MaxBody}
	if r.ContentLength > httpapi.MaxBody {
		return tooLarge
	}
	size := r.ContentLength + 1 // for the read that finds the end
	if size <= 0 {
		size = 512
	}
	body := make([]byte, 0, size)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if len(body) > httpapi.MaxBody {
			return tooLarge
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return httpapi.Errorf(http.StatusBadRequest, "the request's body broke off")
		}
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
	}
	if err := json.Unmarshal(body, v); err != nil {
		if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && kind.Field != "" {
			return httpapi.Errorf(http.StatusUnprocessableEntity, "body.%s: not of the expected type", kind.Field)
		}
		return httpapi.Errorf(http.StatusUnprocessableEntity, "body: not the JSON that is expected here")
	}
	return nil
}

// CheckID says what is wrong with an id that is to name a record: a problem naming the field, or nil.
func CheckID(field, id string) error {
	bad := id == "" || len(id) > 64
	for i := 0; i < len(id) && !bad; i++ {
		bad = id[i] <= ' ' || id[i] > '~' || id[i] == '/'
	}
	if bad {
		return httpapi.Errorf(http.StatusUnprocessableEntity, "%s: expected 1 to 64 visible ASCII characters without a slash", field)
	}
	return nil
}
