package app

import (
	"context"
	"errors"
	"net"
	"strconv"

	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/registry/catalog"
	"github.com/tiffin-food/tiffin/internal/registry/consul"
	"github.com/tiffin-food/tiffin/internal/registry/static"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// ServiceURLs is the kind of records of the catalogue.
const ServiceURLs = "service_urls"

// directory finds services: those of this process first, then wherever the registry says.
type directory struct {
	here   *static.Registry
	beyond httpapi.Resolver // nil: nowhere else
}

// Resolve is httpapi.Resolver.
func (d directory) Resolve(ctx context.Context, service string) ([]string, error) {
	urls, err := d.here.Resolve(ctx, service)
	if d.beyond != nil && errors.Is(err, httpapi.ErrNoService) {
		return d.beyond.Resolve(ctx, service)
	}
	return urls, err
}

// find makes the directory that the configuration asks for.
func (s *System) find(ctx context.Context) (err error) {
	s.dir.here, err = static.New(nil)
	if err != nil {
		return err
	}
	switch s.cfg.Registry {
	case "", "static":
		return s.findWritten()
	case "catalog":
		c, err := s.catalog(ctx)
		if err != nil {
			return err
		}
		s.dir.beyond = c
	default:
		if s.consul, err = consul.New(consul.Options{URL: s.cfg.Registry, Log: s.log}); err != nil {
			return err
		}
		s.dir.beyond = s.consul
	}
	return nil
}

// findWritten takes the instances that were given, and for the others their own ports on the host.
func (s *System) findWritten() error {
	given, err := s.cfg.instances()
	if err != nil {
		return err
	}
	if s.cfg.Host != "" {
		for name, urls := range ownPorts(s.cfg.Host) {
			if given[name] == nil {
				given[name] = urls
			}
		}
	}
	for name, urls := range given {
		if err := s.dir.here.Set(name, urls...); err != nil {
			return err
		}
	}
	return nil
}

// ownPorts is where everything is on a host where each unit has its own port.
func ownPorts(host string) map[string][]string {
	all := map[string][]string{}
	for name := range Ports {
		all[name] = []string{"http://" + Address(host, name)}
	}
	for name := range partnerPaths {
		all[name] = []string{"http://" + Address(host, Partners)}
	}
	return all
}

// catalog is the catalogue of service URLs, with Redis in front of it where there is one.
func (s *System) catalog(ctx context.Context) (*catalog.Catalog, error) {
	store, err := s.store(ctx, urlsName, ServiceURLs)
	if err != nil {
		return nil, err
	}
	opt := catalog.Options{Store: store, Clock: s.Clock, Log: s.log}
	if s.redis != nil {
		opt.Cache = s.redis
	}
	return catalog.New(opt), nil
}

// Units are what one process can serve besides the services.
const (
	Gateway  = "gateway"
	Partners = "partners"
)

// partnerPaths are the companies behind the address of the partners, by the paths they answer.
var partnerPaths = map[string]string{
	wire.CardCompany: "/billings", wire.TransportCompany: "/delivery-requests", wire.Restaurant: "/cooking-requests",
}

// Address is where a service listens on host when it is served apart.
func Address(host, service string) string {
	return net.JoinHostPort(host, strconv.Itoa(PortOf(service)))
}

// PortOf is a unit's own port where it is served apart.
func PortOf(unit string) int {
	switch unit {
	case Gateway:
		return 8080
	case Partners:
		return 8090
	}
	return Ports[unit]
}
