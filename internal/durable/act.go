package durable

import "time"

// Terms are what the bookkeeping needs to know of its surroundings.
type Terms struct {
	Owner      string        // this instance, in leases
	Lease      time.Duration // how long an instance may be silent before others take its work over
	FlushAfter time.Duration // how long what is merely tidier on disk (sent-marks) may wait for a save to ride on
	Exclusive  bool          // of the store
	Kind       string        // of record, for whoever follows it
	Tracer     Tracer        // nil: nobody follows
	Meter      Meter         // nil: nobody counts
}

// ActKind says what the executor of a cell is to do next.
type ActKind uint8

// The acts.
const (
	ActNone  ActKind = iota // wait: for an event, a result, or Wake
	ActLoad                 // read the record; report with Loaded
	ActSave                 // create (Version 1) or save the record; report with Saved
	ActSend                 // carry the effect out; report with Sent. May run beside other acts
	ActReply                // tell who brought the event of Token what became of it
)

// Act is one thing to do.
type Act struct {
	Kind   ActKind
	Record Record // ActSave
	Owed   Owed   // ActSend
	Key    string // ActSend: the idempotency key, the same for every attempt
	Reply  Reply  // ActReply
	Trace  string // ActLoad, ActSave: of what it is done for
}

// Reply tells what became of an event. Err nil: it is applied (now, or before under the same id) and on disk.
type Reply struct {
	Token uint64
	Err   error
}

// Outcome is what carrying out an effect came to.
type Outcome struct {
	Verdict Verdict
	Body    []byte // Done: what the other side answered
	Status  int
	Detail  string        // Refused, Retry: why
	After   time.Duration // Retry: not before, where the other side said so
}

// Verdict classifies an outcome.
type Verdict uint8

// The verdicts.
const (
	Retry    Verdict = iota // nobody knows, or not now: the same again under the same id
	Accepted                // carried out
	Rejected                // never will be
)
