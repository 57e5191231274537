package app

import (
	"context"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/local"
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
)

// wire makes the services of this process and what is between them.
func (s *System) wire(ctx context.Context, names []string) error {
	dead, err := s.db.Store(ctx, DeadLetters)
	if err != nil {
		return err
	}
	box := local.NewBox(dead, s.ids.New, s.Clock.Now)
	s.broker = local.New(box)
	s.letters = letters{box, s.broker}
	for _, name := range names {
		svc, err := s.make(ctx, name)
		if err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
		a := httpapi.New(httpapi.Options{
			Name: titles[name].name, Title: "Tiffin " + titles[name].name, Version: s.cfg.Version,
			Description: titles[name].about, Log: s.log.With("service", name), Checks: s.checks(),
		})
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
	wire.KitchenService:  {"KitchenService", "Has meals cooked by the restaurants, and keeps their menus."},
}

// checks are what every service needs.
func (s *System) checks() []httpapi.Check {
	return []httpapi.Check{{Name: "sqlite", Func: func(ctx context.Context) error {
		_, err := s.db.LastTime(ctx)
		return err
	}}}
}

func (s *System) make(ctx context.Context, name string) (service, error) {
	var failed error
	store := func(kind string) durable.Store {
		st, err := s.db.Store(ctx, kind)
		if err != nil && failed == nil {
			failed = err
		}
		return st
	}
	switch name {
	case wire.OrderService:
		svc := orderapi.New(orderapi.Options{
			Shell: s.shell(), Orders: store(Orders), Menus: store(Menus), NewID: s.ids.New,
			Limits: s.cfg.Limits, Customers: s.knownCustomers(), Letters: s.letters,
		})
		for queue, handle := range svc.Queues() {
			if err := s.broker.Subscribe(s.life, broker.Queue{Name: queue}, handle); err != nil {
				return nil, err
			}
		}
		if err := s.broker.Subscribe(s.life, orderapi.MenuQueue, svc.Menu); err != nil {
			return nil, err
		}
		s.orders = svc
		return svc, failed
	case wire.PaymentService:
		return paymentapi.New(paymentapi.Options{Shell: s.shell(), Payments: store(Payments), Silence: payment.DefaultSilence}), failed
	case wire.CustomerService:
		return customerapi.New(customerapi.Options{
			Shell: s.shell(), Customers: store(Customers), NewID: s.ids.New, Prices: demoPrices(),
		}), failed
	case wire.DeliveryService:
		return deliveryapi.New(deliveryapi.Options{
			Shell: s.shell(), Deliveries: store(Deliveries), NewID: s.ids.New, Silence: delivery.DefaultSilence,
		}), failed
	case wire.KitchenService:
		return kitchenapi.New(kitchenapi.Options{
			Shell: s.shell(), Tickets: store(Tickets), Restaurants: store(Restaurants), NewID: s.ids.New,
			Silence: kitchen.DefaultSilence,
		}), failed
	}
	return nil, CheckServices([]string{name})
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
