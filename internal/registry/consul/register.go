package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/registry"
)

// Instance is one process's instance of a service, as others reach it.
type Instance struct {
	// ID is unique in Consul, and the same after a restart of the process, which then takes its own place; where it is
	// empty it is made of service, address and port.
	ID      string
	Service string
	Address string // a name or an IP address, reachable from other instances and from the agent
	Port    int
	TLS     bool // it speaks https
	// SkipVerify keeps the agent from verifying the certificate when it checks.
	SkipVerify bool
	Check      string        // the path that answers 2xx while the instance is well; /readyz
	Every      time.Duration // between checks; 10 s
	Tags       []string
	Version    string // for people
}

// What an instance says of itself in Consul.
const (
	metaScheme  = "scheme" // http or https; http where it is missing
	metaVersion = "version"
)

const (
	checkTimeout = 2 * time.Second
	forgetAfter  = time.Minute     // of failing checks; Consul's least
	lookEvery    = 5 * time.Second // whether the agent still knows the instance; varies by a tenth
)

// service is the body of /v1/agent/service/register.
type service struct {
	ID      string
	Name    string
	Address string
	Port    int
	Tags    []string          `json:",omitempty"`
	Meta    map[string]string `json:",omitempty"`
	Check   check
}

type check struct {
	Name                           string
	HTTP                           string
	Interval                       string
	Timeout                        string
	TLSSkipVerify                  bool `json:",omitempty"`
	Status                         string
	DeregisterCriticalServiceAfter string
}

// definition is how the instance is registered. It counts as well until its first check: who registers is ready.
func (in Instance) definition(prefix string) (service, error) {
	base := baseURL(in.Address, in.Port, in.TLS)
	if in.ID == "" {
		in.ID = prefix + in.Service + "-" + net.JoinHostPort(in.Address, strconv.Itoa(in.Port))
	}
	if in.Check == "" {
		in.Check = "/readyz"
	}
	if in.Every == 0 {
		in.Every = 10 * time.Second
	}
	ip := net.ParseIP(in.Address)
	switch {
	case in.Service == "":
		return service{}, errors.New("register: no service")
	case in.Address == "" || ip != nil && ip.IsUnspecified() || in.Port < 1 || in.Port > 65535 || registry.CheckURLs(in.Service, base) != nil:
		return service{}, fmt.Errorf("register %s: nobody can reach %s", in.Service, base)
	case !strings.HasPrefix(in.Check, "/"):
		return service{}, fmt.Errorf("register %s: the check %q is not a path", in.Service, in.Check)
	case in.Every < time.Second:
		return service{}, fmt.Errorf("register %s: a check every %s is more than Consul does", in.Service, in.Every)
	}
	s := service{
		ID: in.ID, Name: prefix + in.Service, Address: in.Address, Port: in.Port, Tags: in.Tags,
		Meta: map[string]string{metaScheme: "http"},
		Check: check{
			Name: in.Service + " " + in.Check, HTTP: base + in.Check, TLSSkipVerify: in.SkipVerify,
			Interval: in.Every.String(), Timeout: checkTimeout.String(), Status: "passing",
			DeregisterCriticalServiceAfter: forgetAfter.String(),
		},
	}
	if in.TLS {
		s.Meta[metaScheme] = "https"
	}
	if in.Version != "" {
		s.Meta[metaVersion] = in.Version
	}
	return s, nil
}

// Registration is an instance that is kept registered. Safe for concurrent use.
type Registration struct {
	registry *Registry
	service  service
	end      context.CancelFunc
	done     chan struct{}
}

// Register registers an instance and keeps it so until Deregister: where the agent does not know it any more (it was
// restarted, or found the instance dead while that only stood still) it is registered again within some seconds.
// That Consul is away is no error, the instance is registered when it comes. The errors are an instance that cannot
// be, and Consul's refusal.
func (r *Registry) Register(ctx context.Context, in Instance) (*Registration, error) {
	s, err := in.definition(r.opt.Prefix)
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	reg := &Registration{registry: r, service: s, done: make(chan struct{})}
	err = reg.put(ctx)
	if refused, ok := errors.AsType[*statusError](err); ok && refused.status >= 400 && refused.status < 500 {
		return nil, fmt.Errorf("consul: register %s: %w", in.Service, err)
	}
	life, end := context.WithCancel(r.life)
	reg.end = end
	if started := r.start(func() { reg.keep(life, err) }); started != nil {
		end()
		return nil, fmt.Errorf("consul: register %s: %w", in.Service, started)
	}
	return reg, nil
}

// ID is the instance's in Consul.
func (reg *Registration) ID() string { return reg.service.ID }

// Deregister takes the instance out, at once, and ends its keeping. Where Consul is away that is an error: its check
// takes it out then. Deregistering twice is no error.
func (reg *Registration) Deregister(ctx context.Context) error {
	reg.end()
	<-reg.done
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	_, err := reg.registry.do(ctx, http.MethodPut, "/v1/agent/service/deregister/"+url.PathEscape(reg.service.ID), nil, nil, nil)
	if err != nil && !isUnknown(err) {
		return fmt.Errorf("consul: deregister %s: %w", reg.service.ID, err)
	}
	return nil
}

// keep looks from time to time whether the agent knows the instance, and registers it where not. err is how the first
// registration went.
func (reg *Registration) keep(ctx context.Context, err error) {
	defer close(reg.done)
	log := reg.registry.opt.Log.With("id", reg.service.ID)
	pause := minPause
	for {
		wait := time.Duration(float64(lookEvery) * (0.9 + 0.2*rand.Float64()))
		if err != nil {
			if pause == minPause {
				log.Warn("consul: the registration is not to be had, it goes on trying", "err", err)
			}
			wait = time.Duration(float64(pause) * (0.5 + rand.Float64()))
			pause = min(2*pause, maxPause)
		} else {
			pause = minPause
		}
		if !sleep(ctx, wait) {
			return
		}
		err = reg.look(ctx)
		if isUnknown(err) {
			if err = reg.put(ctx); err == nil {
				log.Info("consul: registered again")
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// look asks the agent for the instance; see isUnknown.
func (reg *Registration) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	_, err := reg.registry.do(ctx, http.MethodGet, "/v1/agent/service/"+url.PathEscape(reg.service.ID), nil, nil, nil)
	return err
}

func (reg *Registration) put(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	query := url.Values{"replace-existing-checks": {"true"}}
	_, err := reg.registry.do(ctx, http.MethodPut, "/v1/agent/service/register", query, reg.service, nil)
	return err
}

// isUnknown says whether the agent answered that it does not know the instance.
func isUnknown(err error) bool {
	refused, ok := errors.AsType[*statusError](err)
	return ok && refused.status == http.StatusNotFound
}
