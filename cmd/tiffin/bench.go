package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/console"
)

type benchCmd struct {
	credential
	Rate          float64       `help:"Orders per second, arriving whether the system keeps up or not." default:"500"`
	Duration      time.Duration `help:"How long is measured." default:"20s"`
	Warmup        time.Duration `help:"How long the load runs before." default:"3s"`
	URL           string        `help:"Put the load on this running system instead of one of its own; its partners should run with --partner-quick." env:"-"`
	Data          string        `help:"Folder for the databases; a temporary one if empty." type:"path"`
	app.Engines   `group:"Engines of the system of its own"`
	app.Telemetry `group:"What is told of it"`
	Profile       string `help:"Write a CPU profile of the run to this file." type:"path"`
	JSON          bool   `help:"Print JSON for a script." name:"json"`
}

func (c *benchCmd) Run(e *env) error {
	var progress func(int64, int64, time.Duration)
	if e.banner.Colours() {
		progress = func(placed, settled int64, left time.Duration) {
			_, _ = fmt.Fprintf(e.err, "\r%d placed, %d settled, %s left   ", placed, settled, left.Round(time.Second))
		}
	}
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // the profile is flushed before
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	token, err := c.text()
	if err != nil {
		return err
	}
	r, err := app.Bench(e.ctx, app.BenchConfig{
		Engines: c.Engines, Telemetry: c.Telemetry, URL: c.URL, Token: token, Rate: c.Rate, Duration: c.Duration, Warmup: c.Warmup, Data: c.Data, Log: e.log, Version: version, Progress: progress,
	})
	if progress != nil {
		_, _ = fmt.Fprint(e.err, "\r\033[K")
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, r)
	}
	if err := showBench(e, r); err != nil {
		return err
	}
	if len(r.Violations) > 0 {
		return errSilent
	}
	return nil
}

func showBench(e *env, r app.BenchResult) error {
	b := r.Result
	pairs := [][2]string{
		{"asked for", fmt.Sprintf("%.0f orders/s", b.Rate)},
		{"complete", e.paint.Bold(fmt.Sprintf("%.0f orders/s", b.Complete)) + fmt.Sprintf(" (%d placed, %d refused; drained in %.1f s)", b.Placed, b.Refused, b.DrainS)},
		{"refused in", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", b.RefusedP50, b.RefusedP99)},
		{"POST", fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, max %.1f ms", b.PostP50, b.PostP99, b.PostMax)},
		{"CPU per order", fmt.Sprintf("%.2f ms (load generator and partners included)", b.CPUPer)},
		{"allocations", fmt.Sprintf("%.0f and %.0f kB per order", b.Allocs, b.AllocBytes/1000)},
		{"memory", fmt.Sprintf("%.0f MB heap, %.0f MB resident at most", b.HeapMB, b.MaxRSSMB)},
		{"writes", fmt.Sprintf("%.1f per order by the services, %.1f by the partners", r.Writes, r.PartnerWrites)},
		{"fsyncs", fmt.Sprintf("%.2f per order by the services, %.2f by the partners (%.1f writes share one)", r.Fsyncs, r.PartnerFsyncs, r.Writes/max(r.Fsyncs, 1e-9))},
		{"verify", fmt.Sprintf("%d violations", len(r.Violations))},
	}
	if b.FirstError != "" {
		pairs = append(pairs, [2]string{"first refusal", b.FirstError})
	}
	return console.Pairs(e.out, e.paint, pairs)
}
