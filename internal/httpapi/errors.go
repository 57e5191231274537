package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
)

// ErrUnavailable says that a request cannot be served now and may be repeated. It is answered with 503.
var ErrUnavailable = errors.New("not available now")

// retryAfter is what a 503 tells the client to wait, in seconds.
const retryAfter = 1

// problemOf is the one place that says how an error is answered:
//
//	*Problem                                    as it is
//	*durable.Refusal                            404, 409 or 422 with its detail
//	durable.ErrNotFound                         404
//	auth.ErrUnauthenticated, ErrCredential      401 with WWW-Authenticate
//	auth.ErrForbidden                           403
//	durable.ErrKeyReused                        422
//	*http.MaxBytesError                         413
//	ErrUnavailable, durable.ErrStopping,
//	durable.ErrUnknown, ErrConflict and ErrStore,
//	a context that ended                        503 with Retry-After
//	any other                                   500 "internal error"; foreseen is false, and the caller logs it
func problemOf(err error) (p *Problem, foreseen bool) {
	var (
		problem *Problem
		refusal *durable.Refusal
		large   *http.MaxBytesError
	)
	switch {
	case errors.As(err, &problem):
		return problem, true
	case errors.As(err, &refusal):
		return ofRefusal(refusal), true
	case errors.Is(err, durable.ErrNotFound):
		return &Problem{Status: http.StatusNotFound, Detail: durable.ErrNotFound.Error()}, true
	case errors.Is(err, auth.ErrUnauthenticated), errors.Is(err, auth.ErrCredential):
		return &Problem{Status: http.StatusUnauthorized, Detail: err.Error()}, true
	case errors.Is(err, auth.ErrForbidden):
		return &Problem{Status: http.StatusForbidden, Detail: err.Error()}, true
	case errors.Is(err, durable.ErrKeyReused):
		return &Problem{Status: http.StatusUnprocessableEntity, Detail: durable.ErrKeyReused.Error(),
			Errors: []FieldError{{"header." + IdempotencyHeader, durable.ErrKeyReused.Error()}}}, true
	case errors.As(err, &large):
		return &Problem{Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("the request's body has more than %d bytes", large.Limit)}, true
	case errors.Is(err, durable.ErrUnknown):
		return unavailable("nobody knows whether this was done; repeat it with the same " + IdempotencyHeader), true
	case errors.Is(err, ErrUnavailable), errors.Is(err, durable.ErrStopping), errors.Is(err, durable.ErrConflict),
		errors.Is(err, durable.ErrStore), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unavailable("the service cannot answer now; repeat the request"), true
	}
	return &Problem{Status: http.StatusInternalServerError, Detail: internal}, false
}

func unavailable(detail string) *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Detail: detail}
}

func ofRefusal(r *durable.Refusal) *Problem {
	p := &Problem{Status: http.StatusUnprocessableEntity, Detail: r.Error()}
	switch r.Code {
	case durable.NotFound:
		p.Status = http.StatusNotFound
	case durable.Conflict:
		p.Status = http.StatusConflict
	case durable.Invalid, durable.Doubtful:
	}
	if r.Field != "" {
		p.Errors = []FieldError{{r.Field, r.Detail}}
	}
	return p
}

// WriteError answers a request with what problemOf makes of err, and logs what nobody foresaw. It is for handlers
// outside of Register.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	resolve(r.Context(), err).write(w)
}

// resolve is problemOf with the logging.
func resolve(ctx context.Context, err error) *Problem {
	p, foreseen := problemOf(err)
	if !foreseen {
		if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
			x.log().ErrorContext(x.req.Context(), internal, "err", err)
		}
	}
	return p
}

// huma lets a program say once what its errors look like, and has no other way. All our APIs look the same. So it is
// with null: it is no list, not even an empty one.
func init() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return invalid(status, msg, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		if status == http.StatusInternalServerError && len(errs) == 1 && ctx != nil {
			p := ofHandler(ctx, msg, errs[0])
			for name, values := range p.GetHeaders() {
				ctx.SetHeader(name, values[0])
			}
			return p
		}
		return invalid(status, msg, errs)
	}
	huma.ErrorFormatter = func(format string, args ...any) string { //nolint:reassign // the library has no other way
		if len(args) == 1 {
			if _, ok := args[0].(error); ok { // the parser's words repeat what was sent
				return strings.TrimSuffix(format, ": %v")
			}
		}
		return fmt.Sprintf(format, args...)
	}
}

func ofHandler(ctx huma.Context, msg string, err error) *Problem {
	if large := (*http.MaxBytesError)(nil); msg == "cannot read request body" && !errors.As(err, &large) {
		return &Problem{Status: http.StatusBadRequest, Detail: "the request's body broke off"}
	}
	return resolve(ctx.Context(), err)
}

// invalid is the problem of a request that huma refused.
func invalid(status int, msg string, errs []error) *Problem {
	if status == http.StatusBadRequest {
		status = http.StatusUnprocessableEntity
	}
	p := &Problem{Status: status, Detail: msg}
	for _, err := range errs {
		switch e := err.(type) { //nolint:errorlint // huma hands them over bare
		case nil:
		case huma.ErrorDetailer:
			d := e.ErrorDetail()
			p.Errors = append(p.Errors, FieldError{bound(d.Location, maxDetail/2), bound(d.Message, maxDetail/2)})
		default:
			p.Errors = append(p.Errors, FieldError{"body", bound(err.Error(), maxDetail/2)})
		}
	}
	// huma finds unexpected properties in the order of a map; the answer is the same each time.
	slices.SortStableFunc(p.Errors, func(a, b FieldError) int { return strings.Compare(a.Location, b.Location) })
	if n := len(p.Errors); n > 0 {
		p.Detail = p.Errors[0].Location + ": " + p.Errors[0].Message
		if n > 1 {
			p.Detail += fmt.Sprintf(" (and %d more)", n-1)
		}
	}
	if len(p.Errors) > maxFields {
		p.Errors = p.Errors[:maxFields]
	}
	if status == http.StatusUnsupportedMediaType {
		p.Detail = "the body must be application/json"
		p.Errors = nil
	}
	return p
}
