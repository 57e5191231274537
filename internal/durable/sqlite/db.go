// Package sqlite keeps records in one SQLite file, a table for each kind.
//
// A write is answered nil when it is on the disk (WAL, synchronous=FULL). One goroutine writes; what is waiting
// when it becomes free shares one transaction and one fsync, so that the more there is to do the less each write
// costs. A write that loses its race fails alone. When a statement fails for want of space or the like, the whole
// transaction is rolled back and every write in it fails with that error: nothing was written. When the commit
// itself fails they fail with [durable.ErrUnknown]: in this process the write did not happen, but a crash may
// still bring it back.
//
// The file belongs to one writing process, which a lock beside it (PATH-owner) enforces among our own; no lease of
// another owner is honoured. It can be read meanwhile, with [OpenReadOnly] or the sqlite3 shell.
package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// ErrClosed is the answer of a closed DB.
var ErrClosed = errors.New("the database is closed")

// ErrReadOnly is the answer to a write where the file was opened for reading.
var ErrReadOnly = errors.New("the database was opened for reading only")

const readers = 2

// DB is an open file. All methods are safe for concurrent use.
type DB struct {
	path   string
	owner  *conn
	writer *writer // nil when read-only
	read   chan *conn
	closed chan struct{}
	close  func() error
}

// Open opens or creates the file for reading and writing; *InUseError when somebody else has it.
func Open(ctx context.Context, path string) (*DB, error) { return OpenPaced(ctx, path, 0) }

// OpenPaced is Open for whom nobody waits: after a commit of several writes the next begins pace later or more, so that
// more share it. One write after the other, and the first after a rest, wait for nothing.
func OpenPaced(ctx context.Context, path string, pace time.Duration) (*DB, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	owner, err := own(path)
	if err != nil {
		return nil, err
	}
	w, last, err := openWriter(path)
	if err != nil {
		return nil, errors.Join(err, owner.close())
	}
	db := &DB{path: path, owner: owner}
	if err := db.openReaders(); err != nil {
		return nil, errors.Join(err, w.close(), owner.close())
	}
	db.writer = startWriter(w, last, pace)
	return db, nil
}

// OpenReadOnly opens an existing file for reading, also while another process writes to it.
func OpenReadOnly(ctx context.Context, path string) (*DB, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db := &DB{path: path}
	if err := db.openReaders(); err != nil {
		return nil, err
	}
	err := db.reading(ctx, func(c *conn) error {
		version, err := c.layout(path)
		if err == nil && version != len(migrations) {
			err = fmt.Errorf("%s has an old or empty layout (%d): open it for writing once", path, version)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openWriter makes the connection that writes, on a file of the newest layout. The log is copied into the file
// every 1,000 pages, as is SQLite's default: longer logs cost less, but the writer stands still for the copying, 9 ms
// instead of 27 for 8,192 pages; doing it on a connection beside the writer did not help, as both wait for the disk.
func openWriter(path string) (c *conn, last int64, err error) {
	c, err = connect(dsn(path, "rwc", patience, "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-16000)"))
	if err != nil {
		return nil, 0, fmt.Errorf("open %s: %w", path, err)
	}
	if err = c.migrate(path); err == nil {
		last, err = c.number(selectLastTime)
	}
	if err != nil {
		return nil, 0, errors.Join(err, c.close())
	}
	return c, last, nil
}

func (db *DB) openReaders() error {
	db.read = make(chan *conn, readers)
	db.closed = make(chan struct{})
	db.close = sync.OnceValue(db.shut)
	for range readers {
		c, err := connect(dsn(db.path, "ro", patience, "query_only(1)"))
		if err != nil {
			for range len(db.read) {
				err = errors.Join(err, (<-db.read).close())
			}
			return fmt.Errorf("open %s: %w", db.path, err)
		}
		db.read <- c
	}
	return nil
}

// Close finishes the writes that are waiting, copies the log into the file and gives the file back. Calls that come
// later answer ErrClosed.
func (db *DB) Close() error { return db.close() }

func (db *DB) shut() error {
	close(db.closed)
	var errs []error
	if db.writer != nil {
		db.writer.stop()
	}
	for range readers {
		errs = append(errs, (<-db.read).close())
	}
	if db.writer != nil { // last of the connections to the file, so that it empties the log
		errs = append(errs, db.writer.conn.close(), db.owner.close())
	}
	return errors.Join(errs...)
}

// reading lends f a connection that sees every write answered so far.
func (db *DB) reading(ctx context.Context, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-db.closed: // before the connections, which Close has taken or is taking
		return ErrClosed
	default:
	}
	select {
	case c := <-db.read:
		defer func() { db.read <- c }()
		return f(c)
	case <-db.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

const selectLastTime = `SELECT value FROM meta WHERE name = 'last_time'`

// LastTime is the largest Updated ever saved, zero where there is none: no clock may show less on this file.
func (db *DB) LastTime(ctx context.Context) (t time.Time, err error) {
	err = db.reading(ctx, func(c *conn) error {
		return c.query(func(row []driver.Value) error {
			t = timeOf(row[0])
			return nil
		}, selectLastTime)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("last time of %s: %w", db.path, err)
	}
	return t, nil
}

// Kinds are the kinds of records in the file, by name.
func (db *DB) Kinds(ctx context.Context) (kinds []string, err error) {
	err = db.reading(ctx, func(c *conn) error {
		kinds, err = c.kinds()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kinds of %s: %w", db.path, err)
	}
	return kinds, nil
}

// Store is the store of one kind, a lower-case word, whose table is made where it is not there yet.
func (db *DB) Store(ctx context.Context, kind string) (*Store, error) {
	if !kindName.MatchString(kind) {
		return nil, fmt.Errorf("store: %q is not the name of a kind", kind)
	}
	var err error
	if db.writer != nil {
		err = db.writer.do(ctx, newWrite(func(c *conn) error { return c.addKind(kind) }))
	} else {
		err = db.reading(ctx, func(c *conn) error {
			there, err := c.hasKind(kind)
			if err == nil && !there {
				err = errors.New("there are none in the file")
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("store of %s in %s: %w", kind, db.path, err)
	}
	return newStore(db, kind), nil
}

// Stats are the writer's counters so far; zero for a read-only DB.
func (db *DB) Stats() Stats {
	if db.writer == nil {
		return Stats{}
	}
	return db.writer.counters()
}

var _ durable.Featured = (*Store)(nil)
