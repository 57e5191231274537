package sim

import (
	"fmt"
	"slices"
	"time"
)

// host is an instance of a service as the world sees it: it lives, dies, stalls and has a clock.
type host struct {
	w       *world
	service string
	name    string // "order/1"
	owner   string // in leases; another one in every life
	life    int
	up      bool
	stalled int64         // it does nothing until then
	skew    time.Duration // its clock against the world's

	calls   []*call   // requests it has not answered
	letters []*letter // messages it has not acknowledged
	forget  func()    // its memory is gone
	rise    func()    // it begins to work
}

// now is the time by the host's clock.
func (h *host) now() time.Time { return h.w.time().Add(h.skew) }

// after has do happen d from now, unless the host dies before; later if it stalls.
func (h *host) after(d time.Duration, do func()) {
	h.w.agenda.add(event{at: h.w.now + int64(d), do: do, host: h, life: h.life})
}

// at has do happen when the host's clock shows t.
func (h *host) at(t time.Time, do func()) {
	at := int64(t.Add(-h.skew).Sub(epoch))
	h.w.agenda.add(event{at: max(at, h.w.now), do: do, host: h, life: h.life})
}

func (h *host) tell(what, a, b string, n int64) { h.w.tell(h.name, what, a, b, n) }

// start begins a life.
func (h *host) start() {
	h.up, h.stalled, h.skew = true, 0, 0
	h.life++
	h.owner = fmt.Sprintf("%s#%d", h.name, h.life)
	if h.w.fault(Skew) {
		h.skew = h.w.between(-time.Hour, time.Hour)
	}
	h.tell("starts", h.owner, "", int64(h.skew))
	h.rise()
}

// crash ends the host's life: its memory is gone, its connections are reset, and what it had not acknowledged goes
// back to the queue. It comes up again by itself.
func (h *host) crash(why string) {
	h.tell("dies", why, "", 0)
	h.up = false
	h.forget()
	for _, c := range h.calls {
		c.host = nil
		c.answer(h.w.latency(), lost("connection reset"))
	}
	h.calls = h.calls[:0]
	for _, l := range h.letters {
		l.host = nil
		h.w.queue.later(l, h.w.between(0, 5*time.Second))
	}
	h.letters = h.letters[:0]
	h.w.after(h.w.between(100*time.Millisecond, time.Minute), h.start)
}

// fate may end the host's life at this moment and says whether it did.
func (h *host) fate(moment string) bool {
	w := h.w
	if w.fault(Crash) {
		w.cover.hit(moment)
		h.crash(moment)
		return true
	}
	if w.fault(Stall) {
		h.stalled = w.now + int64(w.between(lease/2, 4*lease))
		h.tell("stalls", moment, "", h.stalled-w.now)
		for _, c := range h.calls {
			c.answer(w.between(time.Second, timeout), lost("timeout"))
		}
		if w.oneIn(2) { // the broker gives up on the connection
			for _, l := range h.letters {
				l.host = nil
				w.queue.later(l, w.between(0, lease))
			}
			h.letters = h.letters[:0]
		}
	}
	return false
}

func (h *host) took(c *call) {
	c.host = h
	h.calls = append(h.calls, c)
}

func (h *host) gave(c *call) {
	c.host = nil
	if i := slices.Index(h.calls, c); i >= 0 {
		h.calls = slices.Delete(h.calls, i, i+1)
	}
}
