package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// RoundTrip makes a Client a transport for whoever forwards requests as they come, streams included: the URL's host
// names the service, http://order/v1/orders. It resolves, balances, shows the API key and minds the breakers as Do
// does; timeouts and limits are the caller's.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	to := req.URL.Host
	in, u, err := c.aim(req.Context(), to, req.URL.RequestURI())
	if err != nil {
		closeBody(req)
		return nil, fmt.Errorf("%s: %w", to, err)
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
		return nil, err
	case err != nil:
		in.release(err)
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	verdict := errAlive
	if res.StatusCode >= 500 {
		verdict = errStatus
	}
	res.Body = &counted{ReadCloser: res.Body, release: sync.OnceFunc(func() { in.release(verdict) })}
	return res, nil
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
