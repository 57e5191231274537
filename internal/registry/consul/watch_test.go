package consul_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/registry/consul"
)

// want fails where Resolve does not answer these, or ErrNoService where there are none.
func want(t testing.TB, r *consul.Registry, service string, urls ...string) {
	t.Helper()
	got, err := r.Resolve(soon(t), service)
	if !slices.Equal(got, urls) || errors.Is(err, httpapi.ErrNoService) != (len(urls) == 0) || len(urls) > 0 && err != nil {
		t.Errorf("%s has %q, %v; want %q", service, got, err, urls)
	}
}

// settled waits until the watchers have nothing to do, pauses of theirs included.
func settled() {
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
}

func TestWatching(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *agent, *consul.Registry)
	}{
		{"blocks with the index it was given", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			settled()
			a.say("12", "http://b:1", "http://a:1")
			settled()
			want(t, r, "order", "http://a:1", "http://b:1")
			const path = "GET /v1/health/service/order?"
			if got := a.requests(); !slices.Equal(got, []string{
				path + "passing=1", path + "index=10&passing=1&wait=60000ms", path + "index=12&passing=1&wait=60000ms",
			}) {
				t.Errorf("it asked %q", got)
			}
		}},
		{"asks anew where the index goes back, and blocks where there is none", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			settled()
			a.say("3", "http://a:1")
			settled()
			a.say("0", "http://b:1")
			settled()
			want(t, r, "order", "http://b:1")
			var indexes []string
			for _, req := range a.requests() {
				_, index, _ := strings.Cut(req, "index=")
				index, _, _ = strings.Cut(index, "&")
				indexes = append(indexes, index)
			}
			// 10 → 3: from the beginning; 3 → 0: likewise; then 0 counts as 1.
			if got := strings.Join(indexes, ","); !strings.HasPrefix(got, ",10,,3,,1") {
				t.Errorf("it asked with the indexes %q", got)
			}
		}},
		{"is paced where a service changes all the time", func(t *testing.T, a *agent, r *consul.Registry) {
			want(t, r, "order")
			a.requests()
			for i := range 2000 {
				a.say(fmt.Sprint(11+i), "http://a:1")
				time.Sleep(5 * time.Millisecond)
			}
			if n := len(a.requests()); n > 101 {
				t.Errorf("in 10 s it asked %d times", n)
			}
		}},
		{"believes at once that nobody is left", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			settled()
			a.say("11")
			settled()
			want(t, r, "order")
		}},
		{"doubts it after an outage, for a while", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			a.change(func() { a.away = true })
			time.Sleep(24 * time.Hour)
			want(t, r, "order", "http://a:1")
			a.change(func() { a.away, a.index, a.body = false, "5", "[]" })
			time.Sleep(29 * time.Second)
			want(t, r, "order", "http://a:1")
			time.Sleep(5 * time.Second)
			want(t, r, "order")
			a.say("6", "http://a:1") // and then it is all as before
			settled()
			want(t, r, "order", "http://a:1")
			a.say("7")
			settled()
			want(t, r, "order")
		}},
		{"doubts it after the index went back", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			a.say("2")
			time.Sleep(20 * time.Second)
			want(t, r, "order", "http://a:1")
			a.say("4", "http://b:1")
			settled()
			want(t, r, "order", "http://b:1")
			a.say("5")
			settled()
			want(t, r, "order")
		}},
		{"believes no answer without a leader", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			a.change(func() { a.leader, a.index, a.body = "false", "11", "[]" })
			time.Sleep(time.Hour)
			want(t, r, "order", "http://a:1")
			a.change(func() { a.leader, a.status = "true", 500 })
			time.Sleep(time.Hour)
			want(t, r, "order", "http://a:1")
			a.change(func() { a.status, a.body = 0, "nonsense" })
			time.Sleep(time.Hour)
			want(t, r, "order", "http://a:1")
		}},
		{"takes what a stream says, but that nobody is left from the leader only", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			settled()
			a.change(func() { a.index, a.stream = "11", instances("http://b:1") })
			settled()
			want(t, r, "order", "http://b:1")
			a.change(func() { a.index, a.stream, a.body, a.leader = "12", "[]", "[]", "false" })
			time.Sleep(time.Hour)
			want(t, r, "order", "http://b:1")
			a.change(func() { a.leader = "true" })
			time.Sleep(time.Minute)
			want(t, r, "order")
			a.change(func() { a.index, a.stream, a.body = "13", instances("http://b:1"), instances("http://b:1") })
			settled()
			want(t, r, "order", "http://b:1")
			a.change(func() { a.index, a.stream, a.body = "14", "[]", "[]" })
			settled()
			want(t, r, "order")
		}},
		{"asks seldom while Consul is away, and soon when it is back", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			a.change(func() { a.away = true })
			a.requests()
			time.Sleep(10 * time.Minute)
			if n := len(a.requests()); n < 200 || n > 650 {
				t.Errorf("in 10 minutes it asked %d times", n)
			}
			a.change(func() { a.away, a.index, a.body = false, "11", instances("http://b:1") })
			time.Sleep(3 * time.Second)
			want(t, r, "order", "http://b:1")
		}},
		{"says what is wrong where Consul never answered, and takes its first answer", func(t *testing.T, a *agent, r *consul.Registry) {
			a.change(func() { a.away = true })
			for range 2 {
				if _, err := r.Resolve(soon(t), "order"); !errors.Is(err, errRefused) || errors.Is(err, httpapi.ErrNoService) {
					t.Errorf("Resolve: %v", err)
				}
			}
			if err := r.Ping(soon(t)); !errors.Is(err, errRefused) {
				t.Errorf("Ping: %v", err)
			}
			time.Sleep(time.Minute)
			a.change(func() { a.away = false })
			time.Sleep(3 * time.Second)
			want(t, r, "order")
			if err := r.Ping(soon(t)); err != nil {
				t.Error(err)
			}
			a.change(func() { a.leader = "" })
			if err := r.Ping(soon(t)); err == nil {
				t.Error("without a leader it is well")
			}
		}},
		{"waits for the first answer as long as the caller", func(t *testing.T, a *agent, r *consul.Registry) {
			a.change(func() { a.hangs = true })
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := r.Resolve(ctx, "order"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
				t.Errorf("Resolve: %v after %s", err, time.Since(begun))
			}
			var group sync.WaitGroup
			for range 5 {
				group.Go(func() { want(t, r, "order", "http://a:1") })
			}
			synctest.Wait()
			a.change(func() { a.hangs, a.body = false, instances("http://a:1") })
			group.Wait()
			settled()
			if n := len(a.requests()); n != 2 {
				t.Errorf("%d requests, want one that answers and one that blocks", n)
			}
		}},
		{"notices an agent that is gone without a word", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			settled()
			a.change(func() { a.hangs = true })
			a.requests()
			time.Sleep(2 * time.Minute)
			if n := len(a.requests()); n < 5 {
				t.Errorf("%d requests: it waits for ever", n)
			}
			want(t, r, "order", "http://a:1")
			a.change(func() { a.hangs, a.index, a.body = false, "11", instances("http://b:1") })
			time.Sleep(3 * time.Second)
			want(t, r, "order", "http://b:1")
		}},
		{"ends with the registry", func(t *testing.T, a *agent, r *consul.Registry) {
			a.say("10", "http://a:1")
			want(t, r, "order", "http://a:1")
			a.change(func() { a.hangs = true })
			waits := make(chan error)
			go func() {
				_, err := r.Resolve(t.Context(), "payment")
				waits <- err
			}()
			synctest.Wait()
			r.Close()
			if err := <-waits; !errors.Is(err, consul.ErrClosed) {
				t.Errorf("who waited: %v", err)
			}
			if _, err := r.Resolve(t.Context(), "kitchen"); !errors.Is(err, consul.ErrClosed) {
				t.Errorf("afterwards: %v", err)
			}
			want(t, r, "order", "http://a:1")
			r.Close()
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

// TestTheLogTellsAnOutageOnce: when it begins and when it is over.
func TestTheLogTellsAnOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, log := newAgent(), &journal{}
		r := open(t, a, consul.Options{Token: "secret", Log: log.log()})
		a.say("10", "http://a:1")
		want(t, r, "order", "http://a:1")
		a.change(func() { a.away = true })
		time.Sleep(time.Hour)
		a.change(func() { a.away = false })
		settled()
		time.Sleep(time.Hour)
		if away, back := strings.Count(log.String(), "it is away"), strings.Count(log.String(), "it is back"); away != 1 || back != 1 ||
			strings.Contains(log.String(), "secret") {
			t.Errorf("the log:\n%s", log)
		}
	})
}

func TestInstances(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`[]`, ``},
		{`null`, ``},
		{`[{"Service":{"Address":"10.0.0.1","Port":8000}}]`, `http://10.0.0.1:8000`},
		{`[{"Node":{"Address":"10.0.0.9"},"Service":{"Address":"","Port":8000}}]`, `http://10.0.0.9:8000`},
		{`[{"Node":{"Address":"10.0.0.9"},"Service":{"Address":"order.local","Port":8000}}]`, `http://order.local:8000`},
		{`[{"Service":{"Address":"::1","Port":8000}}]`, `http://[::1]:8000`},
		{`[{"Service":{"Address":"a","Port":443,"Meta":{"scheme":"https"}}}]`, `https://a:443`},
		{`[{"Service":{"Address":"a","Port":1,"Meta":{"scheme":"ftp"}}}]`, `http://a:1`},
		{`[{"Service":{"Address":"a","Port":0}},{"Service":{"Address":"b","Port":1}},{"Service":{"Address":"","Port":1}}]`, `http://b:1`},
		{`[{"Service":{"Address":"b","Port":1}},{"Service":{"Address":"a","Port":1}},{"Service":{"Address":"b","Port":1}}]`, `http://a:1 http://b:1`},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAgent()
			a.body = c.body
			want(t, open(t, a, consul.Options{}), "order", strings.Fields(c.want)...)
		})
	}
}

func TestWhatConsulIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent()
		r := open(t, a, consul.Options{URL: "https://consul.local:8501/behind/", Token: "secret", Prefix: "tiffin-"})
		want(t, r, "a/b")
		settled()
		req := a.asked[0]
		if req.URL.String() != "https://consul.local:8501/behind/v1/health/service/tiffin-a%2Fb?passing=1" || req.Header.Get("X-Consul-Token") != "secret" {
			t.Errorf("%s %v", req.URL, req.Header)
		}
		a.change(func() { a.status = 403 })
		_, err := r.Resolve(soon(t), "payment")
		if err == nil || !strings.Contains(err.Error(), "status 403: No, by order") || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	})
}

func TestURL(t *testing.T) {
	for raw, asked := range map[string]string{
		"":                        "http://127.0.0.1:8500/v1/status/leader?",
		"consul://c:1":            "http://c:1/v1/status/leader?",
		"consul://c":              "http://c:8500/v1/status/leader?",
		"consul://[::1]":          "http://[::1]:8500/v1/status/leader?",
		"http://c:1":              "http://c:1/v1/status/leader?",
		"https://c:1/":            "https://c:1/v1/status/leader?",
		"c:8500":                  "none",
		"ftp://c":                 "none",
		"http://":                 "none",
		"http://:1":               "none",
		"http://c:1?token=secret": "none",
		"http://u:secret@c:1":     "none",
		"http://c:secret":         "none",
		"://secret":               "none",
	} {
		a := newAgent()
		r, err := consul.New(consul.Options{URL: raw, Transport: a})
		if asked == "none" {
			if err == nil || !strings.HasPrefix(err.Error(), "consul: the URL is not") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %v", raw, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		if err := r.Ping(t.Context()); err != nil || a.asked[0].URL.String() != asked {
			t.Errorf("%q: it asks %s, %v; want %s", raw, a.asked[0].URL, err, asked)
		}
		r.Close()
	}
}
