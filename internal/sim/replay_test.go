package sim

import (
	"os"
	"testing"
)

// TestReplay runs one world with its whole story, as `tiffin sim --trace` does: TIFFIN_SIM_REPLAY=all, or a list of
// faults, with TIFFIN_SIM_SEED and TIFFIN_SIM_ORDERS from the violation.
func TestReplay(t *testing.T) {
	list := os.Getenv("TIFFIN_SIM_REPLAY")
	if list == "" {
		t.Skip("TIFFIN_SIM_REPLAY names no faults")
	}
	faults, err := ParseFaults(list)
	if err != nil {
		t.Fatal(err)
	}
	n := orders(t, DefaultOrdersPerWorld, DefaultOrdersPerWorld)
	report(t, Run(Config{Orders: n, Seed: seed(t, 1), Faults: faults, Trace: os.Stdout}))
}
