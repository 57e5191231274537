package cardcompany

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/webhook"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Kind is the name of the company's table.
const Kind = "charges"

// Options are what the company is made of. Shell's Owner, Clock and Executor, and Store have no default.
type Options struct {
	Shell     durable.Options // Name and Store are set here
	Store     durable.Store
	Terms     Terms // zero: DefaultTerms
	Behaviour partner.Behaviour
	Random    rand.Source       // of the misbehaviour; see partner.NewConduct
	Signed    *webhook.Verifier // of what Tiffin asks; nil: everybody is believed
}

// Company charges and refunds. Safe for concurrent use.
type Company struct {
	opt     Options
	conduct *partner.Conduct
	charges *durable.Runner[State]
	desk    *partner.Desk
}

// New makes the company; Start begins its work.
func New(opt Options) *Company {
	if opt.Terms == (Terms{}) {
		opt.Terms = DefaultTerms()
	}
	c := &Company{opt: opt, conduct: partner.NewConduct(opt.Behaviour, opt.Random)}
	shell := opt.Shell
	shell.Name, shell.Store, shell.Executor = Kind, opt.Store, c.conduct.Executor(opt.Shell.Executor)
	c.charges = durable.NewRunner(Machine{Terms: opt.Terms}, shell)
	c.desk = partner.NewDesk(shell.Clock, shell.Log, c.conduct, opt.Signed)
	c.desk.Handle("POST /billings", c.charge)
	c.desk.Handle("POST /billings/reimburse", c.refund)
	c.desk.Handle("GET /billings/{id}", c.get)
	c.desk.Manage("GET /ledger", c.ledger)
	return c
}

// Handler is the company's HTTP side.
func (c *Company) Handler() http.Handler { return c.desk }

// Start takes up what earlier runs left.
func (c *Company) Start() { c.charges.Start() }

// Stop ends the work under way; see durable.Runner.
func (c *Company) Stop(ctx context.Context) error { return c.charges.Stop(ctx) }

// Behave changes the company's behaviour.
func (c *Company) Behave(b partner.Behaviour) { c.conduct.Set(b) }

func (c *Company) charge(r *http.Request) (int, any, error) {
	var in wire.BillingRequest
	if err := partner.Read(r, &in); err != nil {
		return 0, nil, err
	}
	if in.Currency == "" {
		in.Currency = wire.Euro
	}
	if err := errors.Join(partner.CheckID("caller_id", in.CallerID), checkMoney(in.Amount, in.Currency)); err != nil {
		return 0, nil, err
	}
	_, a, err := c.charges.Create(r.Context(), in.CallerID, "", durable.Event{Type: EventCharge, Value: Charge{
		CallerID: in.CallerID, Amount: in.Amount, Currency: in.Currency, Token: in.BillingInfo.Token,
	}})
	if err != nil {
		return 0, nil, err
	}
	switch {
	case a.State.Trans == "":
		return 0, nil, httpapi.Errorf(http.StatusInternalServerError, "the company's computer is out of order")
	case a.State.Manner == "timeout" && a.State.Attempts == 1:
		panic(http.ErrAbortHandler)
	case a.State.Manner == "early" && !a.State.Told:
		ctx, cancel := context.WithTimeout(r.Context(), early)
		defer cancel()
		_, _ = c.charges.Await(ctx, in.CallerID, func(s State) bool { return s.Told }) // not heard: answer all the same
	}
	return http.StatusAccepted, a.State.view(c.now()), nil
}

// early is how long tok_early's answer waits for its callback, real time.
const early = 2 * time.Second

func checkMoney(amount wire.Decimal, currency string) error {
	if amount <= 0 || amount > 1e12 {
		return httpapi.Errorf(http.StatusUnprocessableEntity, "amount: expected a positive amount")
	}
	if len(currency) != 3 {
		return httpapi.Errorf(http.StatusUnprocessableEntity, "currency: expected an ISO 4217 code")
	}
	return nil
}

func (c *Company) refund(r *http.Request) (int, any, error) {
	var in wire.RefundRequest
	if err := partner.Read(r, &in); err != nil {
		return 0, nil, err
	}
	if in.Currency == "" {
		in.Currency = wire.Euro
	}
	if err := partner.CheckID("caller_id", in.CallerID); err != nil {
		return 0, nil, err
	}
	a, err := c.charges.Apply(r.Context(), in.CallerID, durable.Event{Type: EventRefund, Value: in})
	if err != nil {
		return 0, nil, unknown(err)
	}
	return http.StatusAccepted, a.State.view(c.now()), nil
}

func (c *Company) get(r *http.Request) (int, any, error) {
	a, err := c.charges.View(r.Context(), r.PathValue("id"))
	if err == nil && a.State.Trans == "" {
		err = durable.ErrNotFound
	}
	if err != nil {
		return 0, nil, unknown(err)
	}
	return http.StatusOK, a.State.view(c.now()), nil
}

func unknown(err error) error {
	if errors.Is(err, durable.ErrNotFound) {
		return httpapi.Errorf(http.StatusNotFound, "this caller was never charged")
	}
	return err
}

func (c *Company) now() time.Time { return c.opt.Shell.Clock.Now() }

func (s State) view(at time.Time) wire.BillingState {
	return wire.BillingState{CallerID: s.CallerID, TransactionID: s.Trans, Status: s.Status(at), Amount: s.Amount}
}
