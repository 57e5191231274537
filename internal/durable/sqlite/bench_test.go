//go:build unix

package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
)

// bulk is a record as an order in the middle of its life is one: 1.5 KB of state, two effects owed, twelve events
// seen.
func bulk(i int) durable.Record {
	now := time.Now().UTC()
	r := durable.Record{
		ID: fmt.Sprintf("0196f0c2-7d3a-7000-8000-%012d", i), Key: fmt.Sprint("key ", i), Party: "0196f0c2-7d3a-7000-8000-000000000001", Version: 1,
		Created: now, Updated: now, Due: now, Owner: "instance-1", Lease: now, Minted: 5,
		State: []byte(`{"note":"` + strings.Repeat("abcdefghi ", 150) + `"}`),
	}
	for _, name := range []string{"pay", "tell"} {
		e := durable.Command(name, "payment", "POST /v1/payments", map[string]any{"order": r.ID, "cents": 2350, "card": "tok_4242"}, now)
		r.Owed = append(r.Owed, durable.Owed{Effect: e, ID: r.ID + "/" + name + "/1"})
	}
	for n := range 12 {
		r.Seen = append(r.Seen, durable.Seen{ID: fmt.Sprintf("%s/status/%d", r.ID, n), Hash: "0123456789abcdef01234567"})
	}
	return r
}

// BenchmarkSave compares saves by many callers with the least that SQLite can do for as many: one prepared UPDATE
// of as many bytes by primary key, in the same batches, from a single loop. Both take turns in the same run;
// the figures are medians of the rounds.
func BenchmarkSave(b *testing.B) {
	for _, savers := range []int{16, 256} {
		b.Run(fmt.Sprint("savers=", savers), func(b *testing.B) { benchmarkSave(b, savers) })
	}
}

func benchmarkSave(b *testing.B, savers int) {
	round := 32 * 256
	bare := newBare(b, savers)
	db := open(b, filepath.Join(b.TempDir(), "store.db"))
	store := orders(b, db)
	records := make([]durable.Record, savers)
	for i := range records {
		records[i] = bulk(i)
		if err := store.Create(b.Context(), records[i]); err != nil {
			b.Fatal(err)
		}
	}
	before := db.Stats()
	var plain, ours, plainCPU, oursCPU []time.Duration
	measure := func(f func()) (wall, cpu time.Duration) {
		start, used := time.Now(), cpuTime()
		f()
		return time.Since(start) / time.Duration(round), (cpuTime() - used) / time.Duration(round)
	}
	for b.Loop() {
		wall, cpu := measure(func() { bare.update(b, round) })
		plain, plainCPU = append(plain, wall), append(plainCPU, cpu)
		wall, cpu = measure(func() { saveAll(b, store, records, round) })
		ours, oursCPU = append(ours, wall), append(oursCPU, cpu)
	}
	after := db.Stats()
	us := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2]) / float64(time.Microsecond)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us(plain), "bare-us/save")
	b.ReportMetric(us(ours), "us/save")
	b.ReportMetric(us(plainCPU), "bare-cpu-us/save")
	b.ReportMetric(us(oursCPU), "cpu-us/save")
	b.ReportMetric(1e6/us(ours), "saves/s")
	b.ReportMetric(us(plain)/us(ours), "ratio")
	b.ReportMetric(float64(after.Writes-before.Writes)/float64(after.Commits-before.Commits), "saves/commit")
}

// saveAll saves n times in all, every record by a goroutine of its own.
func saveAll(b *testing.B, store durable.Store, records []durable.Record, n int) {
	var wg sync.WaitGroup
	for i := range records {
		wg.Go(func() {
			for range n / len(records) {
				records[i].Version++
				records[i].Updated = records[i].Updated.Add(time.Millisecond)
				records[i].Due = records[i].Updated
				if err := store.Save(context.Background(), records[i]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bare is SQLite without us.
type bare struct {
	db    *sql.DB
	ids   []string
	state string
	round int
}

func newBare(b *testing.B, savers int) *bare {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-16000)")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec("CREATE TABLE t (id TEXT PRIMARY KEY, state TEXT)"); err != nil {
		b.Fatal(err)
	}
	bare := &bare{db: db}
	for i := range savers {
		r := bulk(i)
		bare.ids = append(bare.ids, r.ID)
		bare.state = strings.Repeat("x", rowBytes(b, r))
		if _, err := db.Exec("INSERT INTO t VALUES (?, ?)", r.ID, bare.state); err != nil {
			b.Fatal(err)
		}
	}
	return bare
}

func (p *bare) update(b *testing.B, n int) {
	stmt, err := p.db.Prepare("UPDATE t SET state = ? WHERE id = ?")
	if err != nil {
		b.Fatal(err)
	}
	for range n / len(p.ids) {
		tx, err := p.db.Begin()
		if err != nil {
			b.Fatal(err)
		}
		s := tx.Stmt(stmt)
		p.round++
		state := fmt.Sprintf("%08d", p.round) + p.state[8:] // SQLite does not write what is there already
		for _, id := range p.ids {
			if _, err := s.Exec(state, id); err != nil {
				b.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	_ = stmt.Close()
}

func rowBytes(b *testing.B, r durable.Record) int {
	n, err := sqlite.RowBytes(r)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkArrivals: 20,000 saves of 4,000 records arrive each second, ten every half millisecond, as fast or slow
// as the store may be.
func BenchmarkArrivals(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "store.db"))
	store := orders(b, db)
	records := make([]durable.Record, 4000)
	free := make(chan int, len(records))
	for i := range records {
		records[i] = bulk(i)
		if err := store.Create(b.Context(), records[i]); err != nil {
			b.Fatal(err)
		}
		free <- i
	}
	var mu sync.Mutex
	var took []time.Duration
	before, used, start := db.Stats(), cpuTime(), time.Now()
	for b.Loop() {
		var wg sync.WaitGroup
		tick := time.NewTicker(500 * time.Microsecond)
		for range 2000 {
			<-tick.C
			for range 10 {
				i, at := <-free, time.Now()
				wg.Go(func() {
					records[i].Version++
					if err := store.Save(context.Background(), records[i]); err != nil {
						b.Error(err)
					}
					mu.Lock()
					took = append(took, time.Since(at))
					mu.Unlock()
					free <- i
				})
			}
		}
		tick.Stop()
		wg.Wait()
	}
	after := db.Stats()
	slices.Sort(took)
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us(took[len(took)/2]), "p50-us")
	b.ReportMetric(us(took[len(took)*99/100]), "p99-us")
	b.ReportMetric(us(cpuTime()-used)/float64(len(took)), "cpu-us/save")
	b.ReportMetric(float64(len(took))/time.Since(start).Seconds(), "saves/s")
	b.ReportMetric(float64(after.Writes-before.Writes)/float64(after.Commits-before.Commits), "saves/commit")
}
