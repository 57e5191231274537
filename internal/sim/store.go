package sim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

var errBusy = errors.New("the store is busy")

// claimBatch is how many records an instance takes over at once.
const claimBatch = 256

// store is the model store with faults before it, and with what must hold of every write checked behind it. It
// knows every record as it was last committed, without asking the store.
type store[S any] struct {
	w       *world
	service *service[S]
	inner   *memory.Store
	records map[string]*shadow[S]
	order   []*shadow[S]               // by their first commit
	rule    func(old S, sh *shadow[S]) // what must hold of every commit of this service
}

// shadow is a record as it was last committed.
type shadow[S any] struct {
	rec     durable.Record
	state   S
	effects []effect // all that were ever owed, in no order
}

// effect is what became of something that a committed record owed.
type effect struct {
	id      string
	name    string
	kind    durable.Kind
	key     string // the idempotency key it was carried out under
	settled bool   // the instance that carried it out heard that it is done, or never will be
}

func newStore[S any](s *service[S], f durable.Features) *store[S] {
	return &store[S]{
		w: s.w, service: s, inner: memory.New(f), records: map[string]*shadow[S]{},
	}
}

// effect is what is known of the effect, nil where it was never committed. The newest are looked at first.
func (sh *shadow[S]) effect(id string) *effect {
	if sh != nil {
		for k := len(sh.effects) - 1; k >= 0; k-- {
			if sh.effects[k].id == id {
				return &sh.effects[k]
			}
		}
	}
	return nil
}

// view is the record as a read from the store shows it.
func (s *store[S]) view(id string) view[S] {
	if sh := s.records[id]; sh != nil {
		return view[S]{sh.state, sh.rec.Version, true}
	}
	return view[S]{}
}

// save executes an ActSave.
func (i *instance[S]) save(s *seat[S], rec durable.Record) {
	if i.fate("crash before a save") {
		return
	}
	w, st := i.w, i.service.store
	s.busy, s.saving = true, rec
	switch {
	case w.fault(StoreBusy):
		i.tellSaved(s, errBusy)
	case rec.Version > 1 && w.fault(SaveConflict):
		i.tellSaved(s, durable.ErrConflict)
	case w.fault(SaveUnknown):
		switch fate := w.rng.IntN(3); {
		case fate == 0 && !w.exclusive: // it takes place after we have given up
			late := rec
			w.after(w.between(0, 5*time.Second), func() { _ = st.land(i.name, late) })
		case fate == 1:
			_ = st.land(i.name, rec)
		}
		i.tellSaved(s, durable.ErrUnknown)
	case !w.exclusive && w.oneIn(4): // somebody else's write may come between, and our death does not stop it
		w.after(w.latency(), func() { i.tellSaved(s, st.land(i.name, s.saving)) })
	default:
		i.tellSaved(s, st.land(i.name, rec))
	}
	i.fate("crash after a save")
}

// tellSaved brings the result of a save to the cell. What the cell then believes to owe, the store must know.
func (i *instance[S]) tellSaved(s *seat[S], err error) {
	i.after(i.w.latency(), func() {
		s.busy = false
		if err != nil {
			i.tell("save failed", s.cell.ID(), err.Error(), s.saving.Version)
		}
		s.cell.Saved(err, i.now())
		if err == nil {
			sh := i.service.store.records[s.cell.ID()]
			i.service.wake(sh.rec.ID, sh.state)
			for _, o := range s.cell.Record().Owed {
				if sh.effect(o.ID) == nil {
					i.w.fail(12, "%s holds %s to be owed, and the store does not have it", i.name, o.ID)
				}
			}
		}
		i.drive(s)
	})
}

// load executes an ActLoad.
func (i *instance[S]) load(s *seat[S]) {
	if i.fate("crash before a load") {
		return
	}
	s.busy = true
	rec, err := durable.Record{}, errBusy
	if !i.w.fault(StoreBusy) {
		rec, err = i.service.store.inner.Load(context.Background(), s.cell.ID())
	}
	i.after(i.w.latency(), func() {
		s.busy = false
		s.cell.Loaded(rec, err, i.now())
		i.drive(s)
	})
}

// land is a write arriving at the store.
func (s *store[S]) land(who string, rec durable.Record) error {
	var err error
	if rec.Version == 1 {
		err = s.inner.Create(context.Background(), rec)
	} else {
		err = s.inner.Save(context.Background(), rec)
	}
	if err != nil {
		return err
	}
	s.w.tell(who, "saved", rec.ID, "", rec.Version)
	sh, old := s.records[rec.ID], shadow[S]{}
	if sh == nil {
		sh = &shadow[S]{}
		s.records[rec.ID] = sh
		s.order = append(s.order, sh)
	} else {
		old = *sh
		rec.Key, rec.Created, rec.Trace = old.rec.Key, old.rec.Created, old.rec.Trace
	}
	sh.rec, sh.state = rec, s.service.machine.state(rec.State)
	s.check(&old, sh)
	if s.rule != nil {
		s.rule(old.state, sh)
	}
	s.service.committed(sh)
	return nil
}

// check is what must hold of every write, whatever the service.
func (s *store[S]) check(old, sh *shadow[S]) {
	was, is := &old.rec, &sh.rec
	switch {
	case is.Version != was.Version+1:
		s.w.fail(6, "%s went from version %d to %d: a write that did not see the last one", is.ID, was.Version, is.Version)
	case is.Minted < was.Minted:
		s.w.fail(6, "%s forgot that it owed effects: %d after %d", is.ID, is.Minted, was.Minted)
	case is.Party != s.service.machine.Party(sh.state):
		s.w.fail(12, "%s is filed as %q's, and it is %q's", is.ID, is.Party, s.service.machine.Party(sh.state))
	case is.Owner != "" && is.Lease.Before(is.Updated):
		s.w.fail(9, "%s has a lease that had run out when it was written", is.ID)
	}
	for k, seen := range was.Seen {
		if (k >= len(is.Seen) || is.Seen[k] != seen) && !slices.Contains(is.Seen, seen) && (k > 0 || len(is.Seen) < durable.MaxSeen) {
			s.w.fail(6, "%s forgot the event %s", is.ID, seen.ID)
		}
	}
	for _, o := range is.Owed {
		if sh.effect(o.ID) == nil {
			sh.effects = append(sh.effects, effect{id: o.ID, name: o.Name, kind: o.Kind})
		}
		if o.Parked != "" {
			s.w.fail(9, "%s waits for a person: %s", o.ID, o.Parked)
		}
	}
	for _, o := range was.Owed {
		gone := !slices.ContainsFunc(is.Owed, func(n durable.Owed) bool { return n.Name == o.Name })
		if e := sh.effect(o.ID); gone && !e.settled && !droppable(e) {
			s.w.fail(7, "%s is owed no more, and was not carried out", o.ID)
		}
	}
}

// droppable says whether a core may take the effect back.
func droppable(e *effect) bool {
	if e.kind == durable.KindTimer {
		return true
	}
	switch name, _, _ := strings.Cut(e.name, ":"); name {
	case "address", "cook", "charge", "askCard", "askStatus":
		return true
	}
	return false
}

// sends checks an effect that is about to be carried out: the store must have it, and it has one key for ever.
func (s *store[S]) sends(who, id string, act durable.Act) bool {
	o := act.Owed
	e := s.records[id].effect(o.ID)
	switch {
	case e == nil:
		s.w.fail(7, "%s carries out %s, which is not in the store", who, o.ID)
		return false
	case e.key == "":
		e.key = act.Key
	case e.key != act.Key:
		s.w.fail(2, "%s is carried out under two keys: %s and %s", o.ID, e.key, act.Key)
		return false
	}
	if o.Attempt > 0 {
		s.w.cover.retried(s.service.name, o.Name)
	}
	s.w.cover.sent(s.service.name, o.Name)
	s.w.tell(who, "sends", o.ID, o.Op, int64(o.Attempt))
	return true
}

func (s *store[S]) sent(id, effect string, out durable.Outcome) {
	if out.Verdict != durable.Retry {
		s.records[id].effect(effect).settled = true
	}
}

// acknowledged checks an answer: an event that is said to be applied is in the record, or changes nothing in it.
func (s *store[S]) acknowledged(who, id string, x waiter, err error) {
	e := x.event
	if err != nil {
		s.w.tell(who, "refuses "+e.Type, id, err.Error(), 0)
		return
	}
	s.w.tell(who, "took "+e.Type, id, e.ID, 0)
	sh := s.records[id]
	if sh == nil {
		s.w.fail(1, "%s acknowledged %s of %s, and the store does not know it", who, e.Type, id)
		return
	}
	for _, seen := range sh.rec.Seen {
		if seen.ID == e.ID {
			return
		}
	}
	if e.ID == "" && sh.rec.Version > x.version {
		return // it may be in: nobody can say, and the same again would change nothing or be refused
	}
	_, _, err = s.service.machine.Step(sh.state, e)
	var refusal *durable.Refusal
	if errors.As(err, &refusal) && refusal.Code == durable.NotFound && sh.rec.Version > x.version {
		return // it changed nothing, and the record was deleted since
	}
	if !errors.Is(err, durable.ErrIgnored) {
		s.w.fail(7, "%s acknowledged %s (%s) of %s, and it is not in the store, where it would matter: %v", who, e.Type, e.ID, id, err)
	}
}

// poll takes over records that are due and nobody works on, and sees when to look again.
func (i *instance[S]) poll() {
	st := i.service.store
	now := i.now()
	life := i.life
	i.pollAt = 0
	if i.w.fault(StoreBusy) {
		i.pollBy(i.w.now + int64(time.Second))
		return
	}
	records, _, err := st.inner.Claim(context.Background(), durable.Claim{Who: i.owner, Now: now, Lease: now.Add(lease), Limit: claimBatch})
	if err != nil {
		i.w.fail(0, "claim: %v", err)
		return
	}
	for _, rec := range records {
		st.claimed(i.owner, now, rec, i.w.exclusive)
		s := i.seat(rec.ID)
		if s.busy { // as in the runner, where the claim waits for the seat
			i.after(i.w.latency(), func() { i.adopt(rec) })
			continue
		}
		i.adopt(rec)
		if i.life != life || !i.up {
			return
		}
	}
	for _, sh := range st.order {
		i.expect(sh)
	}
}

func (i *instance[S]) adopt(rec durable.Record) {
	s := i.seat(rec.ID)
	if err := s.cell.Adopt(rec); err != nil {
		i.w.fail(12, "adopting %s: %v", rec.ID, err)
	}
	i.drive(s)
}

// claimed checks what the store handed over: never what another owner holds.
func (s *store[S]) claimed(who string, now time.Time, rec durable.Record, exclusive bool) {
	sh := s.records[rec.ID]
	if other := sh.rec.Owner; !exclusive && other != "" && other != who && sh.rec.Lease.After(now) {
		s.w.fail(9, "%s was handed over to %s while %s holds it for another %v", rec.ID, who, other, sh.rec.Lease.Sub(now))
	}
	if rec.Version != sh.rec.Version {
		s.w.fail(12, "%s was handed over at version %d, not %d", rec.ID, rec.Version, sh.rec.Version)
	}
	s.w.tell(who, "claims", rec.ID, "", rec.Version)
	s.w.cover.hit("claimed a record")
	sh.rec.Owner, sh.rec.Lease = rec.Owner, rec.Lease
}

// expect sees to it that the record is looked for when it can be claimed. An instance that asked the store more
// often would be told nothing new.
func (i *instance[S]) expect(sh *shadow[S]) {
	at := sh.rec.Due
	if at.IsZero() || sh.rec.Owner == i.owner {
		return
	}
	if !i.w.exclusive && sh.rec.Lease.After(at) {
		at = sh.rec.Lease
	}
	i.pollBy(int64(at.Add(-i.skew).Sub(epoch)))
}

// pollBy has the store asked a little after at.
func (i *instance[S]) pollBy(at int64) {
	at = max(at, i.w.now+int64(time.Second))
	if !i.up || i.pollAt != 0 && i.pollAt <= at {
		return
	}
	at += int64(i.w.between(0, time.Second))
	i.pollAt = at
	i.after(time.Duration(at-i.w.now), func() {
		if i.pollAt == at {
			i.poll()
		}
	})
}
