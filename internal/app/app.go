package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker/local"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
	"github.com/tiffin-food/tiffin/internal/gateway"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/id"
	"github.com/tiffin-food/tiffin/internal/order"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/registry/static"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// System is a running Tiffin: services, broker and, where wanted, the simulated companies in one process.
// New starts it, Stop ends it.
type System struct {
	Clock   *clock.Clock
	Gateway http.Handler
	Client  *client.Client // through the gateway, in process

	cfg      Config
	log      *slog.Logger
	db       *sqlite.DB
	owner    string
	ids      *id.Source
	local    *httpapi.Local
	registry *static.Registry
	http     *httpapi.Client
	broker   *local.Broker
	letters  letters
	apis     map[string]*httpapi.API
	orders   *orderapi.Service // nil where it is not served here
	parts    []part
	partners *partners

	life  context.Context
	end   context.CancelFunc
	loops sync.WaitGroup // the clock's
}

// part is something that works until it is stopped.
type part interface {
	Start()
	Stop(context.Context) error
}

// Files of the data folder.
const (
	DataFile    = "tiffin.db"
	PartnerFile = "partners.db"
)

// breakerOpen is how long a circuit stays open, by the clock: on one that runs fast, seconds of real time would be
// the whole of an order's patience.
const breakerOpen = 5 * time.Second

// defaultDrain is how long Stop waits where the configuration does not say.
const defaultDrain = 10 * time.Second

// New opens the data, takes up what earlier runs left to do, and serves. names are the services of this process.
func New(ctx context.Context, cfg Config, names ...string) (_ *System, err error) {
	if cfg.Limits == (order.Limits{}) {
		cfg.Limits = order.DefaultLimits
	}
	if cfg.Drain == 0 {
		cfg.Drain = defaultDrain
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(cfg.Check(), CheckServices(names)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	s := &System{cfg: cfg, log: cfg.Log, apis: map[string]*httpapi.API{}}
	s.life, s.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Drain)
			defer cancel()
			_ = s.Stop(stop)
		}
	}()
	if s.db, err = sqlite.Open(ctx, filepath.Join(cfg.Data, DataFile)); err != nil {
		return nil, err
	}
	began, err := s.db.LastTime(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.Partners {
		if s.partners, err = openPartners(ctx, cfg); err != nil {
			return nil, err
		}
		if last := s.partners.last; last.After(began) {
			began = last
		}
	}
	if err := s.startClock(began); err != nil {
		return nil, err
	}
	s.ids = id.NewSource(s.Clock.Now, rand.Reader)
	s.owner = s.ids.New()
	s.local = httpapi.NewLocal(httpapi.NewTransport())
	failures := 0
	if s.Clock.IsVirtual() {
		failures = -1
	}
	if s.registry, err = static.New(nil); err != nil {
		return nil, err
	}
	if cfg.APIKey == "" {
		cfg.APIKey = s.ids.New()
	}
	keys := map[string]string{} // for our services alone: no partner is shown it
	for _, name := range Services {
		keys[name] = cfg.APIKey
	}
	s.http = httpapi.NewClient(httpapi.ClientOptions{
		Resolver: s.registry, Transport: s.local, Keys: keys, Failures: failures,
		OpenFor: max(time.Millisecond, time.Duration(float64(breakerOpen)/cfg.Speed)),
	})
	if err := s.wire(ctx, names); err != nil {
		return nil, err
	}
	if err := s.door(); err != nil {
		return nil, err
	}
	for _, p := range s.parts {
		p.Start()
	}
	for _, a := range s.apis {
		a.SetReady(true)
	}
	if err := s.firstData(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// startClock makes the clock show the present, or where the data ends if that is later: it never goes back.
func (s *System) startClock(began time.Time) (err error) {
	if now := time.Now(); s.cfg.Virtual.IsZero() && began.Before(now) {
		began = now
	}
	if began.Before(s.cfg.Virtual) {
		began = s.cfg.Virtual
	}
	if s.cfg.Virtual.IsZero() {
		if s.Clock, err = clock.New(began, s.cfg.Speed); err != nil {
			return err
		}
	} else {
		s.Clock = clock.Virtual(began)
	}
	s.loops.Go(func() { s.Clock.Run(s.life) })
	return nil
}

// shell is what every runner of the process has in common.
func (s *System) shell() durable.Options {
	return durable.Options{
		Owner: s.owner, Clock: s.Clock, Log: s.log,
		Flush:    time.Second, // a finished record leaves memory then
		Executor: executor{client: s.http, publisher: s.broker, clock: s.Clock},
	}
}

// mount serves a handler in process under a service's name, and lets clients find it.
func (s *System) mount(name string, h http.Handler) error {
	s.local.Handle(name, h)
	return s.registry.Set(name, "http://"+name)
}

// Serve answers on the listener until ctx ends, then finishes every request.
func (s *System) Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	return httpapi.Serve(ctx, ln, h, httpapi.ServeOptions{Log: s.log})
}

// API is the HTTP side of a service of this process, or nil.
func (s *System) API(name string) *httpapi.API { return s.apis[name] }

// Find tells this process's clients where a service is that runs elsewhere.
func (s *System) Find(name string, urls ...string) error { return s.registry.Set(name, urls...) }

// Stop finishes what is under way, as long as ctx allows, and closes the data. What is not finished is taken up by
// the next run.
func (s *System) Stop(ctx context.Context) error {
	var errs []error
	for _, a := range s.apis {
		a.SetReady(false)
	}
	// All at once: the parts call each other, and each waits for what it has under way.
	var wait sync.WaitGroup
	var mu sync.Mutex
	for _, p := range s.parts {
		wait.Go(func() {
			if err := p.Stop(ctx); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	s.end()
	s.loops.Wait()
	if s.local != nil {
		s.local.CloseIdleConnections()
	}
	if s.partners != nil {
		errs = append(errs, s.partners.db.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// Now is the system's time.
func (s *System) Now() time.Time { return s.Clock.Now() }

// NewID makes an id.
func (s *System) NewID() string { return s.ids.New() }

// door makes the gateway over the services of this process.
func (s *System) door() error {
	g := gateway.New(gateway.Options{
		Version: s.cfg.Version, Transport: s.local, Log: s.log, DemoCustomer: dataset.Demo().Customers[0].ID,
	})
	s.Gateway, s.apis["gateway"] = g, g.API
	s.local.Handle("gateway", g)
	c, err := client.New("http://gateway", s.local)
	s.Client = c
	return err
}

// firstData brings in the demo data where there is none yet.
func (s *System) firstData(ctx context.Context) error {
	if !s.cfg.Demo || s.apis[wire.KitchenService] == nil || s.apis[wire.CustomerService] == nil {
		return nil
	}
	found := false
	if err := client.Each(ctx, s.Client, "/v1/restaurants?limit=1", func(wire.RestaurantCard) bool {
		found = true
		return false
	}); err != nil || found {
		return err
	}
	_, err := dataset.Import(ctx, s.Client, dataset.Demo())
	return err
}

// Address is where a service listens on host when it is served apart.
func Address(host, service string) string {
	return net.JoinHostPort(host, strconv.Itoa(Ports[service]))
}
