package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/client"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

const messages = "/v1/queues/OrderService/messages"

// TestQueues: they are listed, and take what another service would have put into them.
func TestQueues(t *testing.T) {
	inShop(t, exclusive, false, nil, func(s *shop) {
		id := s.place()
		queues, err := s.client.Queues(s.ctx)
		if want := []client.Queue{{Name: "OrderService", Consumers: 1}, {Name: "OrderService.menus", Consumers: 1}}; err != nil || !slices.Equal(queues, want) {
			t.Errorf("the queues are %+v, %v", queues, err)
		}
		s.tell(id, wire.PaymentPaid)
		s.want(200, `"status":"paymentPaid"`, http.MethodGet, "/v1/orders/"+id, "")
		s.want(404, "no such queue", http.MethodPost, "/v1/queues/nonsense/messages", "{}")
		s.want(422, "", http.MethodPost, messages, "nonsense")
		s.want(200, "[]", http.MethodGet, "/v1/dead-letters", "")
	})
}

// TestMenuQueue: what is sold, and for how much, is what the kitchen published last.
func TestMenuQueue(t *testing.T) {
	inShop(t, exclusive, false, nil, func(s *shop) {
		const menus = "/v1/queues/OrderService.menus/messages"
		price := func(says string) {
			t.Helper()
			s.want(202, says, http.MethodPost, "/v1/orders", wish)
		}
		price(`"amount":1295`)
		s.want(202, "", http.MethodPost, menus, string(menu(t, 2, 1500)), "Message-Id", "menu-2")
		price(`"amount":1500`)
		s.want(202, "", http.MethodPost, menus, string(menu(t, 1, 1295)), "Message-Id", "menu-late")
		price(`"amount":1500`)
		s.want(202, "", http.MethodPost, menus, `{"restaurant":{}}`)
		s.want(200, "the body is not a menu", http.MethodGet, "/v1/dead-letters", "")
	})
}

// TestEvents: who follows is given the events of the topics asked for, all of them where none are, and no others.
func TestEvents(t *testing.T) {
	inShop(t, exclusive, false, nil, func(s *shop) {
		topics := [][]string{nil, {"order.created"}, {"order.paymentFailed", "order.created"}, {"order.*"}, {"order"}, {"#.paymentFailed"}}
		want := []string{
			"order.created order.paymentFailed", "order.created", "order.created order.paymentFailed",
			"order.created order.paymentFailed", "", "order.paymentFailed",
		}
		got := make([][]client.Event, len(topics))
		ctx, stop := context.WithCancel(s.ctx)
		ended := make(chan struct{}, len(topics))
		for i := range topics {
			listening := make(chan struct{})
			go func() {
				err := s.client.Tail(ctx, topics[i], func() { close(listening) }, func(e client.Event) { got[i] = append(got[i], e) })
				if ctx.Err() == nil {
					t.Errorf("%v: %v", topics[i], err)
				}
				ended <- struct{}{}
			}()
			<-listening
		}
		id := s.place()
		s.tell(id, wire.PaymentFailed)
		synctest.Wait()
		stop()
		for range topics {
			<-ended
		}
		for i, events := range got {
			var keys []string
			for _, e := range events {
				keys = append(keys, e.Key)
				var body struct{ Status, ID string }
				if err := json.Unmarshal(e.Body, &body); err != nil || !strings.Contains(string(e.Body), id) || e.ID == "" || e.At.IsZero() {
					t.Errorf("%v: %+v, %v", topics[i], e, err)
				}
			}
			if strings.Join(keys, " ") != want[i] {
				t.Errorf("topics %q: %q, want %q", topics[i], keys, want[i])
			}
		}
	})
}

// TestDeadLetters: what cannot be applied is listed with the reason, and applied when it is put back after its cause
// is gone.
func TestDeadLetters(t *testing.T) {
	inShop(t, exclusive, false, nil, func(s *shop) {
		future := shopID(1) // of the order that is placed below
		s.want(202, "", http.MethodPost, messages, statusMessage(future, wire.PaymentFailed), "Message-Id", "early")
		s.want(202, "", http.MethodPost, messages, `{"status":"burnt"}`, "Message-Id", "poison")
		letters, err := s.client.Letters(s.ctx, 50)
		if err != nil || len(letters) != 2 {
			t.Fatalf("%+v, %v", letters, err)
		}
		poison, early := letters[0], letters[1]
		for _, c := range []struct {
			letter     client.Letter
			id, reason string
			body       string
		}{
			{poison, "poison", "status: unknown", `{"status":"burnt"}`},
			{early, "early", "metadata.order_id: no such order", statusMessage(future, wire.PaymentFailed)},
		} {
			if c.letter.MessageID != c.id || c.letter.Reason != c.reason || c.letter.Queue != "OrderService" || c.letter.Body != c.body || c.letter.At.IsZero() {
				t.Errorf("%+v, want %s for %q", c.letter, c.id, c.reason)
			}
		}
		first := s.want(200, "poison", http.MethodGet, "/v1/dead-letters?limit=1", "")
		if strings.Contains(first.body, "early") || !strings.Contains(first.header.Get("Link"), `rel="next"`) {
			t.Errorf("the first page is %s with %v", first, first.header)
		}

		if id := s.place(); id != future {
			t.Fatalf("the order is %s", id)
		}
		for _, id := range []string{early.ID, poison.ID} {
			if err := s.client.Requeue(s.ctx, id); err != nil {
				t.Error(err)
			}
		}
		s.want(200, `"status":"paymentFailed"`, http.MethodGet, "/v1/orders/"+future, "")
		if left, err := s.client.Letters(s.ctx, 50); err != nil || len(left) != 1 || left[0].ID != poison.ID {
			t.Errorf("there are %+v, %v", left, err)
		}
		for path, status := range map[string]int{early.ID: 404, shopID(999): 404, "nonsense": 422} {
			s.want(status, "", http.MethodPost, "/v1/dead-letters/"+path+"/requeue", "")
		}
	})
}

// gone is a broker that is away.
type gone struct{}

func (gone) Publish(context.Context, broker.Message) error { return errAway }

func (gone) Queues(context.Context, ...string) ([]broker.QueueState, error) { return nil, errAway }

func (gone) Letters(context.Context, string, int) ([]broker.Letter, error) { return nil, errAway }

func (gone) Requeue(context.Context, string) error { return errAway }

func (gone) Tail(context.Context, []string, broker.Handler) error { return errAway }

// TestBrokerAway: an operator's tools say so, and orders are taken.
func TestBrokerAway(t *testing.T) {
	inShop(t, exclusive, false, func(o *orderapi.Options) { o.Broker = gone{} }, func(s *shop) {
		for _, c := range []struct{ method, path, body string }{
			{http.MethodGet, "/v1/queues", ""},
			{http.MethodPost, messages, "{}"},
			{http.MethodGet, "/v1/dead-letters", ""},
			{http.MethodPost, "/v1/dead-letters/" + shopID(1) + "/requeue", ""},
			{http.MethodGet, "/v1/events", ""},
		} {
			if a := s.want(503, "repeat", c.method, c.path, c.body); a.header.Get("Retry-After") == "" {
				t.Errorf("%s %s: %v", c.method, c.path, a.header)
			}
		}
		s.place()
	})
}
