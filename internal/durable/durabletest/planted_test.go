package durabletest

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/planted"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPlantedBugsAreFound shows that the suite is able to fail.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, test := range []struct {
		bug   planted.Bug
		check func(context.Context, durable.Store) error
	}{
		{planted.ClaimWithoutLease, leaseHonoured},
		{planted.VersionCheckDropped, versionChecked},
		{planted.VersionCheckDropped, oneSaverWins},
	} {
		t.Run(test.bug.String(), func(t *testing.T) {
			if err := test.check(t.Context(), memory.New(durable.Features{})); err != nil {
				t.Fatalf("without the bug: %v", err)
			}
			planted.Plant(t, test.bug)
			if err := test.check(t.Context(), memory.New(durable.Features{})); err == nil {
				t.Fatal("the suite did not find the bug")
			} else {
				t.Log("found:", err)
			}
		})
	}
}
