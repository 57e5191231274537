package sqlite

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"
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
	buf, err := appendOwed(make([]byte, 0, room(r)), r.Owed)
	if err != nil {
		return row{}, err
	}
	owed := len(buf)
	buf = appendSeen(buf, r.Seen)
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
	}
	r.Key, _ = row[1].(string)
	switch state := row[9].(type) {
	case string:
		r.State = []byte(state)
	case []byte:
		r.State = state
	}
	if err := list(row[10], &r.Owed); err != nil {
		return r, fmt.Errorf("record %s: owed: %w", r.ID, err)
	}
	if err := list(row[11], &r.Seen); err != nil {
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

// room is about how much the lists of r take.
func room(r durable.Record) int {
	n := 16
	for _, o := range r.Owed {
		n += 192 + len(o.Name) + len(o.To) + len(o.Op) + len(o.Body) + len(o.ID) + len(o.Parked) + len(o.Last)
	}
	for _, s := range r.Seen {
		n += 20 + len(s.ID) + len(s.Hash)
	}
	return n
}

// appendOwed writes what encoding/json would, but bodies to the byte as they are: a message's body is its identity
// together with its ID. It runs once per save, where encoding/json costs as much as SQLite.
func appendOwed(b []byte, owed []durable.Owed) ([]byte, error) {
	b = append(b, '[')
	for i, o := range owed {
		if i > 0 {
			b = append(b, ',')
		}
		b = field(append(b, '{'), "name", o.Name)
		b = field(append(b, ','), "kind", string(o.Kind))
		if o.To != "" {
			b = field(append(b, ','), "to", o.To)
		}
		if o.Op != "" {
			b = field(append(b, ','), "op", o.Op)
		}
		if len(o.Body) > 0 {
			if !json.Valid(o.Body) {
				return nil, fmt.Errorf("the body of effect %s is not JSON", o.Name)
			}
			b = append(append(b, `,"body":`...), o.Body...)
		}
		b = moment(b, "due", o.Due)
		b = moment(b, "give_up", o.GiveUp)
		b = field(append(b, ','), "id", o.ID)
		if o.Attempt != 0 {
			b = strconv.AppendInt(append(b, `,"attempt":`...), int64(o.Attempt), 10)
		}
		if o.Parked != "" {
			b = field(append(b, ','), "parked", o.Parked)
		}
		if o.Last != "" {
			b = field(append(b, ','), "last", o.Last)
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

func appendSeen(b []byte, seen []durable.Seen) []byte {
	b = append(b, '[')
	for i, s := range seen {
		if i > 0 {
			b = append(b, ',')
		}
		b = field(append(b, '{'), "id", s.ID)
		b = append(field(append(b, ','), "hash", s.Hash), '}')
	}
	return append(b, ']')
}

func field(b []byte, name, value string) []byte {
	b = append(append(append(b, '"'), name...), '"', ':')
	for i := range len(value) {
		if escaped[value[i]] {
			quoted, _ := json.Marshal(value) // a string cannot fail
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), value...), '"')
}

// escaped are the bytes for which a string is left to encoding/json.
var escaped = func() (set [256]bool) {
	for c := range set {
		set[c] = c < ' ' || c > '~' || c == '"' || c == '\\'
	}
	return set
}()

func moment(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':', '"')
	return append(t.UTC().AppendFormat(b, time.RFC3339Nano), '"')
}
