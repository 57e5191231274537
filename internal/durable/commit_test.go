package durable_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

// ledger is a store that keeps what every version was, and fails as it is told.
type ledger struct {
	*memory.Store
	fail func() (before, after error) // nil, nil: nothing is wrong

	mu     sync.Mutex
	states map[string][]string // by record, the version n at n-1
}

func newLedger(f durable.Features, fail func() (before, after error)) *ledger {
	return &ledger{Store: memory.New(f), fail: fail, states: map[string][]string{}}
}

func (l *ledger) write(r durable.Record, do func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, after := l.fail()
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	l.states[r.ID] = append(l.states[r.ID], string(r.State))
	return after
}

func (l *ledger) Create(ctx context.Context, r durable.Record) error {
	return l.write(r, func() error { return l.Store.Create(ctx, r) })
}

func (l *ledger) Save(ctx context.Context, r durable.Record) error {
	return l.write(r, func() error { return l.Store.Save(ctx, r) })
}

// told is what one runner's OnCommit heard.
type told struct {
	t    *testing.T
	l    *ledger
	mu   sync.Mutex
	last map[string]int64
	all  map[string]bool // "id version"
}

func (h *told) hear(id string, version int64, d diary) {
	h.l.mu.Lock()
	states := h.l.states[id]
	h.l.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if version < h.last[id] {
		h.t.Errorf("%s: told of version %d after %d", id, version, h.last[id])
	}
	h.last[id] = version
	h.all[fmt.Sprint(id, " ", version)] = true
	if version < 1 || version > int64(len(states)) {
		h.t.Errorf("%s: told of version %d, and the store has %d", id, version, len(states))
		return
	}
	state, err := scribe{}.Append(nil, d)
	if err != nil || string(state) != states[version-1] {
		h.t.Errorf("%s: told that version %d is %s, and it is %s", id, version, state, states[version-1])
	}
}

// TestOnCommit: it is told of every version, in their order, and of none that is not in the store: also where saves
// fail or conflict or nobody knows, and where two runners share the store. One of two is told of what it committed
// itself or read.
func TestOnCommit(t *testing.T) {
	none := func() (error, error) { return nil, nil }
	for name, c := range map[string]struct {
		features durable.Features
		runners  int
		faulty   bool
	}{
		"alone": {exclusive, 1, false}, "with faults": {exclusive, 1, true},
		"shared": {shared, 2, false}, "shared, with faults": {shared, 2, true},
	} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				inBubble(t, c.features, func(t *testing.T, h *house) {
					draws, calm := rand.New(rand.NewPCG(seed, 0)), false
					fail := none
					if c.faulty {
						fail = func() (error, error) {
							switch n := draws.IntN(8); {
							case calm || n > 3:
								return nil, nil
							case n == 3:
								return errors.New("away"), nil
							case n == 2:
								return durable.ErrUnknown, nil
							case n == 1:
								return nil, durable.ErrUnknown
							default:
								return durable.ErrConflict, nil
							}
						}
					}
					l := newLedger(c.features, fail)
					h.store = l
					var runners []*durable.Runner[diary]
					var heard []*told
					for i := range c.runners {
						x := &told{t: t, l: l, last: map[string]int64{}, all: map[string]bool{}}
						r := durable.NewRunner(scribe{}, durable.Options{
							Name: "diaries", Owner: fmt.Sprint("runner ", i), Store: l, Clock: h.clock, Executor: &others{}, Hot: 4,
						})
						r.OnCommit(x.hear)
						r.Start()
						runners, heard = append(runners, r), append(heard, x)
					}
					var events sync.WaitGroup
					for i := range 12 {
						events.Go(func() { // 3 records, each with events that owe something; who is refused does not come again
							id, e := fmt.Sprint("r", i%3), note(fmt.Sprint("e", i), "a b!")
							_, _, err := runners[i%c.runners].Create(t.Context(), id, "", e)
							if err != nil && !strings.Contains(err.Error(), "away") {
								t.Errorf("%s: %v", e.ID, err)
							}
						})
					}
					events.Wait()
					time.Sleep(time.Minute) // tries and marks
					synctest.Wait()
					l.mu.Lock()
					calm = true
					l.mu.Unlock()
					for _, r := range runners {
						if err := r.Stop(t.Context()); err != nil {
							t.Error(err)
						}
					}
					for id, states := range l.states {
						for version := range states {
							key := fmt.Sprint(id, " ", version+1)
							if !slices.ContainsFunc(heard, func(x *told) bool { return x.all[key] }) {
								t.Errorf("nobody was told of version %d of %d of %s", version+1, len(states), id)
							}
						}
					}
					if len(l.states) == 0 {
						t.Error("nothing was saved")
					}
				})
			})
		}
	}
}
