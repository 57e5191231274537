package api_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
	"github.com/tiffin-food/tiffin/internal/identity/token"
	"github.com/tiffin-food/tiffin/internal/keyring"
)

func TestKeysOfPrograms(t *testing.T) {
	for _, features := range []durable.Features{exclusive, shared} {
		atDesk(t, features, nil, func(d *desk) {
			create := func(status int, says, body string) identityapi.NewAPIKey {
				d.t.Helper()
				a := d.want(status, says, "POST", "/v1/keys", body, auth.Header, operator)
				if status != 201 {
					return identityapi.NewAPIKey{}
				}
				if a.header.Get("Cache-Control") != "no-store" || strings.Contains(a.body, "digest") {
					d.t.Errorf("%s %v", a, a.header)
				}
				return into[identityapi.NewAPIKey](d.t, a)
			}
			till := create(201, `"by":"account:root"`, `{"name":"till","scopes":["operator"]}`)
			reader := create(201, "", `{"name":"screen","scopes":["operator:read"],"expires":"2026-03-14T13:00:00Z"}`)
			order := create(201, "", `{"name":"order","scopes":["service:order"]}`)
			create(422, "body.scopes[0]", `{"name":"x","scopes":["king"]}`)
			create(422, "body.scopes", `{"name":"x","scopes":[]}`)
			create(422, "body.expires", `{"name":"x","scopes":["operator"],"expires":"2026-03-14T11:59:59Z"}`)

			list := d.want(200, `"name":"till"`, "GET", "/v1/keys", "", auth.KeyHeader, till.Text)
			if strings.Contains(list.body, "digest") || strings.Contains(list.body, till.Text[21:]) {
				t.Errorf("%s", list)
			}
			d.want(200, "", "GET", "/v1/keys", "", "Authorization", "Bearer "+reader.Text)
			d.want(403, "", "DELETE", "/v1/keys/"+till.ID, "", auth.KeyHeader, reader.Text)
			d.want(401, "", "GET", "/v1/keys", "", auth.KeyHeader, order.Text) // no key of the inside opens the door
			d.want(401, "", "GET", "/v1/keys", "", auth.KeyHeader, till.Text, "Authorization", "Bearer "+till.Text)
			d.want(204, "", "DELETE", "/v1/keys/"+till.ID, "", auth.Header, operator)
			d.want(401, "", "GET", "/v1/keys", "", auth.KeyHeader, till.Text)
			d.want(204, "", "DELETE", "/v1/keys/"+till.ID, "", auth.Header, operator)
			d.want(404, "", "DELETE", "/v1/keys/0000000000000000", "", auth.Header, operator)
			d.want(200, `"revoked_by":"account:root"`, "GET", "/v1/keys", "", auth.Header, operator)
			d.pass(time.Hour)
			d.want(401, "", "GET", "/v1/keys", "", auth.KeyHeader, reader.Text)

			k, text, err := auth.NewKey(rand.Reader, "gateway", []auth.Scope{"gateway"}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := d.service.EnsureKeys(d.ctx, []auth.Key{k}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := auth.Match(d.service, text, d.clock.Now()); err != nil {
				t.Error(err)
			}
			d.want(204, "", "DELETE", "/v1/keys/"+k.ID, "", auth.Header, operator)
			if err := d.service.EnsureKeys(d.ctx, []auth.Key{k}); err != nil {
				t.Fatal(err)
			}
			if _, err := auth.Match(d.service, text, d.clock.Now()); !errors.Is(err, auth.ErrCredential) {
				t.Errorf("a revoked key lives again: %v", err)
			}
		})
	}
}

// TestSnapshot: whoever has seen the keys is told so.
func TestSnapshot(t *testing.T) {
	atDesk(t, exclusive, nil, func(d *desk) {
		empty := d.want(200, `"keys":[]`, "GET", "/v1/keys/snapshot", "", auth.Header, inside)
		d.want(403, "", "GET", "/v1/keys/snapshot", "", auth.Header, operator)
		d.want(401, "", "GET", "/v1/keys/snapshot", "")
		made := into[identityapi.NewAPIKey](t, d.want(201, "", "POST", "/v1/keys", `{"name":"till","scopes":["operator"]}`, auth.Header, operator))
		got := d.want(200, `"digest"`, "GET", "/v1/keys/snapshot", "", auth.Header, inside, "If-None-Match", empty.header.Get("ETag"))
		same := d.want(304, "", "GET", "/v1/keys/snapshot", "", auth.Header, inside, "If-None-Match", got.header.Get("ETag"))
		if same.body != "" || same.header.Get("ETag") != got.header.Get("ETag") {
			t.Errorf("%s %v", same, same.header)
		}
		d.want(204, "", "DELETE", "/v1/keys/"+made.ID, "", auth.Header, operator)
		d.want(200, `"revoked":true`, "GET", "/v1/keys/snapshot", "", auth.Header, inside, "If-None-Match", got.header.Get("ETag"))

		// And so does another process hear of it.
		client := httpapi.NewClient(httpapi.ClientOptions{Resolver: static{}, Transport: as{inside, d.http.Transport}, Failures: 2})
		ring := keyring.New(keyring.Options{Source: keyring.From(client, "identity")})
		ring.Start(d.ctx)
		<-ring.Ready()
		again := into[identityapi.NewAPIKey](t, d.want(201, "", "POST", "/v1/keys", `{"name":"till","scopes":["operator"]}`, auth.Header, operator))
		d.pass(time.Second)
		if _, err := auth.Match(ring, again.Text, d.clock.Now()); err != nil {
			t.Error(err)
		}
		d.want(204, "", "DELETE", "/v1/keys/"+again.ID, "", auth.Header, operator)
		d.pass(time.Second)
		if _, err := auth.Match(ring, again.Text, d.clock.Now()); !errors.Is(err, auth.ErrCredential) {
			t.Error(err)
		}
		ring.Stop()
		if b := client.Instances(); len(b) != 1 || b[0].State != "closed" {
			t.Errorf("%+v", b)
		}
		set, err := token.From(client, "identity")(d.ctx)
		if want, _ := d.service.JWKS(d.ctx); err != nil || !reflect.DeepEqual(set, want) {
			t.Errorf("%+v %v", set, err)
		}
	})
}

// static is where identity is.
type static struct{}

func (static) Resolve(context.Context, string) ([]string, error) {
	return []string{"http://identity"}, nil
}

// as sends requests in somebody's name.
type as struct {
	claim string
	http.RoundTripper
}

func (a as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(auth.Header, a.claim)
	return a.RoundTripper.RoundTrip(r)
}

// sickStore is a store whose lists can fail.
type sickStore struct {
	*memory.Store
	sick  atomic.Bool
	lists atomic.Int64
}

func (s *sickStore) List(ctx context.Context, party, before string, limit int) ([]durable.Record, error) {
	s.lists.Add(1)
	if s.sick.Load() {
		return nil, errors.New("sick")
	}
	return s.Store.List(ctx, party, before, limit)
}

// TestTwoInstances: what one makes and revokes the other knows within half a second, by one list of the store.
func TestTwoInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := clock.Virtual(noon)
		store := &sickStore{Store: memory.New(shared)}
		instance := func(owner string) *identityapi.Service {
			s, err := identityapi.New(identityapi.Options{
				Shell:    durable.Options{Owner: owner, Clock: now},
				Accounts: memory.New(shared), Logins: memory.New(shared), Sessions: memory.New(shared), Keys: store,
				Signer: testSigner(t, now),
			})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		one, two := instance("one"), instance("two")
		k, text, err := auth.NewKey(strings.NewReader(strings.Repeat("x", 40)), "till", []auth.Scope{"operator"}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		match := func(s *identityapi.Service, want error, lists int64) {
			t.Helper()
			before := store.lists.Load()
			if _, err := auth.Match(s, text, now.Now()); !errors.Is(err, want) || store.lists.Load()-before != lists {
				t.Errorf("%v, want %v; %d lists, want %d", err, want, store.lists.Load()-before, lists)
			}
		}
		pass := func(d time.Duration) {
			rung := make(chan struct{})
			now.At(now.Now().Add(d), func() { close(rung) })
			life, end := context.WithCancel(t.Context())
			go now.Run(life)
			now.Release()
			<-rung
			synctest.Wait()
			now.Hold()
			end()
			synctest.Wait()
		}
		store.sick.Store(true)
		match(two, httpapi.ErrUnavailable, 1)
		match(two, httpapi.ErrUnavailable, 0)
		store.sick.Store(false)
		pass(time.Second)
		match(two, auth.ErrCredential, 1)
		if err := one.EnsureKeys(t.Context(), []auth.Key{k}); err != nil {
			t.Fatal(err)
		}
		match(one, nil, 1)
		match(two, auth.ErrCredential, 0)
		pass(500 * time.Millisecond)
		match(two, nil, 1)
		match(two, nil, 0)
		store.sick.Store(true)
		pass(time.Second)
		match(two, nil, 1) // what is known is used
		for _, s := range []*identityapi.Service{one, two} {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
