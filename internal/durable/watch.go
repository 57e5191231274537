package durable

import (
	"context"
	"time"
)

// Watch tells of commits to the record: the channel gets a value after each, several commits in one value where
// the reader is slow. stop ends it.
func (r *Runner[S]) Watch(id string) (changed <-chan struct{}, stop func(), err error) {
	s, err := r.seat(id)
	if err != nil {
		return nil, nil, err
	}
	ch := make(chan struct{}, 1)
	if s.watchers == nil {
		s.watchers = map[chan struct{}]struct{}{}
	}
	s.watchers[ch] = struct{}{}
	r.rise(s)
	return ch, func() {
		s.mu.Lock()
		delete(s.watchers, ch)
		s.mu.Unlock()
	}, nil
}

// Await waits until the record's state satisfies until, or ctx ends: then it returns the last state seen and
// ctx's error.
func (r *Runner[S]) Await(ctx context.Context, id string, until func(S) bool) (Applied[S], error) {
	changed, stop, err := r.Watch(id)
	if err != nil {
		return Applied[S]{}, err
	}
	defer stop()
	var last Applied[S]
	for {
		a, err := r.View(ctx, id)
		if err != nil && ctx.Err() != nil {
			return last, ctx.Err()
		}
		if err != nil || until(a.State) {
			return a, err
		}
		last = a
		again := time.Second
		if !r.terms.Exclusive {
			again = 100 * time.Millisecond // another instance's commits are not announced here
		}
		look := time.NewTimer(again)
		select {
		case <-changed:
			look.Stop()
		case <-look.C:
		case <-ctx.Done():
			look.Stop()
			return last, ctx.Err()
		}
	}
}

// announce tells the watchers of a commit, and whoever follows all of them. s.mu is held.
func (r *Runner[S]) announce(s *seat[S]) {
	if len(s.watchers) == 0 && r.commit == nil {
		return
	}
	state, version, ok := s.cell.State()
	if !ok || version == s.seen {
		return
	}
	s.seen = version
	if r.commit != nil {
		r.commit(s.cell.ID(), version, state)
	}
	for ch := range s.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
