package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// StatusEvent is one event of an order's stream.
type StatusEvent struct {
	wire.Moment
	Reason  string `json:"reason,omitempty"`
	Settled bool   `json:"settled" doc:"Nothing more will come"`
}

// events registers the stream of an order's status changes: what has happened so far, then what happens, until the
// order is settled. The id of an event is its place in the history, so that a client that comes back with
// Last-Event-ID misses nothing and sees nothing twice, but for the last status: it comes again where only then it is
// known that the order is settled, so that every stream ends with an event that says so.
func (s *Service) events(a *httpapi.API) {
	type input struct {
		ID   string `path:"id" format:"uuid"`
		Last string `header:"Last-Event-ID"`
	}
	httpapi.RegisterStream[input, StatusEvent](a, auth.For(auth.Customer, auth.Operator, auth.Service), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/orders/{id}/events", OperationID: "watch-order", Tags: []string{"orders"},
		Summary: "Follow an order", Errors: []int{404},
	}, func(ctx context.Context, in *input) (func(context.Context, *httpapi.Events), error) {
		if _, err := s.view(ctx, in.ID); err != nil {
			return nil, err
		}
		sent, err := strconv.Atoi(in.Last)
		if err != nil || sent < 0 {
			sent = 0
		}
		return func(ctx context.Context, e *httpapi.Events) { s.stream(ctx, in.ID, sent, e) }, nil
	})
}

func (s *Service) stream(ctx context.Context, id string, sent int, e *httpapi.Events) {
	for {
		a, err := s.orders.Await(ctx, id, func(o order.State) bool { return len(o.History) > sent || o.Settled() })
		if err != nil || a.State.Deleted {
			return
		}
		o := a.State
		if o.Settled() { // not always with a status: a cancelled order is settled by hearing that nothing was charged
			sent = min(sent, len(o.History)-1)
		}
		for ; sent < len(o.History); sent++ {
			event := StatusEvent{Moment: o.History[sent]}
			if sent == len(o.History)-1 {
				event.Settled, event.Reason = o.Settled(), o.Reason
			}
			if e.Send("status", strconv.Itoa(sent+1), event) != nil {
				return
			}
		}
		if o.Settled() {
			return
		}
	}
}
