package durable

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// ListRoom is about how many bytes the lists of r take in JSON.
func ListRoom(r Record) int {
	n := 16
	for _, o := range r.Owed {
		n += 192 + len(o.Name) + len(o.To) + len(o.Op) + len(o.Body) + len(o.ID) + len(o.Parked) + len(o.Last) + len(o.Trace)
	}
	for _, s := range r.Seen {
		n += 20 + len(s.ID) + len(s.Hash)
	}
	return n
}

// AppendOwed appends what a record owes as JSON: as encoding/json would, but bodies to the byte as they are, since a
// message's body is its identity together with its ID. It is for stores, which write it with every save. An error says
// whose body is not JSON.
func AppendOwed(b []byte, owed []Owed) ([]byte, error) {
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
		if o.Trace != "" {
			b = field(append(b, ','), "trace", o.Trace)
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

// AppendSeen appends a record's inbox as JSON, as encoding/json would.
func AppendSeen(b []byte, seen []Seen) []byte {
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
