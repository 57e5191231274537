package order_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestIntake(t *testing.T) {
	metadata := `{"receiver":"OrderService","order_id":"` + orderID + `","customer_id":"` + customerID + `"}`
	good := `{"status":"paymentPaid","metadata":` + metadata + `}`
	tests := []struct {
		name    string
		message broker.Message
		reason  string // of the rejection; empty: taken
		id      string // of the event
	}{
		{"ours", broker.Message{ID: "m1", Body: []byte(good)}, "", "m1"},
		{"the original's, without an id", broker.Message{Body: []byte(good)}, "", "status:paymentPaid"},
		{"fields nobody knows", broker.Message{ID: "m2", Body: []byte(`{"x":1,"status":"delivered","metadata":` + metadata + `}`)}, "", "m2"},
		{"ours, the largest", broker.Message{ID: "m3", Body: []byte(good + strings.Repeat(" ", 64<<10-len(good)))}, "", "m3"},
		{"too large", broker.Message{ID: "m4", Body: make([]byte, 64<<10+1)}, "the body has 65537 bytes, more than 65536", ""},
		{"nothing", broker.Message{ID: "m5"}, "the body is not a status message: unexpected end of JSON input", ""},
		{"no JSON", broker.Message{ID: "m6", Body: []byte("paymentPaid")}, "the body is not a status message: invalid character 'p' looking for beginning of value", ""},
		{"two values", broker.Message{ID: "m7", Body: []byte(good + good)}, "the body is not a status message: invalid character '{' after top-level value", ""},
		{"another type", broker.Message{ID: "m8", Body: []byte(`{"status":7}`)}, "the body is not a status message: json: cannot unmarshal number into Go struct field StatusMessage.status of type wire.Status", ""},
		{"null", broker.Message{ID: "m9", Body: []byte("null")}, "status: unknown", ""},
		{"unknown status", broker.Message{ID: "m10", Body: []byte(`{"status":"eaten","metadata":` + metadata + `}`)}, "status: unknown", ""},
		{"pending is no order's status", broker.Message{ID: "m11", Body: []byte(`{"status":"pending","metadata":` + metadata + `}`)}, "status: unknown", ""},
		{"no metadata", broker.Message{ID: "m12", Body: []byte(`{"status":"delivered"}`)}, "metadata.order_id: missing", ""},
		{"no customer", broker.Message{ID: "m13", Body: []byte(`{"status":"delivered","metadata":{"order_id":"x"}}`)}, "metadata.customer_id: missing", ""},
	}
	for _, tt := range tests {
		id, e, err := order.Intake(tt.message)
		var reject *broker.Reject
		switch {
		case tt.reason != "":
			if !errors.As(err, &reject) || reject.Reason != tt.reason {
				t.Errorf("%s: %v, want rejected: %s", tt.name, err, tt.reason)
			}
		case err != nil || id != orderID || e.ID != tt.id || e.Type != order.EventStatus:
			t.Errorf("%s: order %q, event %q %q, %v", tt.name, id, e.ID, e.Type, err)
		}
	}
}

// TestIntakeWithoutID: the original's messages are known by order and status, whatever else their bodies say.
func TestIntakeWithoutID(t *testing.T) {
	take := func(deliveryID string) (id, hash string) {
		b, err := json.Marshal(wire.StatusMessage{
			Status: wire.Delivered, DeliveryID: deliveryID, Metadata: wire.Metadata{OrderID: orderID, CustomerID: customerID},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, e, err := order.Intake(broker.Message{Body: b})
		if err != nil {
			t.Fatal(err)
		}
		return e.ID, e.Hash
	}
	id1, hash1 := take("")
	id2, hash2 := take(deliveryID)
	if id1 != id2 || hash1 != hash2 || hash1 == "" {
		t.Errorf("%s %s, %s %s", id1, hash1, id2, hash2)
	}
}

// FuzzIntake: any bytes are taken or rejected with a reason; what is taken, an order can be brought.
func FuzzIntake(f *testing.F) {
	for _, e := range everything() {
		f.Add("", e.Body)
	}
	f.Add("m1", []byte(`{"status":"delivered","metadata":{"order_id":"a","customer_id":"b"},"delivery_id":"c"}`))
	f.Add("m1", []byte(`{"Status":"delivered","METADATA":{"order_id":"a","customer_id":"b"}}`))
	f.Fuzz(func(t *testing.T, messageID string, body []byte) {
		id, e, err := order.Intake(broker.Message{ID: messageID, Body: body})
		if err != nil {
			var reject *broker.Reject
			if !errors.As(err, &reject) || reject.Reason == "" || id != "" {
				t.Fatalf("%q, %v", id, err)
			}
			return
		}
		if id == "" || e.ID == "" {
			t.Fatalf("order %q, event %+v", id, e)
		}
		l := newLife(placed(), status(wire.PaymentPaid))
		if err := l.apply(e); err != nil && !changesNothing(err) {
			t.Fatalf("%s: %v", body, err)
		}
	})
}
