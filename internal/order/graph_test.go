package order_test

import (
	"slices"
	"testing"

	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// final statuses have no way out.
var final = []wire.Status{wire.PaymentFailed, wire.Delivered, wire.Reimbursed}

func TestGraph(t *testing.T) {
	exits := map[wire.Status][]wire.Status{}
	seen := map[order.Edge]bool{}
	for _, e := range order.Graph {
		if !e.From.Known() || !e.To.Known() || e.By == "" {
			t.Errorf("edge %+v", e)
		}
		if pair := (order.Edge{From: e.From, To: e.To}); seen[pair] {
			t.Errorf("%s → %s is there twice", e.From, e.To)
		} else {
			seen[pair] = true
		}
		exits[e.From] = append(exits[e.From], e.To)
	}

	t.Run("no way leads back", func(t *testing.T) {
		var walk func(s wire.Status, on []wire.Status)
		reached := map[wire.Status]bool{}
		walk = func(s wire.Status, on []wire.Status) {
			if slices.Contains(on, s) {
				t.Fatalf("a circle: %v → %s", on, s)
			}
			reached[s] = true
			for _, to := range exits[s] {
				walk(to, append(slices.Clone(on), s))
			}
		}
		walk(wire.Created, nil)
		for _, s := range wire.Statuses {
			if !reached[s] {
				t.Errorf("no way leads to %s", s)
			}
		}
	})
	t.Run("ends", func(t *testing.T) {
		for _, s := range wire.Statuses {
			switch {
			case slices.Contains(final, s) && len(exits[s]) > 0:
				t.Errorf("%s is final and leads to %v", s, exits[s])
			case s == wire.OrderCancelled && !slices.Equal(exits[s], []wire.Status{wire.Reimbursed}):
				t.Errorf("%s leads to %v", s, exits[s])
			case !slices.Contains(final, s) && len(exits[s]) == 0:
				t.Errorf("%s is not final and leads nowhere", s)
			}
		}
	})
	t.Run("who may cancel when", func(t *testing.T) {
		for _, s := range wire.Statuses {
			i := slices.Index(wire.Statuses, s)
			want := i <= slices.Index(wire.Statuses, wire.CookingDone)
			if got := order.CanFollow(s, wire.OrderCancelled); got != want {
				t.Errorf("%s → orderCancelled: %t, want %t", s, got, want)
			}
		}
	})
}
