package httpapi

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/redact"
)

// RequestIDHeader carries a request's id, in both directions.
const RequestIDHeader = "X-Request-Id"

// PressureHeader says, between our own processes, what share of new work the one that answers wants less of: 0 to 1.
// See package pressure.
const PressureHeader = "Tiffin-Pressure"

// exchange is one request and its answer: the response writer and the request's body as handlers see them.
type exchange struct {
	http.ResponseWriter
	api    *API
	req    *http.Request
	id     string
	span   trace.Span // nil: not traced
	status int        // that was answered; 0: none yet
	wrote  bool
	mute   bool // the router's plain text is replaced by a problem

	// The body may be read by another goroutine than the handler's: a transport's.
	body  io.ReadCloser
	left  int64       // bytes of it that may still come
	timed atomic.Bool // a read deadline is set on the connection
	large atomic.Bool // it was not read to its end
}

// How long a request's body may take to come, and how long a client may take to take what was written, real time. The
// second begins anew with every write: a stream goes on as long as its client reads.
const (
	bodyTimeout  = 10 * time.Second
	writeTimeout = time.Minute
)

type exchangeKey struct{}

// RequestID is the id of the request being answered, empty where there is none.
func RequestID(ctx context.Context) string {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x.id
	}
	return ""
}

// NameRequest gives a request its id, its own where that is fit for a log, and tells it in the answer. An API does
// that by itself.
func NameRequest(w http.ResponseWriter, r *http.Request) string {
	id := r.Header.Get(RequestIDHeader)
	if !saneID(id) {
		id = newID()
	}
	w.Header()[RequestIDHeader] = []string{id}
	return id
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, api: a, left: a.opt.MaxBody}
	x.id = NameRequest(w, r)
	if a.opt.Pressure != nil {
		if p := a.opt.Pressure(); p > 0 {
			w.Header()[PressureHeader] = []string{strconv.FormatFloat(p, 'f', 3, 64)}
		}
	}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	x.req = r
	if a.watched() {
		if a.opt.Meter != nil {
			a.opt.Meter.Begin()
		}
		began := time.Now()
		defer func() { x.over(began) }() // after recover
	}
	defer x.recover()
	if r.ContentLength > a.opt.MaxBody {
		x.large.Store(true)
		WriteError(x, r, &http.MaxBytesError{Limit: a.opt.MaxBody})
		return
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		WriteError(x, r, Errorf(http.StatusUnsupportedMediaType,
			"the body is compressed; expected it as it is, without Content-Encoding (or with identity)"))
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		x.body, r.Body = r.Body, (*exchangeBody)(x)
		_ = x.SetReadDeadline(time.Now().Add(bodyTimeout)) // where there is a connection
	}
	if a.opt.Authenticate != nil {
		caller, err := a.opt.Authenticate.Authenticate(r)
		if err != nil {
			WriteError(x, r, err)
			return
		}
		if !caller.Nobody() {
			r = r.WithContext(auth.With(r.Context(), caller))
			x.req = r
		}
	}
	if a.opt.Tracer != nil && !quiet(r.URL.Path) {
		r = x.follow(r)
		x.req = r
	}
	a.handler.ServeHTTP(x, r)
	if !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	x.extend() // for what net/http still holds back
}

// recover answers a panic. Once the answer has begun, all that can be done is to break it off.
func (x *exchange) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler { //nolint:errorlint // the panic's very value, as in net/http
		x.log().ErrorContext(x.req.Context(), "panic", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	}
	if x.wrote {
		panic(http.ErrAbortHandler)
	}
	(&Problem{Status: http.StatusInternalServerError, Detail: internal}).write(x) // which notes the status
}

func (x *exchange) log() *slog.Logger {
	return x.api.opt.Log.With("request_id", x.id, "method", x.req.Method, "route", x.req.Pattern)
}

// WriteHeader turns the router's own refusals into problems: those are the ones that no pattern answers.
func (x *exchange) WriteHeader(status int) {
	if x.wrote {
		return
	}
	if status >= 200 {
		x.wrote, x.status = true, status
		if x.large.Load() {
			x.Header().Set("Connection", "close")
		}
		if x.api.opt.Header != nil {
			x.api.opt.Header(x.Header(), x.req)
		}
	}
	if x.req.Pattern == "" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) &&
		x.Header().Get("Content-Type") != problemType {
		x.mute = true
		p := &Problem{Status: status, Detail: "there is no " + x.req.URL.Path}
		if status == http.StatusMethodNotAllowed {
			p.Detail = x.req.Method + " is not among the methods of " + x.req.URL.Path + ": " + x.Header().Get("Allow")
		}
		p.Detail = bound(p.Detail, maxDetail)
		p.write(x.ResponseWriter)
		return
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	if x.mute {
		return len(b), nil
	}
	x.extend()
	return x.ResponseWriter.Write(b)
}

// Flush hands what was written to the client now.
func (x *exchange) Flush() {
	if !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	if f, ok := x.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// extend gives the client its time for the next write, where there is a connection.
func (x *exchange) extend() {
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// SetReadDeadline bounds the reading of the body. It is lifted when the body has been read: left standing it would
// end the request's context while the handler works.
func (x *exchange) SetReadDeadline(t time.Time) error {
	if x.body == nil {
		return nil
	}
	x.timed.Store(!t.IsZero())
	return http.NewResponseController(x.ResponseWriter).SetReadDeadline(t)
}

// exchangeBody is the request's body under the limit.
type exchangeBody exchange

func (b *exchangeBody) Read(p []byte) (int, error) {
	x := (*exchange)(b)
	if x.left < 0 {
		return 0, &http.MaxBytesError{Limit: x.api.opt.MaxBody}
	}
	if int64(len(p)) > x.left+1 {
		p = p[:x.left+1]
	}
	n, err := x.body.Read(p)
	if int64(n) > x.left {
		n, x.left = int(x.left), -1
		x.large.Store(true)
		return n, &http.MaxBytesError{Limit: x.api.opt.MaxBody}
	}
	x.left -= int64(n)
	if err == io.EOF && x.timed.Load() { // io.Reader promises it unwrapped
		_ = x.SetReadDeadline(time.Time{})
	}
	return n, err
}

func (b *exchangeBody) Close() error { return b.body.Close() }

// saneID says whether an id from outside can go into logs, traces and headers.
func saneID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return !redact.Card(s)
}

func newID() string {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], rand.Uint64())
	binary.LittleEndian.PutUint32(b[8:], rand.Uint32())
	return hex.EncodeToString(b[:])
}
