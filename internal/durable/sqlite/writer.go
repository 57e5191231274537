package sqlite

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// maxBatch bounds what shares one transaction, and so how long the first in it waits for the last.
const maxBatch = 256

// A commit costs the same for one write as for ten. So the writer that finds work at once after a commit waits until
// pacePerWrite for every further write of that commit has passed since it began, and paceMost at the longest: it is
// then that more are on their way. One writer after the other, and a store at rest, wait for nothing.
const (
	pacePerWrite = 250 * time.Microsecond
	paceMost     = 2 * time.Millisecond
)

// Stats count what the writer did.
type Stats struct {
	Commits uint64 // transactions committed, each with one fsync
	Writes  uint64 // creates and saves that were committed
	Failed  uint64 // transactions rolled back, and commits that failed
	// Batches counts the commits by size: 1, 2-3, 4-7 and so on up to 256.
	Batches [9]uint64
	// Took counts the commits by how long they took with the statements in them, real time: up to TookLeast, up to twice
	// that and so on; what took longer than the last is in Commits alone. Spent is the sum.
	Took  [14]uint64
	Spent time.Duration
}

// TookLeast bounds the first of Stats.Took, the last is some 0.8 s.
const TookLeast = 100 * time.Microsecond

// write is one caller's wish and where the answer goes.
type write struct {
	run     func(*conn) error // on the writer's connection, within its transaction
	updated int64             // the time it carries, for the high-water mark
	stage   atomic.Int32
	done    chan error // has room for the one answer
	err     error      // run's verdict, until the commit
}

// The stages of a write: whoever moves it away from waiting decides whether it takes place.
const (
	waiting int32 = iota
	taken
	withdrawn
)

func newWrite(run func(*conn) error) *write { return &write{run: run, done: make(chan error, 1)} }

// writer is the one goroutine that writes, and the queue before it.
type writer struct {
	conn    *conn
	least   time.Duration // from the beginning of a commit of several to the next
	stopped chan struct{}

	mu     sync.Mutex
	queue  []*write
	ended  bool
	stats  Stats
	wakeup chan struct{} // has room for one

	last int64 // the high-water mark of time on disk; the goroutine's own
}

func startWriter(c *conn, last int64, least time.Duration) *writer {
	w := &writer{conn: c, least: least, last: last, stopped: make(chan struct{}), wakeup: make(chan struct{}, 1)}
	go w.work()
	return w
}

// do queues the write and waits for its answer. When the context ends before the write was begun, it never
// takes place; when it ends later, the answer is ErrUnknown with the context's error.
func (w *writer) do(ctx context.Context, op *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return ErrClosed
	}
	w.queue = append(w.queue, op)
	first := len(w.queue) == 1
	w.mu.Unlock()
	if first {
		w.wake()
	}
	select {
	case err := <-op.done:
		return err
	case <-ctx.Done():
		if op.stage.CompareAndSwap(waiting, withdrawn) {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w while it was being written", durable.ErrUnknown, ctx.Err())
	}
}

func (w *writer) wake() {
	select {
	case w.wakeup <- struct{}{}:
	default:
	}
}

// stop lets the goroutine finish the queue and waits for it. It is called once.
func (w *writer) stop() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.wake()
	<-w.stopped
}

func (w *writer) counters() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

func (w *writer) work() {
	defer close(w.stopped)
	batch := make([]*write, 0, maxBatch)
	var began time.Time // the last commit
	var pace time.Duration
	for {
		batch = batch[:0]
		if wait := pace - time.Since(began); wait > 0 && !w.crowded() {
			time.Sleep(wait)
		}
		w.mu.Lock()
		n := min(len(w.queue), maxBatch)
		for _, op := range w.queue[:n] {
			if op.stage.CompareAndSwap(waiting, taken) {
				batch = append(batch, op)
			}
		}
		rest := copy(w.queue, w.queue[n:])
		clear(w.queue[rest:])
		w.queue = w.queue[:rest]
		ended := w.ended && rest == 0
		w.mu.Unlock()
		if len(batch) > 0 {
			began = time.Now()
			pace = 0
			if n := len(batch); n > 1 {
				pace = max(w.least, min(paceMost, time.Duration(n-1)*pacePerWrite))
			}
			w.commit(batch, began)
		}
		clear(batch)
		switch {
		case rest > 0:
		case ended:
			return
		default:
			<-w.wakeup
		}
	}
}

// crowded says that there is no point in waiting for more writes.
func (w *writer) crowded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended || len(w.queue) >= maxBatch/2
}

// commit runs a batch in one transaction and answers every write in it.
func (w *writer) commit(batch []*write, began time.Time) {
	all := w.write(batch, began)
	for _, op := range batch {
		switch {
		case all != nil:
			op.done <- all
		default:
			op.done <- op.err
		}
	}
}

// write returns the error that all of the batch share.
func (w *writer) write(batch []*write, began time.Time) error {
	if _, err := w.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return w.failed(fmt.Errorf("begin: %w", err))
	}
	var written uint64
	last := w.last
	for _, op := range batch {
		op.err = op.run(w.conn)
		if op.err == nil {
			written++
			last = max(last, op.updated)
		} else if fatal(op.err) {
			w.conn.rollback()
			return w.failed(op.err)
		}
	}
	if last > w.last {
		if _, err := w.conn.exec("UPDATE meta SET value = ? WHERE name = 'last_time'", last); err != nil {
			w.conn.rollback()
			return w.failed(err)
		}
	}
	if _, err := w.conn.exec("COMMIT"); err != nil {
		w.conn.rollback()
		return w.failed(fmt.Errorf("%w: commit: %w", durable.ErrUnknown, err))
	}
	w.last = last
	took := time.Since(began)
	w.mu.Lock()
	w.stats.Spent += took
	if i := bits.Len64(uint64(max(0, took-1) / TookLeast)); i < len(w.stats.Took) {
		w.stats.Took[i]++
	}
	w.stats.Commits++
	w.stats.Writes += written
	w.stats.Batches[bits.Len(uint(len(batch)))-1]++
	w.mu.Unlock()
	return nil
}

func (w *writer) failed(err error) error {
	w.mu.Lock()
	w.stats.Failed++
	w.mu.Unlock()
	return err
}

// fatal says whether an error ended the whole transaction, or may have: then it must not be committed.
func fatal(err error) bool {
	switch primary(err) {
	case 0, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return false // the one statement was undone
	}
	return true
}
