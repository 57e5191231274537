package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/order"
)

// data are the flags that say where everything is kept.
type data struct {
	Data        string `help:"Folder of whatever is kept in SQLite." default:"data" type:"path"`
	app.Engines `group:"Engines, instead of the embedded ones"`
}

// system are the flags of everything that runs services.
type system struct {
	data
	Speed     float64   `help:"How many times faster than real time the clock runs." default:"1"`
	ClockFrom time.Time `help:"The moment from which a faster clock counts: the same in every process." placeholder:"2026-01-31T12:00:00Z"`

	Lease       time.Duration `help:"How long an instance may be silent before others take its work over, real time." default:"30s"`
	OutboxLimit int           `help:"Take no more orders while so many have work overdue: a broker or neighbour that is away must not fill the store." default:"100000"`

	APIKey string `help:"What this process shows the others as X-API-Key: a key of its own, of the scope service:NAME or gateway, or one text of 16 characters and more that all of them share. One of this run's own where everything is in one process." name:"api-key"`

	app.Companies `group:"Outside companies"`

	PaymentLimit time.Duration `help:"Cancel an order whose card company has not answered within this." default:"15m" group:"Limits (by the clock)"`
	DriverLimit  time.Duration `help:"Cancel and refund an order without a driver within this." default:"30m" group:"Limits (by the clock)"`
	KitchenLimit time.Duration `help:"Cancel and refund an order whose restaurant has not answered within this." default:"15m" group:"Limits (by the clock)"`
	GapLimit     time.Duration `help:"Ask the partner when a status is missing for this long." default:"2m" group:"Limits (by the clock)"`

	SilenceLimit time.Duration `help:"Ask whoever owes news when nothing was heard of an order for this long." default:"30m" group:"Limits (by the clock)"`

	app.Identity `group:"Who is who"`

	app.Door      `group:"The public door"`
	app.Telemetry `group:"What is told of it"`

	Partner app.Misbehaviour `embed:"" prefix:"partner-" group:"Simulated partners, made worse"`
}

func (s system) config(e *env) app.Config {
	return app.Config{
		Engines: s.Engines, Companies: s.Companies, Door: s.Door, Identity: s.Identity, Telemetry: s.Telemetry, Version: version, Data: s.Data, Speed: s.Speed, From: s.ClockFrom, Log: e.log, APIKey: s.APIKey,
		Behave: s.Partner, Outbox: s.OutboxLimit, Lease: s.Lease,
		Limits: order.Limits{Payment: s.PaymentLimit, Driver: s.DriverLimit, Kitchen: s.KitchenLimit, Gap: s.GapLimit, Silence: s.SilenceLimit},
	}
}

type upCmd struct {
	system
	Listen     string        `help:"Address of the gateway." default:"127.0.0.1:8080"`
	Search     time.Duration `help:"How long the simulated transport company looks for a driver; until then an order can be cancelled." default:"3m" group:"Simulated partners, made worse"`
	Open       bool          `help:"Take whoever reaches the gateway for an operator: for trying things out, on a loopback address only." group:"Who is who"`
	NoPartners bool          `help:"Run without the simulated card company, transport company and restaurants."`
}

func (c *upCmd) Run(e *env) error {
	began := time.Now()
	if err := app.CheckListen(c.Listen); err != nil {
		return err
	}
	if c.Open {
		if err := app.CheckOpen(c.Listen); err != nil {
			return err
		}
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer ln.Close() //nolint:errcheck // Serve closes it first
	cfg := c.config(e)
	if err := cfg.Check(); err != nil { // before New, to which limits that are all 0 mean the usual ones
		return err
	}
	cfg.Partners, cfg.Demo, cfg.Search, cfg.Open = !c.NoPartners, true, c.Search, c.Open
	sys, err := app.New(e.ctx, cfg, app.Services...)
	if err != nil {
		return err
	}
	e.say(c, sys, ln.Addr(), time.Since(began))
	err = sys.Serve(e.ctx, ln, sys.Gateway)
	_, _ = fmt.Fprintln(e.err, "\nFinishing what is under way; everything else goes on at the next start.")
	return errors.Join(err, stop(e, sys))
}

// stop ends a system after its server, whose context has ended already.
func stop(e *env, sys *app.System) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 10*time.Second)
	defer cancel()
	return sys.Stop(ctx)
}

func (e *env) say(c *upCmd, sys *app.System, addr net.Addr, took time.Duration) {
	url := "http://" + addr.String()
	if c.TLSCert != "" {
		url = "https://" + addr.String()
	}
	b := e.banner
	flag := ""
	if url != defaultURL {
		flag = " --url " + url
	}
	key := filepath.Join(c.Data, app.OperatorKeyFile)
	if here, err := filepath.Abs(defaultKeyFile); !c.Open && (err != nil || here != key) {
		flag += " --token-file " + key
	}
	who := fmt.Sprintf("%s with the password %s, and the key in %s", app.DemoOperator, app.DemoPassword, key)
	if c.Open {
		who = b.Bad("whoever reaches it") + " (--open)"
	}
	partners := "simulated: card company, transport company, restaurants"
	if c.NoPartners {
		partners = "none in this process"
	}
	_, _ = fmt.Fprintf(e.err, `%s is ready at %s (%s, in %d ms)

  %s  %s/docs, and /{order,payment,customer,delivery,kitchen,identity}/docs
  %s  %s
  %s  %s
  %s  %s
  %s  %s, %v times as fast as the wall clock

Place an order, and watch it come:

  %s

`, b.Bold("Tiffin"), b.Bold(url), version, took.Milliseconds(),
		b.Dim("docs    "), url, b.Dim("operator"), who, b.Dim("data    "), c.Data, b.Dim("partners"), partners,
		b.Dim("clock   "), sys.Now().Format(time.RFC3339), c.Speed,
		b.Good("bin/tiffin order place --watch"+flag))
}

// defaultURL is where `tiffin up` listens.
const defaultURL = "http://127.0.0.1:8080"
