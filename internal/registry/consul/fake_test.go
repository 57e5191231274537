package consul_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/engines"
	"github.com/tiffin-food/tiffin/internal/registry/consul"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(engines.Main{M: m}) }

var errRefused = errors.New("connection refused")

// agent is a Consul agent without a network, which a test moves as it likes.
type agent struct {
	mu      sync.Mutex
	changed chan struct{}
	index   string // of the answers
	body    string // of /v1/health/service
	leader  string // X-Consul-KnownLeader
	stream  string // the body of blocking queries, where not "": they are answered from a stream, then
	status  int    // of everything, where not 0
	away    bool
	hangs   bool
	asked   []*http.Request
	known   map[string]string // registered: id → body
}

func newAgent() *agent {
	return &agent{changed: make(chan struct{}), index: "10", body: "[]", leader: "true", known: map[string]string{}}
}

// change moves the agent, and wakes the blocking queries.
func (a *agent) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	close(a.changed)
	a.changed = make(chan struct{})
}

// say makes the agent know these instances from an index on.
func (a *agent) say(index string, urls ...string) {
	a.change(func() { a.index, a.body = index, instances(urls...) })
}

func instances(urls ...string) string {
	type service struct {
		ID, Address string
		Port        int
		Meta        map[string]string
	}
	all := []map[string]any{}
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil {
			panic(err)
		}
		port, _ := strconv.Atoi(u.Port())
		all = append(all, map[string]any{"Service": service{raw, u.Hostname(), port, map[string]string{"scheme": u.Scheme}}})
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// requests are those since the last call, as "METHOD /path?query".
func (a *agent) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, r := range a.asked {
		all = append(all, r.Method+" "+r.URL.RequestURI())
	}
	a.asked = nil
	return all
}

// RoundTrip answers as Consul does.
func (a *agent) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r)
	wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
	over := time.NewTimer(wait)
	defer over.Stop()
	for a.hangs || !a.away && wait > 0 && r.URL.Query().Get("index") == a.index {
		changed := a.changed
		hangs := a.hangs
		a.mu.Unlock()
		ended, late := false, false
		select {
		case <-changed:
		case <-r.Context().Done():
			ended = true
		case <-over.C:
			late = true
		}
		a.mu.Lock()
		if ended {
			return nil, r.Context().Err()
		}
		if late && !hangs {
			break
		}
	}
	switch {
	case a.away:
		return nil, errRefused
	case a.status != 0:
		return a.answer(a.status, "No, by order of the test"), nil
	}
	path := strings.TrimPrefix(r.URL.Path, "/behind")
	id := path[strings.LastIndex(path, "/")+1:]
	switch {
	case strings.HasPrefix(path, "/v1/health/service/") && wait > 0 && a.stream != "":
		res := a.answer(200, a.stream)
		res.Header.Set("X-Consul-Knownleader", "false")
		res.Header.Set("X-Consul-Query-Backend", "streaming")
		return res, nil
	case strings.HasPrefix(path, "/v1/health/service/"):
		return a.answer(200, a.body), nil
	case strings.HasPrefix(path, "/v1/agent/service/register"):
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var s struct{ ID string }
		if err := json.Unmarshal(b, &s); err != nil {
			return a.answer(400, err.Error()), nil
		}
		a.known[s.ID] = string(b)
		return a.answer(200, ""), nil
	case strings.HasPrefix(path, "/v1/agent/service/deregister/"):
		if a.known[id] == "" {
			return a.answer(404, "Unknown service ID"), nil
		}
		delete(a.known, id)
		return a.answer(200, ""), nil
	case strings.HasPrefix(path, "/v1/agent/service/"):
		if a.known[id] == "" {
			return a.answer(404, "unknown service ID"), nil
		}
		return a.answer(200, "{}"), nil
	case path == "/v1/status/leader":
		return a.answer(200, `"`+a.leader+`"`), nil
	}
	return a.answer(404, "no such endpoint"), nil
}

func (a *agent) answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"X-Consul-Index": {a.index}, "X-Consul-Knownleader": {a.leader}},
	}
}

// open is a registry that asks the agent.
func open(t testing.TB, a http.RoundTripper, opt consul.Options) *consul.Registry {
	t.Helper()
	opt.Transport = a
	r, err := consul.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// soon is a context that ends in 10 s.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// journal is a log that many write.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }
