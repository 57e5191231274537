package durabletest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// differ says how two records differ, or nil. Times are equal when they are the same instant, to the nanosecond;
// no slice and an empty one are the same.
func differ(got, want durable.Record) error {
	type field struct {
		name      string
		got, want any
		same      bool
	}
	when := func(name string, got, want time.Time) field { return field{name, got, want, got.Equal(want)} }
	for _, f := range []field{
		{"ID", got.ID, want.ID, got.ID == want.ID},
		{"Key", got.Key, want.Key, got.Key == want.Key},
		{"Party", got.Party, want.Party, got.Party == want.Party},
		{"Trace", got.Trace, want.Trace, got.Trace == want.Trace},
		{"Version", got.Version, want.Version, got.Version == want.Version},
		when("Created", got.Created, want.Created),
		when("Updated", got.Updated, want.Updated),
		when("Due", got.Due, want.Due),
		{"Owner", got.Owner, want.Owner, got.Owner == want.Owner},
		when("Lease", got.Lease, want.Lease),
		{"Minted", got.Minted, want.Minted, got.Minted == want.Minted},
		{"State", short(got.State), short(want.State), bytes.Equal(got.State, want.State)},
		{"Seen", got.Seen, want.Seen, slices.Equal(got.Seen, want.Seen)},
		{"Owed", got.Owed, want.Owed, slices.EqualFunc(got.Owed, want.Owed, sameOwed)},
	} {
		if !f.same {
			return fmt.Errorf("record %s: %s is %v, want %v", want.ID, f.name, f.got, f.want)
		}
	}
	return nil
}

func sameOwed(a, b durable.Owed) bool {
	return a.Name == b.Name && a.Kind == b.Kind && a.To == b.To && a.Op == b.Op && bytes.Equal(a.Body, b.Body) &&
		a.Due.Equal(b.Due) && a.GiveUp.Equal(b.GiveUp) &&
		a.ID == b.ID && a.Attempt == b.Attempt && a.Parked == b.Parked && a.Last == b.Last && a.Trace == b.Trace
}

// differAll compares in order.
func differAll(got, want []durable.Record) error {
	if len(got) != len(want) {
		return fmt.Errorf("got records %q, want %q", ids(got), ids(want))
	}
	for i, w := range want {
		if err := differ(got[i], w); err != nil {
			return fmt.Errorf("at %d of %q: %w", i, ids(want), err)
		}
	}
	return nil
}

func ids(records []durable.Record) []string {
	var s []string
	for _, r := range records {
		s = append(s, r.ID)
	}
	return s
}

func short(b []byte) string {
	if len(b) > 200 {
		return fmt.Sprintf("%d bytes %q...", len(b), b[:200])
	}
	return string(b)
}
