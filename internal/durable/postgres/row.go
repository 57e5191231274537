package postgres

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// row is what of a record is not written as it is.
type row struct {
	key                          pgtype.Text
	created, updated, due, lease pgtype.Int8
	state, owed, seen            []byte
}

func encode(r durable.Record) (row, error) {
	buf, err := appendOwed(make([]byte, 0, room(r)), r.Owed)
	if err != nil {
		return row{}, err
	}
	owed := len(buf)
	buf = appendSeen(buf, r.Seen)
	state := r.State
	if state == nil {
		state = []byte{} // nil would be null
	}
	return row{
		key:     pgtype.Text{String: r.Key, Valid: r.Key != ""},
		created: nanos(r.Created), updated: nanos(r.Updated), due: nanos(r.Due), lease: nanos(r.Lease),
		state: state, owed: buf[:owed], seen: buf[owed:],
	}, nil
}

// fields take the columns of a row. A claim's row without a record has nulls only.
type fields struct {
	id, key, owner                                pgtype.Text
	version, created, updated, due, lease, minted pgtype.Int8
	state                                         []byte
	owed, seen                                    pgtype.DriverBytes // only lent
}

// pointers are in the order of columns.
func (f *fields) pointers() []any {
	return []any{&f.id, &f.key, &f.version, &f.created, &f.updated, &f.due, &f.owner, &f.lease, &f.minted, &f.state, &f.owed, &f.seen}
}

func (f *fields) decode() (durable.Record, error) {
	r := durable.Record{
		ID: f.id.String, Key: f.key.String, Version: f.version.Int64, Created: timeOf(f.created), Updated: timeOf(f.updated),
		Due: timeOf(f.due), Owner: f.owner.String, Lease: timeOf(f.lease), Minted: f.minted.Int64, State: f.state,
	}
	if err := list(f.owed, &r.Owed); err != nil {
		return r, fmt.Errorf("record %s: owed: %w", r.ID, err)
	}
	if err := list(f.seen, &r.Seen); err != nil {
		return r, fmt.Errorf("record %s: seen: %w", r.ID, err)
	}
	return r, nil
}

func list[T any](column []byte, into *[]T) error {
	if string(column) == "[]" {
		return nil
	}
	return json.Unmarshal(column, into)
}

// nanos is a time as it is stored: nanoseconds since 1970, null for none. It reaches from 1678 to 2262.
func nanos(t time.Time) pgtype.Int8 {
	if t.IsZero() {
		return pgtype.Int8{}
	}
	return pgtype.Int8{Int64: t.UnixNano(), Valid: true}
}

func timeOf(n pgtype.Int8) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.Unix(0, n.Int64).UTC()
}

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
// together with its ID. It runs once per save.
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
