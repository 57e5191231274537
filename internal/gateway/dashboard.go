package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Dashboard is what a first screen shows, from several services at once. Each part has a status of its own: a service
// that is away leaves the others as they are.
type Dashboard struct {
	Account     Account                   `json:"account"`
	Orders      *Part[wire.Order]         `json:"orders,omitempty" doc:"The last ten, the latest first; of a customer, or for operators of everybody"`
	Restaurants Part[wire.RestaurantCard] `json:"restaurants"`
	Operations  *Operations               `json:"operations,omitempty" doc:"For operators"`
}

// Account is the caller, as the gateway knows it.
type Account struct {
	Subject     string      `json:"subject"`
	Roles       []auth.Role `json:"roles"`
	Customer    string      `json:"customer_id,omitempty" format:"uuid"`
	Restaurants []string    `json:"restaurants,omitempty"`
	Courier     string      `json:"courier,omitempty"`
}

// Part is what one service answered.
type Part[T any] struct {
	Status int    `json:"status" doc:"As the service answered; 503 where it could not be reached, 504 where it took too long" example:"200"`
	Detail string `json:"detail,omitempty" doc:"What went wrong"`
	Items  []T    `json:"items"`
	More   bool   `json:"more,omitempty" doc:"There are more than these"`
}

// Operations is how the system stands.
type Operations struct {
	Queues      Part[broker.QueueState] `json:"queues"`
	DeadLetters Count                   `json:"dead_letters" doc:"Messages that could not be applied; more: at least so many"`
	Backlog     Count                   `json:"backlog" doc:"Orders with work overdue, or put off after a failed attempt"`
	Health      httpapi.Health          `json:"health"`
	Instances   []httpapi.Instance      `json:"instances"`
}

// Count is a number that a service told.
type Count struct {
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Count  int    `json:"count"`
	More   bool   `json:"more,omitempty"`
}

// How the parts are asked for.
const (
	partTimeout = 2 * time.Second // each, real time
	partLimit   = 1 << 20         // bytes of an answer
	lettersSeen = 200             // dead letters that are counted one by one
)

// own registers the routes that the gateway answers itself.
func (g *Gateway) own() {
	type (
		dashboard struct{ Body Dashboard }
		instances struct{ Body []httpapi.Instance }
	)
	tags := []string{"gateway"}
	httpapi.Register(g.API, people, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/me/dashboard", OperationID: "dashboard", Tags: tags, Middlewares: g.limited(),
		Summary: "What a first screen shows, in one answer",
	}, func(ctx context.Context, _ *struct{}) (*dashboard, error) {
		return &dashboard{g.dashboard(ctx)}, nil
	})
	httpapi.Register(g.API, operators, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/instances", OperationID: "list-instances", Tags: tags, Middlewares: g.limited(),
		Summary: "The instances of services that this process has called, and their circuit breakers",
	}, func(context.Context, *struct{}) (*instances, error) {
		return &instances{g.instances()}, nil
	})
}

// limited puts the limits around a route of our own.
func (g *Gateway) limited() huma.Middlewares {
	if g.opt.Limit == nil {
		return nil
	}
	return huma.Middlewares{func(hc huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(hc)
		g.opt.Limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { next(hc) })).ServeHTTP(w, r)
	}}
}

func (g *Gateway) instances() []httpapi.Instance {
	if g.opt.Instances == nil {
		return []httpapi.Instance{}
	}
	return g.opt.Instances()
}

// dashboard asks for all parts at once, as the caller.
func (g *Gateway) dashboard(ctx context.Context) Dashboard {
	caller := auth.From(ctx)
	d := Dashboard{Account: Account{caller.Subject, caller.Roles, caller.Customer, caller.Restaurants, caller.Courier}}
	var parts sync.WaitGroup
	if customers.Allows(caller, http.MethodGet) == nil {
		d.Orders = &Part[wire.Order]{}
		parts.Go(func() { list(ctx, g, d.Orders, "order", "/v1/orders?limit=10") })
	}
	parts.Go(func() { list(ctx, g, &d.Restaurants, "kitchen", "/v1/restaurants?limit=50") })
	if operators.Allows(caller, http.MethodGet) == nil {
		o := &Operations{Instances: g.instances()}
		d.Operations = o
		parts.Go(func() { list(ctx, g, &o.Queues, "order", "/v1/queues") })
		parts.Go(func() {
			var letters Part[struct{}]
			list(ctx, g, &letters, "order", fmt.Sprintf("/v1/dead-letters?limit=%d", lettersSeen))
			o.DeadLetters = Count{letters.Status, letters.Detail, len(letters.Items), letters.More}
		})
		parts.Go(func() {
			var body struct {
				Orders int  `json:"orders"`
				More   bool `json:"more"`
			}
			o.Backlog.Status, o.Backlog.Detail, _ = g.ask(ctx, "order", "/v1/backlog", &body)
			o.Backlog.Count, o.Backlog.More = body.Orders, body.More
		})
		parts.Go(func() { o.Health = g.Health() })
	}
	parts.Wait()
	return d
}

// list fills a part with what a service lists.
func list[T any](ctx context.Context, g *Gateway, into *Part[T], service, path string) {
	items := []T{}
	var h http.Header
	into.Status, into.Detail, h = g.ask(ctx, service, path, &items)
	into.More = h.Get("Link") != ""
	if into.Items = items; into.Status != http.StatusOK || items == nil {
		into.Items = []T{}
	}
}

// ask reads from a service as the caller of ctx. Status 200 means that into was filled.
func (g *Gateway) ask(ctx context.Context, service, path string, into any) (status int, detail string, h http.Header) {
	limited, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, "http://"+service+path, nil)
	if err != nil {
		return http.StatusInternalServerError, "internal error", nil
	}
	req.Header.Set(auth.Header, auth.From(ctx).Encode())
	req.Header.Set(httpapi.RequestIDHeader, httpapi.RequestID(ctx))
	res, err := g.opt.Transport.RoundTrip(req)
	if err == nil {
		defer res.Body.Close() //nolint:errcheck // read to its end or given up
		var body []byte
		if body, err = io.ReadAll(io.LimitReader(res.Body, partLimit)); err == nil {
			if res.StatusCode != http.StatusOK {
				return res.StatusCode, httpapi.Detail(res.StatusCode, body), nil
			}
			if json.Unmarshal(body, into) != nil {
				return http.StatusBadGateway, "the " + service + " service answered what cannot be read", nil
			}
			return http.StatusOK, "", res.Header
		}
	}
	g.opt.Log.Warn("a part is missing", "request_id", httpapi.RequestID(ctx), "path", strings.SplitN(path, "?", 2)[0], "err", err)
	if errors.Is(err, context.DeadlineExceeded) {
		return http.StatusGatewayTimeout, "the " + service + " service did not answer in time", nil
	}
	return http.StatusServiceUnavailable, "the " + service + " service cannot be reached now", nil
}
