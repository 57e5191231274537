package main

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

type openapiCmd struct {
	Service string `arg:"" help:"One of order, payment, customer, delivery, kitchen."`
}

func (c *openapiCmd) Run(e *env) error {
	doc, err := app.OpenAPI(c.Service, version)
	if err != nil {
		return err
	}
	_, err = e.out.Write(append(doc, '\n'))
	return err
}

type healthCmd struct{ remote }

func (c *healthCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var h httpapi.Health
	_, err = api.Do(e.ctx, http.MethodGet, "/health", "", nil, &h)
	var ill *client.Error
	if errors.As(err, &ill) {
		return fmt.Errorf("the system is not well: %w", err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, h)
	}
	rows := [][]string{{h.Name + " " + h.Version, word(e, h.Status)}}
	for _, r := range h.Resources {
		rows = append(rows, []string{"  " + r.Name, word(e, r.Status)})
	}
	return console.Table(e.out, e.paint, []string{"RESOURCE", "STATUS"}, rows)
}

func word(e *env, ok bool) string {
	if ok {
		return e.paint.Good("ok")
	}
	return e.paint.Bad("down")
}

type versionCmd struct {
	JSON bool `help:"Print JSON for a script." name:"json"`
}

func (c *versionCmd) Run(e *env) error {
	revision := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	if c.JSON {
		return console.JSON(e.out, map[string]string{"version": version, "revision": revision, "go": runtime.Version()})
	}
	_, err := fmt.Fprintln(e.out, strings.TrimSpace("tiffin "+version+" "+runtime.Version()+" "+revision))
	return err
}
