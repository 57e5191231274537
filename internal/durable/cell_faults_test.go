package durable_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// TestAnyFaults drives a cell through whatever a store and the other side can do, crashes included, and then lets
// everything work: each event that was answered is applied once, nothing was sent that was not saved before, and
// nothing is owed in the end.
func TestAnyFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench("r", rapid.Bool().Draw(t, "exclusive"))
		w := &world{bench: b, answered: map[string]bool{}, stored: map[string]bool{}}
		w.play(t, rapid.IntRange(0, 40).Draw(t, "steps"))
		w.settle(t)
		applied := map[string]int{}
		var d diary
		if b.disk == nil {
			if len(w.answered) > 0 {
				t.Fatalf("answered %v and nothing is there", w.answered)
			}
			return
		}
		if err := json.Unmarshal(b.disk.State, &d); err != nil {
			t.Fatal(err)
		}
		for _, entry := range d.Log {
			applied[entry]++
		}
		for id := range w.answered {
			if applied["note-"+id] != 1 {
				t.Fatalf("%s was answered and applied %d times: %v", id, applied["note-"+id], d.Log)
			}
		}
		for entry, n := range applied {
			if strings.HasPrefix(entry, "note-") && n > 1 {
				t.Fatalf("%s was applied %d times", entry, n)
			}
		}
		if len(b.disk.Owed) > 0 {
			t.Fatalf("owed in the end: %+v", b.disk.Owed)
		}
	})
}

// world is what surrounds a cell in TestAnyFaults.
type world struct {
	*bench
	tokens   []string // what was delivered under token i+1
	answered map[string]bool
	stored   map[string]bool // effects that were ever on disk
}

// acts takes all acts.
func (w *world) acts(t *rapid.T) {
	for {
		act := w.cell.Next(w.now)
		switch act.Kind {
		case durable.ActNone:
			if wake := w.cell.Wake(); !w.loading && w.saving == nil && !wake.IsZero() && !wake.After(w.now) {
				t.Fatalf("it wants to be woken at %s, and it is %s: a hot loop", wake, w.now)
			}
			return
		case durable.ActLoad:
			w.loading = true
		case durable.ActSave:
			r := act.Record
			w.saving = &r
		case durable.ActSend:
			if !w.stored[act.Owed.ID] {
				t.Fatalf("%s is sent before it is saved", act.Owed.ID)
			}
			w.flying = append(w.flying, act)
		case durable.ActReply:
			if act.Reply.Err == nil {
				id := w.tokens[act.Reply.Token-1]
				if w.disk == nil || !slices.ContainsFunc(w.disk.Seen, func(s durable.Seen) bool { return s.ID == id }) {
					t.Fatalf("%s is answered before it is saved", id)
				}
				w.answered[id] = true
			}
		}
	}
}

func (w *world) deliver(id, owes string) {
	w.tokens = append(w.tokens, id)
	w.cell.DeliverNew(uint64(len(w.tokens)), "", durable.Event{ID: id, Type: "note-" + id, Body: []byte(owes)})
}

// commit ends the save under way: on disk or not, and told or not.
func (w *world) commit(onDisk bool, err error) {
	if onDisk {
		w.disk = w.saving
		for _, o := range w.disk.Owed {
			w.stored[o.ID] = true
		}
	}
	w.saving = nil
	w.cell.Saved(err, w.now)
}

func (w *world) load(err error) {
	w.loading = false
	switch {
	case err != nil:
		w.cell.Loaded(durable.Record{}, err, w.now)
	case w.disk == nil:
		w.cell.Loaded(durable.Record{}, durable.ErrNotFound, w.now)
	default:
		w.cell.Loaded(*w.disk, nil, w.now)
	}
}

// right says whether the save under way names the version that the disk has.
func (w *world) right() bool {
	return w.disk == nil && w.saving.Version == 1 || w.disk != nil && w.saving.Version == w.disk.Version+1
}

func (w *world) wrong() error {
	if w.saving.Version == 1 {
		return &durable.ExistsError{ID: "r"}
	}
	return durable.ErrConflict
}

// play does random things.
func (w *world) play(t *rapid.T, steps int) {
	for range steps {
		switch action := rapid.SampledFrom([]string{"deliver", "deliver", "store", "store", "send", "time", "crash", "flush", "claim"}).Draw(t, "do"); {
		case action == "deliver":
			id := rapid.SampledFrom([]string{"e1", "e2", "e3", "e4"}).Draw(t, "event")
			owes := map[string]string{"e1": "a m!", "e2": "t~1s b", "e3": "-t later", "e4": "ignored a"}
			w.deliver(id, owes[id])
		case action == "store" && w.loading:
			if rapid.Bool().Draw(t, "works") {
				w.load(nil)
			} else {
				w.load(errDisk)
			}
		case action == "store" && w.saving != nil:
			w.store(t)
		case action == "send" && len(w.flying) > 0:
			i := rapid.IntRange(0, len(w.flying)-1).Draw(t, "which")
			verdict := rapid.SampledFrom([]string{"accepted", "rejected", "retry"}).Draw(t, "outcome")
			w.sent(w.flying[i].Owed.Name, verdict, nil)
		case action == "time":
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 6000).Draw(t, "ms")) * time.Millisecond)
		case action == "flush":
			w.cell.Flush()
		case action == "claim" && w.disk != nil && !w.terms.Exclusive:
			w.claim()
		case action == "crash":
			w.cell, w.saving, w.loading, w.flying = durable.NewCell(scribe{}, w.terms, "r"), nil, false, nil
		}
		w.acts(t)
	}
}

func (w *world) store(t *rapid.T) {
	if !w.right() {
		w.commit(false, w.wrong())
		return
	}
	switch rapid.SampledFrom([]string{"works", "works", "fails", "unknown", "unknown applied", "other"}).Draw(t, "save") {
	case "works":
		w.commit(true, nil)
	case "fails":
		w.commit(false, errDisk)
	case "unknown":
		w.commit(false, durable.ErrUnknown)
	case "unknown applied":
		w.commit(true, durable.ErrUnknown)
	case "other": // another instance was faster
		if w.disk == nil || w.terms.Exclusive {
			w.commit(false, errDisk)
			return
		}
		r := *w.disk
		r.Version++
		r.Owner, r.Lease = "other", w.now.Add(time.Second)
		w.disk = &r
		w.commit(false, durable.ErrConflict)
	}
}

// settle lets everything work until nothing is left to do.
func (w *world) settle(t *rapid.T) {
	w.cell.Recall()
	for range 1000 {
		w.acts(t)
		switch {
		case w.loading:
			w.load(nil)
		case w.saving != nil && w.right():
			w.commit(true, nil)
		case w.saving != nil:
			w.commit(false, w.wrong())
		case len(w.flying) > 0:
			w.sent(w.flying[0].Owed.Name, "accepted", nil)
		default:
			wake := w.cell.Wake()
			if wake.IsZero() && w.disk != nil && !w.disk.Due.IsZero() && !w.terms.Exclusive {
				for _, t := range []time.Time{w.disk.Due, w.disk.Lease} {
					if t.After(w.now) {
						w.now = t
					}
				}
				w.claim()
				continue
			}
			if wake.IsZero() {
				if !w.cell.Idle() {
					t.Fatal("nothing to wait for, and not idle")
				}
				return
			}
			w.now = wake
		}
	}
	t.Fatal("no end")
}
