package app

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/gateway"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/limit"
	"github.com/tiffin-food/tiffin/internal/limit/memory"
	limitredis "github.com/tiffin-food/tiffin/internal/limit/redis"
)

// Door is how the gateway meets the outside. The zero value is plain HTTP without limits, for pages of its own origin.
type Door struct {
	TLSCert string `help:"Certificate to serve HTTPS with, PEM, with those between it and its root; read again when it changes." name:"tls-cert" placeholder:"FILE"`
	TLSKey  string `help:"Private key of the certificate, PEM." name:"tls-key" placeholder:"FILE"`

	CORSOrigin []string `help:"A page of another site that may use the API, as scheme://host[:port]; repeat it for each. * is any, without cookies." name:"cors-origin" sep:"," placeholder:"ORIGIN"`

	TrustedProxies []string `help:"Networks of proxies whose X-Forwarded-For is believed." sep:"," placeholder:"CIDR,…"`
	LimitAddress   int64    `help:"Requests a minute of one address; 0 for no limit, of signing in neither." default:"300"`
	LimitCustomer  int64    `help:"Requests a minute of one customer; 0 for no limit." default:"120"`
	LimitOrders    int64    `help:"New orders a minute of one customer; 0 for no limit, and no wait after many cancels." default:"20"`
	LimitKey       int64    `help:"Requests a minute of one API key; 0 for no limit." default:"6000"`

	LimitConnections int64 `help:"Connections one address may have open, but for this machine and trusted proxies; 0 for any number." default:"512"`
}

// checkDoor says which setting of the door is wrong.
func (d Door) checkDoor() error {
	var errs []error
	for _, l := range []struct {
		name  string
		value int64
	}{
		{"limit-address", d.LimitAddress}, {"limit-customer", d.LimitCustomer}, {"limit-orders", d.LimitOrders},
		{"limit-key", d.LimitKey}, {"limit-connections", d.LimitConnections},
	} {
		if l.value < 0 || l.value > 10_000_000 {
			errs = append(errs, fmt.Errorf("%s: %d is not valid; expected a number from 0 to 10000000", l.name, l.value))
		}
	}
	if _, err := gateway.ParseOrigins(d.CORSOrigin); err != nil {
		errs = append(errs, fmt.Errorf("cors-origin: %w", err))
	}
	if _, err := gateway.ParseProxies(d.TrustedProxies); err != nil {
		errs = append(errs, fmt.Errorf("trusted-proxies: %w", err))
	}
	switch {
	case d.TLSCert == "" && d.TLSKey != "":
		errs = append(errs, errors.New("tls-cert: missing; expected the file of the certificate that belongs to tls-key"))
	case d.TLSCert != "" && d.TLSKey == "":
		errs = append(errs, errors.New("tls-key: missing; expected the file of the private key that belongs to tls-cert"))
	}
	return errors.Join(errs...)
}

// openCertificate reads the door's certificate, where it has one and it was not read yet.
func (c *Config) openCertificate() (err error) {
	if c.TLSCert == "" || c.cert != nil {
		return nil
	}
	c.cert, err = httpapi.OpenCertificate(httpapi.CertificateOptions{Cert: c.TLSCert, Key: c.TLSKey, Log: c.Log})
	if err != nil {
		return fmt.Errorf("tls-cert, tls-key: %w", err)
	}
	return nil
}

// door makes the gateway over the services: without sockets where all of them are in this process.
func (s *System) door() error {
	var to http.RoundTripper = keyed{s.local, s.cfg.APIKey}
	for _, name := range Services {
		if s.apis[name] == nil {
			to = s.http
		}
	}
	opt := gateway.Options{
		Version: s.cfg.Version, Transport: to, Log: s.log, Demo: s.demo(),
		Authenticate: s.atDoor(), Pressure: s.press(), Hear: s.hear(), Instances: s.http.Instances, Tracer: s.tel.Tracer(Gateway), Meter: s.meter(Gateway),
	}
	if s.cfg.cert != nil {
		opt.CertExpires = s.cfg.cert.Expires
	}
	var err error
	if opt.Origins, err = gateway.ParseOrigins(s.cfg.CORSOrigin); err != nil {
		return err
	}
	if opt.Proxies, err = gateway.ParseProxies(s.cfg.TrustedProxies); err != nil {
		return err
	}
	if rules := limit.PerMinute(s.cfg.LimitAddress, s.cfg.LimitCustomer, s.cfg.LimitOrders, s.cfg.LimitKey); rules != limit.PerMinute(0, 0, 0, 0) {
		opt.Limit = (&gateway.Limits{Limiter: s.limiter(), Rules: rules, Proxies: opt.Proxies}).Middleware
	}
	g := gateway.New(opt)
	s.metrics(g.API, auth.For(auth.Operator, auth.Service))
	if m := s.tel.Metrics; m != nil {
		m.Door(g.Shed)
		if s.cfg.cert != nil {
			m.Certificate(Gateway, s.cfg.cert.Expires)
		}
	}
	s.Gateway, s.apis[Gateway] = g, g.API
	s.local.Handle(Gateway, g)
	c, err := client.New("http://"+Gateway, s.local)
	if err != nil {
		return err
	}
	s.Client = c.As(s.token)
	return nil
}

// connections is the door's listener with its bound on the connections of one address.
func (c Config) connections(ln net.Listener) net.Listener {
	proxies, _ := gateway.ParseProxies(c.TrustedProxies) // Check has read them
	return gateway.Connections{Most: int(c.LimitConnections), Proxies: proxies, Log: c.Log, Now: time.Now}.Listen(ln)
}

// demo is the customer of the landing page's example, where there is one.
func (s *System) demo() gateway.Demo {
	if !s.cfg.Demo {
		return gateway.Demo{}
	}
	c := dataset.Demo().Customers[0]
	return gateway.Demo{ID: c.ID, Email: c.Email, Password: DemoPassword}
}

// limiter counts in Redis together with the other processes, where there is one, and else for itself. Limits are real
// time's, however fast the clock runs.
func (s *System) limiter() *limit.Limiter {
	var counter limit.Counter = memory.New(0)
	if s.redis != nil {
		counter = &limit.Fallback{First: limitredis.New(s.redis, redisPrefix+"limit:"), Second: counter, Log: s.log}
	}
	return limit.New(counter, time.Now)
}

// keyed shows the services of this process our key.
type keyed struct {
	http.RoundTripper
	key string
}

// RoundTrip is http.RoundTripper. The proxy's request is its own to write into.
func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.WithContext(r.Context())
	r.Header = r.Header.Clone()
	r.Header.Set(auth.KeyHeader, k.key)
	return k.RoundTripper.RoundTrip(r)
}
