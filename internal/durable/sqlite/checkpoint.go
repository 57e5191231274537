package sqlite

import "database/sql/driver"

// walPages is how long the log grows before it is copied into the file, in pages of 4 KiB, roughly counted. A hot
// page that was written a hundred times is then copied once, and a start after a crash has little to read.
const walPages = 8192

// checkpointer copies the log into the file beside the writer, which would stand still for tens of milliseconds
// if it did so itself. SQLite uses the log from its beginning again only when all of it was copied, which never
// happens while somebody writes; so the little that was written meanwhile is left to the writer.
type checkpointer struct {
	conn    *conn
	writer  *writer
	begin   chan struct{} // has room for one; closed by stop
	stopped chan struct{}
}

func newCheckpointer(path string, w *writer) (*checkpointer, error) {
	c, err := connectWriting(path)
	return &checkpointer{conn: c, writer: w, begin: make(chan struct{}, 1), stopped: make(chan struct{})}, err
}

func (p *checkpointer) work() {
	defer close(p.stopped)
	for range p.begin {
		for range 2 { // the second copies what was written during the first
			_, _ = p.conn.checkpoint() // what is left, the next one copies; a full disk is the writer's to report
		}
		p.writer.finish.Store(true)
		p.writer.wake()
	}
}

// want starts a checkpoint, unless one is wanted already.
func (p *checkpointer) want() {
	select {
	case p.begin <- struct{}{}:
	default:
	}
}

// stop waits for the checkpoint that is under way.
func (p *checkpointer) stop() {
	close(p.begin)
	<-p.stopped
}

// checkpoint copies as much of the log as readers allow and says whether that was all of it.
func (c *conn) checkpoint() (complete bool, err error) {
	err = c.query(func(row []driver.Value) error {
		complete = row[0] == int64(0) && row[1] == row[2]
		return nil
	}, "PRAGMA wal_checkpoint(PASSIVE)")
	return complete, err
}
