package kitchen

import (
	"fmt"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// MenuMachine is the pure core of a restaurant with its menu: every change is published on the topic exchange.
type MenuMachine struct{ durable.JSON[wire.MenuChanged] }

// EventMenu replaces a restaurant's card and menu; the body is a wire.MenuChanged whose version does not count.
const EventMenu = "menu"

const publish = "publish"

// Step applies a change of the menu.
func (MenuMachine) Step(s wire.MenuChanged, e durable.Event) (wire.MenuChanged, []durable.Effect, error) {
	switch e.Type {
	case EventMenu:
		var m wire.MenuChanged
		if err := e.Into(&m); err != nil {
			return s, nil, err
		}
		m.Version = s.Version + 1
		return m, []durable.Effect{durable.Message(publish, broker.Events, wire.MenuTopic, m)}, nil
	case publish + durable.Done:
		return s, nil, durable.ErrIgnored
	}
	return s, nil, fmt.Errorf("a restaurant does not know the event %s", e.Type)
}
