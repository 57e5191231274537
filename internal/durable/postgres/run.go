package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// How often a statement is tried at most, how long the pauses between are (doubling from firstPause, times a jitter
// between ½ and 1), and how long a try may take: longer than the server's own limits, so that mostly its word is
// heard, which is certain.
const (
	tries      = 5
	firstPause = 10 * time.Millisecond
	patience   = 15 * time.Second
)

// statement is one that is prepared on each connection when it is first run there.
type statement struct {
	sql    string
	writes bool
}

// fate is what became of a statement that failed.
type fate uint8

const (
	failed fate = iota // nothing was written, and asking again would be answered the same
	again              // nothing was written, and the cause may pass
	lost               // it was sent, and nothing was heard of it
)

// The server's codes, https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	serializationFailure = "40001"
	completionUnknown    = "40003"
	deadlockDetected     = "40P01"
	tooManyConnections   = "53300"
	adminShutdown        = "57P01"
	cannotConnectNow     = "57P03"
	idleSessionTimeout   = "57P05"
	readOnlyTransaction  = "25006"
)

// passing are codes of what passes. The server says them before it commits, or without having begun.
var passing = map[string]bool{
	serializationFailure: true, deadlockDetected: true, tooManyConnections: true,
	adminShutdown: true, cannotConnectNow: true, idleSessionTimeout: true,
}

// run runs a statement and says how many rows it concerned. read, nil where no rows are wanted, is called once for
// each try.
func (db *DB) run(ctx context.Context, st statement, read func(pgx.Rows) error, args ...any) (n int64, err error) {
	begun := time.Now()
	for try := 0; ; try++ {
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case db.closed.Load():
			return 0, ErrClosed
		case st.writes && db.readOnly:
			return 0, ErrReadOnly
		}
		n, fate, err := db.try(ctx, st, read, args)
		if err == nil {
			return n, nil
		}
		if fate != failed && ctx.Err() == nil {
			db.lossAt.Store(time.Now().UnixNano())
		}
		if fate == lost && st.writes {
			db.unknown.Add(1)
			if ctx.Err() != nil {
				return 0, fmt.Errorf("%w: %w while it was being written", durable.ErrUnknown, ctx.Err())
			}
			return 0, fmt.Errorf("%w: PostgreSQL at %s: %v", durable.ErrUnknown, db.where, err) // not the driver's timeout: the caller's context has not ended
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if fate == failed || try+1 == tries || time.Since(begun) > db.patience {
			return 0, err
		}
		db.retries.Add(1)
		db.log.Debug("PostgreSQL is asked again", "try", try+1, "err", err)
		pause(ctx, firstPause<<try)
	}
}

// try runs a statement once.
func (db *DB) try(ctx context.Context, st statement, read func(pgx.Rows) error, args []any) (n int64, _ fate, _ error) {
	ctx, cancel := context.WithTimeout(ctx, db.patience)
	defer cancel()
	c, err := db.pool.Acquire(ctx)
	if err != nil {
		if db.closed.Load() {
			return 0, failed, ErrClosed
		}
		fate, err := db.unconnected(err)
		return 0, fate, err
	}
	defer c.Release()
	conn := c.Conn()
	if _, err := conn.Prepare(ctx, st.sql, st.sql); err != nil {
		fate, err := db.judge(err)
		if fate == lost { // the statement itself was not sent
			fate = again
		}
		return 0, fate, err
	}
	rows, err := conn.Query(ctx, st.sql, args...)
	if err == nil && read != nil {
		err = read(rows)
	}
	rows.Close()
	if e := rows.Err(); e != nil { // the server's or the connection's, before what read made of it
		fate, err := db.judge(e)
		if failure, ok := errors.AsType[*pgconn.PgError](e); ok && failure.Code == readOnlyTransaction {
			_ = conn.Close(ctx) // the next one may reach the server that took over
		}
		return 0, fate, err
	}
	return rows.CommandTag().RowsAffected(), failed, err
}

// judge says what an error means for a statement that was given to a connection. What the server calls an error has
// been rolled back: it is said instead of the word that ends a transaction well. With what it calls fatal it closes
// the connection, and that it also says of a crash, or a pooler says it in its place: only for the codes of an
// orderly end is it certain that nothing was written. When the connection is lost it is certain only if the driver
// had sent nothing at all.
func (db *DB) judge(err error) (fate, error) {
	wrapped := fmt.Errorf("PostgreSQL at %s: %w", db.where, err)
	failure, heard := errors.AsType[*pgconn.PgError](err)
	switch {
	case heard && passing[failure.Code]:
		return again, wrapped
	case heard && (failure.SeverityUnlocalized != "ERROR" || failure.Code == completionUnknown || failure.Code[:2] == "08"):
		return lost, wrapped
	case heard:
		return failed, wrapped
	case pgconn.SafeToRetry(err):
		return again, wrapped
	}
	return lost, fmt.Errorf("PostgreSQL at %s: %v", db.where, err) // a timeout of try is not the caller's
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// one reads the one row of an answer.
func one(into ...any) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		if rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}
