package identity

import (
	"errors"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Login says whose account an e-mail address signs in. It never changes: an address is claimed once.
type Login struct {
	Account string `json:"account"`
}

// LoginMachine is the login's pure core.
type LoginMachine struct{ durable.JSON[Login] }

// EventClaim begins a login; the body is a Login. Where it is begun already nothing changes: the claimer sees whose
// it is.
const EventClaim = "claim"

// Step applies an event to a login.
func (LoginMachine) Step(s Login, e durable.Event) (Login, []durable.Effect, error) {
	if e.Type != EventClaim {
		return s, nil, fmt.Errorf("a login does not know the event %s", e.Type)
	}
	if s.Account != "" {
		return s, nil, durable.ErrIgnored
	}
	err := into(e, func(n Login) error {
		if n.Account == "" {
			return errors.New("a login of no account")
		}
		s = n
		return nil
	})
	return s, nil, err
}
