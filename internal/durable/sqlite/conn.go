package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// conn is one connection with its prepared statements. It is used by one goroutine at a time. It speaks to the
// driver below database/sql, whose pool, locks and conversions cost more than the statement they would serve.
type conn struct {
	driver.Conn
	prepared map[string]statement
	args     []driver.NamedValue
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// patience is how long a connection to the file waits for a lock of another program, in milliseconds.
const patience = "busy_timeout(5000)"

// dsn makes the name under which the driver opens path.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

func connect(name string) (*conn, error) {
	c, err := new(sqlite.Driver).Open(name)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, prepared: map[string]statement{}}, nil
}

func (c *conn) statement(query string) (statement, error) {
	if s, ok := c.prepared[query]; ok {
		return s, nil
	}
	s, err := c.Prepare(query)
	if err != nil {
		return nil, err
	}
	c.prepared[query] = s.(statement)
	return s.(statement), nil
}

// bind puts args into the connection's one argument list. It takes int64, string, []byte and nil.
func (c *conn) bind(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a statement and says how many rows it changed.
func (c *conn) exec(query string, args ...driver.Value) (int64, error) {
	s, err := c.statement(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), c.bind(args))
	clear(c.args) // let go of what the caller lent
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// query calls each with every row of the answer; the slice is only lent.
func (c *conn) query(each func(row []driver.Value) error, query string, args ...driver.Value) (err error) {
	s, err := c.statement(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), c.bind(args))
	clear(c.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(row); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// number reads one integer, 0 where the answer is empty or NULL.
func (c *conn) number(query string, args ...driver.Value) (n int64, err error) {
	err = c.query(func(row []driver.Value) error {
		n, _ = row[0].(int64)
		return nil
	}, query, args...)
	return n, err
}

// transaction runs f in one; nothing is written when it returns an error.
func (c *conn) transaction(begin string, f func() error) error {
	if _, err := c.exec(begin); err != nil {
		return err
	}
	if err := f(); err != nil {
		c.rollback()
		return err
	}
	if _, err := c.exec("COMMIT"); err != nil {
		c.rollback()
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback ends the transaction, if SQLite has not done so itself: then it complains, and there is nothing to do.
func (c *conn) rollback() { _, _ = c.exec("ROLLBACK") }

func (c *conn) close() error {
	var errs []error
	for _, s := range c.prepared {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.Close())...)
}
