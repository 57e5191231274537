// Package api is the payment service's HTTP side over the pure core of package payment.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/payment"
	"github.com/tiffin-food/tiffin/internal/quarantine"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Options are what the service is made of.
type Options struct {
	Shell      durable.Options // Owner, Clock, Executor and limits; Name and Store are set here
	Payments   durable.Store
	Quarantine durable.Store // of callbacks that cannot be true
	NewID      func() string
	Silence    time.Duration
}

// Service charges and gives back.
type Service struct {
	opt      Options
	payments *durable.Runner[payment.State]
	doubted  *quarantine.Service
}

// New makes the service; Start begins its work.
func New(opt Options) *Service {
	shell := opt.Shell
	shell.Name, shell.Store = "payments", opt.Payments
	return &Service{
		opt: opt, payments: durable.NewRunner(payment.Machine{Silence: opt.Silence}, shell),
		doubted: quarantine.New(quarantine.Options{Shell: opt.Shell, Store: opt.Quarantine, NewID: opt.NewID}),
	}
}

// Start takes up the work that is owed.
func (s *Service) Start() {
	s.payments.Start()
	s.doubted.Start()
}

// Stop ends the work under way; see durable.Runner.
func (s *Service) Stop(ctx context.Context) error {
	return errors.Join(s.payments.Stop(ctx), s.doubted.Stop(ctx))
}

type (
	requestInput struct {
		httpapi.Idempotency
		Body wire.PaymentRequest
	}
	requestOutput struct{ Body wire.PaymentAnswer }
	callbackInput struct {
		WebhookID string `header:"Webhook-Id" maxLength:"256" doc:"Of a signed request"`
		Body      wire.PaymentCallback
	}
	callbackOutput struct{ Body wire.PaymentCallback }
	idInput        struct {
		ID string `path:"id" format:"uuid" doc:"The order"`
	}
	paymentOutput struct{ Body Payment }
)

// Payment is a payment as the API shows it.
type Payment struct {
	OrderID       string         `json:"order_id" format:"uuid"`
	Phase         payment.Phase  `json:"phase"`
	Charged       wire.Decimal   `json:"charged" doc:"What the card company was asked for"`
	Refund        string         `json:"refund,omitempty"`
	TransactionID string         `json:"transaction_id,omitempty"`
	History       []wire.Moment  `json:"history"`
	Reason        string         `json:"reason,omitempty"`
	Owed          []durable.Todo `json:"owed" doc:"What is still to be done"`
}

type retryInput struct {
	ID   string `path:"id" format:"uuid"`
	Name string `path:"name" maxLength:"50"`
}

// Routes registers the service's HTTP side.
func (s *Service) Routes(a *httpapi.API) {
	tags := []string{"payments"}
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/payments", OperationID: "request-payment", Tags: tags, DefaultStatus: 202,
		Summary: "Charge for an order", Description: "An order is charged once, however often this is asked.", Errors: []int{422},
	}, s.request)
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/payments/reimburse", OperationID: "reimburse", Tags: tags, DefaultStatus: 202,
		Summary: "Give an order's money back", Description: "What was charged is given back, once.", Errors: []int{404, 409, 422},
	}, s.reimburse)
	httpapi.Register(a, auth.For(auth.Partner), httpapi.KeepBody(httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/payments/callback", OperationID: "payment-callback", Tags: tags, DefaultStatus: 201,
		Summary: "The card company's answer", Errors: []int{404, 422},
		Description: "What cannot be true is answered like any other, changes nothing, and is kept for an operator.",
	}), s.callback)
	s.doubted.Routes(a, "/v1/payments", "payment")
	httpapi.Register(a, auth.For(auth.Service, auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/payments/{id}/ask", OperationID: "ask-card-company", Tags: tags, DefaultStatus: 202,
		Summary: "Ask the card company now", Errors: []int{404},
	}, s.ask)
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/payments/{id}/retry/{name}", OperationID: "retry-payment", Tags: tags, DefaultStatus: 202,
		Summary: "Take parked work up again", Errors: []int{404},
	}, func(ctx context.Context, in *retryInput) (*struct{}, error) {
		return nil, s.payments.Unpark(ctx, in.ID, in.Name)
	})
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/payments/{id}", OperationID: "get-payment", Tags: tags,
		Summary: "Get an order's payment", Errors: []int{404},
	}, s.get)
}

func event(kind, key string, body wire.PaymentRequest) (durable.Event, error) {
	b, err := json.Marshal(body)
	return durable.Event{ID: key, Type: kind, Value: body, Hash: durable.Fingerprint(kind, b)}, err
}

func (s *Service) request(ctx context.Context, in *requestInput) (*requestOutput, error) {
	if !slices.Contains(wire.Receivers, in.Body.Metadata.Receiver) {
		return nil, &durable.Refusal{Code: durable.Invalid, Field: "body.metadata.receiver",
			Detail: "not a known service; expected one of " + strings.Join(wire.Receivers, ", ")}
	}
	if in.Body.Amount != nil && *in.Body.Amount <= 0 {
		return nil, &durable.Refusal{Code: durable.Invalid, Field: "body.amount", Detail: "expected more than 0"}
	}
	e, err := event(payment.EventRequest, in.Key, in.Body)
	if err != nil {
		return nil, err
	}
	id := in.Body.Metadata.OrderID
	if _, _, err := s.payments.Create(ctx, id, "", e); err != nil {
		return nil, err
	}
	return &requestOutput{wire.PaymentAnswer{Status: "requestReceived", OrderID: id}}, nil
}

func (s *Service) reimburse(ctx context.Context, in *requestInput) (*requestOutput, error) {
	e, err := event(payment.EventReimburse, in.Key, in.Body)
	if err != nil {
		return nil, err
	}
	id := in.Body.Metadata.OrderID
	if _, err := s.payments.Apply(ctx, id, e); err != nil {
		return nil, err
	}
	return &requestOutput{wire.PaymentAnswer{Status: "requestReceived", OrderID: id}}, nil
}

// callback takes the card company's word. It is recognised by what it says, not by its webhook id: the same status of
// the same transaction is the same news.
func (s *Service) callback(ctx context.Context, in *callbackInput) (*callbackOutput, error) {
	if !auth.From(ctx).Speaks(wire.CardCompany) {
		return nil, auth.ErrForbidden
	}
	e := durable.Event{
		ID: "callback:" + string(in.Body.Status) + ":" + in.Body.TransactionID, Type: payment.EventCallback, Value: in.Body, Hash: "-",
	}
	if in.Body.Amount != nil || in.Body.Currency != "" { // what was believed may come again with money that cannot be
		e.ID += ":" + in.Body.Currency
		if in.Body.Amount != nil {
			e.ID += in.Body.Amount.String()
		}
	}
	_, err := s.payments.Apply(ctx, in.Body.CallerID, e)
	doubted, err := s.doubted.Judge(ctx, wire.CardCompany, string(in.Body.Status), in.WebhookID, httpapi.Body(ctx), err)
	if doubted && err == nil { // the company is asked how it is
		_, err = s.payments.Apply(ctx, in.Body.CallerID, durable.Event{Type: payment.EventCheck})
	}
	if err != nil {
		return nil, err
	}
	return &callbackOutput{in.Body}, nil
}

func (s *Service) ask(ctx context.Context, in *idInput) (*struct{}, error) {
	_, err := s.payments.Apply(ctx, in.ID, durable.Event{Type: payment.EventAsk})
	return nil, err
}

func (s *Service) get(ctx context.Context, in *idInput) (*paymentOutput, error) {
	a, err := s.payments.View(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rec, err := s.payments.Record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p := a.State
	return &paymentOutput{Payment{
		OrderID: p.OrderID, Phase: p.Phase, Charged: p.Charge, Refund: string(p.Refund), TransactionID: p.Trans,
		History: append([]wire.Moment{}, p.History...), Reason: p.Reason, Owed: rec.Todo(wire.PaymentService),
	}}, nil
}
