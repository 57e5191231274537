package order

import (
	"fmt"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// MenuMachine is the pure core of order's own copy of a restaurant's menu, kept up to date by the kitchen's events.
type MenuMachine struct{ durable.JSON[wire.MenuChanged] }

// EventMenu is a wire.MenuChanged of the kitchen.
const EventMenu = "menu"

// Step takes a newer menu and ignores an older one.
func (MenuMachine) Step(s wire.MenuChanged, e durable.Event) (wire.MenuChanged, []durable.Effect, error) {
	if e.Type != EventMenu {
		return s, nil, fmt.Errorf("a menu does not know the event %s", e.Type)
	}
	var m wire.MenuChanged
	if err := e.Into(&m); err != nil {
		return s, nil, err
	}
	if m.Version <= s.Version {
		return s, nil, durable.ErrIgnored
	}
	return m, nil, nil
}
