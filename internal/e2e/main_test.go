package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/engines"
)

var (
	seedFlag = flag.Uint64("seed", 0, "seed of what TestKill draws; 0: another one in each run")
	dataFlag = flag.String("data", "", "folder in which TestKill leaves its databases; empty: they go")
)

// program builds the program under test, once, into folder, which TestMain takes away.
var (
	program = sync.OnceValues(build)
	folder  string
)

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(engines.Main{M: m}, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))
}

// build builds cmd/tiffin as `make build` does, without the race detector: what runs here is what ships.
func build() (string, error) {
	var err error
	if folder, err = os.MkdirTemp("", "tiffin-e2e-"); err != nil {
		return "", err
	}
	path := filepath.Join(folder, "tiffin")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../../cmd/tiffin").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// tiffin is the path of the program.
func tiffin(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// seeded is a source of what a test draws, and its seed is in the test's log.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("draws are those of -seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
