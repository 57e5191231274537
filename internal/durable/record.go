package durable

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Record is what a store keeps of one aggregate. It is a value: who is given one may keep it, and nobody writes
// into its slices.
type Record struct {
	ID      string
	Key     string // a second identity, unique where not empty: an idempotency key, an e-mail address
	Party   string // whose record it is: a customer, a restaurant, a courier; empty: nobody's
	Trace   string // the W3C traceparent of what created the record; empty where nothing is traced
	Version int64  // 1 after Create, one more with every Save
	Created time.Time
	Updated time.Time
	Due     time.Time // when something is to be done next; zero: nothing is owed but parked work
	Owner   string    // whose work it is until Lease
	Lease   time.Time
	Minted  int64 // effects ever owed: the source of their ids
	State   []byte
	Owed    []Owed
	Seen    []Seen
}

// Owed is an effect not yet known to be carried out.
type Owed struct {
	Effect
	ID      string `json:"id"` // stable over attempts, instances and restarts
	Attempt int    `json:"attempt,omitempty"`
	Parked  string `json:"parked,omitempty"` // why a person must look; a parked effect is not tried
	Last    string `json:"last,omitempty"`   // what went wrong the last time
	Trace   string `json:"trace,omitempty"`  // the W3C traceparent of what it is owed for; empty where nothing is traced
}

// Seen is an inbox entry: an event that was applied.
type Seen struct {
	ID   string `json:"id"`
	Hash string `json:"hash"`
}

// Caps on what a record may hold, and what happens there: the oldest inbox entry is forgotten (the core's own
// transition rules still drop what is late), and an event that would owe too much fails.
const (
	MaxSeen = 64
	MaxOwed = 32
)

// Errors of a store. A store wraps every other failure as it is: then nothing was written.
var (
	ErrNotFound = errors.New("no such record")
	ErrConflict = errors.New("the record was changed meanwhile")
	ErrUnknown  = errors.New("nobody knows whether the write took place")
)

// ErrStore marks a runner's error whose cause is the store: it is away, or broken. Nothing was applied.
var ErrStore = errors.New("the store has failed")

// ExistsError says that a record with this id or key is there already.
type ExistsError struct{ ID string }

func (e *ExistsError) Error() string { return "record " + e.ID + " exists already" }

// ErrKeyReused is the answer to an event id that was applied before with another body.
var ErrKeyReused = errors.New("the idempotency key was used before with another body")

// Store keeps records of one kind. Each method is atomic and durable when it returns nil.
// All methods are safe for concurrent use.
type Store interface {
	// Create adds a record at Version 1. *ExistsError names the record that has the id or the key.
	Create(context.Context, Record) error
	// Load reads a record; ErrNotFound.
	Load(ctx context.Context, id string) (Record, error)
	// Save replaces the record whose version is one less than the given; ErrConflict, ErrNotFound, ErrUnknown.
	// Key, Created and Trace stay as they were created; Party is the given one.
	Save(context.Context, Record) error
	// Claim takes over up to Limit records, the longest due first and equal ones by id, whose Due has come and which
	// nobody has in hand: their lease has run out, Who's own too. On an exclusive store leases say nothing: there it
	// takes what is not Who's already. It gives them to Who until Lease and does not change their version. next is
	// the earliest Due of any record after Now, zero where there is none.
	Claim(context.Context, Claim) (claimed []Record, next time.Time, err error)
	// Backlog counts the records whose Due has come, up to limit, and says since when the longest waiting one is
	// due, zero where there is none.
	Backlog(ctx context.Context, now time.Time, limit int) (n int, oldest time.Time, err error)
	// List reads up to limit records of a party (of everybody and nobody where it is empty) with ids below before (all
	// where it is empty), highest id first. What it costs depends on limit, not on how many records there are.
	List(ctx context.Context, party, before string, limit int) ([]Record, error)
}

// Claim says who asks for work.
type Claim struct {
	Who   string
	Now   time.Time
	Lease time.Time
	Limit int
}

// Features are the declared differences between stores.
type Features struct {
	// Exclusive: no other process can write to the store while this one has it open, so that every other
	// owner's lease is void and what is cached is current.
	Exclusive bool
}

// Featured is a store that says how it differs; one that does not has none of the features.
type Featured interface{ Features() Features }

// FeaturesOf are s's declared features.
func FeaturesOf(s Store) Features {
	if f, ok := s.(Featured); ok {
		return f.Features()
	}
	return Features{}
}

// Fingerprint tells apart what must not come twice under one id.
func Fingerprint(kind string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func fingerprint(e Event) string {
	if e.Hash != "" {
		return e.Hash
	}
	return Fingerprint(e.Type, e.Body)
}

func (r *Record) seen(id string) (Seen, bool) {
	for _, s := range r.Seen {
		if s.ID == id {
			return s, true
		}
	}
	return Seen{}, false
}

func (r *Record) owes(id string) int {
	return slices.IndexFunc(r.Owed, func(o Owed) bool { return o.ID == id })
}

// settle takes the effect out of what is owed.
func (r *Record) settle(id string) {
	r.Owed = slices.DeleteFunc(slices.Clone(r.Owed), func(o Owed) bool { return o.ID == id })
}

// owe takes the effect settled (none where empty) out of what is owed, and then adds, replaces and drops effects. What
// it adds is part of the trace of the event that brought it, or else of the record's own.
func (r *Record) owe(settled string, effects []Effect, trace string, now time.Time) error {
	if trace == "" {
		trace = r.Trace
	}
	owed := make([]Owed, 0, len(r.Owed)+len(effects))
	for _, o := range r.Owed {
		if o.ID != settled {
			owed = append(owed, o)
		}
	}
	for _, e := range effects {
		if i := slices.IndexFunc(owed, func(o Owed) bool { return o.Name == e.Name }); i >= 0 {
			owed = slices.Delete(owed, i, i+1)
		}
		if e.Kind == kindDrop {
			continue
		}
		if e.Due.IsZero() {
			e.Due = now
		}
		r.Minted++
		owed = append(owed, Owed{Effect: e, ID: r.ID + "/" + e.Name + "/" + strconv.FormatInt(r.Minted, 10), Trace: trace})
	}
	if len(owed) > MaxOwed {
		return fmt.Errorf("record %s would owe %d effects, more than %d", r.ID, len(owed), MaxOwed)
	}
	r.Owed = owed
	return nil
}

// schedule sets when the record is due and whose it is.
func (r *Record) schedule(owner string, lease time.Time) {
	r.Due = time.Time{}
	for _, o := range r.Owed {
		if o.Parked == "" && (r.Due.IsZero() || o.Due.Before(r.Due)) {
			r.Due = o.Due
		}
	}
	r.Owner, r.Lease = owner, lease
	if r.Due.IsZero() {
		r.Owner, r.Lease = "", time.Time{}
	}
}
