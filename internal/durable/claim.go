package durable

import "time"

// lookAtLocked has the store asked for owed work at t, or earlier. r.mu is held.
func (r *Runner[S]) lookAtLocked(t time.Time) {
	if r.stopping {
		return
	}
	if r.polling {
		return // it says itself when to look next
	}
	if r.poll != nil {
		if !t.Before(r.pollAt) {
			return
		}
		r.poll.Stop()
	}
	r.pollAt = t
	r.poll = r.opt.Clock.At(t, func() {
		r.opt.Clock.Hold()
		r.mu.Lock()
		r.poll = nil
		if r.stopping || r.polling {
			r.mu.Unlock()
			r.opt.Clock.Release()
			return
		}
		r.polling = true
		r.work.Add(1)
		r.mu.Unlock()
		go func() { // Stop waits for it
			defer r.work.Done()
			defer r.opt.Clock.Release()
			r.claim()
		}()
	})
}

// claimBatch is how many records are claimed at once.
const claimBatch = 256

// claim takes over the records that are due and nobody works on.
func (r *Runner[S]) claim() {
	now := r.opt.Clock.Now()
	records, next, err := r.opt.Store.Claim(r.life, Claim{Who: r.opt.Owner, Now: now, Lease: now.Add(r.opt.Lease), Limit: claimBatch})
	if err != nil && r.life.Err() == nil {
		r.opt.Log.Warn("store", "what", "claim", "kind", r.opt.Name, "err", err)
	}
	for _, rec := range records {
		s, err := r.seat(rec.ID)
		if err != nil {
			break
		}
		if err := s.cell.Adopt(rec); err != nil {
			r.opt.Log.Error("record cannot be read", "kind", r.opt.Name, "id", rec.ID, "err", err)
		} else {
			r.drive(s)
		}
		r.rise(s)
	}
	// What is due soon is mostly in memory and needs no asking: not more often than that, unless there was
	// more than one batch. Where nobody else leaves work behind, the next moment is the store's next due.
	at := now.Add(r.opt.Poll)
	switch {
	case len(records) == claimBatch:
		at = now
	case err != nil || !r.terms.Exclusive:
	case next.IsZero():
		at = time.Time{}
	case next.After(at):
		at = next
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.polling = false
	if !at.IsZero() {
		r.lookAtLocked(at)
	}
}
