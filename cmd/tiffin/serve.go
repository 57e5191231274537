package main

import (
	"fmt"

	"github.com/tiffin-food/tiffin/internal/app"
)

type serveCmd struct {
	system
	Services  []string `arg:"" help:"Some of order, payment, customer, delivery, kitchen, identity, gateway; partners for the simulated companies."`
	Host      string   `help:"Address to listen on; services that are not served here are looked for on it too, where no registry says otherwise." default:"127.0.0.1"`
	Port      int      `help:"Port to listen on, where one service is served; the services' own otherwise: gateway 8080, order 8000, payment 8001, customer 8002, delivery 8003, kitchen 8004, identity 8005, partners 8090."`
	Advertise string   `help:"Name or address under which others reach this process, for the registry; default: the host's name."`
}

func (c *serveCmd) Run(e *env) error {
	cfg := c.config(e)
	cfg.Host = c.Host
	return app.Serve(e.ctx, app.ServeConfig{
		Config: cfg, Units: c.Services, Listen: c.Host, Port: c.Port, Advertise: c.Advertise,
		Say: func(what string) { _, _ = fmt.Fprintln(e.err, what) },
	})
}
