// Package api is the order service: its HTTP side and its queue over the pure core of package order.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/redact"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Customers says whether a customer exists. An error means that nobody knows now: the order is taken all the same,
// and found out to be unbillable later.
type Customers func(ctx context.Context, id string) (bool, error)

// Options are what the service is made of.
type Options struct {
	Shell     durable.Options // Owner, Clock, Executor and limits; Name and Store are set here
	Orders    durable.Store
	Menus     durable.Store
	Customers Customers
	NewID     func() string
	Limits    order.Limits
	Broker    Broker
	// MaxBacklog is how many orders may have work overdue before no more are taken: a broker or a neighbour that is
	// away must not fill the store; 100,000.
	MaxBacklog int
	Copies     Copies // nil: every read goes to the store
	// Progress is told of every status that this instance has brought an order to: of the history up to it, once. nil:
	// nobody is.
	Progress func(history []wire.Moment)
}

// Broker is what the service needs of the broker beside being handed its queues' messages: the operator's tools.
type Broker interface {
	broker.Publisher
	broker.Inspector
}

// Service takes orders and follows them to their end.
type Service struct {
	opt    Options
	orders *durable.Runner[order.State]
	menus  *durable.Runner[wire.MenuChanged]
	gauge  gauge
}

// cancelWait is how long a cancel waits for the transport company's verdict, in real time.
const cancelWait = 2 * time.Second

// New makes the service; Start begins its work.
func New(opt Options) *Service {
	orders, menus := opt.Shell, opt.Shell
	orders.Name, orders.Store = "orders", opt.Orders
	menus.Name, menus.Store = "menus", opt.Menus
	if opt.MaxBacklog == 0 {
		opt.MaxBacklog = 100_000
	}
	s := &Service{
		opt:    opt,
		orders: durable.NewRunner(order.Machine{Limits: opt.Limits}, orders),
		menus:  durable.NewRunner(order.MenuMachine{}, menus),
	}
	if opt.Copies != nil {
		s.orders.OnCommit(s.copy)
	}
	if opt.Progress != nil {
		s.orders.OnChange(func(was, is order.State) {
			for i := len(was.History); i < len(is.History); i++ {
				opt.Progress(is.History[:i+1])
			}
		})
	}
	return s
}

// Start takes up the work that is owed.
func (s *Service) Start() {
	s.orders.Start()
	s.menus.Start()
}

// Stop ends the work under way; see durable.Runner.
func (s *Service) Stop(ctx context.Context) error {
	return errors.Join(s.orders.Stop(ctx), s.menus.Stop(ctx))
}

// Listening is a queue and who takes its messages.
type Listening struct {
	broker.Queue
	broker.Handler
}

// Queues are what the service listens to.
func (s *Service) Queues() []Listening {
	return []Listening{{broker.Queue{Name: wire.OrderQueue}, s.status}, {MenuQueue, s.menu}}
}

// MenuQueue is the queue on which the service hears of menus.
var MenuQueue = broker.Queue{Name: wire.OrderQueue + ".menus", Topics: []string{wire.MenuTopic}}

// status takes a message of the order queue. It returns nil only when its event is on disk.
func (s *Service) status(ctx context.Context, m broker.Message) error {
	id, e, err := order.Intake(m)
	if err != nil {
		return err
	}
	_, err = s.orders.Apply(ctx, id, e)
	var refusal *durable.Refusal
	switch {
	case errors.Is(err, durable.ErrNotFound):
		return &broker.Reject{Reason: "metadata.order_id: no such order"}
	case errors.As(err, &refusal), errors.Is(err, durable.ErrKeyReused):
		return &broker.Reject{Reason: err.Error()}
	}
	return err
}

// menu takes a menu that the kitchen published.
func (s *Service) menu(ctx context.Context, m broker.Message) error {
	var menu wire.MenuChanged
	if err := json.Unmarshal(m.Body, &menu); err != nil || menu.Restaurant.ID == "" {
		return &broker.Reject{Reason: "the body is not a menu"}
	}
	_, _, err := s.menus.Create(ctx, menu.Restaurant.ID, "", durable.Event{
		ID: redact.Key(m.ID), Type: order.EventMenu, Body: m.Body,
	})
	return err
}

// Place is the body of POST /v1/orders.
type Place struct {
	CustomerID   string      `json:"customer_id" format:"uuid"`
	Items        []wire.Item `json:"items" minItems:"1" maxItems:"100"`
	RestaurantID string      `json:"restaurant_id,omitempty" format:"uuid" doc:"The demo restaurant where it is missing"`
}

// CancelBody is the optional body of POST /v1/orders/{id}/cancel.
type CancelBody struct {
	Reason   string `json:"reason,omitempty" maxLength:"200"`
	Operator bool   `json:"operator,omitempty" doc:"An operator may cancel until the meal is handed over; 403 from anybody else"`
}

type (
	placeInput struct {
		httpapi.Idempotency
		Body Place
	}
	idInput struct {
		ID string `path:"id" format:"uuid"`
	}
	cancelInput struct {
		ID   string      `path:"id" format:"uuid"`
		Body *CancelBody `required:"false"`
	}
	listInput struct {
		httpapi.Page
		CustomerID string `query:"customer_id" format:"uuid" doc:"Whose orders; everybody's where it is missing. A customer has their own, and none of another's"`
	}
	orderOutput struct {
		ETag string `header:"ETag" doc:"The order's version"`
		Body wire.Order
	}
	placeOutput struct {
		Location string `header:"Location"`
		Body     wire.Order
	}
	listOutput struct {
		httpapi.Linked
		Body []wire.Order
	}
	storyOutput struct {
		Body Story
	}
)

// Story is what happened to an order, for a person.
type Story struct {
	Order wire.Order     `json:"order"`
	Notes []order.Note   `json:"notes" doc:"In the order in which they happened"`
	Owed  []durable.Todo `json:"owed" doc:"What the order service still has to do for it"`
}

// Routes registers the service's HTTP side.
func (s *Service) Routes(a *httpapi.API) {
	tags := []string{"orders"}
	httpapi.Register(a, auth.For(auth.Customer, auth.Operator, auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/orders", OperationID: "place-order", Tags: tags, DefaultStatus: 202,
		Summary: "Place an order", Description: "The prices are the restaurant's. 202 means the order will be delivered, or cancelled and given back.",
		Errors: []int{422, 503},
	}, s.place)
	httpapi.Register(a, auth.For(auth.Customer, auth.Operator, auth.Service), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/orders", OperationID: "list-orders", Tags: tags, Summary: "List orders, newest first",
		Description: "A customer's own, or those of everybody for an operator.",
	}, s.list)
	httpapi.Register(a, auth.For(auth.Customer, auth.Operator, auth.Service), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/orders/{id}", OperationID: "get-order", Tags: tags, Summary: "Get an order", Errors: []int{404},
		Responses: map[string]*huma.Response{"304": {Description: http.StatusText(http.StatusNotModified)}}, // not an error: it has no body
	}, s.get)
	httpapi.Register(a, auth.For(auth.Customer, auth.Operator, auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/orders/{id}/cancel", OperationID: "cancel-order", Tags: tags, DefaultStatus: 202,
		Summary: "Cancel an order", Description: "Until a driver is committed. 202 with cancel_requested where the transport company has not answered within 2 s.",
		Errors: []int{404, 409},
	}, s.cancel)
	httpapi.Register(a, auth.For(auth.Customer, auth.Operator, auth.Service), httpapi.Operation{
		Method: http.MethodDelete, Path: "/v1/orders/{id}", OperationID: "delete-order", Tags: tags, DefaultStatus: 204,
		Summary: "Delete a finished order", Errors: []int{404, 409},
	}, s.delete)
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/orders/{id}/story", OperationID: "order-story", Tags: tags,
		Summary: "What happened to an order, and what is still to be done", Errors: []int{404},
	}, s.story)
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/orders/{id}/retry/{name}", OperationID: "retry-parked", Tags: tags, DefaultStatus: 202,
		Summary: "Take parked work up again", Errors: []int{404},
	}, s.retry)
	s.events(a)
	s.queues(a)
	s.overdue(a)
}

// errNoCustomer is the answer to who orders for somebody who is not there, or not theirs to order for: nobody finds out
// who is a customer.
var errNoCustomer = &durable.Refusal{Code: durable.Invalid, Field: "body.customer_id", Detail: "no such customer"}

func (s *Service) place(ctx context.Context, in *placeInput) (*placeOutput, error) {
	if !auth.From(ctx).Acts(in.Body.CustomerID) {
		return nil, errNoCustomer
	}
	if in.Body.RestaurantID == "" {
		in.Body.RestaurantID = wire.DemoRestaurant
	}
	if err := s.admit(ctx); err != nil {
		return nil, err
	}
	request, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	p, err := s.price(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if known, err := s.opt.Customers(ctx, in.Body.CustomerID); err == nil && !known {
		return nil, errNoCustomer
	}
	p.ID = s.opt.NewID()
	e := durable.Event{
		ID: "place", Type: order.EventPlace, Value: p,
		Hash: durable.Fingerprint(order.EventPlace, request), // what the customer sent, whatever it costs today
	}
	_, a, err := s.orders.Create(ctx, p.ID, order.Key(p.CustomerID, in.Key), e)
	if err != nil {
		return nil, err
	}
	if a.State.Deleted {
		return nil, durable.Refuse(durable.Conflict, "the order of this idempotency key was deleted")
	}
	return &placeOutput{"/v1/orders/" + a.State.ID, a.State.FirstView()}, nil
}

// price makes the order out of the wish: what it costs and how long the kitchen needs, by our copy of the menu.
func (s *Service) price(ctx context.Context, b Place) (order.Place, error) {
	menu, err := s.menus.View(ctx, b.RestaurantID)
	if errors.Is(err, durable.ErrNotFound) {
		return order.Place{}, &durable.Refusal{Code: durable.Invalid, Field: "body.restaurant_id", Detail: "no such restaurant"}
	}
	if err != nil {
		return order.Place{}, err
	}
	p := order.Place{CustomerID: b.CustomerID, RestaurantID: b.RestaurantID, Items: b.Items, Pickup: menu.State.Restaurant.Position}
	for i, item := range b.Items {
		at := fmt.Sprintf("body.items[%d].product", i)
		dish := find(menu.State.Items, item.Product)
		switch {
		case dish == nil:
			return p, &durable.Refusal{Code: durable.Invalid, Field: at, Detail: "the restaurant does not sell this"}
		case !dish.Available:
			return p, &durable.Refusal{Code: durable.Invalid, Field: at, Detail: "not available now"}
		case p.Total.Currency != "" && p.Total.Currency != dish.Price.Currency:
			return p, &durable.Refusal{Code: durable.Invalid, Field: at, Detail: "priced in another currency than the first item"}
		}
		p.Total.Currency = dish.Price.Currency
		p.Total.Amount += dish.Price.Amount * int64(item.Quantity)
		p.Prep = max(p.Prep, time.Duration(dish.Prep)*time.Minute)
	}
	return p, nil
}

func find(menu []wire.MenuItem, product string) *wire.MenuItem {
	for i := range menu {
		if menu[i].Product == product {
			return &menu[i]
		}
	}
	return nil
}

var errNoOrder = durable.Refuse(durable.NotFound, "no such order")

// view reads an order for the caller; one that is another's is not there.
func (s *Service) view(ctx context.Context, id string) (durable.Applied[order.State], error) {
	a, err := s.find(ctx, id)
	if err == nil && !auth.From(ctx).Acts(a.State.CustomerID) {
		return durable.Applied[order.State]{}, errNoOrder
	}
	return a, err
}

// find reads an order, whosever it is; a deleted one is not there.
func (s *Service) find(ctx context.Context, id string) (durable.Applied[order.State], error) {
	a, err := s.orders.View(ctx, id)
	if errors.Is(err, durable.ErrNotFound) || err == nil && a.State.Deleted {
		return durable.Applied[order.State]{}, errNoOrder
	}
	return a, err
}

func output(a durable.Applied[order.State]) *orderOutput {
	return &orderOutput{etag(a.Version), a.State.View()}
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	caller, whose := auth.From(ctx), in.CustomerID
	if whose == "" && !caller.Staff() {
		whose = caller.Customer
	}
	if !caller.Acts(whose) { // another's: as for one who has none
		return &listOutput{Body: []wire.Order{}}, nil
	}
	states, records, err := s.orders.List(ctx, whose, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: make([]wire.Order, 0, len(states))}
	for _, a := range states {
		if !a.State.Deleted {
			out.Body = append(out.Body, a.State.View())
		}
	}
	if len(records) == in.Limit {
		out.Linked = in.Next(records[len(records)-1].ID)
	}
	return out, nil
}

func (s *Service) cancel(ctx context.Context, in *cancelInput) (*orderOutput, error) {
	if in.Body != nil && in.Body.Operator && !auth.From(ctx).Staff() {
		return nil, auth.ErrForbidden
	}
	if _, err := s.view(ctx, in.ID); err != nil {
		return nil, err
	}
	var c order.Cancel
	if in.Body != nil {
		c = order.Cancel{Operator: in.Body.Operator, Reason: in.Body.Reason}
	}
	a, err := s.orders.Apply(ctx, in.ID, durable.Event{Type: order.EventCancel, Value: c})
	if err != nil {
		return nil, err
	}
	if a.State.CancelAsked {
		wait, done := context.WithTimeout(ctx, cancelWait)
		defer done()
		a, err = s.orders.Await(wait, in.ID, func(o order.State) bool { return !o.CancelAsked })
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
	}
	switch o := a.State; {
	case o.CancelAsked, o.Status == wire.OrderCancelled, o.Status == wire.Reimbursed:
		return output(a), nil
	default:
		return nil, durable.Refuse(durable.Conflict, "too late: a driver is committed and the order is %s", o.Status)
	}
}

func (s *Service) delete(ctx context.Context, in *idInput) (*struct{}, error) {
	if _, err := s.view(ctx, in.ID); err != nil {
		return nil, err
	}
	_, err := s.orders.Apply(ctx, in.ID, durable.Event{Type: order.EventDelete})
	return nil, err
}

func (s *Service) story(ctx context.Context, in *idInput) (*storyOutput, error) {
	a, err := s.view(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rec, err := s.orders.Record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &storyOutput{Story{Order: a.State.View(), Notes: a.State.Story(), Owed: rec.Todo(wire.OrderService)}}, nil
}

func (s *Service) retry(ctx context.Context, in *struct {
	ID   string `path:"id" format:"uuid"`
	Name string `path:"name" maxLength:"50"`
}) (*struct{}, error) {
	if _, err := s.view(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, s.orders.Unpark(ctx, in.ID, in.Name)
}
