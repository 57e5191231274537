package app

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// BenchmarkLife is one complete order, from POST at the gateway to delivered, with 200 of them under way at once:
// all services, the broker, SQLite and the companies, without sockets. ns/op is the time per order at saturation.
func BenchmarkLife(b *testing.B) {
	ctx := context.Background()
	sys, err := New(ctx, Config{Version: "bench", Data: b.TempDir(), Speed: 1, Partners: true, Demo: true, Behave: Misbehaviour{Quick: true}}, Services...)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := sys.Stop(ctx); err != nil {
			b.Error(err)
		}
	}()
	demo := dataset.Demo()
	order := client.Order{
		CustomerID: demo.Customers[0].ID,
		Items:      []wire.Item{{Product: demo.Restaurants[0].Items[0].Product, Quantity: 1}},
	}
	b.ReportAllocs()
	var orders sync.WaitGroup
	var settled tally
	if err := sys.broker.Tail(ctx, finals, settled.take); err != nil {
		b.Fatal(err)
	}
	placed, lost := int64(0), atomic.Int64{}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		for placed-lost.Load()-settled.count() >= 200 {
			<-tick.C
		}
		placed++
		orders.Go(func() {
			var refused *client.Error
			for { // until it is taken: 200 at once are more than some machines can do
				_, err := sys.Client.Place(ctx, order, "")
				if !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
					if err != nil {
						lost.Add(1)
						b.Error(err)
					}
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	orders.Wait()
	for settled.count()+lost.Load() < placed {
		<-tick.C
	}
}
