package sqlite_test

import (
	"context"
	"github.com/tiffin-food/tiffin/internal/durable"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkOpenLoop: 20,000 saves arrive each second, whatever the store does.
func BenchmarkOpenLoop(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "store.db"))
	store := orders(b, db)
	const n = 4000
	recs := make(chan int, n)
	records := makeAll(b, store, n)
	for i := range n {
		recs <- i
	}
	var lat []time.Duration
	var mu sync.Mutex
	before, cpu := db.Stats(), cpuTime()
	total := 0
	start := time.Now()
	for b.Loop() {
		var wg sync.WaitGroup
		next := time.Now()
		for range 2000 {
			next = next.Add(500 * time.Microsecond)
			time.Sleep(time.Until(next))
			for range 10 {
				total++
				i := <-recs
				at := time.Now()
				wg.Go(func() {
					records[i].Version++
					if err := store.Save(context.Background(), records[i]); err != nil {
						b.Error(err)
					}
					recs <- i
					mu.Lock()
					lat = append(lat, time.Since(at))
					mu.Unlock()
				})
			}
		}
		wg.Wait()
	}
	_ = start
	after := db.Stats()
	slices.Sort(lat)
	b.ReportMetric(float64(lat[len(lat)/2])/1e3, "p50-us")
	b.ReportMetric(float64(lat[len(lat)*99/100])/1e3, "p99-us")
	b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(total), "cpu-us/save")
	b.ReportMetric(float64(after.Writes-before.Writes)/float64(after.Commits-before.Commits), "saves/commit")
	b.ReportMetric(float64(total)/time.Since(start).Seconds(), "saves/s")
}

func makeAll(b *testing.B, store durable.Store, n int) []durable.Record {
	records := make([]durable.Record, n)
	var wg sync.WaitGroup
	for i := range records {
		records[i] = bulk(i)
		wg.Go(func() {
			if err := store.Create(b.Context(), records[i]); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	return records
}
