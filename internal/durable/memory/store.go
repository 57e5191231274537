// Package memory keeps records in the process's memory. It is the model that every other store is compared with:
// what it answers is what the port means. It forgets everything when the process ends.
//
// It never shares memory with its callers: records are copied on the way in and on the way out.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/planted"
)

// Store is a [durable.Store]. Safe for concurrent use.
type Store struct {
	features durable.Features

	mu      sync.Mutex
	records map[string]durable.Record
	keys    map[string]string   // key to id
	parties map[string][]string // party to the ids of its records, in order; "" to all
	agenda  []entry             // the records that are due at some time, by due and id
}

type entry struct {
	due time.Time
	id  string
}

func (e entry) compare(other entry) int {
	return cmp.Or(e.due.Compare(other.due), cmp.Compare(e.id, other.id))
}

// New makes an empty store. Give it the features of the store it stands for; without Exclusive it honours the
// leases of other owners.
func New(features durable.Features) *Store {
	return &Store{
		features: features, records: map[string]durable.Record{}, keys: map[string]string{}, parties: map[string][]string{},
	}
}

// Features are those given to New.
func (s *Store) Features() durable.Features { return s.features }

// Create adds a record at Version 1; where both the id and the key are taken, the error names the one with the id.
func (s *Store) Create(ctx context.Context, r durable.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("create %s: %w", r.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.records[r.ID]; ok {
		return &durable.ExistsError{ID: r.ID}
	}
	if r.Key != "" {
		if id, ok := s.keys[r.Key]; ok {
			return &durable.ExistsError{ID: id}
		}
		s.keys[r.Key] = r.ID
	}
	r.Version = 1
	s.put(r)
	return nil
}

// Load reads a record.
func (s *Store) Load(ctx context.Context, id string) (durable.Record, error) {
	if err := ctx.Err(); err != nil {
		return durable.Record{}, fmt.Errorf("load %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[id]
	if !ok {
		return durable.Record{}, fmt.Errorf("load %s: %w", id, durable.ErrNotFound)
	}
	return clone(r), nil
}

// Save replaces the record one version below the given one.
func (s *Store) Save(ctx context.Context, r durable.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("save %s: %w", r.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.records[r.ID]
	if !ok {
		return fmt.Errorf("save %s: %w", r.ID, durable.ErrNotFound)
	}
	if old.Version != r.Version-1 && !planted.Is(planted.VersionCheckDropped) {
		return fmt.Errorf("save %s: %w", r.ID, durable.ErrConflict)
	}
	r.Key, r.Created, r.Trace = old.Key, old.Created, old.Trace
	s.put(r)
	return nil
}

// Claim gives out the records that are due, the longest due first, equal ones by id. In an exclusive store there
// is nobody to tell, and the lease is written only on what is given out.
func (s *Store) Claim(ctx context.Context, c durable.Claim) ([]durable.Record, time.Time, error) {
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, fmt.Errorf("claim: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var claimed []durable.Record
	for _, e := range s.agenda {
		if e.due.After(c.Now) {
			return claimed, e.due, nil
		}
		r := s.records[e.id]
		taken := r.Lease.After(c.Now)
		if s.features.Exclusive || planted.Is(planted.ClaimWithoutLease) {
			taken = r.Owner == c.Who
		}
		if taken || len(claimed) >= c.Limit {
			continue
		}
		r.Owner, r.Lease = c.Who, c.Lease
		s.records[e.id] = r
		claimed = append(claimed, clone(r))
	}
	return claimed, time.Time{}, nil
}

// Backlog counts the records that are due.
func (s *Store) Backlog(ctx context.Context, now time.Time, limit int) (n int, oldest time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return 0, time.Time{}, fmt.Errorf("backlog: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, _ = slices.BinarySearchFunc(s.agenda, now, func(e entry, now time.Time) int {
		if e.due.After(now) {
			return 1
		}
		return -1
	})
	if n = min(n, max(limit, 0)); n > 0 {
		oldest = s.agenda[0].due
	}
	return n, oldest, nil
}

// List reads up to limit records of a party below an id, highest id first.
func (s *Store) List(ctx context.Context, party, before string, limit int) ([]durable.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.parties[party]
	if before != "" {
		n, _ := slices.BinarySearch(ids, before)
		ids = ids[:n]
	}
	var found []durable.Record
	for _, id := range slices.Backward(ids[max(0, len(ids)-max(0, limit)):]) {
		found = append(found, clone(s.records[id]))
	}
	return found, nil
}

// put keeps a copy of r, and its places in the lists of its party and of all, and in the agenda.
func (s *Store) put(r durable.Record) {
	r = clone(r)
	old, ok := s.records[r.ID]
	if !ok {
		s.enlist("", r.ID)
	}
	if old.Party != r.Party {
		if old.Party != "" {
			s.strike(old.Party, r.ID)
		}
		if r.Party != "" {
			s.enlist(r.Party, r.ID)
		}
	}
	if ok && !old.Due.IsZero() {
		if i, found := slices.BinarySearchFunc(s.agenda, entry{old.Due, r.ID}, entry.compare); found {
			s.agenda = slices.Delete(s.agenda, i, i+1)
		}
	}
	if !r.Due.IsZero() {
		e := entry{r.Due, r.ID}
		i, _ := slices.BinarySearchFunc(s.agenda, e, entry.compare)
		s.agenda = slices.Insert(s.agenda, i, e)
	}
	s.records[r.ID] = r
}

// enlist puts the id into its place among those of the party.
func (s *Store) enlist(party, id string) {
	ids := s.parties[party]
	i, _ := slices.BinarySearch(ids, id)
	s.parties[party] = slices.Insert(ids, i, id)
}

func (s *Store) strike(party, id string) {
	ids := s.parties[party]
	i, _ := slices.BinarySearch(ids, id)
	if ids = slices.Delete(ids, i, i+1); len(ids) == 0 {
		delete(s.parties, party)
		return
	}
	s.parties[party] = ids
}

func clone(r durable.Record) durable.Record {
	r.State = slices.Clone(r.State)
	r.Seen = slices.Clone(r.Seen)
	r.Owed = slices.Clone(r.Owed)
	for i := range r.Owed {
		r.Owed[i].Body = slices.Clone(r.Owed[i].Body)
	}
	return r
}
