package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/telemetry"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Telemetry says what is told of the system, and to whom. The zero value tells nobody anything.
type Telemetry struct {
	OTLP       string  `help:"Send traces to this collector by OTLP over HTTP: http://host:4318; or stdout, as JSON lines." name:"otlp"`
	TraceRatio float64 `help:"Share of the requests from outside of which everything is traced." default:"1"`
	Metrics    bool    `help:"Serve metrics for Prometheus at /metrics." default:"true" negatable:""`
}

// Check says which setting is wrong.
func (t Telemetry) Check() error {
	var ratio error
	if !(t.TraceRatio >= 0 && t.TraceRatio <= 1) {
		ratio = fmt.Errorf("trace-ratio: %v is not valid; expected a share from 0 to 1", t.TraceRatio)
	}
	return errors.Join(telemetry.CheckOTLP(t.OTLP), ratio)
}

func (s *System) openTelemetry() (*telemetry.Telemetry, error) {
	broker := "local"
	if !s.cfg.local() {
		broker = "rabbitmq"
	}
	return telemetry.Open(telemetry.Options{
		Version: s.cfg.Version, Instance: s.owner, OTLP: s.cfg.OTLP, Ratio: s.cfg.TraceRatio, Metrics: s.cfg.Metrics,
		Broker: broker, Log: s.log, Describe: about, Exporter: s.cfg.Spans,
	})
}

// about says which order a record is about, and what an event at it is called: what is said of a status by its name.
func about(kind string, r durable.Record, e durable.Event) (orderID, event string) {
	switch kind {
	case Orders, Payments:
		orderID = r.ID
	case Deliveries, Tickets:
		orderID = r.Key
	}
	event = e.Type
	switch v := e.Value.(type) {
	case wire.StatusMessage:
		event = string(v.Status)
	case wire.PaymentCallback:
		event = string(v.Status)
	case wire.DeliveryCallback:
		event = string(v.Status)
	case wire.KitchenCallback:
		event = string(v.Status)
	case order.Place:
		orderID = v.ID
	}
	return orderID, event
}

// shellOf is what the runners of a service have in common.
func (s *System) shellOf(service string) durable.Options {
	opt := s.shell()
	opt.Tracer = s.tel.Records(service)
	if s.pressure != nil {
		opt.Load = s.pressure
	}
	if m := s.tel.Metrics; m != nil {
		opt.Meters = m.Runner
	}
	return opt
}

// watched is a service's store with its calls traced and its backlog counted, where that is wanted.
func (s *System) watched(store durable.Store, service, kind string) durable.Store {
	if store == nil {
		return nil
	}
	at, _ := s.cfg.place(service) // it was opened
	if m := s.tel.Metrics; m != nil {
		m.Backlog(kind, func(ctx context.Context, limit int) (int, time.Duration, error) {
			now := s.Clock.Now()
			n, oldest, err := store.Backlog(ctx, now, limit)
			if err != nil || oldest.IsZero() {
				return n, 0, err
			}
			return n, now.Sub(oldest), nil
		})
		if db, err := s.dbs.of(s.life, service); err == nil {
			if db, ok := db.(sqliteDB); ok {
				m.Database(filepath.Base(at.url), func() telemetry.Commits { return commits(db.Stats()) })
			}
		}
	}
	system := at.scheme
	if system == schemePostgres {
		system = "postgresql"
	}
	return s.tel.Store(store, service, kind, system)
}

// commits are SQLite's counters as histograms.
func commits(s sqlite.Stats) telemetry.Commits {
	c := telemetry.Commits{
		Writes: s.Writes, Commits: s.Commits, Spent: s.Spent,
		BySize: make(map[float64]uint64, len(s.Batches)), ByTook: make(map[float64]uint64, len(s.Took)),
	}
	var sum uint64
	for i, n := range s.Batches {
		sum += n
		c.BySize[math.Exp2(float64(i+1))-1] = sum
	}
	sum = 0
	for i, n := range s.Took {
		sum += n
		c.ByTook[(sqlite.TookLeast << i).Seconds()] = sum
	}
	return c
}

// meter counts the requests of a unit; nil: nobody counts.
func (s *System) meter(unit string) httpapi.Meter {
	if s.tel.Metrics == nil {
		return nil
	}
	return s.tel.Metrics.Server(unit)
}

// progress counts how far orders come; nil: nobody counts.
func (s *System) progress() func([]wire.Moment) {
	if s.tel.Metrics == nil {
		return nil
	}
	return s.tel.Metrics.Order
}

// metrics serves what was counted in this process, on an API of it.
func (s *System) metrics(a *httpapi.API, access auth.Access) {
	m := s.tel.Metrics
	if m == nil {
		return
	}
	m.Instances(func() []telemetry.Instance {
		var all []telemetry.Instance
		for _, b := range s.http.Instances() {
			all = append(all, telemetry.Instance{Service: b.Service, URL: b.URL, State: b.State})
		}
		return all
	})
	if s.pressure != nil {
		m.Pressure(s.pressure.Value)
	}
	a.Metrics(access, m.Handler())
}
