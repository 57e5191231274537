package order

import (
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// State is what an order remembers. It is a value: Step returns a new one.
type State struct {
	ID           string         `json:"id"`
	CustomerID   string         `json:"customer_id"`
	RestaurantID string         `json:"restaurant_id"`
	Items        []wire.Item    `json:"items"`
	Total        wire.Money     `json:"total"`
	Prep         time.Duration  `json:"prep,omitempty"`   // the kitchen's time for it
	Pickup       *wire.Position `json:"pickup,omitempty"` // the restaurant's door
	Address      *wire.Address  `json:"address,omitempty"`

	Status  wire.Status   `json:"status"`
	History []wire.Moment `json:"history"`
	Ahead   []wire.Status `json:"ahead,omitempty"` // came before their turn
	Reason  string        `json:"reason,omitempty"`

	DeliveryID string `json:"delivery_id,omitempty"`
	KitchenID  string `json:"kitchen_id,omitempty"`

	Payment       Payment `json:"payment,omitempty"`
	RefundAsked   bool    `json:"refund_asked,omitempty"`
	DeliveryAsked bool    `json:"delivery_asked,omitempty"` // POST /v1/deliveries is owed or done
	CancelAsked   bool    `json:"cancel_asked,omitempty"`   // the transport company's verdict is out
	CancelReason  string  `json:"cancel_reason,omitempty"`
	Grace         string  `json:"grace,omitempty"`   // the limit that came late and was put off once
	Deleted       bool    `json:"deleted,omitempty"` // a tombstone: the idempotency key stays taken

	Notes []Note `json:"notes,omitempty"`
}

// Payment is what is known of the money.
type Payment string

// What can be known of the money.
const (
	PaymentUnknown Payment = ""
	PaymentTaken   Payment = "taken"
	PaymentNone    Payment = "none" // refused, or never charged
)

// Note is something that happened to the order beside its statuses, which the history has. From and To are the parties.
type Note struct {
	At   time.Time `json:"at"`
	From string    `json:"f"`
	To   string    `json:"t"`
	What string    `json:"w"`
}

// maxNotes bounds the story; what comes later is not told, and nothing depends on it.
const maxNotes = 48

func (s *State) note(at time.Time, from, to, what string) {
	if len(s.Notes) < maxNotes {
		s.Notes = append(slices.Clip(s.Notes), Note{at, from, to, what})
	}
}

// Story is all that happened to the order, notes and statuses, in the order in which it happened.
func (s State) Story() []Note {
	story := slices.Clone(s.Notes)
	for _, m := range s.History {
		n := Note{m.When, sender(m.Status), wire.OrderService, string(m.Status)}
		switch m.Status {
		case wire.Created:
			n.From, n.What = "customer", "POST /v1/orders"
		case wire.OrderCancelled:
			n.From, n.What = wire.OrderService, "cancelled: "+s.Reason
		}
		story = append(story, n)
	}
	slices.SortStableFunc(story, func(a, b Note) int { return a.At.Compare(b.At) }) // what led to a status stands before it
	return story
}

// Settled says that the order is final, the payment's outcome known and any refund through.
func (s State) Settled() bool {
	switch s.Status {
	case wire.PaymentFailed, wire.Delivered, wire.Reimbursed:
		return true
	case wire.OrderCancelled:
		return s.Payment == PaymentNone
	}
	return false
}

// Demo says whether the order is of the demo restaurant, whose orders use the original bodies exactly.
func (s State) Demo() bool { return s.RestaurantID == wire.DemoRestaurant }

// View is the order as the API shows it.
func (s State) View() wire.Order {
	return wire.Order{
		ID: s.ID, Status: s.Status, Created: s.History[0].When, CustomerID: s.CustomerID,
		KitchenID: optional(s.KitchenID), DeliveryID: optional(s.DeliveryID), Items: s.Items,
		RestaurantID: s.RestaurantID, Total: s.Total, History: s.History, Reason: s.Reason,
		CancelRequested: s.CancelAsked, Settled: s.Settled(),
	}
}

// FirstView is the order as the API showed it when it was placed: the answer to the same request again.
func (s State) FirstView() wire.Order {
	return State{
		ID: s.ID, CustomerID: s.CustomerID, RestaurantID: s.RestaurantID, Items: s.Items, Total: s.Total,
		Status: wire.Created, History: s.History[:1:1],
	}.View()
}

func optional(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}

func (s State) metadata() wire.Metadata {
	return wire.Metadata{Receiver: wire.OrderQueue, OrderID: s.ID, CustomerID: s.CustomerID}
}

// trip is what a company needs beside the original bodies, none for the demo restaurant.
func (s State) trip(now time.Time) wire.Trip {
	if s.Demo() {
		return wire.Trip{}
	}
	ready := now.Add(s.Prep)
	t := wire.Trip{RestaurantID: s.RestaurantID, Pickup: s.Pickup, ReadyAt: &ready}
	if s.Address != nil {
		t.Dropoff = s.Address.Position
	}
	return t
}
