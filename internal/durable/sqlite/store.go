package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Store keeps the records of one kind; it is a [durable.Store].
type Store struct {
	db *DB

	create, save, give, exists, taken, load, due, claim, next, backlog string

	list, listAll, listOf, listAllOf string // of everybody, and of a party
}

const columns = "id, key, version, created, updated, due, owner, lease, minted, party, trace, state, owed, seen"

func newStore(db *DB, kind string) *Store {
	update := "UPDATE " + kind + " SET version=?1, updated=?2, due=?3, owner=?4, lease=?5, minted=?6, state=?7, owed=?8, seen=?9"
	return &Store{
		db:     db,
		create: "INSERT INTO " + kind + " (" + columns + ") VALUES (?,?,1,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
		// Two, as SQLite writes the entry of an index anew where a column of it is set, also to what it was.
		save:    update + " WHERE id=?10 AND version=?11 AND party=?12",
		give:    update + ", party=?12 WHERE id=?10 AND version=?11",
		exists:  "SELECT 1 FROM " + kind + " WHERE id=?",
		taken:   "SELECT id FROM " + kind + " WHERE id=?1 UNION ALL SELECT id FROM " + kind + " WHERE key=?2 LIMIT 1",
		load:    "SELECT " + columns + " FROM " + kind + " WHERE id=?",
		list:    "SELECT " + columns + " FROM " + kind + " WHERE id<? ORDER BY id DESC LIMIT ?",
		listAll: "SELECT " + columns + " FROM " + kind + " ORDER BY id DESC LIMIT ?",
		// party<>'' says that the index by party has all of them.
		listOf:    "SELECT " + columns + " FROM " + kind + " WHERE party=? AND party<>'' AND id<? ORDER BY id DESC LIMIT ?",
		listAllOf: "SELECT " + columns + " FROM " + kind + " WHERE party=? AND party<>'' ORDER BY id DESC LIMIT ?",
		due:       "SELECT " + columns + " FROM " + kind + " WHERE due<=? AND owner<>? ORDER BY due, id LIMIT ?",
		claim:     "UPDATE " + kind + " SET owner=?, lease=? WHERE id=? AND version=? AND owner=?",
		next:      "SELECT due FROM " + kind + " WHERE due>? ORDER BY due LIMIT 1",
		backlog:   "SELECT count(*), min(due) FROM (SELECT due FROM " + kind + " WHERE due<=? ORDER BY due LIMIT ?)",
	}
}

// Features says that the file is this process's alone, unless it was opened for reading.
func (s *Store) Features() durable.Features { return durable.Features{Exclusive: s.db.writer != nil} }

// Create adds a record at Version 1; where both the id and the key are taken, the error names the one with the id.
func (s *Store) Create(ctx context.Context, r durable.Record) error {
	row, err := encode(r)
	if err != nil {
		return fmt.Errorf("create %s: %w", r.ID, err)
	}
	return s.write(ctx, "create", r, func(c *conn) error {
		n, err := c.exec(s.create, r.ID, row.key, row.created, row.updated, row.due, r.Owner, row.lease, r.Minted,
			r.Party, r.Trace, row.state, row.owed, row.seen)
		if err != nil || n != 0 {
			return err
		}
		exists := &durable.ExistsError{}
		err = c.query(func(row []driver.Value) error {
			exists.ID, _ = row[0].(string)
			return nil
		}, s.taken, r.ID, row.key)
		if err != nil {
			return err
		}
		return exists
	})
}

// Save replaces the record one version below the given one. Where the party is another, it takes a second statement.
func (s *Store) Save(ctx context.Context, r durable.Record) error {
	row, err := encode(r)
	if err != nil {
		return fmt.Errorf("save %s: %w", r.ID, err)
	}
	return s.write(ctx, "save", r, func(c *conn) error {
		for _, update := range []string{s.save, s.give} {
			n, err := c.exec(update, r.Version, row.updated, row.due, r.Owner, row.lease, r.Minted, row.state, row.owed,
				row.seen, r.ID, r.Version-1, r.Party)
			if err != nil || n != 0 {
				return err
			}
		}
		n, err := c.number(s.exists, r.ID)
		switch {
		case err != nil:
			return err
		case n == 0:
			return durable.ErrNotFound
		default:
			return durable.ErrConflict
		}
	})
}

func (s *Store) write(ctx context.Context, what string, r durable.Record, run func(*conn) error) error {
	if s.db.writer == nil {
		return fmt.Errorf("%s %s: %w", what, r.ID, ErrReadOnly)
	}
	op := newWrite(run)
	if !r.Updated.IsZero() {
		op.updated = r.Updated.UnixNano()
	}
	err := s.db.writer.do(ctx, op)
	if exists, ok := errors.AsType[*durable.ExistsError](err); ok {
		return exists
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, r.ID, err)
	}
	return nil
}

// Load reads a record as the last answered write left it, or as a later one did.
func (s *Store) Load(ctx context.Context, id string) (durable.Record, error) {
	var found []durable.Record
	err := s.db.reading(ctx, func(c *conn) error {
		return c.records(&found, s.load, id)
	})
	if err == nil && len(found) == 0 {
		err = durable.ErrNotFound
	}
	if err != nil {
		return durable.Record{}, fmt.Errorf("load %s: %w", id, err)
	}
	return found[0], nil
}

// List reads up to limit records of a party below an id, highest id first.
func (s *Store) List(ctx context.Context, party, before string, limit int) ([]durable.Record, error) {
	var found []durable.Record
	err := s.db.reading(ctx, func(c *conn) error {
		most := int64(max(limit, 0))
		switch {
		case party == "" && before == "":
			return c.records(&found, s.listAll, most)
		case party == "":
			return c.records(&found, s.list, before, most)
		case before == "":
			return c.records(&found, s.listAllOf, party, most)
		}
		return c.records(&found, s.listOf, party, before, most)
	})
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return found, nil
}

// Claim gives out the records that are due. The store is exclusive: whoever else owned them is gone, or gives them
// up here.
func (s *Store) Claim(ctx context.Context, c durable.Claim) (claimed []durable.Record, next time.Time, err error) {
	if s.db.writer == nil {
		return nil, time.Time{}, fmt.Errorf("claim: %w", ErrReadOnly)
	}
	var due []durable.Record
	err = s.db.reading(ctx, func(conn *conn) error {
		now := c.Now.UnixNano()
		return conn.transaction("BEGIN", func() error {
			return errors.Join(
				conn.records(&due, s.due, now, c.Who, int64(max(c.Limit, 0))),
				conn.query(func(row []driver.Value) error {
					next = timeOf(row[0])
					return nil
				}, s.next, now))
		})
	})
	if err == nil && len(due) > 0 {
		claimed, err = s.takeOver(ctx, c, due)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claim: %w", err)
	}
	return claimed, next, nil
}

// Backlog counts the records that are due.
func (s *Store) Backlog(ctx context.Context, now time.Time, limit int) (n int, oldest time.Time, err error) {
	err = s.db.reading(ctx, func(c *conn) error {
		return c.query(func(row []driver.Value) error {
			count, _ := row[0].(int64)
			n, oldest = int(count), timeOf(row[1])
			return nil
		}, s.backlog, now.UnixNano(), int64(max(limit, 0)))
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("backlog: %w", err)
	}
	return n, oldest, nil
}

// takeOver makes the records the claimer's that nobody has changed or claimed since they were read.
func (s *Store) takeOver(ctx context.Context, c durable.Claim, due []durable.Record) (claimed []durable.Record, err error) {
	err = s.db.writer.do(ctx, newWrite(func(conn *conn) error {
		for _, r := range due {
			n, err := conn.exec(s.claim, c.Who, nanos(c.Lease), r.ID, r.Version, r.Owner)
			if err != nil {
				return err
			}
			if n == 1 {
				r.Owner, r.Lease = c.Who, c.Lease
				claimed = append(claimed, r)
			}
		}
		return nil
	}))
	return claimed, err
}

// records adds the rows of an answer to found.
func (c *conn) records(found *[]durable.Record, query string, args ...driver.Value) error {
	return c.query(func(row []driver.Value) error {
		r, err := decode(row)
		if err == nil {
			*found = append(*found, r)
		}
		return err
	}, query, args...)
}
