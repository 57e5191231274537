package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/tiffin-food/tiffin/internal/bench"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// BenchConfig says what load is put on which system.
type BenchConfig struct {
	Rate             float64
	Duration, Warmup time.Duration
	Data             string // empty: a temporary folder
	Version          string
	Log              *slog.Logger
	Progress         func(placed, settled int64, left time.Duration)
}

// BenchResult is what was measured, with what it cost on disk and whether every invariant held.
type BenchResult struct {
	bench.Result
	Writes        float64  `json:"writes_per_order"`
	Fsyncs        float64  `json:"fsyncs_per_order"`
	PartnerWrites float64  `json:"partner_writes_per_order"`
	PartnerFsyncs float64  `json:"partner_fsyncs_per_order"`
	Violations    []string `json:"violations"`
}

// Bench measures `up` under load: the same composition, with partners as quick as can be.
func Bench(ctx context.Context, cfg BenchConfig) (result BenchResult, err error) {
	folder, done, err := folderOr(cfg.Data)
	if err != nil {
		return result, err
	}
	defer done()
	sys, err := New(ctx, Config{
		Version: cfg.Version, Data: folder, Speed: 1, Partners: true, Bench: true, Demo: true, Log: cfg.Log,
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
	demo := dataset.Demo()
	mine, theirs := sys.db.Stats(), sys.partners.db.Stats()
	result.Result, err = bench.Run(ctx, bench.Options{
		URL: "http://" + ln.Addr().String(), Rate: cfg.Rate, Duration: cfg.Duration, Warmup: cfg.Warmup,
		Order:    client.Order{CustomerID: demo.Customers[0].ID, Items: []wire.Item{{Product: demo.Restaurants[0].Items[0].Product, Quantity: 1}}},
		Settled:  sys.orders.Settled,
		Progress: cfg.Progress,
	})
	if err != nil {
		return result, err
	}
	per := func(before, after sqlite.Stats) (writes, fsyncs float64) {
		n := float64(max(result.Total, 1))
		return float64(after.Writes-before.Writes) / n, float64(after.Commits-before.Commits) / n
	}
	result.Writes, result.Fsyncs = per(mine, sys.db.Stats())
	result.PartnerWrites, result.PartnerFsyncs = per(theirs, sys.partners.db.Stats())
	report, err := sys.Verify(ctx)
	result.Violations = []string{}
	for _, v := range report.Violations {
		result.Violations = append(result.Violations, v.String())
	}
	return result, err
}
