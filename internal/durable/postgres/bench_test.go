package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/postgres"
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

// BenchmarkSave compares saves by many callers with the least that PostgreSQL can do for as many on as many
// connections: one prepared UPDATE of as many bytes by primary key, each committed. Both take turns in the same run;
// the figures are medians of the rounds.
func BenchmarkSave(b *testing.B) {
	for _, savers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprint("savers=", savers), func(b *testing.B) { benchmarkSave(b, savers) })
	}
}

func benchmarkSave(b *testing.B, savers int) {
	round := max(512, 32*savers)
	url := database(b)
	db := open(b, postgres.Options{URL: url})
	store := orders(b, db)
	records := make([]durable.Record, savers)
	for i := range records {
		records[i] = bulk(i)
		if err := store.Create(b.Context(), records[i]); err != nil {
			b.Fatal(err)
		}
	}
	bare := newBare(b, url, records)
	var plain, ours []time.Duration
	var trips, saves uint64
	measure := func(f func()) time.Duration {
		start := time.Now()
		f()
		return time.Since(start) / time.Duration(round)
	}
	for b.Loop() {
		plain = append(plain, measure(func() { bare.update(b, round) }))
		before := db.Stats()
		ours = append(ours, measure(func() { saveAll(b, store, records, round) }))
		after := db.Stats()
		trips, saves = trips+after.RoundTrips-before.RoundTrips, saves+after.Writes-before.Writes
	}
	us := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2]) / float64(time.Microsecond)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us(plain), "bare-us/save")
	b.ReportMetric(us(ours), "us/save")
	b.ReportMetric(1e6/us(ours), "saves/s")
	b.ReportMetric(us(plain)/us(ours), "ratio")
	b.ReportMetric(float64(trips)/float64(saves), "trips/save")
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

// bare is PostgreSQL without us.
type bare struct {
	pool  *pgxpool.Pool
	ids   []string
	state []byte
}

func newBare(b *testing.B, url string, records []durable.Record) *bare {
	pool, err := pgxpool.New(b.Context(), parameter(url, "pool_max_conns", fmt.Sprint(postgres.DefaultMaxConns)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	bare := &bare{pool: pool}
	if _, err := pool.Exec(b.Context(), "CREATE TABLE bare (id text COLLATE \"C\" PRIMARY KEY, state bytea)"); err != nil {
		b.Fatal(err)
	}
	for _, r := range records {
		n, err := postgres.RowBytes(r)
		if err != nil {
			b.Fatal(err)
		}
		bare.ids, bare.state = append(bare.ids, r.ID), []byte(strings.Repeat(string(r.State), 9)[:n])
		if _, err := pool.Exec(b.Context(), "INSERT INTO bare VALUES ($1, $2)", r.ID, bare.state); err != nil {
			b.Fatal(err)
		}
	}
	return bare
}

func (p *bare) update(b *testing.B, n int) {
	var wg sync.WaitGroup
	for _, id := range p.ids {
		wg.Go(func() {
			for range n / len(p.ids) {
				if _, err := p.pool.Exec(context.Background(), "UPDATE bare SET state = $2 WHERE id = $1", id, p.state); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkClaim gives out 64 due records at a time, of 4,000 that are due and 100,000 that are not.
func BenchmarkClaim(b *testing.B) {
	url := database(b)
	store := orders(b, open(b, postgres.Options{URL: url}))
	query(b, url, `INSERT INTO tiffin.orders SELECT 'r' || i, NULL, 1, i, i, CASE WHEN i <= 4000 THEN i END, '', NULL, 0, '{}', '[]', '[]'
		FROM generate_series(1, 104000) AS i`)
	now := time.Unix(0, 1e6)
	took := make([]time.Duration, 0, 1000)
	for b.Loop() {
		now = now.Add(time.Second)
		start := time.Now()
		claimed, _, err := store.Claim(b.Context(), durable.Claim{Who: "x", Now: now, Lease: now.Add(time.Second), Limit: 64})
		took = append(took, time.Since(start))
		if err != nil || len(claimed) != 64 {
			b.Fatal(len(claimed), err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/float64(time.Microsecond), "p50-us")
}
