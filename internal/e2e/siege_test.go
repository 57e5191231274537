package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// siege is a system that is killed again and again, and started again on the same data.
type siege struct {
	t       *testing.T
	ctx     context.Context
	data    string
	args    []string
	http    outside
	signals chan struct{} // one for everything a guest hears

	mu   sync.Mutex
	proc *process
	open chan struct{} // closed while a system is ready
	gone chan struct{} // closed when it is about to be killed
}

func newSiege(ctx context.Context, t *testing.T, args ...string) *siege {
	data := *dataFlag
	if data == "" {
		data = t.TempDir()
	}
	return &siege{
		t: t, ctx: ctx, data: data, args: args, http: newOutside(t), signals: make(chan struct{}, 1<<16),
		open: make(chan struct{}),
	}
}

// rise starts the system and lets the guests in.
func (s *siege) rise() {
	s.t.Helper()
	p := up(s.t, s.data, s.args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc, s.gone = p, make(chan struct{})
	close(s.open)
}

// fall ends it with kill -9, or with SIGTERM where it is to be asked. The guests are told first: a connection that
// breaks while nobody was told is a bug.
func (s *siege) fall(asked bool) {
	s.t.Helper()
	s.mu.Lock()
	p := s.proc
	s.proc, s.open = nil, make(chan struct{})
	close(s.gone)
	s.mu.Unlock()
	if asked {
		p.stop()
	} else {
		p.kill()
		p.mustBeCalm()
	}
	for len(s.signals) > 0 {
		<-s.signals
	}
}

// await waits for the next n things that guests hear.
func (s *siege) await(n int) {
	s.t.Helper()
	for range n {
		select {
		case <-s.signals:
		case <-s.ctx.Done():
			s.t.Fatal("nothing happens any more")
		}
	}
}

func (s *siege) signal() {
	select {
	case s.signals <- struct{}{}:
	default: // nobody counts
	}
}

// address waits until a system is ready. gone is closed before it is killed.
func (s *siege) address() (url string, gone <-chan struct{}, err error) {
	for {
		s.mu.Lock()
		p, open, gone := s.proc, s.open, s.gone
		s.mu.Unlock()
		if p != nil {
			return p.address(), gone, nil
		}
		select {
		case <-open:
		case <-s.ctx.Done():
			return "", nil, s.ctx.Err()
		}
	}
}

// killed says whether the system was, and reports an error that came while it was not.
func (s *siege) killed(gone <-chan struct{}, what string, err error) bool {
	select {
	case <-gone:
		return true
	default:
		if s.ctx.Err() == nil {
			s.t.Errorf("%s: nobody killed it: %v", what, err)
		}
		return false
	}
}

// turnedAway says that there is too much to do just now, and that one should come again.
func (a answer) turnedAway() bool {
	return a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != ""
}

// insist makes a request again and again until it is answered with more than to come again.
func (s *siege) insist(method, path string, body any, headers ...string) (a answer, ok bool) {
	for {
		url, gone, err := s.address()
		if err != nil {
			return a, false
		}
		a, err := s.http.do(s.ctx, method, url+path, body, headers...)
		s.signal()
		if err == nil && a.turnedAway() { // on a machine that is slow just now
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-s.ctx.Done():
				return a, false
			}
		}
		if err == nil {
			if a.status >= 500 {
				s.t.Errorf("%s %s: %s", method, path, a)
			}
			return a, true
		}
		if !s.killed(gone, method+" "+path, err) {
			return a, false
		}
	}
}

// guest is a customer with one order, and all that was heard of it.
type guest struct {
	siege    *siege
	key      string
	wish     map[string]any
	mute     bool // the card company never answers: the order ends, but it is never settled
	cancelAt int  // after so many events; 0: never

	first   answer // the 202
	id      string
	history []wire.Moment // by the event stream
	settled bool          // by the event stream
	version int64         // the highest heard of
	verdict answer        // on the cancel
}

// live is an order's life from click to settled, as its customer sees it over all restarts.
func (g *guest) live() {
	a, ok := g.siege.insist(http.MethodPost, "/v1/orders", g.wish, "Idempotency-Key", g.key)
	if !ok {
		return
	}
	if a.status != http.StatusAccepted {
		g.siege.t.Errorf("%s: %s", g.key, a)
		return
	}
	g.first, g.id = a, strings.TrimPrefix(a.header.Get("Location"), "/v1/orders/")
	for !g.over() {
		url, gone, err := g.siege.address()
		if err != nil {
			return
		}
		err = g.siege.http.follow(g.siege.ctx, url, g.id, len(g.history), g.hear)
		if g.over() {
			return
		}
		if !g.siege.killed(gone, "the stream of "+g.id, err) {
			return
		}
	}
}

// over says that nothing more is to be heard.
func (g *guest) over() bool {
	if len(g.history) == 0 {
		return false
	}
	switch g.history[len(g.history)-1].Status {
	case wire.Delivered, wire.PaymentFailed, wire.Reimbursed:
		return true
	case wire.OrderCancelled:
		return g.mute || g.settled
	}
	return false
}

// hear takes an event: the next one, each once, whatever was killed in between.
func (g *guest) hear(e event) bool {
	g.siege.signal()
	if n := len(g.history); n > 0 && e.id == n && e.Settled && e.Moment == g.history[n-1] {
		g.settled = true // known only now, without another status
		return false
	}
	if e.id != len(g.history)+1 {
		g.siege.t.Errorf("%s: event %d came after %d", g.id, e.id, len(g.history))
		return false
	}
	g.history = append(g.history, e.Moment)
	g.settled = e.Settled
	g.look()
	if len(g.history) == g.cancelAt {
		g.verdict, _ = g.siege.insist(http.MethodPost, "/v1/orders/"+g.id+"/cancel", nil)
	}
	return !g.over()
}

// look reads the order: it is never older than what was seen of it before.
func (g *guest) look() {
	a, ok := g.siege.insist(http.MethodGet, "/v1/orders/"+g.id, nil)
	if !ok {
		return
	}
	if a.status != http.StatusOK {
		g.siege.t.Errorf("%s was accepted, and is: %s", g.id, a)
		return
	}
	version, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(a.header.Get("ETag"), "W/"), `"`), 10, 64)
	if err != nil || version < g.version {
		g.siege.t.Errorf("%s has version %s after %d", g.id, a.header.Get("ETag"), g.version)
	}
	g.version = version
	var o wire.Order
	if err := json.Unmarshal(a.body, &o); err != nil {
		g.siege.t.Errorf("%s: %v", a, err)
	}
	if len(o.History) < len(g.history) {
		g.siege.t.Errorf("%s: %v was seen, and now %v", g.id, statuses(g.history), statuses(o.History))
		return
	}
	for i, m := range g.history {
		if o.History[i] != m {
			g.siege.t.Errorf("%s: history was rewritten: %v, now %v", g.id, m, o.History[i])
		}
	}
}

// within is a context that ends with the test, or when it has taken too long.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
