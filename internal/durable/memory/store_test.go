package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/durabletest"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	for name, features := range map[string]durable.Features{"shared": {}, "exclusive": {Exclusive: true}} {
		t.Run(name, func(t *testing.T) {
			durabletest.Exercise(t, func(testing.TB) (durable.Store, func() durable.Store) {
				return memory.New(features), nil
			})
		})
	}
}
