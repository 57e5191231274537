package sim

import (
	"fmt"

	"github.com/tiffin-food/tiffin/internal/delivery"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/payment"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// sight is what the outside was ever shown or told of an order. It is kept apart from all that the services know.
type sight struct {
	id            string
	client        *client
	version       int64 // the newest that was shown
	toldCancelled bool  // a cancel was answered with 202 and the status
	toldLate      bool  // a customer's cancel was answered with 409
	deleted       bool
	last          order.State // what was committed before it was deleted
}

func (w *world) sight(id string) *sight {
	s := w.sights[id]
	if s == nil {
		s = &sight{id: id}
		w.sights[id] = s
	}
	return s
}

// fresh is a new id.
func (w *world) fresh() string {
	w.minted++
	return fmt.Sprintf("0190b000-0000-7000-8000-%012d", w.minted)
}

// seen is the newest version of an order that was shown until now.
func (w *world) seen(id string) int64 {
	if s := w.sights[id]; s != nil {
		return s.version
	}
	return 0
}

// show notes what a reader of an order sees: it is in the store, and never older than what had been seen when the
// reader asked.
func (w *world) show(who string, v view[order.State], asked int64) *sight {
	id := v.state.ID
	s := w.sight(id)
	sh := w.orders.store.records[id]
	switch {
	case sh == nil:
		w.fail(11, "%s shows order %s, which is not in the store", who, id)
	case v.version > sh.rec.Version:
		w.fail(11, "%s shows version %d of order %s, and the store has %d", who, v.version, id, sh.rec.Version)
	case v.version < asked:
		w.fail(11, "%s shows version %d of order %s, and %d was shown before", who, v.version, id, asked)
	case v.version == sh.rec.Version && !alike(&v.state, &sh.state):
		w.fail(11, "%s shows order %s at version %d otherwise than the store: %+v, %+v", who, id, v.version, v.state, sh.state)
	case !sh.state.Deleted && !extends(sh.state.History, v.state.History):
		w.fail(11, "%s shows order %s with a history that is not its own: %v", who, id, v.state.History)
	}
	s.version = max(s.version, v.version)
	w.tell(who, "shows "+string(v.state.Status), id, "", v.version)
	return s
}

// alike says whether two states of an order look the same from outside.
func alike(a, b *order.State) bool {
	return a.Status == b.Status && len(a.History) == len(b.History) && a.Reason == b.Reason && a.KitchenID == b.KitchenID &&
		a.DeliveryID == b.DeliveryID && a.CancelAsked == b.CancelAsked && a.Settled() == b.Settled()
}

// extends says whether the history goes on where the earlier one ended.
func extends(history, earlier []wire.Moment) bool {
	if len(history) < len(earlier) {
		return false
	}
	for k, m := range earlier {
		if h := history[k]; h.Status != m.Status || !h.When.Equal(m.When) {
			return false
		}
	}
	return true
}

// orderCommitted checks every commit of an order against its graph.
func (w *world) orderCommitted(old order.State, sh *shadow[order.State]) {
	is := sh.state
	if is.Deleted {
		if s := w.sight(is.ID); !s.deleted {
			s.deleted, s.last = true, old
		}
		if !old.Deleted && !old.Settled() {
			w.fail(1, "order %s was deleted while it was %s", is.ID, old.Status)
		}
		return
	}
	if !extends(is.History, old.History) {
		w.fail(6, "order %s forgot what happened: %v after %v", is.ID, is.History, old.History)
		return
	}
	if len(is.History) == 0 || is.History[0].Status != wire.Created || is.History[len(is.History)-1].Status != is.Status {
		w.fail(6, "order %s is %s and its history says %v", is.ID, is.Status, is.History)
		return
	}
	for k := max(1, len(old.History)); k < len(is.History); k++ {
		from, to := is.History[k-1].Status, is.History[k].Status
		w.tell("order", "becomes "+string(to), is.ID, is.Reason, 0)
		if !w.cover.edge(from, to) {
			w.fail(6, "order %s went from %s to %s", is.ID, from, to)
		}
		for _, m := range is.History[:k] {
			if m.Status == to {
				w.fail(6, "order %s was %s twice", is.ID, to)
			}
		}
		if to == wire.OrderCancelled {
			w.orderCancelled(is, from)
		}
	}
}

// orderCancelled checks the race: a customer's cancel and a driver cannot both win.
func (w *world) orderCancelled(s order.State, from wire.Status) {
	m := w.street[s.ID]
	driver := m != nil && m.trip != nil && m.trip.committed
	switch {
	case s.Reason == "cancelled by the customer" && driver:
		w.fail(5, "order %s was cancelled by the customer and a driver is committed", s.ID)
	case from == wire.DeliveryScheduled && m != nil && m.trip != nil && !m.trip.cancelled && !m.trip.refused:
		w.fail(5, "order %s was cancelled while it was %s, and the transport company does not know", s.ID, from)
	}
	w.cover.hit("cancelled: " + cause(s.Reason))
}

func (w *world) paymentCommitted(old payment.State, sh *shadow[payment.State]) {
	if is := sh.state; old.Phase != is.Phase && (old.Phase == payment.Paid || old.Phase == payment.Failed || old.Phase == payment.Unbillable) {
		w.fail(6, "the payment of %s went from %s to %s", is.OrderID, old.Phase, is.Phase)
	}
}

func (w *world) deliveryCommitted(old delivery.State, sh *shadow[delivery.State]) {
	is := sh.state
	if !extends(is.History, old.History) {
		w.fail(6, "delivery %s forgot what happened: %v after %v", is.ID, is.History, old.History)
	}
	if is.Cancel == delivery.Cancelled && old.Cancel != delivery.Cancelled {
		x := w.transport.trips[is.ID]
		if len(is.History) == 0 && (x == nil || !x.cancelled && !x.refused) {
			w.fail(5, "delivery %s counts as cancelled and the transport company does not know", is.ID)
		}
	}
}

// settled says whether the order in the store is final, its payment known and its refund through.
func (w *world) settled(id string) bool {
	sh := w.orders.store.records[id]
	return sh != nil && (sh.state.Settled() || sh.state.Deleted)
}

// cause is a reason without what differs from order to order.
func cause(reason string) string {
	for k, r := range reason {
		if r == ':' || r >= '0' && r <= '9' {
			return reason[:k]
		}
	}
	return reason
}
