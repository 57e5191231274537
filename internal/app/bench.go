package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/bench"
	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// BenchConfig says what load is put on which system.
type BenchConfig struct {
	Engines
	Telemetry
	URL              string // a running system's gateway; empty: a system of its own, in this process
	Token            string // shown to that system
	Rate             float64
	Duration, Warmup time.Duration
	Data             string // empty: a temporary folder
	Version          string
	Log              *slog.Logger
	Progress         func(placed, settled int64, left time.Duration)
}

// BenchResult is what was measured, with what it cost on disk and whether every invariant held. The costs are those of
// SQLite, and zero where something else was written to.
type BenchResult struct {
	bench.Result
	Writes        float64  `json:"writes_per_order"`
	Fsyncs        float64  `json:"fsyncs_per_order"`
	PartnerWrites float64  `json:"partner_writes_per_order"`
	PartnerFsyncs float64  `json:"partner_fsyncs_per_order"`
	Violations    []string `json:"violations"`
}

// Bench measures a system under load: `up` with partners as quick as can be, or one that is running.
func Bench(ctx context.Context, cfg BenchConfig) (result BenchResult, err error) {
	if cfg.URL != "" {
		return benchThere(ctx, cfg)
	}
	folder, done, err := folderOr(cfg.Data)
	if err != nil {
		return result, err
	}
	defer done()
	sys, err := New(ctx, Config{
		Engines: cfg.Engines, Version: cfg.Version, Data: folder, Speed: 1, Partners: true, Demo: true, Log: cfg.Log,
		Behave: Misbehaviour{Quick: true}, Telemetry: cfg.Telemetry,
	}, Services...)
	if err != nil {
		return result, err
	}
	serving, stopServing := context.WithCancel(ctx)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		stopServing()
		return result, errors.Join(err, sys.Stop(ctx))
	}
	served := make(chan error, 1)
	go func() { served <- sys.Serve(serving, ln, sys.Gateway) }()
	defer func() {
		stopServing()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, <-served, sys.Stop(stop))
	}()
	var settled tally
	if err := sys.broker.Tail(serving, finals, settled.take); err != nil {
		return result, err
	}
	mine, theirs := sys.stats(), sys.partners.db.Stats()
	result.Result, err = bench.Run(ctx, cfg.options("http://"+ln.Addr().String(), sys.Token(), &settled))
	if err != nil {
		return result, err
	}
	per := func(before, after sqlite.Stats) (writes, fsyncs float64) {
		n := float64(max(result.Total, 1))
		return float64(after.Writes-before.Writes) / n, float64(after.Commits-before.Commits) / n
	}
	result.Writes, result.Fsyncs = per(mine, sys.stats())
	result.PartnerWrites, result.PartnerFsyncs = per(theirs, sys.partners.db.Stats())
	report, err := sys.Verify(ctx)
	result.Violations = []string{}
	for _, v := range report.Violations {
		result.Violations = append(result.Violations, v.String())
	}
	return result, err
}

// benchThere puts the load on a running system, and hears from its own events what became of it.
func benchThere(ctx context.Context, cfg BenchConfig) (result BenchResult, err error) {
	api, err := client.New(cfg.URL, &http.Transport{})
	if err != nil {
		return result, err
	}
	api = api.As(cfg.Token)
	var settled tally
	tail, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	listening := make(chan struct{})
	go func() {
		ended <- api.Tail(tail, finals, func() { close(listening) }, func(e client.Event) {
			_ = settled.take(tail, broker.Message{Key: e.Key, Body: e.Body})
		})
	}()
	select {
	case <-listening:
	case err := <-ended:
		stop()
		return result, err
	}
	result.Result, err = bench.Run(ctx, cfg.options(cfg.URL, cfg.Token, &settled))
	stop()
	if tailed := <-ended; err == nil && !errors.Is(tailed, context.Canceled) {
		err = tailed
	}
	result.Violations = []string{}
	return result, err
}

func (cfg BenchConfig) options(url, token string, settled *tally) bench.Options {
	demo := dataset.Demo()
	return bench.Options{
		URL: url, Token: token, Rate: cfg.Rate, Duration: cfg.Duration, Warmup: cfg.Warmup,
		Order:    client.Order{CustomerID: demo.Customers[0].ID, Items: []wire.Item{{Product: demo.Restaurants[0].Items[0].Product, Quantity: 1}}},
		Settled:  settled.count,
		Progress: cfg.Progress,
	}
}

// finals are the events that end an order.
var finals = []string{
	wire.OrderTopic + string(wire.Delivered), wire.OrderTopic + string(wire.PaymentFailed), wire.OrderTopic + string(wire.Reimbursed),
}

// tally counts the orders whose end was announced, each once.
type tally struct {
	mu    sync.Mutex
	ended map[string]struct{}
}

func (t *tally) take(_ context.Context, m broker.Message) error {
	var e wire.OrderEvent
	if err := json.Unmarshal(m.Body, &e); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended == nil {
		t.ended = map[string]struct{}{}
	}
	t.ended[e.OrderID] = struct{}{}
	return nil
}

func (t *tally) count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(len(t.ended))
}

// stats sums up what the services wrote to SQLite.
func (s *System) stats() (sum sqlite.Stats) {
	for _, db := range s.dbs.open {
		if db, ok := db.(sqliteDB); ok {
			one := db.Stats()
			sum.Writes += one.Writes
			sum.Commits += one.Commits
		}
	}
	return sum
}
