package order

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/planted"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Limits are the deadlines of an order's life, by the clock.
type Limits struct {
	Payment time.Duration // the card company's answer; then the order is cancelled, and late money goes back
	Driver  time.Duration // a committed driver, from the payment on
	Kitchen time.Duration // the restaurant's first sign, from the committed driver on
	Gap     time.Duration // how long a status may be ahead of its turn before the partner is asked
}

// DefaultLimits are those of a system that nobody configured.
var DefaultLimits = Limits{
	Payment: 15 * time.Minute, Driver: 30 * time.Minute, Kitchen: 15 * time.Minute, Gap: 2 * time.Minute,
}

// Machine is the order's pure core.
type Machine struct {
	durable.JSON[State]
	Limits Limits
}

// Events from outside.
const (
	EventPlace  = "place"  // body Place
	EventStatus = "status" // body wire.StatusMessage
	EventCancel = "cancel" // body Cancel
	EventDelete = "delete"
)

// Place begins an order: it is priced already.
type Place struct {
	ID           string         `json:"id"`
	CustomerID   string         `json:"customer_id"`
	RestaurantID string         `json:"restaurant_id"`
	Items        []wire.Item    `json:"items"`
	Total        wire.Money     `json:"total"`
	Prep         time.Duration  `json:"prep,omitempty"`
	Pickup       *wire.Position `json:"pickup,omitempty"`
}

// Cancel asks for a cancel. An operator may cancel up to cookingDone, a customer before a driver is committed.
type Cancel struct {
	Operator bool   `json:"operator,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Names of what an order owes.
const (
	pay            = "pay"
	readAddress    = "address"
	deliver        = "deliver"
	cancelDelivery = "cancelDelivery"
	cook           = "cook"
	refund         = "refund"
	releaseDriver  = "releaseDriver"
	releaseKitchen = "releaseKitchen"
	ask            = "ask:" // + service
	paymentLimit   = "paymentLimit"
	driverLimit    = "driverLimit"
	kitchenLimit   = "kitchenLimit"
	gap            = "gap"
)

// step is one event being applied: the state as it becomes, and what it comes to owe.
type step struct {
	State
	limits  Limits
	at      time.Time
	effects []durable.Effect
}

// Step applies an event to an order. See the package comment for what it promises.
func (m Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	x := &step{State: s, limits: m.Limits, at: e.At}
	err := x.apply(e)
	if err != nil && !errors.Is(err, durable.ErrCanWait) {
		return s, nil, err
	}
	return x.State, x.effects, err
}

func (x *step) owe(e ...durable.Effect) { x.effects = append(x.effects, e...) }

func (x *step) apply(e durable.Event) error {
	if x.Deleted {
		switch e.Type {
		case EventPlace, EventStatus, EventCancel, EventDelete:
			return durable.Refuse(durable.NotFound, "the order was deleted")
		}
		return durable.ErrIgnored // what it still owed when it was deleted is carried out, and changes nothing
	}
	if (x.ID == "") != (e.Type == EventPlace) {
		if e.Type == EventPlace {
			return durable.Refuse(durable.Conflict, "the order exists already")
		}
		return durable.Refuse(durable.NotFound, "no such order")
	}
	switch e.Type {
	case EventPlace:
		return x.place(e)
	case EventStatus:
		return x.message(e)
	case EventCancel:
		var c Cancel
		if err := e.Into(&c); err != nil {
			return err
		}
		return x.cancel(c)
	case EventDelete:
		if !x.Settled() {
			return durable.Refuse(durable.Conflict, "the order is %s: only a finished order can be deleted", x.Status)
		}
		x.State = State{ID: x.ID, Status: x.Status, History: x.History[:1:1], Deleted: true}
		return nil

	case pay + durable.Done:
		x.said(wire.PaymentService, "POST /v1/payments")
		return durable.ErrCanWait
	case pay + durable.Refused:
		return x.noPayment(e)
	case paymentLimit + durable.Due:
		if x.Status != wire.Created {
			return durable.ErrIgnored
		}
		return x.end("no answer from the card company within " + minutes(x.limits.Payment))

	case readAddress + durable.Done:
		return x.addressRead(e)
	case readAddress + durable.Refused:
		return x.rejected(e, "the customer's address")
	case deliver + durable.Done:
		return x.deliveryAccepted(e)
	case deliver + durable.Refused:
		x.DeliveryAsked = false
		return x.rejected(e, "the delivery")
	case driverLimit + durable.Due:
		if !before(x.Status, wire.DriverAvailable) {
			return durable.ErrIgnored
		}
		return x.withdraw("no driver within " + minutes(x.limits.Driver))
	case cancelDelivery + durable.Done:
		return x.cancelWon()
	case cancelDelivery + durable.Refused:
		return x.cancelLost()

	case cook + durable.Done:
		return x.kitchenAccepted(e)
	case cook + durable.Refused:
		return x.rejected(e, "the kitchen")
	case kitchenLimit + durable.Due:
		if x.Status != wire.DriverAvailable && x.Status != wire.CookingScheduled {
			return durable.ErrIgnored
		}
		if len(x.Ahead) > 0 { // it has begun, and news of it is on the way: the gap's timer asks
			x.owe(durable.Timer(kitchenLimit, x.at.Add(x.limits.Gap)))
			return nil
		}
		return x.end("no answer from the restaurant within " + minutes(x.limits.Kitchen))

	case refund + durable.Done:
		x.said(wire.PaymentService, "POST /v1/payments/reimburse")
		return durable.ErrCanWait
	case releaseDriver + durable.Done, releaseKitchen + durable.Done,
		ask + wire.PaymentService + durable.Done, ask + wire.DeliveryService + durable.Done,
		ask + wire.KitchenService + durable.Done, ask + wire.PaymentService + durable.Refused,
		ask + wire.DeliveryService + durable.Refused, ask + wire.KitchenService + durable.Refused:
		return durable.ErrIgnored
	case releaseDriver + durable.Refused, releaseKitchen + durable.Refused:
		x.note(x.at, wire.OrderService, wire.OrderService, "too late to release: "+string(e.Body))
		return durable.ErrCanWait
	case gap + durable.Due:
		return x.askAround()
	}
	return fmt.Errorf("an order does not know the event %s: %s", e.Type, e.Body)
}

// said notes that another service took a command.
func (x *step) said(service, what string) {
	x.note(x.at, wire.OrderService, service, what+" → accepted")
}

func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}

// place begins the order: the money is asked for.
func (x *step) place(e durable.Event) error {
	var p Place
	if err := e.Into(&p); err != nil {
		return err
	}
	x.State = State{
		ID: p.ID, CustomerID: p.CustomerID, RestaurantID: p.RestaurantID, Items: p.Items, Total: p.Total,
		Prep: p.Prep, Pickup: p.Pickup,
	}
	x.enter(wire.Created)
	amount := wire.Decimal(p.Total.Amount)
	x.owe(
		durable.Command(pay, wire.PaymentService, "POST /v1/payments",
			wire.PaymentRequest{Items: x.Items, Metadata: x.metadata(), Amount: &amount}, time.Time{}),
		durable.Timer(paymentLimit, x.at.Add(x.limits.Payment)),
	)
	if planted.Is(planted.CookingBeforePayment) {
		x.owe(x.cooking())
	}
	return nil
}

// message takes a status from a queue.
func (x *step) message(e durable.Event) error {
	var m wire.StatusMessage
	if err := e.Into(&m); err != nil {
		return err
	}
	if x.DeliveryID == "" {
		x.DeliveryID = m.DeliveryID
	}
	if x.KitchenID == "" {
		x.KitchenID = m.KitchenID
	}
	switch m.Status {
	case wire.PaymentPaid, wire.PaymentFailed:
		return x.money(m)
	case wire.OrderCancelled:
		return x.companyRefused(m)
	case wire.Reimbursed:
		if x.Status != wire.OrderCancelled || !x.RefundAsked {
			return durable.ErrIgnored
		}
		x.enter(m.Status)
		return nil
	case wire.Created:
		return durable.ErrIgnored
	}
	if planted.Is(planted.StatusOverwrittenByLateEvent) {
		x.enter(m.Status)
		return nil
	}
	return x.advance(m.Status)
}

// money takes the card company's answer. After a cancel it changes obligations, never the status.
func (x *step) money(m wire.StatusMessage) error {
	// Money that moves although the payment was refused (the first attempt was heard, its answer was not) goes back.
	after := x.Payment == PaymentNone && m.Status == wire.PaymentPaid && x.Status == wire.OrderCancelled
	if x.Payment != PaymentUnknown && !after {
		return durable.ErrIgnored
	}
	x.Payment = PaymentTaken
	if m.Status == wire.PaymentFailed {
		x.Payment = PaymentNone
	}
	if x.Status == wire.OrderCancelled {
		x.note(x.at, wire.PaymentService, wire.OrderService, string(m.Status)+" (after the cancel)")
		if !planted.Is(planted.LatePaymentNotRefunded) {
			x.settleMoney()
		}
		return nil
	}
	x.owe(durable.Drop(paymentLimit))
	if m.Status == wire.PaymentPaid {
		x.owe(
			durable.Command(readAddress, wire.CustomerService, "GET /v1/customers/"+x.CustomerID+"/address", nil, time.Time{}),
			durable.Timer(driverLimit, x.at.Add(x.limits.Driver)),
		)
	}
	x.turn(m.Status)
	return nil
}

// settleMoney asks money back that moved for an order that was cancelled.
func (x *step) settleMoney() {
	if x.Payment != PaymentTaken || x.RefundAsked {
		return
	}
	x.RefundAsked = true
	x.owe(durable.Command(refund, wire.PaymentService, "POST /v1/payments/reimburse",
		wire.PaymentRequest{Items: x.Items, Metadata: x.metadata()}, time.Time{}))
}

// noPayment: the payment service will not take the order.
func (x *step) noPayment(e durable.Event) error {
	if x.Payment != PaymentUnknown {
		return durable.ErrIgnored // the card company's word came first, and counts
	}
	x.Payment = PaymentNone
	if x.Status != wire.Created {
		return nil
	}
	return x.rejected(e, "the payment")
}

func (x *step) addressRead(e durable.Event) error {
	var a wire.Address
	if err := e.Into(&a); err != nil {
		return err
	}
	if x.DeliveryAsked || x.Status != wire.PaymentPaid && x.Status != wire.DeliveryScheduled {
		return durable.ErrIgnored
	}
	x.said("customers", "GET /v1/customers/{id}/address")
	x.Address = &a
	x.DeliveryAsked = true
	x.owe(durable.Command(deliver, wire.DeliveryService, "POST /v1/deliveries",
		wire.DeliveryRequest{Items: x.Items, Metadata: x.metadata(), Address: a, Trip: x.trip(x.at)}, time.Time{}))
	return nil
}

func (x *step) deliveryAccepted(e durable.Event) error {
	var a wire.DeliveryAnswer
	if err := e.Into(&a); err != nil {
		return err
	}
	x.said(wire.DeliveryService, "POST /v1/deliveries")
	x.DeliveryID = a.DeliveryID
	if x.Status == wire.PaymentPaid {
		x.turn(wire.DeliveryScheduled)
	}
	if x.CancelAsked && x.Status == wire.DeliveryScheduled {
		x.askDeliveryToCancel()
	}
	return nil
}

func (x *step) kitchenAccepted(e durable.Event) error {
	var a wire.KitchenAnswer
	if err := e.Into(&a); err != nil {
		return err
	}
	x.said(wire.KitchenService, "POST /v1/kitchen")
	x.KitchenID = a.KitchenID
	if x.Status == wire.DriverAvailable {
		x.turn(wire.CookingScheduled)
	}
	return nil
}

// advance applies a status of the path in its turn, keeps one that is ahead, and drops one that is behind.
func (x *step) advance(to wire.Status) error {
	if x.Status == wire.OrderCancelled || x.Settled() || !before(x.Status, to) {
		return durable.ErrIgnored
	}
	if i, ok := implied[to]; ok && CanFollow(x.Status, i) {
		x.turn(i)
		if !before(x.Status, to) {
			return nil // it was ahead itself, and its turn came
		}
	}
	if !CanFollow(x.Status, to) {
		if slices.Contains(x.Ahead, to) {
			return durable.ErrIgnored
		}
		x.note(x.at, sender(to), wire.OrderService, string(to)+" (ahead of its turn)")
		if len(x.Ahead) == 0 {
			x.owe(durable.Timer(gap, x.at.Add(x.limits.Gap)))
		}
		x.Ahead = append(slices.Clip(x.Ahead), to)
		return nil
	}
	x.turn(to)
	return nil
}

// turn takes a status whose turn it is, and whatever was ahead and has its turn then.
func (x *step) turn(to wire.Status) {
	waited := len(x.Ahead) > 0
	x.take(to)
	for {
		x.Ahead = slices.DeleteFunc(slices.Clone(x.Ahead), func(s wire.Status) bool { return !before(x.Status, s) })
		i := slices.IndexFunc(x.Ahead, func(s wire.Status) bool { return CanFollow(x.Status, s) })
		if i < 0 {
			break
		}
		x.take(x.Ahead[i])
	}
	if waited && len(x.Ahead) == 0 {
		x.Ahead = nil
		x.owe(durable.Drop(gap))
	}
}

// enter makes the status the order's.
func (x *step) enter(to wire.Status) {
	x.Status = to
	x.History = append(slices.Clip(x.History), wire.Moment{Status: to, When: x.at})
}

// take enters a status of the path and does what it calls for.
func (x *step) take(to wire.Status) {
	x.enter(to)
	switch to {
	case wire.DriverAvailable:
		// The transport company has decided: a cancel that is still out has lost.
		x.CancelAsked, x.CancelReason = false, ""
		x.owe(durable.Drop(driverLimit), x.cooking(), durable.Timer(kitchenLimit, x.at.Add(x.limits.Kitchen)))
	case wire.CookingMeal:
		x.owe(durable.Drop(kitchenLimit))
	}
}

func (x *step) cooking() durable.Effect {
	return durable.Command(cook, wire.KitchenService, "POST /v1/kitchen",
		wire.KitchenRequest{Items: x.Items, Metadata: x.metadata(), Trip: x.trip(x.at)}, time.Time{})
}

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

// askAround has the partners asked whose news is missing, and looks again later.
func (x *step) askAround() error {
	if len(x.Ahead) == 0 {
		return durable.ErrIgnored
	}
	missing := path[slices.Index(path, x.Status)+1]
	switch who := sender(missing); {
	case who == wire.KitchenService && x.KitchenID != "":
		x.owe(durable.Command(ask+who, who, "POST /v1/kitchen/"+x.KitchenID+"/ask", nil, time.Time{}))
	case who == wire.DeliveryService && x.DeliveryID != "":
		x.owe(durable.Command(ask+who, who, "POST /v1/deliveries/"+x.DeliveryID+"/ask", nil, time.Time{}))
	case who == wire.PaymentService:
		x.owe(durable.Command(ask+who, who, "POST /v1/payments/"+x.ID+"/ask", nil, time.Time{}))
	}
	x.owe(durable.Timer(gap, x.at.Add(x.limits.Gap)))
	return nil
}
