package story

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/durable"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Read asks a system for an order's story, with what every service still has to do for it.
func Read(ctx context.Context, c *client.Client, id string) (s orderapi.Story, err error) {
	if _, err := c.Do(ctx, http.MethodGet, "/v1/orders/"+url.PathEscape(id)+"/story", "", nil, &s); err != nil {
		return s, err
	}
	for _, service := range []string{wire.PaymentService, wire.DeliveryService, wire.KitchenService} {
		path, ok := record(s.Order, service)
		if !ok {
			continue
		}
		var r struct {
			Owed []durable.Todo `json:"owed"`
		}
		_, err := c.Do(ctx, http.MethodGet, path, "", nil, &r)
		var refused *client.Error
		if err != nil && !errors.As(err, &refused) {
			return s, err
		}
		s.Owed = append(s.Owed, r.Owed...) // a service that knows nothing of the order has nothing to do for it
	}
	return s, nil
}

// Retry has a service take up again what it parked of an order.
func Retry(ctx context.Context, c *client.Client, id, service, name string) error {
	path := "/v1/orders/" + url.PathEscape(id)
	if service != wire.OrderService {
		o, err := c.Get(ctx, id)
		if err != nil {
			return err
		}
		var ok bool
		if path, ok = record(o, service); !ok {
			return fmt.Errorf("the order has nothing at the service %s", service)
		}
	}
	_, err := c.Do(ctx, http.MethodPost, path+"/retry/"+url.PathEscape(name), "", nil, nil)
	return err
}

// record is the path of what a service keeps of an order.
func record(o wire.Order, service string) (path string, ok bool) {
	switch service {
	case wire.PaymentService:
		return "/v1/payments/" + o.ID, true
	case wire.DeliveryService:
		if o.DeliveryID != nil {
			return "/v1/deliveries/" + *o.DeliveryID, true
		}
	case wire.KitchenService:
		if o.KitchenID != nil {
			return "/v1/kitchen/" + *o.KitchenID, true
		}
	}
	return "", false
}
