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
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/cache/redis"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/id"
	identityapi "github.com/tiffin-food/tiffin/internal/identity/api"
	"github.com/tiffin-food/tiffin/internal/keyring"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/pressure"
	"github.com/tiffin-food/tiffin/internal/registry/consul"
	"github.com/tiffin-food/tiffin/internal/telemetry"
	"github.com/tiffin-food/tiffin/internal/webhook"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// System is a running Tiffin, or those of its services that run in this process. New starts it, Stop ends it.
type System struct {
	Clock   *clock.Clock
	Gateway http.Handler
	Client  *client.Client // through the gateway, in process

	cfg      Config
	log      *slog.Logger
	tel      *telemetry.Telemetry
	dbs      *databases
	owner    string
	self     auth.Key // the process itself, as an operator at its own gateway
	token    string
	wall     *clock.Clock         // of whatever has to do with who somebody is: see startWall
	identity *identityapi.Service // nil: in another process
	ring     *keyring.Snapshot    // nil: the identity service is in this one
	known    auth.Keys
	ids      *id.Source
	local    *httpapi.Local
	outer    *httpapi.Local // to the companies
	secrets  map[string][]webhook.Secret
	dir      directory
	consul   *consul.Registry // nil: another registry
	http     *httpapi.Client
	broker   messenger
	rabbit   *rabbitmq.Broker // nil: the local broker
	redis    *redis.Cache     // nil: no copies
	copies   *cache.Writer    // of orders; nil: none
	pressure *pressure.Gauge  // nil under a virtual clock: time waits for the work there
	apis     map[string]*httpapi.API
	parts    []part
	partners *partners

	life   context.Context
	end    context.CancelFunc
	listen context.Context // of subscriptions
	deafen context.CancelFunc
	loops  sync.WaitGroup // the clock's, and the subscriptions'
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

// defaultLease is how long an instance may be silent before others take its work over, where the configuration does
// not say.
const defaultLease = 30 * time.Second

// defaultDrain is how long Stop waits where the configuration does not say.
const defaultDrain = 10 * time.Second

// New opens the data, takes up what earlier runs left to do, and serves. names are the services of this process.
func New(ctx context.Context, cfg Config, names ...string) (_ *System, err error) {
	if cfg.Limits == (order.Limits{}) {
		cfg.Limits = order.DefaultLimits
	}
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
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
	secrets, err := cfg.secrets(names)
	if err != nil {
		return nil, err
	}
	if err := cfg.openCertificate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	s := &System{cfg: cfg, log: cfg.Log, apis: map[string]*httpapi.API{}, dbs: newDatabases(cfg, false), secrets: secrets}
	s.life, s.end = context.WithCancel(context.Background())
	s.listen, s.deafen = context.WithCancel(s.life)
	defer func() {
		if err != nil {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Drain)
			defer cancel()
			_ = s.Stop(stop)
		}
	}()
	began, err := s.openData(ctx, names)
	if err != nil {
		return nil, err
	}
	if err := s.startClock(began); err != nil {
		return nil, err
	}
	if err := s.startWall(); err != nil {
		return nil, err
	}
	s.ids = id.NewSource(s.Clock.Now, rand.Reader)
	s.owner = s.ids.New()
	if s.self, s.token, err = auth.NewKey(rand.Reader, "this process", []auth.Scope{"operator"}, time.Time{}); err != nil {
		return nil, err
	}
	if s.tel, err = s.openTelemetry(); err != nil {
		return nil, err
	}
	if err := s.connect(ctx, names); err != nil {
		return nil, err
	}
	s.findKeys(names)
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
	if err := errors.Join(s.firstPeople(ctx), s.firstData(ctx)); err != nil {
		return nil, err
	}
	return s, nil
}

// openData opens the databases of the services, and says how far their clock came.
func (s *System) openData(ctx context.Context, names []string) (began time.Time, err error) {
	for _, name := range names {
		err := s.await(ctx, "the database of the "+name+" service", func() error {
			_, err := s.dbs.of(ctx, name)
			return err
		})
		if err != nil {
			return began, err
		}
	}
	if s.cfg.Partners {
		if s.partners, err = openPartners(ctx, s.cfg); err != nil {
			return began, err
		}
		began = s.partners.last
	}
	if s.cfg.Speed == 1 && s.cfg.shared() || !s.cfg.From.IsZero() { // the present, whatever others wrote
		return began, nil
	}
	latest, err := s.dbs.latest(ctx)
	if latest.After(began) {
		began = latest
	}
	return began, err
}

// connect makes what the services speak to each other through.
func (s *System) connect(ctx context.Context, names []string) (err error) {
	networks, err := s.cfg.networks()
	if err != nil {
		return err
	}
	s.local, s.outer = httpapi.NewLocal(httpapi.NewTransport()), httpapi.NewLocal(httpapi.NewOuterTransport(networks))
	if s.cfg.Redis != "" {
		if s.redis, err = redis.Open(redis.Options{URL: s.cfg.Redis, Prefix: redisPrefix, Log: s.log}); err != nil {
			return err
		}
	}
	if err := s.find(ctx); err != nil {
		return err
	}
	failures := 0
	if s.Clock.IsVirtual() {
		failures = -1
	}
	if s.cfg.APIKey == "" {
		s.cfg.APIKey = s.ids.New()
	}
	keys := map[string]string{} // for our services alone: no partner is shown it
	for _, name := range Services {
		keys[name] = s.cfg.APIKey
	}
	if !s.Clock.IsVirtual() {
		s.pressure = pressure.New(pressure.Target, time.Now)
	}
	opt := httpapi.ClientOptions{
		Resolver: s.dir, Transport: s.local, Keys: keys, Outside: s.outside(), Failures: failures, Pressure: s.hear(),
		OpenFor: max(time.Millisecond, time.Duration(float64(breakerOpen)/s.cfg.Speed)),
	}
	s.http = httpapi.NewClient(opt)
	if s.partners != nil { // who are shown no key of ours, and have none to show
		opt.Keys, opt.Outside, opt.Pressure = nil, s.inside(), nil
		s.partners.client = httpapi.NewClient(opt)
	}
	return s.openBroker(ctx, names)
}

// startClock makes the clock show the present, or where the data ends if that is later: it never goes back. Where
// several processes share a clock that runs faster, it is the same line in all of them.
func (s *System) startClock(began time.Time) (err error) {
	now := time.Now()
	if !s.cfg.From.IsZero() {
		began = s.cfg.From.Add(time.Duration(float64(now.Sub(s.cfg.From)) * s.cfg.Speed))
	} else if s.cfg.Virtual.IsZero() && began.Before(now) {
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

// startWall starts the clock of whatever has to do with who somebody is: real time, however fast the business runs, as
// others read the times in a token too. Where time is virtual there is but one: what identity writes must not be later
// than all the rest, since the data's last time is where the next run goes on.
func (s *System) startWall() (err error) {
	if s.Clock.IsVirtual() {
		s.wall = s.Clock
		return nil
	}
	if s.wall, err = clock.New(time.Now(), 1); err != nil {
		return err
	}
	s.loops.Go(func() { s.wall.Run(s.life) })
	return nil
}

// hear takes what other processes say of their pressure, and press says ours; nil where there is none.
func (s *System) hear() func(float64) {
	if s.pressure == nil {
		return nil
	}
	return s.pressure.Hear
}

func (s *System) press() func() float64 {
	if s.pressure == nil {
		return nil
	}
	return s.pressure.Value
}

// shell is what every runner of the process has in common.
func (s *System) shell() durable.Options {
	opt := durable.Options{
		Owner: s.owner, Clock: s.Clock, Log: s.log,
		Flush:    time.Second, // a finished record leaves memory then
		Executor: executor{client: s.http, publisher: s.tel.Publisher(s.broker), clock: s.Clock},
	}
	if s.cfg.shared() { // what is agreed with other processes is real time, however fast the clock runs
		onWall := func(d time.Duration) time.Duration { return time.Duration(float64(d) * s.cfg.Speed) }
		opt.Lease, opt.Flush, opt.Poll = onWall(s.cfg.Lease), onWall(time.Second), onWall(time.Second)
	}
	return opt
}

// mount serves a handler in process under a service's name, and lets clients find it.
func (s *System) mount(name string, h http.Handler) error {
	s.local.Handle(name, h)
	return s.dir.here.Set(name, "http://"+name)
}

// Serve answers on the listener until ctx ends, then finishes every request: over TLS where the door has a certificate,
// and with no more connections of one address than it allows.
func (s *System) Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	opt := httpapi.ServeOptions{Log: s.log}
	if s.cfg.cert != nil {
		opt.TLS = s.cfg.cert.Config()
	}
	return httpapi.Serve(ctx, s.cfg.connections(ln), h, opt)
}

// API is the HTTP side of a service of this process, or nil.
func (s *System) API(name string) *httpapi.API { return s.apis[name] }

// Find sends this process's clients elsewhere for a service: past a recorder or to a mock, say.
func (s *System) Find(name string, urls ...string) error { return s.dir.here.Set(name, urls...) }

// Stop finishes what is under way, as long as ctx allows, and closes the data. What is not finished is taken up by
// the next run.
func (s *System) Stop(ctx context.Context) error {
	var errs []error
	for _, a := range s.apis {
		a.SetReady(false)
	}
	if s.rabbit != nil { // it keeps what is not taken; the local broker needs its queues until its publishers have ended
		s.deafen()
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
	errs = append(errs, s.disconnect(ctx), s.tel.Close(ctx))
	s.end()
	s.loops.Wait()
	if s.partners != nil {
		errs = append(errs, s.partners.db.Close())
	}
	return errors.Join(append(errs, s.dbs.close())...)
}

// disconnect ends what connect began.
func (s *System) disconnect(ctx context.Context) error {
	var errs []error
	if s.ring != nil {
		s.ring.Stop()
	}
	if s.copies != nil {
		errs = append(errs, s.copies.Stop(ctx))
	}
	if s.rabbit != nil {
		errs = append(errs, s.rabbit.Close(ctx))
	}
	if s.consul != nil {
		s.consul.Close()
	}
	if s.redis != nil {
		errs = append(errs, s.redis.Close())
	}
	for _, l := range []*httpapi.Local{s.local, s.outer} {
		if l != nil {
			l.CloseIdleConnections()
		}
	}
	return errors.Join(errs...)
}

// Now is the system's time.
func (s *System) Now() time.Time { return s.Clock.Now() }

// Token is a key with which whoever holds the System is an operator at its gateway, as long as the process runs.
func (s *System) Token() string { return s.token }

// NewID makes an id.
func (s *System) NewID() string { return s.ids.New() }

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
