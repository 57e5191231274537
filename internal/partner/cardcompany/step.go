package cardcompany

import (
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/partner"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// State is a charge and its refund; its id is the caller's.
type State struct {
	CallerID string       `json:"caller_id"`
	Trans    string       `json:"transaction_id,omitempty"` // empty: requested, but not taken on yet (tok_flaky)
	Amount   wire.Decimal `json:"amount"`
	Currency string       `json:"currency"`
	Manner   string       `json:"manner,omitempty"` // the test token's, for how the company is to behave
	Attempts int          `json:"attempts,omitempty"`

	Decision wire.Status  `json:"decision,omitempty"` // paymentPaid or paymentFailed; empty: never
	Decided  time.Time    `json:"decided,omitzero"`   // when it is known; until then the charge is pending
	Told     bool         `json:"told,omitempty"`     // the caller heard the decision
	Refund   wire.Decimal `json:"refund,omitempty"`
	Refunded time.Time    `json:"refunded,omitzero"` // when the money is back
}

// Status is how the charge stands at a time.
func (s State) Status(at time.Time) wire.Status {
	switch {
	case s.Decision == "" || at.Before(s.Decided):
		return wire.Pending
	case s.Refund != 0 && !at.Before(s.Refunded):
		return wire.Reimbursed
	}
	return s.Decision
}

// Terms are how quick the company is.
type Terms struct {
	DecideLeast, DecideMost time.Duration // from a request to its decision
	Late                    time.Duration // to that of tok_late
}

// DefaultTerms are those of CONTRACT: 5 to 20 seconds.
func DefaultTerms() Terms {
	return Terms{DecideLeast: 5 * time.Second, DecideMost: 20 * time.Second, Late: 20 * time.Minute}
}

// Machine is the card company's pure core.
type Machine struct {
	durable.JSON[State]
	Terms Terms
}

// Events.
const (
	EventCharge = "charge" // body Charge
	EventRefund = "refund" // body wire.RefundRequest
)

// Charge is what is kept of a wire.BillingRequest. Token decides how it goes and is not stored.
type Charge struct {
	CallerID string       `json:"caller_id"`
	Amount   wire.Decimal `json:"amount"`
	Currency string       `json:"currency"`
	Token    string       `json:"token,omitempty"`
}

// Test tokens; see the package comment.
const (
	TokenOK        = "tok_ok"
	TokenDeclined  = "tok_declined"
	TokenSilent    = "tok_silent"
	TokenMute      = "tok_mute"
	TokenLate      = "tok_late"
	TokenDuplicate = "tok_duplicate"
	TokenTimeout   = "tok_timeout"
	TokenFlaky     = "tok_flaky"
	TokenEarly     = "tok_early"
)

// manners are the test tokens whose behaviour goes beyond the decision.
var manners = map[string]string{
	TokenSilent: "silent", TokenDuplicate: "duplicate", TokenTimeout: "timeout", TokenFlaky: "flaky", TokenEarly: "early",
}

const flakyFailures = 2

// Names of what a charge owes.
const (
	report       = "report"
	reportRefund = "reportRefund"
)

// Step applies an event to a charge. See the package comment for what it promises.
func (m Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	switch e.Type {
	case EventCharge:
		return m.charge(s, e)
	case EventRefund:
		return m.refund(s, e)
	case report + durable.Done:
		s.Told = true
		return s, nil, nil
	case report + durable.Refused, report + "2" + durable.Done, report + "2" + durable.Refused,
		report + "3" + durable.Done, report + "3" + durable.Refused,
		reportRefund + durable.Done, reportRefund + durable.Refused,
		reportRefund + "2" + durable.Done, reportRefund + "2" + durable.Refused,
		reportRefund + "3" + durable.Done, reportRefund + "3" + durable.Refused:
		return s, nil, durable.ErrIgnored
	}
	return s, nil, fmt.Errorf("a charge does not know the event %s", e.Type)
}

func (m Machine) charge(s State, e durable.Event) (State, []durable.Effect, error) {
	var c Charge
	if err := e.Into(&c); err != nil {
		return s, nil, err
	}
	if s.CallerID != "" && (c.Amount != s.Amount || c.Currency != s.Currency) {
		return s, nil, durable.Refuse(durable.Invalid, "this caller was charged before, with another amount")
	}
	switch {
	case s.CallerID == "":
		s = State{CallerID: c.CallerID, Amount: c.Amount, Currency: c.Currency, Manner: manners[c.Token]}
	case s.Manner == "flaky" && s.Trans == "":
	case s.Manner == "timeout" && s.Attempts == 1:
		s.Attempts++
		return s, nil, nil
	default:
		return s, nil, durable.ErrIgnored
	}
	if s.Manner == "flaky" || s.Manner == "timeout" {
		s.Attempts++
	}
	if s.Manner == "flaky" && s.Attempts <= flakyFailures {
		return s, nil, nil
	}
	s.Trans = fmt.Sprintf("txn-%016x", partner.Draw(s.CallerID, "transaction"))
	s.Decision = wire.PaymentPaid
	wait := partner.Between(m.Terms.DecideLeast, m.Terms.DecideMost, s.CallerID, "decision")
	switch c.Token {
	case TokenMute:
		s.Decision = ""
		return s, nil, nil
	case TokenDeclined:
		s.Decision = wire.PaymentFailed
	case TokenLate:
		wait = m.Terms.Late
	case TokenEarly:
		wait = 0
	}
	s.Decided = e.At.Add(wait)
	return s, s.callbacks(report, s.Decision, s.Decided), nil
}

func (m Machine) refund(s State, e durable.Event) (State, []durable.Effect, error) {
	var r wire.RefundRequest
	if err := e.Into(&r); err != nil {
		return s, nil, err
	}
	status := s.Status(e.At)
	switch {
	case s.Trans == "":
		return s, nil, durable.Refuse(durable.NotFound, "this caller was never charged")
	case r.TransactionID != s.Trans:
		return s, nil, &durable.Refusal{Code: durable.Invalid, Field: "transaction_id", Detail: "not this caller's"}
	case r.Amount <= 0 || r.Amount > s.Amount || r.Currency != s.Currency:
		return s, nil, &durable.Refusal{Code: durable.Invalid, Field: "amount", Detail: "not positive, or more than was charged, or of another currency"}
	case s.Refund == r.Amount:
		return s, nil, durable.ErrIgnored
	case s.Refund != 0:
		return s, nil, durable.Refuse(durable.Invalid, "this charge was refunded before, with another amount")
	case status != wire.PaymentPaid:
		return s, nil, durable.Refuse(durable.Conflict, "the charge is %s: no money has moved", status)
	}
	s.Refund = r.Amount
	s.Refunded = e.At.Add(partner.Between(m.Terms.DecideLeast, m.Terms.DecideMost, s.CallerID, "refund"))
	return s, s.callbacks(reportRefund, wire.Reimbursed, s.Refunded), nil
}

// callbacks tells the payment service, as often as the card's manner is.
func (s State) callbacks(name string, status wire.Status, due time.Time) []durable.Effect {
	amount := s.Amount
	if status == wire.Reimbursed {
		amount = s.Refund
	}
	call := durable.Command(name, wire.PaymentService, "POST /v1/payments/callback", wire.PaymentCallback{
		Status: status, CallerID: s.CallerID, TransactionID: s.Trans, Amount: &amount, Currency: s.Currency,
	}, time.Time{})
	call.Due = due
	switch s.Manner {
	case "silent":
		return nil
	case "duplicate":
		second, third := call, call
		second.Name, third.Name = name+"2", name+"3"
		return []durable.Effect{call, second, third}
	}
	return []durable.Effect{call}
}
