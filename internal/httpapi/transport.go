package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// RoundTrip makes a Client a transport for whoever forwards requests as they come, streams included: the URL's host
// names the service, http://order/v1/orders. It resolves, balances, shows the API key and minds the breakers as Do
// does; timeouts and limits are the caller's.
//
// A read that an instance could not be reached for, or answered with 502, or with 503 without Retry-After, is tried once
// more on another one, if there is one. Commands never are, and neither are event streams, whose readers come back by
// themselves.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	res, in, err := c.try(req, nil)
	if in == nil || !again(req, res, err) {
		return res, err
	}
	second, other, otherErr := c.try(req, in)
	if other == nil { // there is no other: the first answer stands
		return res, err
	}
	if res != nil {
		_ = res.Body.Close()
	}
	return second, otherErr
}

// again says whether a request may be tried on another instance after what one made of it.
func again(req *http.Request, res *http.Response, err error) bool {
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead, req.Body != nil && req.Body != http.NoBody,
		strings.Contains(req.Header.Get("Accept"), StreamType), req.Context().Err() != nil:
		return false
	case err != nil:
		return true
	}
	return res.StatusCode == http.StatusBadGateway ||
		res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == ""
}

// try makes the request once, at another instance than not. The instance is nil where there was none to ask.
func (c *Client) try(req *http.Request, not *instance) (*http.Response, *instance, error) {
	to := req.URL.Host
	in, u, err := c.aim(req.Context(), to, req.URL.RequestURI(), not)
	if err != nil {
		closeBody(req)
		return nil, nil, fmt.Errorf("%s: %w", to, err)
	}
	out := req.WithContext(req.Context())
	out.URL, out.Host = u, u.Host
	if key := c.opt.Keys[to]; key != "" {
		out.Header = req.Header.Clone()
		out.Header.Set(APIKeyHeader, key)
	}
	ctx, span := c.called(out.Context(), to, out.Method, out.Header, 0)
	res, err := c.transport.RoundTrip(out.WithContext(ctx))
	span.end(statusOf(res), err)
	switch {
	case err != nil && req.Context().Err() != nil:
		in.release(nil)
		return nil, in, err
	case err != nil:
		in.release(err)
		return nil, in, fmt.Errorf("%s: %w", to, err)
	}
	verdict := errAlive
	if res.StatusCode >= 500 {
		verdict = errStatus
	}
	res.Body = &counted{ReadCloser: res.Body, release: sync.OnceFunc(func() { in.release(verdict) })}
	return res, in, nil
}

func statusOf(res *http.Response) int {
	if res == nil {
		return 0
	}
	return res.StatusCode
}

// counted is a body whose call is over when it is closed.
type counted struct {
	io.ReadCloser
	release func()
}

func (b *counted) Close() error {
	b.release()
	return b.ReadCloser.Close()
}
