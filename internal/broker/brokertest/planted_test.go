package brokertest

import (
	"context"
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/broker/local"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
	"github.com/tiffin-food/tiffin/internal/id"
	"github.com/tiffin-food/tiffin/internal/planted"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPlantedBugIsFound shows that the suite is able to fail, in a bubble where its patience costs no time.
func TestPlantedBugIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			ids := id.NewSource(time.Now, rand.Reader)
			box := local.NewBox(memory.New(durable.Features{}), ids.New, time.Now)
			return rejected(ctx, &bench{Broker: local.New(box)})
		}
		if err := check(); err != nil {
			t.Fatalf("without the bug: %v", err)
		}
		planted.Plant(t, planted.DeadLetterNotRecorded)
		if err := check(); err == nil {
			t.Fatal("the suite did not find the bug")
		} else {
			t.Log("found:", err)
		}
	})
}
