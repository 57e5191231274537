// Package auth says who makes a request and what that one may do. It holds no secret store and speaks to nobody: the
// identity service knows accounts and keys, the gateway finds out who a caller is, and every service asks this
// package again whether the caller may.
//
// What it promises:
//
//   - A route that names no roles cannot be registered (see httpapi.Register), and nobody's request reaches one that
//     is not for everyone.
//   - Keys are kept as digests and compared in constant time; no error and no log line repeats a credential.
//   - What a request says of its own caller is believed only from a key that may speak for others: the gateway's.
package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Role is what a caller is to the business. A caller may have several.
type Role string

// The roles. People have the first four, the services and the outside companies one each.
const (
	Customer Role = "customer" // orders, for the one customer that the caller is
	Kitchen  Role = "kitchen"  // cooks, for the restaurants that the caller works for
	Courier  Role = "courier"  // drives, as the one courier that the caller is
	Operator Role = "operator" // runs the business
	Service  Role = "service"  // one of our services
	Partner  Role = "partner"  // an outside company, calling back
)

// Roles are all of them.
var Roles = []Role{Customer, Kitchen, Courier, Operator, Service, Partner}

// People are the roles that an account may have.
var People = []Role{Customer, Kitchen, Courier, Operator}

// Caller is who makes a request. The zero value is nobody.
type Caller struct {
	Subject     string   `json:"sub"` // account:ID, key:ID or service:NAME; empty: nobody
	Roles       []Role   `json:"roles"`
	Customer    string   `json:"customer,omitempty"`    // of the role customer: who that is
	Restaurants []string `json:"restaurants,omitempty"` // of the role kitchen: where
	Courier     string   `json:"courier,omitempty"`     // of the role courier: who that is to the transport company
	Company     string   `json:"company,omitempty"`     // of the role partner: card, transport or restaurant
	ReadOnly    bool     `json:"read_only,omitempty"`   // reads only, whatever the role
}

// Nobody says whether the caller showed nothing.
func (c Caller) Nobody() bool { return c.Subject == "" }

// Is says whether the caller has the role.
func (c Caller) Is(r Role) bool { return slices.Contains(c.Roles, r) }

// Staff says whether the caller may touch what is anybody's: an operator, or one of our services.
func (c Caller) Staff() bool { return c.Is(Operator) || c.Is(Service) }

// Acts says whether the caller may act for a customer.
func (c Caller) Acts(customer string) bool {
	return c.Staff() || c.Is(Customer) && c.Customer != "" && c.Customer == customer
}

// Cooks says whether the caller may act for a restaurant.
func (c Caller) Cooks(restaurant string) bool {
	return c.Staff() || c.Is(Kitchen) && restaurant != "" && slices.Contains(c.Restaurants, restaurant)
}

// Drives says whether the caller may act for a courier.
func (c Caller) Drives(courier string) bool {
	return c.Staff() || c.Is(Courier) && c.Courier != "" && c.Courier == courier
}

// Speaks says whether the caller may bring an outside company's news.
func (c Caller) Speaks(company string) bool { return c.Is(Partner) && c.Company == company }

// InService is one of our services as a caller.
func InService(name string) Caller { return Caller{Subject: "service:" + name, Roles: []Role{Service}} }

// Root may do everything: tests, and a development system that was told to trust whoever reaches it.
var Root = Caller{Subject: "root", Roles: []Role{Operator, Service}}

type callerKey struct{}

// With gives a context its caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From is the caller of a request; nobody where none was found out.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// Header carries the caller from the gateway to a service. From anybody else it is not looked at.
const Header = "Tiffin-Caller"

// maxHeader bounds what is decoded, in bytes.
const maxHeader = 4 << 10

// Encode is the value of the header.
func (c Caller) Encode() string {
	b, err := json.Marshal(c)
	if err != nil { // plain strings
		panic(err)
	}
	return string(b)
}

// Decode reads the value of the header. Unknown roles and fields are refused: an older service must not take a newer
// restriction for none.
func Decode(s string) (Caller, error) {
	var c Caller
	if len(s) > maxHeader {
		return c, errors.New("the caller is too long")
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil || d.More() {
		return Caller{}, errors.New("the caller cannot be read")
	}
	for _, r := range c.Roles {
		if !slices.Contains(Roles, r) {
			return Caller{}, fmt.Errorf("the caller has the unknown role %.20q", r)
		}
	}
	return c, nil
}
