package app

import (
	"context"
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/cache"
	customerapi "github.com/tiffin-food/tiffin/internal/customer/api"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/delivery"
	deliveryapi "github.com/tiffin-food/tiffin/internal/delivery/api"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/kitchen"
	kitchenapi "github.com/tiffin-food/tiffin/internal/kitchen/api"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/payment"
	paymentapi "github.com/tiffin-food/tiffin/internal/payment/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// service is what every service offers.
type service interface {
	part
	Routes(*httpapi.API)
}

// Kinds of records, which name their tables.
const (
	Orders      = "orders"
	Menus       = "menus"
	Payments    = "payments"
	Customers   = "customers"
	Deliveries  = "deliveries"
	Tickets     = "tickets"
	Restaurants = "restaurants"
	DeadLetters = "dead_letters"

	PaymentQuarantine  = "payment_quarantine"
	DeliveryQuarantine = "delivery_quarantine"
	KitchenQuarantine  = "kitchen_quarantine"

	Accounts = "accounts"
	Logins   = "logins"
	Sessions = "sessions"
	Keys     = "keys"
)

// wire makes the services of this process.
func (s *System) wire(ctx context.Context, names []string) error {
	for _, name := range names {
		svc, err := s.make(ctx, name)
		if err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
		opt := httpapi.Options{
			Name: titles[name].name, Title: "Tiffin " + titles[name].name, Version: s.cfg.Version,
			Description: titles[name].about, Log: s.log.With("service", name), Checks: s.checks(name),
			Authenticate: s.authenticator(name, s.inner()),
			Tracer:       s.tel.Tracer(name), Meter: s.meter(name),
		}
		if len(names) < len(Services) { // who asks is in another process
			opt.Pressure = s.press()
		}
		a := httpapi.New(opt)
		s.metrics(a, auth.Everyone)
		svc.Routes(a)
		s.apis[name] = a
		s.parts = append(s.parts, svc)
		if err := s.mount(name, a); err != nil {
			return err
		}
	}
	if s.partners != nil {
		return s.partners.open(ctx, s)
	}
	return nil
}

var titles = map[string]struct{ name, about string }{
	wire.OrderService:    {"OrderService", "Takes orders and follows them from click to door."},
	wire.PaymentService:  {"PaymentService", "Charges an order once, and gives back once what was charged."},
	wire.CustomerService: {"CustomerService", "Knows who orders, where they live and how they pay. It never holds a card number."},
	wire.DeliveryService: {"DeliveryService", "Has meals delivered by the transport company."},
	wire.IdentityService: {"IdentityService", "Knows who is who: accounts, sessions, and the keys of programs."},
	wire.KitchenService:  {"KitchenService", "Has meals cooked by the restaurants, and keeps their menus."},
}

// checks are what a service needs, and as peers what it can do without for a while.
func (s *System) checks(name string) []httpapi.Check {
	checks := []httpapi.Check{{Name: "database", Func: func(ctx context.Context) error {
		db, err := s.dbs.of(ctx, name)
		if err != nil {
			return err
		}
		return db.Ping(ctx)
	}}}
	peer := func(name string, ping func(context.Context) error) {
		checks = append(checks, httpapi.Check{Name: name, Peer: true, Func: ping})
	}
	if s.rabbit != nil {
		peer("rabbitmq", s.rabbit.Ping)
	}
	if s.redis != nil && name == wire.OrderService {
		peer("redis", s.redis.Ping)
	}
	if s.consul != nil {
		peer("consul", s.consul.Ping)
	}
	return checks
}

func (s *System) make(ctx context.Context, name string) (service, error) {
	var failed error
	store := func(kind string) durable.Store {
		st, err := s.store(ctx, name, kind)
		if err != nil && failed == nil {
			failed = err
		}
		return s.watched(st, name, kind)
	}
	switch name {
	case wire.IdentityService:
		return s.makeIdentity(store, &failed)
	case wire.OrderService:
		opt := orderapi.Options{
			Shell: s.shellOf(name), Orders: store(Orders), Menus: store(Menus), NewID: s.ids.New,
			Limits: s.cfg.Limits, Customers: s.knownCustomers(), Broker: s.broker, MaxBacklog: s.cfg.Outbox,
			Progress: s.progress(),
		}
		if failed != nil {
			return nil, failed
		}
		if s.redis != nil {
			s.copies = cache.NewWriter(cache.WriterOptions{Cache: s.redis, TTL: orderTTL, Log: s.log})
			s.copies.Start()
			opt.Copies = copies{cache.NewReader(s.redis, orderTTL), s.copies}
		}
		svc := orderapi.New(opt)
		for _, q := range svc.Queues() {
			if err := s.subscribe(q.Queue, s.tel.Handler(name, q.Name, q.Handler)); err != nil {
				return nil, err
			}
		}
		return svc, nil
	case wire.PaymentService:
		return paymentapi.New(paymentapi.Options{
			Shell: s.shellOf(name), Payments: store(Payments), Quarantine: store(PaymentQuarantine), NewID: s.ids.New,
			Silence: payment.DefaultSilence,
		}), failed
	case wire.CustomerService:
		return customerapi.New(customerapi.Options{
			Shell: s.shellOf(name), Customers: store(Customers), NewID: s.ids.New, Prices: demoPrices(),
		}), failed
	case wire.DeliveryService:
		return deliveryapi.New(deliveryapi.Options{
			Shell: s.shellOf(name), Deliveries: store(Deliveries), Quarantine: store(DeliveryQuarantine), NewID: s.ids.New,
			Silence: delivery.DefaultSilence,
		}), failed
	case wire.KitchenService:
		return kitchenapi.New(kitchenapi.Options{
			Shell: s.shellOf(name), Tickets: store(Tickets), Restaurants: store(Restaurants), Quarantine: store(KitchenQuarantine),
			NewID: s.ids.New, Silence: kitchen.DefaultSilence,
		}), failed
	}
	return nil, CheckServices([]string{name})
}

// orderTTL is how long a copy of an order lives.
const orderTTL = 30 * time.Minute

// copies are the copies of orders: read through, and written behind the commits.
type copies struct {
	*cache.Reader
	*cache.Writer
}

// demoPrices are what the original's products cost.
func demoPrices() map[string]int64 {
	prices := map[string]int64{}
	for _, r := range dataset.Demo().Restaurants {
		if r.ID == wire.DemoRestaurant {
			for _, item := range r.Items {
				prices[item.Product] = item.Price.Amount
			}
		}
	}
	return prices
}
