package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
)

// errOver ends a stream from within.
var errOver = errors.New("that was all")

// maxEvent is how many bytes one event may have.
const maxEvent = 1 << 20

// events reads a stream of server-sent events until it ends (then err is nil), each says so, or ctx ends. last is the
// id of the last event, from which on the stream is asked for; opened, where not nil, is called when it has begun.
func (c *Client) events(ctx context.Context, path string, last *string, opened func(), each func(data []byte) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	if last != nil && *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	c.show(req)
	res, err := c.http.Do(req)
	if err != nil {
		return explain(c.base, err)
	}
	defer res.Body.Close() //nolint:errcheck // broken off
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
		return problem(res.StatusCode, b)
	}
	if opened != nil {
		opened()
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEvent)
	var data string
	for lines.Scan() {
		switch line := lines.Text(); {
		case last != nil && strings.HasPrefix(line, "id:"):
			*last = strings.TrimSpace(line[3:])
		case strings.HasPrefix(line, "data:"):
			data += strings.TrimSpace(line[5:])
		case line == "" && data != "":
			if err := each([]byte(data)); err != nil {
				return err
			}
			data = ""
		}
	}
	return nil // the connection ended
}
