package api_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
)

// TestBacklog: while more orders than MaxBacklog wait for work no more are taken, and those there are can be read;
// when the work is done they are taken again.
func TestBacklog(t *testing.T) {
	inShop(t, exclusive, false, func(o *orderapi.Options) { o.MaxBacklog = 2 }, func(s *shop) {
		post := func(status int, says string) answer {
			t.Helper()
			time.Sleep(6 * time.Second) // a count is believed for five
			synctest.Wait()
			return s.want(status, says, http.MethodPost, "/v1/orders", wish)
		}
		var last answer
		for range 3 {
			last = post(202, "")
		}
		for range 2 {
			a := post(503, "more than 2 orders wait")
			if a.header.Get("Retry-After") == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
				t.Errorf("its header is %v", a.header)
			}
		}
		s.want(200, "created", http.MethodGet, last.header.Get("Location"), "")
		s.want(202, "", http.MethodPost, last.header.Get("Location")+"/cancel", "") // no new order
		s.world.answers.Store(true)
		time.Sleep(10 * time.Minute) // the tries are far apart by now
		synctest.Wait()
		post(202, "")
	})
}

// TestStoreAway: every route says that the store is away, and that one may come again; what is in memory may be shown.
func TestStoreAway(t *testing.T) {
	for name, features := range map[string]durable.Features{"shared": shared, "exclusive": exclusive} {
		t.Run(name, func(t *testing.T) {
			inShop(t, features, false, nil, func(s *shop) {
				path := "/v1/orders/" + s.place()
				s.orders.away.Store(true)
				for _, c := range []struct{ method, path, body string }{
					{http.MethodPost, "/v1/orders", wish},
					{http.MethodGet, "/v1/orders", ""},
					{http.MethodGet, path, ""},
					{http.MethodGet, "/v1/orders/" + shopID(999), ""},
					{http.MethodGet, path + "/story", ""},
					{http.MethodPost, path + "/cancel", ""},
					{http.MethodPost, path + "/retry/pay", ""},
					{http.MethodDelete, path, ""},
				} {
					a := s.ask(c.method, c.path, c.body)
					inMemory := features.Exclusive && strings.HasPrefix(c.path, path)
					switch {
					case inMemory && (a.status < 500):
					case a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "repeat"):
						t.Errorf("%s %s: %s %v, want 503", c.method, c.path, a, a.header)
					}
				}
				s.orders.away.Store(false)
				time.Sleep(time.Minute)
				s.want(200, "", http.MethodGet, path, "")
				s.want(202, "", http.MethodPost, "/v1/orders", wish)
			})
		})
	}
}
