package consul_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/engines"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/registry/consul"
	"github.com/tiffin-food/tiffin/internal/registry/registrytest"
)

// live is a registry at a real Consul, with names that nobody else uses.
func live(t testing.TB, at string) (*consul.Registry, string) {
	t.Helper()
	prefix := "tiffin-test-" + rand.Text() + "-"
	return another(t, at, prefix, t.Output()), prefix
}

func another(t testing.TB, at, prefix string, log io.Writer) *consul.Registry {
	t.Helper()
	r, err := consul.New(consul.Options{URL: at, Prefix: prefix, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// tell asks the agent something with no registry in between.
func tell(t testing.TB, method, at string, body any) int {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// knows says whether the agent knows an instance.
func knows(t testing.TB, at, id string) bool {
	t.Helper()
	return tell(t, http.MethodGet, at+"/v1/agent/service/"+url.PathEscape(id), nil) == http.StatusOK
}

// until waits for what will be.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); runtime.Gosched() {
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("not %s", what)
		}
	}
}

// found waits until the service has exactly these instances, and says how long that took.
func found(t testing.TB, r *consul.Registry, service string, urls ...string) time.Duration {
	t.Helper()
	begun := time.Now()
	slices.Sort(urls)
	until(t, fmt.Sprintf("%s at %q", service, urls), func() bool {
		got, err := r.Resolve(t.Context(), service)
		return slices.Equal(got, urls) && (err == nil || errors.Is(err, httpapi.ErrNoService))
	})
	return time.Since(begun)
}

// house is a process that Consul may check and that can be made ill.
type house struct {
	*httptest.Server
	ill    atomic.Bool
	checks atomic.Int64
	calls  atomic.Int64
}

func newHouse(t testing.TB) *house {
	h := &house{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/readyz":
			h.calls.Add(1)
		case h.ill.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
			fallthrough
		default:
			h.checks.Add(1)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// register registers a house and checks it every second.
func register(t testing.TB, r *consul.Registry, service string, h *house) *consul.Registration {
	t.Helper()
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	reg, err := r.Register(t.Context(), consul.Instance{
		Service: service, Address: u.Hostname(), Port: port, Every: time.Second, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestConformance(t *testing.T) {
	at := engines.URL(t, engines.Consul)
	registrytest.Exercise(t, func(t *testing.T) (httpapi.Resolver, registrytest.Set) {
		r, prefix := live(t, at)
		t.Cleanup(func() { forget(t, at, prefix) })
		return r, func(t *testing.T, service string, urls ...string) { set(t, at, prefix+service, urls...) }
	})
}

// places is how many instances a test's service has at most.
const places = 3

// set registers exactly these instances, without checks. An instance keeps its place, so that replacing one is one
// step in Consul too.
func set(t testing.TB, at, name string, urls ...string) {
	t.Helper()
	for i := range places {
		id := name + "-" + strconv.Itoa(i)
		if i >= len(urls) {
			tell(t, http.MethodPut, at+"/v1/agent/service/deregister/"+id, nil)
			continue
		}
		u, err := url.Parse(urls[i])
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			t.Fatal(err)
		}
		body := map[string]any{"ID": id, "Name": name, "Address": u.Hostname(), "Port": port, "Meta": map[string]string{"scheme": u.Scheme}}
		if status := tell(t, http.MethodPut, at+"/v1/agent/service/register", body); status != http.StatusOK {
			t.Fatalf("registering %s: status %d", id, status)
		}
	}
}

func forget(t testing.TB, at, prefix string) {
	t.Helper()
	for _, service := range []string{"order", "payment"} {
		set(t, at, prefix+service)
	}
}

// TestChecks: an instance that is ill, or dead, is taken out, and put back when it is well.
func TestChecks(t *testing.T) {
	at := engines.URL(t, engines.Consul)
	r, _ := live(t, at)
	one, two := newHouse(t), newHouse(t)
	if err := r.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for _, h := range []*house{one, two} {
		reg := register(t, r, "order", h)
		defer func() {
			if err := reg.Deregister(context.Background()); err != nil {
				t.Error(err)
			}
		}()
	}
	found(t, r, "order", one.URL, two.URL)
	until(t, "checked", func() bool { return one.checks.Load() > 0 && two.checks.Load() > 0 })
	one.ill.Store(true)
	found(t, r, "order", two.URL)
	one.ill.Store(false)
	found(t, r, "order", one.URL, two.URL)
	two.CloseClientConnections()
	two.Close()
	found(t, r, "order", one.URL)
	one.ill.Store(true)
	found(t, r, "order") // all are ill, and Consul was there all the time: at once
}

// TestAChangeIsKnownAtOnce to whoever watches, not when a query ends by itself.
func TestAChangeIsKnownAtOnce(t *testing.T) {
	at := engines.URL(t, engines.Consul)
	r, prefix := live(t, at)
	defer set(t, at, prefix+"order")
	for i := range 5 {
		one := fmt.Sprintf("http://127.0.0.1:90%d0", i)
		found(t, r, "order")
		set(t, at, prefix+"order", one)
		if d := found(t, r, "order", one); d > time.Second {
			t.Errorf("it took %s to come", d)
		}
		set(t, at, prefix+"order")
		if d := found(t, r, "order"); d > time.Second {
			t.Errorf("it took %s to go", d)
		}
	}
}

// TestRestart: an agent that forgot everything is told again, and who looks misses nothing meanwhile; nor later, when
// the instance deregisters.
func TestRestart(t *testing.T) {
	s := engines.Private(t, engines.Consul)
	registrar, prefix := live(t, s.URL())
	log := &journal{}
	r := another(t, s.URL(), prefix, log)
	h := newHouse(t)
	reg := register(t, registrar, "order", h)
	found(t, r, "order", h.URL)
	if err := s.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Ping(t.Context()); err == nil {
		t.Error("Consul answers")
	}
	until(t, "noticed", func() bool {
		if urls, err := r.Resolve(t.Context(), "order"); err != nil || len(urls) != 1 {
			t.Fatalf("while Consul is gone: %q, %v", urls, err)
		}
		return strings.Contains(log.String(), "it is away")
	})
	if _, err := r.Resolve(t.Context(), "payment"); err == nil || errors.Is(err, httpapi.ErrNoService) {
		t.Errorf("who was never known: %v", err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "registered again", func() bool {
		if urls, err := r.Resolve(t.Context(), "order"); err != nil || len(urls) != 1 {
			t.Fatalf("after the restart: %q, %v", urls, err)
		}
		return knows(t, s.URL(), reg.ID())
	})
	checks := h.checks.Load()
	until(t, "checked", func() bool { return h.checks.Load() > checks })
	found(t, r, "payment")
	found(t, another(t, s.URL(), prefix, t.Output()), "order", h.URL)
	if err := reg.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	if knows(t, s.URL(), reg.ID()) {
		t.Error("the agent still knows the instance")
	}
	found(t, r, "order")
}

// TestRegisterBeforeConsul is there.
func TestRegisterBeforeConsul(t *testing.T) {
	s := engines.Private(t, engines.Consul)
	if err := s.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, _ := live(t, s.URL())
	h := newHouse(t)
	reg := register(t, r, "order", h)
	if _, err := r.Resolve(t.Context(), "order"); err == nil || errors.Is(err, httpapi.ErrNoService) {
		t.Errorf("Resolve: %v", err)
	}
	if err := reg.Deregister(t.Context()); err == nil {
		t.Error("it was deregistered at nobody")
	}
	reg = register(t, r, "order", h)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	found(t, r, "order", h.URL)
	if err := reg.Deregister(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBalancing: a client over two registered instances uses both, and leaves out the one that dies.
func TestBalancing(t *testing.T) {
	r, _ := live(t, engines.URL(t, engines.Consul))
	one, two := newHouse(t), newHouse(t)
	for _, h := range []*house{one, two} {
		reg := register(t, r, "order", h)
		defer func() {
			if err := reg.Deregister(context.Background()); err != nil {
				t.Error(err)
			}
		}()
	}
	found(t, r, "order", one.URL, two.URL)
	transport := httpapi.NewTransport()
	defer transport.CloseIdleConnections()
	client := httpapi.NewClient(httpapi.ClientOptions{Resolver: r, Transport: transport})
	call := func() error {
		_, err := client.Do(t.Context(), httpapi.Call{To: "order", Op: "GET /v1/orders"})
		return err
	}
	for range 200 {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := one.calls.Load(), two.calls.Load(); a < 50 || b < 50 || a+b != 200 {
		t.Errorf("of 200 calls one answered %d and the other %d", a, b)
	}
	two.CloseClientConnections()
	two.Close()
	failed := 0
	until(t, "left out", func() bool {
		if call() != nil {
			failed++
		}
		urls, err := r.Resolve(t.Context(), "order")
		return err == nil && slices.Equal(urls, []string{one.URL})
	})
	if failed > 20 { // the breaker of the dead one is open long before Consul knows
		t.Errorf("%d calls failed", failed)
	}
	before := one.calls.Load()
	for range 100 {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	if n := one.calls.Load() - before; n != 100 {
		t.Errorf("the one that is left answered %d of 100", n)
	}
}
