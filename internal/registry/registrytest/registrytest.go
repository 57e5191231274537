// Package registrytest is the suite every registry passes. A registry may learn of a change late; the suite waits
// for it as long as the test may run, asking again each time.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Set makes exactly these instances known, by whatever way the registry has.
type Set func(t *testing.T, service string, urls ...string)

// Exercise runs the suite; open makes an empty registry for one test.
func Exercise(t *testing.T, open func(*testing.T) (httpapi.Resolver, Set)) {
	t.Run("an unknown service is ErrNoService", func(t *testing.T) {
		r, _ := open(t)
		if urls, err := r.Resolve(t.Context(), "nobody"); !errors.Is(err, httpapi.ErrNoService) || len(urls) != 0 {
			t.Fatalf("Resolve = %q, %v", urls, err)
		}
	})
	t.Run("instances are found", func(t *testing.T) {
		r, set := open(t)
		set(t, "order", "http://127.0.0.1:8000", "http://127.0.0.1:8010")
		set(t, "payment", "http://127.0.0.1:8001")
		await(t, r, "order", "http://127.0.0.1:8000", "http://127.0.0.1:8010")
		await(t, r, "payment", "http://127.0.0.1:8001")
	})
	t.Run("every answer is a list of base URLs", func(t *testing.T) {
		r, set := open(t)
		set(t, "order", "http://127.0.0.1:8000")
		await(t, r, "order", "http://127.0.0.1:8000")
		urls, err := r.Resolve(t.Context(), "order")
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range urls {
			if u, err := url.Parse(raw); err != nil || u.Scheme == "" || u.Host == "" {
				t.Errorf("%q is not a base URL", raw)
			}
		}
	})
	t.Run("instances come and go", func(t *testing.T) {
		r, set := open(t)
		set(t, "order", "http://127.0.0.1:8000")
		await(t, r, "order", "http://127.0.0.1:8000")
		set(t, "order", "http://127.0.0.1:8010", "http://127.0.0.1:8020")
		await(t, r, "order", "http://127.0.0.1:8010", "http://127.0.0.1:8020")
		set(t, "order")
		await(t, r, "order")
	})
	t.Run("a list once given is not changed under its reader", func(t *testing.T) {
		r, set := open(t)
		set(t, "order", "http://127.0.0.1:8000", "http://127.0.0.1:8010")
		await(t, r, "order", "http://127.0.0.1:8000", "http://127.0.0.1:8010")
		urls, err := r.Resolve(t.Context(), "order")
		if err != nil {
			t.Fatal(err)
		}
		before := slices.Clone(urls)
		set(t, "order", "http://127.0.0.1:8020")
		await(t, r, "order", "http://127.0.0.1:8020")
		if !slices.Equal(urls, before) {
			t.Fatalf("the list became %q", urls)
		}
	})
	t.Run("many ask while it changes", func(t *testing.T) {
		r, set := open(t)
		set(t, "order", "http://127.0.0.1:8000")
		await(t, r, "order", "http://127.0.0.1:8000")
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 100 {
					if urls, err := r.Resolve(t.Context(), "order"); err != nil || len(urls) != 1 {
						t.Errorf("Resolve = %q, %v", urls, err)
						return
					}
				}
			})
		}
		for i := range 10 {
			set(t, "order", fmt.Sprintf("http://127.0.0.1:80%d0", i))
		}
		group.Wait()
	})
}

// await asks until the service has exactly these instances, in any order.
func await(t *testing.T, r httpapi.Resolver, service string, want ...string) {
	t.Helper()
	slices.Sort(want)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if d, ok := t.Deadline(); ok {
		ctx, cancel = context.WithDeadline(ctx, d)
		defer cancel()
	}
	for {
		urls, err := r.Resolve(ctx, service)
		got := slices.Sorted(slices.Values(urls))
		if slices.Equal(got, want) && (len(want) > 0 || errors.Is(err, httpapi.ErrNoService)) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s has %q (%v), want %q", service, got, err, want)
		}
		runtime.Gosched()
	}
}
