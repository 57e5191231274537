package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/console"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
)

type queueCmd struct {
	Dead    deadCmd    `cmd:"" help:"List messages that could not be applied, with the reason."`
	Requeue requeueCmd `cmd:"" help:"Put such a message into its queue again."`
}

type deadCmd struct {
	remote
	Limit int `help:"How many." default:"50"`
}

func (c *deadCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	letters := []orderapi.Letter{}
	err = client.Each(e.ctx, api, "/v1/dead-letters", func(l orderapi.Letter) bool {
		letters = append(letters, l)
		return len(letters) < c.Limit
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, letters)
	}
	if len(letters) == 0 {
		_, err := fmt.Fprintln(e.out, "no dead letters")
		return err
	}
	rows := make([][]string, len(letters))
	for i, l := range letters {
		rows[i] = []string{l.ID, l.At.UTC().Format(time.DateTime), l.Queue, l.Reason}
	}
	return console.Table(e.out, e.paint, []string{"LETTER", "SINCE", "QUEUE", "REASON"}, rows)
}

type requeueCmd struct {
	remote
	ID string `arg:"" help:"The dead letter."`
}

func (c *requeueCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	_, err = api.Do(e.ctx, http.MethodPost, "/v1/dead-letters/"+url.PathEscape(c.ID)+"/requeue", "", nil, nil)
	return err
}
