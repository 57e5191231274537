package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Coverage counts what happened in a run.
type Coverage struct {
	Faults  [faultCount]int
	Edges   []int          // of order.Graph
	Sent    map[string]int // effects carried out, by service and name
	Retried map[string]int // effects carried out again
	Seen    map[string]int // everything else
}

func newCoverage() *Coverage {
	return &Coverage{Edges: make([]int, len(order.Graph)), Sent: map[string]int{}, Retried: map[string]int{}, Seen: map[string]int{}}
}

func (c *Coverage) fault(f Fault)       { c.Faults[f]++ }
func (c *Coverage) hit(what string)     { c.Seen[what]++ }
func (c *Coverage) sent(s, name string) { c.Sent[s+"."+name]++ }
func (c *Coverage) retried(s, name string) {
	c.Retried[s+"."+name]++
}

// edge counts a transition and says whether the graph has it.
func (c *Coverage) edge(from, to wire.Status) bool {
	for k, e := range order.Graph {
		if e.From == from && e.To == to {
			c.Edges[k]++
			return true
		}
	}
	return false
}

func (c *Coverage) add(o *Coverage) {
	for f := range o.Faults {
		c.Faults[f] += o.Faults[f]
	}
	for k := range o.Edges {
		c.Edges[k] += o.Edges[k]
	}
	for _, m := range [][2]map[string]int{{c.Sent, o.Sent}, {c.Retried, o.Retried}, {c.Seen, o.Seen}} {
		for k, n := range m[1] {
			m[0][k] += n
		}
	}
}

// effects are all that the services can owe to others.
var effects = []string{
	"order.pay", "order.address", "order.deliver", "order.cancelDelivery", "order.cook", "order.refund",
	"order.releaseDriver", "order.releaseKitchen", "order.ask:delivery", "order.ask:kitchen",
	"payment.bill", "payment.charge", "payment.refund", "payment.askCard",
	"payment.report:paymentPaid", "payment.report:paymentFailed", "payment.report:reimbursed", "payment.report:orderCancelled",
	"delivery.request", "delivery.withdraw", "delivery.release", "delivery.askStatus",
	"delivery.report:driverAvailable", "delivery.report:inTransit", "delivery.report:delivered", "delivery.report:orderCancelled",
	"kitchen.request", "kitchen.release", "kitchen.askStatus",
	"kitchen.report:cookingMeal", "kitchen.report:cookingDone", "kitchen.report:pickedUp", "kitchen.report:orderCancelled",
}

// sometimes are things that a run must have seen beside faults, edges and effects.
var sometimes = []string{
	"end: delivered", "end: reimbursed", "end: orderCancelled", "end: paymentFailed",
	"a driver won against a cancel", "a cancel won against a driver",
	"cancel: cancelled", "cancel: too late", "cancel: answer still out",
	"cancelled: cancelled by the customer", "cancelled: cancelled by the operator",
	"cancelled: no answer from the card company within ", "cancelled: no driver within ",
	"cancelled: no answer from the restaurant within ", "cancelled: the transport company refused",
	"cancelled: the restaurant refused", "cancelled: the customer cannot be billed",
	"cancelled: the customer's address was refused",
	"a limit came late", "repeat: the same answer", "repeat: another body under the key", "repeat: the key of a deleted order",
	"deleted", "delete: not finished",
	"message absorbed", "message repeated", "message brought back", "dead letter",
	"poison: bad JSON", "poison: an unknown status", "poison: an unknown order", "poison: missing metadata", "poison: 64 KiB",
	"claimed a record",
	"crash before a load", "crash before a save", "crash after a save", "crash before a send", "crash after a send",
	"crash before a result is noted", "crash before an answer", "crash after an answer", "crash before an acknowledgement",
}

// missing are the things that did not happen and should have.
func (c *Coverage) missing() []string {
	var m []string
	for f, n := range c.Faults {
		if n == 0 && All.Has(Fault(f)) {
			m = append(m, "fault "+Fault(f).String())
		}
	}
	for k, n := range c.Edges {
		if n == 0 {
			m = append(m, fmt.Sprintf("edge %s → %s", order.Graph[k].From, order.Graph[k].To))
		}
	}
	for _, e := range effects {
		if c.Retried[e] == 0 {
			m = append(m, "retry of "+e)
		}
	}
	for _, s := range sometimes {
		if c.Seen[s] == 0 {
			m = append(m, s)
		}
	}
	return m
}

// String tells the counts, a line each, in a fixed order.
func (c *Coverage) String() string {
	var out strings.Builder
	for f, n := range c.Faults {
		fmt.Fprintf(&out, "fault %-40s %12d\n", Fault(f), n)
	}
	for k, n := range c.Edges {
		fmt.Fprintf(&out, "edge  %-40s %12d\n", order.Graph[k].From+" → "+order.Graph[k].To, n)
	}
	for _, k := range slices.Sorted(maps.Keys(c.Sent)) {
		fmt.Fprintf(&out, "sent  %-40s %12d, again %d\n", k, c.Sent[k], c.Retried[k])
	}
	for _, k := range slices.Sorted(maps.Keys(c.Seen)) {
		fmt.Fprintf(&out, "seen  %-40s %12d\n", k, c.Seen[k])
	}
	return out.String()
}
