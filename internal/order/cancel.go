package order

import (
	"errors"
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// cancel takes a customer's or an operator's wish.
func (x *step) cancel(c Cancel) error {
	by := "customer"
	if c.Operator {
		by = "operator"
	}
	reason := "cancelled by the " + by
	if c.Reason != "" {
		reason += ": " + c.Reason
	}
	switch {
	case x.Status == wire.OrderCancelled || x.Status == wire.Reimbursed || x.CancelAsked:
		return durable.ErrIgnored
	case planted.Is(planted.CancelAfterDriverAvailable) && CanFollow(x.Status, wire.OrderCancelled):
		return x.end(reason)
	case before(x.Status, wire.DriverAvailable):
		x.note(x.at, by, wire.OrderService, "cancel")
		return x.withdraw(reason)
	case c.Operator && CanFollow(x.Status, wire.OrderCancelled):
		x.note(x.at, by, wire.OrderService, "cancel")
		return x.end(reason)
	case x.Status == wire.PaymentFailed || x.Status == wire.Delivered:
		return durable.Refuse(durable.Conflict, "the order is finished: %s", x.Status)
	default:
		return durable.Refuse(durable.Conflict, "too late: a driver is committed and the order is %s", x.Status)
	}
}

// withdraw cancels an order for which no driver is known to be committed. Where delivery may have one, it decides.
func (x *step) withdraw(reason string) error {
	if planted.Is(planted.RefundBeforeCancelCheck) {
		x.settleMoney()
	}
	if x.DeliveryID != "" || x.DeliveryAsked {
		if x.CancelAsked {
			return durable.ErrIgnored
		}
		x.CancelAsked, x.CancelReason = true, reason
		if x.Status == wire.DeliveryScheduled && x.DeliveryID != "" {
			x.askDeliveryToCancel()
		} // else the result of POST /v1/deliveries comes first: it names the delivery
		return nil
	}
	return x.end(reason)
}

func (x *step) askDeliveryToCancel() {
	x.owe(durable.Command(cancelDelivery, wire.DeliveryService, "POST /v1/deliveries/"+x.DeliveryID+"/cancel", nil, time.Time{}))
}

func (x *step) cancelWon() error {
	if x.Status == wire.OrderCancelled || x.Status == wire.Reimbursed {
		return durable.ErrIgnored // the company's refusal came first
	}
	if x.Status != wire.DeliveryScheduled {
		return fmt.Errorf("delivery cancelled an order that is %s", x.Status)
	}
	x.said(wire.DeliveryService, "POST /v1/deliveries/{id}/cancel")
	return x.end(x.CancelReason)
}

func (x *step) cancelLost() error {
	if !x.CancelAsked {
		return durable.ErrIgnored
	}
	x.note(x.at, wire.DeliveryService, wire.OrderService, "409: a driver is committed")
	x.CancelAsked, x.CancelReason = false, ""
	if before(x.Status, wire.DriverAvailable) { // its news is on the way; should it be lost, the limit counts again
		x.owe(durable.Timer(driverLimit, x.at.Add(x.limits.Driver)))
	}
	return nil
}

// end cancels the order now, gives back what was taken and lets go whoever works for it.
func (x *step) end(reason string) error {
	if !CanFollow(x.Status, wire.OrderCancelled) {
		return durable.Refuse(durable.Conflict, "the order is %s and cannot be cancelled", x.Status)
	}
	if !before(x.Status, wire.DriverAvailable) {
		x.owe(
			durable.Drop(cook),
			durable.Command(releaseDriver, wire.DeliveryService, "POST /v1/deliveries/"+x.DeliveryID+"/release", nil, time.Time{}),
			durable.Command(releaseKitchen, wire.KitchenService, "POST /v1/kitchen/release",
				wire.KitchenRequest{Items: x.Items, Metadata: x.metadata()}, time.Time{}),
		)
	}
	x.owe(durable.Drop(paymentLimit), durable.Drop(driverLimit), durable.Drop(kitchenLimit), durable.Drop(gap),
		durable.Drop(readAddress))
	x.Reason, x.CancelAsked, x.CancelReason, x.Ahead = reason, false, "", nil
	x.enter(wire.OrderCancelled)
	x.settleMoney()
	return nil
}

// companyRefused: a service says that its company will not do it.
func (x *step) companyRefused(m wire.StatusMessage) error {
	who := wire.PaymentService
	switch {
	case m.KitchenID != "":
		who = wire.KitchenService
	case m.DeliveryID != "":
		who = wire.DeliveryService
	default:
		if x.Payment == PaymentUnknown {
			x.Payment = PaymentNone
		}
	}
	if !CanFollow(x.Status, wire.OrderCancelled) {
		if who == wire.PaymentService && x.Status == wire.OrderCancelled {
			return nil // the money's outcome is known now
		}
		return durable.ErrIgnored
	}
	x.note(x.at, who, wire.OrderService, "refused: "+m.Reason)
	return x.end(m.Reason)
}

// rejected ends the order because another service answered a command with a final no.
func (x *step) rejected(e durable.Event, what string) error {
	var r durable.Rejection
	if err := e.Into(&r); err != nil {
		return err
	}
	err := x.end(fmt.Sprintf("%s was refused: %s", what, r.Detail))
	var refusal *durable.Refusal
	if errors.As(err, &refusal) {
		return durable.ErrIgnored // it went on, or ended, meanwhile
	}
	return err
}
