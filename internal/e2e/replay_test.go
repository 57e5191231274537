package e2e_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/replay"
)

// smallDay is a recorded day of our own making.
const smallDay = "../replay/testdata/smallday"

// TestReplay: a recorded day ends with every order settled and every cent accounted for.
func TestReplay(t *testing.T) {
	t.Run("small day", func(t *testing.T) {
		if r := replayed(t, smallDay, 0); r.Orders != 40 || r.Delivered != 40 || r.Value.Amount != 40*replay.Price {
			t.Errorf("%+v", r)
		}
	})
	folder, names := published(t)
	if len(names) == 0 {
		t.Run("published days", func(t *testing.T) {
			t.Skipf("there are none in %s; TIFFIN_MDRPLIB says where they are", folder)
		})
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if raceEnabled || testing.Short() && name != "0o100t100s1p100" {
				t.Skip("it takes long")
			}
			share, known := cancelled[name]
			if !known {
				share = 1 // too few couriers, for all we know
			}
			replayed(t, filepath.Join(folder, name), share)
		})
	}
}

// cancelled is the share of a day's orders that may be, where a limit is set.
var cancelled = map[string]float64{"0o100t100s1p100": 0, "1o100t100s1p100": 0.06, "4o100t100s1p100": 0.06}

// published are the instances of https://github.com/grubhub/mdrplib, which the repository does not have: in
// TIFFIN_MDRPLIB, or where they may be beside a checkout.
func published(t *testing.T) (folder string, names []string) {
	t.Helper()
	if folder = os.Getenv("TIFFIN_MDRPLIB"); folder == "" {
		folder = filepath.FromSlash("../../../shared/data/mdrplib")
	}
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return folder, names
}

// replayed runs a day, of which at most the given share of orders may be cancelled.
func replayed(t *testing.T, dir string, share float64) replay.Result {
	t.Helper()
	r, err := app.Replay(t.Context(), app.ReplayConfig{Dir: dir, Version: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	cancels := 0
	for _, n := range r.Cancelled {
		cancels += n
	}
	t.Logf("%d orders, %d delivered, %d cancelled, click to door %.1f minutes, balance %d, %.1f s", r.Orders, r.Delivered, cancels, r.Mean,
		r.Balance, r.WallSeconds)
	if !r.OK() || r.Failed != 0 || r.Delivered+cancels != r.Orders || r.Charges != r.Orders || r.Refunds != cancels {
		t.Errorf("%+v", r)
	}
	if float64(cancels) > share*float64(r.Orders) {
		t.Errorf("%d of %d orders were cancelled: %v", cancels, r.Orders, r.Cancelled)
	}
	if r.Mean <= 0 || r.P50 > r.P90 {
		t.Errorf("click to door: mean %.1f, p50 %.1f, p90 %.1f", r.Mean, r.P50, r.P90)
	}
	return r
}
