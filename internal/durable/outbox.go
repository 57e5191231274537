package durable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/planted"
)

// This file is the outbox of a Cell: whose what is owed is to carry out, when, and what became of it.

// held says whether what the record owes is ours to carry out at t. When our lease has run out, memory may be older
// than the store and others may have the work in hand: then a claim, which brings the record, decides.
func (c *Cell[S]) held(t time.Time) bool { return c.terms.Exclusive || t.Before(c.lease) }

// send finds an effect that is due. For a timer it queues the event and returns an empty act.
func (c *Cell[S]) send(now time.Time) (Act, bool) {
	if !c.loaded {
		return Act{}, false
	}
	if !c.held(now) {
		c.lease = time.Time{}
		return Act{}, false
	}
	for i := range c.rec.Owed {
		o := c.rec.Owed[i]
		until, foreign := c.foreign[o.ID]
		if o.Parked != "" || c.flying[o.ID] || now.Before(o.Due) || now.Before(until) {
			continue
		}
		if foreign { // the other has had its time, and may have used it
			c.stale = true
			continue
		}
		c.flying[o.ID] = true
		if planted.Is(planted.EffectLostAfterCommit) && o.Kind != KindTimer && backoff(o.ID, 0)%16 == 0 {
			delete(c.flying, o.ID)
			c.mark(o.ID, now)
			return Act{}, true
		}
		if o.Kind == KindTimer {
			c.queue = append(c.queue, turn{effect: o.ID, event: Event{ID: o.ID, Type: o.Name + Due, At: now, Due: o.Due, Trace: o.Trace}})
			return Act{}, true
		}
		if planted.Is(planted.OutboxRemovedBeforeConfirm) && o.Kind == KindMessage {
			c.rec.settle(o.ID)
			c.touch(now)
		}
		key := o.ID
		if planted.Is(planted.NewKeyPerAttempt) {
			key = fmt.Sprintf("%s#%d", o.ID, o.Attempt)
		}
		return Act{Kind: ActSend, Owed: o, Key: key}, true
	}
	return Act{}, false
}

// share says whose the effects of a record are that was read, not claimed: its owner's, until the lease runs out, but
// for those that are ours.
func (c *Cell[S]) share(r Record, mine []string, now time.Time) {
	if r.Owner == c.terms.Owner {
		if r.Lease.After(c.lease) {
			c.lease = r.Lease
		}
		maps.DeleteFunc(c.foreign, func(_ string, until time.Time) bool { return !now.Before(until) })
		return
	}
	c.foreign = make(map[string]time.Time, len(r.Owed))
	for _, o := range r.Owed {
		if !slices.Contains(mine, o.ID) {
			c.foreign[o.ID] = r.Lease
		}
	}
	if !now.Before(r.Lease) {
		c.lease = time.Time{} // nobody's: a claim gives it to one
	}
}

// ours are the effects that we have in hand, or had: another instance that has written to the record since leaves
// them to us, and would otherwise be thought to carry them out.
func (c *Cell[S]) ours() []string {
	mine := slices.Clip(c.mine)
	for _, o := range c.rec.Owed {
		if _, theirs := c.foreign[o.ID]; !theirs {
			mine = append(mine, o.ID)
		}
	}
	return mine
}

// mark notes that an effect is carried out; the note rides on the next save, or on a flush.
func (c *Cell[S]) mark(id string, now time.Time) {
	c.rec.settle(id)
	c.mine = append(c.mine, id) // should the record have to be read again, the core may judge the outcome otherwise
	c.touch(now)
}

// published notes that the broker has a message. That stays true whatever another instance writes meanwhile.
func (c *Cell[S]) published(id string, now time.Time) {
	c.rec.settle(id)
	c.sent = append(c.sent, id)
	c.touch(now)
}

// recallSent takes out of a record that was read the messages that the broker has: another instance wrote it before
// our marks were on disk. They are to be saved by the same time as before.
func (c *Cell[S]) recallSent() {
	c.sent = slices.DeleteFunc(c.sent, func(id string) bool { return c.rec.owes(id) < 0 })
	for _, id := range c.sent {
		c.rec.settle(id)
		c.dirty = true
	}
}

func (c *Cell[S]) park(id, why string, now time.Time) {
	c.edit(id, now, func(o *Owed) {
		o.Parked = bounded(why)
		if c.terms.Meter != nil {
			c.terms.Meter.Parked(o.Name)
		}
	})
}

// edit changes an owed effect in memory, to be saved with the next save or a flush.
func (c *Cell[S]) edit(id string, now time.Time, change func(*Owed)) {
	i := c.rec.owes(id)
	if i < 0 {
		return
	}
	owed := slices.Clone(c.rec.Owed)
	change(&owed[i])
	c.rec.Owed = owed
	c.touch(now)
}

func (c *Cell[S]) touch(now time.Time) {
	if !c.dirty {
		c.dirty, c.flushAt = true, now.Add(c.terms.FlushAfter)
	}
}

// Flush makes unsaved marks due at once, those that exist and those to come: no other save is expected.
func (c *Cell[S]) Flush() { c.flushAt, c.terms.FlushAfter = time.Time{}, 0 }

// Unpark takes the parked effect of that name up again at once, under the same id. The Reply says whether there
// was one: a Refusal where not.
func (c *Cell[S]) Unpark(token uint64, name string) {
	c.queue = append(c.queue, turn{token: token, unpark: name})
}

func (c *Cell[S]) unparkNow(name string, now time.Time) error {
	for _, o := range c.rec.Owed {
		if o.Name == name && o.Parked != "" {
			c.edit(o.ID, now, func(o *Owed) { o.Parked, o.Due, o.Attempt = "", now, 0 })
			if c.terms.Meter != nil {
				c.terms.Meter.Unparked(name)
			}
			return nil
		}
	}
	return Refuse(NotFound, "nothing is parked under %q", name)
}

// Sent takes the result of ActSend for the effect id.
func (c *Cell[S]) Sent(id string, out Outcome) {
	c.queue = append(c.queue, turn{effect: id, out: &out})
}

// outcome turns what became of an effect into the turn's event; false where there is none for the core: it is to
// be tried again, or it was a message that the broker took.
func (c *Cell[S]) outcome(t *turn, o Owed, now time.Time) bool {
	t.event = Event{ID: o.ID, At: now, Trace: o.Trace}
	switch {
	case t.out.Verdict == Accepted && o.Kind == KindMessage: // the broker has it: no core needs to know
		c.published(o.ID, now)
		return false
	case t.out.Verdict == Accepted:
		t.event.Type, t.event.Body = o.Name+Done, t.out.Body
	case t.out.Verdict == Rejected:
		t.event.Type, t.event.Body = o.Name+Refused, rejection(*t.out)
	case !o.GiveUp.IsZero() && !now.Before(o.GiveUp):
		t.event.Type, t.event.Body = o.Name+GaveUp, rejection(*t.out)
	default:
		wait := max(backoff(o.ID, o.Attempt), t.out.After)
		detail := bounded(t.out.Detail)
		c.edit(o.ID, now, func(o *Owed) {
			o.Attempt++
			o.Due = now.Add(wait)
			o.Last = detail
		})
		return false
	}
	return true
}

func rejection(out Outcome) []byte {
	b, _ := json.Marshal(Rejection{Status: out.Status, Detail: bounded(out.Detail)}) // two plain fields
	return b
}

// bounded keeps what others say of their failures short enough to store.
func bounded(s string) string {
	const most = 300
	if len(s) > most {
		s = string(bytes.ToValidUTF8([]byte(s[:most]), nil)) + "…"
	}
	return s
}
