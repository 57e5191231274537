package identity

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
)

// Account is a person who may sign in.
type Account struct {
	ID          string      `json:"id"`
	Email       string      `json:"email"`              // as NormalEmail has it
	Password    string      `json:"password,omitempty"` // a PHC string of argon2id; empty: signs in elsewhere
	Subject     string      `json:"subject,omitempty"`  // where, and who it is there: issuer|subject
	Name        string      `json:"name,omitempty"`
	Roles       []auth.Role `json:"roles,omitempty"`
	Customer    string      `json:"customer,omitempty"`
	Restaurants []string    `json:"restaurants,omitempty"`
	Courier     string      `json:"courier,omitempty"`
	Disabled    bool        `json:"disabled,omitempty"`
	Epoch       int         `json:"epoch"` // sessions of an earlier one are void
	Joining     Joining     `json:"joining,omitempty"`
	Asks        int         `json:"asks,omitempty"`   // how often the customer service was asked
	Reason      string      `json:"reason,omitempty"` // why it is no customer
	Created     time.Time   `json:"created"`
}

// AccountMachine is the account's pure core.
type AccountMachine struct{ durable.JSON[Account] }

// Events of an account from outside.
const (
	EventSignUp   = "signUp"   // body SignUp: begins it
	EventRegister = "register" // body Account: begins it, by an operator's word
	EventMeet     = "meet"     // body Meet: begins it, by another company's word
	EventJoin     = "join"     // body Join
	EventChange   = "change"   // body Change
	EventPassword = "password" // body Password
	EventRehash   = "rehash"   // body Password: the same password, kept better
)

// SignUp begins an account that wants to be a customer's.
type SignUp struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Password string `json:"password"` // a PHC string
	Join
}

// Meet begins an account that signs in elsewhere, or finds it again.
type Meet struct {
	ID      string `json:"id"`
	Email   string `json:"email"`
	Name    string `json:"name,omitempty"`
	Subject string `json:"subject"`
}

// Change is an operator's; what is nil stays as it is.
type Change struct {
	By          string      `json:"by"` // who changes it: a caller's subject
	Roles       []auth.Role `json:"roles,omitzero"`
	Restaurants []string    `json:"restaurants,omitzero"`
	Courier     *string     `json:"courier,omitempty"`
	Customer    *string     `json:"customer,omitempty"`
	Disabled    *bool       `json:"disabled,omitempty"`
}

// Password replaces a password that was checked against Old. Both are PHC strings.
type Password struct {
	Old string `json:"old"`
	New string `json:"new"`
}

const taken = "an account with this e-mail address exists already"

type accountStep struct {
	Account
	at      time.Time
	effects []durable.Effect
}

// Step applies an event to an account. See the package comment for the order of things.
func (AccountMachine) Step(s Account, e durable.Event) (Account, []durable.Effect, error) {
	x := &accountStep{Account: s, at: e.At}
	if err := x.apply(e); err != nil {
		return s, nil, err
	}
	return x.Account, x.effects, nil
}

func (x *accountStep) apply(e durable.Event) error {
	switch e.Type {
	case EventSignUp:
		return into(e, x.signUp)
	case EventRegister:
		return into(e, x.register)
	case EventMeet:
		return into(e, x.meet)
	}
	if x.ID == "" {
		return durable.Refuse(durable.NotFound, "no such account")
	}
	switch e.Type {
	case EventJoin:
		return into(e, x.join)
	case EventChange:
		return into(e, x.change)
	case EventPassword:
		return into(e, x.password)
	case EventRehash:
		return into(e, x.rehash)
	}
	return x.answer(e)
}

// into gives the event's body to the step that understands it.
func into[B any](e durable.Event, step func(B) error) error {
	var b B
	if err := e.Into(&b); err != nil {
		return err
	}
	return step(b)
}

func (x *accountStep) signUp(n SignUp) error {
	if x.ID != "" {
		return durable.Refuse(durable.Conflict, taken)
	}
	if n.Password == "" {
		return fmt.Errorf("account %s: signed up without a password", n.ID)
	}
	x.Account = Account{ID: n.ID, Email: n.Email, Password: n.Password, Created: x.at}
	return x.join(n.Join)
}

func (x *accountStep) register(n Account) error {
	if x.ID != "" {
		return durable.Refuse(durable.Conflict, taken)
	}
	n.Epoch, n.Joining, n.Asks, n.Reason, n.Created = 0, "", 0, "", x.at
	if err := n.check(); err != nil {
		return err
	}
	x.Account = n
	return nil
}

func (x *accountStep) meet(n Meet) error {
	switch {
	case x.ID == "":
		x.Account = Account{ID: n.ID, Email: n.Email, Name: n.Name, Subject: n.Subject, Created: x.at}
		return nil
	case x.Subject == n.Subject:
		return durable.ErrIgnored // found again
	}
	return durable.Refuse(durable.Conflict, taken+"; sign in to it as before")
}

func (x *accountStep) change(c Change) error {
	n := x.Account
	if c.Roles != nil {
		n.Roles = c.Roles
	}
	if c.Restaurants != nil {
		n.Restaurants = c.Restaurants
	}
	if c.Courier != nil {
		n.Courier = *c.Courier
	}
	if c.Customer != nil {
		n.Customer = *c.Customer
	}
	if c.Disabled != nil {
		n.Disabled = *c.Disabled
	}
	if c.By == CallerOf(x.ID) {
		switch {
		case slices.Contains(x.Roles, auth.Operator) && !slices.Contains(n.Roles, auth.Operator):
			return durable.Refuse(durable.Conflict, "an operator cannot take the role from himself; another one can")
		case n.Disabled && !x.Disabled:
			return durable.Refuse(durable.Conflict, "an account cannot disable itself; another operator can")
		}
	}
	if err := n.check(); err != nil {
		return err
	}
	if slices.Equal(n.Roles, x.Roles) && slices.Equal(n.Restaurants, x.Restaurants) && n.Courier == x.Courier &&
		n.Customer == x.Customer && n.Disabled == x.Disabled {
		return durable.ErrIgnored
	}
	n.Epoch++
	x.Account = n
	return nil
}

func (x *accountStep) password(p Password) error {
	if x.Password == "" {
		return durable.Refuse(durable.Conflict, "the account has no password: it signs in elsewhere")
	}
	if x.Password != p.Old {
		return durable.Refuse(durable.Conflict, "the password was changed meanwhile")
	}
	x.Password = p.New
	x.Epoch++
	return nil
}

func (x *accountStep) rehash(p Password) error {
	if x.Password == "" || x.Password != p.Old || p.New == "" {
		return durable.ErrIgnored
	}
	x.Password = p.New
	return nil
}

// check says what is wrong with an account's rights.
func (a Account) check() error {
	for i, r := range a.Roles {
		if !slices.Contains(auth.People, r) {
			return &durable.Refusal{Code: durable.Invalid, Field: fmt.Sprintf("body.roles[%d]", i), Detail: "not a role of an account"}
		}
		if slices.Contains(a.Roles[:i], r) {
			return &durable.Refusal{Code: durable.Invalid, Field: fmt.Sprintf("body.roles[%d]", i), Detail: "named twice"}
		}
	}
	for _, need := range []struct {
		role  auth.Role
		has   bool
		field string
	}{
		{auth.Customer, a.Customer != "", "body.customer"},
		{auth.Kitchen, len(a.Restaurants) > 0, "body.restaurants"},
		{auth.Courier, a.Courier != "", "body.courier"},
	} {
		if slices.Contains(a.Roles, need.role) && !need.has {
			return &durable.Refusal{Code: durable.Invalid, Field: need.field, Detail: "the role " + string(need.role) + " needs it"}
		}
	}
	return nil
}

// Caller is who shows that he is the account's owner.
func (a Account) Caller() auth.Caller {
	return auth.Caller{
		Subject: CallerOf(a.ID), Roles: a.Roles, Customer: a.Customer, Restaurants: a.Restaurants, Courier: a.Courier,
	}
}

const callerPrefix = "account:"

// CallerOf is an account as the subject of a caller.
func CallerOf(id string) string { return callerPrefix + id }

// AccountOf is the account of a caller, none where a program calls.
func AccountOf(c auth.Caller) (id string, ok bool) {
	id, ok = strings.CutPrefix(c.Subject, callerPrefix)
	return id, ok && id != ""
}

// NormalEmail is the address as it is kept and compared: trimmed, in lower case. ok is false where it is none: a name
// before it, spaces, more than one @, or more than 254 bytes.
func NormalEmail(s string) (email string, ok bool) {
	email = strings.ToLower(strings.TrimSpace(s))
	local, domain, found := strings.Cut(email, "@")
	if !found || local == "" || domain == "" || len(local) > 64 || len(email) > 254 {
		return "", false
	}
	for _, r := range email {
		if r <= ' ' || r == 0x7f || r == 0xfffd || strings.ContainsRune(`<>()[]\,;:"`, r) {
			return "", false
		}
	}
	return email, !strings.Contains(domain, "@")
}
