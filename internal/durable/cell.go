package durable

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/planted"
)

// Cell is the bookkeeping of one record: which events wait, what is being saved, which effects are under way. It
// does no I/O: Next names the next act, and Loaded, Saved and Sent take the results. One executor drives a cell
// at a time; a cell is not safe for concurrent use.
//
// One event at a time is at the record until its save is through. Nothing is sent or acknowledged that is not on
// disk.
type Cell[S any] struct {
	machine Machine[S]
	owned   Owned[S] // the machine, where records are somebody's; else nil
	terms   Terms
	id      string

	loaded bool // rec and state are what the store had when last heard of
	rec    Record
	state  S

	queue []turn
	phase phase
	next  Record // being saved
	after S      // its state

	replies []Reply
	flying  map[string]bool      // effects under way, by id
	foreign map[string]time.Time // effects another instance has in hand until then
	lease   time.Time            // until when what is not foreign is ours to carry out; then a claim must say so again
	sent    []string             // messages that the broker has, which is not on disk yet
	mine    []string             // effects that are ours to carry out (again) should the record have to be read again
	dirty   bool                 // rec is tidier than the store's
	flushAt time.Time
	retryAt time.Time // after a failed load or save of our own
	fails   int
	lazy    bool // the save under way is a flush, of no turn
	stale   bool // the record is to be read again before anything else
	covered int  // turns that waited when the load or save under way began
}

type phase uint8

const (
	idle phase = iota
	loading
	saving
)

// turn is one thing waiting for the record: an event from outside, the outcome of an effect, or a person's wish.
type turn struct {
	token  uint64 // 0: our own, nobody waits
	event  Event
	create bool   // the event begins the record
	look   bool   // ... but the record may be there: load first
	key    string // its second identity
	effect string // the id of the effect whose outcome this is
	out    *Outcome
	unpark string // the name of an effect to take up again
	sure   bool   // what is in memory is not older than the turn: it was read or saved since
	span   Span   // nil: nobody follows it
	failed error  // of an effect's outcome: what the core said
}

// NewCell is the bookkeeping of the record id. Nothing is known of it yet.
func NewCell[S any](m Machine[S], terms Terms, id string) *Cell[S] {
	owned, _ := m.(Owned[S])
	return &Cell[S]{machine: m, owned: owned, terms: terms, id: id, flying: map[string]bool{}}
}

// ID is the record's.
func (c *Cell[S]) ID() string { return c.id }

// State is the record's last committed state and version; ok is false where it is not known in memory.
func (c *Cell[S]) State() (s S, version int64, ok bool) { return c.state, c.rec.Version, c.loaded }

// Record is the last committed record, with sent-marks that may not be on disk yet.
func (c *Cell[S]) Record() Record { return c.rec }

// Idle says that nothing is under way, waiting or unsaved: the cell may be forgotten.
func (c *Cell[S]) Idle() bool {
	return c.Forgettable() && !c.dirty
}

// Forgettable says the same with unsaved sent-marks allowed: forgetting then costs a repeated send at most.
func (c *Cell[S]) Forgettable() bool {
	return c.phase == idle && len(c.queue) == 0 && len(c.replies) == 0 && len(c.flying) == 0 && !c.stale
}

// Adopt gives the cell a record that the store handed over under our lease.
func (c *Cell[S]) Adopt(r Record) error {
	switch {
	case c.phase != idle:
		c.stale = true // what is under way may not have seen the lease
		return nil
	case c.loaded && r.Version < c.rec.Version:
		return nil
	case c.loaded && r.Version == c.rec.Version: // memory is the same, or tidier
		c.lease, c.foreign = r.Lease, nil
		return nil
	}
	if err := c.accept(r); err != nil {
		return err
	}
	c.lease = r.Lease
	return nil
}

// Recall has the record read, if it is not in memory, because something it owes may be due.
func (c *Cell[S]) Recall() { c.stale = c.stale || !c.loaded }

// Deliver brings an event; a Reply with the token will follow. A zero token asks for none.
func (c *Cell[S]) Deliver(token uint64, e Event) {
	c.queue = append(c.queue, turn{token: token, event: e})
}

// DeliverNew brings the event that begins the record, with its second key. Where the record is there already the
// event meets it like any other: the same event is answered again, another one is the core's to judge.
func (c *Cell[S]) DeliverNew(token uint64, key string, e Event) {
	c.queue = append(c.queue, turn{token: token, event: e, create: true, key: key})
}

// Next names the next act. It returns ActNone when there is nothing to do before a result comes in or Wake.
func (c *Cell[S]) Next(now time.Time) Act {
	for {
		if len(c.replies) > 0 {
			r := c.replies[0]
			c.replies = c.replies[1:]
			return Act{Kind: ActReply, Reply: r}
		}
		if c.phase == idle && !c.waiting(now) {
			if c.stale || len(c.queue) > 0 && !c.loaded && (!c.queue[0].create || c.queue[0].look) {
				c.phase, c.covered = loading, len(c.queue)
				return Act{Kind: ActLoad, Trace: c.cause()}
			}
			if len(c.queue) > 0 {
				if c.step(now) {
					return c.save()
				}
				continue
			}
			if c.dirty && len(c.flying) == 0 && !now.Before(c.flushAt) {
				c.begin(now)
				c.after, c.lazy = c.state, true
				return c.save()
			}
		}
		if act, ok := c.send(now); ok {
			if act.Kind == ActNone {
				continue // a timer became an event
			}
			return act
		}
		if !c.stale || c.phase != idle || c.waiting(now) {
			return Act{}
		}
	}
}

func (c *Cell[S]) save() Act {
	c.covered = len(c.queue)
	if c.owned != nil {
		c.next.Party = c.owned.Party(c.after)
	}
	if planted.Is(planted.TimerNotPersisted) {
		return Act{Kind: ActSave, Record: withoutTimers(c.next), Trace: c.cause()}
	}
	return Act{Kind: ActSave, Record: c.next, Trace: c.cause()}
}

func (c *Cell[S]) waiting(now time.Time) bool { return now.Before(c.retryAt) }

// Wake is when Next may have something to do though nothing came in; zero: never.
func (c *Cell[S]) Wake() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if c.loaded {
		for i := range c.rec.Owed {
			o := &c.rec.Owed[i]
			if o.Parked != "" || c.flying[o.ID] {
				continue
			}
			due := o.Due
			until, foreign := c.foreign[o.ID]
			if foreign && until.After(due) {
				due = until
			}
			if c.held(due) && !(foreign && c.stale) {
				sooner(due)
			}
		}
	}
	if c.dirty && len(c.flying) == 0 {
		if c.flushAt.Before(c.retryAt) {
			sooner(c.retryAt)
		} else {
			sooner(c.flushAt)
		}
	}
	if (c.stale || len(c.queue) > 0) && c.phase == idle {
		sooner(c.retryAt)
	}
	return at
}

// step applies the first waiting event to the record in memory and says whether that is to be saved. Where not,
// the turn is over.
func (c *Cell[S]) step(now time.Time) (save bool) {
	t := &c.queue[0]
	if t.unpark != "" {
		c.over(c.unparkNow(t.unpark, now))
		return false
	}
	if t.effect != "" {
		i := c.rec.owes(t.effect)
		if i < 0 || t.out != nil && !c.outcome(t, c.rec.Owed[i], now) {
			c.over(nil) // replaced, dropped, or settled by another instance meanwhile; put off; or nothing to decide
			return false
		}
	}
	var state S
	if c.loaded {
		state = c.state
		if t.effect == "" && t.event.ID != "" && !planted.Is(planted.NoDedupOfCallbacks) {
			if seen, ok := c.rec.seen(t.event.ID); ok {
				var err error
				if seen.Hash != fingerprint(t.event) {
					err = ErrKeyReused
				}
				c.conclude(err)
				return false
			}
		}
	}
	// The shell says when: an event waits its turn, and what it leads to is never earlier than what was.
	t.event.At = now
	if t.event.At.Before(c.rec.Updated) {
		t.event.At = c.rec.Updated
	}
	c.follow(t)
	after, effects, err := c.machine.Step(state, t.event)
	switch {
	case errors.Is(err, ErrIgnored):
		if t.effect != "" {
			c.mark(t.effect, now)
		}
		c.conclude(nil)
		return false
	case errors.Is(err, ErrCanWait) && t.effect != "":
		enc, err := c.machine.Append(nil, after)
		if err != nil {
			c.park(t.effect, err.Error(), now)
		} else {
			c.state, c.rec.State = after, enc
			c.mark(t.effect, now)
		}
		c.over(nil)
		return false
	case err != nil && t.effect != "":
		t.failed = err
		c.park(t.effect, err.Error(), now)
		c.over(nil)
		return false
	case err != nil:
		c.conclude(err)
		return false
	}
	c.begin(now)
	if !c.loaded {
		c.next = Record{ID: c.id, Key: t.key, Trace: t.event.Trace, Version: 1, Created: now, Updated: now}
	}
	if t.effect == "" && t.event.ID != "" {
		seen := c.next.Seen
		if len(seen) >= MaxSeen {
			seen = seen[len(seen)-MaxSeen+1:]
		}
		c.next.Seen = append(seen[:len(seen):len(seen)], Seen{ID: t.event.ID, Hash: fingerprint(t.event)})
	}
	if err = c.next.owe(t.effect, effects, t.event.Trace, now); err == nil {
		if c.next.State, err = c.machine.Append(nil, after); err != nil {
			err = fmt.Errorf("encoding record %s: %w", c.id, err)
		}
	}
	if err != nil {
		c.phase = idle
		if t.effect != "" { // the same outcome would come to the same again, at once and for ever
			c.park(t.effect, err.Error(), now)
		}
		c.over(err)
		return false
	}
	c.next.schedule(c.terms.Owner, now.Add(c.terms.Lease))
	c.after = after
	if planted.Is(planted.EffectSentBeforeCommit) {
		c.state, c.rec, c.loaded = after, c.next, true
	}
	if planted.Is(planted.CacheBeforeStore) {
		c.state, c.rec.Version, c.loaded = after, c.next.Version, true
	}
	if planted.Is(planted.AckBeforeCommit) && t.token != 0 {
		c.replies = append(c.replies, Reply{Token: t.token})
		t.token = 0
	}
	return true
}

// withoutTimers is a planted bug.
func withoutTimers(r Record) Record {
	kept := make([]Owed, 0, len(r.Owed))
	for _, o := range r.Owed {
		if o.Kind != KindTimer {
			kept = append(kept, o)
		}
	}
	r.Owed = kept
	return r
}

// begin prepares the next version.
func (c *Cell[S]) begin(now time.Time) {
	c.phase = saving
	c.lazy = false
	c.next = c.rec
	c.next.Version++
	c.next.Updated = now
	c.next.schedule(c.terms.Owner, now.Add(c.terms.Lease))
}

// conclude ends the first turn without a save. Where others write to the store too, memory may be older than what
// the event's sender knows, and no save would notice: the turn is taken again on what the store has.
func (c *Cell[S]) conclude(err error) {
	if t := &c.queue[0]; t.effect == "" && !t.sure && c.loaded && !c.terms.Exclusive {
		c.stale = true
		return
	}
	c.over(err)
}

// assure notes that what is in memory now is not older than the turns that waited when it was asked for.
func (c *Cell[S]) assure() {
	for i := range c.queue[:c.covered] {
		c.queue[i].sure = true
	}
}

// over ends the first turn.
func (c *Cell[S]) over(err error) {
	t := c.queue[0]
	c.queue[0] = turn{}
	c.queue = c.queue[1:]
	if t.effect != "" {
		delete(c.flying, t.effect)
	}
	if t.token != 0 {
		c.replies = append(c.replies, Reply{Token: t.token, Err: err})
	}
	if t.span != nil {
		t.span.End(cmp.Or(err, t.failed))
	}
	c.fails, c.retryAt = 0, time.Time{}
}

// Loaded takes the result of ActLoad.
func (c *Cell[S]) Loaded(r Record, err error, now time.Time) {
	c.phase = idle
	if err == nil {
		mine := c.ours()
		if c.loaded && r.Version == c.rec.Version {
			c.stale = false // memory is the same, or tidier
		} else {
			err = c.accept(r)
		}
		if err == nil && !c.terms.Exclusive {
			c.share(r, mine, now)
		}
	}
	if errors.Is(err, ErrNotFound) {
		c.stale = false
	}
	switch {
	case err == nil:
		c.fails, c.retryAt = 0, time.Time{}
		c.assure()
	case len(c.queue) == 0:
		c.retry(now)
	case errors.Is(err, ErrNotFound) && c.queue[0].create:
		c.queue[0].look = false // the create did not take place: it is tried again
	case errors.Is(err, ErrNotFound):
		c.over(err)
	default:
		c.failed(err, now)
	}
}

func (c *Cell[S]) accept(r Record) error {
	s, err := c.machine.Decode(r.State)
	if err != nil {
		return fmt.Errorf("record %s at version %d: %w", r.ID, r.Version, err)
	}
	c.rec, c.state, c.loaded, c.dirty, c.foreign, c.stale, c.mine = r, s, true, false, nil, false, nil
	c.recallSent()
	return nil
}

// Saved takes the result of ActSave.
func (c *Cell[S]) Saved(err error, now time.Time) {
	c.phase = idle
	var exists *ExistsError
	switch {
	case err == nil:
		c.rec, c.state, c.loaded, c.dirty, c.mine, c.lease = c.next, c.after, true, false, nil, c.next.Lease
		c.sent = nil
		c.assure()
		for id := range c.foreign {
			if c.rec.owes(id) < 0 {
				delete(c.foreign, id)
			}
		}
		if !c.lazy {
			c.over(nil)
		}
	case errors.As(err, &exists) && exists.ID != c.id:
		c.over(err) // another record has the key: the event belongs there
	case errors.Is(err, ErrConflict), errors.Is(err, ErrUnknown), exists != nil:
		// What the store has decides: read it and, where the inbox does not know the event, step again.
		if errors.Is(err, ErrConflict) && planted.Is(planted.ConflictWithoutReload) {
			c.rec.Version++
			break
		}
		c.forget()
	default:
		if c.lazy {
			c.flushAt = now.Add(backoff(c.id, c.fails))
			c.fails++
		} else {
			c.failed(err, now)
		}
	}
	c.lazy = false
}

// forget drops what is known of the record; it is read again before anything else.
func (c *Cell[S]) forget() {
	c.mine = c.ours()
	var zero S
	c.rec, c.state, c.loaded, c.dirty, c.foreign, c.stale = Record{}, zero, false, false, nil, true
	if len(c.queue) > 0 {
		c.queue[0].look = true
	}
}

// failed ends a turn that somebody waits for with the error, and puts off one of our own.
func (c *Cell[S]) failed(err error, now time.Time) {
	if c.queue[0].token != 0 {
		c.over(err)
		return
	}
	c.retry(now)
}

func (c *Cell[S]) retry(now time.Time) {
	c.retryAt = now.Add(backoff(c.id, c.fails))
	c.fails++
}
