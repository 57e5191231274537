package payment_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/payment"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/wire"
)

const orderID = "01980000-0000-7000-8000-000000000001"

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	machine = payment.Machine{Silence: payment.DefaultSilence}
	asked   = wire.Decimal(2590)
	priced  = wire.Decimal(2000) // by the customer service
)

func event(kind string, body any) durable.Event {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return durable.Event{ID: kind, Type: kind, Body: b}
}

func request(amount *wire.Decimal) durable.Event {
	return event(payment.EventRequest, wire.PaymentRequest{
		Items: []wire.Item{{Product: "Lasagna", Quantity: 2}}, Amount: amount,
		Metadata: wire.Metadata{Receiver: wire.OrderQueue, OrderID: orderID, CustomerID: "c1"},
	})
}

func reimburse() durable.Event { return event(payment.EventReimburse, wire.PaymentRequest{}) }

func billing() durable.Event {
	return event("bill.done", wire.Billing{Amount: priced, BillingInfo: wire.BillingInfo{CVV: "123", Token: "tok_ok", CardNumber: "************4242"}})
}

func callback(s wire.Status) durable.Event {
	return event(payment.EventCallback, wire.PaymentCallback{Status: s, CallerID: orderID, TransactionID: "t1"})
}

func answer(effect string, s wire.Status) durable.Event {
	return event(effect+durable.Done, wire.BillingState{CallerID: orderID, TransactionID: "t1", Status: s})
}

func refused(effect string) durable.Event {
	return event(effect+durable.Refused, durable.Rejection{Status: 422, Detail: "no"})
}

func silence() durable.Event { return durable.Event{Type: "silence" + durable.Due} }

// life is a payment with what it owes, as the shell keeps it, and all the effects there ever were.
type life struct {
	state payment.State
	owed  map[string]durable.Effect
	ever  []durable.Effect
	at    time.Time
}

func newLife(events ...durable.Event) *life {
	l := &life{owed: map[string]durable.Effect{}, at: noon}
	for _, e := range events {
		if err := l.apply(e); err != nil && !errors.Is(err, durable.ErrIgnored) && !doubted(err) {
			panic(e.Type + ": " + err.Error())
		}
	}
	return l
}

func doubted(err error) bool {
	_, ok := durable.Doubted(err)
	return ok
}

func (l *life) apply(e durable.Event) error {
	l.at = l.at.Add(time.Second)
	e.At = l.at
	next, effects, err := machine.Step(l.state, e)
	if errors.Is(err, durable.ErrCanWait) {
		err = nil // the shell keeps the state; only the write can wait
	}
	name, outcome := outcomeOf(e)
	if outcome && (err == nil || errors.Is(err, durable.ErrIgnored)) {
		delete(l.owed, name)
	}
	if err != nil {
		return err
	}
	if e.Type == payment.EventAsk { // what it was told, the order is told again
		effects = slices.DeleteFunc(slices.Clone(effects), func(f durable.Effect) bool {
			return f.Kind == durable.KindMessage && slices.ContainsFunc(l.ever, func(t durable.Effect) bool { return t.Name == f.Name })
		})
	}
	l.state, l.ever = next, append(l.ever, effects...)
	for _, f := range effects {
		if l.owed[f.Name] = f; f.Kind == durable.Drop("").Kind {
			delete(l.owed, f.Name)
		}
	}
	return nil
}

// outcomeOf is the effect whose outcome an event is.
func outcomeOf(e durable.Event) (effect string, ok bool) {
	i := strings.LastIndexByte(e.Type, '.')
	return e.Type[:max(i, 0)], i > 0
}

func (l *life) commands(name string) (all []durable.Effect) {
	for _, f := range l.ever {
		if f.Name == name && f.Kind == durable.KindCommand {
			all = append(all, f)
		}
	}
	return all
}

func (l *life) told() (all []wire.Status) {
	for _, f := range l.ever {
		if f.Kind == durable.KindMessage {
			all = append(all, wire.Status(strings.TrimPrefix(f.Name, "report:")))
		}
	}
	return all
}

func body[T any](t *testing.T, f durable.Effect) (v T) {
	t.Helper()
	if err := json.Unmarshal(f.Body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

var charging = []durable.Event{request(&asked), billing()}

func TestPayment(t *testing.T) {
	then := func(more ...durable.Event) []durable.Event { return append(slices.Clone(charging), more...) }
	tests := []struct {
		name   string
		events []durable.Event
		phase  payment.Phase
		refund payment.Refund
		told   []wire.Status
		owed   []string // beside what is told
	}{
		{"asked for", []durable.Event{request(nil)}, payment.Billing, "", nil, []string{"bill"}},
		{"asked for twice", []durable.Event{request(nil), request(nil)}, payment.Billing, "", nil, []string{"bill"}},
		{"charging", charging, payment.Charging, "", nil, []string{"charge", "silence"}},
		{"accepted", then(answer("charge", wire.Pending)), payment.Charging, "", nil, []string{"silence"}},
		{"pending", then(callback(wire.Pending)), payment.Charging, "", nil, []string{"charge", "silence"}},
		{"paid", then(callback(wire.PaymentPaid)), payment.Paid, "", []wire.Status{wire.PaymentPaid}, []string{"charge"}},
		{"paid at once", then(answer("charge", wire.PaymentPaid)), payment.Paid, "", []wire.Status{wire.PaymentPaid}, nil},
		{"paid, ten times", then(slices.Repeat([]durable.Event{callback(wire.PaymentPaid)}, 10)...), payment.Paid, "", []wire.Status{wire.PaymentPaid}, []string{"charge"}},
		{"failed", then(callback(wire.PaymentFailed)), payment.Failed, "", []wire.Status{wire.PaymentFailed}, nil},
		{"failed after paid", then(callback(wire.PaymentPaid), callback(wire.PaymentFailed)), payment.Paid, "", []wire.Status{wire.PaymentPaid}, []string{"charge"}},
		{"paid after failed: it goes back", then(callback(wire.PaymentFailed), callback(wire.PaymentPaid)), payment.Paid, payment.RefundOwed, []wire.Status{wire.PaymentFailed}, []string{"refund", "silence"}},
		{"charge refused: the first attempt may have gone through", then(refused("charge")), payment.Charging, "", nil, []string{"askCard", "silence"}},
		{"... and it had not", then(refused("charge"), refused("askCard")), payment.Failed, "", []wire.Status{wire.PaymentFailed}, nil},
		{"... and it had", then(refused("charge"), answer("askCard", wire.PaymentPaid)), payment.Paid, "", []wire.Status{wire.PaymentPaid}, nil},
		{"unbillable", []durable.Event{request(nil), refused("bill")}, payment.Unbillable, "", []wire.Status{wire.OrderCancelled}, nil},
		{"refund", then(callback(wire.PaymentPaid), reimburse()), payment.Paid, payment.RefundOwed, []wire.Status{wire.PaymentPaid}, []string{"charge", "refund", "silence"}},
		{"refund asked for twice", then(callback(wire.PaymentPaid), reimburse(), reimburse()), payment.Paid, payment.RefundOwed, []wire.Status{wire.PaymentPaid}, []string{"charge", "refund", "silence"}},
		{"refunded", then(callback(wire.PaymentPaid), reimburse(), callback(wire.Reimbursed)), payment.Paid, payment.Refunded, []wire.Status{wire.PaymentPaid, wire.Reimbursed}, []string{"charge", "refund"}},
		{"refund wanted before it is paid", then(reimburse()), payment.Charging, payment.RefundWanted, nil, []string{"charge", "silence"}},
		{"... and paid then", then(reimburse(), callback(wire.PaymentPaid)), payment.Paid, payment.RefundOwed, []wire.Status{wire.PaymentPaid}, []string{"charge", "refund", "silence"}},
		{"... and failed then", then(reimburse(), callback(wire.PaymentFailed)), payment.Failed, payment.RefundWanted, []wire.Status{wire.PaymentFailed}, nil},
		{"refund wanted before it is billed", []durable.Event{request(&asked), reimburse(), refused("bill")}, payment.Unbillable, payment.RefundWanted, []wire.Status{wire.OrderCancelled}, nil},
		{"reimbursed unasked", then(callback(wire.PaymentPaid), callback(wire.Reimbursed)), payment.Paid, "", []wire.Status{wire.PaymentPaid}, []string{"charge"}},
		{"silent", then(answer("charge", wire.Pending), silence()), payment.Charging, "", nil, []string{"askCard", "silence"}},
		{"silent, and asked", then(silence(), answer("askCard", wire.PaymentPaid)), payment.Paid, "", []wire.Status{wire.PaymentPaid}, []string{"charge"}},
		{"silent, and it does not know the order", then(silence(), refused("askCard")), payment.Charging, "", nil, []string{"charge", "silence"}},
		{"silent, and it does not answer", then(silence(), event("askCard.gaveUp", nil)), payment.Charging, "", nil, []string{"charge", "silence"}},
		{"silent about the refund", then(callback(wire.PaymentPaid), reimburse(), silence(), answer("askCard", wire.Reimbursed)), payment.Paid, payment.Refunded, []wire.Status{wire.PaymentPaid, wire.Reimbursed}, []string{"charge", "refund"}},
		{"asked by a person", then(event(payment.EventAsk, nil)), payment.Charging, "", nil, []string{"askCard", "charge", "silence"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLife(tt.events...)
			maps.DeleteFunc(l.owed, func(_ string, f durable.Effect) bool { return f.Kind == durable.KindMessage })
			owed := slices.Sorted(maps.Keys(l.owed))
			if l.state.Phase != tt.phase || l.state.Refund != tt.refund {
				t.Errorf("phase %q, refund %q", l.state.Phase, l.state.Refund)
			}
			if !slices.Equal(l.told(), tt.told) || !slices.Equal(owed, tt.owed) {
				t.Errorf("told %v, owes %v; want %v, %v", l.told(), owed, tt.told, tt.owed)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		before []durable.Event
		event  durable.Event
		code   durable.Code // empty: an error that parks, or goes back to the sender
	}{
		{"callback of no payment", nil, callback(wire.PaymentPaid), durable.NotFound},
		{"refund of no payment", nil, reimburse(), durable.NotFound},
		{"refund of nothing", []durable.Event{request(nil), billing(), callback(wire.PaymentFailed)}, reimburse(), durable.Conflict},
		{"refund of what could not be billed", []durable.Event{request(nil), refused("bill")}, reimburse(), durable.Conflict},
		{"refund refused", append(slices.Clone(charging), callback(wire.PaymentPaid), reimburse()), refused("refund"), ""},
		{"bad request", nil, durable.Event{Type: payment.EventRequest, Body: []byte("{")}, ""},
		{"bad billing", charging[:1], durable.Event{Type: "bill.done", Body: []byte("[]")}, ""},
		{"bad answer", charging, durable.Event{Type: "charge.done", Body: []byte("<html>")}, ""},
		{"bad callback", charging, durable.Event{Type: payment.EventCallback, Body: []byte("[]")}, ""},
		{"bad refusal", charging[:1], durable.Event{Type: "bill.refused", Body: []byte("x")}, ""},
		{"unknown", charging, durable.Event{Type: "eat"}, ""},
	}
	for _, tt := range tests {
		l := newLife(tt.before...)
		was := l.state
		err := l.apply(tt.event)
		var refusal *durable.Refusal
		if errors.As(err, &refusal) != (tt.code != "") || err == nil || errors.Is(err, durable.ErrIgnored) {
			t.Errorf("%s: %v", tt.name, err)
		} else if refusal != nil && refusal.Code != tt.code {
			t.Errorf("%s: %s", tt.name, refusal.Code)
		}
		if !reflect.DeepEqual(was, l.state) {
			t.Errorf("%s: the state changed", tt.name)
		}
	}
}

// TestAmounts: what the order asked for is charged, the customer service's price where it did not ask; what was
// charged is given back.
func TestAmounts(t *testing.T) {
	for name, tt := range map[string]struct {
		asked *wire.Decimal
		want  wire.Decimal
	}{"the order's": {&asked, asked}, "the customer service's": {nil, priced}} {
		l := newLife(request(tt.asked), billing(), callback(wire.PaymentPaid), reimburse())
		charge := body[wire.BillingRequest](t, l.commands("charge")[0])
		if charge.Amount != tt.want || charge.Currency != wire.Euro || charge.CallerID != orderID {
			t.Errorf("%s: charged %+v", name, charge)
		}
		if charge.BillingInfo.CVV != "" || charge.BillingInfo.Token != "tok_ok" {
			t.Errorf("%s: the card company got %+v", name, charge.BillingInfo)
		}
		if refund := body[wire.RefundRequest](t, l.commands("refund")[0]); refund.Amount != tt.want || refund.TransactionID != "t1" {
			t.Errorf("%s: refund %+v", name, refund)
		}
	}
	b, err := machine.Append(nil, newLife(charging...).state)
	if err != nil || strings.Contains(string(b), "123") || strings.Contains(string(b), "tok_ok") {
		t.Errorf("the payment remembers the card: %s (%v)", b, err)
	}
}

// TestSilenceDoubles: the card company is asked after 2, 4, 8 … minutes, at least once an hour, and afresh about a
// refund.
func TestSilenceDoubles(t *testing.T) {
	l := newLife(charging...)
	want := []time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour}
	for i, d := range want {
		if got := l.owed["silence"].Due.Sub(l.at); got != d {
			t.Errorf("question %d: after %s, want %s", i, got, d)
		}
		if err := l.apply(silence()); err != nil {
			t.Fatal(err)
		}
		if q := l.owed["askCard"]; q.Op != "GET /billings/"+orderID || !q.GiveUp.Equal(l.at.Add(payment.DefaultSilence)) {
			t.Errorf("question %d: %+v", i, q)
		}
	}
	for range 20 { // nothing overflows
		if err := l.apply(silence()); err != nil || l.owed["silence"].Due.Sub(l.at) != time.Hour {
			t.Fatalf("%v, %s", err, l.owed["silence"].Due.Sub(l.at))
		}
	}
	for _, e := range []durable.Event{callback(wire.PaymentPaid), reimburse()} {
		if err := l.apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.owed["silence"].Due.Sub(l.at); got != 2*time.Minute {
		t.Errorf("first question about the refund after %s", got)
	}
}

// all are the events that a payment may meet, in any order.
func all() []durable.Event {
	events := []durable.Event{
		request(&asked), request(nil), reimburse(), billing(), silence(), event(payment.EventAsk, nil),
		refused("bill"), refused("charge"), refused("askCard"), event("askCard.gaveUp", nil),
	}
	for _, s := range []wire.Status{wire.Pending, wire.PaymentPaid, wire.PaymentFailed, wire.Reimbursed} {
		events = append(events, callback(s), answer("charge", s), answer("refund", s), answer("askCard", s))
	}
	return events
}

// brokenRules are the rules that the payment breaks, whatever brought it here.
func brokenRules(l *life) (broken []string) {
	count := func(what string, n int) {
		if n > 1 {
			broken = append(broken, what+" more than once")
		}
	}
	charges, refunds := l.commands("charge"), l.commands("refund")
	count("charged", len(charges))
	count("refunded", len(refunds))
	told := map[wire.Status]int{}
	for _, s := range l.told() {
		told[s]++
		count("told "+string(s), told[s])
	}
	if told[wire.PaymentPaid]+told[wire.PaymentFailed]+told[wire.OrderCancelled] > 1 {
		broken = append(broken, "told two outcomes")
	}
	if told[wire.Reimbursed] > 0 && told[wire.PaymentPaid] == 0 {
		broken = append(broken, "reimbursed what was not paid")
	}
	if len(refunds) > 0 {
		var charge wire.BillingRequest
		var refund wire.RefundRequest
		if json.Unmarshal(charges[0].Body, &charge) != nil || json.Unmarshal(refunds[0].Body, &refund) != nil || charge.Amount != refund.Amount {
			broken = append(broken, "the refund is not what was charged")
		}
		if l.state.Phase != payment.Paid {
			broken = append(broken, "refunded what was not paid")
		}
	}
	if _, timed := l.owed["silence"]; !timed && (l.state.Phase == payment.Charging || l.state.Refund == payment.RefundOwed) {
		broken = append(broken, "the card company's answer is out and nobody will ask")
	}
	if l.state.Phase == payment.Paid && l.state.Refund == payment.RefundWanted {
		broken = append(broken, "it is paid, the refund wanted, and not asked for")
	}
	return broken
}

// TestAnyOrder: at most one charge, one refund of the same amount and one outcome, whatever comes in whatever order;
// and Step is pure.
func TestAnyOrder(t *testing.T) {
	events := all()
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(request(&asked))
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			e := rapid.SampledFrom(events).Draw(t, "event")
			if name, outcome := outcomeOf(e); outcome && l.owed[name].Name == "" {
				continue // the shell drops it
			}
			before := l.state
			before.History = append(slices.Clone(before.History), wire.Moment{})[:len(before.History)] // with room behind
			kept := slices.Clone(before.History[:cap(before.History)])
			e.At = l.at
			s1, f1, err1 := machine.Step(before, e)
			s2, f2, err2 := machine.Step(before, e)
			if !reflect.DeepEqual(s1, s2) || !reflect.DeepEqual(f1, f2) || (err1 == nil) != (err2 == nil) ||
				!slices.Equal(kept, before.History[:cap(before.History)]) {
				t.Fatalf("%s: Step is not pure", e.Type)
			}
			_ = l.apply(e) // refused or ignored: the state stays
			if broken := brokenRules(l); len(broken) > 0 {
				t.Fatalf("%s: %v", e.Type, broken)
			}
		}
		b, err := machine.Append(nil, l.state)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := machine.Decode(b); err != nil || !reflect.DeepEqual(got, l.state) {
			t.Fatalf("decoded %+v (%v), want %+v", got, err, l.state)
		}
	})
}

func TestPlantedBugShows(t *testing.T) {
	planted.Plant(t, planted.RefundAmountRecomputed)
	if len(brokenRules(newLife(append(slices.Clone(charging), callback(wire.PaymentPaid), reimburse())...))) == 0 {
		t.Error("no rule notices that the refund is not what was charged")
	}
}

// TestToldAgain: who asks is told again all that was told, under the same names and with the same words: a broker may
// have lost it for good.
func TestToldAgain(t *testing.T) {
	l := newLife(append(slices.Clone(charging), callback(wire.PaymentPaid), reimburse(), callback(wire.Reimbursed))...)
	told := l.told()
	_, effects, err := machine.Step(l.state, event(payment.EventAsk, nil))
	if err != nil {
		t.Fatal(err)
	}
	var again []wire.Status
	for _, f := range effects {
		if f.Kind != durable.KindMessage {
			continue
		}
		i := slices.IndexFunc(l.ever, func(t durable.Effect) bool { return t.Name == f.Name && string(t.Body) == string(f.Body) })
		if i < 0 {
			t.Errorf("%s says %s, which was not said before", f.Name, f.Body)
		}
		again = append(again, wire.Status(strings.TrimPrefix(f.Name, "report:")))
	}
	if !slices.Equal(again, told) || len(told) == 0 {
		t.Errorf("told %v again, want %v", again, told)
	}
}
