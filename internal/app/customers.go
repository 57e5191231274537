package app

import (
	"context"
	"errors"
	"sync"

	"github.com/tiffin-food/tiffin/internal/httpapi"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// maxKnown bounds what is remembered of customers; past it the memory begins anew.
const maxKnown = 100_000

// knownCustomers asks the customer service once for each customer: none is ever deleted, so a yes stays true.
func (s *System) knownCustomers() orderapi.Customers {
	var mu sync.Mutex
	known := map[string]struct{}{}
	return func(ctx context.Context, id string) (bool, error) {
		mu.Lock()
		_, ok := known[id]
		mu.Unlock()
		if ok {
			return true, nil
		}
		_, err := s.http.Get(ctx, wire.CustomerService, "/v1/customers/"+id)
		var refused *httpapi.Refused
		if errors.As(err, &refused) && refused.Status == 404 {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		mu.Lock()
		defer mu.Unlock()
		if len(known) >= maxKnown {
			clear(known)
		}
		known[id] = struct{}{}
		return true, nil
	}
}
