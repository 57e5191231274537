package httpapi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// fleet is what a client knows of the instances it calls.
type fleet struct {
	failures int
	openFor  time.Duration
	services sync.Map // service name → *service
}

// service is the instances of one service, as last resolved.
type service struct {
	mu        sync.Mutex
	instances atomic.Pointer[instances]
}

type instances struct {
	urls []string
	list []*instance
}

type instance struct {
	base     *url.URL
	service  string
	inflight atomic.Int64
	breaker  circuitbreaker.CircuitBreaker[struct{}] // nil: none
}

var (
	errAlive  = errors.New("alive") // for release only
	errStatus = errors.New("an answer of failure")
)

// pick chooses an instance and counts the call: of two taken at random, the one with fewer calls under way (the
// power of two choices). Instances whose breaker is open are left out, and so is not, where it is not nil. Who picks
// must release.
func (f *fleet) pick(name string, urls []string, not *instance) (*instance, error) {
	all, err := f.of(name, urls)
	if err != nil {
		return nil, err
	}
	if len(all) == 1 && all[0].breaker == nil && all[0] != not {
		all[0].inflight.Add(1)
		return all[0], nil
	}
	var room [8]*instance
	open := room[:0]
	for _, in := range all {
		if in != not && in.mayCall() {
			open = append(open, in)
		}
	}
	for len(open) > 0 {
		i := rand.IntN(len(open))
		if len(open) > 1 {
			j := rand.IntN(len(open) - 1)
			if j >= i {
				j++
			}
			if open[j].inflight.Load() < open[i].inflight.Load() {
				i = j
			}
		}
		in := open[i]
		if in.breaker == nil || in.breaker.TryAcquirePermit() {
			in.inflight.Add(1)
			return in, nil
		}
		open = slices.Delete(open, i, i+1) // somebody else is the one who tries again
	}
	return nil, fmt.Errorf("%w: none of %d instances", ErrOpen, len(all))
}

// of is the instances behind urls, with what is known of those that were there before.
func (f *fleet) of(name string, urls []string) ([]*instance, error) {
	if len(urls) == 0 {
		return nil, ErrNoService
	}
	v, ok := f.services.Load(name)
	if !ok {
		v, _ = f.services.LoadOrStore(name, &service{})
	}
	s := v.(*service)
	if now := s.instances.Load(); now != nil && slices.Equal(now.urls, urls) {
		return now.list, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.instances.Load()
	now := &instances{urls: slices.Clone(urls)}
	for _, raw := range urls {
		var in *instance
		if before != nil {
			if i := slices.Index(before.urls, raw); i >= 0 {
				in = before.list[i]
			}
		}
		if in == nil {
			base, err := url.Parse(raw)
			if err != nil || base.Host == "" {
				return nil, fmt.Errorf("instance of %s: a URL that is not a base URL such as http://host:port", name) // it may hold a password
			}
			base.Path = strings.TrimSuffix(base.Path, "/")
			in = &instance{base: base, service: name}
			if f.failures > 0 {
				in.breaker = circuitbreaker.NewBuilder[struct{}]().WithFailureThreshold(uint(f.failures)).
					WithSuccessThreshold(1).WithDelay(f.openFor).WithJitterFactor(0.2).Build()
			}
		}
		now.list = append(now.list, in)
	}
	s.instances.Store(now)
	return now.list, nil
}

func (in *instance) mayCall() bool {
	if in.breaker == nil {
		return true
	}
	switch in.breaker.State() {
	case circuitbreaker.OpenState:
		return in.breaker.RemainingDelay() == 0
	default:
		return true
	}
}

// release counts the call out: errAlive, nil where nothing was learnt, or what went wrong.
func (in *instance) release(err error) {
	in.inflight.Add(-1)
	switch {
	case in.breaker == nil:
	case err == errAlive: //nolint:errorlint // a mark, never wrapped
		in.breaker.RecordSuccess()
	case err == nil:
		if in.breaker.IsHalfOpen() { // the one try must end in something
			in.breaker.RecordFailure()
		}
	default:
		in.breaker.RecordFailure()
	}
}

// join puts target, a path with perhaps a query, behind the base.
func (in *instance) join(target string) (*url.URL, error) {
	u := *in.base
	path, query, _ := strings.Cut(target, "?")
	if strings.Contains(path, "%") {
		plain, err := url.PathUnescape(path)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", path, err)
		}
		u.RawPath = u.EscapedPath() + path
		path = plain
	}
	u.Path += path
	u.RawQuery = query
	return &u, nil
}

// Instance is one instance of a service, as a client knows it.
type Instance struct {
	Service  string `json:"service"`
	URL      string `json:"url"`
	State    string `json:"state" enum:"closed,open,half-open,none" doc:"Of its circuit breaker; open: it is not called"`
	Failures int    `json:"failures" doc:"Recent ones"`
	InFlight int64  `json:"in_flight" doc:"Calls under way"`
}

// Instances lists the instances that were called, sorted.
func (c *Client) Instances() []Instance {
	all := []Instance{}
	c.fleet.services.Range(func(_, v any) bool {
		now := v.(*service).instances.Load()
		if now == nil {
			return true
		}
		for _, in := range now.list {
			b := Instance{Service: in.service, URL: in.base.Redacted(), State: "none", InFlight: in.inflight.Load()}
			if in.breaker != nil {
				b.State = in.breaker.State().String()
				b.Failures = int(in.breaker.Metrics().Failures())
			}
			all = append(all, b)
		}
		return true
	})
	slices.SortFunc(all, func(a, b Instance) int {
		return strings.Compare(a.Service+" "+a.URL, b.Service+" "+b.URL)
	})
	return all
}
