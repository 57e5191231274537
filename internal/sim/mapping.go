package sim

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/delivery"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/kitchen"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/payment"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// This file is how the services' HTTP routes and queues map to events of their records, and states back to answers,
// as the api packages do it. It is pure.

// command is what a request comes to: an event for one record.
type command struct {
	id    string // the record; a new one where begin
	begin bool   // the event may begin the record, under key where there is one
	key   string
	event durable.Event
}

// about is the field of a body that says which record it is for.
func about(body []byte, name string) (string, error) {
	id := field(body, name)
	if id == "" {
		return "", &durable.Refusal{Code: durable.Invalid, Field: "body." + name, Detail: "missing"}
	}
	return id, nil
}

func decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return &durable.Refusal{Code: durable.Invalid, Field: "body", Detail: "not the JSON that was expected"}
	}
	return nil
}

// placement maps POST /v1/orders: the order is priced, id is new, and what tells two requests of one key apart is
// the body as it was sent.
func placement(id, key string, sent []byte, p order.Place) (command, error) {
	p.ID = id
	body, err := json.Marshal(p)
	if err != nil {
		return command{}, fmt.Errorf("placing order %s: %w", id, err)
	}
	return command{id: id, begin: true, key: order.Key(p.CustomerID, key), event: durable.Event{
		ID: "place", Type: order.EventPlace, Body: body, Hash: durable.Fingerprint(order.EventPlace, sent),
	}}, nil
}

// paymentCommand maps the payment service's routes.
func paymentCommand(op, key string, body []byte) (command, error) {
	switch op {
	case "POST /v1/payments", "POST /v1/payments/reimburse":
		id, err := about(body, "order_id")
		if err != nil {
			return command{}, err
		}
		if op == "POST /v1/payments" {
			return command{id: id, begin: true,
				event: durable.Event{ID: key, Type: payment.EventRequest, Body: body}}, nil
		}
		return command{id: id, event: durable.Event{ID: key, Type: payment.EventReimburse, Body: body}}, nil
	case "POST /v1/payments/callback":
		id, err := about(body, "caller_id")
		if err != nil {
			return command{}, err
		}
		return command{id: id, event: durable.Event{
			ID: "callback:" + field(body, "status") + ":" + field(body, "transaction_id"), Type: payment.EventCallback, Body: body,
		}}, nil
	}
	if id, ok := cut(op, "POST /v1/payments/", "/ask"); ok {
		return command{id: id, event: durable.Event{Type: payment.EventAsk}}, nil
	}
	return command{}, durable.Refuse(durable.NotFound, "no such route")
}

// deliveryCommand maps the delivery service's routes; fresh is an id for a new delivery.
func deliveryCommand(op, key string, body []byte, fresh string) (command, error) {
	switch op {
	case "POST /v1/deliveries":
		return begin(delivery.EventRequest, key, body, fresh)
	case "POST /v1/deliveries/callback":
		id, err := about(body, "delivery_id")
		if err != nil {
			return command{}, err
		}
		return command{id: id, event: durable.Event{
			ID: "callback:" + field(body, "status"), Type: delivery.EventCallback, Body: body,
		}}, nil
	}
	if id, ok := cut(op, "POST /v1/deliveries/", "/cancel"); ok {
		return command{id: id, event: durable.Event{Type: delivery.EventCancel}}, nil
	}
	if id, ok := cut(op, "POST /v1/deliveries/", "/release"); ok {
		return command{id: id, event: durable.Event{ID: key, Type: delivery.EventRelease}}, nil
	}
	if id, ok := cut(op, "POST /v1/deliveries/", "/ask"); ok {
		return command{id: id, event: durable.Event{Type: delivery.EventAsk}}, nil
	}
	return command{}, durable.Refuse(durable.NotFound, "no such route")
}

// kitchenCommand maps the kitchen service's routes; fresh is an id for a new ticket.
func kitchenCommand(op, key string, body []byte, fresh string) (command, error) {
	switch op {
	case "POST /v1/kitchen":
		return begin(kitchen.EventRequest, key, body, fresh)
	case "POST /v1/kitchen/release":
		return begin(kitchen.EventRelease, key, body, fresh)
	case "POST /v1/kitchen/callback":
		id, err := about(body, "kitchen_id")
		if err != nil {
			return command{}, err
		}
		return command{id: id, event: durable.Event{
			ID: "callback:" + field(body, "status"), Type: kitchen.EventCallback, Body: body,
		}}, nil
	}
	if id, ok := cut(op, "POST /v1/kitchen/", "/ask"); ok {
		return command{id: id, event: durable.Event{Type: kitchen.EventAsk}}, nil
	}
	return command{}, durable.Refuse(durable.NotFound, "no such route")
}

// begin is a request that may begin a record of the order's under a fresh id. The id goes into the event, and
// differs each time, so that the request as it was sent says whether two of them are the same.
func begin(event, key string, body []byte, fresh string) (command, error) {
	order, err := about(body, "order_id")
	if err != nil {
		return command{}, err
	}
	named := make([]byte, 0, len(body)+len(fresh)+9)
	named = append(named, `{"id":"`...)
	named = append(named, fresh...)
	named = append(named, `",`...)
	named = append(named, body[1:]...)
	return command{id: fresh, begin: true, key: order, event: durable.Event{
		ID: key, Type: event, Body: named, Hash: durable.Fingerprint(event, body),
	}}, nil
}

// failure is the answer to a request whose event was not applied.
func failure(err error) answer {
	var refusal *durable.Refusal
	switch {
	case errors.As(err, &refusal):
		status := map[durable.Code]int{durable.NotFound: 404, durable.Conflict: 409, durable.Invalid: 422}[refusal.Code]
		return refuse(status, refusal.Error())
	case errors.Is(err, durable.ErrNotFound):
		return refuse(404, err.Error())
	case errors.Is(err, durable.ErrKeyReused):
		return refuse(422, err.Error())
	}
	return refuse(503, err.Error())
}

// accepted is a 202 with v as its body.
func accepted(v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		return refuse(500, err.Error())
	}
	return answer{status: 202, body: body}
}

func paymentAnswer(op string, s payment.State) answer {
	if op == "POST /v1/payments/callback" {
		return answer{status: 201}
	}
	return accepted(wire.PaymentAnswer{Status: "requestReceived", OrderID: s.OrderID})
}

func deliveryAnswer(op string, s delivery.State) answer {
	if op == "POST /v1/deliveries" {
		return accepted(wire.DeliveryAnswer{
			DeliveryID: s.ID, Scheduled: s.Scheduled, Status: wire.DeliveryScheduled, Items: s.Items, Metadata: s.Metadata,
		})
	}
	return answer{status: 201}
}

// decided says whether the transport company's verdict on a cancel is in.
func decided(s delivery.State) bool { return s.Cancel != delivery.CancelAsked }

// verdict is the answer to a cancel of a delivery.
func verdict(s delivery.State) answer {
	switch {
	case !decided(s):
		return refuse(503, "the transport company has not decided yet")
	case s.Cancel != delivery.Cancelled:
		return refuse(409, "too late: a driver is committed")
	}
	return answer{status: 201}
}

func kitchenAnswer(op string, s kitchen.State) answer {
	if op == "POST /v1/kitchen" {
		return accepted(wire.KitchenAnswer{
			KitchenID: s.ID, Scheduled: s.Scheduled, Status: wire.CookingScheduled, Items: s.Items, Metadata: s.Metadata,
		})
	}
	return answer{status: 201}
}

// cancelled is the answer to a cancel of an order.
func cancelled(s order.State) answer {
	switch s.Status {
	case wire.OrderCancelled, wire.Reimbursed:
		return answer{status: 202}
	}
	if s.CancelAsked {
		return answer{status: 202, detail: "requested"}
	}
	return refuse(409, "too late: the order is "+string(s.Status))
}

// orderCommand maps a cancel or a delete of an order.
func orderCommand(id, event string, body []byte) command {
	return command{id: id, event: durable.Event{Type: event, Body: body}}
}

// statusCommand maps a message of the order service's queue.
func statusCommand(m broker.Message) (command, error) {
	id, e, err := order.Intake(m)
	return command{id: id, event: e}, err
}

// received turns what became of a message's event into the answer to the broker: nil acknowledges, a Reject is for
// the dead letters, and anything else brings the message back.
func received(err error) error {
	var refusal *durable.Refusal
	switch {
	case errors.Is(err, durable.ErrNotFound):
		return &broker.Reject{Reason: "metadata.order_id: no such order"}
	case errors.As(err, &refusal), errors.Is(err, durable.ErrKeyReused):
		return &broker.Reject{Reason: err.Error()}
	}
	return err
}
