package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

var (
	exclusive = durable.Features{Exclusive: true}
	shared    = durable.Features{}
)

// others is the world outside: it carries effects out as do says and counts attempts by key.
type others struct {
	do func(ctx context.Context, o durable.Owed, attempt int) durable.Outcome

	mu    sync.Mutex
	tries map[string]int
}

func (x *others) Execute(ctx context.Context, o durable.Owed, key string) durable.Outcome {
	x.mu.Lock()
	if x.tries == nil {
		x.tries = map[string]int{}
	}
	x.tries[key]++
	attempt := x.tries[key]
	x.mu.Unlock()
	if x.do == nil {
		return durable.Outcome{Verdict: durable.Accepted, Body: []byte("{}")}
	}
	return x.do(ctx, o, attempt)
}

func (x *others) tried() map[string]int {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := make(map[string]int, len(x.tries))
	for k, n := range x.tries {
		all[k] = n
	}
	return all
}

// accepted and busy are what the others answer.
func accepted(context.Context, durable.Owed, int) durable.Outcome {
	return durable.Outcome{Verdict: durable.Accepted, Body: []byte("{}")}
}

func busy(context.Context, durable.Owed, int) durable.Outcome {
	return durable.Outcome{Detail: "busy"}
}

// stalled carries nothing out until it is told, or broken off.
func stalled(until <-chan struct{}) func(context.Context, durable.Owed, int) durable.Outcome {
	return func(ctx context.Context, o durable.Owed, n int) durable.Outcome {
		select {
		case <-until:
			return accepted(ctx, o, n)
		case <-ctx.Done():
			return durable.Outcome{Detail: ctx.Err().Error()}
		}
	}
}

// house is what one test's runners share: a store, and a clock whose loop runs until the test ends.
type house struct {
	t     *testing.T
	store durable.Store
	clock *clock.Clock
}

// inBubble runs a test under synctest with a clock that follows the bubble's time.
func inBubble(t *testing.T, features durable.Features, test func(*testing.T, *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, err := clock.New(noon, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { c.Run(ctx) })
		test(t, &house{t, memory.New(features), c})
		cancel()
		loop.Wait()
	})
}

// open starts a runner; the returned stop stops it and fails the test where that fails.
func (h *house) open(owner string, x *others, change ...func(*durable.Options)) (r *durable.Runner[diary], stop func()) {
	opt := durable.Options{Name: "diaries", Owner: owner, Store: h.store, Clock: h.clock, Executor: x}
	for _, f := range change {
		f(&opt)
	}
	r = durable.NewRunner(scribe{}, opt)
	r.Start()
	return r, func() {
		h.t.Helper()
		if err := r.Stop(h.t.Context()); err != nil {
			h.t.Error(err)
		}
	}
}

func note(id, owes string) durable.Event {
	return durable.Event{ID: id, Type: "note-" + id, Body: []byte(owes)}
}

func (h *house) create(r *durable.Runner[diary], id, owes string) {
	h.t.Helper()
	if _, _, err := r.Create(h.t.Context(), id, "", note("e1", owes)); err != nil {
		h.t.Fatal(err)
	}
}

// log waits until the record's diary has n entries.
func (h *house) log(r *durable.Runner[diary], id string, n int) []string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Hour)
	defer cancel()
	a, err := r.Await(ctx, id, func(d diary) bool { return len(d.Log) >= n })
	if err != nil {
		h.t.Fatalf("%s has %v: %v", id, a.State.Log, err)
	}
	return a.State.Log
}

func (h *house) owed(id string) []durable.Owed {
	h.t.Helper()
	rec, err := h.store.Load(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return rec.Owed
}

// TestManyAtOnce: however many bring events to one record, and bring them twice, each is applied once.
func TestManyAtOnce(t *testing.T) {
	for name, features := range map[string]durable.Features{"exclusive": exclusive, "shared": shared} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, features, func(t *testing.T, h *house) {
				x := &others{}
				r, stop := h.open("us", x)
				h.create(r, "r", "")
				const callers, each = 20, 3 // no more than the inbox remembers
				var all sync.WaitGroup
				for i := range callers {
					for range 2 {
						all.Go(func() {
							for j := range each {
								id := fmt.Sprintf("%d-%d", i, j)
								if a, err := r.Apply(t.Context(), "r", note(id, "m!")); err != nil || !slices.Contains(a.State.Log, "note-"+id) {
									t.Errorf("%s: %v, %v", id, a.State.Log, err)
								}
							}
						})
					}
				}
				all.Wait()
				seen := map[string]bool{}
				for _, entry := range h.log(r, "r", 1+callers*each) {
					if seen[entry] {
						t.Errorf("%s was applied twice", entry)
					}
					seen[entry] = true
				}
				if len(seen) != 1+callers*each {
					t.Errorf("%d events were applied", len(seen))
				}
				stop()
			})
		})
	}
}

// TestStopDrains: Stop waits for what is under way and saves what is known, and takes nothing more.
func TestStopDrains(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		finish := make(chan struct{})
		r, _ := h.open("us", &others{do: stalled(finish)})
		h.create(r, "r", "a t~1h")
		h.create(r, "marks only", "m! ignored")
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- r.Stop(t.Context()) }()
		synctest.Wait()
		if len(stopped) > 0 {
			t.Fatal("it stopped with work under way")
		}
		_, _, createErr := r.Create(t.Context(), "r2", "", note("e1", ""))
		_, applyErr := r.Apply(t.Context(), "r", note("e2", ""))
		_, _, watchErr := r.Watch("r")
		for what, err := range map[string]error{
			"Create": createErr, "Apply": applyErr, "Watch": watchErr, "Unpark": r.Unpark(t.Context(), "r", "a"),
		} {
			if !errors.Is(err, durable.ErrStopping) {
				t.Errorf("%s while it stops: %v", what, err)
			}
		}
		close(finish)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		for id, left := range map[string]int{"r": 1, "marks only": 0} { // the timer is left
			if owed := h.owed(id); len(owed) != left {
				t.Errorf("%s: after Stop it owes %+v", id, owed)
			}
		}
	})
}

// TestStopBreaksOff: Stop ends with its context; what was under way is still owed, and nobody waits for ever.
func TestStopBreaksOff(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		never := make(chan struct{})
		r, _ := h.open("us", &others{do: stalled(never)})
		h.create(r, "r", "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop: %v", err)
		}
		if owed := h.owed("r"); len(owed) != 1 {
			t.Errorf("owed %+v", owed)
		}
	})
}

// TestEviction: records beyond the hot ones are forgotten, and their timers ring all the same.
func TestEviction(t *testing.T) {
	for name, features := range map[string]durable.Features{"exclusive": exclusive, "shared": shared} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, features, func(t *testing.T, h *house) {
				r, stop := h.open("us", &others{}, func(o *durable.Options) { o.Hot = 4 })
				const records = 100
				begun := time.Now()
				for i := range records {
					h.create(r, fmt.Sprintf("r%d", i), fmt.Sprintf("t~%ds", 10+i))
				}
				for i := range records {
					if log := h.log(r, fmt.Sprintf("r%d", i), 2); log[1] != "t.due" {
						t.Errorf("r%d: %v", i, log)
					}
					if late := time.Since(begun) - time.Duration(10+i)*time.Second; late > 2*time.Second {
						t.Errorf("r%d rang %s late", i, late)
					}
				}
				stop()
			})
		})
	}
}

// TestRetries: an effect that fails for a while is tried under one key until it is done.
func TestRetries(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		x := &others{do: func(ctx context.Context, o durable.Owed, attempt int) durable.Outcome {
			if attempt < 7 {
				return busy(ctx, o, attempt)
			}
			return accepted(ctx, o, attempt)
		}}
		r, stop := h.open("us", x)
		h.create(r, "r", "a")
		h.log(r, "r", 2)
		if tried := x.tried(); len(tried) != 1 || tried["r/a/1"] != 7 {
			t.Errorf("tried %v", tried)
		}
		stop()
	})
}

// doors is a store whose saves pass a door that the test keeps.
type doors struct {
	*memory.Store
	save func(durable.Record) error // nil: open
}

func (d *doors) Save(ctx context.Context, r durable.Record) error {
	if d.save != nil {
		if err := d.save(r); err != nil {
			return err
		}
	}
	return d.Store.Save(ctx, r)
}

// TestCallerGivesUp: a caller that goes away is told that nobody knows; the event is applied all the same.
func TestCallerGivesUp(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		open := make(chan struct{})
		h.store = &doors{memory.New(exclusive), func(durable.Record) error { <-open; return nil }}
		r, stop := h.open("us", &others{})
		h.create(r, "r", "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Apply(ctx, "r", note("e2", "")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Apply: %v", err)
		}
		close(open)
		if log := h.log(r, "r", 2); log[1] != "note-e2" {
			t.Errorf("log %v", log)
		}
		stop()
	})
}

// TestStoreFails: the sender is told and nothing is applied; an effect's outcome waits and is not lost.
func TestStoreFails(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		var saves atomic.Int32 // the event's first, then of its effect's outcome three, fail
		h.store = &doors{memory.New(exclusive), func(durable.Record) error {
			if n := saves.Add(1); n == 1 || n >= 3 && n <= 5 {
				return errDisk
			}
			return nil
		}}
		x := &others{}
		r, stop := h.open("us", x)
		h.create(r, "r", "")
		if a, err := r.Apply(t.Context(), "r", note("e2", "")); !errors.Is(err, errDisk) {
			t.Errorf("Apply: %v, %v", a, err)
		}
		if a, err := r.View(t.Context(), "r"); err != nil || len(a.State.Log) != 1 {
			t.Errorf("View: %v, %v", a, err)
		}
		if _, err := r.Apply(t.Context(), "r", note("e2", "a")); err != nil {
			t.Error(err)
		}
		if log := h.log(r, "r", 3); log[2] != "a.done" {
			t.Errorf("log %v", log)
		}
		if tried := x.tried(); len(tried) != 1 || tried["r/a/1"] != 1 {
			t.Errorf("the outcome was lost and the effect sent again: %v", tried)
		}
		if n := saves.Load(); n != 6 {
			t.Errorf("%d saves, want 6", n)
		}
		stop()
	})
}

func TestNotFound(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		r, stop := h.open("us", &others{})
		_, applyErr := r.Apply(t.Context(), "r", note("e1", ""))
		_, viewErr := r.View(t.Context(), "r")
		_, awaitErr := r.Await(t.Context(), "r", func(diary) bool { return true })
		_, recordErr := r.Record(t.Context(), "r")
		for what, err := range map[string]error{
			"Apply": applyErr, "View": viewErr, "Await": awaitErr, "Record": recordErr, "Unpark": r.Unpark(t.Context(), "r", "a"),
		} {
			if !errors.Is(err, durable.ErrNotFound) {
				t.Errorf("%s of nothing: %v", what, err)
			}
		}
		stop()
	})
}

// TestKeys: the same event under a key is answered by the record that has the key; another event is a mistake.
func TestKeys(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		r, stop := h.open("us", &others{})
		place := func(id, body string) (string, durable.Applied[diary], error) {
			return r.Create(t.Context(), id, "key", durable.Event{ID: "place", Type: "place", Hash: body})
		}
		if id, a, err := place("r1", "x"); id != "r1" || a.Version != 1 || err != nil {
			t.Errorf("%s, %v, %v", id, a, err)
		}
		if id, a, err := place("r2", "x"); id != "r1" || a.Version != 1 || err != nil {
			t.Errorf("again: %s, %v, %v", id, a, err)
		}
		if id, _, err := place("r3", "y"); id != "r1" || !errors.Is(err, durable.ErrKeyReused) {
			t.Errorf("another: %s, %v", id, err)
		}
		stop()
	})
}

// TestAwait: it returns when the state is as wished, with the state of then, or when its context ends, with the last.
func TestAwait(t *testing.T) {
	for name, features := range map[string]durable.Features{"exclusive": exclusive, "shared": shared} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, features, func(t *testing.T, h *house) {
				r, stop := h.open("us", &others{})
				writer, stopWriter := r, func() {}
				if !features.Exclusive { // another instance's commits are seen, too
					writer, stopWriter = h.open("other", &others{})
				}
				h.create(writer, "r", "")
				got := make(chan []string, 1)
				go func() {
					a, err := r.Await(t.Context(), "r", func(d diary) bool { return len(d.Log) >= 3 })
					if err != nil {
						t.Error(err)
					}
					got <- a.State.Log
				}()
				for _, id := range []string{"e2", "e3"} {
					synctest.Wait()
					if len(got) > 0 {
						t.Errorf("it returned before %s", id)
					}
					if _, err := writer.Apply(t.Context(), "r", note(id, "")); err != nil {
						t.Error(err)
					}
				}
				if log := <-got; len(log) != 3 {
					t.Errorf("log %v", log)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				a, err := r.Await(ctx, "r", func(diary) bool { return false })
				if !errors.Is(err, context.DeadlineExceeded) || len(a.State.Log) != 3 {
					t.Errorf("%v, %v", a, err)
				}
				stopWriter()
				stop()
			})
		})
	}
}

// TestWatch: a value after each commit, at most one waiting, none after stop.
func TestWatch(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		r, stop := h.open("us", &others{})
		h.create(r, "r", "")
		changed, unwatch, err := r.Watch("r")
		if err != nil {
			t.Fatal(err)
		}
		apply := func(id string) {
			if _, err := r.Apply(t.Context(), "r", note(id, "")); err != nil {
				t.Error(err)
			}
		}
		apply("e2")
		<-changed
		apply("e3")
		apply("e4")
		synctest.Wait()
		if len(changed) != 1 {
			t.Errorf("%d values wait", len(changed))
		}
		<-changed
		unwatch()
		apply("e5")
		synctest.Wait()
		if len(changed) != 0 {
			t.Error("told after the end")
		}
		stop()
	})
}

// TestUnpark: what is parked stays so over a restart, and is carried out when a person says so.
func TestUnpark(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		x := &others{do: func(context.Context, durable.Owed, int) durable.Outcome {
			return durable.Outcome{Verdict: durable.Rejected, Detail: "no"}
		}}
		r, stop := h.open("us", x)
		h.create(r, "r", "fails")
		time.Sleep(time.Hour)
		stop()
		if owed := h.owed("r"); len(owed) != 1 || owed[0].Parked != errScribe.Error() {
			t.Fatalf("owed %+v", owed)
		}
		r, stop = h.open("us, again", x)
		time.Sleep(time.Hour)
		if tried := x.tried(); tried["r/fails/1"] != 1 {
			t.Errorf("tried %v while it was parked", tried)
		}
		if err := r.Unpark(t.Context(), "r", "fails"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if tried := x.tried(); len(tried) != 1 || tried["r/fails/1"] != 2 {
			t.Errorf("tried %v", tried)
		}
		var refusal *durable.Refusal
		if err := r.Unpark(t.Context(), "r", "nothing"); !errors.As(err, &refusal) {
			t.Errorf("Unpark of nothing: %v", err)
		}
		stop()
	})
}

// TestSendsAreBounded: no more effects are carried out at once than was allowed.
func TestSendsAreBounded(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		var mu sync.Mutex
		now, most := 0, 0
		x := &others{do: func(ctx context.Context, o durable.Owed, n int) durable.Outcome {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return accepted(ctx, o, n)
		}}
		r, stop := h.open("us", x, func(o *durable.Options) { o.Sends = 3 })
		for i := range 20 {
			h.create(r, fmt.Sprintf("r%d", i), "a b")
		}
		for i := range 20 {
			h.log(r, fmt.Sprintf("r%d", i), 3)
		}
		if most != 3 {
			t.Errorf("%d at once", most)
		}
		stop()
	})
}

// TestList pages through the records, newest id first, and says which one cannot be read.
func TestList(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		r, stop := h.open("us", &others{})
		for i := range 5 {
			h.create(r, fmt.Sprintf("r%d", i), "")
		}
		var ids []string
		before := ""
		for {
			states, records, err := r.List(t.Context(), "", before, 2)
			if err != nil || len(states) != len(records) {
				t.Fatal(err)
			}
			for i, rec := range records {
				ids = append(ids, rec.ID)
				if states[i].Version != 1 || len(states[i].State.Log) != 1 {
					t.Errorf("%s: %+v", rec.ID, states[i])
				}
				before = rec.ID
			}
			if len(records) < 2 {
				break
			}
		}
		if got := strings.Join(ids, " "); got != "r4 r3 r2 r1 r0" {
			t.Error(got)
		}
		if err := h.store.Create(t.Context(), durable.Record{ID: "r9", State: []byte("{")}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.List(t.Context(), "", "", 9); err == nil || !strings.Contains(err.Error(), "r9") {
			t.Errorf("List: %v", err)
		}
		if _, err := r.Apply(t.Context(), "r9", note("e1", "")); err == nil || !strings.Contains(err.Error(), "r9") {
			t.Errorf("Apply: %v", err)
		}
		stop()
	})
}
