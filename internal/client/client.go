// Package client speaks Tiffin's public HTTP API: for the command line, the recorded days and the load generator.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// Client is a caller of one system. Safe for concurrent use.
type Client struct {
	base       string
	http       *http.Client
	credential string
}

// New makes a client of the system at base, an absolute URL. transport nil is TCP.
func New(base string, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("url: %q is not valid; expected one such as http://127.0.0.1:8080", base)
	}
	return &Client{base: strings.TrimSuffix(base, "/"), http: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// As is the client of whoever has the credential: an access token or an API key. It is shown to no other host, for
// redirects are not followed.
func (c *Client) As(credential string) *Client {
	as := *c
	as.credential = strings.TrimSpace(credential)
	return &as
}

// show puts the credential into a request.
func (c *Client) show(r *http.Request) {
	if c.credential != "" {
		r.Header.Set("Authorization", "Bearer "+c.credential)
	}
}

// Error is an answer other than 2xx.
type Error struct {
	Status int
	Detail string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.Detail)
}

// askAgain is how long Again waits between two calls.
const askAgain = 250 * time.Millisecond

// Again calls f, which must be harmless to repeat, until it succeeds, fails in a way that does not pass, patience is over
// (real time) or ctx ends. The error is f's last.
func Again(ctx context.Context, patience time.Duration, passes func(error) bool, f func() error) error {
	for began := time.Now(); ; {
		err := f()
		if err == nil || !passes(err) || time.Since(began) > patience {
			return err
		}
		pause := time.NewTimer(askAgain)
		select {
		case <-ctx.Done():
			pause.Stop()
			return err
		case <-pause.C:
		}
	}
}

// Do makes one request; out nil ignores the answer's body. Any answer but 2xx is an *Error.
func (c *Client) Do(ctx context.Context, method, path, idempotencyKey string, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	c.show(req)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, explain(c.base, err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return res.Header, problem(res.StatusCode, b)
	}
	if out == nil {
		return res.Header, nil
	}
	if raw, ok := out.(*json.RawMessage); ok {
		*raw = b
		return res.Header, nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return res.Header, fmt.Errorf("the answer to %s %s: %w", method, path, err)
	}
	return res.Header, nil
}

func explain(base string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if strings.Contains(err.Error(), "connection refused") {
		return fmt.Errorf("nothing answers at %s; start it with `tiffin up`, or name another with --url", base)
	}
	return err
}

func problem(status int, body []byte) error {
	var p struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &p) != nil || p.Detail == "" {
		p.Detail = strings.TrimSpace(string(body[:min(len(body), 200)]))
	}
	return &Error{status, p.Detail}
}

// Order is what it takes to place an order.
type Order struct {
	CustomerID   string      `json:"customer_id"`
	RestaurantID string      `json:"restaurant_id,omitempty"`
	Items        []wire.Item `json:"items"`
}

// Place places an order under an idempotency key, which may be empty.
func (c *Client) Place(ctx context.Context, o Order, key string) (placed wire.Order, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/v1/orders", key, o, &placed)
	return placed, err
}

// Get reads an order.
func (c *Client) Get(ctx context.Context, id string) (o wire.Order, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/v1/orders/"+url.PathEscape(id), "", nil, &o)
	return o, err
}

// Cancel asks for a cancel.
func (c *Client) Cancel(ctx context.Context, id string, operator bool, reason string) (o wire.Order, err error) {
	body := map[string]any{}
	if operator {
		body["operator"] = true
	}
	if reason != "" {
		body["reason"] = reason
	}
	_, err = c.Do(ctx, http.MethodPost, "/v1/orders/"+url.PathEscape(id)+"/cancel", "", body, &o)
	return o, err
}

// Each reads a paged list to its end, or until each returns false.
func Each[T any](ctx context.Context, c *Client, path string, each func(T) bool) error {
	for path != "" {
		var page []T
		header, err := c.Do(ctx, http.MethodGet, path, "", nil, &page)
		if err != nil {
			return err
		}
		for _, v := range page {
			if !each(v) {
				return nil
			}
		}
		path = next(header.Get("Link"))
	}
	return nil
}

// next is the path of the next page in a Link header.
func next(link string) string {
	for link != "" {
		target, rest, ok := strings.Cut(link, ">")
		if !ok {
			return ""
		}
		params, after, _ := strings.Cut(rest, ",")
		if strings.Contains(params, `rel="next"`) {
			return strings.TrimPrefix(strings.TrimSpace(target), "<")
		}
		link = after
	}
	return ""
}

// StatusEvent is one event of an order's stream.
type StatusEvent struct {
	wire.Moment
	Reason  string `json:"reason,omitempty"`
	Settled bool   `json:"settled"`
}

// Watch calls each for every status of the order, those of the past first, until the order is settled, each
// returns false, or ctx ends. A stream that breaks is taken up where it broke: after a moment, and the next one later,
// so that a server that ends every stream at once is not asked without a pause.
func (c *Client) Watch(ctx context.Context, id string, each func(StatusEvent) bool) error {
	last := ""
	wait := watchAgain
	for {
		before := last
		over, err := c.stream(ctx, id, &last, each)
		if over || err != nil {
			return err
		}
		if last != before {
			wait = watchAgain
		}
		again := time.NewTimer(wait)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		}
		wait = min(2*wait, watchAgainMost)
	}
}

// How long Watch waits before it takes up a broken stream: at first, and after many that brought nothing.
const (
	watchAgain     = 50 * time.Millisecond
	watchAgainMost = 2 * time.Second
)

func (c *Client) stream(ctx context.Context, id string, last *string, each func(StatusEvent) bool) (over bool, err error) {
	err = c.events(ctx, "/v1/orders/"+url.PathEscape(id)+"/events", last, nil, func(data []byte) error {
		var e StatusEvent
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		if !each(e) || e.Settled {
			return errOver
		}
		return nil
	})
	if errors.Is(err, errOver) {
		return true, nil
	}
	return err != nil, err
}
