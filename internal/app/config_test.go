package app

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// embedded is a configuration that is valid.
func embedded(t *testing.T, change func(*Config)) Config {
	t.Helper()
	cfg := Config{Version: "test", Data: t.TempDir(), Speed: 1, Limits: order.DefaultLimits}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

// secret is in every URL that is wrong, and in no error.
const secret = "hunter2"

// TestEngineErrors: what is wrong is named, with what would be right, and no password is shown.
func TestEngineErrors(t *testing.T) {
	const anyDB = "expected sqlite:FILE, mongodb://host:port or postgres://host:port/database"
	with := func(change func(*Engines)) func(*Config) { return func(c *Config) { change(&c.Engines) } }
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   []string // nil: it is valid
	}{
		{"embedded", nil, nil},
		{"all of them", with(func(e *Engines) {
			e.Broker, e.MongoDB, e.Postgres, e.Redis, e.Registry = "amqps://u:p@h:1/v", "mongodb://a:1,b:2/?replicaSet=r", "postgresql://u:p@h/d", "rediss://h:1/0", "consul://h:1"
			e.OrderDB, e.PaymentDB, e.KitchenDB, e.URLsDB = "mongodb+srv://h/d", "sqlite:p.db", "postgres://h/d", "sqlite:u.db"
			e.Instance = []string{"order=http://a:1,https://b", wire.CardCompany + "=http://c"}
		}), nil},
		{"catalog", with(func(e *Engines) { e.Registry, e.Broker = "catalog", "local" }), nil},

		{"broker, scheme", with(func(e *Engines) { e.Broker = "http://u:" + secret + "@h:1/" }), []string{"broker: ", "expected local or amqp://user:password@host:port/vhost"}},
		{"broker, no host", with(func(e *Engines) { e.Broker = "amqp:u:" + secret }), []string{"broker: "}},
		{"broker, not encoded", with(func(e *Engines) { e.Broker = "amqp://u:" + secret + "%zz@h/" }), []string{"broker: "}},
		{"broker, a word", with(func(e *Engines) { e.Broker = "rabbitmq" }), []string{"broker: "}},
		{"redis, scheme", with(func(e *Engines) { e.Redis = "http://:" + secret + "@h:1" }), []string{"redis: ", "expected redis://host:port/0"}},
		{"redis, not encoded", with(func(e *Engines) { e.Redis = "redis://:" + secret + "%@h:1" }), []string{"redis: "}},
		{"registry, a word", with(func(e *Engines) { e.Registry = "zookeeper" }), []string{"registry: ", "expected static, catalog or consul://host:port"}},
		{"registry, scheme", with(func(e *Engines) { e.Registry = "http://u:" + secret + "@h:1" }), []string{"registry: "}},
		{"mongodb", with(func(e *Engines) { e.MongoDB = "postgres://u:" + secret + "@h/d" }), []string{"mongodb: ", "expected mongodb://host:port", "percent-encoded"}},
		{"mongodb, a file", with(func(e *Engines) { e.MongoDB = "sqlite:a.db" }), []string{"mongodb: ", "expected mongodb://host:port"}},
		{"postgres", with(func(e *Engines) { e.Postgres = "mongodb://u:" + secret + "@h" }), []string{"postgres: ", "expected postgres://host:port"}},
		{"postgres, not encoded", with(func(e *Engines) { e.Postgres = "postgres://u:" + secret + "%zz@h/d" }), []string{"postgres: "}},
		{"order-db", with(func(e *Engines) { e.OrderDB = "mysql://u:" + secret + "@h/d" }), []string{"order-db: ", anyDB}},
		{"payment-db", with(func(e *Engines) { e.PaymentDB = "mongodb:u:" + secret }), []string{"payment-db: ", anyDB}},
		{"customer-db", with(func(e *Engines) { e.CustomerDB = "sqlite:" }), []string{"customer-db: ", anyDB}},
		{"delivery-db", with(func(e *Engines) { e.DeliveryDB = "a.db" }), []string{"delivery-db: ", anyDB}},
		{"kitchen-db", with(func(e *Engines) { e.KitchenDB = "postgres://" }), []string{"kitchen-db: ", anyDB}},
		{"urls-db", with(func(e *Engines) { e.URLsDB = "redis://:" + secret + "@h" }), []string{"urls-db: ", anyDB}},
		{"instance, no URL", with(func(e *Engines) { e.Instance = []string{"order"} }), []string{`instance: "order"`, "expected SERVICE=URL,… such as order=http://"}},
		{"instance, no service", with(func(e *Engines) { e.Instance = []string{"http://u:" + secret + "@h"} }), []string{"instance: ", "expected SERVICE=URL"}},
		{"instance, unknown", with(func(e *Engines) { e.Instance = []string{"waiter=http://u:" + secret + "@h"} }), []string{`instance: "waiter"`, "expected SERVICE=URL"}},
		{"instance, scheme", with(func(e *Engines) { e.Instance = []string{"order=ftp://h"} }), []string{"instance of order", "http://host:port"}},
		{"instance, a user", with(func(e *Engines) { e.Instance = []string{"order=http://u:" + secret + "@h"} }), []string{"instance of order", "user"}},
		{"instance, not encoded", with(func(e *Engines) { e.Instance = []string{"order=http://u:" + secret + "%zz@h"} }), []string{"instance of order", "http://host:port"}},
		{"instance, no scheme", with(func(e *Engines) { e.Instance = []string{"order=u:" + secret + "@h"} }), []string{"instance of order", "http://host:port"}},
		{"two at once", with(func(e *Engines) { e.Redis, e.Broker = "x", "y" }), []string{"redis: ", "broker: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := embedded(t, c.change)
			err := cfg.Check()
			if (err == nil) != (c.says == nil) {
				t.Fatalf("it is %v", err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("it says %q, not %q", err, want)
				}
			}
			if err == nil {
				return
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("it shows the password: %v", err)
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != len(slices.Compact(slices.Sorted(slices.Values(lines)))) {
				t.Errorf("it says something twice: %v", err)
			}
			if _, err := New(t.Context(), cfg, wire.CustomerService); err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("New: %v", err)
			}
			if left, err := filepath.Glob(cfg.Data + "/*"); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

// TestServeErrors: what cannot be served is said before anything is begun.
func TestServeErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // nothing came
	port := taken.Addr().(*net.TCPAddr).Port
	for _, c := range []struct {
		name   string
		units  []string
		port   int
		change func(*Config)
		says   string
	}{
		{"unknown", []string{"waiter"}, 0, nil, `service "waiter": unknown; expected some of`},
		{"one port for two", []string{"order", "customer"}, 1234, nil, "port: 1234 is for one service, and order, customer are to be served; expected one service, or no port"},
		{"no port at all", []string{"order"}, 65536, nil, "port: 65536 is not valid; expected 1 to 65535"},
		{"port below", []string{"order"}, -1, nil, "port: -1 is not valid"},
		{"port taken", []string{"order"}, port, nil, "listen: "},
		{"no clock-from", []string{"order"}, 0, func(c *Config) { c.Speed = 60 }, "clock-from: missing; "},
		{"local broker", []string{"customer", "payment"}, 0, nil, "broker: local is not enough for the payment service without the order service in the same process; expected amqp://"},
		{"bad setting", []string{"order"}, 0, func(c *Config) { c.Redis = "x" }, "redis: not valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := ServeConfig{Config: embedded(t, c.change), Units: c.units, Listen: "127.0.0.1", Port: c.port, Say: func(what string) {
				t.Errorf("it says %q", what)
			}}
			cfg.APIKey = aKey
			if err := Serve(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, not %q", err, c.says)
			}
		})
	}
}

// TestServedApart: what may run without the others.
func TestServedApart(t *testing.T) {
	const rabbit = "amqp://h"
	for _, c := range []struct {
		broker string
		speed  float64
		from   time.Time
		units  []string
		fine   bool
	}{
		{"", 1, time.Time{}, []string{"customer"}, true},
		{"local", 1, time.Time{}, []string{"order", "payment", "delivery", "kitchen"}, true},
		{"local", 1, time.Time{}, []string{"kitchen"}, false},
		{rabbit, 1, time.Time{}, []string{"kitchen"}, true},
		{rabbit, 60, time.Time{}, []string{"kitchen"}, false},
		{rabbit, 60, time.Now(), []string{"kitchen"}, true},
	} {
		cfg := Config{Engines: Engines{Broker: c.broker}, Speed: c.speed, From: c.from}
		if err := cfg.CheckApart(c.units); (err == nil) != c.fine {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestPlace: the servers are the defaults of what has no database of its own: PostgreSQL the customers', MongoDB the
// others'.
func TestPlace(t *testing.T) {
	const mongo, postgres = "mongodb://m:1", "postgres://p:1/d"
	file := place{scheme: schemeSQLite, url: filepath.Join("data", DataFile)}
	inMongo := func(name string) place { return place{schemeMongo, mongo, "tiffin_" + name} }
	inPostgres := func(name string) place { return place{schemePostgres, postgres, name} }
	all := func(f func(string) place) map[string]place {
		places := map[string]place{}
		for _, name := range Services {
			places[name] = f(name)
		}
		places[urlsName] = f(wire.OrderService)
		return places
	}
	but := func(places map[string]place, name string, at place) map[string]place {
		places[name] = at
		return places
	}
	for _, c := range []struct {
		name string
		e    Engines
		want map[string]place
	}{
		{"embedded", Engines{}, all(func(string) place { return file })},
		{"MongoDB alone", Engines{MongoDB: mongo}, all(inMongo)},
		{"PostgreSQL alone", Engines{Postgres: postgres}, all(inPostgres)},
		{"both", Engines{MongoDB: mongo, Postgres: postgres}, but(but(all(inMongo), wire.CustomerService, inPostgres("customer")), wire.IdentityService, inPostgres("identity"))},
		{"one explicit", Engines{MongoDB: mongo, Postgres: postgres, CustomerDB: "sqlite:c.db"},
			but(but(all(inMongo), wire.CustomerService, place{scheme: schemeSQLite, url: "c.db"}), wire.IdentityService, inPostgres("identity"))},
		{"its own MongoDB", Engines{PaymentDB: "mongodb://o:1"}, but(all(func(string) place { return file }), wire.PaymentService,
			place{schemeMongo, "mongodb://o:1", "tiffin_payment"})},
		{"its own database", Engines{PaymentDB: "mongodb://o:1/mine"}, but(all(func(string) place { return file }), wire.PaymentService,
			place{schemeMongo, "mongodb://o:1/mine", ""})},
		{"the URLs are where the orders are", Engines{MongoDB: mongo, OrderDB: postgres},
			but(but(all(inMongo), wire.OrderService, inPostgres("order")), urlsName, inPostgres("order"))},
		{"the URLs apart", Engines{MongoDB: mongo, URLsDB: postgres}, but(all(inMongo), urlsName, inPostgres(urlsName))},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Data: "data", Engines: c.e}
			for name, want := range c.want {
				if at, err := cfg.place(name); err != nil || at != want {
					t.Errorf("%s is in %+v, %v; want %+v", name, at, err, want)
				}
			}
		})
	}
}

// TestOwnPorts: where nobody says where the others are, they are on their own ports, and who is said to be elsewhere
// is there alone.
func TestOwnPorts(t *testing.T) {
	cfg := embedded(t, func(c *Config) {
		c.Host, c.Instance = "127.0.0.1", []string{"payment=http://a:1,http://b:2", "payment=http://c:3"}
	})
	sys, err := New(t.Context(), cfg, wire.CustomerService)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sys.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	want := map[string][]string{
		wire.CustomerService: {"http://customer"}, // in this process
		wire.PaymentService:  {"http://a:1", "http://b:2", "http://c:3"},
		wire.CardCompany:     {"http://127.0.0.1:8090"},
	}
	for _, name := range []string{wire.OrderService, wire.DeliveryService, wire.KitchenService} {
		want[name] = []string{"http://127.0.0.1:" + strconv.Itoa(Ports[name])}
	}
	for name, urls := range want {
		if found, err := sys.dir.Resolve(t.Context(), name); err != nil || !slices.Equal(found, urls) {
			t.Errorf("%s is at %v, %v; want %v", name, found, err, urls)
		}
	}
}
