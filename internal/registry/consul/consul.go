// Package consul is the registry that is Consul: instances register themselves, Consul checks them over HTTP, and who
// looks for one learns of every change within a moment. It speaks five endpoints of Consul's HTTP API.
//
// Looking: the first Resolve of a service starts a watcher for it, which holds a blocking query open until Close; a
// call costs no round trip then. What Consul said last goes on being used for as long as Consul is away, however
// long that is, and until it says otherwise. That no instance is left is believed at once where the watcher had
// heard from Consul all the time. After an outage, or where Consul's index went back, it is believed only after
// Options.Grace: a Consul that was restarted knows nobody until the instances have registered again and have been
// checked. (A restart that shows neither way, with a cluster behind an agent that went on, looks like the truth.) An answer without a leader behind it is an error, and an empty list is asked for a second time, of the
// leader.
//
// Registering: Register keeps an instance registered until Deregister, also over an agent that forgot it. An instance
// that dies is taken out of the answers by its check, and forgotten a minute or so later.
package consul

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// ErrClosed is the answer of a registry that was closed.
var ErrClosed = errors.New("the registry is closed")

// Options are the settings; all have a default. Times are real ones.
type Options struct {
	URL       string            // of the agent: http://, https:// or consul://host:port; http://127.0.0.1:8500
	Token     string            // for Consul's access control
	Prefix    string            // of service names in Consul, so that several systems may share one
	Transport http.RoundTripper // without a timeout below two minutes; httpapi.NewTransport()
	Grace     time.Duration     // how long an empty answer is doubted after an outage; 30 s
	Log       *slog.Logger
}

// Registry is Consul as seen by this process. Safe for concurrent use.
type Registry struct {
	opt       Options
	base      *url.URL
	transport http.RoundTripper
	own       *http.Transport // nil: the transport is the caller's
	watchers  sync.Map        // service → *watcher; never more than services are named in the code

	mu     sync.Mutex
	closed bool
	life   context.Context
	end    context.CancelFunc
	group  sync.WaitGroup // of watchers and registrations
}

// New makes a registry; Close ends it. Consul need not be there yet: the only error is a URL that is none.
func New(opt Options) (*Registry, error) {
	base, err := parse(opt.URL)
	if err != nil {
		return nil, err
	}
	if opt.Grace == 0 {
		opt.Grace = 30 * time.Second
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{opt: opt, base: base, transport: opt.Transport}
	if r.transport == nil {
		r.own = httpapi.NewTransport()
		r.transport = r.own
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// parse reads the agent's address. The error does not repeat it: it may hold what is secret.
func parse(raw string) (*url.URL, error) {
	if raw == "" {
		raw = "http://127.0.0.1:8500"
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "consul" {
		return nil, errors.New("consul: the URL is not http://host:port, https://host:port or consul://host:port (a token is a setting of its own)")
	}
	if u.Scheme == "consul" {
		u.Scheme = "http"
		if u.Port() == "" {
			u.Host = net.JoinHostPort(u.Hostname(), "8500")
		}
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// Close ends watchers and the keeping of registrations, and waits for them. It deregisters nobody.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.group.Wait()
	if r.own != nil {
		r.own.CloseIdleConnections()
	}
}

// start runs f until the registry is closed, or returns ErrClosed.
func (r *Registry) start(f func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.group.Go(f)
	return nil
}

// Resolve is httpapi.Resolver: the base URLs of the instances that pass their checks, sorted. The first call for a
// service waits for Consul's first answer, or its failure; an error other than ErrNoService says that Consul was not
// to be had and has never answered for the service.
func (r *Registry) Resolve(ctx context.Context, service string) ([]string, error) {
	v, ok := r.watchers.Load(service)
	if !ok {
		var err error
		if v, err = r.watch(service); err != nil {
			return nil, fmt.Errorf("instances of %s: %w", service, err)
		}
	}
	w := v.(*watcher)
	a := w.answer.Load()
	if a == nil {
		select {
		case <-w.first:
			a = w.answer.Load()
		case <-ctx.Done():
			return nil, fmt.Errorf("instances of %s: waiting for Consul: %w", service, ctx.Err())
		case <-r.life.Done():
			return nil, fmt.Errorf("instances of %s: %w", service, ErrClosed)
		}
	}
	return a.urls, a.err
}

// watch starts the service's watcher, unless somebody just did.
func (r *Registry) watch(service string) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.watchers.Load(service); ok {
		return v, nil
	}
	if r.closed {
		return nil, ErrClosed
	}
	w := &watcher{registry: r, service: service, first: make(chan struct{})}
	r.watchers.Store(service, w)
	r.group.Go(w.run)
	return w, nil
}

// watcher follows the instances of one service.
type watcher struct {
	registry *Registry
	service  string
	answer   atomic.Pointer[answer] // nil: none yet
	first    chan struct{}          // closed with the first answer
}

// answer is what Resolve answers.
type answer struct {
	urls []string
	err  error
	away bool // err is that Consul has never answered
}

// Ping says whether the agent answers and knows a leader.
func (r *Registry) Ping(ctx context.Context) error {
	var leader string
	if _, err := r.do(ctx, http.MethodGet, "/v1/status/leader", nil, nil, &leader); err != nil {
		return fmt.Errorf("consul: %w", err)
	}
	if leader == "" {
		return errors.New("consul: it has no leader")
	}
	return nil
}
