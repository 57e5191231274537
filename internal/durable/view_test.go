package durable_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

// counter counts its events.
type counter struct{ durable.JSON[int] }

func (counter) Step(n int, _ durable.Event) (int, []durable.Effect, error) { return n + 1, nil, nil }

// gates is a store whose first Load waits before it reads, and whose Save waits after it has written.
type gates struct {
	*memory.Store
	loads            chan func() // what the next Load does first
	written, heardOf chan struct{}
}

func (g gates) Load(ctx context.Context, id string) (durable.Record, error) {
	(<-g.loads)()
	return g.Store.Load(ctx, id)
}

func (g gates) Save(ctx context.Context, r durable.Record) error {
	err := g.Store.Save(ctx, r)
	close(g.written)
	<-g.heardOf
	return err
}

// TestViewNeverGoesBack: a record that is not in memory yet is read from the store, and that may be ahead of the cell
// by a save of which the cell has not heard. Who has seen it must not be shown less afterwards.
func TestViewNeverGoesBack(t *testing.T) {
	ctx := t.Context()
	g := gates{
		Store: memory.New(durable.Features{Exclusive: true}), loads: make(chan func(), 2),
		written: make(chan struct{}), heardOf: make(chan struct{}),
	}
	if err := g.Create(ctx, durable.Record{ID: "r", Version: 1, State: json.RawMessage("1"), Created: noon, Updated: noon}); err != nil {
		t.Fatal(err)
	}
	r := durable.NewRunner(counter{}, durable.Options{Name: "counters", Owner: "me", Store: g, Clock: clock.Virtual(noon)})
	reading, read := make(chan struct{}), make(chan struct{})
	g.loads <- func() { close(reading); <-read } // the reader's
	first := make(chan durable.Applied[int], 1)
	go func() {
		a, err := r.View(ctx, "r")
		if err != nil {
			t.Error(err)
		}
		first <- a
	}()
	<-reading
	g.loads <- func() {} // the cell's
	applied := make(chan error, 1)
	go func() {
		_, err := r.Apply(ctx, "r", durable.Event{ID: "e", Type: "event"})
		applied <- err
	}()
	<-g.written
	close(read)
	seen := <-first
	again, err := r.View(ctx, "r")
	if err != nil || again.Version < seen.Version {
		t.Errorf("version %d was seen, and then %d, %v", seen.Version, again.Version, err)
	}
	close(g.heardOf)
	if err := <-applied; err != nil {
		t.Error(err)
	}
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
}
