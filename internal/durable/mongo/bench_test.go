package mongo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/mongo"
	"github.com/tiffin-food/tiffin/internal/engines"
)

// bulk is a record as an order in the middle of its life is one: 1.5 KB of state, two effects owed, twelve events
// seen.
func bulk(i int) durable.Record {
	r := durable.Record{
		ID: fmt.Sprintf("0196f0c2-7d3a-7000-8000-%012d", i), Key: fmt.Sprint("key ", i), Party: "0196f0c2-7d3a-7000-8000-000000000001", Version: 1,
		Created: noon, Updated: noon, Due: noon, Owner: "instance-1", Lease: noon, Minted: 5,
		State: []byte(`{"note":"` + strings.Repeat("abcdefghi ", 150) + `"}`),
	}
	for _, name := range []string{"pay", "tell"} {
		e := durable.Command(name, "payment", "POST /v1/payments", map[string]any{"order": r.ID, "cents": 2350, "card": "tok_4242"}, noon)
		r.Owed = append(r.Owed, durable.Owed{Effect: e, ID: r.ID + "/" + name + "/1"})
	}
	for n := range 12 {
		r.Seen = append(r.Seen, durable.Seen{ID: fmt.Sprintf("%s/status/%d", r.ID, n), Hash: "0123456789abcdef01234567"})
	}
	return r
}

// BenchmarkSave is of the server that tests use. FerretDB, one write at a time, says little of MongoDB.
func BenchmarkSave(b *testing.B) {
	benchmarkSaves(b, func(b *testing.B) string { return engines.Place(b, engines.MongoDB) })
}

// BenchmarkClient is what this package and the driver cost: the server is a door that answers every update yes.
func BenchmarkClient(b *testing.B) {
	benchmarkSaves(b, func(b *testing.B) string {
		p, url := startProxy(b, engines.Place(b, engines.MongoDB))
		p.answer(func(command string) bson.D {
			if command == "update" {
				return bson.D{{Key: "n", Value: 1}, {Key: "nModified", Value: 1}, {Key: "ok", Value: 1.0}}
			}
			return nil
		})
		return url
	})
}

// benchmarkSaves compares saves with the least that the driver can do for as many bytes: one update by id and version
// of a document that is encoded already.
func benchmarkSaves(b *testing.B, place func(*testing.B) string) {
	for _, savers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprint("savers=", savers), func(b *testing.B) {
			at := place(b)
			db := open(b, mongo.Options{URL: at})
			store := orders(b, db)
			journal := true
			durably := &writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}
			bare := raw(b, at).Collection("orders", options.Collection().SetWriteConcern(durably))
			records := make([]durable.Record, savers)
			for i := range records {
				records[i] = bulk(i)
				must(b, store.Create(b.Context(), records[i]))
				twin := bulk(i)
				twin.ID, twin.Key = "bare "+twin.ID, ""
				must(b, store.Create(b.Context(), twin))
			}
			var encoded [2]bson.Raw // by turns: what changes nothing is not written
			for i := range encoded {
				r := bulk(0)
				r.Minted += int64(i)
				var err error
				encoded[i], err = bson.Marshal(mongo.Update(r)[0].Value)
				must(b, err)
			}
			var ours, plain []time.Duration
			var wall, plainWall time.Duration
			before := db.Stats()
			b.ReportAllocs()
			for b.Loop() { // turn about
				wall += each(records, &ours, func(r *durable.Record) {
					r.Version++
					r.Updated = r.Updated.Add(time.Millisecond)
					r.Due = r.Updated
					if err := store.Save(context.Background(), *r); err != nil {
						b.Error(err)
					}
				})
				plainWall += each(records, &plain, func(r *durable.Record) {
					filter := bson.D{{Key: "_id", Value: "bare " + r.ID}, {Key: "version", Value: int64(1)}}
					if _, err := bare.UpdateOne(context.Background(), filter, bson.D{{Key: "$set", Value: encoded[r.Version%2]}}); err != nil {
						b.Error(err)
					}
				})
			}
			after := db.Stats()
			ms := func(took []time.Duration, percent int) float64 {
				slices.Sort(took)
				return float64(took[len(took)*percent/100]) / float64(time.Millisecond)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(len(ours))/wall.Seconds(), "saves/s")
			b.ReportMetric(float64(len(plain))/plainWall.Seconds(), "bare-saves/s")
			b.ReportMetric(ms(ours, 50), "p50-ms")
			b.ReportMetric(ms(ours, 99), "p99-ms")
			b.ReportMetric(float64(plainWall)/float64(wall), "ratio")
			b.ReportMetric(float64(after.RoundTrips-before.RoundTrips)/float64(after.Writes-before.Writes), "round-trips/save")
		})
	}
}

// each calls save with every record at once, and says how long all of it took.
func each(records []durable.Record, took *[]time.Duration, save func(*durable.Record)) time.Duration {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	for i := range records {
		wg.Go(func() {
			at := time.Now()
			save(&records[i])
			mu.Lock()
			*took = append(*took, time.Since(at))
			mu.Unlock()
		})
	}
	wg.Wait()
	return time.Since(start)
}

// BenchmarkEncode is of a save's document, beside encoding/json of the same record.
func BenchmarkEncode(b *testing.B) {
	r := bulk(1)
	b.Run("bson", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bson.Marshal(mongo.Update(r)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
