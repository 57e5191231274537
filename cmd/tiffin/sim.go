package main

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/sim"
)

type simCmd struct {
	Orders  int    `help:"How many orders." default:"20000"`
	Seed    uint64 `help:"What everything random is drawn from." default:"1"`
	Faults  string `help:"Which faults: all, none, or names with commas (a wrong one lists them); -NAME takes one out." default:"all"`
	Workers int    `help:"Worlds at once; 0: one per processor." default:"0"`
	Trace   bool   `help:"Tell every step, on standard error."`
	JSON    bool   `help:"Print JSON for a script." name:"json"`
}

func (c *simCmd) Run(e *env) error {
	faults, err := sim.ParseFaults(c.Faults)
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	if c.Orders < 1 {
		return fmt.Errorf("orders: %d is not valid; expected 1 or more", c.Orders)
	}
	config := sim.Config{Orders: c.Orders, Seed: c.Seed, Faults: faults, Workers: c.Workers}
	if c.Trace {
		config.Trace = e.err
	}
	var done atomic.Int64
	if e.banner.Colours() && !c.Trace {
		config.Progress = func(n int) {
			_, _ = fmt.Fprintf(e.err, "\r%d of %d orders", done.Add(int64(n)), c.Orders)
		}
	}
	began := time.Now()
	r := sim.Run(config)
	took := time.Since(began)
	if config.Progress != nil {
		_, _ = fmt.Fprint(e.err, "\r\033[K")
	}
	if c.JSON {
		err = console.JSON(e.out, map[string]any{
			"orders": r.Orders, "worlds": r.Worlds, "steps": r.Steps, "seed": c.Seed, "faults": faults.String(),
			"hash": fmt.Sprintf("%016x", r.Hash), "violations": r.Violations, "missing": r.Missing, "seconds": took.Seconds(),
		})
	} else {
		err = showSim(e, c, r, took)
	}
	if err == nil && !r.OK() {
		return errSilent
	}
	return err
}

func showSim(e *env, c *simCmd, r *sim.Result, took time.Duration) error {
	verdict := e.paint.Good("every invariant held at every step")
	if len(r.Violations) > 0 {
		verdict = e.paint.Bad(fmt.Sprintf("%d violations", len(r.Violations)))
	} else if len(r.Missing) > 0 {
		verdict = e.paint.Bad("the run did not see all it should have seen")
	}
	err := console.Pairs(e.out, e.paint, [][2]string{
		{"orders", fmt.Sprintf("%d in %d worlds, %d steps", r.Orders, r.Worlds, r.Steps)},
		{"faults", c.Faults},
		{"seed", fmt.Sprint(c.Seed)},
		{"trace hash", fmt.Sprintf("%016x", r.Hash)},
		{"time", fmt.Sprintf("%.1f s, %.0f orders/s", took.Seconds(), float64(r.Orders)/took.Seconds())},
		{"verdict", verdict},
	})
	for _, v := range r.Violations {
		if err == nil {
			_, err = fmt.Fprintf(e.out, "\n%s\n  %s\n", v, strings.Join(v.Tail, "\n  "))
		}
	}
	for _, m := range r.Missing {
		if err == nil {
			_, err = fmt.Fprintln(e.out, "never happened:", m)
		}
	}
	return err
}
