package gateway

import (
	"math"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Turn says when a route's requests are turned away while there is more to do than can be done.
type Turn int

// The turns: lists first, then new orders. What is not in a turn is never turned away: a callback or a cancel that
// was refused would only come again, and whoever waits for an order already counts on it.
const (
	Never Turn = iota
	Lists
	NewOrders
)

// listsFirst is how much sooner lists are turned away: all of them at a quarter of the pressure that turns away all
// orders.
const listsFirst = 4

// shedder turns requests away before anything is done for them, finding out who asks included: under too much work a
// refusal must cost next to nothing. Of n requests under the pressure p it turns away n×p, evenly spread.
type shedder struct {
	pressure func() float64
	turns    map[string]Turn // by method and path; a route in a turn has no parameters
	seen     [NewOrders + 1]atomic.Int64
	shed     [NewOrders + 1]atomic.Int64
}

func newShedder(pressure func() float64, routes []Route) *shedder {
	s := &shedder{pressure: pressure, turns: map[string]Turn{}}
	for _, r := range routes {
		if r.Turn != Never {
			s.turns[r.Pattern] = r.Turn
		}
	}
	return s
}

// before stands before everything else.
func (s *shedder) before(next http.Handler) http.Handler {
	if s.pressure == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := s.pressure(); p > 0 && s.refuses(s.turns[r.Method+" "+r.URL.Path], p) {
			httpapi.NameRequest(w, r)
			httpapi.WriteError(w, r, errBusy)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *shedder) refuses(turn Turn, p float64) bool {
	if turn == Never {
		return false
	}
	if turn == Lists {
		p = min(1, p*listsFirst)
	}
	n := float64(s.seen[turn].Add(1))
	if math.Floor(n*p) == math.Floor((n-1)*p) {
		return false
	}
	s.shed[turn].Add(1)
	return true
}

var errBusy = httpapi.Errorf(http.StatusServiceUnavailable, "there is more to do than can be done; try again in a moment")

// Shed is how many requests were turned away, by what they asked for.
func (g *Gateway) Shed() (lists, orders int64) {
	return g.shedder.shed[Lists].Load(), g.shedder.shed[NewOrders].Load()
}

// hear takes note of the pressure that a service's answer tells of, which is not for the outside.
func (g *Gateway) hear(res *http.Response) {
	told := res.Header[httpapi.PressureHeader]
	if len(told) == 0 {
		return
	}
	delete(res.Header, httpapi.PressureHeader)
	if p, err := strconv.ParseFloat(told[0], 64); err == nil && g.opt.Hear != nil {
		g.opt.Hear(p)
	}
}
