package durabletest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// claims says whether a claim is answered with exactly these records and this next moment.
func claims(ctx context.Context, s durable.Store, c durable.Claim, next time.Time, want ...string) error {
	got, at, err := s.Claim(ctx, c)
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if fmt.Sprint(ids(got)) != fmt.Sprint(want) || !at.Equal(next) {
		return fmt.Errorf("%s claimed %q, next %v, want %q, next %v", c.Who, ids(got), at, want, next)
	}
	for _, r := range got {
		if r.Owner != c.Who || !r.Lease.Equal(c.Lease) {
			return fmt.Errorf("claimed %s belongs to %q until %v, want %q until %v", r.ID, r.Owner, r.Lease, c.Who, c.Lease)
		}
	}
	return nil
}

func by(who string, now time.Time, limit int) durable.Claim {
	return durable.Claim{Who: who, Now: now, Lease: now.Add(time.Minute), Limit: limit}
}

func claimOrder(ctx context.Context, s durable.Store) error {
	later := noon.Add(time.Hour)
	err := createAll(ctx, s,
		plain("c", noon.Add(-1)), plain("a", noon), plain("b", noon), plain("d", noon.Add(-time.Hour)),
		plain("e", noon.Add(1)), plain("f", later))
	passing := func(who string, now time.Time, limit int) durable.Claim { // its lease has run out for the next
		return durable.Claim{Who: who, Now: now, Lease: now, Limit: limit}
	}
	return errors.Join(err,
		claims(ctx, s, passing("u", noon.Add(-2*time.Hour), 10), noon.Add(-time.Hour)),
		claims(ctx, s, passing("v", noon, 3), noon.Add(1), "d", "c", "a"),
		claims(ctx, s, passing("w", noon, 10), noon.Add(1), "d", "c", "a", "b"),
		claims(ctx, s, passing("x", noon, 0), noon.Add(1)),
		claims(ctx, s, passing("y", noon.Add(1), 10), later, "d", "c", "a", "b", "e"),
		claims(ctx, s, passing("z", later, 10), time.Time{}, "d", "c", "a", "b", "e", "f"))
}

func claimChangesNothing(ctx context.Context, s durable.Store) error {
	r := sample("r1")
	r.Owner, r.Lease = "", time.Time{}
	if err := s.Create(ctx, r); err != nil {
		return err
	}
	c := by("x", r.Due, 1)
	got, _, err := s.Claim(ctx, c)
	if err != nil || len(got) != 1 {
		return fmt.Errorf("claim: %q, %w", ids(got), err)
	}
	claimed := r
	claimed.Owner, claimed.Lease = c.Who, c.Lease
	saved := next(claimed)
	return errors.Join(differ(got[0], claimed), holds(ctx, s, claimed), s.Save(ctx, saved), holds(ctx, s, saved))
}

// claimAgain: what is the claimer's already is given to it again when its own lease has run out, as it was anybody's
// then; on an exclusive store, where it is nobody else's ever, not at all.
func claimAgain(ctx context.Context, s durable.Store) error {
	saved := plain("saved", noon)
	saved.Owner, saved.Lease = "x", noon.Add(-time.Hour)
	if !durable.FeaturesOf(s).Exclusive {
		return errors.Join(
			createAll(ctx, s, plain("r1", noon), saved),
			claims(ctx, s, by("x", noon, 2), time.Time{}, "r1", "saved"),
			claims(ctx, s, by("x", noon.Add(time.Second), 2), time.Time{}),
			claims(ctx, s, by("x", noon.Add(time.Minute), 2), time.Time{}, "r1", "saved"),
			claims(ctx, s, by("y", noon.Add(time.Minute+1), 2), time.Time{}))
	}
	return errors.Join(
		createAll(ctx, s, plain("r1", noon), saved),
		claims(ctx, s, by("x", noon, 2), time.Time{}, "r1"),
		claims(ctx, s, by("x", noon.Add(time.Second), 2), time.Time{}),
		claims(ctx, s, by("x", noon.Add(time.Hour), 2), time.Time{}),
		claims(ctx, s, by("y", noon.Add(time.Hour), 2), time.Time{}, "r1", "saved"))
}

// backlog: what is due is counted whoever has it in hand.
func backlog(ctx context.Context, s durable.Store) error {
	counts := func(now time.Time, limit, want int, since time.Time) error {
		n, oldest, err := s.Backlog(ctx, now, limit)
		if err != nil || n != want || !oldest.Equal(since) {
			return fmt.Errorf("backlog at %v: %d since %v, %w; want %d since %v", now, n, oldest, err, want, since)
		}
		return nil
	}
	return errors.Join(
		counts(noon, 10, 0, time.Time{}),
		createAll(ctx, s, plain("a", noon), plain("b", noon.Add(1)), plain("c", noon.Add(time.Hour)), plain("d", time.Time{})),
		counts(noon.Add(-1), 10, 0, time.Time{}),
		counts(noon, 10, 1, noon),
		counts(noon.Add(1), 10, 2, noon),
		claims(ctx, s, by("x", noon.Add(1), 2), noon.Add(time.Hour), "a", "b"),
		counts(noon.Add(time.Hour), 10, 3, noon),
		counts(noon.Add(time.Hour), 2, 2, noon),
		counts(noon, 0, 0, time.Time{}))
}

func notDue(ctx context.Context, s durable.Store) error {
	never := plain("never", time.Time{})
	never.Owed = []durable.Owed{{Effect: durable.Timer("t", noon), ID: "never/t/1", Parked: "a person must look"}}
	was := plain("was", noon)
	err := errors.Join(
		createAll(ctx, s, never, was, plain("later", noon.Add(time.Hour))),
		claims(ctx, s, by("x", noon, 10), noon.Add(time.Hour), "was"))
	was = next(was)
	was.Due = time.Time{}
	return errors.Join(err, s.Save(ctx, was), claims(ctx, s, by("x", noon, 10), noon.Add(time.Hour)))
}

func leaseHonoured(ctx context.Context, s durable.Store) error {
	saved := plain("saved", noon)
	saved.Owner, saved.Lease = "x", noon.Add(time.Minute)
	return errors.Join(
		createAll(ctx, s, plain("claimed", noon), saved),
		claims(ctx, s, by("x", noon, 1), time.Time{}, "claimed"),
		claims(ctx, s, by("y", noon, 10), time.Time{}),
		claims(ctx, s, by("y", noon.Add(time.Minute-1), 10), time.Time{}),
		claims(ctx, s, by("y", noon.Add(time.Minute), 10), time.Time{}, "claimed", "saved"),
		claims(ctx, s, by("x", noon.Add(time.Minute), 10), time.Time{}))
}

func leaseVoid(ctx context.Context, s durable.Store) error {
	if !durable.FeaturesOf(s).Exclusive {
		return nil
	}
	r := plain("r1", noon)
	r.Owner, r.Lease = "before the restart", noon.Add(time.Hour)
	return errors.Join(s.Create(ctx, r), claims(ctx, s, by("x", noon, 10), time.Time{}, "r1"))
}

func claimedOnce(ctx context.Context, s durable.Store) error {
	const records, claimers = 60, 8
	for i := range records {
		if err := s.Create(ctx, plain(fmt.Sprintf("r%02d", i), noon.Add(-time.Duration(i)))); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	claimed := map[string]string{}
	errs := make([]error, claimers)
	var wg sync.WaitGroup
	for i := range claimers {
		wg.Go(func() {
			who := fmt.Sprint("claimer ", i)
			for range records {
				got, _, err := s.Claim(ctx, by(who, noon, 3))
				mu.Lock()
				for _, r := range got {
					if other, ok := claimed[r.ID]; ok && other != who {
						err = errors.Join(err, fmt.Errorf("%s was given to %s and %s", r.ID, other, who))
					}
					claimed[r.ID] = who
				}
				mu.Unlock()
				for _, r := range got { // done: not to be claimed again
					r = next(r)
					r.Due = time.Time{}
					err = errors.Join(err, s.Save(ctx, r))
				}
				if errs[i] = err; err != nil || len(got) == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(claimed) != records {
		return fmt.Errorf("%d of %d records were claimed", len(claimed), records)
	}
	return nil
}
