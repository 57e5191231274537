package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

//go:embed migrations/*.sql
var scripts embed.FS

// migrations lead from each version of a kind's layout to the next. A newer program's may run while older programs
// work on the same tables: they only add, and what they add may be left out by who does not know it. One that was
// released is not changed any more.
var migrations = embedded(scripts)

func embedded(files fs.FS) []string {
	names, err := fs.Glob(files, "migrations/*.sql") // in order
	if err != nil {
		panic(err)
	}
	list := make([]string, 0, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil || !strings.HasPrefix(name, fmt.Sprintf("migrations/%04d_", i+1)) {
			panic(fmt.Sprintf("migration %d is %s: %v", i+1, name, err))
		}
		list = append(list, string(text))
	}
	return list
}

// ledger is the table of the migrations that were done.
const ledger = "tiffin_migrations"

// foundation makes what is the schema's own.
const foundation = `
	CREATE SCHEMA IF NOT EXISTS "{schema}";
	CREATE TABLE IF NOT EXISTS "{schema}".tiffin_migrations (
		kind    text        NOT NULL,
		version integer     NOT NULL,
		applied timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (kind, version)
	);`

// turn makes one migrating process wait for another, however long that takes, until its transaction ends. What it
// does then waits for nobody long: whoever waits to change a table keeps everybody else from it.
const turn = `
	SET LOCAL statement_timeout = 0;
	SET LOCAL lock_timeout = 0;
	SELECT pg_advisory_xact_lock(hashtextextended('tiffin migrations of {schema}', 0));
	SET LOCAL lock_timeout = '5s';`

// script fills in what a script is about. Both are words.
func (db *DB) script(text, kind string) string {
	return strings.NewReplacer("{schema}", db.schema, "{kind}", kind).Replace(text)
}

// lay sees that the schema is there and that no kind in it has a layout this program does not know.
func (db *DB) lay(ctx context.Context) error {
	var there bool
	if _, err := db.run(ctx, statement{sql: "SELECT to_regclass($1) IS NOT NULL"}, one(&there), db.name(ledger)); err != nil {
		return err
	}
	if there {
		_, err := db.version(ctx, "")
		return err
	}
	if db.readOnly {
		return fmt.Errorf("there is no schema %s of this program in the database at %s", db.schema, db.where)
	}
	return db.alone(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, db.script(foundation, ""))
		return err
	})
}

// migrate brings the table of a kind to the newest layout.
func (db *DB) migrate(ctx context.Context, kind string) error {
	version, err := db.version(ctx, kind)
	if err != nil {
		return err
	}
	if db.readOnly && version < len(db.migrations) {
		return fmt.Errorf("its layout is %d, and this program reads %d: open it for writing once", version, len(db.migrations))
	}
	for version < len(db.migrations) {
		err := db.alone(ctx, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, db.selectVersion(), kind).Scan(&version); err != nil {
				return err
			}
			if version >= len(db.migrations) {
				return db.known(version) // another process was quicker
			}
			if _, err := tx.Exec(ctx, db.script(db.migrations[version], kind)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO "+db.name(ledger)+" (kind, version) VALUES ($1, $2)", kind, version+1)
			return err
		})
		if err != nil {
			return fmt.Errorf("from version %d of its layout to the next: %w", version, err)
		}
		version++
	}
	return nil
}

func (db *DB) selectVersion() string {
	return "SELECT coalesce(max(version), 0) FROM " + db.name(ledger) + " WHERE kind = $1 OR $1 = ''"
}

// version is the layout of a kind, 0 where there is none, or the newest of all kinds where kind is empty.
func (db *DB) version(ctx context.Context, kind string) (int, error) {
	var version pgtype.Int4
	if _, err := db.run(ctx, statement{sql: db.selectVersion()}, one(&version), kind); err != nil {
		return 0, err
	}
	return int(version.Int32), db.known(int(version.Int32))
}

// known refuses a layout that a newer version of this program has made.
func (db *DB) known(version int) error {
	if version > len(db.migrations) {
		return fmt.Errorf("schema %s at %s was written by a newer version of this program (layout %d, this one knows %d): use that version",
			db.schema, db.where, version, len(db.migrations))
	}
	return nil
}

// alone runs f in a transaction while no other process that uses alone is in its own. It may be tried again by the
// caller whatever went wrong, also when its commit is in doubt: f looks at what is done.
func (db *DB) alone(ctx context.Context, f func(pgx.Tx) error) error {
	if db.readOnly {
		return ErrReadOnly
	}
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		_, err = db.unconnected(err)
		return errors.Join(ctx.Err(), err)
	}
	defer conn.Release()
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, db.script(turn, "")); err != nil {
			return err
		}
		return f(tx)
	})
}
