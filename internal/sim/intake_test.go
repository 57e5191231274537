package sim

import (
	"errors"
	"testing"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// FuzzIntake: any bytes on the order queue are either an event that the order's core can judge, or rejected with a
// reason; nothing panics, and nothing can block the queue.
func FuzzIntake(f *testing.F) {
	f.Add("id", []byte(`{"status":"paymentPaid","metadata":{"receiver":"OrderService","order_id":"o","customer_id":"c"}}`))
	f.Add("", []byte(`{"status":"driverAvailable","metadata":{"receiver":"OrderService","order_id":"o","customer_id":"c"},"delivery_id":"d"}`))
	f.Add("id", []byte(`{"status":"orderCancelled","metadata":{"order_id":"o","customer_id":"c"},"kitchen_id":"k","reason":"closed"}`))
	f.Add("", []byte(`{"status":"eaten","metadata":{"order_id":"o"}}`))
	f.Add("", []byte(`{"status":"delivered"}`))
	f.Add("", []byte(`{"status":7,"metadata":[]}`))
	f.Add("", []byte(`{"status":"paymentPaid","metadata":{"order_id":"`))
	f.Add("", []byte(nil))
	placed := order.State{ID: "o", CustomerID: "c", RestaurantID: wire.DemoRestaurant, Status: wire.Created,
		History: []wire.Moment{{Status: wire.Created, When: epoch}}}
	m := order.Machine{Limits: order.DefaultLimits}
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		cmd, err := statusCommand(broker.Message{ID: id, Key: wire.OrderQueue, Body: body})
		var reject *broker.Reject
		if err != nil {
			if !errors.As(err, &reject) || reject.Reason == "" {
				t.Fatalf("neither taken nor rejected with a reason: %v", err)
			}
			return
		}
		if cmd.id == "" || cmd.event.ID == "" {
			t.Fatalf("an event without an identity: %+v", cmd)
		}
		cmd.event.At = epoch
		s, effects, err := m.Step(placed, cmd.event)
		var refusal *durable.Refusal
		switch {
		case err == nil:
			if len(s.History) < 1 || s.History[0] != placed.History[0] {
				t.Fatalf("the history was changed: %v", s.History)
			}
			for k := 1; k < len(s.History); k++ {
				if from, to := s.History[k-1].Status, s.History[k].Status; !order.CanFollow(from, to) {
					t.Fatalf("%s followed %s; effects %v", to, from, effects)
				}
			}
		case errors.Is(err, durable.ErrIgnored), errors.As(err, &refusal):
		default:
			t.Fatalf("a message that was taken can never be applied, and comes back for ever: %v", err)
		}
	})
}
