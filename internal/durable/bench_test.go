package durable_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

// tally counts its events, and has each counted by somebody else too.
type tally struct{ durable.JSON[int] }

func (tally) Step(n int, e durable.Event) (int, []durable.Effect, error) {
	if e.Type != "count" {
		return n, nil, durable.ErrIgnored
	}
	return n + 1, []durable.Effect{durable.Command("count", "there", "POST /", nil, time.Time{})}, nil
}

// BenchmarkEvent is one event of a warm record: its step, its save, its command and the command's result.
func BenchmarkEvent(b *testing.B) {
	cell := durable.NewCell(tally{}, durable.Terms{Owner: "us", Lease: time.Minute, FlushAfter: time.Second, Exclusive: true}, "r")
	ids := make([]string, 2*durable.MaxSeen)
	for i := range ids {
		ids[i] = fmt.Sprintf("event-%d", i)
	}
	now, saves, sends := noon, 0, 0
	drive := func() {
		for {
			switch act := cell.Next(now); act.Kind {
			case durable.ActNone:
				return
			case durable.ActSave:
				saves++
				cell.Saved(nil, now)
			case durable.ActSend:
				sends++
				cell.Sent(act.Owed.ID, durable.Outcome{Verdict: durable.Accepted, Body: []byte("{}")})
			}
		}
	}
	cell.DeliverNew(1, "", durable.Event{ID: "first", Type: "count"})
	drive()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		cell.Deliver(1, durable.Event{ID: ids[i%len(ids)], Type: "count", Hash: "-"})
		drive()
	}
	b.ReportMetric(float64(saves)/float64(b.N), "saves/op")
	if sends != saves {
		b.Errorf("%d saves, %d sends", saves, sends)
	}
}

// BenchmarkRunner is one event through the runner and a store in memory: apply, save, send, outcome.
func BenchmarkRunner(b *testing.B) {
	c, err := clock.New(noon, 1)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var loop sync.WaitGroup
	loop.Go(func() { c.Run(ctx) })
	r := durable.NewRunner(tally{}, durable.Options{
		Name: "tallies", Owner: "us", Store: memory.New(exclusive), Clock: c, Executor: &others{},
	})
	r.Start()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprintf("r%d", i%1000)
		if _, _, err := r.Create(b.Context(), id, "", durable.Event{Type: "count", Hash: "-"}); err != nil {
			b.Fatal(err)
		}
	}
	if err := r.Stop(context.Background()); err != nil {
		b.Error(err)
	}
	cancel()
	loop.Wait()
}
