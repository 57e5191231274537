package api_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/cache"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestNotModified: the ETag is the version. Who names the one there is has seen all; who names an older one, or one
// that never was, is shown the order. It is the same with copies and without.
func TestNotModified(t *testing.T) {
	for name, copies := range map[string]bool{"from the store": false, "from copies": true} {
		t.Run(name, func(t *testing.T) {
			inShop(t, shared, copies, nil, func(s *shop) {
				path := "/v1/orders/" + s.place()
				before := s.want(200, "", http.MethodGet, path, "").header.Get("ETag")
				s.tell(path[len("/v1/orders/"):], wire.PaymentFailed)
				now := s.want(200, "paymentFailed", http.MethodGet, path, "").header.Get("ETag")
				if before == now || before == "" {
					t.Fatalf("the ETag was %s and is %s", before, now)
				}
				for _, c := range []struct {
					seen   string
					status int
				}{
					{now, 304}, {"W/" + now, 304}, {before + ", " + now, 304},
					{before, 200}, {`"999"`, 200}, {`"nonsense"`, 200}, {"*", 200},
				} {
					a := s.want(c.status, "", http.MethodGet, path, "", "If-None-Match", c.seen)
					if a.header.Get("ETag") != now || (c.status == 304) != (a.body == "") {
						t.Errorf("If-None-Match: %s: ETag %s, %s", c.seen, a.header.Get("ETag"), a)
					}
				}
			})
		})
	}
}

// TestCopies: what was committed is read from its copy, also while the store is away.
func TestCopies(t *testing.T) {
	inShop(t, shared, true, nil, func(s *shop) {
		id := s.place()
		path := "/v1/orders/" + id
		s.orders.away.Store(true)
		s.want(200, `"status":"created"`, http.MethodGet, path, "")
		s.want(503, "repeat", http.MethodGet, "/v1/orders/"+shopID(999), "") // of which there is no copy
		s.orders.away.Store(false)
		s.tell(id, wire.PaymentFailed)
		s.orders.away.Store(true)
		s.want(200, `"status":"paymentFailed"`, http.MethodGet, path, "")
		s.orders.away.Store(false)

		s.want(204, "", http.MethodDelete, path, "")
		synctest.Wait()
		s.orders.away.Store(true)
		s.want(404, "no such order", http.MethodGet, path, "")
	})
}

// TestCopyOlderThanSeen: a copy that is older than what the reader names is not served, and is replaced.
func TestCopyOlderThanSeen(t *testing.T) {
	inShop(t, shared, true, nil, func(s *shop) {
		id := s.place()
		path := "/v1/orders/" + id
		old, ok, err := s.cache.Get(s.ctx, orderapi.CopyKey(id))
		if err != nil || !ok {
			t.Fatalf("there is no copy: %v", err)
		}
		s.tell(id, wire.PaymentFailed)
		now := s.want(200, "paymentFailed", http.MethodGet, path, "").header.Get("ETag")
		if err := s.cache.Delete(s.ctx, orderapi.CopyKey(id)); err != nil {
			t.Fatal(err)
		}
		if err := s.cache.Put(s.ctx, orderapi.CopyKey(id), old, time.Hour); err != nil {
			t.Fatal(err)
		}
		s.want(200, `"status":"created"`, http.MethodGet, path, "") // as old as the copy: nobody was shown more
		a := s.want(304, "", http.MethodGet, path, "", "If-None-Match", now)
		if a.header.Get("ETag") != now {
			t.Errorf("who has seen %s is shown %s", now, a.header.Get("ETag"))
		}
		s.want(200, "paymentFailed", http.MethodGet, path, "")
	})
}

// TestCopiesLost: a cache that forgets everything or is away costs a read of the store, and when it is back it has
// what was committed meanwhile.
func TestCopiesLost(t *testing.T) {
	inShop(t, shared, true, nil, func(s *shop) {
		id := s.place()
		path, key := "/v1/orders/"+id, orderapi.CopyKey(id)
		if err := s.cache.Delete(s.ctx, key); err != nil {
			t.Fatal(err)
		}
		s.want(200, "created", http.MethodGet, path, "")
		if _, ok, err := s.cache.Get(s.ctx, key); !ok || err != nil {
			t.Errorf("the read left no copy: %v", err)
		}

		s.cache.away.Store(true)
		s.want(200, "created", http.MethodGet, path, "")
		s.tell(id, wire.PaymentFailed)
		s.want(200, "paymentFailed", http.MethodGet, path, "")
		s.place()
		s.cache.away.Store(false)
		time.Sleep(10 * time.Second) // of the bubble: the writer tries again
		synctest.Wait()
		s.orders.away.Store(true)
		s.want(200, "paymentFailed", http.MethodGet, path, "")
	})
}

// TestNoCopyWithoutCommit: what the store did not take is not copied. (That no copy is ahead of the store the shop's
// cache watches in every test.)
func TestNoCopyWithoutCommit(t *testing.T) {
	inShop(t, shared, true, nil, func(s *shop) {
		s.orders.away.Store(true)
		s.want(503, "", http.MethodPost, "/v1/orders", wish)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if err := s.cache.Each(s.ctx, "", func(key string, e cache.Entry, _ time.Duration) bool {
			t.Errorf("%s has a copy of version %d", key, e.Version)
			return true
		}); err != nil {
			t.Error(err)
		}
	})
}
