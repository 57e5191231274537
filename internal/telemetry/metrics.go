package telemetry

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
)

// Metrics counts, in a registry of its own. What is counted for a request, an event or an effect is found once and kept:
// after that it costs a look into a map and an addition.
type Metrics struct {
	registry *prometheus.Registry

	orders       *orders
	requests     *prometheus.CounterVec
	took         *prometheus.HistogramVec
	inFlight     *prometheus.GaugeVec
	effects      *prometheus.CounterVec
	retries      *prometheus.CounterVec
	parked       *prometheus.CounterVec
	unparked     *prometheus.CounterVec
	messages     *prometheus.CounterVec
	backlogs     *backlogs
	breakers     *breakers
	commits      *commits
	certificates *certificates
	door         *door
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func newMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewPedanticRegistry(),
		orders:   newOrders(),
		requests: counter("tiffin_http_requests_total", "Requests that were answered, by the route's pattern and the class of the status.", "service", "route", "method", "status"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tiffin_http_request_duration_seconds", Help: "How long answers took, in real time; streams are not in it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"service", "route", "method"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tiffin_http_in_flight", Help: "Requests being answered.",
		}, []string{"service"}),
		effects:  counter("tiffin_effects_total", "Attempts at what records owe: commands, messages. Outcome: accepted, rejected, or retry.", "kind", "effect", "outcome"),
		retries:  counter("tiffin_effect_retries_total", "Attempts that were not the first.", "kind", "effect"),
		parked:   counter("tiffin_parked_total", "Effects put aside for a person, since the process began.", "kind"),
		unparked: counter("tiffin_unparked_total", "Effects that a person has taken up again, since the process began.", "kind"),
		messages: counter("tiffin_messages_total", "Messages taken from a queue. Outcome: acked, requeued, or dead.", "queue", "outcome"),
		backlogs: newBacklogs(), breakers: &breakers{}, commits: &commits{}, certificates: &certificates{}, door: &door{},
	}
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tiffin_build_info", Help: "1, with what runs.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	}, func() float64 { return 1 })
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build,
		m.orders.total, m.orders.stages, m.orders.clickToDoor, m.requests, m.took, m.inFlight, m.effects, m.retries,
		m.parked, m.unparked, m.messages, m.backlogs, m.breakers, m.commits, m.certificates, m.door)
	return m
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// Names are those of all metrics, for whoever checks what is said of them. Histograms have theirs without suffix.
func (m *Metrics) Names() []string {
	descs := make(chan *prometheus.Desc)
	go func() { // ends when all were taken
		m.registry.Describe(descs)
		close(descs)
	}()
	return namesOf(descs)
}

// kept are what was found by name, without a lock to read. It takes at most most names; what comes after shares one.
type kept[T any] struct {
	most int
	make func(name string) T

	mu  sync.Mutex
	now atomic.Pointer[map[string]T]
}

// other is the name for what there is no room for.
const other = "other"

func (k *kept[T]) of(name string) T {
	if now := k.now.Load(); now != nil {
		if v, ok := (*now)[name]; ok {
			return v
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[string]T{}
	if now := k.now.Load(); now != nil {
		maps.Copy(all, *now)
	}
	if _, there := all[name]; !there && len(all) >= k.most {
		name = other
	}
	v, there := all[name]
	if !there {
		v = k.make(name)
		all[name] = v
		k.now.Store(&all)
	}
	return v
}

// mostEffects is how many names of effects a kind of record may have in labels, far above what there are.
const mostEffects = 100

// Runner counts for the records of a kind.
func (m *Metrics) Runner(kind string) durable.Meter {
	r := &runner{parked: m.parked.WithLabelValues(kind), unparked: m.unparked.WithLabelValues(kind)}
	r.effects = kept[*effect]{most: mostEffects, make: func(name string) *effect {
		e := &effect{retries: m.retries.WithLabelValues(kind, name)}
		for v, word := range verdicts {
			e.outcomes[v] = m.effects.WithLabelValues(kind, name, word)
		}
		return e
	}}
	return r
}

type runner struct {
	parked, unparked prometheus.Counter
	effects          kept[*effect]
}

type effect struct {
	outcomes [len(verdicts)]prometheus.Counter
	retries  prometheus.Counter
}

// Sent is durable.Meter.
func (r *runner) Sent(name string, attempt int, v durable.Verdict) {
	e := r.effects.of(name)
	e.outcomes[v].Inc()
	if attempt > 0 {
		e.retries.Inc()
	}
}

// Parked is durable.Meter.
func (r *runner) Parked(string) { r.parked.Inc() }

// Unparked is durable.Meter.
func (r *runner) Unparked(string) { r.unparked.Inc() }

// counted counts what becomes of a queue's messages.
func (m *Metrics) counted(queue string, h broker.Handler) broker.Handler {
	acked, requeued, dead := m.messages.WithLabelValues(queue, "acked"), m.messages.WithLabelValues(queue, "requeued"), m.messages.WithLabelValues(queue, "dead")
	return func(ctx context.Context, msg broker.Message) error {
		err := h(ctx, msg)
		switch _, rejected := errors.AsType[*broker.Reject](err); {
		case err == nil:
			acked.Inc()
		case rejected:
			dead.Inc()
		default:
			requeued.Inc()
		}
		return err
	}
}
