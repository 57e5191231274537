package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/local"
	"github.com/tiffin-food/tiffin/internal/cache"
	cachememory "github.com/tiffin-food/tiffin/internal/cache/memory"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/order"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noon    = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	errAway = errors.New("away")

	exclusive = durable.Features{Exclusive: true}
	shared    = durable.Features{} // every read goes to the store
)

const ada = "0190a000-0000-7000-8000-000000000001"

// frailStore is a store that can be away.
type frailStore struct {
	*memory.Store
	away atomic.Bool
}

func (s *frailStore) fails() error {
	if s.away.Load() {
		return errAway
	}
	return nil
}

func (s *frailStore) Create(ctx context.Context, r durable.Record) error {
	if err := s.fails(); err != nil {
		return err
	}
	return s.Store.Create(ctx, r)
}

func (s *frailStore) Save(ctx context.Context, r durable.Record) error {
	if err := s.fails(); err != nil {
		return err
	}
	return s.Store.Save(ctx, r)
}

func (s *frailStore) Load(ctx context.Context, id string) (durable.Record, error) {
	if err := s.fails(); err != nil {
		return durable.Record{}, err
	}
	return s.Store.Load(ctx, id)
}

func (s *frailStore) List(ctx context.Context, party, before string, limit int) ([]durable.Record, error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, party, before, limit)
}

func (s *frailStore) Claim(ctx context.Context, c durable.Claim) ([]durable.Record, time.Time, error) {
	if err := s.fails(); err != nil {
		return nil, time.Time{}, err
	}
	return s.Store.Claim(ctx, c)
}

func (s *frailStore) Backlog(ctx context.Context, now time.Time, limit int) (int, time.Time, error) {
	if err := s.fails(); err != nil {
		return 0, time.Time{}, err
	}
	return s.Store.Backlog(ctx, now, limit)
}

// frailCache is a cache that can be away. It fails the test where a copy is written of what is not in the store.
type frailCache struct {
	*cachememory.Cache
	t      *testing.T
	orders *memory.Store
	away   atomic.Bool
}

func (c *frailCache) Get(ctx context.Context, key string) (cache.Entry, bool, error) {
	if c.away.Load() {
		return cache.Entry{}, false, errAway
	}
	return c.Cache.Get(ctx, key)
}

func (c *frailCache) Put(ctx context.Context, key string, e cache.Entry, ttl time.Duration) error {
	if c.away.Load() {
		return errAway
	}
	stored, err := c.orders.Load(ctx, strings.TrimPrefix(key, "order:"))
	if err != nil || stored.Version < e.Version {
		c.t.Errorf("version %d of %s is copied, and the store has %d, %v", e.Version, key, stored.Version, err)
	}
	return c.Cache.Put(ctx, key, e, ttl)
}

// world carries out what the service owes: messages go to the broker, and commands are answered once it answers.
type world struct {
	broker  broker.Publisher
	answers atomic.Bool
}

func (w *world) Execute(ctx context.Context, o durable.Owed, key string) durable.Outcome {
	switch {
	case o.Kind == durable.KindMessage:
		if err := w.broker.Publish(ctx, broker.Message{ID: key, Exchange: o.To, Key: o.Op, Time: noon, Body: o.Body}); err != nil {
			return durable.Outcome{Verdict: durable.Retry, Detail: err.Error()}
		}
		return durable.Outcome{Verdict: durable.Accepted}
	case w.answers.Load():
		return durable.Outcome{Verdict: durable.Accepted, Body: []byte("{}")}
	}
	return durable.Outcome{Verdict: durable.Retry, Detail: "nobody answers"}
}

// shop is an order service alone: over stores in memory, with the local broker, in a bubble's time.
type shop struct {
	t      *testing.T
	ctx    context.Context
	orders *frailStore
	cache  *frailCache // where the shop has copies
	world  *world
	http   *http.Client
	client *client.Client
	ids    int
}

// shopID is the id of the nth thing that a shop names.
func shopID(n int) string { return fmt.Sprintf("0190b000-0000-7000-8000-%012d", n) }

// inShop runs a test in a shop that sells Lasagna.
func inShop(t *testing.T, features durable.Features, copies bool, change func(*orderapi.Options), test func(*shop)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		now, err := clock.New(noon, 1)
		if err != nil {
			t.Fatal(err)
		}
		var loop sync.WaitGroup
		life, end := context.WithCancel(context.WithoutCancel(t.Context()))
		loop.Go(func() { now.Run(life) })
		s := &shop{t: t, ctx: t.Context(), orders: &frailStore{Store: memory.New(features)}, world: &world{}}
		newID := func() string { s.ids++; return shopID(s.ids) }
		letters := 0
		b := local.New(local.NewBox(memory.New(exclusive), func() string { letters++; return shopID(1e6 + letters) }, now.Now))
		s.world.broker = b
		opt := orderapi.Options{
			Shell:  durable.Options{Owner: "alone", Clock: now, Executor: s.world},
			Orders: s.orders, Menus: memory.New(exclusive), Broker: b,
			Customers: func(context.Context, string) (bool, error) { return true, nil },
			NewID:     newID, Limits: order.DefaultLimits,
		}
		var writer *cache.Writer
		if copies {
			c, err := cachememory.New(now, 1000)
			if err != nil {
				t.Fatal(err)
			}
			s.cache = &frailCache{Cache: c, t: t, orders: s.orders.Store}
			writer = cache.NewWriter(cache.WriterOptions{Cache: s.cache, TTL: time.Hour})
			writer.Start()
			opt.Copies = struct {
				*cache.Reader
				*cache.Writer
			}{cache.NewReader(s.cache, time.Hour), writer}
		}
		if change != nil {
			change(&opt)
		}
		service := orderapi.New(opt)
		for _, q := range service.Queues() {
			if err := b.Subscribe(life, q.Queue, q.Handler); err != nil {
				t.Fatal(err)
			}
		}
		a := httpapi.New(httpapi.Options{Name: "OrderService", Version: "test", Authenticate: claimed})
		service.Routes(a)
		transport := httpapi.NewLocal(nil)
		transport.Handle("order", a)
		s.http = &http.Client{Transport: transport}
		if s.client, err = client.New("http://order", transport); err != nil {
			t.Fatal(err)
		}
		service.Start()
		if err := b.Publish(s.ctx, broker.Message{ID: "menu-1", Key: orderapi.MenuQueue.Name, Body: menu(t, 1, 1295)}); err != nil {
			t.Fatal(err)
		}
		test(s)
		s.orders.away.Store(false)
		stop := context.WithoutCancel(s.ctx)
		if err := service.Stop(stop); err != nil {
			t.Error(err)
		}
		if writer != nil {
			s.cache.away.Store(false)
			if err := writer.Stop(stop); err != nil {
				t.Error(err)
			}
		}
		transport.CloseIdleConnections()
		end()
		loop.Wait()
	})
}

// claimed takes a request for whose it says that it is, and for root's where it says nothing.
var claimed = auth.AuthenticatorFunc(func(r *http.Request) (auth.Caller, error) {
	if claim := r.Header.Get(auth.Header); claim != "" {
		return auth.Decode(claim)
	}
	return auth.Root, nil
})

// menu is the body of the demo restaurant's menu.
func menu(t *testing.T, version, cents int64) []byte {
	t.Helper()
	b, err := json.Marshal(wire.MenuChanged{
		Restaurant: wire.RestaurantCard{ID: wire.DemoRestaurant, Name: "Demo"}, Version: version,
		Items: []wire.MenuItem{{Product: "Lasagna", Price: wire.Money{Amount: cents, Currency: wire.Euro}, Available: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// ask makes one request; headers come in pairs.
func (s *shop) ask(method, path, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.ctx, method, "http://order"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, strings.TrimSpace(string(b))}
}

// want is ask, where only one status will do, and the body must say something.
func (s *shop) want(status int, says, method, path, body string, headers ...string) answer {
	s.t.Helper()
	a := s.ask(method, path, body, headers...)
	if a.status != status || !strings.Contains(a.body, says) {
		s.t.Errorf("%s %s %v: %s, want %d saying %q", method, path, headers, a, status, says)
	}
	return a
}

const wish = `{"customer_id":"` + ada + `","items":[{"product":"Lasagna"}]}`

// place places an order, and returns when all is done that can be done for it now.
func (s *shop) place() (id string) {
	s.t.Helper()
	a := s.want(http.StatusAccepted, ada, http.MethodPost, "/v1/orders", wish)
	synctest.Wait()
	return strings.TrimPrefix(a.header.Get("Location"), "/v1/orders/")
}

// tell brings the order a status as another service would.
func (s *shop) tell(id string, status wire.Status) {
	s.t.Helper()
	s.want(http.StatusAccepted, "", http.MethodPost, "/v1/queues/OrderService/messages", statusMessage(id, status))
	synctest.Wait()
}

func statusMessage(id string, status wire.Status) string {
	return `{"status":"` + string(status) + `","metadata":{"receiver":"OrderService","order_id":"` + id + `","customer_id":"` + ada + `"}}`
}
