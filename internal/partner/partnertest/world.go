// Package partnertest is the world around a simulated company under test: a virtual clock that the test moves, a
// network of handlers in one process, services that note what they are told, and stores that count writes.
package partnertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Noon is when every world begins.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// World is a network and a clock. The clock stands still but during Advance, so that between two calls nothing
// happens that was not asked for.
type World struct {
	t      testing.TB
	Clock  *clock.Clock
	local  *httpapi.Local
	client *httpapi.Client
}

// New makes a world that ends with the test.
func New(t testing.TB) *World {
	w := &World{t: t, Clock: clock.Virtual(Noon), local: httpapi.NewLocal(nil)}
	w.client = httpapi.NewClient(httpapi.ClientOptions{Resolver: resolver{}, Transport: w.local, Failures: -1})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { w.Clock.Run(ctx) })
	t.Cleanup(func() {
		w.local.CloseIdleConnections()
		cancel()
		work.Wait()
	})
	return w
}

type resolver struct{}

func (resolver) Resolve(_ context.Context, service string) ([]string, error) {
	return []string{"http://" + service}, nil
}

// Handle puts a server on the network; nil takes it away.
func (w *World) Handle(name string, h http.Handler) { w.local.Handle(name, h) }

// Shell is a company's shell in this world.
func (w *World) Shell(owner string) durable.Options {
	return durable.Options{Owner: owner, Clock: w.Clock, Executor: w}
}

// Execute carries an effect out over the network, as the composition root's executor does.
func (w *World) Execute(ctx context.Context, o durable.Owed, key string) durable.Outcome {
	return httpapi.Outcome(w.client.Do(ctx, httpapi.Call{To: o.To, Op: o.Op, Body: o.Body, IdempotencyKey: key}))
}

// Advance lets time pass: when it returns all that was due before is done.
func (w *World) Advance(d time.Duration) {
	w.t.Helper()
	there := make(chan struct{})
	w.Clock.At(w.Clock.Now().Add(d), func() {
		w.Clock.Hold()
		close(there)
	})
	w.Clock.Release()
	stuck := time.NewTimer(20 * time.Second)
	defer stuck.Stop()
	select {
	case <-there:
	case <-stuck.C:
		w.t.Fatalf("time stands still at %s: something holds the clock", w.Clock.Now())
	}
}

// Elapsed is how long the world has existed.
func (w *World) Elapsed() time.Duration { return w.Clock.Now().Sub(Noon) }

// Do makes a request, checks the answer's status and decodes the answer into out, if not nil. A want of 0 is for a
// connection that dies.
func (w *World) Do(to, op string, in, out any, want int) {
	w.t.Helper()
	status, body, err := w.Call(to, op, in)
	if want == 0 {
		if err == nil {
			w.t.Fatalf("%s %s: answered %d, want a dead connection", to, op, status)
		}
		return
	}
	if err != nil {
		w.t.Fatalf("%s %s: %v", to, op, err)
	}
	if status != want {
		w.t.Fatalf("%s %s: %d %s, want %d", to, op, status, body, want)
	}
	if status >= 400 {
		var problem struct{ Detail string }
		if err := json.Unmarshal(body, &problem); err != nil || problem.Detail == "" {
			w.t.Fatalf("%s %s: %d %s is no problem with a detail", to, op, status, body)
		}
		return
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			w.t.Fatalf("%s %s: %s: %v", to, op, body, err)
		}
	}
}

// Call makes a request; in is marshalled unless it is a []byte.
func (w *World) Call(to, op string, in any) (int, []byte, error) {
	var body []byte
	switch in := in.(type) {
	case nil:
	case []byte:
		body = in
	default:
		var err error
		if body, err = json.Marshal(in); err != nil {
			w.t.Fatal(err)
		}
	}
	r, err := w.client.Do(context.Background(), httpapi.Call{To: to, Op: op, Body: body})
	return r.Status, r.Body, err
}

// Told is one request that a service got.
type Told struct {
	After time.Duration // since the world began
	Op    string
	Key   string
	Body  string
}

// Service notes what it is told and answers 201, or what Answer says.
type Service struct {
	world *World
	mu    sync.Mutex
	told  []Told
	// Answer is asked for the status of every request, if it is set.
	Answer func(Told) int
}

// Service puts one on the network.
func (w *World) Service(name string) *Service {
	s := &Service{world: w}
	w.Handle(name, s)
	return s
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	told := Told{s.world.Elapsed(), r.Method + " " + r.URL.Path, r.Header.Get(httpapi.IdempotencyHeader), string(bytes.TrimSpace(body))}
	status := http.StatusCreated
	if s.Answer != nil {
		status = s.Answer(told)
	}
	if status < 300 {
		s.mu.Lock()
		s.told = append(s.told, told)
		s.mu.Unlock()
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte("{}"))
}

// Told is what the service accepted so far, in order.
func (s *Service) Told() []Told {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

// Statuses are the status fields of what the service accepted so far, with when they came, such as "delivered@12m0s".
func (s *Service) Statuses() []string {
	var all []string
	for _, t := range s.Told() {
		var b struct{ Status string }
		_ = json.Unmarshal([]byte(t.Body), &b) // an empty status is seen in the comparison
		all = append(all, b.Status+"@"+t.After.String())
	}
	return all
}

// Store is a store in memory that counts its writes and can be made to fail.
type Store struct {
	*memory.Store
	Writes atomic.Int64
	Broken atomic.Bool
}

// NewStore is a store that stands for SQLite.
func NewStore() *Store { return &Store{Store: memory.New(durable.Features{Exclusive: true})} }

var errBroken = errors.New("the disk is broken")

// Create counts.
func (s *Store) Create(ctx context.Context, r durable.Record) error {
	if s.Broken.Load() {
		return errBroken
	}
	err := s.Store.Create(ctx, r)
	if err == nil {
		s.Writes.Add(1)
	}
	return err
}

// Save counts.
func (s *Store) Save(ctx context.Context, r durable.Record) error {
	if s.Broken.Load() {
		return errBroken
	}
	s.Writes.Add(1)
	return s.Store.Save(ctx, r)
}

// Company is what all the simulated companies are.
type Company interface {
	Handler() http.Handler
	Start()
	Stop(context.Context) error
}

// Open puts a company on the network and starts it; it is stopped at the end of the test, or by what Open returns.
func (w *World) Open(name string, c Company) (stop func()) {
	w.Handle(name, c.Handler())
	c.Start()
	stop = sync.OnceFunc(func() {
		w.Handle(name, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			w.t.Errorf("stop %s: %v", name, err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}
