package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/id"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
	"github.com/tiffin-food/tiffin/internal/identity/token"
)

func TestMain(m *testing.M) {
	identityapi.Cheapen()
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// customers answers for the customer service.
type customers struct {
	mu     sync.Mutex
	answer durable.Outcome
	asked  []durable.Owed
}

var (
	welcome = durable.Outcome{Verdict: durable.Accepted, Status: 201, Body: []byte("{}")}
	taken   = durable.Outcome{Verdict: durable.Rejected, Status: 409, Detail: "a customer with this e-mail address exists already"}
	away    = durable.Outcome{Verdict: durable.Retry, Detail: "nobody answers"}
)

func (c *customers) Execute(_ context.Context, o durable.Owed, _ string) durable.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, o)
	return c.answer
}

func (c *customers) say(o durable.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = o
}

// written is a log that a test can look through.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// desk is an identity service alone, over stores in memory, in a bubble's time. Requests are authenticated as at the
// gateway; as a service whoever says so in auth.Header.
type desk struct {
	t         *testing.T
	ctx       context.Context
	clock     *clock.Clock
	service   *identityapi.Service
	customers *customers
	http      *http.Client
	log       *written
	opt       identityapi.Options
	api       *httpapi.API
}

// atDesk runs a test at a desk.
func atDesk(t *testing.T, features durable.Features, change func(*identityapi.Options), test func(*desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		now, err := clock.New(noon, 1)
		if err != nil {
			t.Fatal(err)
		}
		var loop sync.WaitGroup
		life, end := context.WithCancel(context.WithoutCancel(t.Context()))
		loop.Go(func() { now.Run(life) })
		d := &desk{t: t, ctx: t.Context(), clock: now, customers: &customers{answer: welcome}, log: &written{}}
		ids := id.NewSource(now.Now, rand.Reader)
		log := slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		d.opt = identityapi.Options{
			Shell:    durable.Options{Owner: "alone", Clock: now, Executor: d.customers, Log: log},
			Accounts: memory.New(features), Logins: memory.New(features), Sessions: memory.New(features), Keys: memory.New(features),
			NewID: ids.New, Signer: testSigner(t, now),
		}
		if change != nil {
			change(&d.opt)
		}
		if d.service, err = identityapi.New(d.opt); err != nil {
			t.Fatal(err)
		}
		verifier := token.NewVerifier(token.VerifierOptions{Issuer: "http://identity.test", Source: d.service.JWKS, Now: now.Now})
		door := auth.Outer{Tokens: verifier, Keys: d.service, Now: now.Now}
		d.api = httpapi.New(httpapi.Options{Name: "IdentityService", Version: "test", Log: log, Authenticate: auth.AuthenticatorFunc(
			func(r *http.Request) (auth.Caller, error) {
				if claim := r.Header.Get(auth.Header); claim != "" {
					return auth.Decode(claim)
				}
				return door.Authenticate(r)
			})})
		d.service.Routes(d.api)
		transport := httpapi.NewLocal(nil)
		transport.Handle("identity", d.api)
		d.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		d.service.Start()
		test(d)
		if err := d.service.Stop(context.WithoutCancel(d.ctx)); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		end()
		loop.Wait()
	})
}

// exclusive and shared are the two kinds of stores.
var (
	exclusive = durable.Features{Exclusive: true}
	shared    = durable.Features{}
)

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// into reads the body.
func into[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	return v
}

// ask makes one request; headers come in pairs.
func (d *desk) ask(method, path, body string, headers ...string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.ctx, method, "http://identity"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := d.http.Do(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, strings.TrimSpace(string(b))}
}

// want is ask, where only one status will do, and the body must say something.
func (d *desk) want(status int, says, method, path, body string, headers ...string) answer {
	d.t.Helper()
	a := d.ask(method, path, body, headers...)
	if a.status != status || !strings.Contains(a.body, says) {
		d.t.Errorf("%s %s: %s, want %d saying %q", method, path, a, status, says)
	}
	return a
}

// What people at the desk say.
const (
	password  = "a tiger in the attic"
	other     = "an otter in the cellar"
	signingUp = `{"email":"Ada@Example.com","password":"` + password + `","name":"Ada","address":{"name":"Ada","street":"1","zipcode":"2","city":"3"},` +
		`"payment_token":"tok_ok","masked_card":"************4242"}`
	becoming = `{"name":"Ada","address":{"name":"Ada","street":"1","zipcode":"2","city":"3"},"payment_token":"tok_ok"}`
)

func signingIn(email, password string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

func (d *desk) signUp() identityapi.Account {
	d.t.Helper()
	return into[identityapi.Account](d.t, d.want(201, "", "POST", "/v1/auth/sign-up", signingUp))
}

func (d *desk) signIn(email, password string) identityapi.Tokens {
	d.t.Helper()
	return into[identityapi.Tokens](d.t, d.want(200, "access_token", "POST", "/v1/auth/sign-in", signingIn(email, password)))
}

func refreshing(t identityapi.Tokens) string { return `{"refresh_token":"` + t.RefreshToken + `"}` }

func bearer(t identityapi.Tokens) string { return "Bearer " + t.AccessToken }

// An operator at the gateway, and one of our services inside.
var (
	operator = auth.Caller{Subject: "account:root", Roles: []auth.Role{auth.Operator}}.Encode()
	inside   = auth.InService("order").Encode()
)

func (d *desk) stores() []durable.Store {
	return []durable.Store{d.opt.Accounts, d.opt.Logins, d.opt.Sessions, d.opt.Keys}
}

// testSigner signs with a key of its own.
func testSigner(t *testing.T, now *clock.Clock) *token.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := token.NewSigner(token.SignerOptions{
		Issuer: "http://identity.test", Keys: []ed25519.PrivateKey{key}, Now: now.Now, NewID: id.NewSource(now.Now, rand.Reader).New,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pass lets time pass, and then all be done that is to be done by then.
func (d *desk) pass(t time.Duration) {
	time.Sleep(t)
	synctest.Wait()
}
