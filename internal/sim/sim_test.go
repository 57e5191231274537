package sim

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
)

// orders is how many orders a test simulates: TIFFIN_SIM_ORDERS where it is set.
func orders(t testing.TB, usual, short int) int {
	t.Helper()
	if s := os.Getenv("TIFFIN_SIM_ORDERS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("TIFFIN_SIM_ORDERS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return usual
}

// seed is TIFFIN_SIM_SEED where it is set.
func seed(t testing.TB, usual uint64) uint64 {
	t.Helper()
	s := os.Getenv("TIFFIN_SIM_SEED")
	if s == "" {
		return usual
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("TIFFIN_SIM_SEED: %v", err)
	}
	return n
}

func report(t testing.TB, r *Result) {
	t.Helper()
	for _, v := range r.Violations {
		t.Errorf("%v", v)
	}
	if len(r.Violations) > 0 {
		t.Logf("how it came to the first:\n%s", strings.Join(r.Violations[0].Tail, "\n"))
	}
	for _, m := range r.Missing {
		t.Errorf("never happened: %s", m)
	}
}

// TestFaultedOrders is the proof: INVARIANTS.md under every fault.
func TestFaultedOrders(t *testing.T) {
	r := Run(Config{Orders: orders(t, 100_000, 10_000), Seed: seed(t, 1), Faults: All})
	report(t, r)
	t.Logf("%d orders, %d worlds, %d steps, hash %016x", r.Orders, r.Worlds, r.Steps, r.Hash)
	if os.Getenv("TIFFIN_SIM_COVERAGE") != "" {
		t.Logf("\n%v", r.Coverage)
	}
}

// TestEveryFaultAlone gives worlds one fault each: what hides behind others shows.
func TestEveryFaultAlone(t *testing.T) {
	n := 640
	if testing.Short() {
		n = 128
	}
	for f := range faultCount {
		if !All.Has(f) {
			continue
		}
		t.Run(f.String(), func(t *testing.T) {
			r := Run(Config{Orders: n, Seed: uint64(f), Faults: None.With(f)})
			report(t, r)
			if r.Coverage.Faults[f] == 0 && !testing.Short() {
				t.Errorf("%s never happened in %d orders", f, n)
			}
		})
	}
}

// TestNoFaults: where nothing goes wrong, every meal is delivered that found a driver and a cook in time, and nothing
// is done twice.
func TestNoFaults(t *testing.T) {
	r := Run(Config{Orders: 640, Seed: 1, Faults: None})
	report(t, r)
	seen := r.Coverage.Seen
	late := seen["cancelled: no driver within "] + seen["cancelled: no answer from the restaurant within "]
	if n := seen["end: delivered"]; n+late != r.Orders || n < late {
		t.Errorf("of %d orders %d were delivered and %d were too late", r.Orders, n, late)
	}
	if n := len(r.Coverage.Retried); n != 0 {
		t.Errorf("%d effects were tried again without a fault: %v", n, r.Coverage.Retried)
	}
}

// TestSameSeedSameHash: a run repeats, whatever the number of workers, and another seed is another run.
func TestSameSeedSameHash(t *testing.T) {
	c := Config{Orders: 2_000, Seed: 42, Faults: All, Workers: 1}
	first := Run(c)
	c.Workers = 3
	if again := Run(c); again.Hash != first.Hash || again.Steps != first.Steps {
		t.Errorf("the same seed gave %016x with %d steps, and then %016x with %d", first.Hash, first.Steps, again.Hash, again.Steps)
	}
	c.Seed = 43
	if other := Run(c); other.Hash == first.Hash {
		t.Error("another seed gave the same hash")
	}
}

// TestWorldReplaysAlone: the seed of a world in a run, as a violation names it, is that world as a run of its own.
func TestWorldReplaysAlone(t *testing.T) {
	const per = DefaultOrdersPerWorld
	var first, second, both bytes.Buffer
	Run(Config{Orders: 2 * per, Seed: 9, Faults: All, Trace: &both})
	Run(Config{Orders: per, Seed: worldSeed(9, 0), Faults: All, Trace: &first})
	Run(Config{Orders: per, Seed: worldSeed(9, 1), Faults: All, Trace: &second})
	if first.Len() == 0 || both.String() != first.String()+second.String() {
		t.Error("two worlds in a run are not the same two worlds alone")
	}
}

func TestParseFaults(t *testing.T) {
	for _, tt := range []struct {
		list string
		want Faults
		err  string
	}{
		{"all", All, ""},
		{"none", None, ""},
		{"", None, ""},
		{"crash, delay", None.With(Crash).With(Delay), ""},
		{"-crash", All.Without(Crash), ""},
		{"all,-crash,-lost-message", All.Without(Crash).Without(LostMessage), ""},
		{"crash,bogus", 0, `unknown fault "bogus"`},
	} {
		got, err := ParseFaults(tt.list)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseFaults(%q): error %v, want %q", tt.list, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("ParseFaults(%q) = %v, %v; want %v", tt.list, got, err, tt.want)
		}
		if again, err := ParseFaults(got.String()); err != nil || again != got {
			t.Errorf("ParseFaults(%q) does not read back %q: %v, %v", tt.list, got, again, err)
		}
	}
}
