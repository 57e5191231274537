package durable_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

// TestRestartContinues: what one run owed the next one does, under the same keys, in an exclusive store at once and
// in a shared one when the lease has run out.
func TestRestartContinues(t *testing.T) {
	for name, tt := range map[string]struct {
		features durable.Features
		after    time.Duration
	}{"exclusive": {exclusive, 0}, "shared": {shared, 20 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tt.features, func(t *testing.T, h *house) {
				down := &others{do: busy}
				first, stop := h.open("first", down)
				h.create(first, "r", "a t~1h")
				synctest.Wait()
				stop()
				up := &others{}
				begun := time.Now()
				second, stop := h.open("second", up)
				if log := h.log(second, "r", 2); log[1] != "a.done" {
					t.Errorf("log %v", log)
				}
				if took := time.Since(begun); took < tt.after || took > tt.after+31*time.Second {
					t.Errorf("it went on after %s", took)
				}
				for key := range up.tried() {
					if down.tried()[key] == 0 {
						t.Errorf("the second run used the key %s, the first %v", key, down.tried())
					}
				}
				if log := h.log(second, "r", 3); log[2] != "t.due" || time.Since(begun) > time.Hour+time.Minute {
					t.Errorf("log %v after %s", log, time.Since(begun))
				}
				stop()
			})
		})
	}
}

// TestTwoRunners: two instances share one store; when one stalls longer than its lease the other takes its work over,
// and what the first one's sends come to in the end is applied once.
func TestTwoRunners(t *testing.T) {
	inBubble(t, shared, func(t *testing.T, h *house) {
		wake := make(chan struct{})
		slow, quick := &others{do: stalled(wake)}, &others{}
		one, stopOne := h.open("one", slow)
		two, stopTwo := h.open("two", quick)
		const records = 40
		for i := range records {
			h.create(one, fmt.Sprintf("r%d", i), "a")
		}
		time.Sleep(20 * time.Second)
		if n := len(quick.tried()); n > 0 {
			t.Errorf("%d effects were sent by the other before the lease ran out", n)
		}
		for i := range records {
			h.log(two, fmt.Sprintf("r%d", i), 2)
		}
		close(wake) // the stall ends: every send of the first comes back
		synctest.Wait()
		for i := range records {
			id := fmt.Sprintf("r%d", i)
			if _, err := one.Apply(t.Context(), id, note("e2", "")); err != nil {
				t.Error(err)
			}
			if log := h.log(two, id, 3); !slices.Equal(log, []string{"note-e1", "a.done", "note-e2"}) {
				t.Errorf("%s: %v", id, log)
			}
		}
		for key, n := range quick.tried() {
			if slow.tried()[key] != 1 || n != 1 {
				t.Errorf("%s: %d and %d times", key, slow.tried()[key], n)
			}
		}
		stopOne()
		stopTwo()
	})
}

// TestTwoRunnersRace: events for the same records through two instances at once are each applied once.
func TestTwoRunnersRace(t *testing.T) {
	inBubble(t, shared, func(t *testing.T, h *house) {
		one, stopOne := h.open("one", &others{})
		two, stopTwo := h.open("two", &others{})
		h.create(one, "r", "")
		var all sync.WaitGroup
		for _, r := range []*durable.Runner[diary]{one, two} {
			all.Go(func() {
				for i := range 30 {
					if _, err := r.Apply(t.Context(), "r", note(fmt.Sprint(i), "m!")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if log := h.log(two, "r", 31); len(log) != 31 {
			t.Errorf("%d entries: %v", len(log), log)
		}
		stopOne()
		stopTwo()
	})
}

// TestManyOwed: more records than are claimed at once are all taken up after a restart, though nothing that they owe
// can be carried out; also under a virtual clock, where asking the store again and again would stop time.
func TestManyOwed(t *testing.T) {
	c := clock.Virtual(noon)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go c.Run(ctx)
	store := memory.New(exclusive)
	open := func(owner string, x *others) *durable.Runner[diary] {
		r := durable.NewRunner(scribe{}, durable.Options{Name: "diaries", Owner: owner, Store: store, Clock: c, Executor: x})
		r.Start()
		return r
	}
	const records = 700
	first := open("first", &others{do: busy})
	for i := range records {
		if _, _, err := first.Create(t.Context(), fmt.Sprintf("r%d", i), "", note("e1", "a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	tried, all := map[string]bool{}, make(chan struct{})
	second := open("second", &others{do: func(ctx context.Context, o durable.Owed, n int) durable.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if tried[o.ID] = true; len(tried) == records && n == 1 {
			close(all)
		}
		return busy(ctx, o, n)
	}})
	c.Release()
	select {
	case <-all:
	case <-time.After(20 * time.Second): // a watchdog, not a wait
		t.Errorf("only %d of %d were tried; the clock shows %s", len(tried), records, c.Now())
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
