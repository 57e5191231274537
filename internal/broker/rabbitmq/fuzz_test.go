package rabbitmq

import (
	"testing"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// FuzzDelivery reads whatever somebody may have put into a queue, or among the dead letters: a message, and a letter
// with an id of its own.
func FuzzDelivery(f *testing.F) {
	f.Add("key", "v", int64(1), []byte("{}"), true)
	f.Add("x-death", "OrderService", int64(-1), []byte("\xff"), false)
	f.Add(headerLetter, "", int64(1<<40), []byte(""), true)
	f.Fuzz(func(t *testing.T, name, value string, n int64, body []byte, typed bool) {
		d := &amqp.Delivery{
			MessageId: value, Body: body, Timestamp: time.Unix(n%(1<<40), 0),
			Headers: amqp.Table{name: value, headerAttempt: n, headerWhen: value, "list": []any{n, value}},
		}
		if typed {
			d.Headers["x-death"] = []any{amqp.Table{"queue": value, "reason": n, "time": d.Timestamp, "routing-keys": []any{n}}}
		} else {
			d.Headers["x-death"] = value
		}
		m := decode(d)
		for k := range m.Header {
			if isReserved(k) {
				t.Errorf("the header %q is the broker's own", k)
			}
		}
		twins := map[string]int{}
		first, second := letter(d, twins), letter(d, twins)
		if first.ID == "" || name != headerLetter && first.ID == second.ID {
			t.Errorf("two letters are %q and %q", first.ID, second.ID)
		}
		if attempts(d) < 0 {
			t.Errorf("%d attempts", attempts(d))
		}
		if p := again(d, m, nil); utf8.Valid(body) && string(p.Body) != string(body) {
			t.Errorf("%q became %q", body, p.Body)
		}
	})
}
