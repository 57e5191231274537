package order

import (
	"slices"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// Edge is one legal transition and who brings it about.
type Edge struct {
	From, To wire.Status
	By       string
}

// Graph is every legal transition of an order. The diagram in docs/ is drawn from it.
var Graph = []Edge{
	{wire.Created, wire.PaymentPaid, "payment"},
	{wire.Created, wire.PaymentFailed, "payment"},
	{wire.PaymentPaid, wire.DeliveryScheduled, "delivery"},
	{wire.DeliveryScheduled, wire.DriverAvailable, "delivery"},
	{wire.DriverAvailable, wire.CookingScheduled, "kitchen"},
	{wire.CookingScheduled, wire.CookingMeal, "kitchen"},
	{wire.CookingMeal, wire.CookingDone, "kitchen"},
	{wire.CookingDone, wire.PickedUp, "kitchen"},
	{wire.PickedUp, wire.InTransit, "delivery"},
	{wire.InTransit, wire.Delivered, "delivery"},
	{wire.Created, wire.OrderCancelled, "customer or system"},
	{wire.PaymentPaid, wire.OrderCancelled, "customer or system"},
	{wire.DeliveryScheduled, wire.OrderCancelled, "customer or system"},
	{wire.DriverAvailable, wire.OrderCancelled, "system or operator"},
	{wire.CookingScheduled, wire.OrderCancelled, "system or operator"},
	{wire.CookingMeal, wire.OrderCancelled, "system or operator"},
	{wire.CookingDone, wire.OrderCancelled, "system or operator"},
	{wire.OrderCancelled, wire.Reimbursed, "payment"},
}

// path is the way of an order that goes well.
var path = []wire.Status{
	wire.Created, wire.PaymentPaid, wire.DeliveryScheduled, wire.DriverAvailable, wire.CookingScheduled,
	wire.CookingMeal, wire.CookingDone, wire.PickedUp, wire.InTransit, wire.Delivered,
}

// CanFollow says whether the graph has the edge.
func CanFollow(from, to wire.Status) bool {
	return slices.ContainsFunc(Graph, func(e Edge) bool { return e.From == from && e.To == to })
}

// implied is the status that the given one proves to have happened though its own news has not come: a committed
// driver was scheduled, a kitchen at work was asked.
var implied = map[wire.Status]wire.Status{
	wire.DriverAvailable: wire.DeliveryScheduled,
	wire.CookingMeal:     wire.CookingScheduled,
	wire.CookingDone:     wire.CookingScheduled,
	wire.PickedUp:        wire.CookingScheduled,
}

// before says whether a comes earlier than b on the path. Statuses beside the path are before nothing.
func before(a, b wire.Status) bool {
	i, j := slices.Index(path, a), slices.Index(path, b)
	return i >= 0 && j >= 0 && i < j
}

// sender is the service that reports a status.
func sender(s wire.Status) string {
	for _, e := range Graph {
		if e.To == s {
			return e.By
		}
	}
	return "order"
}
