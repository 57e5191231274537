package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiffin-food/tiffin/internal/crew"
)

// Local is a transport to handlers in the same process: http://order/v1/orders goes to the handler named "order".
// It behaves as sockets do:
//
//   - The handler runs in a goroutine of its own. RoundTrip returns when the handler has, or at its first flush, or
//     when a response grows beyond 64 KiB; then the body is a stream.
//   - When the caller's context ends, or the body of a stream is closed, so does the handler's context.
//   - The values of the caller's context stop at the wall, as they would at a socket; only [Draining] passes.
//   - A handler that panics is a broken connection: an error, or a body that breaks off.
//   - A name nobody has is an error of dialling, or goes to the fallback.
//
// What it does not do: enforce HTTP's syntax, send Date, or copy the request's headers: neither side may write into
// those until the response's body is closed (which RoundTripper asks of callers anyway).
type Local struct {
	mu       sync.Mutex // of writers
	hosts    atomic.Pointer[map[string]http.Handler]
	fallback http.RoundTripper
	crew     crew.Crew[job]
}

// NewLocal makes a transport without hosts. fallback, if not nil, carries requests to hosts it does not know.
func NewLocal(fallback http.RoundTripper) *Local {
	l := &Local{fallback: fallback, crew: crew.Crew[job]{Work: func(j job) { j.x.serve(j.h, j.r) }}}
	l.hosts.Store(&map[string]http.Handler{})
	return l
}

// Handle names a handler, or replaces the one of that name; nil takes it away. Safe for concurrent use.
func (l *Local) Handle(host string, h http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hosts := map[string]http.Handler{}
	for k, v := range *l.hosts.Load() {
		hosts[k] = v
	}
	if h == nil {
		delete(hosts, host)
	} else {
		hosts[host] = h
	}
	l.hosts.Store(&hosts)
}

const (
	streamAt    = 64 << 10 // bytes after which a response is handed over before it is complete
	unreadLimit = 64 << 10 // bytes a stream may be ahead of its reader
)

var errUnknownHost = errors.New("no such service in this process")

// RoundTrip carries one request.
func (l *Local) RoundTrip(req *http.Request) (*http.Response, error) {
	h, ok := (*l.hosts.Load())[req.URL.Host]
	if !ok {
		if l.fallback != nil {
			return l.fallback.RoundTrip(req)
		}
		closeBody(req)
		return nil, &net.OpError{Op: "dial", Net: "local", Err: fmt.Errorf("%s: %w", req.URL.Host, errUnknownHost)}
	}
	outer := req.Context()
	if err := outer.Err(); err != nil {
		closeBody(req)
		return nil, err
	}
	x := &call{
		ready: make(chan struct{}), url: *req.URL,
		header: make(http.Header, 4), bodyless: req.Method == http.MethodHead,
	}
	x.wake.L = &x.mu
	x.buf = x.space[:0]
	x.outer = outer
	x.ctx, x.cancel = context.WithCancel(outer)
	x.url.Scheme, x.url.Host, x.url.User = "", "", nil
	r := req.WithContext(wall{x.ctx})
	r.URL, r.RequestURI, r.RemoteAddr = &x.url, x.url.RequestURI(), "local"
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.GetBody, r.Response, r.TLS = nil, nil, nil
	if r.Host == "" {
		r.Host = req.URL.Host
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	x.response.Request = req
	l.crew.Do(job{x, h, r})
	select {
	case <-x.ready:
	case <-outer.Done():
		return nil, outer.Err()
	}
	if !x.streaming && x.failed != nil {
		return nil, x.failed
	}
	return &x.response, nil
}

// CloseIdleConnections ends the goroutines that wait for the next request, as it closes the connections of other
// transports. Who is done with a Local calls it after the last request; it can be used again.
func (l *Local) CloseIdleConnections() { l.crew.Dismiss() }

type job struct {
	x *call
	h http.Handler
	r *http.Request
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// wall is a context that ends with its parent and has none of its values but the server's drain.
type wall struct{ context.Context }

func (w wall) Value(key any) any {
	switch key.(type) {
	case drainKey, *int: // *int: package context's own key; without it every child would cost a goroutine
		return w.Context.Value(key)
	}
	return nil
}

// call is one request under way: the handler's response writer and the response's body. All in one allocation.
type call struct {
	ctx      context.Context
	outer    context.Context
	cancel   context.CancelFunc
	ready    chan struct{} // closed when response is
	url      url.URL
	response http.Response
	header   http.Header
	bodyless bool // HEAD, 204, 304
	wrote    bool // WriteHeader was called
	handed   bool // ready is closed; only the handler's goroutine looks

	mu        sync.Mutex
	wake      sync.Cond // something changed
	buf       []byte    // written and not read
	off       int
	streaming bool // handed over before it was complete
	done      bool // nothing will be written any more
	closed    bool // nobody will read any more
	failed    error
	unhook    func() bool
	space     [512]byte
}

func (x *call) serve(h http.Handler, r *http.Request) {
	returned := false
	defer func() {
		v := recover()
		if v == nil && !returned { // Goexit, from a test that fails in a handler
			v = "Goexit"
		}
		if r.Body != nil {
			_ = r.Body.Close()
		}
		x.finish(v)
		x.cancel()
	}()
	h.ServeHTTP(x, r)
	returned = true
}

func (x *call) finish(panicked any) {
	if panicked == nil && !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	x.mu.Lock()
	x.done = true
	if panicked != nil {
		x.failed = fmt.Errorf("%w: the handler panicked: %v", io.ErrUnexpectedEOF, panicked)
	} else if x.handed { // a stream that ended because its caller gave up did not end well
		x.failed = x.outer.Err()
	}
	x.mu.Unlock()
	if !x.handed {
		x.hand()
		return
	}
	x.wake.Broadcast()
	x.unhook()
}

// hand gives the response to RoundTrip.
func (x *call) hand() {
	x.handed = true
	r := &x.response
	if !x.done {
		x.streaming = true
		x.unhook = context.AfterFunc(x.ctx, func() { x.mu.Lock(); x.mu.Unlock(); x.wake.Broadcast() }) //nolint:staticcheck,gocritic // waiters see the end
		r.ContentLength = -1
	} else {
		r.ContentLength = int64(len(x.buf))
	}
	if r.StatusCode == 0 {
		r.StatusCode = http.StatusOK
	}
	r.Status = statusLine(r.StatusCode)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.Header = x.header
	if _, ok := x.header["Content-Type"]; !ok && len(x.buf) > 0 {
		x.header["Content-Type"] = []string{http.DetectContentType(x.buf)}
	}
	x.header = nil // the handler's later writes go nowhere
	r.Body = (*callBody)(x)
	close(x.ready)
}

func statusLine(code int) string {
	switch code {
	case http.StatusOK:
		return "200 OK"
	case http.StatusCreated:
		return "201 Created"
	case http.StatusAccepted:
		return "202 Accepted"
	}
	return fmt.Sprintf("%d %s", code, http.StatusText(code))
}

// Header is the response's header; what is set after the response was handed over goes nowhere.
func (x *call) Header() http.Header {
	if x.header == nil {
		x.header = http.Header{}
	}
	return x.header
}

func (x *call) WriteHeader(status int) {
	if x.wrote || status < 200 { // informational answers are for sockets
		return
	}
	x.wrote = true
	x.response.StatusCode = status
	x.bodyless = x.bodyless || status == http.StatusNoContent || status == http.StatusNotModified
}

func (x *call) Write(b []byte) (int, error) {
	if !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	if x.bodyless {
		if x.response.StatusCode == http.StatusNoContent || x.response.StatusCode == http.StatusNotModified {
			return 0, http.ErrBodyNotAllowed
		}
		return len(b), nil
	}
	x.mu.Lock()
	for x.handed && !x.closed && x.ctx.Err() == nil && len(x.buf)-x.off > unreadLimit {
		x.wake.Wait()
	}
	if x.closed {
		x.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	if err := x.ctx.Err(); err != nil {
		x.mu.Unlock()
		return 0, err
	}
	if x.off > 0 && x.off >= len(x.buf)/2 {
		x.buf, x.off = x.buf[:copy(x.buf, x.buf[x.off:])], 0
	}
	x.buf = append(x.buf, b...)
	large := len(x.buf) > streamAt
	x.mu.Unlock()
	if x.handed {
		x.wake.Broadcast()
	} else if large {
		x.hand()
	}
	return len(b), nil
}

// Flush hands the response over as a stream.
func (x *call) Flush() {
	if !x.wrote {
		x.WriteHeader(http.StatusOK)
	}
	if !x.handed {
		x.hand()
	}
}

// SetReadDeadline does nothing: no byte is on its way anywhere.
func (x *call) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: no byte is on its way anywhere.
func (x *call) SetWriteDeadline(time.Time) error { return nil }

// callBody is the response's body.
type callBody call

func (b *callBody) Read(p []byte) (int, error) {
	x := (*call)(b)
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		switch {
		case x.closed:
			return 0, http.ErrBodyReadAfterClose
		case x.off < len(x.buf):
			n := copy(p, x.buf[x.off:])
			x.off += n
			if x.streaming {
				x.wake.Broadcast()
			}
			return n, nil
		case x.failed != nil:
			return 0, x.failed
		case x.done:
			return 0, io.EOF
		case x.outer.Err() != nil:
			return 0, x.outer.Err()
		case len(p) == 0:
			return 0, nil
		}
		x.wake.Wait()
	}
}

func (b *callBody) Close() error {
	x := (*call)(b)
	x.mu.Lock()
	first := !x.closed
	x.closed = true
	streaming := x.streaming && !x.done
	x.mu.Unlock()
	if first && streaming {
		x.cancel()
		x.wake.Broadcast()
	}
	return nil
}
