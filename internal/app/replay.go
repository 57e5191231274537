package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/mdrp"
	"github.com/tiffin-food/tiffin/internal/replay"
)

// ReplayConfig says how a recorded day is run.
type ReplayConfig struct {
	Dir      string
	URL      string  // a running system; empty: one of its own under the virtual clock
	Token    string  // shown to that system
	Speed    float64 // the running system's
	Data     string  // where the system of its own keeps its data; empty: nowhere
	Version  string
	Log      *slog.Logger
	Progress func(settled, placed, of int, now time.Time)
}

// midnight is when a replayed day begins. Recordings have no date.
var midnight = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Replay runs a recorded day through the public API.
func Replay(ctx context.Context, cfg ReplayConfig) (replay.Result, error) {
	day, err := mdrp.Load(cfg.Dir)
	if err != nil {
		return replay.Result{}, err
	}
	if cfg.URL != "" {
		return replayThere(ctx, cfg, day)
	}
	folder, done, err := folderOr(cfg.Data)
	if err != nil {
		return replay.Result{}, err
	}
	defer done()
	sys, err := New(ctx, Config{
		Version: cfg.Version, Data: folder, Speed: 1, Virtual: midnight, Partners: true, Log: cfg.Log,
	}, Services...)
	if err != nil {
		return replay.Result{}, err
	}
	result, err := sys.replay(ctx, cfg, day)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return result, errors.Join(err, sys.Stop(stop))
}

// replay runs the day on a system whose virtual clock is held.
func (s *System) replay(ctx context.Context, cfg ReplayConfig, day mdrp.Day) (replay.Result, error) {
	if err := s.partners.fleet.SetRoster(ctx, roster(day, s.Clock.Now())); err != nil {
		return replay.Result{}, err
	}
	if _, err := dataset.Import(ctx, s.Client, replay.Data(day)); err != nil {
		return replay.Result{}, err
	}
	result, err := replay.Run(ctx, replay.Options{
		Day: day, Client: s.Client, Clock: s.Clock, Progress: cfg.Progress, Ledger: s.ledger,
	})
	if err != nil {
		return result, err
	}
	report, err := s.Verify(ctx)
	for _, v := range report.Violations {
		result.Violations = append(result.Violations, v.String())
	}
	return result, err
}

// ledger sums up the card company's own books.
func (s *System) ledger(ctx context.Context) (replay.Ledger, error) {
	report, err := s.Verify(ctx)
	return replay.Ledger{
		Charges: report.Charges, Charged: report.Charged, Refunds: report.Refunds, Refunded: report.Refunded,
	}, err
}

// replayThere runs the day on a system that is running elsewhere.
func replayThere(ctx context.Context, cfg ReplayConfig, day mdrp.Day) (replay.Result, error) {
	c, err := client.New(cfg.URL, nil)
	if err != nil {
		return replay.Result{}, err
	}
	c = c.As(cfg.Token)
	pace, err := clock.New(time.Now(), cfg.Speed)
	if err != nil {
		return replay.Result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ticked := make(chan struct{})
	go func() { pace.Run(ctx); close(ticked) }()
	defer func() { cancel(); <-ticked }()
	if _, err := dataset.Import(ctx, c, replay.Data(day)); err != nil {
		return replay.Result{}, err
	}
	return replay.Run(ctx, replay.Options{Day: day, Client: c, Clock: pace, Progress: cfg.Progress})
}

// folderOr is the folder, or a temporary one that done removes.
func folderOr(folder string) (path string, done func(), err error) {
	if folder != "" {
		return folder, func() {}, nil
	}
	path, err = os.MkdirTemp("", "tiffin-")
	return path, func() { _ = os.RemoveAll(path) }, err
}
