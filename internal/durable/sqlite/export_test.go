package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"regexp"

	"modernc.org/sqlite"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Layouts is how many versions of the file's layout there are.
var Layouts = len(migrations)

// RowBytes is how much a save of r writes.
func RowBytes(r durable.Record) (int, error) {
	row, err := encode(r)
	return len(r.State) + len(row.owed) + len(row.seen), err
}

// Write runs f as a write of its own.
func (db *DB) Write(ctx context.Context, f func() error) error {
	return db.writer.do(ctx, newWrite(func(*conn) error { return f() }))
}

// Exec runs statements on the writer's connection, outside a transaction, while nothing is being written.
func (db *DB) Exec(query string) error { return db.writer.conn.script(query) }

// FailCommits makes every commit fail while fail says so.
func (db *DB) FailCommits(fail func() bool) {
	db.writer.conn.Conn.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
		if fail() {
			return 1
		}
		return 0
	})
}

// Statements are those of a store that touch the index of parties, by name, with some value for each parameter.
func (s *Store) Statements() map[string]string {
	all := map[string]string{"save": s.save, "give": s.give, "listOf": s.listOf, "listAllOf": s.listAllOf}
	for name, text := range all {
		all[name] = regexp.MustCompile(`\?\d*`).ReplaceAllString(text, "1")
	}
	return all
}

// Texts reads a column of text.
func (db *DB) Texts(ctx context.Context, query string, column int) (list []string, err error) {
	err = db.reading(ctx, func(c *conn) error {
		return c.query(func(row []driver.Value) error {
			list = append(list, fmt.Sprint(row[column]))
			return nil
		}, query)
	})
	return list, err
}

// Count reads a number.
func (db *DB) Count(ctx context.Context, query string) (n int64, err error) {
	err = db.reading(ctx, func(c *conn) error {
		n, err = c.number(query)
		return err
	})
	return n, err
}
