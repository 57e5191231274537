// Package postgres keeps records in PostgreSQL, a table for each kind in one schema. Many processes may use the same
// schema at once: a lease is what keeps two of them from the same work.
//
// A write is one statement in a transaction of its own and one round trip, and is answered nil when the server has
// it on its disk: synchronous_commit is switched on where the server's settings have it off. Concurrent commits share
// an fsync inside the server, so that nothing is batched here.
//
// A statement is repeated a few times, with growing and jittered pauses, when it is certain that nothing was written
// and likely that the cause passes: a deadlock, a failed serialization, a server that shuts down or cannot be
// reached, a connection that turned out to be closed before anything was sent. A write that was sent and of which
// nothing was heard is never repeated: it is answered [durable.ErrUnknown], together with the context's error where
// the context ended. Every other error means that nothing was written.
//
// No statement waits longer than 5 s for a lock or runs longer than 10 s at the server (lock_timeout and
// statement_timeout in the URL set other limits), and no answer is awaited longer than 15 s, whatever the context
// allows; a connection is made within 5 s (connect_timeout in the URL). Connections are kept for an hour, idle ones
// for five minutes. A pooler between must pool sessions, not transactions.
//
// Ids, keys and owners are UTF-8 without the character NUL, as PostgreSQL's text is; state, effects and events are
// kept as the bytes they are.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrClosed is the answer of a closed DB.
var ErrClosed = errors.New("the database is closed")

// ErrReadOnly is the answer to a write where the database was opened for reading.
var ErrReadOnly = errors.New("the database was opened for reading only")

// ErrAway is what is wrong when the server cannot be reached or takes nobody in at the moment: it may pass.
var ErrAway = errors.New("the server is away")

// Defaults of Options.
const (
	DefaultSchema   = "tiffin"
	DefaultMaxConns = 16
)

// Options say where the records are.
type Options struct {
	URL      string       // postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full
	Schema   string       // a lower-case word, made where it is not there yet; "" is DefaultSchema
	MaxConns int          // connections at once; 0 is DefaultMaxConns
	Log      *slog.Logger // nil: nothing is logged
	ReadOnly bool         // nothing is written, and the schema must be there in the newest layout
}

// DB is a schema of a server. All methods are safe for concurrent use.
type DB struct {
	schema     string
	where      string // host:port of the server, for errors
	readOnly   bool
	log        *slog.Logger
	pool       *pgxpool.Pool
	migrations []string
	closed     atomic.Bool
	shut       func()
	patience   time.Duration
	lossAt     atomic.Int64 // when a connection was last lost: those unused since then may be as well

	sent, writes, claims, retries, unknown atomic.Uint64
}

// Stats count what was done so far.
type Stats struct {
	Writes     uint64 // creates and saves that were committed, each in a transaction of its own
	Claims     uint64 // claims that were committed
	Retries    uint64 // statements that were sent again, because nothing was written
	Unknown    uint64 // writes answered ErrUnknown
	RoundTrips uint64 // how often something was sent to the server, connecting and preparing included
}

var word = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// taken are words that could be the name of something that belongs to another kind, or to none.
var taken = regexp.MustCompile(`^(tiffin|pg)_|_(pkey|key|due|party|view)$`)

// Open connects to the server and checks that this program and the schema know each other, which it makes where it
// is not there yet. An error that is ErrAway may pass; any other is there to stay: a URL that is none, a user or
// database that does not exist, a schema of a newer version of the program.
func Open(ctx context.Context, opt Options) (*DB, error) {
	return open(ctx, opt, migrations)
}

func open(ctx context.Context, opt Options, migrations []string) (*DB, error) {
	if opt.Schema == "" {
		opt.Schema = DefaultSchema
	}
	if !word.MatchString(opt.Schema) || strings.HasPrefix(opt.Schema, "pg_") {
		return nil, fmt.Errorf("PostgreSQL schema %q: it must be a lower-case word such as %q", opt.Schema, DefaultSchema)
	}
	if opt.MaxConns < 0 {
		return nil, fmt.Errorf("PostgreSQL connections: %d is not a number of connections", opt.MaxConns)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	db := &DB{
		schema: opt.Schema, readOnly: opt.ReadOnly, log: opt.Log, migrations: migrations, patience: patience,
	}
	config, err := db.configure(opt)
	if err != nil {
		return nil, err
	}
	db.where = address(config.ConnConfig)
	if db.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("PostgreSQL at %s: %w", db.where, err)
	}
	db.shut = sync.OnceFunc(db.pool.Close)
	if err = db.inspect(ctx); err == nil {
		err = db.lay(ctx)
	}
	if err != nil {
		db.shut()
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return db, nil
}

// inspect looks at those of the server's settings that a promise of ours rests on.
func (db *DB) inspect(ctx context.Context) error {
	var encoding, fsync, pages string
	_, err := db.run(ctx, statement{sql: "SELECT current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes')"},
		one(&encoding, &fsync, &pages))
	switch {
	case err != nil:
		return err
	case encoding != "UTF8":
		return fmt.Errorf("the database at %s has the encoding %s: it must be UTF8", db.where, encoding)
	case fsync != "on" || pages != "on":
		db.log.Warn("the PostgreSQL server may lose what it acknowledges when its machine fails", "server", db.where,
			"fsync", fsync, "full_page_writes", pages)
	}
	return nil
}

// Close waits for what is under way and closes the connections. Calls that come later answer ErrClosed.
func (db *DB) Close() error {
	db.closed.Store(true)
	db.shut()
	return nil
}

// Ping asks the server for a sign of life.
func (db *DB) Ping(ctx context.Context) error {
	if _, err := db.run(ctx, statement{sql: "SELECT"}, nil); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Kinds are the kinds of records in the schema, by name.
func (db *DB) Kinds(ctx context.Context) (kinds []string, err error) {
	_, err = db.run(ctx, statement{sql: "SELECT DISTINCT kind FROM " + db.name(ledger) + " ORDER BY kind"}, func(rows pgx.Rows) (err error) {
		kinds, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kinds in schema %s: %w", db.schema, err)
	}
	return kinds, nil
}

// LastTime is the largest Updated of any record, zero where there is none. It reads every record: it is for a
// verification, not for a start.
func (db *DB) LastTime(ctx context.Context) (last time.Time, err error) {
	kinds, err := db.Kinds(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("last time: %w", err)
	}
	for _, kind := range kinds {
		var updated pgtype.Int8
		if _, err := db.run(ctx, statement{sql: "SELECT max(updated) FROM " + db.name(kind)}, one(&updated)); err != nil {
			return time.Time{}, fmt.Errorf("last time of %s: %w", kind, err)
		}
		if t := timeOf(updated); t.After(last) {
			last = t
		}
	}
	return last, nil
}

// Store is the store of one kind, a lower-case word, whose table is made or brought to the newest layout first.
func (db *DB) Store(ctx context.Context, kind string) (*Store, error) {
	if !word.MatchString(kind) || taken.MatchString(kind) {
		return nil, fmt.Errorf("store: %q is not the name of a kind", kind)
	}
	if err := db.migrate(ctx, kind); err != nil {
		return nil, fmt.Errorf("store of %s in schema %s: %w", kind, db.schema, err)
	}
	return newStore(db, kind), nil
}

// Stats are the counters so far.
func (db *DB) Stats() Stats {
	return Stats{
		Writes: db.writes.Load(), Claims: db.claims.Load(), Retries: db.retries.Load(), Unknown: db.unknown.Load(),
		RoundTrips: db.sent.Load(),
	}
}

// name is a table of the schema, as SQL has it.
func (db *DB) name(table string) string { return pgx.Identifier{db.schema, table}.Sanitize() }
