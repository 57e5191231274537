package consul_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/registry/consul"
)

var order = consul.Instance{ID: "order-1", Service: "order", Address: "10.0.0.1", Port: 8000}

// registered is what the agent knows of an instance.
func (a *agent) registered(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[id]
}

func TestRegistering(t *testing.T) {
	register := func(t *testing.T, r *consul.Registry) *consul.Registration {
		t.Helper()
		reg, err := r.Register(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		return reg
	}
	for _, c := range []struct {
		name string
		run  func(*testing.T, *agent, *consul.Registry)
	}{
		{"and deregistering", func(t *testing.T, a *agent, r *consul.Registry) {
			reg := register(t, r)
			if a.registered("order-1") == "" || reg.ID() != "order-1" {
				t.Error("it is not there")
			}
			time.Sleep(time.Hour)
			for range 2 {
				if err := reg.Deregister(t.Context()); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Hour)
			if a.registered("order-1") != "" {
				t.Error("it is still there")
			}
		}},
		{"again where the agent has forgotten", func(t *testing.T, a *agent, r *consul.Registry) {
			reg := register(t, r)
			before := a.registered("order-1")
			for range 3 {
				a.change(func() { clear(a.known) })
				time.Sleep(6 * time.Second)
				if a.registered("order-1") != before {
					t.Errorf("it is %q, was %q", a.registered("order-1"), before)
				}
			}
			if err := reg.Deregister(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		{"again soon after an outage in which the agent forgot", func(t *testing.T, a *agent, r *consul.Registry) {
			reg := register(t, r)
			a.change(func() { a.away = true; clear(a.known) })
			time.Sleep(time.Hour)
			a.requests()
			time.Sleep(time.Minute)
			if n := len(a.requests()); n < 20 || n > 65 {
				t.Errorf("in a minute it asked %d times", n)
			}
			if err := reg.Deregister(t.Context()); !errors.Is(err, errRefused) {
				t.Errorf("deregistered while Consul is away: %v", err)
			}
			reg = register(t, r)
			a.change(func() { a.away = false })
			time.Sleep(3 * time.Second)
			if a.registered("order-1") == "" {
				t.Error("it is not there")
			}
			if err := reg.Deregister(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		{"is waited for no longer than the caller likes", func(t *testing.T, a *agent, r *consul.Registry) {
			a.change(func() { a.hangs = true })
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			reg, err := r.Register(ctx, order)
			if err != nil || time.Since(begun) != time.Second {
				t.Fatalf("%v after %s", err, time.Since(begun))
			}
			a.change(func() { a.hangs = false })
			time.Sleep(3 * time.Second)
			if a.registered("order-1") == "" {
				t.Error("it is not there")
			}
			a.change(func() { a.hangs = true })
			begun = time.Now()
			if err := reg.Deregister(ctx); err == nil || time.Since(begun) != 0 {
				t.Errorf("%v after %s", err, time.Since(begun))
			}
		}},
		{"is refused", func(t *testing.T, a *agent, r *consul.Registry) {
			a.change(func() { a.status = 403 })
			if _, err := r.Register(t.Context(), order); err == nil || !strings.Contains(err.Error(), "status 403") {
				t.Errorf("Register: %v", err)
			}
			a.requests()
			time.Sleep(time.Minute)
			if n := len(a.requests()); n != 0 {
				t.Errorf("it goes on trying, %d times", n)
			}
		}},
		{"ends with the registry, which deregisters nobody", func(t *testing.T, a *agent, r *consul.Registry) {
			reg := register(t, r)
			r.Close()
			if a.registered("order-1") == "" {
				t.Error("it is not there")
			}
			if _, err := r.Register(t.Context(), order); !errors.Is(err, consul.ErrClosed) {
				t.Errorf("Register: %v", err)
			}
			if err := reg.Deregister(t.Context()); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAgent()
				c.run(t, a, open(t, a, consul.Options{}))
			})
		})
	}
}

// TestWhatIsRegistered is what Consul is told, to the letter.
func TestWhatIsRegistered(t *testing.T) {
	for _, c := range []struct {
		in   consul.Instance
		id   string
		want string
	}{
		{
			order, "order-1", `{"ID":"order-1","Name":"p-order","Address":"10.0.0.1","Port":8000,"Meta":{"scheme":"http"},` +
				`"Check":{"Name":"order /readyz","HTTP":"http://10.0.0.1:8000/readyz","Interval":"10s","Timeout":"2s",` +
				`"Status":"passing","DeregisterCriticalServiceAfter":"1m0s"}}`,
		},
		{
			consul.Instance{
				Service: "order", Address: "::1", Port: 443, TLS: true, SkipVerify: true, Check: "/health", Every: time.Second,
				Tags: []string{"a"}, Version: "v1",
			}, "p-order-[::1]:443", `{"ID":"p-order-[::1]:443","Name":"p-order","Address":"::1","Port":443,"Tags":["a"],` +
				`"Meta":{"scheme":"https","version":"v1"},` +
				`"Check":{"Name":"order /health","HTTP":"https://[::1]:443/health","Interval":"1s","Timeout":"2s","TLSSkipVerify":true,` +
				`"Status":"passing","DeregisterCriticalServiceAfter":"1m0s"}}`,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAgent()
			reg, err := open(t, a, consul.Options{Prefix: "p-"}).Register(t.Context(), c.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.registered(c.id); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
			if err := reg.Deregister(t.Context()); err != nil || a.registered(c.id) != "" {
				t.Error("it is still there", err)
			}
		})
	}
}

func TestWhatCannotBeRegistered(t *testing.T) {
	r := open(t, newAgent(), consul.Options{})
	for _, in := range []consul.Instance{
		{Address: "a", Port: 1},
		{Service: "order", Port: 1},
		{Service: "order", Address: "0.0.0.0", Port: 1},
		{Service: "order", Address: "::", Port: 1},
		{Service: "order", Address: "a/b", Port: 1},
		{Service: "order", Address: "a"},
		{Service: "order", Address: "a", Port: 65536},
		{Service: "order", Address: "a", Port: 1, Check: "readyz"},
		{Service: "order", Address: "a", Port: 1, Every: time.Millisecond},
	} {
		if _, err := r.Register(t.Context(), in); err == nil {
			t.Errorf("%+v was registered", in)
		}
	}
}
