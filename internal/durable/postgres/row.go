package postgres

import (
	"encoding/json"
	"fmt"
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
	buf, err := durable.AppendOwed(make([]byte, 0, durable.ListRoom(r)), r.Owed)
	if err != nil {
		return row{}, err
	}
	owed := len(buf)
	buf = durable.AppendSeen(buf, r.Seen)
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
	id, key, owner, party, trace                  pgtype.Text
	version, created, updated, due, lease, minted pgtype.Int8
	state                                         []byte
	owed, seen                                    pgtype.DriverBytes // only lent
}

// pointers are in the order of columns.
func (f *fields) pointers() []any {
	return []any{&f.id, &f.key, &f.version, &f.created, &f.updated, &f.due, &f.owner, &f.lease, &f.minted, &f.party, &f.trace,
		&f.state, &f.owed, &f.seen}
}

func (f *fields) decode() (durable.Record, error) {
	r := durable.Record{
		ID: f.id.String, Key: f.key.String, Version: f.version.Int64, Created: timeOf(f.created), Updated: timeOf(f.updated),
		Due: timeOf(f.due), Owner: f.owner.String, Lease: timeOf(f.lease), Minted: f.minted.Int64,
		Party: f.party.String, Trace: f.trace.String, State: f.state,
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
