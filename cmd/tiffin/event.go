package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/wire"
)

type eventCmd struct {
	Send eventSendCmd `cmd:"" help:"Put a status into the order service's queue, as another service would."`
}

type eventSendCmd struct {
	queues
	ID     string `arg:"" help:"The order."`
	Status string `arg:"" help:"The status, such as cookingMeal."`
}

func (c *eventSendCmd) Run(e *env) error {
	status := wire.Status(c.Status)
	if !status.Known() {
		return fmt.Errorf("status: %q is none; expected one of %s", c.Status, strings.Join(wire.StatusNames(), ", "))
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	order, err := api.Get(e.ctx, c.ID)
	if err != nil {
		return fmt.Errorf("the order is read for its customer: %w", err)
	}
	m := wire.StatusMessage{
		Status:   status,
		Metadata: wire.Metadata{Receiver: wire.OrderQueue, OrderID: order.ID, CustomerID: order.CustomerID},
	}
	if order.DeliveryID != nil {
		m.DeliveryID = *order.DeliveryID
	}
	if order.KitchenID != nil {
		m.KitchenID = *order.KitchenID
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.with(e, func(q app.Queues) error { return q.Send(e.ctx, wire.OrderQueue, body) })
}
