package mongo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// document is a record as it is stored. Times are nanoseconds since 1970 UTC, from 1678 to 2262, and absent where there
// is none; so are a key, a party and a trace. State and bodies are strings of JSON, in which an operator can read and
// search; bytes that are no text are binary.
type document struct {
	ID      string  `bson:"_id"`
	Key     string  `bson:"key,omitempty"`
	Created *int64  `bson:"created,omitempty"`
	Trace   string  `bson:"trace,omitempty"`
	Claim   int64   `bson:"claim,omitempty"` // drawn anew by each claim: who finds its own there has the record
	Content content `bson:",inline"`
}

// content is what a save replaces.
type content struct {
	Version int64  `bson:"version"`
	Updated *int64 `bson:"updated,omitempty"`
	Due     *int64 `bson:"due,omitempty"`
	Owner   string `bson:"owner"`
	Lease   *int64 `bson:"lease,omitempty"`
	Minted  int64  `bson:"minted"`
	Party   string `bson:"party,omitempty"`
	State   text   `bson:"state"`
	Owed    []owed `bson:"owed"`
	Seen    []seen `bson:"seen"`
}

type owed struct {
	Name    string `bson:"name"`
	Kind    string `bson:"kind"`
	To      string `bson:"to,omitempty"`
	Op      string `bson:"op,omitempty"`
	Body    text   `bson:"body,omitempty"`
	Due     *int64 `bson:"due,omitempty"`
	GiveUp  *int64 `bson:"give_up,omitempty"`
	ID      string `bson:"id"`
	Attempt int    `bson:"attempt,omitempty"`
	Parked  string `bson:"parked,omitempty"`
	Last    string `bson:"last,omitempty"`
	Trace   string `bson:"trace,omitempty"`
}

type seen struct {
	ID   string `bson:"id"`
	Hash string `bson:"hash"`
}

func contentOf(r durable.Record) content {
	c := content{
		Version: r.Version, Updated: nanos(r.Updated), Due: nanos(r.Due), Owner: r.Owner, Lease: nanos(r.Lease),
		Minted: r.Minted, Party: r.Party, State: r.State, Owed: make([]owed, 0, len(r.Owed)), Seen: make([]seen, 0, len(r.Seen)),
	}
	for _, o := range r.Owed {
		c.Owed = append(c.Owed, owed{
			Name: o.Name, Kind: string(o.Kind), To: o.To, Op: o.Op, Body: text(o.Body), Due: nanos(o.Due), GiveUp: nanos(o.GiveUp),
			ID: o.ID, Attempt: o.Attempt, Parked: o.Parked, Last: o.Last, Trace: o.Trace,
		})
	}
	for _, s := range r.Seen {
		c.Seen = append(c.Seen, seen(s))
	}
	return c
}

func (d document) record() durable.Record {
	c := d.Content
	r := durable.Record{
		ID: d.ID, Key: d.Key, Party: c.Party, Trace: d.Trace, Version: c.Version,
		Created: timeOf(d.Created), Updated: timeOf(c.Updated), Due: timeOf(c.Due), Owner: c.Owner, Lease: timeOf(c.Lease), Minted: c.Minted, State: c.State,
	}
	for _, o := range c.Owed {
		r.Owed = append(r.Owed, durable.Owed{
			Effect: durable.Effect{
				Name: o.Name, Kind: durable.Kind(o.Kind), To: o.To, Op: o.Op, Body: json.RawMessage(o.Body),
				Due: timeOf(o.Due), GiveUp: timeOf(o.GiveUp),
			},
			ID: o.ID, Attempt: o.Attempt, Parked: o.Parked, Last: o.Last, Trace: o.Trace,
		})
	}
	for _, s := range c.Seen {
		r.Seen = append(r.Seen, durable.Seen(s))
	}
	return r
}

// update is what makes a document hold c.
func (c content) update() bson.D {
	var none bson.D
	for _, f := range []struct {
		name   string
		absent bool
	}{{"updated", c.Updated == nil}, {"due", c.Due == nil}, {"lease", c.Lease == nil}, {"party", c.Party == ""}} {
		if f.absent {
			none = append(none, bson.E{Key: f.name, Value: ""})
		}
	}
	u := bson.D{{Key: "$set", Value: c}}
	if none != nil {
		u = append(u, bson.E{Key: "$unset", Value: none})
	}
	return u
}

func nanos(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixNano()
	return &n
}

func timeOf(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return time.Unix(0, *n).UTC()
}

// text is bytes, kept as a string where they are text.
type text []byte

// MarshalBSONValue makes a string or a binary of t, as https://bsonspec.org has them: the driver's own way costs a
// sixth of a save.
func (t text) MarshalBSONValue() (byte, []byte, error) {
	b := make([]byte, 0, len(t)+5)
	if utf8.Valid(t) && bytes.IndexByte(t, 0) < 0 {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t)+1))
		return byte(bson.TypeString), append(append(b, t...), 0), nil
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(t)))
	return byte(bson.TypeBinary), append(append(b, bson.TypeBinaryGeneric), t...), nil
}

// UnmarshalBSONValue takes what MarshalBSONValue makes.
func (t *text) UnmarshalBSONValue(kind byte, b []byte) error {
	v := bson.RawValue{Type: bson.Type(kind), Value: b}
	if s, ok := v.StringValueOK(); ok {
		*t = []byte(s)
		return nil
	}
	if _, b, ok := v.BinaryOK(); ok {
		*t = bytes.Clone(b)
		return nil
	}
	if v.Type == bson.TypeNull {
		*t = nil
		return nil
	}
	return fmt.Errorf("a %s where a text was expected", v.Type)
}
