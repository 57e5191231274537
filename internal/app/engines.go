package app

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tiffin-food/tiffin/internal/registry"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Engines are what a system stands on. The zero value is the embedded default: SQLite, the local broker, the hot
// records in memory, and a list of where services are.
type Engines struct {
	Broker        string `help:"Queues between services: local, or amqp://user:password@host:port/vhost of RabbitMQ." default:"local"`
	ClassicQueues bool   `help:"Declare classic queues instead of quorum queues, to share a broker with the original system."`

	MongoDB  string `help:"A MongoDB for whatever has no database of its own: mongodb://host:port. Each service has the database tiffin_SERVICE there." name:"mongodb"`
	Postgres string `help:"A PostgreSQL for the customer and identity services, and for all where there is no MongoDB: postgres://host:port/database. Each service has a schema of its own there."`

	OrderDB    string `help:"Database of the order service: sqlite:FILE, mongodb://… or postgres://…" name:"order-db"`
	PaymentDB  string `help:"Database of the payment service." name:"payment-db"`
	CustomerDB string `help:"Database of the customer service." name:"customer-db"`
	DeliveryDB string `help:"Database of the delivery service." name:"delivery-db"`
	KitchenDB  string `help:"Database of the kitchen service." name:"kitchen-db"`
	IdentityDB string `help:"Database of the identity service." name:"identity-db"`

	Redis string `help:"A Redis for copies of orders and of service URLs: redis://host:port/0. Without it there are none."`

	Registry string   `help:"Where services are found: static, consul://host:port, or catalog (the URLs of tiffin urls)." default:"static"`
	Instance []string `help:"Where a service is, for the static registry: order=http://a:8000,http://b:8000. Repeat it for each service; default: its own port on this host." sep:";" placeholder:"SERVICE=URL,…"`
	URLsDB   string   `help:"Database of the service URLs: sqlite:FILE, mongodb://… or postgres://…; default: as for the order service." name:"urls-db"`
}

// local says whether messages are handed over in process.
func (e Engines) local() bool { return e.Broker == "" || e.Broker == "local" }

// Kinds of databases.
const (
	schemeSQLite   = "sqlite"
	schemeMongo    = "mongodb"
	schemePostgres = "postgres"
)

// urlsName is what the catalogue's database is called where services' are called by their names.
const urlsName = "urls"

// place is where records are kept: a URL, and a part of that database of the service's own.
type place struct {
	scheme string
	url    string // for SQLite the file
	part   string // a MongoDB database or a PostgreSQL schema; empty where the URL names it
}

// explicit is the setting of a service's own database.
func (e Engines) explicit(name string) string {
	return map[string]string{
		wire.OrderService: e.OrderDB, wire.PaymentService: e.PaymentDB, wire.CustomerService: e.CustomerDB,
		wire.DeliveryService: e.DeliveryDB, wire.KitchenService: e.KitchenDB, wire.IdentityService: e.IdentityDB, urlsName: e.URLsDB,
	}[name]
}

// place says where a service keeps its records.
func (c Config) place(name string) (place, error) {
	e := c.Engines
	raw, setting := e.explicit(name), name+"-db"
	server := ""
	switch {
	case raw != "":
	case name == urlsName:
		return c.place(wire.OrderService)
	case e.Postgres != "" && (e.MongoDB == "" || name == wire.CustomerService || name == wire.IdentityService):
		raw, server, setting = e.Postgres, name, "postgres"
	case e.MongoDB != "":
		raw, server, setting = e.MongoDB, "tiffin_"+name, "mongodb"
	default:
		return place{scheme: schemeSQLite, url: filepath.Join(c.Data, DataFile)}, nil
	}
	if file, ok := strings.CutPrefix(raw, schemeSQLite+":"); ok && file != "" && setting != "postgres" && setting != "mongodb" {
		return place{scheme: schemeSQLite, url: file}, nil
	}
	u, err := url.Parse(raw)
	if err == nil && u.Host != "" {
		switch u.Scheme {
		case schemeMongo, "mongodb+srv":
			if setting != "postgres" {
				if strings.Trim(u.Path, "/") == "" && server == "" {
					server = "tiffin_" + name
				}
				return place{scheme: schemeMongo, url: raw, part: server}, nil
			}
		case schemePostgres, "postgresql":
			if setting != "mongodb" {
				return place{scheme: schemePostgres, url: raw, part: name}, nil
			}
		}
	}
	valid := "sqlite:FILE, mongodb://host:port or postgres://host:port/database"
	if setting == "postgres" || setting == "mongodb" {
		valid = setting + "://host:port"
	}
	return place{}, fmt.Errorf("%s: not valid; expected %s, with reserved characters of a password percent-encoded", setting, valid)
}

// shared says whether other processes may write to the databases too.
func (c Config) shared() bool {
	return slices.ContainsFunc(Services, func(name string) bool {
		at, err := c.place(name)
		return err == nil && at.scheme != schemeSQLite
	})
}

// checkEngines says which setting of the engines is wrong.
func (c Config) checkEngines() error {
	var errs []error
	e := c.Engines
	if u, err := url.Parse(e.Broker); !e.local() && (err != nil || u.Host == "" || u.Scheme != "amqp" && u.Scheme != "amqps") {
		errs = append(errs, errors.New("broker: not valid; expected local or amqp://user:password@host:port/vhost"))
	}
	if u, err := url.Parse(e.Redis); e.Redis != "" && (err != nil || u.Host == "" || u.Scheme != "redis" && u.Scheme != "rediss") {
		errs = append(errs, errors.New("redis: not valid; expected redis://host:port/0"))
	}
	switch u, err := url.Parse(e.Registry); {
	case e.Registry == "", e.Registry == "static", e.Registry == "catalog":
	case err != nil || u.Host == "" || u.Scheme != "consul":
		errs = append(errs, errors.New("registry: not valid; expected static, catalog or consul://host:port"))
	}
	for _, name := range append(slices.Clone(Services), urlsName) {
		if _, err := c.place(name); err != nil {
			errs = append(errs, err)
		}
	}
	_, err := e.instances()
	return errors.Join(append(unique(errs), err)...)
}

// unique leaves out what was said before: one wrong server is the default of several services.
func unique(errs []error) (rest []error) {
	for _, err := range errs {
		if !slices.ContainsFunc(rest, func(e error) bool { return e.Error() == err.Error() }) {
			rest = append(rest, err)
		}
	}
	return rest
}

// instances are where services were said to be.
func (e Engines) instances() (map[string][]string, error) {
	all := map[string][]string{}
	for _, line := range e.Instance {
		name, list, ok := strings.Cut(line, "=")
		urls := strings.Split(list, ",")
		_, known := Ports[name]
		_, partner := partnerPaths[name]
		if !ok || !known && !partner {
			name, _, _ = strings.Cut(name, ":") // what follows may be a URL with a password
			return nil, fmt.Errorf("instance: %q is not valid; expected SERVICE=URL,… such as order=http://127.0.0.1:8000", name)
		}
		if err := registry.CheckURLs(name, urls...); err != nil {
			if strings.Contains(list, "@") { // it may quote a password
				err = fmt.Errorf("instance of %s: a URL has a user in it, or is none; expected http://host:port", name)
			}
			return nil, fmt.Errorf("instance: %w", err)
		}
		all[name] = append(all[name], urls...)
	}
	return all, nil
}
