package payment

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// State is what a payment remembers; its id is the order's.
type State struct {
	OrderID    string        `json:"order_id"`
	CustomerID string        `json:"customer_id"`
	Receiver   string        `json:"receiver"`
	Items      []wire.Item   `json:"items"`
	Asked      *wire.Decimal `json:"asked,omitempty"` // what the order asked for; the customer service's price where it did not
	Charge     wire.Decimal  `json:"charge"`          // what the card company was asked for: a refund is exactly this
	Phase      Phase         `json:"phase"`
	Refund     Refund        `json:"refund,omitempty"`
	Trans      string        `json:"transaction_id,omitempty"`
	Silences   int           `json:"silences,omitempty"` // how often the company was asked in this phase
	History    []wire.Moment `json:"history,omitempty"`
	Seen       []wire.Status `json:"-"`
	Created    time.Time     `json:"created"`
	Denied     bool          `json:"denied,omitempty"` // the company refused the request for the charge
	Reason     string        `json:"reason,omitempty"`
}

// Phase is how far the charge is.
type Phase string

// The phases of a charge.
const (
	Billing    Phase = "billing"    // the customer service is asked how
	Charging   Phase = "charging"   // the card company is asked
	Paid       Phase = "paid"       // it said yes
	Failed     Phase = "failed"     // it said no
	Unbillable Phase = "unbillable" // it was never asked: the customer cannot be billed
)

// Refund is how far the refund is.
type Refund string

// The phases of a refund.
const (
	NoRefund     Refund = ""
	RefundWanted Refund = "wanted" // as soon as the money has moved
	RefundOwed   Refund = "owed"   // the card company is asked
	Refunded     Refund = "done"
)

// Machine is the payment's pure core.
type Machine struct {
	durable.JSON[State]
	Silence time.Duration // how long the card company may be silent before it is asked; doubles, to maxSilence
}

// DefaultSilence is the first wait before a partner is asked, maxSilence the longest.
const (
	DefaultSilence = 2 * time.Minute
	maxSilence     = time.Hour
)

// Events from outside.
const (
	EventRequest   = "request"   // body wire.PaymentRequest
	EventReimburse = "reimburse" // body wire.PaymentRequest
	EventCallback  = "callback"  // body wire.PaymentCallback
	EventAsk       = "ask"
	EventCheck     = "check" // news came that cannot be true: the card company is to say how it is
)

// Names of what a payment owes.
const (
	bill    = "bill"
	charge  = "charge"
	refund  = "refund"
	silence = "silence"
	askCard = "askCard"
	report  = "report:" // + status
)

type step struct {
	State
	m       Machine
	at      time.Time
	effects []durable.Effect
}

// Step applies an event to a payment. See the package comment for what it promises.
func (m Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	x := &step{State: s, m: m, at: e.At}
	err := x.apply(e)
	if err != nil && !errors.Is(err, durable.ErrCanWait) {
		return s, nil, err
	}
	return x.State, x.effects, err
}

func (x *step) owe(e ...durable.Effect) { x.effects = append(x.effects, e...) }

func (x *step) apply(e durable.Event) error {
	if x.OrderID == "" && e.Type != EventRequest {
		return durable.Refuse(durable.NotFound, "no payment of that order")
	}
	switch e.Type {
	case EventRequest:
		return x.request(e)
	case EventReimburse:
		return x.reimburse()
	case EventCallback:
		var c wire.PaymentCallback
		if err := e.Into(&c); err != nil {
			return err
		}
		if why := x.doubt(c); why != "" {
			return durable.Refuse(durable.Doubtful, "%s", why)
		}
		return x.news(c.Status, c.TransactionID)
	case EventAsk:
		return x.asked()
	case EventCheck:
		return x.check()

	case bill + durable.Done:
		return x.charge(e)
	case bill + durable.Refused:
		return x.unbillable(e)
	case charge + durable.Done, refund + durable.Done:
		return x.accepted(e)
	case charge + durable.Refused:
		return x.refused(e)
	case silence + durable.Due:
		if !x.waiting() {
			return durable.ErrIgnored
		}
		x.Silences++
		x.ask()
		return nil
	case askCard + durable.Done:
		return x.answered(e)
	case askCard + durable.Refused:
		if x.Denied { // it refused the request, and knows of no charge: that is its no
			return x.news(wire.PaymentFailed, "")
		}
		return durable.ErrIgnored // it may not know the order yet: the request is on its way
	case askCard + durable.GaveUp:
		return durable.ErrIgnored
	}
	return fmt.Errorf("a payment does not know the event %s: %s", e.Type, e.Body)
}

func (x *step) request(e durable.Event) error {
	if x.OrderID != "" {
		return durable.ErrIgnored // the same order again: it is charged once
	}
	var r wire.PaymentRequest
	if err := e.Into(&r); err != nil {
		return err
	}
	x.State = State{
		OrderID: r.Metadata.OrderID, CustomerID: r.Metadata.CustomerID, Receiver: r.Metadata.Receiver,
		Items: r.Items, Asked: r.Amount, Phase: Billing, Created: x.at,
	}
	x.owe(durable.Command(bill, wire.CustomerService, "POST /v1/customers/"+x.CustomerID+"/billing", r.Items, time.Time{}))
	return nil
}

// charge asks the card company for the money: the customer service has said how to bill.
func (x *step) charge(e durable.Event) error {
	var b wire.Billing
	if err := e.Into(&b); err != nil {
		return err
	}
	if x.Phase != Billing {
		return durable.ErrIgnored
	}
	x.Phase, x.Charge = Charging, b.Amount
	if x.Asked != nil {
		x.Charge = *x.Asked
	}
	b.BillingInfo.CVV = "" // whatever an original's customer service sends, it goes no further
	x.owe(
		durable.Command(charge, wire.CardCompany, "POST /billings", wire.BillingRequest{
			CallerID: x.OrderID, Amount: x.Charge, Currency: wire.Euro, BillingInfo: b.BillingInfo,
		}, time.Time{}),
		x.silenceTimer(),
	)
	return nil
}

func (x *step) unbillable(e durable.Event) error {
	var r durable.Rejection
	if err := e.Into(&r); err != nil {
		return err
	}
	x.Phase, x.Reason = Unbillable, "the customer cannot be billed: "+r.Detail
	x.tell(wire.OrderCancelled)
	return nil
}

// refused: the card company will not take the request. An earlier attempt may have gone through all the same, its
// answer lost: so it is asked before this counts as its no.
func (x *step) refused(e durable.Event) error {
	var r durable.Rejection
	if err := e.Into(&r); err != nil {
		return err
	}
	if x.Phase != Charging {
		return durable.ErrIgnored
	}
	x.Denied, x.Reason = true, r.Detail
	x.ask()
	return nil
}

// accepted takes the answer to a command. By its transaction a later callback is known, also where the answer says
// nothing else that is new.
func (x *step) accepted(e durable.Event) error {
	err := x.answered(e)
	if errors.Is(err, durable.ErrIgnored) && x.Trans == "" {
		var b wire.BillingState
		if e.Into(&b) == nil && b.TransactionID != "" {
			x.Trans = b.TransactionID
			return durable.ErrCanWait
		}
	}
	return err
}

// answered takes what the card company says it has done, in answer to a command or a question. What it says of
// another amount or transaction than ours is for a person: nothing goes on from it.
func (x *step) answered(e durable.Event) error {
	var b wire.BillingState
	if err := e.Into(&b); err != nil {
		return err
	}
	if b.Amount != 0 && b.Amount != x.Charge {
		return fmt.Errorf("the card company says %s of a charge of %s", b.Amount, x.Charge)
	}
	if x.anotherTransaction(b.TransactionID) {
		return errors.New("the card company says it of another transaction than this order's")
	}
	return x.news(b.Status, b.TransactionID)
}

func (x *step) anotherTransaction(id string) bool { return id != "" && x.Trans != "" && id != x.Trans }

// news takes the card company's word, however it came.
func (x *step) news(s wire.Status, trans string) error {
	switch {
	case (s == wire.PaymentPaid || s == wire.Reimbursed) && x.Phase == Charging:
		x.Phase, x.Silences = Paid, 0
		if trans != "" {
			x.Trans = trans
		}
		x.owe(durable.Drop(silence), durable.Drop(askCard))
		x.tell(wire.PaymentPaid)
		if x.Refund == RefundWanted {
			x.giveBack()
		}
		return nil
	case s == wire.PaymentPaid && x.Phase == Failed:
		// It has said no, and nobody waits for the meal: what moves after that goes back.
		x.Phase = Paid
		if trans != "" {
			x.Trans = trans
		}
		x.giveBack()
		return nil
	case s == wire.PaymentFailed && x.Phase == Charging:
		x.Phase = Failed
		x.owe(durable.Drop(silence), durable.Drop(askCard), durable.Drop(charge))
		x.tell(wire.PaymentFailed)
		return nil
	case s == wire.Reimbursed && x.Refund == RefundOwed:
		x.Refund = Refunded
		x.owe(durable.Drop(silence), durable.Drop(askCard))
		if x.told(wire.PaymentPaid) { // else nobody knows of the money
			x.tell(wire.Reimbursed)
		}
		return nil
	}
	return durable.ErrIgnored
}

// reimburse gives back what was charged, now or as soon as it moves.
func (x *step) reimburse() error {
	if x.Refund != NoRefund {
		return durable.ErrIgnored
	}
	switch x.Phase {
	case Failed, Unbillable:
		return durable.Refuse(durable.Conflict, "nothing was charged for the order")
	case Paid:
		x.giveBack()
	default:
		x.Refund = RefundWanted
	}
	return nil
}

func (x *step) giveBack() {
	x.Refund, x.Silences = RefundOwed, 0
	amount := x.Charge
	if planted.Is(planted.RefundAmountRecomputed) {
		amount = 0
		for _, i := range x.Items {
			amount += wire.Decimal(1000 * i.Quantity)
		}
	}
	x.owe(
		durable.Command(refund, wire.CardCompany, "POST /billings/reimburse", wire.RefundRequest{
			CallerID: x.OrderID, TransactionID: x.Trans, Amount: amount, Currency: wire.Euro,
		}, time.Time{}),
		x.silenceTimer(),
	)
}

// waiting says whether the card company owes an answer.
func (x *step) waiting() bool { return x.Phase == Charging || x.Refund == RefundOwed }

func (x *step) ask() {
	x.question()
	x.owe(x.silenceTimer())
}

func (x *step) question() {
	x.owe(durable.Command(askCard, wire.CardCompany, "GET /billings/"+x.OrderID, nil, x.at.Add(x.m.Silence)))
}

func (x *step) silenceTimer() durable.Effect {
	return durable.Timer(silence, x.at.Add(min(maxSilence, x.m.Silence<<min(x.Silences, 10))))
}

func (x *step) told(s wire.Status) bool {
	return slices.ContainsFunc(x.History, func(m wire.Moment) bool { return m.Status == s })
}

// tell notes a status and reports it to whoever asked for the payment.
func (x *step) tell(s wire.Status) {
	x.History = append(slices.Clip(x.History), wire.Moment{Status: s, When: x.at})
	x.report(s)
}

func (x *step) report(s wire.Status) {
	x.owe(durable.Message(report+string(s), "", x.Receiver, wire.StatusMessage{
		Status: s, Reason: x.Reason,
		Metadata: wire.Metadata{Receiver: x.Receiver, OrderID: x.OrderID, CustomerID: x.CustomerID},
	}))
}

// asked: the order misses news. What it was told it is told again, as a broker may have lost it for good, and the card
// company is asked where it owes more.
func (x *step) asked() error {
	for _, m := range x.History {
		x.report(m.Status)
	}
	if x.waiting() {
		x.ask()
	}
	if len(x.effects) == 0 {
		return durable.ErrIgnored
	}
	return nil
}
