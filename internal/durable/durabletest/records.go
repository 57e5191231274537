package durabletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 123456789, time.UTC)

// sample is a record with every field filled.
func sample(id string) durable.Record {
	return durable.Record{
		ID: id, Key: "key of " + id, Party: "party of " + id, Trace: traceOf('a'), Version: 1, Created: noon, Updated: noon.Add(time.Second),
		Due: noon.Add(time.Minute), Owner: "a", Lease: noon.Add(2 * time.Minute), Minted: 2,
		State: []byte(`{"status":"paid","total":2350}`),
		Owed: []durable.Owed{
			{Effect: durable.Command("pay", "payment", "POST /v1/payments", map[string]int{"cents": 2350}, noon.Add(time.Hour)),
				ID: id + "/pay/1", Attempt: 3, Last: "503 \"try\nlater\"", Trace: traceOf('b')},
			{Effect: durable.Timer("late", noon.Add(time.Hour)), ID: id + "/late/2", Parked: "né pas"},
		},
		Seen: []durable.Seen{{ID: "e1", Hash: "00ff"}, {ID: "e2 \\ <é>", Hash: "11"}},
	}
}

// plain is a record that is due at a time and nobody's.
func plain(id string, due time.Time) durable.Record {
	return durable.Record{ID: id, Version: 1, Created: noon, Updated: noon, Due: due, State: []byte("{}")}
}

// next is r as its next version.
func next(r durable.Record) durable.Record {
	r.Version++
	return r
}

func createAll(ctx context.Context, s durable.Store, records ...durable.Record) error {
	for _, r := range records {
		if err := s.Create(ctx, r); err != nil {
			return fmt.Errorf("create %s: %w", r.ID, err)
		}
	}
	return nil
}

// holds says whether the store has the record exactly so.
func holds(ctx context.Context, s durable.Store, want durable.Record) error {
	got, err := s.Load(ctx, want.ID)
	if err != nil {
		return fmt.Errorf("load %s: %w", want.ID, err)
	}
	return differ(got, want)
}

// wants says whether err is target.
func wants(what string, err, target error) error {
	if !errors.Is(err, target) {
		return fmt.Errorf("%s: got %v, want %v", what, err, target)
	}
	return nil
}

// wantsExists says whether err names the record that exists.
func wantsExists(what string, err error, id string) error {
	exists, ok := errors.AsType[*durable.ExistsError](err)
	if !ok || exists.ID != id {
		return fmt.Errorf("%s: got %v, want that %s exists", what, err, id)
	}
	return nil
}

func createdIsLoaded(ctx context.Context, s durable.Store) error {
	r := sample("r1")
	r.Version = 7 // what the caller says does not count
	err := s.Create(ctx, r)
	r.Version = 1
	return errors.Join(err, holds(ctx, s, r))
}

func idTakenOnce(ctx context.Context, s durable.Store) error {
	first, other := sample("r1"), sample("r1")
	other.Key = "another"
	return errors.Join(
		createAll(ctx, s, first, sample("r2")),
		wantsExists("the same id", s.Create(ctx, first), "r1"),
		wantsExists("the same id under another key", s.Create(ctx, other), "r1"),
		func() error {
			other.Key = sample("r2").Key
			return wantsExists("the id of one and the key of another", s.Create(ctx, other), "r1")
		}(),
		holds(ctx, s, first))
}

func keyTakenOnce(ctx context.Context, s durable.Store) error {
	first, second := sample("r1"), sample("r2")
	second.Key = first.Key
	tombstone := next(first)
	tombstone.State, tombstone.Owed, tombstone.Due, tombstone.Key = []byte(`{"deleted":true}`), nil, time.Time{}, ""
	err := errors.Join(
		s.Create(ctx, first),
		wantsExists("the same key", s.Create(ctx, second), "r1"),
		s.Save(ctx, tombstone),
		wantsExists("the key of a tombstone", s.Create(ctx, second), "r1"))
	if err != nil {
		return err
	}
	_, err = s.Load(ctx, "r2")
	return wants("load what was not created", err, durable.ErrNotFound)
}

func emptyKeys(ctx context.Context, s durable.Store) error {
	return createAll(ctx, s, plain("r1", noon), plain("r2", noon), plain("r3", time.Time{}))
}

func oneCreatorWins(ctx context.Context, s durable.Store) error {
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			r := sample(fmt.Sprint("r", i))
			r.Key = "the one"
			errs[i] = s.Create(ctx, r)
		})
	}
	wg.Wait()
	winner := slices.Index(errs, nil)
	if winner < 0 {
		return fmt.Errorf("nobody won: %w", errors.Join(errs...))
	}
	for i, err := range errs {
		if i != winner {
			if err := wantsExists(fmt.Sprint("creator ", i), err, fmt.Sprint("r", winner)); err != nil {
				return err
			}
		}
	}
	return nil
}

func nothingThere(ctx context.Context, s durable.Store) error {
	_, err := s.Load(ctx, "r1")
	return errors.Join(
		wants("load", err, durable.ErrNotFound),
		wants("save", s.Save(ctx, next(sample("r1"))), durable.ErrNotFound))
}

func saveReplaces(ctx context.Context, s durable.Store) error {
	first := sample("r1")
	second := next(first)
	second.Updated, second.Due, second.Owner, second.Lease = noon.Add(time.Hour), noon.Add(2*time.Hour), "b", noon.Add(3*time.Hour)
	second.State, second.Minted, second.Owed, second.Seen = []byte(`{"status":"cooking"}`), 9, second.Owed[1:], nil
	third := next(second)
	third.Due, third.Owner, third.Lease, third.Owed, third.State = time.Time{}, "", time.Time{}, nil, nil
	return errors.Join(
		s.Create(ctx, first),
		s.Save(ctx, second), holds(ctx, s, second),
		s.Save(ctx, third), holds(ctx, s, third))
}

func identityKept(ctx context.Context, s durable.Store) error {
	first := sample("r1")
	second := next(first)
	second.Key, second.Created, second.Trace = "another", noon.Add(time.Hour), traceOf('c')
	err := errors.Join(s.Create(ctx, first), s.Save(ctx, second))
	second.Key, second.Created, second.Trace = first.Key, first.Created, first.Trace
	return errors.Join(err, holds(ctx, s, second))
}

func versionChecked(ctx context.Context, s durable.Store) error {
	first := sample("r1")
	second := next(first)
	stale, early, same := second, next(next(second)), second
	stale.State, early.State, same.State = []byte(`"stale"`), []byte(`"early"`), []byte(`"same"`)
	stale.Version = 1
	return errors.Join(
		s.Create(ctx, first),
		s.Save(ctx, second),
		wants("save of the version that is there", s.Save(ctx, same), durable.ErrConflict),
		wants("save of an old version", s.Save(ctx, stale), durable.ErrConflict),
		wants("save that leaves one out", s.Save(ctx, early), durable.ErrConflict),
		holds(ctx, s, second))
}

func oneSaverWins(ctx context.Context, s durable.Store) error {
	const savers, versions = 16, 10
	r := sample("r1")
	if err := s.Create(ctx, r); err != nil {
		return err
	}
	for range versions {
		errs := make([]error, savers)
		var wg sync.WaitGroup
		for i := range savers {
			wg.Go(func() {
				mine := next(r)
				mine.State = fmt.Appendf(nil, `{"saver":%d}`, i)
				errs[i] = s.Save(ctx, mine)
			})
		}
		wg.Wait()
		r = next(r)
		winners := 0
		for i, err := range errs {
			if err == nil {
				winners++
				r.State = fmt.Appendf(nil, `{"saver":%d}`, i)
			} else if err := wants("a loser", err, durable.ErrConflict); err != nil {
				return err
			}
		}
		if winners != 1 {
			return fmt.Errorf("%d savers won version %d", winners, r.Version)
		}
		if err := holds(ctx, s, r); err != nil {
			return err
		}
	}
	return nil
}

// bodiesExact: a message is known by its id and the bytes of its body, so a store that tidies JSON up would turn a
// message repeated after a restart into another one.
func bodiesExact(ctx context.Context, s durable.Store) error {
	r := sample("r1")
	for _, body := range []string{`{"b":1, "a":2,"a":3}`, `{"html":"<&>\u003c\u2028","n":1.50,"big":12345678901234567890}`, "[1,\n\t2]", `"é😀\ud83d\ude00"`, `null`} {
		r.Owed = append(r.Owed, durable.Owed{
			Effect: durable.Effect{Name: fmt.Sprint("m", len(r.Owed)), Kind: durable.KindMessage, Op: "OrderService", Body: json.RawMessage(body)},
			ID:     fmt.Sprint("r1/m/", len(r.Owed)),
		})
	}
	r.State = []byte("{\"b\":1, \"a\":[1.50,\n2]}")
	if err := errors.Join(s.Create(ctx, r), holds(ctx, s, r)); err != nil {
		return err
	}
	r = next(r)
	return errors.Join(s.Save(ctx, r), holds(ctx, s, r))
}

func bigRecord(ctx context.Context, s durable.Store) error {
	r := sample("r1")
	r.State = []byte(`{"note":"` + strings.Repeat("né€ ", 1<<18) + `"}`)
	if err := errors.Join(s.Create(ctx, r), holds(ctx, s, r)); err != nil {
		return err
	}
	r = next(r)
	r.State = append(r.State, ' ')
	return errors.Join(s.Save(ctx, r), holds(ctx, s, r))
}

func notAliased(ctx context.Context, s durable.Store) error {
	spoil := func(r durable.Record) {
		for i := range r.State {
			r.State[i] = '!'
		}
		for i := range r.Owed {
			r.Owed[i].Name = "spoilt"
			for j := range r.Owed[i].Body {
				r.Owed[i].Body[j] = '!'
			}
		}
		for i := range r.Seen {
			r.Seen[i].ID = "spoilt"
		}
	}
	want, given := sample("r1"), sample("r1")
	err := s.Create(ctx, given)
	spoil(given)
	if err := errors.Join(err, holds(ctx, s, want)); err != nil {
		return err
	}
	want, given = next(want), next(sample("r1"))
	err = s.Save(ctx, given)
	spoil(given)
	if err := errors.Join(err, holds(ctx, s, want)); err != nil {
		return err
	}
	loaded, err := s.Load(ctx, "r1")
	if err != nil {
		return err
	}
	spoil(loaded)
	listed, err := s.List(ctx, "", "", 1)
	if err != nil || len(listed) != 1 {
		return fmt.Errorf("list: %q, %w", ids(listed), err)
	}
	spoil(listed[0])
	return holds(ctx, s, want)
}

func cancelled(ctx context.Context, s durable.Store) error {
	r := plain("r1", noon)
	if err := s.Create(ctx, r); err != nil {
		return err
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, load := s.Load(gone, "r1")
	_, list := s.List(gone, "", "", 1)
	_, _, claim := s.Claim(gone, durable.Claim{Who: "a", Now: noon, Lease: noon.Add(time.Minute), Limit: 1})
	err := errors.Join(
		wants("create", s.Create(gone, plain("r2", noon)), context.Canceled),
		wants("save", s.Save(gone, next(r)), context.Canceled),
		wants("load", load, context.Canceled),
		wants("list", list, context.Canceled),
		wants("claim", claim, context.Canceled))
	if err != nil {
		return err
	}
	_, err = s.Load(ctx, "r2")
	return errors.Join(holds(ctx, s, r), wants("load what was not created", err, durable.ErrNotFound))
}
