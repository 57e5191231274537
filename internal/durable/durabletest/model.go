package durabletest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

// persists: what was answered is there after the store was ended and started again.
func persists(t *testing.T, open Open) {
	store, reopen := open(t)
	if reopen == nil {
		t.Skip("the store forgets")
	}
	ctx := context.Background()
	saved := sample("saved")
	err := createAll(ctx, store, sample("created"), saved)
	for range 20 {
		saved = next(saved)
		saved.State = fmt.Appendf(nil, `{"version":%d}`, saved.Version)
		err = errors.Join(err, store.Save(ctx, saved))
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		store = reopen()
		again := sample("another")
		again.Key = sample("created").Key
		if err := errors.Join(
			holds(ctx, store, sample("created")), holds(ctx, store, saved),
			wants("save of an old version", store.Save(ctx, saved), durable.ErrConflict),
			wantsExists("a key taken before", store.Create(ctx, again), "created"),
		); err != nil {
			t.Fatal(err)
		}
	}
}

// likeTheModel makes the same random calls to the store and to the model and compares every answer. All runs
// share one store, as opening one may be slow; each uses ids and keys of its own and leaves nothing due.
func likeTheModel(t *testing.T, open Open) {
	store, reopen := open(t)
	model := memory.New(durable.FeaturesOf(store))
	ctx := context.Background()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		id := rapid.Map(rapid.SampledFrom([]string{"a", "b", "c", "d"}), func(s string) string { return fmt.Sprintf("%06d%s", run, s) })
		key := rapid.Map(rapid.SampledFrom([]string{"", "k", "l"}), func(s string) string {
			if s == "" {
				return ""
			}
			return fmt.Sprintf("%06d%s", run, s)
		})
		both := func(what string, call func(durable.Store) error) {
			got, want := call(store), call(model)
			if kind(got) != kind(want) {
				rt.Fatalf("%s: got %v, the model says %v", what, got, want)
			}
		}
		same := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(rt *rapid.T) {
				r := record(rt, id.Draw(rt, "id"))
				r.Key = key.Draw(rt, "key")
				both("create "+r.ID, func(s durable.Store) error { return s.Create(ctx, r) })
			},
			"save": func(rt *rapid.T) {
				r := record(rt, id.Draw(rt, "id"))
				old, _ := model.Load(ctx, r.ID)
				r.Version = old.Version + rapid.SampledFrom([]int64{1, 1, 1, 1, 0, 2}).Draw(rt, "step")
				both("save "+r.ID, func(s durable.Store) error { return s.Save(ctx, r) })
			},
			"load": func(rt *rapid.T) {
				id := id.Draw(rt, "id")
				var found []durable.Record
				both("load "+id, func(s durable.Store) error {
					r, err := s.Load(ctx, id)
					found = append(found, r)
					return err
				})
				same(differ(found[0], found[1]))
			},
			"list": func(rt *rapid.T) {
				party := party.Draw(rt, "party")
				before := rapid.OneOf(rapid.Just(""), id).Draw(rt, "before")
				limit := rapid.IntRange(0, 9).Draw(rt, "limit")
				var found [][]durable.Record
				both("list", func(s durable.Store) error {
					list, err := s.List(ctx, party, before, limit)
					found = append(found, list)
					return err
				})
				same(differAll(found[0], found[1]))
			},
			"claim": func(rt *rapid.T) {
				now := moment.Draw(rt, "now")
				c := durable.Claim{
					Who: rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "who"), Now: now,
					Lease: now.Add(time.Duration(rapid.IntRange(1, 5).Draw(rt, "lease"))),
					Limit: rapid.IntRange(0, 5).Draw(rt, "limit"),
				}
				var found [][]durable.Record
				var nexts []time.Time
				both("claim", func(s durable.Store) error {
					list, next, err := s.Claim(ctx, c)
					found, nexts = append(found, list), append(nexts, next)
					return err
				})
				same(differAll(found[0], found[1]))
				if !nexts[0].Equal(nexts[1]) {
					rt.Fatalf("claim: next is %v, the model says %v", nexts[0], nexts[1])
				}
			},
			"reopen": func(rt *rapid.T) {
				if reopen == nil || rapid.IntRange(0, 9).Draw(rt, "dice") != 0 {
					rt.Skip("not now")
				}
				store = reopen()
			},
		})
		left, err := model.List(ctx, "", "", 4)
		same(err)
		for _, r := range left {
			r.Version++
			r.Due = time.Time{}
			both("clean up "+r.ID, func(s durable.Store) error { return s.Save(ctx, r) })
		}
	})
}

// kind is what a caller can tell of an error.
func kind(err error) string {
	if exists, ok := errors.AsType[*durable.ExistsError](err); ok {
		return "exists " + exists.ID
	}
	for _, e := range []error{durable.ErrNotFound, durable.ErrConflict, durable.ErrUnknown} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	if err != nil {
		return "another error"
	}
	return ""
}

// moment is one of a few instants next to each other, so that equal ones meet.
var moment = rapid.Map(rapid.IntRange(0, 5), func(n int) time.Time { return noon.Add(time.Duration(n)) })

// party is one of a few, over all runs.
var party = rapid.SampledFrom([]string{"", "ada", "bob"})

// trace is one, or none.
var trace = rapid.SampledFrom([]string{"", traceOf('a'), traceOf('b')})

var maybe = rapid.OneOf(rapid.Just(time.Time{}), moment)

var word = rapid.StringMatching(`[ -~é€]{0,12}`)

func record(rt *rapid.T, id string) durable.Record {
	r := durable.Record{
		ID: id, Party: party.Draw(rt, "party"), Trace: trace.Draw(rt, "trace"),
		Created: maybe.Draw(rt, "created"), Updated: maybe.Draw(rt, "updated"), Due: maybe.Draw(rt, "due"),
		Owner: rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "owner"), Lease: maybe.Draw(rt, "lease"),
		Minted: rapid.Int64Range(0, 1<<53).Draw(rt, "minted"),
		State:  fmt.Appendf(nil, `{"a":%q}`, rapid.StringMatching(`[a-z<&>]{0,40}`).Draw(rt, "state")),
		Seen: rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) durable.Seen {
			return durable.Seen{ID: word.Draw(rt, "event"), Hash: word.Draw(rt, "hash")}
		}), 0, 3).Draw(rt, "seen"),
	}
	for range rapid.IntRange(0, 3).Draw(rt, "owed") {
		r.Owed = append(r.Owed, durable.Owed{
			Effect: durable.Effect{
				Name: word.Draw(rt, "name"), Kind: durable.KindCommand, To: word.Draw(rt, "to"), Op: word.Draw(rt, "op"),
				Body: rapid.SampledFrom([][]byte{nil, []byte("{}"), []byte(`{"b": "<é>", "a":1.0}`)}).Draw(rt, "body"),
				Due:  maybe.Draw(rt, "owed due"), GiveUp: maybe.Draw(rt, "give up"),
			},
			ID: word.Draw(rt, "effect"), Attempt: rapid.IntRange(0, 9).Draw(rt, "attempt"),
			Parked: word.Draw(rt, "parked"), Last: word.Draw(rt, "last"), Trace: trace.Draw(rt, "effect's trace"),
		})
	}
	return r
}
