package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Layouts is how many versions of a kind's layout there are.
var Layouts = len(migrations)

// OpenNewer is Open in a program that knows more migrations.
func OpenNewer(ctx context.Context, opt Options, more ...string) (*DB, error) {
	return open(ctx, opt, append(slices.Clip(migrations), more...))
}

// OpenEarlier is Open in a program that knows the first migrations only.
func OpenEarlier(ctx context.Context, opt Options, layouts int) (*DB, error) {
	return open(ctx, opt, migrations[:layouts])
}

// SetPatience sets how long an answer is awaited.
func (db *DB) SetPatience(d time.Duration) { db.patience = d }

// RowBytes is how much a save of r writes.
func RowBytes(r durable.Record) (int, error) {
	row, err := encode(r)
	return len(row.state) + len(row.owed) + len(row.seen), err
}

// Statements are those of a store, by name.
func (s *Store) Statements() map[string]string {
	return map[string]string{
		"create": s.create.sql, "save": s.save.sql, "exists": s.exists.sql, "holder": s.holder.sql, "load": s.load.sql,
		"list": s.list.sql, "listAll": s.listAll.sql, "listOf": s.listOf.sql, "listAllOf": s.listAllOf.sql, "claim": s.claim.sql, "backlog": s.backlog.sql,
	}
}

// Setting is a setting of the server, as our connections have it.
func (db *DB) Setting(ctx context.Context, name string) (value string, err error) {
	_, err = db.run(ctx, statement{sql: "SELECT current_setting($1)"}, one(&value), name)
	return value, err
}
