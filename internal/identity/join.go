package identity

import (
	"fmt"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Joining is how far an account is on its way to being a customer.
type Joining string

// The ways.
const (
	NotJoining Joining = ""
	Asked      Joining = "asked"      // the customer service's answer is out
	Joined     Joining = "joined"     // it is one
	Declined   Joining = "declined"   // the customer service said no
	Unanswered Joining = "unanswered" // it said nothing in time
)

// JoinLimit is how long the customer service may take to answer, by the clock.
const JoinLimit = 15 * time.Minute

// Reasons why an account is no customer.
const (
	ReasonTaken  = "this e-mail address belongs to a customer already; ask the operator for access"
	ReasonSilent = "the customer service did not answer in time; sign up again"
)

// Join is what makes a customer. It is passed on and not kept.
type Join struct {
	Name         string       `json:"name"`
	Address      wire.Address `json:"address"`
	PaymentToken string       `json:"payment_token"`
	MaskedCard   string       `json:"masked_card,omitempty"`
}

// Customer is the body of POST /v1/customers.
type Customer struct {
	ID           string       `json:"id"`
	Email        string       `json:"email"`
	Name         string       `json:"name"`
	Address      wire.Address `json:"address"`
	PaymentToken string       `json:"payment_token"`
	MaskedCard   string       `json:"masked_card,omitempty"`
}

// Names of what an account owes.
const (
	register = "register" // a customer of the account's id
	look     = "look"     // whether there is one
)

func (x *accountStep) join(j Join) error {
	switch {
	case x.Disabled:
		return durable.Refuse(durable.Conflict, "the account is disabled")
	case x.Customer != "" || x.Joining == Joined:
		return durable.Refuse(durable.Conflict, "the account is a customer's already")
	case x.Joining == Asked:
		return durable.ErrIgnored
	}
	if x.Name == "" {
		x.Name = j.Name
	}
	x.Joining, x.Reason = Asked, ""
	x.Asks++
	x.effects = append(x.effects, durable.Command(register, wire.CustomerService, "POST /v1/customers", Customer{
		ID: x.ID, Email: x.Email, Name: j.Name, Address: j.Address, PaymentToken: j.PaymentToken, MaskedCard: j.MaskedCard,
	}, x.at.Add(JoinLimit)))
	return nil
}

// answer takes what the customer service said.
func (x *accountStep) answer(e durable.Event) error {
	switch e.Type {
	case register + durable.Done, look + durable.Done:
		return x.joined()
	case register + durable.Refused:
		return into(e, x.declined)
	case look + durable.Refused:
		return into(e, func(durable.Rejection) error { return x.unjoined(Declined, ReasonTaken) })
	case register + durable.GaveUp, look + durable.GaveUp:
		return x.unjoined(Unanswered, ReasonSilent)
	}
	return fmt.Errorf("an account does not know the event %s", e.Type)
}

func (x *accountStep) joined() error {
	if x.Joining != Asked {
		return durable.ErrIgnored
	}
	x.Joining, x.Reason = Joined, ""
	if x.Customer == "" { // an operator may have been faster
		x.Customer = x.ID
	}
	if !slices.Contains(x.Roles, auth.Customer) {
		x.Roles = append(slices.Clip(x.Roles), auth.Customer)
	}
	return nil
}

func (x *accountStep) declined(r durable.Rejection) error {
	switch {
	case x.Joining != Asked:
		return durable.ErrIgnored
	case r.Status != 409:
		return x.unjoined(Declined, "the customer service refused: "+r.Detail)
	case x.Asks > 1: // an earlier one of ours may have come through
		x.effects = append(x.effects, durable.Command(look, wire.CustomerService, "GET /v1/customers/"+x.ID, nil, x.at.Add(JoinLimit)))
		return nil
	}
	return x.unjoined(Declined, ReasonTaken)
}

func (x *accountStep) unjoined(how Joining, why string) error {
	if x.Joining != Asked {
		return durable.ErrIgnored
	}
	x.Joining, x.Reason = how, why
	return nil
}
