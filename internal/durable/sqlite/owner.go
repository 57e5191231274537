package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// InUseError says that the file belongs to another process, or to another DB of this one.
type InUseError struct{ Path string }

func (e *InUseError) Error() string {
	return e.Path + " is in use: stop the other process that has it open, or choose another file" +
		" (reading it with verify is possible meanwhile)"
}

// own takes the one right to write to path: an exclusive lock, by SQLite's own means, on an empty database beside
// it. The system takes it back when the process ends, however it ends. The file itself is not locked, so that
// readers are let in.
func own(path string) (*conn, error) {
	name := path + "-owner"
	c, err := connect(dsn(name, "rwc", "busy_timeout(0)"))
	if err == nil {
		if _, err = c.exec("BEGIN EXCLUSIVE"); err == nil {
			return c, nil
		}
		_ = c.close()
	}
	if primary(err) == sqlite3.SQLITE_BUSY {
		return nil, &InUseError{Path: path}
	}
	return nil, fmt.Errorf("lock %s: %w", name, err)
}

// primary is the primary result code of an SQLite error, 0 for any other.
func primary(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}
