package order_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestView holds the API's order against the contract, to the byte, at the moments when its shape differs.
func TestView(t *testing.T) {
	var input, out strings.Builder
	shown := []string{"created", "deliveryScheduled, cancel asked for", "delivered", "orderCancelled, money unknown", "reimbursed"}
	for _, s := range situations() {
		if !slices.Contains(shown, s.name) {
			continue
		}
		state := newLife(s.events...).state
		for _, e := range s.events {
			input.WriteString(e.ID + " ")
		}
		input.WriteString("\n")
		b, err := json.MarshalIndent(state.View(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n" + s.name + "\n")
		out.Write(b)
		out.WriteString("\n")
	}
	golden(t, "testdata/view.golden", input.String(), out.String())
}

// TestFirstView: the same request is answered with the same bytes, however far the order is.
func TestFirstView(t *testing.T) {
	first, err := json.Marshal(newLife(placed()).state.View())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range situations()[1:] {
		if s.name == "deleted" {
			continue
		}
		again, err := json.Marshal(newLife(s.events...).state.FirstView())
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%s: %v\nfirst %s\nagain %s", s.name, err, first, again)
		}
	}
}

// TestViewNulls: the ids that are not known yet are there and null, as the original's are.
func TestViewNulls(t *testing.T) {
	for name, tt := range map[string]struct {
		status wire.Status
		want   []string
	}{
		"at first":   {wire.Created, []string{`"kitchen_id":null`, `"delivery_id":null`}},
		"scheduled":  {wire.DeliveryScheduled, []string{`"kitchen_id":null`, `"delivery_id":"` + deliveryID + `"`}},
		"in kitchen": {wire.CookingScheduled, []string{`"kitchen_id":"` + kitchenID + `"`, `"delivery_id":"` + deliveryID + `"`}},
	} {
		b, err := json.Marshal(newLife(upTo(tt.status)...).state.View())
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s: %s is not in %s", name, want, b)
			}
		}
	}
}

// TestStory: what led to a status stands before it, and every status is told once, by whoever brought it.
func TestStory(t *testing.T) {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	s := order.State{
		Reason: "no driver within 30 minutes",
		History: []wire.Moment{
			{Status: wire.Created, When: at(0)}, {Status: wire.PaymentPaid, When: at(7)}, {Status: wire.DeliveryScheduled, When: at(9)},
			{Status: wire.OrderCancelled, When: at(20)}, {Status: wire.Reimbursed, When: at(30)},
		},
		Notes: []order.Note{{at(9), "order", "delivery", "POST /v1/deliveries → accepted"}, {at(25), "order", "payment", "POST /v1/payments/reimburse → accepted"}},
	}
	want := []order.Note{
		{at(0), "customer", "order", "POST /v1/orders"},
		{at(7), "payment", "order", "paymentPaid"},
		{at(9), "order", "delivery", "POST /v1/deliveries → accepted"},
		{at(9), "delivery", "order", "deliveryScheduled"},
		{at(20), "order", "order", "cancelled: no driver within 30 minutes"},
		{at(25), "order", "payment", "POST /v1/payments/reimburse → accepted"},
		{at(30), "payment", "order", "reimbursed"},
	}
	if got := s.Story(); !slices.Equal(got, want) {
		t.Errorf("told\n%v\nwant\n%v", got, want)
	}
}
