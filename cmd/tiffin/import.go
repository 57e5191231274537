package main

import (
	"fmt"
	"io"
	"os"

	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/dataset"
)

type importCmd struct {
	remote
	File string `arg:"" help:"A JSON file with restaurants and customers, as docs/import.md says; - for standard input."`
}

func (c *importCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	in := io.Reader(os.Stdin)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read
		in = f
	}
	data, err := dataset.Read(in)
	if err != nil {
		return err
	}
	done, err := dataset.Import(e.ctx, api, data)
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, done)
	}
	_, err = fmt.Fprintf(e.out, "%d restaurants, %d customers (%d were there already)\n", done.Restaurants, done.Customers, done.Existing)
	return err
}
