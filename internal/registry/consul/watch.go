package consul

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

const (
	longest  = time.Minute            // of a blocking query: an agent that is gone without a word is noticed a little later
	pace     = 100 * time.Millisecond // between answers at least, however often a service changes
	minPause = 100 * time.Millisecond // after a failure; doubles, varies by half
	maxPause = 2 * time.Second
)

// run asks Consul until the registry is closed.
func (w *watcher) run() {
	r := w.registry
	var (
		index   uint64 // of the last answer; 0: the next one comes at once
		pause   = minPause
		away    time.Time // since when every query failed
		doubt   bool      // Consul may have forgotten: an empty answer is not believed at once
		believe time.Time // until then; zero: no empty answer yet
		last    time.Time // when Consul answered last
	)
	for {
		begun := time.Now()
		wait := longest
		if !believe.IsZero() {
			wait = min(wait, max(time.Until(believe), time.Millisecond))
		}
		urls, next, err := r.healthy(r.life, w.service, index, wait)
		if err == nil && len(urls) == 0 && index > 0 && w.hasSome() {
			// It may come from the agent's event stream, which does not tell whether there is a leader.
			urls, next, err = r.healthy(r.life, w.service, 0, 0)
		}
		if r.life.Err() != nil {
			return
		}
		if err != nil {
			if away.IsZero() {
				away = begun
				r.opt.Log.Warn("consul: it is away, what it said last goes on", "service", w.service, "err", err)
			}
			w.failed(err)
			index, doubt = 0, true
			if !sleep(r.life, time.Duration(float64(pause)*(0.5+rand.Float64()))) {
				return
			}
			pause = min(2*pause, maxPause)
			continue
		}
		if !away.IsZero() {
			r.opt.Log.Info("consul: it is back", "service", w.service, "after", time.Since(away))
		}
		away, pause = time.Time{}, minPause
		if next < index { // restored, or restarted
			doubt = true
			next = 0
		} else {
			next = max(next, 1) // 0 would not block
		}
		index = next

		switch {
		case len(urls) > 0:
			doubt, believe = false, time.Time{}
			w.say(urls)
		case doubt && w.hasSome() && believe.IsZero():
			believe = time.Now().Add(r.opt.Grace)
			r.opt.Log.Warn("consul: after an outage it knows no instance, what it said before goes on for a while",
				"service", w.service, "for", r.opt.Grace)
		case doubt && w.hasSome() && time.Now().Before(believe):
		default:
			doubt, believe = false, time.Time{}
			w.say(nil)
		}
		// A pause is a time in which Consul could be restarted without our noticing: none where there need not be one.
		if !sleep(r.life, pace-time.Since(last)) {
			return
		}
		last = time.Now()
	}
}

// say makes the URLs the answer.
func (w *watcher) say(urls []string) {
	old := w.answer.Load()
	if old != nil && old.urls != nil && slices.Equal(old.urls, urls) {
		return
	}
	a := &answer{urls: urls}
	if len(urls) == 0 {
		a = &answer{err: fmt.Errorf("%s: %w", w.service, httpapi.ErrNoService)}
	}
	w.set(old, a)
}

// failed makes the failure the answer where Consul has never given one.
func (w *watcher) failed(err error) {
	if old := w.answer.Load(); old == nil || old.away {
		w.set(old, &answer{err: fmt.Errorf("instances of %s: consul: %w", w.service, err), away: true})
	}
}

func (w *watcher) set(old, a *answer) {
	w.answer.Store(a)
	if old == nil {
		close(w.first)
	}
}

// hasSome says whether the answer has instances.
func (w *watcher) hasSome() bool {
	a := w.answer.Load()
	return a != nil && len(a.urls) > 0
}

// sleep waits for d and says whether ctx still lives then.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
