package order_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

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
