package payment_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/payment"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// said is a callback as it came.
func said(c wire.PaymentCallback) durable.Event {
	c.CallerID = orderID
	return event(payment.EventCallback, c)
}

func billingState(effect string, b wire.BillingState) durable.Event {
	return event(effect+durable.Done, b)
}

// TestDoubts: what cannot be true changes nothing and is said to be so; what is late or comes again is no doubt.
func TestDoubts(t *testing.T) {
	right, wrong := asked, asked+1
	then := func(more ...durable.Event) []durable.Event { return append(slices.Clone(charging), more...) }
	paid, failed, back := callback(wire.PaymentPaid), callback(wire.PaymentFailed), callback(wire.Reimbursed)
	for _, tt := range []struct {
		name   string
		before []durable.Event
		event  durable.Event
		why    string // empty: it is believed
	}{
		{"paid, and how much", charging, said(wire.PaymentCallback{Status: wire.PaymentPaid, TransactionID: "t1", Amount: &right, Currency: "EUR"}), ""},
		{"paid more", charging, said(wire.PaymentCallback{Status: wire.PaymentPaid, TransactionID: "t1", Amount: &wrong}), "the amount is 25.91, and 25.90 was asked for"},
		{"paid in another currency", charging, said(wire.PaymentCallback{Status: wire.PaymentPaid, TransactionID: "t1", Amount: &right, Currency: "JPY"}), "the currency is JPY"},
		{"paid more, again", then(paid), said(wire.PaymentCallback{Status: wire.PaymentPaid, TransactionID: "t1", Amount: &wrong}), "the amount"},
		{"failed, of whatever amount", charging, said(wire.PaymentCallback{Status: wire.PaymentFailed, TransactionID: "t1", Amount: &wrong}), ""},
		{"gave back less", then(paid, reimburse()), said(wire.PaymentCallback{Status: wire.Reimbursed, TransactionID: "t1", Amount: &wrong}), "the amount"},
		{"another transaction", then(paid, reimburse()), said(wire.PaymentCallback{Status: wire.Reimbursed, TransactionID: "t2"}), "the transaction"},
		{"another transaction than was answered", then(answer("charge", wire.Pending)), said(wire.PaymentCallback{Status: wire.PaymentPaid, TransactionID: "t2"}), "the transaction"},
		{"pending, of another transaction", then(paid), said(wire.PaymentCallback{Status: wire.Pending, TransactionID: "t2"}), "the transaction"},
		{"given back, though nobody asked", then(paid), back, "no refund was asked for"},
		{"given back before it was paid", charging, back, "no refund was asked for"},
		{"given back before it was paid, and asked for", then(reimburse()), back, "no refund was asked for"},
		{"failed after it was paid", then(paid), failed, "it was paid before"},
		{"paid before anybody asked", charging[:1], paid, "was not asked yet"},
		{"failed though it was never asked", []durable.Event{request(nil), refused("bill")}, failed, "was not asked yet, or never"},

		{"paid again", then(paid), paid, ""},
		{"paid, after all of it", then(paid, reimburse(), back), paid, ""},
		{"given back again", then(paid, reimburse(), back), back, ""},
		{"paid after it failed", then(failed), paid, ""},
		{"failed again", then(failed), failed, ""},
		{"pending at last", then(paid), callback(wire.Pending), ""},
	} {
		l := newLife(tt.before...)
		was := l.state
		err := l.apply(tt.event)
		why, doubted := durable.Doubted(err)
		if doubted != (tt.why != "") || !strings.Contains(why, tt.why) || err != nil && !doubted && !errors.Is(err, durable.ErrIgnored) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if doubted && !reflect.DeepEqual(was, l.state) {
			t.Errorf("%s: the state changed", tt.name)
		}
	}
}

// TestWrongAnswers: nothing goes on from an answer of another amount or transaction; it is parked for a person, and a
// right answer later is taken.
func TestWrongAnswers(t *testing.T) {
	for _, b := range []wire.BillingState{
		{Status: wire.PaymentPaid, TransactionID: "t1", Amount: asked - 1},
		{Status: wire.PaymentPaid, TransactionID: "t2", Amount: asked},
	} {
		l := newLife(append(slices.Clone(charging), answer("charge", wire.Pending), event(payment.EventCheck, nil))...)
		err := l.apply(billingState("askCard", b))
		if err == nil || errors.Is(err, durable.ErrIgnored) || errors.Is(err, durable.ErrCanWait) || l.state.Phase != payment.Charging {
			t.Errorf("%+v: %v, and it is %s", b, err, l.state.Phase)
		}
		if err := l.apply(silence()); err != nil {
			t.Error(err)
		}
		b.Amount, b.TransactionID = asked, "t1"
		if err := l.apply(billingState("askCard", b)); err != nil || l.state.Phase != payment.Paid || l.state.Trans != "t1" {
			t.Errorf("%+v: %v, and it is %s", b, err, l.state.Phase)
		}
	}
}

// TestCheck: the company is asked where it was ever asked to charge, and its answer decides.
func TestCheck(t *testing.T) {
	check := event(payment.EventCheck, nil)
	for name, before := range map[string][]durable.Event{
		"charging": charging, "paid": append(slices.Clone(charging), callback(wire.PaymentPaid)),
		"failed": append(slices.Clone(charging), callback(wire.PaymentFailed)),
	} {
		l := newLife(append(slices.Clone(before), check)...)
		if _, asks := l.owed["askCard"]; !asks {
			t.Errorf("%s: nobody is asked", name)
		}
	}
	if err := newLife(charging[:1]...).apply(check); !errors.Is(err, durable.ErrIgnored) {
		t.Errorf("billing: %v", err)
	}
}

// TestTransactionOfDigits: a company may name its transactions by numbers that could be a card's.
func TestTransactionOfDigits(t *testing.T) {
	const transaction = "txn-4000056655665556"
	charging := payment.State{OrderID: orderID, Phase: payment.Charging, Charge: 1295}
	for _, e := range []durable.Event{
		said(wire.PaymentCallback{Status: wire.PaymentPaid, TransactionID: transaction}),
		event("askCard"+durable.Done, wire.BillingState{CallerID: orderID, TransactionID: transaction, Status: wire.PaymentPaid}),
	} {
		got, _, err := payment.Machine{Silence: time.Minute}.Step(charging, e)
		if err != nil || got.Phase != payment.Paid || got.Trans != transaction {
			t.Errorf("%s: %+v, %v", e.Type, got, err)
		}
	}
}
