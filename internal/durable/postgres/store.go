package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Store keeps the records of one kind; it is a [durable.Store], shared with other processes.
type Store struct {
	db *DB

	create, save, exists, holder, load, claim, backlog statement

	list, listAll, listOf, listAllOf statement // of everybody, and of a party
}

const columns = "id, key, version, created, updated, due, owner, lease, minted, party, trace, state, owed, seen"

func newStore(db *DB, kind string) *Store {
	table := db.name(kind)
	reads := func(format string) statement { return statement{sql: fmt.Sprintf(format, table, columns)} }
	writes := func(format string) statement {
		return statement{sql: fmt.Sprintf(format, table, columns), writes: true}
	}
	return &Store{
		db:     db,
		create: writes("INSERT INTO %[1]s (%[2]s) VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING"),
		save: writes("UPDATE %[1]s SET version = $2, updated = $3, due = $4, owner = $5, lease = $6, minted = $7, state = $8, owed = $9," +
			" seen = $10, party = $11 WHERE id = $1 AND version = $2 - 1"),
		exists:  reads("SELECT 1 FROM %[1]s WHERE id = $1"),
		holder:  reads("SELECT coalesce((SELECT id FROM %[1]s WHERE id = $1), (SELECT id FROM %[1]s WHERE key = $2))"),
		load:    reads("SELECT %[2]s FROM %[1]s WHERE id = $1"),
		list:    reads("SELECT %[2]s FROM %[1]s WHERE id < $1 ORDER BY id DESC LIMIT $2"),
		listAll: reads("SELECT %[2]s FROM %[1]s ORDER BY id DESC LIMIT $1"),
		// A range of the index by party, from one place in it to the party's end. With party = $1 the planner could as
		// well go down all ids, looking for the party's: how long that takes depends on how many the party has.
		listOf: reads("SELECT %[2]s FROM %[1]s WHERE (party, id) < ($1, $2) AND party >= $1 AND party <> ''" +
			" ORDER BY party DESC, id DESC LIMIT $3"),
		listAllOf: reads("SELECT %[2]s FROM %[1]s WHERE party <= $1 AND party >= $1 AND party <> ''" +
			" ORDER BY party DESC, id DESC LIMIT $2"),
		// One row more than none: it tells what is next where nothing is claimed. A record that is being saved, or
		// claimed by another, is passed over; one that was changed since the statement began is looked at again.
		claim: writes(`WITH due AS (
				SELECT id FROM %[1]s WHERE due <= $1 AND (lease IS NULL OR lease <= $1) ORDER BY due, id LIMIT $4 FOR UPDATE SKIP LOCKED
			), taken AS (
				UPDATE %[1]s AS r SET owner = $2, lease = $3 FROM due WHERE r.id = due.id
				RETURNING r.id, r.key, r.version, r.created, r.updated, r.due, r.owner, r.lease, r.minted, r.party, r.trace, r.state, r.owed, r.seen
			)
			SELECT next.due, taken.* FROM (SELECT min(due) AS due FROM %[1]s WHERE due > $1) AS next LEFT JOIN taken ON true
			ORDER BY taken.due, taken.id`),
		backlog: reads("SELECT count(*), min(due) FROM (SELECT due FROM %[1]s WHERE due <= $1 ORDER BY due LIMIT $2) AS waiting"),
	}
}

// Create adds a record at Version 1; where both the id and the key are taken, the error names the one with the id.
func (s *Store) Create(ctx context.Context, r durable.Record) error {
	row, err := encode(r)
	if err != nil {
		return fmt.Errorf("create %s: %w", r.ID, err)
	}
	n, err := s.db.run(ctx, s.create, nil, r.ID, row.key, row.created, row.updated, row.due, r.Owner, row.lease, r.Minted,
		r.Party, r.Trace, row.state, row.owed, row.seen)
	if err == nil && n == 0 { // whoever has the id or the key is committed, or it would have been waited for
		exists := &durable.ExistsError{}
		if _, err = s.db.run(ctx, s.holder, one(&exists.ID), r.ID, row.key); err == nil {
			return exists
		}
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", r.ID, err)
	}
	s.db.writes.Add(1)
	return nil
}

// Save replaces the record one version below the given one.
func (s *Store) Save(ctx context.Context, r durable.Record) error {
	row, err := encode(r)
	if err != nil {
		return fmt.Errorf("save %s: %w", r.ID, err)
	}
	n, err := s.db.run(ctx, s.save, nil, r.ID, r.Version, row.updated, row.due, r.Owner, row.lease, r.Minted,
		row.state, row.owed, row.seen, r.Party)
	if err == nil && n == 0 {
		if n, err = s.db.run(ctx, s.exists, nil, r.ID); err == nil { // no record is ever taken away
			err = durable.ErrConflict
			if n == 0 {
				err = durable.ErrNotFound
			}
		}
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", r.ID, err)
	}
	s.db.writes.Add(1)
	return nil
}

// Load reads a record as the last answered write left it, or as a later one did.
func (s *Store) Load(ctx context.Context, id string) (durable.Record, error) {
	found, err := s.records(ctx, s.load, id)
	if err == nil && len(found) == 0 {
		err = durable.ErrNotFound
	}
	if err != nil {
		return durable.Record{}, fmt.Errorf("load %s: %w", id, err)
	}
	return found[0], nil
}

// List reads up to limit records of a party below an id, highest id first.
func (s *Store) List(ctx context.Context, party, before string, limit int) (found []durable.Record, err error) {
	limit = max(limit, 0)
	switch {
	case party == "" && before == "":
		found, err = s.records(ctx, s.listAll, limit)
	case party == "":
		found, err = s.records(ctx, s.list, before, limit)
	case before == "":
		found, err = s.records(ctx, s.listAllOf, party, limit)
	default:
		found, err = s.records(ctx, s.listOf, party, before, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return found, nil
}

// Claim gives out the records that are due and nobody has in hand, but for those that are being changed right now.
// With [durable.ErrUnknown] some may have been given out unheard: they come back when the lease has run out.
func (s *Store) Claim(ctx context.Context, c durable.Claim) (claimed []durable.Record, next time.Time, err error) {
	var due pgtype.Int8
	_, err = s.db.run(ctx, s.claim, func(rows pgx.Rows) error {
		claimed, due = nil, pgtype.Int8{}
		for rows.Next() {
			var row fields
			if err := rows.Scan(append([]any{&due}, row.pointers()...)...); err != nil {
				return err
			}
			if !row.id.Valid {
				continue
			}
			r, err := row.decode()
			if err != nil {
				return err
			}
			claimed = append(claimed, r)
		}
		return rows.Err()
	}, c.Now.UnixNano(), c.Who, nanos(c.Lease), max(c.Limit, 0))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claim: %w", err)
	}
	s.db.claims.Add(1)
	return claimed, timeOf(due), nil
}

// Backlog counts the records that are due.
func (s *Store) Backlog(ctx context.Context, now time.Time, limit int) (n int, oldest time.Time, err error) {
	var since pgtype.Int8
	if _, err = s.db.run(ctx, s.backlog, one(&n, &since), now.UnixNano(), max(limit, 0)); err != nil {
		return 0, time.Time{}, fmt.Errorf("backlog: %w", err)
	}
	return n, timeOf(since), nil
}

// records are the rows of an answer.
func (s *Store) records(ctx context.Context, st statement, args ...any) (found []durable.Record, err error) {
	_, err = s.db.run(ctx, st, func(rows pgx.Rows) error {
		found = nil
		for rows.Next() {
			var row fields
			if err := rows.Scan(row.pointers()...); err != nil {
				return err
			}
			r, err := row.decode()
			if err != nil {
				return err
			}
			found = append(found, r)
		}
		return rows.Err()
	}, args...)
	return found, err
}
