package telemetry

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// mostRoutes is how many routes a service may have in labels, far above what there are.
const mostRoutes = 200

// classes are the labels of statuses, by their hundreds.
var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Server counts the requests of a service.
func (m *Metrics) Server(service string) httpapi.Meter {
	s := &server{inFlight: m.inFlight.WithLabelValues(service)}
	s.routes = kept[*route]{most: mostRoutes, make: func(pattern string) *route {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "none", "none"
			if pattern == other {
				method, path = other, other
			}
		}
		r := &route{took: m.took.WithLabelValues(service, path, method)}
		for i, class := range classes { // made when the first such status is answered: most never are
			r.class[i] = sync.OnceValue(func() prometheus.Counter { return m.requests.WithLabelValues(service, path, method, class) })
		}
		return r
	}}
	return s
}

type server struct {
	inFlight prometheus.Gauge
	routes   kept[*route]
}

type route struct {
	took  prometheus.Observer
	class [len(classes)]func() prometheus.Counter
}

// Begin is httpapi.Meter.
func (s *server) Begin() { s.inFlight.Inc() }

// End is httpapi.Meter.
func (s *server) End(pattern string, status int, took time.Duration) {
	s.inFlight.Dec()
	r := s.routes.of(pattern)
	class := status / 100
	if class < 1 || class >= len(classes) {
		class = 0
	}
	r.class[class]().Inc()
	if took >= 0 {
		r.took.Observe(took.Seconds())
	}
}
