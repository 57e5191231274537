package sqlite

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// row is what of a record is not written as it is.
type row struct {
	key, created, updated, due, lease, state driver.Value
	owed, seen                               string
}

func encode(r durable.Record) (row, error) {
	buf, err := durable.AppendOwed(make([]byte, 0, durable.ListRoom(r)), r.Owed)
	if err != nil {
		return row{}, err
	}
	owed := len(buf)
	buf = durable.AppendSeen(buf, r.Seen)
	enc := row{
		created: nanos(r.Created), updated: nanos(r.Updated), due: nanos(r.Due), lease: nanos(r.Lease),
		state: text(r.State), owed: view(buf[:owed]), seen: view(buf[owed:]),
	}
	if r.Key != "" {
		enc.key = r.Key
	}
	return enc, nil
}

// decode makes a record of a row with all columns.
func decode(row []driver.Value) (durable.Record, error) {
	r := durable.Record{
		ID: row[0].(string), Version: row[2].(int64), Created: timeOf(row[3]), Updated: timeOf(row[4]),
		Due: timeOf(row[5]), Owner: row[6].(string), Lease: timeOf(row[7]), Minted: row[8].(int64),
		Party: row[9].(string), Trace: row[10].(string),
	}
	r.Key, _ = row[1].(string)
	switch state := row[11].(type) {
	case string:
		r.State = []byte(state)
	case []byte:
		r.State = state
	}
	if err := list(row[12], &r.Owed); err != nil {
		return r, fmt.Errorf("record %s: owed: %w", r.ID, err)
	}
	if err := list(row[13], &r.Seen); err != nil {
		return r, fmt.Errorf("record %s: seen: %w", r.ID, err)
	}
	return r, nil
}

func list[T any](column driver.Value, into *[]T) error {
	text, _ := column.(string)
	if text == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

// nanos is a time as it is stored: nanoseconds since 1970, NULL for none. It reaches from 1678 to 2262.
func nanos(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t.UnixNano()
}

func timeOf(v driver.Value) time.Time {
	if n, ok := v.(int64); ok {
		return time.Unix(0, n).UTC()
	}
	return time.Time{}
}

// text gives a state to SQLite as text where it is text, so that it can be read in the shell, else as a blob.
func text(state []byte) driver.Value {
	if utf8.Valid(state) && bytes.IndexByte(state, 0) < 0 {
		return view(state)
	}
	return state
}

// view is b as a string without a copy; nobody writes into a record's slices.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // b is not written to again
