package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/registry"
)

const (
	maxBody = 8 << 20         // of an answer: some thousand instances
	patient = 5 * time.Second // for an answer that Consul need not wait for
)

// statusError is an answer other than 200.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("status %d", e.status)
	}
	return fmt.Sprintf("status %d: %s", e.status, e.text)
}

// do asks the agent; in becomes the body where it is not nil, the answer is decoded into out where that is not. The
// error is a *statusError where Consul says no.
func (r *Registry) do(ctx context.Context, method, path string, query url.Values, in, out any) (http.Header, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base.String()+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	req.Header.Set("User-Agent", "tiffin")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.opt.Token != "" {
		req.Header.Set("X-Consul-Token", r.opt.Token)
	}
	res, err := r.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end or given up
	b, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %w", path, &statusError{res.StatusCode, strings.ToValidUTF8(strings.TrimSpace(string(b[:min(len(b), 200)])), "?")})
	case len(b) > maxBody:
		return nil, fmt.Errorf("%s: the answer has more than %d bytes", path, maxBody)
	case out == nil:
		return res.Header, nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return res.Header, nil
}

// entry is one instance in the answer of /v1/health/service.
type entry struct {
	Node    struct{ Address string }
	Service struct {
		ID      string
		Address string
		Port    int
		Meta    map[string]string
	}
}

// url is where the instance is.
func (e entry) url() string {
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	return baseURL(host, e.Service.Port, e.Service.Meta[metaScheme] == "https")
}

func baseURL(host string, port int, tls bool) string {
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.Itoa(port))}
	if tls {
		u.Scheme = "https"
	}
	return u.String()
}

// healthy asks for the instances that pass their checks, when the index is no longer the given one or wait is over; at
// once where the index is 0. It returns their URLs, sorted, and the new index.
func (r *Registry) healthy(ctx context.Context, service string, index uint64, wait time.Duration) ([]string, uint64, error) {
	query := url.Values{"passing": {"1"}}
	limit := patient
	if index > 0 {
		query.Set("index", strconv.FormatUint(index, 10))
		query.Set("wait", strconv.FormatInt(wait.Milliseconds(), 10)+"ms")
		limit += wait + wait/16 // Consul adds as much, at random
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var entries []entry
	header, err := r.do(ctx, http.MethodGet, "/v1/health/service/"+url.PathEscape(r.opt.Prefix+service), query, nil, &entries)
	if err != nil {
		return nil, 0, err
	}
	// Answers from the agent's event stream say so without meaning it: github.com/hashicorp/consul/issues/9776.
	if header.Get("X-Consul-KnownLeader") == "false" && header.Get("X-Consul-Query-Backend") != "streaming" {
		return nil, 0, errors.New("consul has no leader")
	}
	next, err := strconv.ParseUint(header.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		return nil, 0, errors.New("the answer has no index")
	}
	urls := make([]string, 0, len(entries))
	for _, e := range entries {
		u := e.url()
		if err := registry.CheckURLs(service, u); err != nil || e.Service.Port < 1 {
			r.opt.Log.Warn("consul: an instance without a usable address is left out", "service", service, "id", e.Service.ID, "url", u)
			continue
		}
		urls = append(urls, u)
	}
	slices.Sort(urls)
	return slices.Compact(urls), next, nil
}
