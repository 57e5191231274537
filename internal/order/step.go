package order

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
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
	Silence time.Duration // how long nothing may be heard of an order before whoever owes news is asked
}

// DefaultLimits are those of a system that nobody configured.
var DefaultLimits = Limits{
	Payment: 15 * time.Minute, Driver: 30 * time.Minute, Kitchen: 15 * time.Minute, Gap: 2 * time.Minute,
	Silence: 30 * time.Minute,
}

// Machine is the order's pure core.
type Machine struct {
	durable.JSON[State]
	Limits Limits
}

// Party is whose the order is: the customer's. One that was deleted is nobody's.
func (Machine) Party(s State) string { return s.CustomerID }

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

// Key is the record's second identity for an idempotency key: two customers who think of the same one do not meet.
// Empty: none. It stays with a deleted order.
func Key(customerID, key string) string {
	if key == "" {
		return ""
	}
	return customerID + "/" + key
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
	silence        = "silence"
	announce       = "event:" // + status
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
	if err == nil {
		x.follow(s)
	}
	return x.State, x.effects, err
}

// follow is what every change of status calls for: whoever listens is told, and silence is timed anew until the order
// is settled.
func (x *step) follow(was State) {
	if x.Deleted {
		return
	}
	changed := x.History[len(was.History):]
	for _, m := range changed {
		x.owe(durable.Message(announce+string(m.Status), broker.Events, wire.OrderTopic+string(m.Status), x.event(m)))
	}
	switch {
	case x.Settled() && !was.Settled():
		x.owe(durable.Drop(silence))
	case !x.Settled() && (len(changed) > 0 || was.Settled()): // money that came late unsettles
		x.owe(durable.Timer(silence, x.at.Add(x.limits.Silence)))
	}
}

func (x *step) event(m wire.Moment) wire.OrderEvent {
	return wire.OrderEvent{
		OrderID: x.ID, CustomerID: x.CustomerID, RestaurantID: x.RestaurantID, Status: m.Status, When: m.When,
		Total: x.Total, Reason: x.Reason,
	}
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
		if x.grace(e, paymentLimit) {
			return nil
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
		if x.grace(e, driverLimit) {
			return nil
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
		if x.grace(e, kitchenLimit) {
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
		if len(x.Ahead) == 0 {
			return durable.ErrIgnored
		}
		x.askAround()
		x.owe(durable.Timer(gap, x.at.Add(x.limits.Gap)))
		return nil
	case silence + durable.Due:
		if x.Settled() {
			return durable.ErrIgnored
		}
		x.askAround()
		x.owe(durable.Timer(silence, x.at.Add(x.limits.Silence)))
		return nil
	}
	return fmt.Errorf("an order does not know the event %s: %s", e.Type, e.Body)
}

// grace says whether a limit is put off: it comes so late that the system was away, and what had come in time may have
// waited outside. Whoever owes the news is asked, and the limit comes again after the gap's time. That is done once:
// then the limit counts, however late it is.
func (x *step) grace(e durable.Event, limit string) bool {
	if e.Due.IsZero() || x.at.Sub(e.Due) <= x.limits.Gap || x.Grace == limit {
		return false
	}
	x.Grace = limit
	x.askAround()
	x.owe(durable.Timer(limit, x.at.Add(x.limits.Gap)))
	return true
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

// askAround has the service asked whose news is missing; it tells again what it told before, and asks its company.
func (x *step) askAround() {
	who := wire.PaymentService // an order that was cancelled waits for its money
	if i := slices.Index(path, x.Status); i >= 0 {
		who = sender(path[i+1])
	}
	switch {
	case who == wire.KitchenService && x.KitchenID != "":
		x.owe(durable.Command(ask+who, who, "POST /v1/kitchen/"+x.KitchenID+"/ask", nil, time.Time{}))
	case who == wire.DeliveryService && x.DeliveryID != "":
		x.owe(durable.Command(ask+who, who, "POST /v1/deliveries/"+x.DeliveryID+"/ask", nil, time.Time{}))
	case who == wire.PaymentService:
		x.owe(durable.Command(ask+who, who, "POST /v1/payments/"+x.ID+"/ask", nil, time.Time{}))
	}
}
