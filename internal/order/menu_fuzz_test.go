package order_test

import (
	"errors"
	"testing"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// FuzzMenu brings any menu: it is newer and taken as it is, or nothing changes.
func FuzzMenu(f *testing.F) {
	f.Add(int64(0), []byte(`{"restaurant":{"id":"x","name":"y"},"version":1,"items":[{"product":"z","price":{"amount":1,"currency":"EUR"}}]}`))
	f.Add(int64(7), []byte(`{"version":7}`))
	f.Add(int64(1), []byte(`[]`))
	f.Fuzz(func(t *testing.T, version int64, body []byte) {
		before := wire.MenuChanged{Version: version}
		after, owed, err := order.MenuMachine{}.Step(before, durable.Event{Type: order.EventMenu, Body: body})
		switch {
		case len(owed) > 0:
			t.Errorf("a menu owes %v", owed)
		case err == nil && after.Version <= version:
			t.Errorf("version %d took the place of %d", after.Version, version)
		case err != nil && !errors.Is(err, durable.ErrIgnored) && after.Version != version:
			t.Errorf("%v, and the menu has changed", err)
		}
	})
}
