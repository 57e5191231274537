package partner

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Behaviour is how a company misbehaves. The zero value is a company that does not.
type Behaviour struct {
	Fail      float64       `json:"fail,omitempty"`      // share of requests answered 500, nothing done
	Abort     float64       `json:"abort,omitempty"`     // share of requests carried out whose connection then drops
	Duplicate float64       `json:"duplicate,omitempty"` // share of callbacks sent twice
	Slow      time.Duration `json:"slow,omitempty"`      // before answering, real time
	Down      bool          `json:"down,omitempty"`      // every connection drops, nothing is sent
}

// Conduct is a company's present behaviour. Safe for concurrent use.
type Conduct struct {
	mu     sync.Mutex
	now    Behaviour
	random *rand.Rand
}

// NewConduct takes what is chance from random, which is used under a lock; nil: a source with a fixed seed.
func NewConduct(b Behaviour, random rand.Source) *Conduct {
	if random == nil {
		random = rand.NewPCG(1, 2)
	}
	return &Conduct{now: b, random: rand.New(random)}
}

// Set changes the behaviour, from the next request and callback on.
func (c *Conduct) Set(b Behaviour) {
	c.mu.Lock()
	c.now = b
	c.mu.Unlock()
}

// Now is the present behaviour.
func (c *Conduct) Now() Behaviour {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// request is what befalls one request.
func (c *Conduct) request() (b Behaviour, fail, abort bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b = c.now
	return b, c.chance(b.Fail), c.chance(b.Abort)
}

func (c *Conduct) callback() (down, twice bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Down, c.chance(c.now.Duplicate)
}

func (c *Conduct) chance(share float64) bool { return share > 0 && c.random.Float64() < share }

// misbehave puts the conduct before a handler.
func (c *Conduct) misbehave(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, fail, abort := c.request()
		if b.Down {
			panic(http.ErrAbortHandler)
		}
		if b.Slow > 0 {
			t := time.NewTimer(b.Slow)
			select {
			case <-t.C:
			case <-r.Context().Done():
				t.Stop()
				panic(http.ErrAbortHandler)
			}
		}
		if fail {
			httpapi.WriteError(w, r, httpapi.Errorf(http.StatusInternalServerError, "the company's computer is out of order"))
			return
		}
		if abort {
			next.ServeHTTP(nowhere{}, r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// nowhere is the writer of an answer that nobody will hear.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// Executor carries a company's effects out as its conduct is: nothing while it is down, some callbacks twice. The
// second time has a key of its own, as of a company that does not know it has called before.
func (c *Conduct) Executor(inner durable.Executor) durable.Executor { return executor{c, inner} }

type executor struct {
	conduct *Conduct
	inner   durable.Executor
}

func (x executor) Execute(ctx context.Context, o durable.Owed, key string) durable.Outcome {
	down, twice := x.conduct.callback()
	if down {
		return durable.Outcome{Verdict: durable.Retry, Detail: "the company is down"}
	}
	out := x.inner.Execute(ctx, o, key)
	if twice && strings.HasSuffix(o.Op, "/callback") {
		x.inner.Execute(ctx, o, key+"/twice")
	}
	return out
}
