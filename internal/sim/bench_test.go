package sim

import "testing"

// BenchmarkFaultedOrders is the time for one faulted order, with every processor at work.
func BenchmarkFaultedOrders(b *testing.B) {
	r := Run(Config{Orders: b.N, Seed: 1, Faults: All})
	if len(r.Violations) > 0 {
		b.Fatal(r.Violations[0])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
	b.ReportMetric(float64(r.Steps)/float64(b.N), "steps/order")
}
