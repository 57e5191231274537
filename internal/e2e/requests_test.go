package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestSameRequestAgain: a key and a body are one order, for ever, and answered alike byte for byte.
func TestSameRequestAgain(t *testing.T) {
	w := found(t, nil)
	const post, orders, header = http.MethodPost, "/v1/orders", "Idempotency-Key"
	body := []byte(`{"customer_id":"` + ada + `","items":[{"product":"Lasagna"}]}`)
	first := w.want(202, post, orders, body, header, "same")
	id := decoded[wire.Order](t, first.body).ID
	again := func(t *testing.T, body any) {
		t.Helper()
		a := w.in(t).want(202, post, orders, body, header, "same")
		if !bytes.Equal(a.body, first.body) || a.header.Get("Location") != first.header.Get("Location") {
			t.Errorf("it was answered %s at %s, and now %s at %s", first, first.header.Get("Location"), a, a.header.Get("Location"))
		}
	}
	t.Run("at once", func(t *testing.T) { again(t, body) })
	t.Run("written otherwise", func(t *testing.T) {
		again(t, []byte("{\"items\": [{\"quantity\": 1, \"product\": \"Lasagna\"}],\n\t\"customer_id\": \""+ada+"\"}"))
		again(t, map[string]any{"customer_id": ada, "restaurant_id": wire.DemoRestaurant, "items": []wire.Item{{Product: "Lasagna", Quantity: 1}}})
	})
	t.Run("another body", func(t *testing.T) {
		a := w.in(t).want(422, post, orders, wish(ada, curry), header, "same")
		if detail := problemOf(t, a); !strings.Contains(detail, "key") || !bytes.Contains(a.body, []byte(`"header.Idempotency-Key"`)) {
			t.Errorf("it says %s", a)
		}
	})
	t.Run("no key", func(t *testing.T) {
		if a, b := w.place(ada, ""), w.place(ada, ""); a.ID == b.ID {
			t.Error("two orders are one")
		}
	})
	t.Run("bad keys", func(t *testing.T) {
		for _, key := range []string{"two words", strings.Repeat("k", 256), "é"} {
			if detail := problemOf(t, w.in(t).want(422, post, orders, body, header, key)); !strings.Contains(detail, header) {
				t.Errorf("%q: it says %s", key, detail)
			}
		}
	})
	t.Run("twenty at once", func(t *testing.T) {
		answers := make([]answer, 20)
		var posts sync.WaitGroup
		for i := range answers {
			posts.Go(func() {
				var err error
				if answers[i], err = w.do(w.ctx, post, w.url+orders, wish(grace, curry), header, "at-once"); err != nil {
					t.Error(err)
				}
			})
		}
		posts.Wait()
		for _, a := range answers {
			if a.status != 202 || !bytes.Equal(a.body, answers[0].body) {
				t.Errorf("one was answered %s, one %s", answers[0], a)
			}
		}
	})
	w.settle(id)
	t.Run("when it is delivered", func(t *testing.T) { again(t, body) })
	if r := w.verify(); r.Orders != 4 {
		t.Errorf("%d orders, want 4", r.Orders)
	}
}

// TestDelete: only a finished order can be deleted, and its key is never free again.
func TestDelete(t *testing.T) {
	w := found(t, nil)
	id := w.place(ada, "", "Idempotency-Key", "deleted").ID
	path := "/v1/orders/" + id
	if detail := problemOf(t, w.want(409, http.MethodDelete, path, nil)); !strings.Contains(detail, "only a finished order") {
		t.Errorf("it says %q", detail)
	}
	late := w.place(mute, "").ID
	w.pass(time.Hour)
	w.want(409, http.MethodDelete, "/v1/orders/"+late, nil) // cancelled, and nobody knows whether money will move
	w.want(204, http.MethodDelete, path, nil)
	for _, ask := range [][2]string{
		{http.MethodGet, path}, {http.MethodDelete, path}, {http.MethodPost, path + "/cancel"}, {http.MethodGet, path + "/events"},
		{http.MethodGet, path + "/story"}, {http.MethodDelete, "/v1/orders/0190a000-0000-7000-8000-0000000abcde"},
	} {
		problemOf(t, w.want(404, ask[0], ask[1], nil))
	}
	list := decoded[[]wire.Order](t, w.want(200, http.MethodGet, "/v1/orders", nil).body)
	if len(list) != 1 || list[0].ID != late {
		t.Errorf("the list has %v", list)
	}
	for _, body := range []any{wish(ada, ""), wish(ada, curry)} {
		a := w.call(http.MethodPost, "/v1/orders", body, "Idempotency-Key", "deleted")
		if a.status != 409 && a.status != 422 {
			t.Errorf("its key again, with %v: %s", body, a)
		}
		problemOf(t, a)
	}
	if r := w.verify(); r.Deleted != 1 || r.Orders != 2 {
		t.Errorf("%+v", r)
	}
}

// TestRefusedOrders: what cannot be an order is refused with the field that is wrong, and nothing happens.
func TestRefusedOrders(t *testing.T) {
	w := found(t, nil)
	with := func(change func(map[string]any)) map[string]any {
		body := wish(ada, "")
		change(body)
		return body
	}
	items := func(items ...map[string]any) map[string]any {
		return with(func(b map[string]any) { b["items"] = items })
	}
	for _, c := range []struct {
		name  string
		body  any
		field string
	}{
		{"unknown product", items(map[string]any{"product": "Lasagna"}, map[string]any{"product": "Ambrosia"}), "body.items[1].product"},
		{"sold out", items(map[string]any{"product": "Truffle Risotto"}), "body.items[0].product"},
		{"of another restaurant", with(func(b map[string]any) { b["restaurant_id"] = curry }), "body.items[0].product"},
		{"unknown restaurant", with(func(b map[string]any) { b["restaurant_id"] = ada }), "body.restaurant_id"},
		{"no restaurant's id", with(func(b map[string]any) { b["restaurant_id"] = "Chez Marie" }), "body.restaurant_id"},
		{"unknown customer", with(func(b map[string]any) { b["customer_id"] = curry }), "body.customer_id"},
		{"no customer's id", with(func(b map[string]any) { b["customer_id"] = "me" }), "body.customer_id"},
		{"no customer", with(func(b map[string]any) { delete(b, "customer_id") }), "body"},
		{"no items", items(), "body.items"},
		{"no product", items(map[string]any{"quantity": 1}), "body.items[0]"},
		{"none of it", items(map[string]any{"product": "Lasagna", "quantity": 0}), "body.items[0].quantity"},
		{"less than none", items(map[string]any{"product": "Lasagna", "quantity": -1}), "body.items[0].quantity"},
		{"half of it", items(map[string]any{"product": "Lasagna", "quantity": 0.5}), "body.items[0].quantity"},
		{"with a price", with(func(b map[string]any) { b["total"] = map[string]any{"amount": 1, "currency": "EUR"} }), "body.total"},
		{"no JSON", []byte("one Lasagna, please"), "body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.in(t).want(422, http.MethodPost, "/v1/orders", c.body)
			detail := problemOf(t, a)
			var p struct {
				Errors []struct{ Location, Message string }
			}
			p = decodedAs(t, a.body, p)
			if len(p.Errors) == 0 || p.Errors[0].Location != c.field || p.Errors[0].Message == "" || !strings.HasPrefix(detail, c.field+": ") {
				t.Errorf("%s does not name %s", a, c.field)
			}
		})
	}
	if r := w.verify(); r.Orders != 0 {
		t.Errorf("%d orders were made of that", r.Orders)
	}
}

// decodedAs is decoded for a type that has no name.
func decodedAs[T any](t testing.TB, body []byte, _ T) T {
	t.Helper()
	return decoded[T](t, body)
}

// TestPages: the list is read page by page, newest first, each order once.
func TestPages(t *testing.T) {
	w := found(t, nil)
	var want []string
	for range 5 {
		want = append([]string{w.place(ada, "").ID}, want...)
		w.pass(time.Millisecond)
	}
	for limit, pages := range map[int][]int{1: {1, 1, 1, 1, 1}, 2: {2, 2, 1}, 4: {4, 1}, 200: {5}} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			var got []string
			var sizes []int
			for path := fmt.Sprintf("/v1/orders?limit=%d", limit); path != ""; {
				a := w.in(t).want(200, http.MethodGet, path, nil)
				page := decoded[[]wire.Order](t, a.body)
				for _, o := range page {
					got = append(got, o.ID)
				}
				if len(page) > 0 { // a last page may be empty: who fills a page does not know that it was the last
					sizes = append(sizes, len(page))
				}
				link := a.header.Get("Link")
				path, _ = strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
				if link != "" && !strings.HasPrefix(path, "/v1/orders?") {
					t.Fatalf("Link: %s", link)
				}
			}
			if !slices.Equal(got, want) || !slices.Equal(sizes, pages) {
				t.Errorf("pages of %v with %v, want %v with %v", sizes, got, pages, want)
			}
		})
	}
	for query, field := range map[string]string{"limit=0": "query.limit", "limit=201": "query.limit", "limit=x": "query.limit", "cursor=x": "query.cursor"} {
		if detail := problemOf(t, w.want(422, http.MethodGet, "/v1/orders?"+query, nil)); !strings.HasPrefix(detail, field) {
			t.Errorf("%s: it says %q", query, detail)
		}
	}
}

// TestStream: an order can be followed while it lives; who comes back with the last event's id misses nothing.
func TestStream(t *testing.T) {
	w := found(t, nil)
	read := func(t *testing.T, id string, last int) (events []event) {
		t.Helper()
		if err := w.follow(w.ctx, w.url, id, last, func(e event) bool {
			events = append(events, e)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return events
	}

	id := w.place(ada, "").ID
	heard := make(chan event, len(whole)+1)
	go func() {
		defer close(heard)
		if err := w.follow(w.ctx, w.url, id, 0, func(e event) bool { heard <- e; return true }); err != nil {
			t.Error(err)
		}
	}()
	if e := <-heard; e.Status != wire.Created || e.id != 1 || e.Settled {
		t.Fatalf("the first event is %+v", e)
	}
	o := w.settle(id)
	live := []event{{}}
	for e := range heard { // ends with the stream, which ends with the order
		live = append(live, e)
	}
	for i, m := range o.History[1:] {
		if e := live[i+1]; e.id != i+2 || e.Moment != m || e.Settled != (i+2 == len(whole)) {
			t.Errorf("event %d is %+v, want %+v", i+2, e, m)
		}
	}
	t.Run("resumed", func(t *testing.T) {
		for last := range len(whole) {
			got := read(t, id, last)
			if len(got) != len(whole)-last || got[0].id != last+1 || got[0].Moment != o.History[last] || !got[len(got)-1].Settled {
				t.Errorf("after %d: %+v", last, got)
			}
		}
	})
	t.Run("resumed at its end", func(t *testing.T) {
		got := read(t, id, len(whole))
		if len(got) != 1 || got[0].Status != wire.Delivered || !got[0].Settled {
			t.Errorf("%+v", got)
		}
	})
	t.Run("settled without another status", func(t *testing.T) {
		w := w.in(t)
		id := w.place(declined, "").ID
		w.cancel(202, id, nil)
		began := make(chan struct{})
		ended := make(chan []event, 1)
		go func() {
			var events []event
			if err := w.follow(w.ctx, w.url, id, 0, func(e event) bool {
				if events = append(events, e); len(events) == 2 {
					close(began)
				}
				return true
			}); err != nil {
				t.Error(err)
			}
			ended <- events
		}()
		<-began
		w.settle(id)
		got := <-ended
		last := got[len(got)-1]
		if last.Status != wire.OrderCancelled || !last.Settled || last.id != 2 || last.Reason != "cancelled by the customer" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("of an unknown order", func(t *testing.T) {
		w := w.in(t)
		problemOf(t, w.want(404, http.MethodGet, "/v1/orders/0190a000-0000-7000-8000-0000000abcde/events", nil))
	})
	t.Run("with nonsense as the last id", func(t *testing.T) {
		a := w.in(t).want(200, http.MethodGet, "/v1/orders/"+id+"/events", nil, "Last-Event-ID", "yesterday")
		if n := bytes.Count(a.body, []byte("\ndata: ")); n != len(whole) {
			t.Errorf("%d events: %s", n, a.body)
		}
	})
}
