package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/registry/consul"
)

// ServeConfig says which units this process serves, and where.
type ServeConfig struct {
	Config
	Units     []string     // services, Gateway, Partners
	Listen    string       // the host to listen on
	Port      int          // of the one unit; 0: the units' own
	Advertise string       // the host under which others reach this one; empty: the host's name, or Listen where that is one address
	Say       func(string) // is told where the process listens, and that it is ready
}

// Linger is how long a process that leaves Consul still takes requests: until its neighbours have heard of it.
const linger = 500 * time.Millisecond

// Check says which setting is wrong, before anything is begun.
func (c ServeConfig) Check() error {
	var names []string
	for _, u := range c.Units {
		if u != Gateway && u != Partners {
			names = append(names, u)
		}
	}
	errs := []error{c.Config.Check(), CheckServices(names), c.CheckApart(names), c.CheckSecrets(c.Units), c.CheckKeys(c.Units)}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("port: %d is not valid; expected 1 to 65535", c.Port))
	}
	if c.Port != 0 && len(c.Units) != 1 {
		errs = append(errs, fmt.Errorf("port: %d is for one service, and %s are to be served; expected one service, or no port", c.Port, strings.Join(c.Units, ", ")))
	}
	return errors.Join(errs...)
}

// unit is something served on a port of its own.
type unit struct {
	name string
	ln   net.Listener
	door entrance
}

// Serve runs the units until ctx ends: it listens at once and says on its health page what it still waits for,
// registers when it can do its work, and leaves in the opposite order, without cutting a request.
func Serve(ctx context.Context, cfg ServeConfig) (err error) {
	if err := cfg.Check(); err != nil {
		return err
	}
	if slices.Contains(cfg.Units, Gateway) {
		if err := cfg.openCertificate(); err != nil {
			return err
		}
	} else {
		cfg.Door = Door{} // services stay plain among themselves
	}
	var missing atomic.Pointer[missed]
	cfg.Waiting = func(what string, err error) { missing.Store(&missed{what, err}) }
	units, err := listen(cfg, &missing)
	if err != nil {
		return err
	}
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	failed, fail := context.WithCancelCause(ctx)
	var servers sync.WaitGroup
	errs := make([]error, len(units))
	for i, u := range units {
		opt, scheme, ln := httpapi.ServeOptions{Log: cfg.Log}, "http", u.ln
		if u.name == Gateway {
			ln = cfg.connections(ln)
		}
		if u.name == Gateway && cfg.cert != nil {
			opt.TLS, scheme = cfg.cert.Config(), "https"
		}
		cfg.Say(fmt.Sprintf("%s listens on %s://%s", u.name, scheme, u.ln.Addr()))
		servers.Go(func() {
			if errs[i] = httpapi.Serve(serving, ln, &u.door, opt); errs[i] != nil {
				fail(errs[i])
			}
		})
	}
	defer func() {
		stopServing()
		servers.Wait()
		fail(nil)
		err = errors.Join(append(errs, err)...)
	}()
	cfg.Partners = slices.Contains(cfg.Units, Partners)
	cfg.strangers = !slices.ContainsFunc(cfg.Units, func(u string) bool { return u != Partners })
	var names []string
	for _, u := range cfg.Units {
		if u != Gateway && u != Partners {
			names = append(names, u)
		}
	}
	sys, err := New(failed, cfg.Config, names...)
	if err != nil {
		if ctx.Err() != nil { // told to stop while it waited
			return nil
		}
		return err
	}
	defer func() {
		servers.Wait() // before this, requests could still begin work
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.drain())
		defer cancel()
		err = errors.Join(err, sys.Stop(stop))
	}()
	sys.hearKeys(failed)
	for _, u := range units {
		u.door.open(sys.handler(u.name))
	}
	leave, err := sys.register(ctx, cfg, units)
	if err != nil {
		stopServing()
		return err
	}
	cfg.Say("ready")
	<-failed.Done()
	leave()
	stopServing()
	return nil
}

func (c Config) drain() time.Duration {
	if c.Drain == 0 {
		return defaultDrain
	}
	return c.Drain
}

// listen takes the units' ports. What comes in before the system is ready is told so.
func listen(cfg ServeConfig, missing *atomic.Pointer[missed]) (units []*unit, err error) {
	for _, name := range cfg.Units {
		port := cfg.Port
		if port == 0 {
			port = PortOf(name)
		}
		ln, err := net.Listen("tcp", net.JoinHostPort(cfg.Listen, strconv.Itoa(port)))
		if err != nil {
			for _, u := range units {
				_ = u.ln.Close()
			}
			return nil, fmt.Errorf("listen: %w", err)
		}
		u := &unit{name: name, ln: ln}
		u.door.open(starting(name, cfg.Version, missing))
		units = append(units, u)
	}
	return units, nil
}

// missed is what a start waits for, and why that is not there.
type missed struct {
	what string
	err  error
}

// starting answers for a unit that is not ready: alive, and not well for the reason that is said.
func starting(name, version string, missing *atomic.Pointer[missed]) http.Handler {
	a := httpapi.New(httpapi.Options{Name: titleOf(name), Version: version, NoDocs: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resource, why := "start", "starting"
		if m := missing.Load(); m != nil {
			resource, why = m.what, fmt.Sprintf("waiting for %s: %v", m.what, m.err)
		}
		switch r.URL.Path {
		case "/livez":
			a.ServeHTTP(w, r)
		case "/health":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_ = json.NewEncoder(w).Encode(httpapi.Health{ // a client that is gone hears nothing
				Name: titleOf(name), Version: version, Resources: []httpapi.Resource{{Name: resource}},
			})
		default:
			httpapi.WriteError(w, r, httpapi.Errorf(http.StatusServiceUnavailable, "%s", why))
		}
	})
}

func titleOf(unit string) string {
	if t, ok := titles[unit]; ok {
		return t.name
	}
	return strings.ToUpper(unit[:1]) + unit[1:]
}

// handler is what a unit serves.
func (s *System) handler(unit string) http.Handler {
	switch unit {
	case Gateway:
		return s.Gateway
	case Partners:
		return s.partners.door
	}
	return s.apis[unit]
}

// entrance is a handler that can be exchanged while it serves.
type entrance struct{ now atomic.Pointer[http.Handler] }

func (e *entrance) open(h http.Handler) { e.now.Store(&h) }

func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*e.now.Load()).ServeHTTP(w, r) }

// Drain tells the handler that its server begins to stop.
func (e *entrance) Drain() {
	if d, ok := (*e.now.Load()).(interface{ Drain() }); ok {
		d.Drain()
	}
}

// register makes the units known in Consul, where there is one; leave takes them out again and waits until that is
// known. Consul may be away: they are registered as soon as it is back.
func (s *System) register(ctx context.Context, cfg ServeConfig, units []*unit) (leave func(), err error) {
	if s.consul == nil {
		return func() {}, nil
	}
	host, err := cfg.advertised()
	if err != nil {
		return nil, err
	}
	var all []*consul.Registration
	leave = func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		for _, u := range units {
			if d, ok := s.handler(u.name).(interface{ Drain() }); ok {
				d.Drain()
			}
		}
		for _, r := range all {
			if err := r.Deregister(stop); err != nil {
				s.log.Warn("not taken out of Consul", "instance", r.ID(), "err", err)
			}
		}
		wait := time.NewTimer(linger)
		defer wait.Stop()
		<-wait.C
	}
	for _, u := range units {
		names := []string{u.name}
		if u.name == Partners {
			names = slices.Sorted(maps.Keys(partnerPaths))
		}
		for _, name := range names {
			r, err := s.consul.Register(ctx, consul.Instance{
				Service: name, Address: host, Port: u.ln.Addr().(*net.TCPAddr).Port, Tags: []string{"tiffin"}, Version: s.cfg.Version,
			})
			if err != nil {
				leave()
				return nil, err
			}
			all = append(all, r)
		}
	}
	return leave, nil
}

// advertised is the host under which others reach this process.
func (c ServeConfig) advertised() (string, error) {
	if c.Advertise != "" {
		return c.Advertise, nil
	}
	if ip := net.ParseIP(c.Listen); ip != nil && !ip.IsUnspecified() {
		return c.Listen, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("advertise: the host has no name (%w); expected a name or address under which others reach this process", err)
	}
	return name, nil
}
