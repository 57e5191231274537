package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/engines"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// secret is the password in URLs: no answer and no line of a log shows it.
const secret = "hunter2"

// eventually asks a server again and again until it is as it should be: nobody outside is told when.
func eventually(t *testing.T, what string, so func() (seen any, ok bool)) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	for {
		seen, ok := so()
		if ok {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("after %s there is no %s: %v", patience, what, seen)
		}
	}
}

// visitor asks one process.
type visitor struct {
	outside
	t    *testing.T
	ctx  context.Context
	base string
}

func visit(t *testing.T, base string, shown ...string) visitor {
	v := visitor{newOutside(t), t, context.WithoutCancel(t.Context()), base}
	if len(shown) > 0 {
		v.shown = shown
	}
	return v
}

// ask makes a request that must be answered soon, whatever is away.
func (v visitor) ask(method, path string, body any) answer {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience/2)
	defer cancel()
	a, err := v.do(ctx, method, v.base+path, body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, path, err)
	}
	if bytes.Contains(a.body, []byte(secret)) {
		v.t.Errorf("%s %s shows the password: %s", method, path, a)
	}
	return a
}

// want is ask, where only one status will do, and the body must say something.
func (v visitor) want(status int, says, method, path string, body any) answer {
	v.t.Helper()
	a := v.ask(method, path, body)
	if a.status != status || !bytes.Contains(a.body, []byte(says)) {
		v.t.Errorf("%s %s: %s, want %d saying %q", method, path, a, status, says)
	}
	return a
}

// until asks until the answer has the status.
func (v visitor) until(status int, method, path string, body any) (a answer) {
	v.t.Helper()
	eventually(v.t, fmt.Sprintf("%d for %s %s", status, method, path), func() (any, bool) {
		a = v.ask(method, path, body)
		return a, a.status == status
	})
	return a
}

// resources are the lines of a process's health.
func (v visitor) resources() map[string]bool {
	v.t.Helper()
	all := map[string]bool{}
	for _, r := range decoded[httpapi.Health](v.t, v.ask(http.MethodGet, "/health", nil).body).Resources {
		all[r.Name] = r.Status
	}
	return all
}

// TestDatabaseAway: a service whose database is not there yet is alive, and says what it waits for and that it takes
// nothing; when it comes the service is ready. When it goes again requests are told so, until it is back.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	for _, kind := range []engines.Kind{engines.PostgreSQL, engines.MongoDB} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			ctx := context.WithoutCancel(t.Context())
			server := engines.Private(t, kind)
			if err := server.Kill(ctx); err != nil {
				t.Fatal(err)
			}
			url := strings.Replace(server.URL(), "postgres@", "postgres:"+secret+"@", 1) // which nobody asks for
			port := freePort(t)
			const missing = "the database of the customer service"
			p := start(t, "waiting for "+missing, "serve", "customer", "--port", port, "--data", t.TempDir(), "--customer-db", url,
				"--api-key", innerKey)
			p.awaitReady()
			v := visit(t, "http://127.0.0.1:"+port, inside...)
			customer := func(name string) map[string]any {
				return map[string]any{
					"email": name + "@example.org", "name": name, "payment_token": "tok_ok",
					"address": map[string]any{"name": name, "street": "1 Street", "zipcode": "123", "city": "London"},
				}
			}
			refused := func(says, method, path string, body any) {
				t.Helper()
				a := v.want(503, says, method, path, body)
				problemOf(t, a)
				if a.header.Get("Retry-After") == "" {
					t.Errorf("%s %s: %v", method, path, a.header)
				}
			}
			v.want(200, "ok", http.MethodGet, "/livez", nil)
			v.want(503, "", http.MethodGet, "/readyz", nil)
			v.want(500, `"name":"`+missing+`","status":false`, http.MethodGet, "/health", nil)
			refused("waiting for "+missing, http.MethodPost, "/v1/customers", customer("early"))
			refused("waiting for "+missing, http.MethodGet, "/v1/customers", nil)

			if err := server.Start(ctx); err != nil {
				t.Fatal(err)
			}
			v.until(200, http.MethodGet, "/readyz", nil)
			v.want(200, `"status":true`, http.MethodGet, "/health", nil)
			v.want(201, "first@example.org", http.MethodPost, "/v1/customers", customer("first"))

			if err := server.Kill(ctx); err != nil {
				t.Fatal(err)
			}
			refused("", http.MethodPost, "/v1/customers", customer("second"))
			v.until(500, http.MethodGet, "/health", nil) // it is looked at once a second
			v.want(200, "ok", http.MethodGet, "/livez", nil)
			if err := server.Start(ctx); err != nil {
				t.Fatal(err)
			}
			v.until(201, http.MethodPost, "/v1/customers", customer("third"))
			v.want(200, "first@example.org", http.MethodGet, "/v1/customers", nil)
			p.stop()
			if strings.Contains(p.said(), secret) {
				t.Errorf("it logs the password:\n%s", p.said())
			}
		})
	}
}

// TestStopWhileWaiting: who waits for what never comes can be told to stop.
func TestStopWhileWaiting(t *testing.T) {
	t.Parallel()
	p := start(t, "waiting for the database", "serve", "customer", "--port", freePort(t), "--data", t.TempDir(),
		"--api-key", innerKey, "--customer-db", "postgres://nobody@127.0.0.1:1/none?sslmode=disable")
	p.awaitReady()
	p.stop()
}

// patient are limits that no outage of a test reaches, however fast its clock runs.
func patient(args ...string) []string {
	for _, limit := range []string{"payment", "driver", "kitchen", "silence"} {
		args = append(args, "--"+limit+"-limit", "168h")
	}
	return args
}

// TestRabbitMQAway: without the broker orders are taken all the same, and delivered when it is back.
func TestRabbitMQAway(t *testing.T) {
	t.Parallel()
	ctx := context.WithoutCancel(t.Context())
	rabbit := engines.Private(t, engines.RabbitMQ)
	data := t.TempDir()
	p := up(t, data, patient("--speed", "400", "--broker", rabbit.URL())...)
	v := visit(t, p.address())
	place := func() string {
		t.Helper() // the menu came by the broker
		return decoded[wire.Order](t, v.until(202, http.MethodPost, "/v1/orders", wish(ada, "")).body).ID
	}
	ids := []string{place()}
	if err := rabbit.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ids = append(ids, decoded[wire.Order](t, v.want(202, "", http.MethodPost, "/v1/orders", wish(grace, "")).body).ID)
	}
	v.want(200, `"status"`, http.MethodGet, "/v1/orders/"+ids[1], nil)
	v.want(503, "", http.MethodGet, "/v1/queues", nil)
	if err := rabbit.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		await, cancel := context.WithTimeout(ctx, patience)
		last := event{}
		err := v.follow(await, v.base, id, 0, func(e event) bool { last = e; return !e.Settled })
		cancel()
		if err != nil || !last.Settled || last.Status != wire.Delivered {
			t.Errorf("%s has come to %+v, %v", id, last, err)
		}
	}
	p.stop()
	ok(t, "verify", "--data", data)
}

// TestRedisAway: without Redis everything is answered, and when it is back it has copies again.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	ctx := context.WithoutCancel(t.Context())
	redis := engines.Private(t, engines.Redis)
	p := up(t, t.TempDir(), "--redis", redis.URL())
	v := visit(t, p.address())
	place := func() string {
		t.Helper()
		return decoded[wire.Order](t, v.want(202, "", http.MethodPost, "/v1/orders", wish(mute, "")).body).ID
	}
	copied := func(id string) {
		t.Helper()
		eventually(t, "copy of "+id, func() (any, bool) {
			c := decoded[app.Copy](t, []byte(ok(t, "cache", "show", id, "--redis", redis.URL(), "--json")))
			return c, c.Found && bytes.Contains(c.Order, []byte(id))
		})
	}
	first := place()
	copied(first)
	if err := redis.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	second := place()
	for range 10 { // until nobody asks Redis any more, and then
		for _, id := range []string{first, second} {
			v.want(200, id, http.MethodGet, "/v1/orders/"+id, nil)
		}
	}
	fails(t, 1, "redis: ", "cache", "show", first, "--redis", redis.URL())
	if err := redis.Start(ctx); err != nil { // which has forgotten everything
		t.Fatal(err)
	}
	copied(second)
	v.want(200, first, http.MethodGet, "/v1/orders/"+first, nil)
	p.stop()
}

// TestConsulAway: who was found before Consul went is still called, and nobody is ill for it.
func TestConsulAway(t *testing.T) {
	t.Parallel()
	ctx := context.WithoutCancel(t.Context())
	server := engines.Private(t, engines.Consul)
	registry := "consul://" + strings.TrimPrefix(server.URL(), "http://")
	served := func(unit string, flags ...string) (*process, visitor) {
		t.Helper()
		port := freePort(t)
		p := start(t, "ready", append([]string{
			"serve", unit, "--port", port, "--data", t.TempDir(), "--registry", registry, "--api-key", innerKey,
		}, flags...)...)
		p.awaitReady()
		return p, visit(t, "http://127.0.0.1:"+port)
	}
	identity, _ := served("identity", identityFlags(t)...)
	customer, its := served("customer")
	gateway, v := served("gateway")
	v.until(200, http.MethodGet, "/v1/customers", nil)
	problemOf(t, v.want(503, "", http.MethodGet, "/v1/restaurants", nil)) // nobody is known to serve them
	if !its.resources()["consul"] {
		t.Error("the customer service does not see Consul")
	}
	if err := server.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "notice of Consul's end", func() (any, bool) { r := its.resources(); return r, !r["consul"] })
	its.want(200, `"status":true`, http.MethodGet, "/health", nil) // a peer
	for range 20 {
		v.want(200, "[", http.MethodGet, "/v1/customers", nil)
	}
	if err := server.Start(ctx); err != nil { // which has forgotten everything
		t.Fatal(err)
	}
	eventually(t, "notice of Consul's return", func() (any, bool) { r := its.resources(); return r, r["consul"] })
	for range 20 {
		v.want(200, "[", http.MethodGet, "/v1/customers", nil)
	}
	for _, p := range slices.Backward([]*process{identity, customer, gateway}) {
		p.stop()
	}
}
