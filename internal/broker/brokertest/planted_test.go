package brokertest

import (
	"context"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/local"
	"github.com/tiffin-food/tiffin/internal/planted"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type letters chan broker.DeadLetter

func (l letters) Put(_ context.Context, d broker.DeadLetter) error {
	l <- d
	return nil
}

// TestPlantedBugIsFound shows that the suite is able to fail, in a bubble where its patience costs no time.
func TestPlantedBugIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			dead := make(letters, 1)
			return rejected(ctx, &bench{Bench: Bench{Broker: local.New(dead), Dead: func(ctx context.Context) (broker.DeadLetter, error) {
				select {
				case d := <-dead:
					return d, nil
				case <-ctx.Done():
					return broker.DeadLetter{}, ctx.Err()
				}
			}}})
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
