package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Machine is the pure core of a service: a state machine over one kind of record.
//
// Step is pure: no I/O, no clock, no randomness, no goroutine, no dependence on map order, and it never writes
// into memory that the given state shares (append to a clipped slice). It may be called again with the same
// arguments when a save lost its race. Its error decides what becomes of the event:
//
//   - nil: the state and the effects are saved, then the event is acknowledged;
//   - [ErrIgnored]: nothing changes and nothing is written; the event is acknowledged;
//   - a [*Refusal]: nothing changes and the sender is told why;
//   - [ErrCanWait], for the outcome of an effect: the state is changed in memory, together with the mark that the
//     effect is carried out, and both ride on the next save; a crash before that brings the outcome again;
//   - any other: nothing changes; an inbound event goes back to its sender with the error, the result of an
//     effect parks that effect for a person.
//
// S is a value. Append and Decode are its codec; embed [JSON] for the plain one.
type Machine[S any] interface {
	Step(S, Event) (S, []Effect, error)
	Append([]byte, S) ([]byte, error)
	Decode([]byte) (S, error)
}

// Owned is a machine whose records are somebody's. Party, pure as Step is, names whose by the state, empty where
// nobody's; every write of a record has it.
type Owned[S any] interface{ Party(S) string }

// ErrIgnored is what a Step returns when an event changes nothing.
var ErrIgnored = errors.New("nothing to do")

// ErrCanWait is what a Step returns, with the state, when the outcome of an effect changed nothing that anybody waits
// for: a line in a record's story.
var ErrCanWait = errors.New("no need to hurry")

// Event is something that happened to a record.
type Event struct {
	ID   string    // the inbox's identity within the record; the same ID with another Type or Body is refused
	Type string    // what happened; results of effects are NAME.done, .refused, .gaveUp, timers NAME.due
	At   time.Time // when it is applied, by the clock; set by the shell, never earlier than the record's last change
	Due  time.Time // of a timer: when it was to come, which may be long ago where nobody was there; zero for all else
	Body []byte    // JSON
	// Value is what Body holds, where whoever brings the event has it decoded; Body may be empty then, and Hash
	// must not be.
	Value any
	Hash  string // what tells events of one ID apart; drawn from Type and Body where empty
	Trace string // the W3C traceparent of whoever brings it; it is no part of Hash and means nothing to a core
}

// Into gives the event's body to the pointer v.
func (e Event) Into(v any) error {
	if e.Value != nil {
		into, value := reflect.ValueOf(v).Elem(), reflect.ValueOf(e.Value)
		if !value.Type().AssignableTo(into.Type()) {
			return fmt.Errorf("event %s: a %T came where a %s was expected", e.Type, e.Value, into.Type())
		}
		into.Set(value)
		return nil
	}
	if err := json.Unmarshal(e.Body, v); err != nil {
		return fmt.Errorf("event %s: %w", e.Type, err)
	}
	return nil
}

// Suffixes of the events that effects bring back.
const (
	Done    = ".done"    // carried out; Body is what the other side answered
	Refused = ".refused" // the other side will never do it; Body is a [Rejection]
	GaveUp  = ".gaveUp"  // not carried out by its give-up time, or nobody knows; Body is a [Rejection]
	Due     = ".due"     // the timer's time has come
)

// Rejection is the body of a .refused or .gaveUp event.
type Rejection struct {
	Status int    `json:"status"` // the HTTP status, 0 where there was none
	Detail string `json:"detail"`
}

// Kind says how an effect is carried out.
type Kind string

// The kinds of effects.
const (
	KindCommand Kind = "command" // an HTTP request to another service or a partner
	KindMessage Kind = "message" // a message through the broker
	KindTimer   Kind = "timer"   // an event to the record itself, later
	kindDrop    Kind = "drop"
)

// Effect is something a record owes to the world. Within a record a name is owed once: a later effect of the same
// name replaces the earlier one.
type Effect struct {
	Name   string          `json:"name"`
	Kind   Kind            `json:"kind"`
	To     string          `json:"to,omitempty"`   // the service, or the exchange
	Op     string          `json:"op,omitempty"`   // "POST /v1/payments", or the routing key
	Body   json.RawMessage `json:"body,omitempty"` //
	Due    time.Time       `json:"due,omitzero"`   // not before; zero: at once
	GiveUp time.Time       `json:"give_up,omitzero"`
}

// Command asks a service or partner to do op ("METHOD /path") with body as JSON, until it answers or giveUp (zero:
// for ever) has passed.
func Command(name, to, op string, body any, giveUp time.Time) Effect {
	return Effect{Name: name, Kind: KindCommand, To: to, Op: op, Body: marshal(body), GiveUp: giveUp}
}

// Message puts body into a queue, or onto a topic exchange where exchange is not empty, until the broker has it.
func Message(name, exchange, key string, body any) Effect {
	return Effect{Name: name, Kind: KindMessage, To: exchange, Op: key, Body: marshal(body)}
}

// Timer brings the event NAME.due to the record at due.
func Timer(name string, due time.Time) Effect {
	return Effect{Name: name, Kind: KindTimer, Due: due}
}

// Drop takes back what is owed under name, if anything is: a timer no longer wanted, a command no longer needed.
// A command that is under way is not called back; its result is ignored.
func Drop(name string) Effect { return Effect{Name: name, Kind: kindDrop} }

func marshal(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil { // effects carry our own plain structs
		panic(fmt.Sprintf("durable: effect body %T: %v", v, err))
	}
	return b
}

// Code is the kind of a refusal.
type Code string

// The kinds of refusals.
const (
	NotFound Code = "not found"
	Conflict Code = "conflict"
	Invalid  Code = "invalid"
	// Doubtful is for a company's news that cannot be true. Whoever brings it to the record keeps it for a person.
	Doubtful Code = "doubtful"
)

// Doubted says whether an event was refused because it cannot be true, and why it cannot.
func Doubted(err error) (why string, ok bool) {
	var r *Refusal
	if errors.As(err, &r) && r.Code == Doubtful {
		return r.Detail, true
	}
	return "", false
}

// Refusal is a core's no: the event was understood and will never be applied.
type Refusal struct {
	Code   Code
	Field  string // the offending field, where there is one
	Detail string
}

func (r *Refusal) Error() string {
	if r.Field != "" {
		return r.Field + ": " + r.Detail
	}
	return r.Detail
}

// Refuse makes a Refusal.
func Refuse(code Code, format string, args ...any) error {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// JSON is the plain codec of a state: encoding/json.
type JSON[S any] struct{}

// Append encodes s behind b.
func (JSON[S]) Append(b []byte, s S) ([]byte, error) {
	enc, err := json.Marshal(s)
	if len(b) == 0 {
		return enc, err
	}
	return append(b, enc...), err
}

// Decode decodes a state.
func (JSON[S]) Decode(b []byte) (S, error) {
	var s S
	err := json.Unmarshal(b, &s)
	return s, err
}
