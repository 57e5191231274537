package durable

import (
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/clock"
)

// seat is a cell with who drives it and who waits for it.
type seat[S any] struct {
	mu       sync.Mutex
	cell     *Cell[S]
	driven   bool
	gone     bool // no longer in the runner's map: whoever holds it looks it up again
	touched  bool
	token    uint64
	waiting  map[uint64]chan error
	watchers map[chan struct{}]struct{}
	alarm    *clock.Alarm
	alarmAt  time.Time
	seen     int64 // the version the watchers were last told of
}

// seat returns the record's seat, locked, and keeps Stop waiting until rise.
func (r *Runner[S]) seat(id string) (*seat[S], error) {
	for {
		r.mu.Lock()
		if r.stopping {
			r.mu.Unlock()
			return nil, ErrStopping
		}
		s := r.cells[id]
		if s == nil {
			s = &seat[S]{cell: NewCell(r.machine, r.terms, id)}
			r.cells[id] = s
			r.cold = append(r.cold, id)
			if len(r.cells) > r.opt.Hot {
				r.cool()
			}
		}
		r.work.Add(1)
		r.mu.Unlock()
		s.mu.Lock()
		if !s.gone {
			s.touched = true
			return s, nil
		}
		r.rise(s)
	}
}

// rise undoes seat.
func (r *Runner[S]) rise(s *seat[S]) {
	s.mu.Unlock()
	r.work.Done()
}

// recall takes up a record again that was forgotten while it owed something for later.
func (r *Runner[S]) recall(id string) {
	s, err := r.seat(id)
	if err != nil {
		return // stopping: it is owed on disk
	}
	s.cell.Recall()
	r.drive(s)
	r.rise(s)
}

// dismiss forgets a record that has nothing left to do and says whether it did: most are finished then, and are read
// from the store if they are wanted again. s.mu is held.
func (r *Runner[S]) dismiss(s *seat[S]) bool {
	if !s.cell.Idle() || !s.cell.Record().Due.IsZero() || len(s.watchers) > 0 || len(s.waiting) > 0 {
		return false
	}
	_, _, exists := s.cell.State()
	r.mu.Lock()
	defer r.mu.Unlock()
	if exists && len(r.cells) < r.opt.Hot/2 {
		return false // there is room
	}
	s.gone = true
	if s.alarm != nil {
		s.alarm.Stop()
	}
	delete(r.cells, s.cell.ID())
	return true
}

// cool forgets a few idle cells that were not touched since it last came by. r.mu is held.
func (r *Runner[S]) cool() {
	for range min(len(r.cold), 32) {
		id := r.cold[0]
		r.cold = r.cold[1:]
		s := r.cells[id]
		if s == nil {
			continue
		}
		if s.mu.TryLock() {
			rec := s.cell.Record()
			if !s.touched && !s.driven && s.cell.Idle() && len(s.watchers) == 0 && len(s.waiting) == 0 {
				s.gone = true
				if s.alarm != nil {
					s.alarm.Stop()
				}
				delete(r.cells, id)
				s.mu.Unlock()
				if !rec.Due.IsZero() {
					r.opt.Clock.At(rec.Due, func() { r.recall(id) })
				}
				continue
			}
			s.touched = false
			s.mu.Unlock()
		}
		r.cold = append(r.cold, id)
	}
}
