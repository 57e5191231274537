package durabletest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// lists says whether a page is answered with exactly these records.
func lists(ctx context.Context, s durable.Store, party, before string, limit int, want []durable.Record) error {
	got, err := s.List(ctx, party, before, limit)
	if err == nil {
		err = differAll(got, want)
	}
	if err != nil {
		return fmt.Errorf("list of %q before %q, %d: %w", party, before, limit, err)
	}
	return nil
}

func listPages(ctx context.Context, s durable.Store) error {
	var all []durable.Record
	for _, id := range []string{"a", "B", "a-1", "aa", "b", "é", "10", "9"} {
		all = append(all, sample(id))
	}
	if err := createAll(ctx, s, all...); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b durable.Record) int { return strings.Compare(b.ID, a.ID) }) // by bytes, highest first
	list := func(before string, limit int, want []durable.Record) error {
		return lists(ctx, s, "", before, limit, want)
	}
	return errors.Join(
		list("", 100, all), list("", 3, all[:3]), list(all[2].ID, 3, all[3:6]), list(all[7].ID, 3, nil),
		list("ab", 100, all[slices.IndexFunc(all, func(r durable.Record) bool { return r.ID < "ab" }):]), list("", 0, nil))
}

// of is a record of a party.
func of(party, id string) durable.Record {
	r := plain(id, time.Time{})
	r.Party = party
	return r
}

// listOfParty: a party's records are its own only, whole, and paged as those of all are.
func listOfParty(ctx context.Context, s durable.Store) error {
	var adas, bobs, all []durable.Record
	for _, id := range []string{"a", "B", "a-1", "aa", "b", "é", "10", "9"} {
		ada, bob, nobody := of("ada", id), of("bob", id+" of bob"), of("", id+" of nobody")
		ada.Owed, ada.Trace = sample(id).Owed, traceOf('a')
		adas, bobs, all = append(adas, ada), append(bobs, bob), append(all, ada, bob, nobody)
	}
	strange := []durable.Record{of("Ada", "x"), of("ad", "x1"), of("adaa", "x2"), of("ada ", "x3"), of("é'\"%_\\", "x4")}
	all = append(all, strange...)
	if err := createAll(ctx, s, all...); err != nil {
		return err
	}
	for _, list := range [][]durable.Record{adas, bobs, all} {
		slices.SortFunc(list, func(a, b durable.Record) int { return strings.Compare(b.ID, a.ID) })
	}
	errs := []error{
		lists(ctx, s, "ada", "", 100, adas), lists(ctx, s, "ada", "", 3, adas[:3]), lists(ctx, s, "ada", adas[2].ID, 3, adas[3:6]),
		lists(ctx, s, "ada", adas[7].ID, 3, nil), lists(ctx, s, "ada", "", 0, nil), lists(ctx, s, "ada", "ab", 1, adas[2:3]),
		lists(ctx, s, "bob", adas[2].ID, 100, bobs[3:]), lists(ctx, s, "bob", "", 100, bobs),
		lists(ctx, s, "", "", 100, all), lists(ctx, s, "", all[4].ID, 9, all[5:14]),
		lists(ctx, s, "eve", "", 100, nil), lists(ctx, s, "eve", "é", 100, nil), lists(ctx, s, "ADA", "", 100, nil),
	}
	for _, r := range strange {
		errs = append(errs, lists(ctx, s, r.Party, "", 100, []durable.Record{r}), lists(ctx, s, r.Party, r.ID, 100, nil))
	}
	return errors.Join(errs...)
}

// partyChanges: whose a record is, each save says anew; one that loses its race says nothing.
func partyChanges(ctx context.Context, s durable.Store) error {
	r, other := of("ada", "r1"), of("ada", "r0")
	one := func(r durable.Record) []durable.Record { return []durable.Record{r} }
	kept := next(r)
	kept.State = []byte(`{"status":"paid"}`)
	given := next(kept)
	given.Party = "bob"
	lost := given
	lost.Party = "eve"
	nobodys := next(given)
	nobodys.Party = ""
	again := next(nobodys)
	again.Party = "ada"
	return errors.Join(
		createAll(ctx, s, r, other), lists(ctx, s, "ada", "", 9, []durable.Record{r, other}),
		s.Save(ctx, kept), lists(ctx, s, "ada", "", 9, []durable.Record{kept, other}),
		s.Save(ctx, given), holds(ctx, s, given),
		lists(ctx, s, "ada", "", 9, one(other)), lists(ctx, s, "bob", "", 9, one(given)),
		wants("save of the version that is there", s.Save(ctx, lost), durable.ErrConflict),
		lists(ctx, s, "eve", "", 9, nil), lists(ctx, s, "bob", "", 9, one(given)),
		s.Save(ctx, nobodys), holds(ctx, s, nobodys), lists(ctx, s, "bob", "", 9, nil),
		lists(ctx, s, "", "", 9, []durable.Record{nobodys, other}),
		s.Save(ctx, again), lists(ctx, s, "ada", "", 9, []durable.Record{again, other}))
}

// traceOf is a W3C traceparent.
func traceOf(digit byte) string {
	d := string(digit)
	return "00-" + strings.Repeat(d, 32) + "-" + strings.Repeat(d, 16) + "-01"
}

// traceKept: a record's trace is the one it was created with, and an effect's the one it was saved with, wherever they
// are read.
func traceKept(ctx context.Context, s durable.Store) error {
	first := sample("r1")
	first.Party, first.Owner, first.Lease = "ada", "", time.Time{}
	untraced := of("ada", "r0")
	untraced.Owed = []durable.Owed{{Effect: durable.Timer("t", noon), ID: "r0/t/1", Trace: traceOf('d')}}
	second := next(first)
	second.Trace = traceOf('e')
	second.Owed = []durable.Owed{{Effect: durable.Timer("t", first.Due), ID: "r1/t/3", Trace: traceOf('e')}, first.Owed[1]}
	late := next(untraced)
	late.Trace = traceOf('f')
	err := errors.Join(
		createAll(ctx, s, first, untraced), holds(ctx, s, first), holds(ctx, s, untraced),
		s.Save(ctx, second), s.Save(ctx, late))
	second.Trace, late.Trace = first.Trace, ""
	c := by("x", first.Due, 9)
	claimed, _, claim := s.Claim(ctx, c)
	err = errors.Join(err, claim)
	taken := second
	taken.Owner, taken.Lease = c.Who, c.Lease
	return errors.Join(err, differAll(claimed, []durable.Record{taken}),
		holds(ctx, s, taken), holds(ctx, s, late), lists(ctx, s, "ada", "", 9, []durable.Record{taken, late}))
}
