package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/replay"
)

type replayCmd struct {
	credential
	Dir   string  `arg:"" help:"The day: a folder with orders.txt, restaurants.txt, couriers.txt and instance_parameters.txt." type:"existingdir"`
	URL   string  `help:"Run it against this system, at its pace and with its couriers, instead of one of its own." env:"-"`
	Speed float64 `help:"With --url: how fast that system's clock runs." default:"1"`
	Data  string  `help:"Keep the databases of the system of its own in this folder." type:"path"`
	JSON  bool    `help:"Print JSON for a script." name:"json"`
}

func (c *replayCmd) Run(e *env) error {
	var progress func(settled, placed, of int, now time.Time)
	if e.banner.Colours() {
		bar := progressbar.NewOptions(1, progressbar.OptionSetWriter(e.err), progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(true), progressbar.OptionSetPredictTime(false))
		defer bar.Finish() //nolint:errcheck // it only clears the line
		progress = func(settled, placed, of int, now time.Time) {
			bar.ChangeMax(of)
			bar.Describe(fmt.Sprintf("%s  %d of %d placed, settled:", now.Format("15:04"), placed, of))
			_ = bar.Set(settled)
		}
	}
	token, err := c.text()
	if err != nil {
		return err
	}
	r, err := app.Replay(e.ctx, app.ReplayConfig{
		Dir: c.Dir, URL: c.URL, Token: token, Speed: c.Speed, Data: c.Data, Log: e.log, Version: version, Progress: progress,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = console.JSON(e.out, r)
	} else {
		err = showReplay(e, r)
	}
	if err == nil && !r.OK() {
		return errSilent
	}
	return err
}

func showReplay(e *env, r replay.Result) error {
	pairs := [][2]string{
		{"orders", fmt.Sprint(r.Orders)},
		{"delivered", e.paint.Good(fmt.Sprint(r.Delivered))},
	}
	cancelled, reasons := 0, []string{}
	for reason, n := range r.Cancelled {
		cancelled += n
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	pairs = append(pairs, [2]string{"cancelled", fmt.Sprintf("%d (%.1f %%)", cancelled, 100*float64(cancelled)/float64(max(r.Orders, 1)))})
	for _, reason := range reasons {
		pairs = append(pairs, [2]string{"  " + reason, fmt.Sprint(r.Cancelled[reason])})
	}
	open := fmt.Sprint(r.Open)
	if r.Open > 0 {
		open = e.paint.Bad(open)
	}
	balance := fmt.Sprintf("%d cents", r.Balance)
	if r.Balance != 0 {
		balance = e.paint.Bad(balance)
	}
	pairs = append(pairs,
		[2]string{"failed", fmt.Sprint(r.Failed)},
		[2]string{"open", open},
		[2]string{"click to door", fmt.Sprintf("mean %.1f, p50 %.1f, p90 %.1f minutes", r.Mean, r.P50, r.P90)},
		[2]string{"charges", fmt.Sprintf("%d, %s", r.Charges, r.Charged)},
		[2]string{"refunds", fmt.Sprintf("%d, %s", r.Refunds, r.Refunded)},
		[2]string{"delivered value", r.Value.String()},
		[2]string{"balance", balance},
		[2]string{"wall time", fmt.Sprintf("%.1f s", r.WallSeconds)},
	)
	if err := console.Pairs(e.out, e.paint, pairs); err != nil {
		return err
	}
	for _, v := range r.Violations {
		if _, err := fmt.Fprintln(e.out, e.paint.Bad(v)); err != nil {
			return err
		}
	}
	return nil
}
