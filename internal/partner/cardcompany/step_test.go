package cardcompany

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func eventOf(t *testing.T, kind string, after time.Duration, body any) durable.Event {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return durable.Event{Type: kind, At: noon.Add(after), Body: b}
}

// code is what a Step's error comes to.
func code(err error) string {
	if r, ok := errors.AsType[*durable.Refusal](err); ok {
		return string(r.Code)
	}
	if errors.Is(err, durable.ErrIgnored) {
		return "ignored"
	}
	if err != nil {
		return "error"
	}
	return ""
}

func TestStep(t *testing.T) {
	m := Machine{Terms: DefaultTerms()}
	first := Charge{CallerID: "o", Amount: 1295, Currency: "EUR", Token: "tok_secret"}
	charged, effects, err := m.Step(State{}, eventOf(t, EventCharge, 0, first))
	if err != nil || len(effects) != 1 {
		t.Fatal(charged, effects, err)
	}
	wait := charged.Decided.Sub(noon)
	if wait < 5*time.Second || wait > 20*time.Second || !effects[0].Due.Equal(charged.Decided) {
		t.Fatalf("decided after %v, told at %v", wait, effects[0].Due)
	}
	stored, err := m.Append(nil, charged)
	if err != nil || strings.Contains(string(stored), first.Token) || strings.Contains(string(effects[0].Body), first.Token) {
		t.Fatalf("the token is kept: %s, %s, %v", stored, effects[0].Body, err)
	}
	refunded, _, err := m.Step(charged, eventOf(t, EventRefund, time.Minute, wire.RefundRequest{TransactionID: charged.Trans, Amount: 1295, Currency: "EUR"}))
	if err != nil {
		t.Fatal(err)
	}
	declined, _, _ := m.Step(State{}, eventOf(t, EventCharge, 0, Charge{CallerID: "o", Amount: 1295, Currency: "EUR", Token: TokenDeclined}))
	mute, _, _ := m.Step(State{}, eventOf(t, EventCharge, 0, Charge{CallerID: "o", Amount: 1295, Currency: "EUR", Token: TokenMute}))

	refund := func(trans string, amount wire.Decimal, currency string) wire.RefundRequest {
		return wire.RefundRequest{TransactionID: trans, Amount: amount, Currency: currency}
	}
	for _, c := range []struct {
		name  string
		state State
		kind  string
		after time.Duration
		body  any
		want  string
	}{
		{"the same charge again", charged, EventCharge, 0, first, "ignored"},
		{"with another amount", charged, EventCharge, 0, Charge{CallerID: "o", Amount: 1296, Currency: "EUR"}, "invalid"},
		{"in another currency", charged, EventCharge, 0, Charge{CallerID: "o", Amount: 1295, Currency: "USD"}, "invalid"},
		{"a refund of nothing", State{}, EventRefund, 0, refund("", 1, "EUR"), "not found"},
		{"before the decision", charged, EventRefund, wait - 1, refund(charged.Trans, 1, "EUR"), "conflict"},
		{"with the decision", charged, EventRefund, wait, refund(charged.Trans, 1, "EUR"), ""},
		{"of a declined charge", declined, EventRefund, time.Minute, refund(declined.Trans, 1, "EUR"), "conflict"},
		{"of one never decided", mute, EventRefund, time.Hour, refund(mute.Trans, 1, "EUR"), "conflict"},
		{"of another transaction", charged, EventRefund, time.Minute, refund("x", 1, "EUR"), "invalid"},
		{"of more than was charged", charged, EventRefund, time.Minute, refund(charged.Trans, 1296, "EUR"), "invalid"},
		{"of nothing", charged, EventRefund, time.Minute, refund(charged.Trans, 0, "EUR"), "invalid"},
		{"of less than nothing", charged, EventRefund, time.Minute, refund(charged.Trans, -1, "EUR"), "invalid"},
		{"in another currency", charged, EventRefund, time.Minute, refund(charged.Trans, 1, "USD"), "invalid"},
		{"the same refund again", refunded, EventRefund, time.Hour, refund(charged.Trans, 1295, "EUR"), "ignored"},
		{"another refund", refunded, EventRefund, time.Hour, refund(charged.Trans, 1, "EUR"), "invalid"},
		{"the callback was heard", charged, report + durable.Done, time.Minute, nil, ""},
		{"or refused", charged, report + durable.Refused, time.Minute, nil, "ignored"},
		{"a body that is none", charged, EventCharge, 0, "charge", "error"},
		{"an event unknown", charged, "surprise", 0, nil, "error"},
	} {
		if _, _, err := m.Step(c.state, eventOf(t, c.kind, c.after, c.body)); code(err) != c.want {
			t.Errorf("%s: %q (%v), want %q", c.name, code(err), err, c.want)
		}
	}
}
