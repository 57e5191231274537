package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/console"
)

type queueCmd struct {
	List    queueListCmd `cmd:"" help:"List the queues and how they stand."`
	Send    sendCmd      `cmd:"" help:"Put a message into a queue."`
	Tail    tailCmd      `cmd:"" help:"Follow the domain events, from now on."`
	Dead    deadCmd      `cmd:"" help:"List messages that could not be applied, with the reason."`
	Requeue requeueCmd   `cmd:"" help:"Put such a message into its queue again."`
}

// queues are the flags of what speaks to the queues: through a running system, or with RabbitMQ itself.
type queues struct {
	remote
	Broker string `help:"Speak to this RabbitMQ itself instead of a running system: amqp://user:password@host:port/vhost." env:"TIFFIN_BROKER"`
}

// with calls f with the queues.
func (q *queues) with(e *env, f func(app.Queues) error) error {
	if q.Broker == "" || q.Broker == "local" {
		api, err := q.client()
		if err != nil {
			return err
		}
		return f(api)
	}
	tools, stop, err := app.OpenQueues(e.ctx, q.Broker, e.log)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	defer stop()
	return f(tools)
}

type queueListCmd struct{ queues }

func (c *queueListCmd) Run(e *env) error {
	return c.with(e, func(q app.Queues) error {
		all, err := q.Queues(e.ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return console.JSON(e.out, all)
		}
		rows := make([][]string, len(all))
		for i, one := range all {
			rows[i] = []string{one.Name, strconv.Itoa(one.Ready), strconv.Itoa(one.Consumers)}
		}
		return console.Table(e.out, e.paint, []string{"QUEUE", "WAITING", "CONSUMERS"}, rows)
	})
}

type sendCmd struct {
	queues
	Queue string `arg:"" help:"The queue, such as OrderService."`
	Body  string `arg:"" help:"The message: JSON, or - to read it from standard input."`
}

func (c *sendCmd) Run(e *env) error {
	body := []byte(c.Body)
	if c.Body == "-" {
		var err error
		if body, err = io.ReadAll(os.Stdin); err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
	if !json.Valid(body) {
		return errors.New("body: not JSON")
	}
	return c.with(e, func(q app.Queues) error { return q.Send(e.ctx, c.Queue, body) })
}

type tailCmd struct {
	queues
	Topics []string `arg:"" optional:"" help:"Keys of events, with * for a word and # for any rest: order.delivered, order.*, #."`
}

func (c *tailCmd) Run(e *env) error {
	topics := c.Topics
	if len(topics) == 0 {
		topics = []string{"#"}
	}
	return c.with(e, func(q app.Queues) error {
		listening := func() { _, _ = fmt.Fprintln(e.err, e.banner.Dim("listening")) }
		err := q.Tail(e.ctx, topics, listening, func(event client.Event) {
			if c.JSON {
				line, err := json.Marshal(event)
				if err == nil {
					_, _ = fmt.Fprintln(e.out, string(line))
				}
				return
			}
			_, _ = fmt.Fprintln(e.out, e.paint.Dim(event.At.UTC().Format(time.TimeOnly)), e.paint.Bold(event.Key), string(event.Body))
		})
		if errors.Is(err, context.Canceled) && e.ctx.Err() != nil { // Ctrl-C is how one stops listening
			err = nil
		}
		return err
	})
}

type deadCmd struct {
	queues
	Limit int `help:"How many." default:"50"`
}

func (c *deadCmd) Run(e *env) error {
	return c.with(e, func(q app.Queues) error {
		letters, err := q.Letters(e.ctx, c.Limit)
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
	})
}

type requeueCmd struct {
	queues
	ID string `arg:"" help:"The dead letter."`
}

func (c *requeueCmd) Run(e *env) error {
	return c.with(e, func(q app.Queues) error { return q.Requeue(e.ctx, c.ID) })
}
