package customer

import (
	"fmt"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// State is a customer.
type State struct {
	ID      string       `json:"id"`
	Email   string       `json:"email"`
	Name    string       `json:"name"`
	Address wire.Address `json:"address"`
	Token   string       `json:"payment_token"` // what the card company knows the card by
	Masked  string       `json:"masked_card"`   // for a person to recognise it: the last four digits at most
}

// Machine is the customer's pure core.
type Machine struct{ durable.JSON[State] }

// EventRegister begins a customer; the body is a State.
const EventRegister = "register"

// Step applies an event to a customer.
func (Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	if e.Type != EventRegister {
		return s, nil, fmt.Errorf("a customer does not know the event %s", e.Type)
	}
	if s.ID != "" {
		return s, nil, durable.Refuse(durable.Conflict, "a customer with this e-mail address exists already")
	}
	var n State
	if err := e.Into(&n); err != nil {
		return s, nil, err
	}
	return n, nil, nil
}

// Billing is how the customer pays.
func (s State) Billing() wire.BillingInfo {
	return wire.BillingInfo{
		Name: s.Name, Address: s.Address.Street + ", " + s.Address.Zipcode + " " + s.Address.City,
		CardNumber: s.Masked, Token: s.Token,
	}
}
