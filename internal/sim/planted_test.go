package sim

import (
	"testing"

	"github.com/tiffin-food/tiffin/internal/planted"
)

// TestPlantedBugs puts every mistake of the list into the code that ships: each must turn the simulation red within
// a bounded number of orders, from whatever seed it starts. It is not parallel: a planted bug is everybody's.
func TestPlantedBugs(t *testing.T) {
	const bound, seeds = 6_400, 3
	for bug := range planted.Count {
		t.Run(bug.String(), func(t *testing.T) {
			planted.Plant(t, bug)
			for seed := range uint64(seeds) {
				r := Run(Config{Orders: bound, Seed: 1000 + seed, Faults: All, Workers: 1})
				if len(r.Violations) == 0 {
					t.Fatalf("%d orders from seed %d went well with %q in the code", r.Orders, 1000+seed, bug)
				}
				v := r.Violations[0]
				t.Logf("found within %d orders: invariant %d: %.150s", r.Orders, v.Invariant, v.What)
			}
		})
	}
}
