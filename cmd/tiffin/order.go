package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/story"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// remote are the flags of everything that talks to a running system.
type remote struct {
	credential
	URL  string `help:"The system's gateway." default:"http://127.0.0.1:8080"`
	JSON bool   `help:"Print JSON for a script." name:"json"`
}

func (r remote) client() (*client.Client, error) {
	c, err := client.New(r.URL, nil)
	if err != nil {
		return nil, err
	}
	text, err := r.text()
	return c.As(text), err
}

// listed is a whole paged list.
func listed[T any](e *env, r remote, path string) ([]T, error) {
	api, err := r.client()
	if err != nil {
		return nil, err
	}
	all := []T{}
	err = client.Each(e.ctx, api, path, func(v T) bool {
		all = append(all, v)
		return true
	})
	return all, err
}

// credential are the flags that say who asks.
type credential struct {
	Token     string `help:"An API key or an access token to show the gateway; or have it in a file, as TIFFIN_TOKEN_FILE."`
	TokenFile string `help:"File of an API key, where no token is given; tiffin up writes that of its operator here." default:"data/operator.key"`
}

// defaultKeyFile is where tiffin up keeps its operator's key when it is told nothing else.
const defaultKeyFile = "data/" + app.OperatorKeyFile

// text is what is shown: nothing where there is no file, for a system may be open.
func (c credential) text() (string, error) {
	if c.Token != "" {
		return c.Token, nil
	}
	b, err := os.ReadFile(c.TokenFile)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("token-file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

type orderCmd struct {
	Place  placeCmd  `cmd:"" help:"Place an order."`
	Get    getCmd    `cmd:"" help:"Show an order."`
	List   listCmd   `cmd:"" help:"List orders, newest first."`
	Watch  watchCmd  `cmd:"" help:"Follow an order until it is settled."`
	Cancel cancelCmd `cmd:"" help:"Cancel an order."`
	Trace  traceCmd  `cmd:"" help:"Tell what really happened to an order, step by step."`
	Retry  retryCmd  `cmd:"" help:"Take an order's parked work up again."`
}

type placeCmd struct {
	remote
	Customer   string   `help:"Who orders. The demo customers' ids end in c001 (pays) to c00b; see the README." default:"0190a000-0000-7000-8000-00000000c001"`
	Restaurant string   `help:"Where; the demo restaurant if empty."`
	Item       []string `help:"What: PRODUCT or PRODUCT=QUANTITY; repeat for more." default:"Lasagna" sep:"none" placeholder:"PRODUCT[=N]"`
	Key        string   `help:"Idempotency key: the same key and order again is the same order."`
	Watch      bool     `help:"Follow the order until it is settled." short:"w"`
}

func (c *placeCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	o := client.Order{CustomerID: c.Customer, RestaurantID: c.Restaurant}
	for _, text := range c.Item {
		item := wire.Item{Product: text, Quantity: 1}
		if i := strings.LastIndex(text, "="); i >= 0 {
			if _, err := fmt.Sscanf(text[i+1:], "%d", &item.Quantity); err != nil {
				return fmt.Errorf("item: %q is not valid; expected PRODUCT or PRODUCT=QUANTITY", text)
			}
			item.Product = text[:i]
		}
		o.Items = append(o.Items, item)
	}
	placed, err := api.Place(e.ctx, o, c.Key)
	if err != nil {
		return err
	}
	if c.JSON && !c.Watch {
		return console.JSON(e.out, placed)
	}
	if !c.JSON {
		if err := show(e, placed); err != nil {
			return err
		}
	}
	if !c.Watch {
		return nil
	}
	return follow(e, api, placed.ID, c.JSON)
}

func show(e *env, o wire.Order) error {
	items := make([]string, len(o.Items))
	for i, item := range o.Items {
		items[i] = fmt.Sprintf("%d × %s", item.Quantity, item.Product)
	}
	pairs := [][2]string{
		{"order", e.paint.Bold(o.ID)},
		{"status", e.paint.Status(o.Status)},
		{"placed", o.Created.UTC().Format(time.RFC3339)},
		{"items", strings.Join(items, ", ")},
		{"total", o.Total.String()},
	}
	if o.Reason != "" {
		pairs = append(pairs, [2]string{"reason", o.Reason})
	}
	if o.CancelRequested {
		pairs = append(pairs, [2]string{"cancel", "asked for; the transport company has not answered yet"})
	}
	return console.Pairs(e.out, e.paint, pairs)
}

type getCmd struct {
	remote
	ID string `arg:"" help:"The order."`
}

func (c *getCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	o, err := api.Get(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, o)
	}
	if err := show(e, o); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(e.out)
	rows := make([][]string, len(o.History))
	for i, m := range o.History {
		rows[i] = []string{console.Clock(m.When), since(o.Created, m.When), e.paint.Status(m.Status)}
	}
	return console.Table(e.out, e.paint, []string{"TIME", "AFTER ", "STATUS"}, rows)
}

func since(from, to time.Time) string { return to.Sub(from).Round(time.Second).String() }

type listCmd struct {
	remote
	Limit int `help:"How many." default:"20"`
}

func (c *listCmd) Run(e *env) error {
	if c.Limit < 1 {
		return fmt.Errorf("limit: %d is not valid; expected 1 or more", c.Limit)
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	orders := []wire.Order{}
	err = client.Each(e.ctx, api, fmt.Sprintf("/v1/orders?limit=%d", min(c.Limit, 200)), func(o wire.Order) bool {
		orders = append(orders, o)
		return len(orders) < c.Limit
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, orders)
	}
	rows := make([][]string, len(orders))
	for i, o := range orders {
		rows[i] = []string{o.ID, o.Created.UTC().Format(time.DateTime), o.Total.String(), e.paint.Status(o.Status), o.Reason}
	}
	return console.Table(e.out, e.paint, []string{"ORDER", "PLACED", "TOTAL ", "STATUS", "REASON"}, rows)
}

type watchCmd struct {
	remote
	ID string `arg:"" help:"The order."`
}

func (c *watchCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	return follow(e, api, c.ID, c.JSON)
}

// follow prints each status as it comes.
func follow(e *env, api *client.Client, id string, asJSON bool) error {
	var first time.Time
	var last wire.Moment
	return api.Watch(e.ctx, id, func(ev client.StatusEvent) bool {
		if asJSON {
			return console.JSON(e.out, ev) == nil
		}
		if first.IsZero() {
			first = ev.When
		}
		if ev.Moment == last { // it comes again where only then it is settled
			return true
		}
		last = ev.Moment
		line := fmt.Sprintf("%s  %8s  %s", e.paint.Dim(console.Clock(ev.When)), since(first, ev.When), e.paint.Status(ev.Status))
		if ev.Reason != "" {
			line += "  " + e.paint.Dim(ev.Reason)
		}
		_, err := fmt.Fprintln(e.out, line)
		return err == nil
	})
}

type cancelCmd struct {
	remote
	ID       string `arg:"" help:"The order."`
	Operator bool   `help:"As the operator, who may cancel until the meal is handed over."`
	Reason   string `help:"Why."`
}

func (c *cancelCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	o, err := api.Cancel(e.ctx, c.ID, c.Operator, c.Reason)
	if err != nil {
		return err
	}
	if c.JSON {
		return console.JSON(e.out, o)
	}
	return show(e, o)
}

type traceCmd struct {
	remote
	ID      string `arg:"" help:"The order."`
	Mermaid bool   `help:"Print a sequence diagram."`
}

func (c *traceCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	s, err := story.Read(e.ctx, api, c.ID)
	if err != nil {
		return err
	}
	switch {
	case c.JSON && c.Mermaid:
		return errors.New("json: not together with --mermaid")
	case c.JSON:
		return console.JSON(e.out, s)
	case c.Mermaid:
		return story.Mermaid(e.out, s)
	}
	return story.Timeline(e.out, e.paint, s)
}

type retryCmd struct {
	remote
	ID      string `arg:"" help:"The order."`
	Name    string `arg:"" help:"The parked work's name, as 'tiffin order trace' shows it."`
	Service string `help:"Whose work it is: ${enum}." enum:"order,payment,delivery,kitchen" default:"order"`
}

func (c *retryCmd) Run(e *env) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	return story.Retry(e.ctx, api, c.ID, c.Service, c.Name)
}
