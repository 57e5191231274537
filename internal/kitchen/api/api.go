// Package api is the kitchen service's HTTP side over the pure cores of package kitchen.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/kitchen"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Options are what the service is made of.
type Options struct {
	Shell       durable.Options // Owner, Clock, Executor and limits; Name and Store are set here
	Tickets     durable.Store
	Restaurants durable.Store
	NewID       func() string
	Silence     time.Duration
}

// Service has meals cooked and keeps the menus.
type Service struct {
	opt         Options
	tickets     *durable.Runner[kitchen.State]
	restaurants *durable.Runner[wire.MenuChanged]
}

// New makes the service; Start begins its work.
func New(opt Options) *Service {
	tickets, restaurants := opt.Shell, opt.Shell
	tickets.Name, tickets.Store = "tickets", opt.Tickets
	restaurants.Name, restaurants.Store = "restaurants", opt.Restaurants
	return &Service{
		opt:         opt,
		tickets:     durable.NewRunner(kitchen.Machine{Silence: opt.Silence}, tickets),
		restaurants: durable.NewRunner(kitchen.MenuMachine{}, restaurants),
	}
}

// Start takes up the work that is owed.
func (s *Service) Start() {
	s.tickets.Start()
	s.restaurants.Start()
}

// Stop ends the work under way; see durable.Runner.
func (s *Service) Stop(ctx context.Context) error {
	return errors.Join(s.tickets.Stop(ctx), s.restaurants.Stop(ctx))
}

type (
	requestInput struct {
		httpapi.Idempotency
		Body wire.KitchenRequest
	}
	answerOutput struct{ Body wire.KitchenAnswer }
	callback     struct{ Body wire.KitchenCallback }
	idInput      struct {
		ID string `path:"id" format:"uuid"`
	}
	ticketOutput struct{ Body Ticket }
	ticketsInput struct {
		httpapi.Page
		RestaurantID string `query:"restaurant_id" format:"uuid" doc:"Whose tickets. Missing: everybody's for an operator, their own for who cooks in one restaurant; who cooks in several names one. There are none of another's"`
	}
	ticketsOutput struct {
		httpapi.Linked
		Body []Ticket
	}
	listInput  struct{ httpapi.Page }
	listOutput struct {
		httpapi.Linked
		Body []wire.RestaurantCard
	}
	menuOutput struct{ Body []wire.MenuItem }
	menuInput  struct {
		ID   string `path:"id" format:"uuid"`
		Body Menu
	}
)

// Ticket is a kitchen ticket as the API shows it.
type Ticket struct {
	wire.KitchenAnswer
	Restaurant string         `json:"restaurant_id,omitempty" format:"uuid" doc:"Missing where the order ended before any was asked"`
	Released   bool           `json:"released,omitempty"`
	History    []wire.Moment  `json:"history"`
	Owed       []durable.Todo `json:"owed" doc:"What is still to be done"`
}

// Menu is the body of PUT /v1/restaurants/{id}: the whole card and menu.
type Menu struct {
	Name     string          `json:"name" minLength:"1" maxLength:"200"`
	Position *wire.Position  `json:"position,omitempty"`
	Items    []wire.MenuItem `json:"items" maxItems:"1000"`
}

type retryInput struct {
	ID   string `path:"id" format:"uuid"`
	Name string `path:"name" maxLength:"50"`
}

// Routes registers the service's HTTP side.
func (s *Service) Routes(a *httpapi.API) {
	tags := []string{"kitchen"}
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/kitchen", OperationID: "request-cooking", Tags: tags, DefaultStatus: 202,
		Summary: "Have an order cooked", Description: "An order is cooked once, however often this is asked.", Errors: []int{409, 422},
	}, s.request)
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/kitchen/release", OperationID: "release-kitchen", Tags: tags, DefaultStatus: 202,
		Summary: "Stop cooking for an order that ended, or never begin", Errors: []int{409, 422},
	}, s.release)
	httpapi.Register(a, auth.For(auth.Partner, auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/kitchen/callback", OperationID: "kitchen-callback", Tags: tags, DefaultStatus: 201,
		Summary: "The restaurant's news", Errors: []int{404, 422},
	}, s.callback)
	httpapi.Register(a, auth.For(auth.Service, auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/kitchen/{id}/ask", OperationID: "ask-restaurant", Tags: tags, DefaultStatus: 202,
		Summary: "Ask the restaurant now", Errors: []int{404},
	}, s.ask)
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/kitchen/{id}/retry/{name}", OperationID: "retry-ticket", Tags: tags, DefaultStatus: 202,
		Summary: "Take parked work up again", Errors: []int{404},
	}, func(ctx context.Context, in *retryInput) (*struct{}, error) {
		return nil, s.tickets.Unpark(ctx, in.ID, in.Name)
	})
	httpapi.Register(a, auth.For(auth.Kitchen, auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/kitchen", OperationID: "list-tickets", Tags: tags, Summary: "List a restaurant's tickets, newest first",
		Errors: []int{422},
	}, s.listTickets)
	httpapi.Register(a, auth.For(auth.Kitchen, auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/kitchen/{id}", OperationID: "get-ticket", Tags: tags, Summary: "Get a ticket", Errors: []int{404},
	}, s.get)

	tags = []string{"restaurants"}
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/restaurants", OperationID: "list-restaurants", Tags: tags, Summary: "List restaurants",
	}, s.list)
	httpapi.Register(a, auth.Everyone, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/restaurants/{id}/menu", OperationID: "get-menu", Tags: tags, Summary: "Get a menu", Errors: []int{404},
	}, s.menu)
	httpapi.Register(a, auth.For(auth.Kitchen, auth.Operator), httpapi.Operation{
		Method: http.MethodPut, Path: "/v1/restaurants/{id}", OperationID: "put-restaurant", Tags: tags, DefaultStatus: 204,
		Summary: "Add a restaurant, or replace its card and menu", Description: "Only an operator adds one.", Errors: []int{404, 422},
	}, s.put)
}

func answer(t kitchen.State) wire.KitchenAnswer {
	return wire.KitchenAnswer{
		KitchenID: t.ID, Scheduled: t.Scheduled, Status: wire.CookingScheduled, Items: t.Items, Metadata: t.Metadata,
	}
}

func (s *Service) begin(ctx context.Context, kind string, in *requestInput) (durable.Applied[kitchen.State], error) {
	request, err := json.Marshal(in.Body)
	if err != nil {
		return durable.Applied[kitchen.State]{}, err
	}
	id := s.opt.NewID()
	_, a, err := s.tickets.Create(ctx, id, in.Body.Metadata.OrderID, durable.Event{
		ID: in.Key, Type: kind, Value: kitchen.Request{ID: id, KitchenRequest: in.Body}, Hash: durable.Fingerprint(kind, request),
	})
	return a, err
}

func (s *Service) request(ctx context.Context, in *requestInput) (*answerOutput, error) {
	a, err := s.begin(ctx, kitchen.EventRequest, in)
	if err != nil {
		return nil, err
	}
	return &answerOutput{answer(a.State)}, nil
}

func (s *Service) release(ctx context.Context, in *requestInput) (*struct{}, error) {
	_, err := s.begin(ctx, kitchen.EventRelease, in)
	return nil, err
}

func (s *Service) callback(ctx context.Context, in *callback) (*callback, error) {
	_, err := s.tickets.Apply(ctx, in.Body.KitchenID, durable.Event{
		ID: "callback:" + string(in.Body.Status), Type: kitchen.EventCallback, Value: in.Body, Hash: "-",
	})
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (s *Service) ask(ctx context.Context, in *idInput) (*struct{}, error) {
	_, err := s.tickets.Apply(ctx, in.ID, durable.Event{Type: kitchen.EventAsk})
	return nil, err
}

func (s *Service) get(ctx context.Context, in *idInput) (*ticketOutput, error) {
	a, err := s.tickets.View(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !auth.From(ctx).Cooks(a.State.Restaurant()) {
		return nil, durable.ErrNotFound
	}
	rec, err := s.tickets.Record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &ticketOutput{ticket(a.State, rec)}, nil
}

func ticket(s kitchen.State, rec durable.Record) Ticket {
	t := Ticket{
		KitchenAnswer: answer(s), Restaurant: s.Restaurant(), Released: s.Released, History: append([]wire.Moment{}, s.History...),
		Owed: rec.Todo(wire.KitchenService),
	}
	if n := len(t.History); n > 0 {
		t.Status = t.History[n-1].Status
	}
	return t
}

func (s *Service) listTickets(ctx context.Context, in *ticketsInput) (*ticketsOutput, error) {
	caller, whose := auth.From(ctx), in.RestaurantID
	if whose == "" && !caller.Staff() {
		switch len(caller.Restaurants) {
		case 0:
		case 1:
			whose = caller.Restaurants[0]
		default: // pages of several would have to be put together of as many lists
			return nil, &durable.Refusal{Code: durable.Invalid, Field: "query.restaurant_id", Detail: "name one of your restaurants"}
		}
	}
	if !caller.Cooks(whose) { // another's: as for one that has none
		return &ticketsOutput{Body: []Ticket{}}, nil
	}
	states, records, err := s.tickets.List(ctx, whose, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &ticketsOutput{Body: make([]Ticket, len(states))}
	for i, a := range states {
		out.Body[i] = ticket(a.State, records[i])
	}
	if len(records) == in.Limit {
		out.Linked = in.Next(records[len(records)-1].ID)
	}
	return out, nil
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	menus, records, err := s.restaurants.List(ctx, "", in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: make([]wire.RestaurantCard, len(menus))}
	for i, m := range menus {
		out.Body[i] = m.State.Restaurant
	}
	if len(records) == in.Limit {
		out.Linked = in.Next(records[len(records)-1].ID)
	}
	return out, nil
}

func (s *Service) menu(ctx context.Context, in *idInput) (*menuOutput, error) {
	m, err := s.restaurants.View(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &menuOutput{append([]wire.MenuItem{}, m.State.Items...)}, nil
}

// put writes a restaurant of the caller's; one that is not theirs, or not there yet, is none.
func (s *Service) put(ctx context.Context, in *menuInput) (*struct{}, error) {
	if caller := auth.From(ctx); !caller.Staff() {
		if !caller.Cooks(in.ID) {
			return nil, durable.ErrNotFound
		}
		if _, err := s.restaurants.View(ctx, in.ID); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	for i, item := range in.Body.Items {
		if seen[item.Product] {
			return nil, &durable.Refusal{Code: durable.Invalid, Field: fmt.Sprintf("body.items[%d].product", i), Detail: "is on the menu twice"}
		}
		seen[item.Product] = true
	}
	body, err := json.Marshal(wire.MenuChanged{
		Restaurant: wire.RestaurantCard{ID: in.ID, Name: in.Body.Name, Position: in.Body.Position}, Items: in.Body.Items,
	})
	if err != nil {
		return nil, err
	}
	_, _, err = s.restaurants.Create(ctx, in.ID, "", durable.Event{Type: kitchen.EventMenu, Body: body})
	return nil, err
}
