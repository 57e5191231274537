package order

import (
	"encoding/json"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/redact"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// maxMessage is how many bytes a status message may have.
const maxMessage = 64 << 10

// Intake reads a message of the order queue: which order it is for, and the event it brings. What can never be
// applied is a *broker.Reject. Nothing of the event is a card's number. A message without an id (the original's) is recognised by order and status.
func Intake(m broker.Message) (orderID string, e durable.Event, err error) {
	reject := func(format string, args ...any) (string, durable.Event, error) {
		return "", durable.Event{}, &broker.Reject{Reason: redact.Numbers(fmt.Sprintf(format, args...))}
	}
	if len(m.Body) > maxMessage {
		return reject("the body has %d bytes, more than %d", len(m.Body), maxMessage)
	}
	var s wire.StatusMessage
	if err := json.Unmarshal(m.Body, &s); err != nil {
		return reject("the body is not a status message: %v", err)
	}
	switch {
	case !s.Status.Known():
		return reject("status: unknown")
	case s.Metadata.OrderID == "":
		return reject("metadata.order_id: missing")
	case s.Metadata.CustomerID == "":
		return reject("metadata.customer_id: missing")
	case redact.Card(s.DeliveryID), redact.Card(s.KitchenID):
		return reject("delivery_id, kitchen_id: looks like a card number")
	}
	s.Reason = redact.Numbers(s.Reason)
	e = durable.Event{ID: redact.Key(m.ID), Type: EventStatus, Body: redact.Body(m.Body), Value: s}
	if e.ID == "" {
		e.ID, e.Hash = "status:"+string(s.Status), "-" // any body: order and status are its identity
	}
	return s.Metadata.OrderID, e, nil
}
