package main

import (
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/console"
)

type cacheCmd struct {
	Show      cacheShowCmd `cmd:"" help:"Show the copy of an order in Redis."`
	ClearURLs clearURLsCmd `cmd:"" name:"clear-urls" help:"Take the copies of service URLs out of Redis."`
}

type cacheShowCmd struct {
	Redis string `help:"The Redis: redis://host:port/0." required:""`
	ID    string `arg:"" help:"The order."`
	JSON  bool   `help:"Print JSON for a script." name:"json"`
}

func (c *cacheShowCmd) Run(e *env) error {
	shown, err := app.ShowCopy(e.ctx, c.Redis, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, shown)
	}
	if !shown.Found {
		_, err := fmt.Fprintln(e.out, "Redis has no copy of this order; the next read makes one")
		return err
	}
	if err := console.Pairs(e.out, e.paint, [][2]string{
		{"version", fmt.Sprint(shown.Version)}, {"left", shown.Left.Round(time.Second).String()},
	}); err != nil {
		return err
	}
	return console.JSON(e.out, shown.Order)
}

type clearURLsCmd struct {
	Redis string `help:"The Redis: redis://host:port/0." required:""`
}

func (c *clearURLsCmd) Run(e *env) error {
	n, err := app.ClearURLs(e.ctx, c.Redis)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "%d copies of service URLs taken out\n", n)
	return err
}

type urlsCmd struct {
	Seed urlsSeedCmd `cmd:"" help:"Write where services are into the catalogue."`
	List urlsListCmd `cmd:"" help:"List the catalogue of service URLs."`
}

type urlsSeedCmd struct {
	data
	Services []string `arg:"" help:"SERVICE=URL,… such as order=http://a:8000,http://b:8000; the services' own ports on this host if none are given." optional:""`
}

func (c *urlsSeedCmd) Run(e *env) error {
	services, err := app.SeedURLs(e.ctx, app.Config{Engines: c.Engines, Data: c.Data, Log: e.log}, c.Services)
	if err != nil {
		return err
	}
	return showURLs(e, services, false)
}

type urlsListCmd struct {
	data
	JSON bool `help:"Print JSON for a script." name:"json"`
}

func (c *urlsListCmd) Run(e *env) error {
	services, err := app.ListURLs(e.ctx, app.Config{Engines: c.Engines, Data: c.Data, Log: e.log})
	if err != nil {
		return err
	}
	return showURLs(e, services, c.JSON)
}

func showURLs(e *env, services []app.ServiceURL, asJSON bool) error {
	if asJSON {
		return console.JSON(e.out, append([]app.ServiceURL{}, services...)) // a list also where it is empty
	}
	var rows [][]string
	for _, s := range services {
		for _, url := range s.URLs {
			rows = append(rows, []string{s.Name, url})
		}
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(e.out, "the catalogue is empty; write to it with `tiffin urls seed`")
		return err
	}
	return console.Table(e.out, e.paint, []string{"SERVICE", "URL"}, rows)
}
