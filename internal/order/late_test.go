package order_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestLimitThatComesLate: a limit of a time when nobody was there does not end an order whose news may have waited
// outside. Who owes it is asked, and has the gap's time to answer, once.
func TestLimitThatComesLate(t *testing.T) {
	for _, c := range []struct {
		after []durable.Event
		limit string
		asks  string
		ends  string // empty: the transport company decides
		news  wire.Status
	}{
		{upTo(wire.Created), "paymentLimit", "POST /v1/payments/", "no answer from the card company", wire.PaymentPaid},
		{upTo(wire.DeliveryScheduled), "driverLimit", "POST /v1/deliveries/", "", wire.DriverAvailable},
		{upTo(wire.CookingScheduled), "kitchenLimit", "POST /v1/kitchen/", "no answer from the restaurant", wire.CookingMeal},
	} {
		t.Run(c.limit, func(t *testing.T) {
			l := newLife(c.after...)
			was, armed := l.state.Status, l.owed[c.limit].Due
			if armed.IsZero() {
				t.Fatalf("%s does not run", c.limit)
			}
			late := due(c.limit)
			late.Due = l.at.Add(time.Minute - order.DefaultLimits.Gap - time.Second) // apply is a minute later
			if err := l.apply(late); err != nil {
				t.Fatal(err)
			}
			if l.state.Status != was {
				t.Fatalf("it is %s", l.state.Status)
			}
			if got := l.owed[c.limit].Due.Sub(l.at); got != order.DefaultLimits.Gap {
				t.Errorf("the limit comes again in %s", got)
			}
			if work, _ := l.owes(); !slices.ContainsFunc(work, func(name string) bool {
				return strings.HasPrefix(l.owed[name].Op, c.asks) && strings.HasSuffix(l.owed[name].Op, "/ask")
			}) {
				t.Errorf("nobody is asked: %v", work)
			}

			heard := l.copy()
			if err := heard.apply(status(c.news)); err != nil || heard.state.Status != c.news {
				t.Errorf("the news that had waited: %v, it is %s", err, heard.state.Status)
			}
			if _, there := heard.owed[c.limit]; there {
				t.Error("the limit goes on")
			}

			again := due(c.limit)
			again.Due = noon.Add(-time.Hour) // away again: now it counts
			if err := l.apply(again); err != nil {
				t.Fatal(err)
			}
			if c.ends == "" {
				if _, asked := l.owed["cancelDelivery"]; !asked {
					t.Error("the transport company is not asked to let go")
				}
			} else if l.state.Status != wire.OrderCancelled || !strings.HasPrefix(l.state.Reason, c.ends) {
				t.Errorf("in the end it is %s: %s", l.state.Status, l.state.Reason)
			}
		})
	}
}
