package e2e_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// TestAPI4_UnrestrictedResourceConsumption: OWASP API4:2023. A request may be large, deep, long, many or compressed: it
// is refused before it costs, and whoever else asks meanwhile is answered. (That a body which never ends and an answer
// that nobody reads end in time is tested in internal/httpapi, on a clock that need not be waited for.)
func TestAPI4_UnrestrictedResourceConsumption(t *testing.T) {
	w := found(t, func(c *app.Config) { c.LimitOrders, c.LimitCustomer = 5, 1000 })
	const orders = "/v1/orders"
	t.Run("bodies", func(t *testing.T) {
		w := w.in(t)
		began := time.Now()
		var bomb bytes.Buffer
		z := gzip.NewWriter(&bomb)
		if _, err := z.Write(make([]byte, 64<<20)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		many := func(n int) []byte {
			return []byte(`{"customer_id":"` + ada + `","items":[` + strings.TrimSuffix(strings.Repeat(`{"product":"Lasagna"},`, n), ",") + `]}`)
		}
		for _, tt := range []struct {
			what    string
			body    []byte
			status  int
			headers []string
		}{
			{"10 MB", bytes.Repeat([]byte("x"), 10<<20), 413, nil},
			{"10 MB of blanks", bytes.Repeat([]byte(" "), 10<<20), 413, nil},
			{"100,000 items", many(100_000), 413, nil},
			{"10,000 items", many(10_000), 422, nil},
			{"deep arrays", []byte(strings.Repeat("[", 500_000)), 422, nil},
			{"deep objects", []byte(strings.Repeat(`{"a":`, 150_000)), 422, nil},
			{"deep and whole", []byte(strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)), 422, nil},
			{"a long number", []byte(`{"customer_id":` + strings.Repeat("9", 900_000) + `}`), 422, nil},
			{"an exponent", []byte(`{"customer_id":"` + ada + `","items":[{"product":"Lasagna","quantity":1e999999}]}`), 422, nil},
			{"a long text", []byte(`{"customer_id":"` + ada + `","items":[{"product":"` + strings.Repeat("x", 900_000) + `"}]}`), 422, nil},
			{"a bomb", bomb.Bytes(), 415, []string{"Content-Encoding", "gzip"}},
			{"an unknown coding", many(1), 415, []string{"Content-Encoding", "br"}},
			{"a form", []byte("customer_id=" + ada), 415, []string{"Content-Type", "application/x-www-form-urlencoded"}},
			{"XML", []byte(`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>`), 415, []string{"Content-Type", "application/xml"}},
		} {
			a, err := w.do(w.ctx, http.MethodPost, w.url+orders, tt.body, tt.headers...)
			if err != nil { // the server may close the connection under what it does not want to read
				if tt.status != 413 {
					t.Errorf("%s: %v", tt.what, err)
				}
				continue
			}
			if a.status != tt.status || len(a.body) > 10<<10 {
				t.Errorf("%s: %d and %d bytes, want %d: %.300s", tt.what, a.status, len(a.body), tt.status, a.body)
			}
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("pages", func(t *testing.T) {
		w := w.in(t)
		for _, query := range []string{"limit=1000000000", "limit=0", "limit=-1", "limit=99999999999999999999", "limit=x", "cursor=" + strings.Repeat("A", 5000), "limit=201"} {
			for _, path := range []string{orders, "/v1/customers", "/v1/accounts", "/v1/keys", "/v1/restaurants", "/v1/kitchen", "/v1/deliveries", "/v1/dead-letters"} {
				w.want(422, http.MethodGet, path+"?"+query, nil)
			}
		}
		w.want(200, http.MethodGet, orders+"?limit=200", nil)
	})
	t.Run("headers", func(t *testing.T) {
		a, err := w.do(w.ctx, http.MethodGet, w.url+orders, nil, "X-Filler", strings.Repeat("x", 2<<20))
		if err == nil && a.status != 431 {
			t.Errorf("2 MB of headers: %d", a.status)
		}
		a, err = w.do(w.ctx, http.MethodGet, w.url+orders+"?x="+strings.Repeat("x", 2<<20), nil)
		if err == nil && a.status != 431 && a.status != 414 {
			t.Errorf("a URL of 2 MB: %d", a.status)
		}
	})
	t.Run("a slow body", func(t *testing.T) {
		w := w.in(t)
		slow, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close() //nolint:errcheck // broken off
		if _, err := fmt.Fprintf(slow, "POST %s HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", orders, operatorKey); err != nil {
			t.Fatal(err)
		}
		for range 20 { // who is slow holds up nobody
			w.want(200, http.MethodGet, orders, nil)
		}
	})
	t.Run("garbage", func(t *testing.T) {
		for _, line := range []string{
			"GET / HTTP/9.9\r\n\r\n", "\x00\x01\x02\r\n\r\n", "GET /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}", "GET /v1/orders HTTP/1.1\r\nHost: x\r\nX: a\nY: b\r\n : c\r\n\r\n",
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte(line)); err != nil {
				t.Error(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			head, err := bufio.NewReader(conn).ReadString('\n')
			if err == nil && !strings.Contains(head, " 4") && !strings.Contains(head, " 505") {
				t.Errorf("%q is answered %q", line, head)
			}
			_ = conn.Close()
		}
	})
	t.Run("many orders", func(t *testing.T) {
		as := w.as(w.signIn("ada@example.com").Access).in(t)
		var last answer
		n := 0
		for ; n < 10; n++ {
			if last = as.call(http.MethodPost, orders, wish(ada, "")); last.status == 429 {
				break
			}
		}
		if problemOf(t, last); n != 5 || last.header.Get("Retry-After") == "" || !strings.Contains(last.header.Get("RateLimit-Policy"), `"orders";q=5`) {
			t.Errorf("after %d orders: %s %v", n, last, last.header)
		}
		own := decoded[[]wire.Order](t, as.want(200, http.MethodGet, orders, nil).body)
		as.want(202, http.MethodPost, orders+"/"+own[0].ID+"/cancel", nil) // a cancel costs less than a meal
	})
	w.pass(4 * time.Hour)
}
