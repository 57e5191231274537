package customer_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/tiffin-food/tiffin/internal/customer"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

var ada = customer.State{
	ID: "c1", Email: "ada@example.com", Name: "Ada Lovelace", Token: "tok_ok", Masked: "************4242",
	Address: wire.Address{Name: "Ada Lovelace", Street: "12 St James's Square", Zipcode: "SW1Y 4JH", City: "London"},
}

func TestStep(t *testing.T) {
	body, err := json.Marshal(ada)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		before  customer.State
		event   durable.Event
		want    customer.State
		refused durable.Code
		fails   bool
	}{
		{"registered", customer.State{}, durable.Event{Type: customer.EventRegister, Body: body}, ada, "", false},
		{"the address is taken", ada, durable.Event{Type: customer.EventRegister, Body: body}, ada, durable.Conflict, false},
		{"no JSON", customer.State{}, durable.Event{Type: customer.EventRegister, Body: []byte("{")}, customer.State{}, "", true},
		{"unknown event", ada, durable.Event{Type: "move"}, ada, "", true},
	}
	for _, tt := range tests {
		got, effects, err := customer.Machine{}.Step(tt.before, tt.event)
		if !reflect.DeepEqual(got, tt.want) || len(effects) > 0 {
			t.Errorf("%s: %+v, owes %v", tt.name, got, effects)
		}
		var refusal *durable.Refusal
		switch {
		case tt.refused != "":
			if !errors.As(err, &refusal) || refusal.Code != tt.refused {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.refused)
			}
		case (err != nil) != tt.fails:
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestBilling: the card is a token beside a masked number; there is no CVV to give away.
func TestBilling(t *testing.T) {
	want := wire.BillingInfo{
		Name: "Ada Lovelace", Address: "12 St James's Square, SW1Y 4JH London", CardNumber: "************4242", Token: "tok_ok",
	}
	if got := ada.Billing(); got != want {
		t.Errorf("%+v", got)
	}
}
