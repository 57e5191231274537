// Package api is the delivery service's HTTP side over the pure core of package delivery.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/delivery"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Options are what the service is made of.
type Options struct {
	Shell      durable.Options // Owner, Clock, Executor and limits; Name and Store are set here
	Deliveries durable.Store
	NewID      func() string
	Silence    time.Duration
}

// Service has meals delivered.
type Service struct {
	opt        Options
	deliveries *durable.Runner[delivery.State]
}

// verdictWait is how long a cancel waits for the transport company's verdict, in real time.
const verdictWait = 2 * time.Second

// New makes the service; Start begins its work.
func New(opt Options) *Service {
	shell := opt.Shell
	shell.Name, shell.Store = "deliveries", opt.Deliveries
	return &Service{opt: opt, deliveries: durable.NewRunner(delivery.Machine{Silence: opt.Silence}, shell)}
}

// Start takes up the work that is owed.
func (s *Service) Start() { s.deliveries.Start() }

// Stop ends the work under way; see durable.Runner.
func (s *Service) Stop(ctx context.Context) error { return s.deliveries.Stop(ctx) }

type (
	requestInput struct {
		httpapi.Idempotency
		Body wire.DeliveryRequest
	}
	answerOutput struct{ Body wire.DeliveryAnswer }
	callback     struct{ Body wire.DeliveryCallback }
	idInput      struct {
		ID string `path:"id" format:"uuid"`
	}
	keyInput struct {
		httpapi.Idempotency
		ID string `path:"id" format:"uuid"`
	}
	cancelOutput   struct{ Body CancelAnswer }
	deliveryOutput struct{ Body Delivery }
	listInput      struct {
		httpapi.Page
		CourierID string `query:"courier_id" maxLength:"100" doc:"Whose deliveries; everybody's where it is missing. A courier has their own, and none of another's"`
	}
	listOutput struct {
		httpapi.Linked
		Body []Delivery
	}
)

// CancelAnswer is the answer to a cancel that won.
type CancelAnswer struct {
	DeliveryID string      `json:"delivery_id" format:"uuid"`
	Status     wire.Status `json:"status"`
}

// Delivery is a delivery as the API shows it.
type Delivery struct {
	wire.DeliveryAnswer
	Courier string         `json:"courier_id,omitempty" doc:"Who drives, where the transport company said so"`
	Cancel  string         `json:"cancel,omitempty"`
	History []wire.Moment  `json:"history"`
	Owed    []durable.Todo `json:"owed" doc:"What is still to be done"`
}

type retryInput struct {
	ID   string `path:"id" format:"uuid"`
	Name string `path:"name" maxLength:"50"`
}

// Routes registers the service's HTTP side.
func (s *Service) Routes(a *httpapi.API) {
	tags := []string{"deliveries"}
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/deliveries", OperationID: "request-delivery", Tags: tags, DefaultStatus: 202,
		Summary: "Have an order delivered", Description: "An order has one delivery, however often this is asked.", Errors: []int{422},
	}, s.request)
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/deliveries/{id}/cancel", OperationID: "cancel-delivery", Tags: tags, DefaultStatus: 201,
		Summary:     "Cancel a delivery that has no driver",
		Description: "The transport company decides. 503 where it has not within 2 s: ask again.", Errors: []int{404, 409, 503},
	}, s.cancel)
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/deliveries/{id}/release", OperationID: "release-driver", Tags: tags, DefaultStatus: 202,
		Summary: "Let a committed driver go", Errors: []int{404, 409},
	}, s.release)
	httpapi.Register(a, auth.For(auth.Partner, auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/deliveries/callback", OperationID: "delivery-callback", Tags: tags, DefaultStatus: 201,
		Summary: "The transport company's news", Errors: []int{404, 422},
	}, s.callback)
	httpapi.Register(a, auth.For(auth.Service, auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/deliveries/{id}/ask", OperationID: "ask-transport-company", Tags: tags, DefaultStatus: 202,
		Summary: "Ask the transport company now", Errors: []int{404},
	}, s.ask)
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/deliveries/{id}/retry/{name}", OperationID: "retry-delivery", Tags: tags, DefaultStatus: 202,
		Summary: "Take parked work up again", Errors: []int{404},
	}, func(ctx context.Context, in *retryInput) (*struct{}, error) {
		return nil, s.deliveries.Unpark(ctx, in.ID, in.Name)
	})
	httpapi.Register(a, auth.For(auth.Courier, auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/deliveries", OperationID: "list-deliveries", Tags: tags,
		Summary: "List a courier's deliveries, newest first", Errors: []int{422},
	}, s.list)
	httpapi.Register(a, auth.For(auth.Courier, auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/deliveries/{id}", OperationID: "get-delivery", Tags: tags,
		Summary: "Get a delivery", Errors: []int{404},
	}, s.get)
}

func answer(d delivery.State) wire.DeliveryAnswer {
	return wire.DeliveryAnswer{
		DeliveryID: d.ID, Scheduled: d.Scheduled, Status: wire.DeliveryScheduled, Items: d.Items, Metadata: d.Metadata,
	}
}

func (s *Service) request(ctx context.Context, in *requestInput) (*answerOutput, error) {
	request, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	id := s.opt.NewID()
	_, a, err := s.deliveries.Create(ctx, id, in.Body.Metadata.OrderID, durable.Event{
		ID: in.Key, Type: delivery.EventRequest, Value: delivery.Request{ID: id, DeliveryRequest: in.Body},
		Hash: durable.Fingerprint(delivery.EventRequest, request),
	})
	if err != nil {
		return nil, err
	}
	return &answerOutput{answer(a.State)}, nil
}

func (s *Service) apply(ctx context.Context, id, key, kind string) (durable.Applied[delivery.State], error) {
	return s.deliveries.Apply(ctx, id, durable.Event{ID: key, Type: kind})
}

func (s *Service) cancel(ctx context.Context, in *keyInput) (*cancelOutput, error) {
	a, err := s.apply(ctx, in.ID, "", delivery.EventCancel)
	if err != nil {
		return nil, err
	}
	if a.State.Cancel == delivery.CancelAsked {
		wait, done := context.WithTimeout(ctx, verdictWait)
		defer done()
		a, err = s.deliveries.Await(wait, in.ID, func(d delivery.State) bool { return d.Cancel != delivery.CancelAsked })
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, httpapi.Errorf(http.StatusServiceUnavailable, "the transport company has not decided yet; ask again")
		}
		if err != nil {
			return nil, err
		}
	}
	if a.State.Cancel != delivery.Cancelled {
		return nil, durable.Refuse(durable.Conflict, "too late: a driver is committed")
	}
	return &cancelOutput{CancelAnswer{in.ID, wire.OrderCancelled}}, nil
}

func (s *Service) release(ctx context.Context, in *keyInput) (*struct{}, error) {
	_, err := s.apply(ctx, in.ID, in.Key, delivery.EventRelease)
	return nil, err
}

func (s *Service) callback(ctx context.Context, in *callback) (*callback, error) {
	_, err := s.deliveries.Apply(ctx, in.Body.DeliveryID, durable.Event{
		ID: "callback:" + string(in.Body.Status), Type: delivery.EventCallback, Value: in.Body, Hash: "-",
	})
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (s *Service) ask(ctx context.Context, in *idInput) (*struct{}, error) {
	_, err := s.apply(ctx, in.ID, "", delivery.EventAsk)
	return nil, err
}

func (s *Service) get(ctx context.Context, in *idInput) (*deliveryOutput, error) {
	a, err := s.deliveries.View(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !auth.From(ctx).Drives(a.State.Courier) {
		return nil, durable.ErrNotFound
	}
	rec, err := s.deliveries.Record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{shown(a.State, rec)}, nil
}

func shown(s delivery.State, rec durable.Record) Delivery {
	d := Delivery{
		DeliveryAnswer: answer(s), Courier: s.Courier, Cancel: string(s.Cancel), History: append([]wire.Moment{}, s.History...),
		Owed: rec.Todo(wire.DeliveryService),
	}
	if n := len(d.History); n > 0 {
		d.Status = d.History[n-1].Status
	}
	return d
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	caller, whose := auth.From(ctx), in.CourierID
	if whose == "" && !caller.Staff() {
		whose = caller.Courier
	}
	if !caller.Drives(whose) { // another's: as for one who has none
		return &listOutput{Body: []Delivery{}}, nil
	}
	states, records, err := s.deliveries.List(ctx, whose, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: make([]Delivery, len(states))}
	for i, a := range states {
		out.Body[i] = shown(a.State, records[i])
	}
	if len(records) == in.Limit {
		out.Linked = in.Next(records[len(records)-1].ID)
	}
	return out, nil
}
