// Package api is the customer service's HTTP side over the pure core of package customer.
package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/customer"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Options are what the service is made of.
type Options struct {
	Shell     durable.Options // Owner, Clock, Executor and limits; Name and Store are set here
	Customers durable.Store
	NewID     func() string
	Prices    map[string]int64 // what the original's products cost, for an order service that sends no amount
}

// otherPrice is what the customer service takes a product for that it does not know, in cents.
const otherPrice = 1000

// Service knows the customers.
type Service struct {
	opt       Options
	customers *durable.Runner[customer.State]
}

// New makes the service; Start begins its work.
func New(opt Options) *Service {
	shell := opt.Shell
	shell.Name, shell.Store = "customers", opt.Customers
	return &Service{opt: opt, customers: durable.NewRunner(customer.Machine{}, shell)}
}

// Start takes up the work that is owed.
func (s *Service) Start() { s.customers.Start() }

// Stop ends the work under way; see durable.Runner.
func (s *Service) Stop(ctx context.Context) error { return s.customers.Stop(ctx) }

// Customer is a customer as the API shows it.
type Customer struct {
	ID           string       `json:"id,omitempty" format:"uuid" doc:"Made by the service where it is missing"`
	Email        string       `json:"email" format:"email" maxLength:"254"`
	Name         string       `json:"name" minLength:"1" maxLength:"200"`
	Address      wire.Address `json:"address"`
	PaymentToken string       `json:"payment_token" pattern:"^tok_[A-Za-z0-9_]{1,60}$" example:"tok_ok" doc:"What the card company knows the card by. Never a card number"`
	MaskedCard   string       `json:"masked_card,omitempty" pattern:"^[*]{4,15}[0-9]{0,4}$" example:"************4242" doc:"For a person to recognise the card: the last four digits at most"`
}

type (
	registerInput struct {
		httpapi.Idempotency
		Body Customer
	}
	customerOutput struct{ Body Customer }
	idInput        struct {
		ID string `path:"id" format:"uuid"`
	}
	listInput  struct{ httpapi.Page }
	listOutput struct {
		httpapi.Linked
		Body []Customer
	}
	billingInput struct {
		ID   string      `path:"id" format:"uuid"`
		Body []wire.Item `minItems:"1"`
	}
	billingOutput struct{ Body wire.Billing }
	addressOutput struct{ Body wire.Address }
)

// Routes registers the service's HTTP side.
func (s *Service) Routes(a *httpapi.API) {
	tags := []string{"customers"}
	httpapi.Register(a, auth.For(auth.Service, auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/customers", OperationID: "register-customer", Tags: tags, DefaultStatus: 201,
		Summary: "Register a customer", Errors: []int{409, 422},
	}, s.register)
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/customers", OperationID: "list-customers", Tags: tags, Summary: "List customers, newest first",
	}, s.list)
	httpapi.Register(a, auth.For(auth.Customer, auth.Operator, auth.Service), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/customers/{id}", OperationID: "get-customer", Tags: tags, Summary: "Get a customer", Errors: []int{404},
	}, s.get)
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/customers/{id}/billing", OperationID: "billing", Tags: tags, DefaultStatus: 201,
		Summary: "How to bill a customer", Description: "The card number is masked and the CVV empty: the token stands for the card.", Errors: []int{404, 422},
	}, s.billing)
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/customers/{id}/address", OperationID: "address", Tags: tags, Summary: "Where a customer lives", Errors: []int{404},
	}, s.address)
}

func view(c customer.State) Customer {
	return Customer{c.ID, c.Email, c.Name, c.Address, c.Token, c.Masked}
}

func (s *Service) register(ctx context.Context, in *registerInput) (*customerOutput, error) {
	request, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	c := in.Body
	if c.ID == "" {
		c.ID = s.opt.NewID()
	}
	body, err := json.Marshal(customer.State{
		ID: c.ID, Email: c.Email, Name: c.Name, Address: c.Address, Token: c.PaymentToken, Masked: c.MaskedCard,
	})
	if err != nil {
		return nil, err
	}
	_, a, err := s.customers.Create(ctx, c.ID, strings.ToLower(c.Email), durable.Event{
		ID: in.Key, Type: customer.EventRegister, Body: body,
		Hash: durable.Fingerprint(customer.EventRegister, request),
	})
	if err != nil {
		return nil, err
	}
	return &customerOutput{view(a.State)}, nil
}

// get shows the caller a customer; who is another's to act for is not there.
func (s *Service) get(ctx context.Context, in *idInput) (*customerOutput, error) {
	if !auth.From(ctx).Acts(in.ID) {
		return nil, durable.ErrNotFound
	}
	a, err := s.customers.View(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &customerOutput{view(a.State)}, nil
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	states, records, err := s.customers.List(ctx, "", in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: make([]Customer, len(states))}
	for i, a := range states {
		out.Body[i] = view(a.State)
	}
	if len(records) == in.Limit {
		out.Linked = in.Next(records[len(records)-1].ID)
	}
	return out, nil
}

func (s *Service) billing(ctx context.Context, in *billingInput) (*billingOutput, error) {
	a, err := s.customers.View(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var cents int64
	for _, item := range in.Body {
		price, ok := s.opt.Prices[item.Product]
		if !ok {
			price = otherPrice
		}
		cents += price * int64(item.Quantity)
	}
	return &billingOutput{wire.Billing{Amount: wire.Decimal(cents), BillingInfo: a.State.Billing()}}, nil
}

func (s *Service) address(ctx context.Context, in *idInput) (*addressOutput, error) {
	a, err := s.customers.View(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &addressOutput{a.State.Address}, nil
}
