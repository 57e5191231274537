package sim

import (
	"bytes"

	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// final looks over everything when the world has come to rest.
func (w *world) final() {
	w.atRest()
	w.conserved()
	var charged, refunded, value int64
	for _, a := range w.card.pages {
		charged += int64(a.amount) * int64(a.charges)
		refunded += int64(a.refunded)
		if w.orders.store.records[a.order] == nil {
			w.fail(2, "the card company knows order %s and we do not", a.order)
		}
	}
	for _, sh := range w.orders.store.order {
		s := sh.state
		for _, m := range s.History {
			if !w.queue.heard[taken{s.ID, string(m.Status)}] {
				w.fail(7, "order %s is %s, and nobody was told", s.ID, m.Status)
			}
		}
		if s.Grace != "" {
			w.cover.hit("a limit came late")
		}
		if s.Deleted {
			s = w.sight(s.ID).last
		}
		if s.Status == wire.Delivered {
			value += s.Total.Amount
		}
		w.judge(s)
	}
	if charged-refunded != value {
		w.fail(10, "charges %d − refunds %d ≠ value delivered %d", charged, refunded, value)
	}
	for _, c := range w.clients {
		if c.id != "" && w.orders.store.records[c.id] == nil {
			w.fail(1, "order %s was acknowledged and is not there", c.id)
		}
	}
}

// atRest checks that nothing is owed or under way anywhere, and that what instances remember is what is stored.
func (w *world) atRest() {
	rested(w.orders)
	rested(w.payments)
	rested(w.deliveries)
	rested(w.kitchens)
	for _, sh := range w.orders.store.order {
		if !sh.state.Settled() && !sh.state.Deleted {
			w.fail(9, "order %s is %s, payment %q, and will never be settled", sh.rec.ID, sh.state.Status, sh.state.Payment)
		}
	}
	if n := len(w.agenda.events); n > 0 {
		w.fail(9, "%d things are still to come %v after the faults stopped", n, toRest)
	}
}

func rested[S any](s *service[S]) {
	for _, sh := range s.store.order {
		for _, o := range sh.rec.Owed {
			s.w.fail(9, "%s still owes %s", s.name, o.ID)
		}
	}
	for _, i := range s.instances {
		for _, sh := range s.store.order {
			seat := i.seats[sh.rec.ID]
			if seat == nil {
				continue
			}
			state, version, known := seat.cell.State()
			if known && s.machine.plain && version == sh.rec.Version && !bytes.Equal(marshal(state), marshal(sh.state)) {
				s.w.fail(12, "%s remembers %s otherwise than it is stored", i.name, sh.rec.ID)
			}
			if !seat.cell.Idle() || len(seat.waiting) > 0 {
				s.w.fail(9, "%s is not done with %s", i.name, sh.rec.ID)
			}
		}
	}
}

// conserved checks that no message vanished.
func (w *world) conserved() {
	q := w.queue
	if sum := q.applied + q.repeated + q.absorbed + len(q.dead) + q.pending; sum != q.published {
		w.fail(7, "%d messages were published; applied %d + repeated %d + absorbed %d + dead %d + pending %d = %d",
			q.published, q.applied, q.repeated, q.absorbed, len(q.dead), q.pending, sum)
	}
	for _, d := range q.dead {
		if d.Reason == "" {
			w.fail(7, "a message is dead for no reason")
		}
	}
	if q.pending > 0 {
		w.fail(9, "%d messages are still in the queue", q.pending)
	}
}

// judge compares an order's end with the companies' books.
func (w *world) judge(s order.State) {
	charges, refunds := 0, 0
	var charged, refunded wire.Decimal
	if a := w.card.accounts[s.ID]; a != nil {
		charges, refunds, charged, refunded = a.charges, a.refunds, a.amount, a.refunded
	}
	if charges > 1 {
		w.fail(2, "order %s was charged %d times", s.ID, charges)
	}
	if charges == 1 && int64(charged) != s.Total.Amount {
		w.fail(2, "order %s costs %d and was charged %d", s.ID, s.Total.Amount, int64(charged))
	}
	want := 0
	switch s.Status {
	case wire.Delivered:
		if charges != 1 {
			w.fail(2, "order %s was delivered and charged %d times", s.ID, charges)
		}
	case wire.PaymentFailed:
		if charges != 0 {
			w.fail(2, "order %s failed to be paid and was charged", s.ID)
		}
	default:
		want = charges
	}
	if refunds != want {
		w.fail(3, "order %s is %s, was charged %d times and refunded %d times", s.ID, s.Status, charges, refunds)
	}
	if refunds == 1 && refunded != charged {
		w.fail(3, "order %s was charged %v and refunded %v", s.ID, charged, refunded)
	}
	w.judgeRace(s)
}

func reached(s order.State, status wire.Status) bool {
	for _, m := range s.History {
		if m.Status == status {
			return true
		}
	}
	return false
}

// judgeRace checks that exactly one of cancel and driver won, that who asked was told, and that nobody works for an
// order that ended.
func (w *world) judgeRace(s order.State) {
	sight, m := w.sight(s.ID), w.meet(s.ID)
	ended := s.Status == wire.OrderCancelled || s.Status == wire.Reimbursed
	if sight.toldCancelled && !ended {
		w.fail(5, "order %s was said to be cancelled and is %s", s.ID, s.Status)
	}
	if sight.toldLate && !reached(s, wire.DriverAvailable) && s.Status != wire.PaymentFailed {
		w.fail(5, "a cancel of order %s was said to be too late, and no driver came: %v", s.ID, s.History)
	}
	if t := m.trip; t != nil {
		switch {
		case t.committed && t.cancelled:
			w.fail(5, "a cancel and a driver both won for order %s", s.ID)
		case t.committed && !reached(s, wire.DriverAvailable):
			w.fail(5, "a driver is committed for order %s, which never heard of it: %v", s.ID, s.History)
		case t.cancelled && !ended:
			w.fail(5, "the transport company cancelled order %s, which is %s", s.ID, s.Status)
		case s.Status == wire.Delivered && !t.delivered:
			w.fail(6, "order %s is delivered and the transport company does not know", s.ID)
		case ended && t.committed && !t.released && !t.delivered:
			w.fail(9, "order %s ended and its driver still waits", s.ID)
		}
		if ended && t.delivered {
			w.cover.hit("a meal was delivered though its order had ended")
		}
	} else if reached(s, wire.DriverAvailable) {
		w.fail(6, "order %s has a driver of nobody's", s.ID)
	}
	if t := m.ticket; t != nil && ended && !t.cancelled && !t.refused && !t.handed {
		w.fail(9, "order %s ended and the restaurant was never told to stop", s.ID)
	}
	if s.Status == wire.OrderCancelled || s.Status == wire.Reimbursed || s.Status == wire.Delivered || s.Status == wire.PaymentFailed {
		w.cover.hit("end: " + string(s.Status))
	}
}
