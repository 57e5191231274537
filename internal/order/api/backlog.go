package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// gauge is how many orders have work overdue, as last counted.
type gauge struct {
	mu     sync.Mutex
	n      int
	until  time.Time // when it is to be counted again, real time
	asking bool
}

// countEvery is how long a count is believed, real time.
const countEvery = 5 * time.Second

// admit refuses new orders while more than MaxBacklog have work overdue, or put off after a failed attempt: while a
// neighbour is away nearly all the work there is for it waits for its next try.
func (s *Service) admit(ctx context.Context) error {
	if s.backlog(ctx) > s.opt.MaxBacklog {
		return httpapi.Errorf(http.StatusServiceUnavailable,
			"more than %d orders wait for work to be done on them; no more are taken until that is fewer", s.opt.MaxBacklog)
	}
	return nil
}

// backlog is how many orders have work overdue, or put off; of more than MaxBacklog one more is counted. One request in
// a while counts, the others go by its last count.
func (s *Service) backlog(ctx context.Context) int {
	g := &s.gauge
	g.mu.Lock()
	count := !g.asking && time.Now().After(g.until)
	if count {
		g.asking = true
	}
	n := g.n
	g.mu.Unlock()
	if count {
		var err error
		n, _, err = s.opt.Orders.Backlog(ctx, s.opt.Shell.Clock.Now().Add(durable.MaxBackoff), s.opt.MaxBacklog+1)
		g.mu.Lock()
		g.asking, g.until = false, time.Now().Add(countEvery)
		if err == nil {
			g.n = n
		} else {
			n = g.n // the order itself will show whether the store is away
		}
		g.mu.Unlock()
	}
	return n
}

// overdue registers the count for operators.
func (s *Service) overdue(a *httpapi.API) {
	type body struct {
		Orders int  `json:"orders" doc:"How many, as counted within the last seconds"`
		More   bool `json:"more" doc:"More than that: no new orders are taken"`
	}
	type output struct{ Body body }
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/backlog", OperationID: "backlog", Tags: []string{"operations"},
		Summary: "How many orders have work overdue, or put off after a failed attempt",
	}, func(ctx context.Context, _ *struct{}) (*output, error) {
		n := s.backlog(ctx)
		return &output{body{min(n, s.opt.MaxBacklog), n > s.opt.MaxBacklog}}, nil
	})
}
