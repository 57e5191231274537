package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// outside makes requests from outside, as an operator where nothing else is said, and keeps answers byte for byte.
type outside struct {
	http  *http.Client
	shown []string // headers that say who it is, in pairs of name and value
}

// operatorKey is the operator's in every system of these tests.
const operatorKey = "tfn_00000000000000e2_an-operator-of-the-tests-in-this-folder"

// asOperator is what a request shows the gateway.
var asOperator = []string{auth.KeyHeader, operatorKey}

// newOutside is an outside whose connections end with the test.
func newOutside(t *testing.T) outside {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return outside{&http.Client{Transport: transport}, asOperator}
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, bytes.TrimSpace(a.body)) }

// do makes one request. body is sent as it is where it is bytes, as JSON where it is anything else; headers come in
// pairs of name and value. An error means that nobody knows what became of it.
func (o outside) do(ctx context.Context, method, url string, body any, headers ...string) (answer, error) {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		in = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return answer{}, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	o.show(req.Header)
	setAll(req.Header, headers)
	res, err := o.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	a := answer{status: res.StatusCode, header: res.Header}
	a.body, err = io.ReadAll(res.Body)
	return a, err
}

// show says who it is. A header given to a request counts more.
func (o outside) show(h http.Header) { setAll(h, o.shown) }

// setAll sets headers that come in pairs of name and value.
func setAll(h http.Header, pairs []string) {
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
}

// event is one event of an order's stream.
type event struct {
	client.StatusEvent
	id int
}

// follow reads an order's stream behind the event last until each says no more or the stream ends. Its error is nil
// where the stream was answered and has ended, however it did.
func (o outside) follow(ctx context.Context, base, order string, last int, each func(event) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/orders/"+order+"/events", nil)
	if err != nil {
		return err
	}
	o.show(req.Header)
	if last > 0 {
		req.Header.Set("Last-Event-ID", strconv.Itoa(last))
	}
	res, err := o.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // broken off
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		return fmt.Errorf("events of %s: %d %s", order, res.StatusCode, b)
	}
	var e event
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			if e.id, err = strconv.Atoi(value); err != nil {
				return err
			}
		case "data":
			if err := json.Unmarshal([]byte(value), &e.StatusEvent); err != nil {
				return err
			}
		case "":
			if e.id == 0 {
				continue // a sign of life
			}
			if !each(e) {
				return nil
			}
			e = event{}
		}
	}
	return nil
}

// decoded is a body of JSON.
func decoded[T any](t testing.TB, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

// statuses are a history without its times.
func statuses(history []wire.Moment) []wire.Status {
	s := make([]wire.Status, len(history))
	for i, m := range history {
		s[i] = m.Status
	}
	return s
}
