package telemetry

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// orders counts how far orders come, by the business clock.
type orders struct {
	total       *prometheus.CounterVec
	stages      *prometheus.HistogramVec
	clickToDoor prometheus.Histogram

	reached [len(statuses)]prometheus.Counter
	between [len(statuses)][len(statuses)]func() prometheus.Observer // made when first seen
}

// statuses are those there are. (An array, so that what is counted by them has its size.)
var statuses = [...]wire.Status{
	wire.Created, wire.PaymentPaid, wire.DeliveryScheduled, wire.DriverAvailable, wire.CookingScheduled, wire.CookingMeal,
	wire.CookingDone, wire.PickedUp, wire.InTransit, wire.Delivered, wire.PaymentFailed, wire.OrderCancelled, wire.Reimbursed,
}

func newOrders() *orders {
	o := &orders{
		total: counter("tiffin_orders_total", "Orders that have come to a status, each counted once, by the instance that applied it.", "status"),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tiffin_order_stage_seconds", Help: "How long orders took from one status to the next, by the business clock.",
			Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 7200},
		}, []string{"from", "to"}),
		clickToDoor: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tiffin_order_click_to_door_seconds", Help: "How long delivered orders took from the click to the door, by the business clock.",
			Buckets: []float64{60, 300, 600, 900, 1200, 1500, 1800, 2100, 2400, 2700, 3000, 3600, 4500, 5400, 7200},
		}),
	}
	for i, s := range statuses {
		o.reached[i] = o.total.WithLabelValues(string(s))
		for j, next := range statuses {
			o.between[i][j] = sync.OnceValue(func() prometheus.Observer { return o.stages.WithLabelValues(string(s), string(next)) })
		}
	}
	return o
}

// Order counts a status that an order has come to: the last of its history.
func (m *Metrics) Order(history []wire.Moment) {
	if len(history) == 0 {
		return
	}
	o, last := m.orders, history[len(history)-1]
	to := slices.Index(statuses[:], last.Status)
	if to < 0 {
		return
	}
	o.reached[to].Inc()
	if len(history) == 1 {
		return
	}
	was := history[len(history)-2]
	if from := slices.Index(statuses[:], was.Status); from >= 0 {
		o.between[from][to]().Observe(last.When.Sub(was.When).Seconds())
	}
	if last.Status == wire.Delivered {
		o.clickToDoor.Observe(last.When.Sub(history[0].When).Seconds())
	}
}
