package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
)

// Resolver knows where the instances of a service are. Implementations are in internal/registry, their suite is
// registrytest.
type Resolver interface {
	// Resolve returns the base URLs of the service's instances, at least one where the error is nil; an error
	// that wraps ErrNoService where the service is not known or has no instance. The caller does not write into
	// the slice. Safe for concurrent use, and quick: it is asked for every call.
	Resolve(ctx context.Context, service string) ([]string, error)
}

// ErrNoService says that nobody knows an instance of a service.
var ErrNoService = errors.New("no instance of the service is known")

// ErrOpen says that a call was not tried, because the circuit breaker of every instance is open.
var ErrOpen = errors.New("circuit open")

// ErrTooLarge says that an answer has more bytes than the client takes.
var ErrTooLarge = errors.New("the answer is too large")

// APIKeyHeader carries what a caller shows a service.
const APIKeyHeader = auth.KeyHeader

// ClientOptions are a client's settings; Resolver has no default.
type ClientOptions struct {
	Resolver  Resolver
	Transport http.RoundTripper // [NewTransport]
	// Keys are the API keys by service. A service without one is sent none: a key goes to nobody it is not for.
	Keys map[string]string
	// Outside are those that are not ours: how they are reached, and how calls to them are signed.
	Outside map[string]Outside
	Timeout time.Duration // of one call, real time; 5 s
	MaxBody int64         // bytes of an answer; 1 MiB
	// Failures is how many in a row open an instance's circuit breaker; 5. Negative: no breakers, as under a
	// virtual clock, where time for retries flies while a breaker counts real seconds.
	Failures int
	// Pressure is told what share of new work an instance wants less of, as its answers say; nil: nobody is.
	Pressure func(float64)
	OpenFor  time.Duration // how long a breaker stays open before one call tries again, real time; 5 s
}

// Outside is how [Client.Do] calls somebody who is not ours.
type Outside struct {
	Transport http.RoundTripper // such as [NewOuterTransport]; nil: the client's
	// Sign makes the headers that show who sends a body under an id: the call's idempotency key, or for a call without
	// one an id of its own. It is asked anew for every attempt. nil: calls are not signed.
	Sign func(id string, body []byte) http.Header
}

// Client calls other services. It is safe for concurrent use.
type Client struct {
	opt       ClientOptions
	transport http.RoundTripper
	fleet     fleet
}

// NewClient makes a client.
func NewClient(opt ClientOptions) *Client {
	if opt.Transport == nil {
		opt.Transport = NewTransport()
	}
	if opt.Timeout == 0 {
		opt.Timeout = 5 * time.Second
	}
	if opt.MaxBody == 0 {
		opt.MaxBody = 1 << 20
	}
	if opt.Failures == 0 {
		opt.Failures = 5
	}
	if opt.OpenFor == 0 {
		opt.OpenFor = 5 * time.Second
	}
	return &Client{opt: opt, transport: opt.Transport, fleet: fleet{failures: opt.Failures, openFor: opt.OpenFor}}
}

// NewTransport is a transport over TCP that keeps enough connections for a busy service, and closes them before the
// servers do.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    3 * time.Second,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        idleTimeout / 2,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// Call is one request. Op is "METHOD /path", the path escaped, with a query where wanted.
type Call struct {
	To             string
	Op             string
	Body           []byte // JSON; nil: none
	IdempotencyKey string
	Header         http.Header // further headers; not written into
	attempt        int         // of a read that is tried again: from 1 on
}

// Result is an answer, whatever its status.
type Result struct {
	Status     int
	Body       []byte
	Header     http.Header
	RetryAfter time.Duration // when the other side wants to hear from us again; 0: it did not say
}

// Do makes one call, once. An error means that no whole answer came: whether the other side did it, nobody knows.
// Any status is an answer; [Classify] says what it means. Redirects are not followed.
func (c *Client) Do(ctx context.Context, call Call) (Result, error) {
	r, err := c.do(ctx, call)
	if err != nil {
		return r, fmt.Errorf("%s: %s: %w", call.To, call.Op, err)
	}
	return r, nil
}

func (c *Client) do(ctx context.Context, call Call) (Result, error) {
	method, target, ok := strings.Cut(call.Op, " ")
	if !ok || method == "" || !strings.HasPrefix(target, "/") {
		return Result{}, errors.New("not METHOD /path")
	}
	in, u, err := c.aim(ctx, call.To, target, nil)
	if err != nil {
		return Result{}, err
	}
	limited, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	r, err := c.send(limited, call, method, u)
	switch {
	case err != nil && ctx.Err() != nil, errors.Is(err, ErrNotPublic): // that says nothing about the instance
		in.release(nil)
	case err != nil:
		in.release(err)
	case r.Status >= 500, r.Status < 200, r.Status >= 300 && r.Status < 400 && r.Status != http.StatusNotModified:
		in.release(errStatus)
	default:
		in.release(errAlive)
	}
	return r, err
}

// aim chooses an instance other than not, which must be released, and the URL of target there.
func (c *Client) aim(ctx context.Context, to, target string, not *instance) (*instance, *url.URL, error) {
	urls, err := c.opt.Resolver.Resolve(ctx, to)
	if err != nil {
		c.refused(ctx, to, err)
		return nil, nil, err
	}
	in, err := c.fleet.pick(to, urls, not)
	if err != nil {
		c.refused(ctx, to, err)
		return nil, nil, err
	}
	u, err := in.join(target)
	if err != nil {
		in.release(nil)
		return nil, nil, err
	}
	return in, u, nil
}

func (c *Client) send(ctx context.Context, call Call, method string, u *url.URL) (r Result, err error) {
	header := make(http.Header, 6+len(call.Header))
	for k, v := range call.Header {
		header[k] = v
	}
	header["Accept"] = acceptJSON
	header["User-Agent"] = userAgent
	if call.IdempotencyKey != "" {
		header[IdempotencyHeader] = []string{call.IdempotencyKey}
	}
	if key := c.opt.Keys[call.To]; key != "" {
		header["X-Api-Key"] = []string{key} // as net/http writes APIKeyHeader
	}
	if id := RequestID(ctx); id != "" {
		header[RequestIDHeader] = []string{id}
	}
	transport := c.transport
	if out, ok := c.opt.Outside[call.To]; ok {
		if out.Transport != nil {
			transport = out.Transport
		}
		if out.Sign != nil {
			id := call.IdempotencyKey
			if id == "" {
				id = newID()
			}
			for k, v := range out.Sign(id, call.Body) {
				header[k] = v
			}
		}
	}
	ctx, span := c.called(ctx, call.To, method, header, call.attempt)
	defer func() { span.end(r.Status, err) }()
	req := &http.Request{
		Method: method, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if call.Body != nil {
		header["Content-Type"] = acceptJSON
		req.ContentLength = int64(len(call.Body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(call.Body)), nil }
		req.Body, _ = req.GetBody()
	}
	res, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return Result{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end or given up
	r = Result{Status: res.StatusCode, Header: res.Header}
	c.hear(res.Header)
	if after := res.Header["Retry-After"]; len(after) > 0 {
		r.RetryAfter = parseRetryAfter(after[0], time.Now())
	}
	if r.Body, err = readAll(res.Body, res.ContentLength, c.opt.MaxBody); err != nil {
		return Result{}, fmt.Errorf("status %d, then: %w", r.Status, err)
	}
	return r, nil
}

// hear passes on how much pressure an answer tells of.
func (c *Client) hear(h http.Header) {
	if c.opt.Pressure == nil {
		return
	}
	if told := h[PressureHeader]; len(told) > 0 {
		if p, err := strconv.ParseFloat(told[0], 64); err == nil {
			c.opt.Pressure(p)
		}
	}
}

var (
	acceptJSON = []string{"application/json"}
	userAgent  = []string{"tiffin"}
)

// readAll reads at most limit bytes; n is how many are expected, negative where nobody knows.
func readAll(r io.Reader, n, limit int64) ([]byte, error) {
	if n > limit {
		return nil, ErrTooLarge
	}
	if n >= 0 {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return b, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = ErrTooLarge
	}
	return b, err
}

// Get reads from another service for somebody who waits: up to three times, with jittered pauses of real time in
// between, while the answer is to be tried again. Only for reads. An answer other than 2xx is an error: a *Refused
// where asking again is of no use.
func (c *Client) Get(ctx context.Context, to, path string) (Result, error) {
	call := Call{To: to, Op: "GET " + path}
	for attempt := 1; ; attempt++ {
		call.attempt = attempt
		r, err := c.Do(ctx, call)
		switch Classify(r.Status, err) {
		case durable.Accepted:
			return r, nil
		case durable.Rejected:
			return r, &Refused{To: to, Status: r.Status, Detail: Detail(r.Status, r.Body)}
		case durable.Retry:
		}
		if err == nil {
			err = fmt.Errorf("%s: %s: %s", to, call.Op, Detail(r.Status, r.Body))
		}
		pause := time.Duration(float64(retryPause<<(attempt-1)) * (0.5 + rand.Float64()))
		if attempt == attempts || r.RetryAfter > pause || !sleep(ctx, pause) {
			return r, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

const (
	attempts   = 3
	retryPause = 50 * time.Millisecond // doubles, and varies by half
)

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Refused says that a service understood a read and will not answer it.
type Refused struct {
	To     string
	Status int
	Detail string
}

func (r *Refused) Error() string { return fmt.Sprintf("%s: status %d: %s", r.To, r.Status, r.Detail) }
