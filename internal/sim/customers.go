package sim

import (
	"fmt"
	"strings"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// customers is the customer service as a model: who is known can be billed and has an address. Some cannot.
type customers struct {
	w       *world
	billing []byte
	address []byte
	unknown map[string]string // customer to what is not known of him: "billing" or "address"
}

func newCustomers(w *world) *customers {
	return &customers{
		w: w, unknown: map[string]string{},
		// The amount differs from every order's: what is charged is the order's.
		billing: marshal(wire.Billing{Amount: 99999, BillingInfo: wire.BillingInfo{Name: "A Customer", CardNumber: "**** 4242", Token: "tok"}}),
		address: marshal(wire.Address{Name: "A Customer", Street: "Street 1", Zipcode: "1000", City: "City"}),
	}
}

// arrive is a new customer.
func (c *customers) arrive(n int) string {
	id := fmt.Sprintf("0190c000-0000-7000-8000-%012d", n)
	if c.w.habit(Refusals) && c.w.oneIn(2) {
		c.unknown[id] = []string{"billing", "address"}[c.w.rng.IntN(2)]
	}
	return id
}

func (c *customers) serve(op string) answer {
	if c.w.fault(StoreBusy) {
		return refuse(503, "busy")
	}
	what, body, status := "billing", c.billing, 201
	if strings.HasSuffix(op, "/address") {
		what, body, status = "address", c.address, 200
	}
	_, path, _ := strings.Cut(op, " ")
	id, _ := cut(path, "/v1/customers/", "/"+what)
	if c.unknown[id] == what {
		return refuse(404, "no such customer")
	}
	return answer{status: status, body: body}
}
