package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
)

// raw is a channel of the driver's, for what others do to the server.
func (h host) raw(t testing.TB) *amqp.Channel {
	t.Helper()
	c, err := amqp.Dial(h.url)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	ch, err := c.Channel()
	must(t, err)
	return ch
}

// collect subscribes with a handler that takes everything.
func collect(t testing.TB, b *rabbitmq.Broker, q broker.Queue) <-chan broker.Message {
	t.Helper()
	got := make(chan broker.Message, 10_000)
	must(t, b.Subscribe(t.Context(), q, func(_ context.Context, m broker.Message) error {
		got <- m
		return nil
	}))
	return got
}

// TestOfOthers: messages of the original have no properties but the content type, and others' headers are of any
// kind; what a Message cannot hold stays with the message while it waits, and is no reason to refuse it.
func TestOfOthers(t *testing.T) {
	h := open(t)
	b, ch := h.open(t, rabbitmq.Options{}), h.raw(t)
	got := make(chan broker.Message, 10)
	failures := 0
	must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q"}, func(_ context.Context, m broker.Message) error {
		if string(m.Body) == "odd" && failures < 2 {
			failures++
			return errors.New("not now")
		}
		got <- m
		return nil
	}))
	must(t, ch.Publish("", "q", true, false, amqp.Publishing{ContentType: "application/json", Body: []byte("bare")}))
	if m := <-got; m.ID != "" || m.Type != "" || !m.Time.IsZero() || m.Key != "q" || len(m.Header) > 0 || string(m.Body) != "bare" {
		t.Errorf("of the original came %+v", m)
	}
	must(t, ch.Publish("", "q", true, false, amqp.Publishing{Body: []byte("odd"), CorrelationId: "theirs", Headers: amqp.Table{
		"traceparent": int32(7), "tracestate": "a=b", "deep": amqp.Table{"x": true}, "x-tiffin-attempt": "many", "x-death": "no list",
	}}))
	if m := <-got; !maps.Equal(m.Header, map[string]string{"tracestate": "a=b"}) || m.Key != "q" || failures != 2 {
		t.Errorf("after %d failures came %+v", failures, m)
	}
}

// TestOversized: what fits the server with a message's own headers may not fit with ours; it is put aside all the same.
func TestOversized(t *testing.T) {
	h := open(t)
	b, ch := h.open(t, rabbitmq.Options{}), h.raw(t)
	must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q"}, func(_ context.Context, _ broker.Message) error {
		return &broker.Reject{Reason: strings.Repeat("no ", 100_000)}
	}))
	must(t, ch.Publish("", "q", true, false, amqp.Publishing{Body: []byte("full"), Headers: amqp.Table{
		"a": strings.Repeat("a", 60_000), "b": strings.Repeat("b", 70_500),
	}}))
	var letters []broker.Letter
	wait(t, func() (there bool) {
		var err error
		letters, err = b.Letters(t.Context(), "", 10)
		must(t, err)
		return len(letters) == 1
	})
	if l := letters[0]; len(l.Reason) != 4096 || string(l.Message.Body) != "full" || len(l.Message.Header) > 0 {
		t.Errorf("a letter with a reason of %d bytes and %d headers: %s", len(l.Reason), len(l.Message.Header), l.Message.Body)
	}
}

// TestRefused: what the server would answer by closing the channel under everybody is not sent.
func TestRefused(t *testing.T) {
	b := open(t).open(t, rabbitmq.Options{})
	got := collect(t, b, broker.Queue{Name: "q"})
	long := strings.Repeat("x", 256)
	for name, m := range map[string]broker.Message{
		"id":           {ID: long, Key: "q"},
		"type":         {Type: long, Key: "q"},
		"key":          {Key: long},
		"header":       {Key: "q", Header: map[string]string{long: ""}},
		"headers":      {Key: "q", Header: map[string]string{"a": strings.Repeat(long, 300)}},
		"our header":   {Key: "q", Header: map[string]string{"x-tiffin-attempt": "1"}},
		"carbon copy":  {Key: "q", Header: map[string]string{"CC": "q2"}},
		"huge":         {Key: "q", Body: make([]byte, 17<<20)},
		"own exchange": {Key: "q", Exchange: "amq.topic"},
	} {
		if err := b.Publish(t.Context(), m); err == nil {
			t.Errorf("%s was published", name)
		}
	}
	must(t, b.Publish(t.Context(), broker.Message{ID: "fine", Key: "q"}))
	if m := <-got; m.ID != "fine" {
		t.Errorf("came %+v", m)
	}
}

// TestUnroutableAmongMany: each of many publications at once gets its own answer.
func TestUnroutableAmongMany(t *testing.T) {
	b := open(t).open(t, rabbitmq.Options{Publishers: 2})
	got := collect(t, b, broker.Queue{Name: "q"})
	const n = 2000
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			key := "q"
			if i%3 == 0 {
				key = "nowhere"
			}
			errs[i] = b.Publish(t.Context(), broker.Message{ID: fmt.Sprint(i), Key: key})
		})
	}
	all.Wait()
	for i, err := range errs {
		if i%3 == 0 && !errors.Is(err, broker.ErrUnroutable) || i%3 != 0 && err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	for i := range n {
		if i%3 != 0 {
			<-got
		}
	}
}

// TestWaitsGrow: the first failure costs the delay, the second five times as much, every further thirty times.
func TestWaitsGrow(t *testing.T) {
	h, log := open(t), newRecords()
	b := h.open(t, rabbitmq.Options{Log: slog.New(log)})
	done := make(chan struct{})
	failures := 0
	must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q", Topics: []string{"a.*"}}, func(_ context.Context, m broker.Message) error {
		if m.Exchange != broker.Events || m.Key != "a.b" || m.Header["traceparent"] != "00" || len(m.Header) != 1 {
			t.Errorf("after %d failures: %+v", failures, m)
		}
		if failures++; failures <= 4 {
			return errors.New("not now")
		}
		close(done)
		return nil
	}))
	must(t, b.Publish(t.Context(), broker.Message{ID: "m", Exchange: broker.Events, Key: "a.b", Header: map[string]string{"traceparent": "00"}}))
	<-done
	if waits := log.all("in"); !slices.Equal(waits, []string{"20ms", "100ms", "600ms", "600ms"}) {
		t.Errorf("waits %q", waits)
	}
}

// TestPoison: a message that is never answered is a dead letter when its deliveries reach the limit, with a reason
// and a stable id; requeued, it begins anew.
func TestPoison(t *testing.T) {
	h := open(t)
	b := h.open(t, rabbitmq.Options{DeliveryLimit: 3})
	ctx := t.Context()
	life, leave := context.WithCancel(ctx)
	must(t, b.Subscribe(life, broker.Queue{Name: "q"}, func(context.Context, broker.Message) error { return nil }))
	leave()
	wait(t, func() bool { return h.state(t, b, "q").Consumers == 0 })
	for range 2 { // which do not differ in anything
		must(t, b.Publish(ctx, broker.Message{ID: "poison", Type: "t", Key: "q", Body: []byte("crash")}))
	}
	crash := h.raw(t)
	deliveries := 0
	wait(t, func() bool {
		d, ok, err := crash.Get("q", false)
		must(t, err)
		if ok {
			deliveries++
			must(t, d.Reject(true))
		}
		return h.state(t, b, "tiffin.dead").Ready == 2
	})
	if deliveries != 2*4 {
		t.Errorf("delivered %d times, want 8: a limit of 3 redeliveries for each", deliveries)
	}
	letters, err := b.Letters(ctx, "", 10)
	must(t, err)
	if len(letters) != 2 || letters[0].ID <= letters[1].ID {
		t.Fatalf("letters: %+v", letters)
	}
	for _, l := range letters {
		if l.Queue != "q" || !strings.Contains(l.Reason, "delivery limit") || l.At.IsZero() || l.Message.ID != "poison" ||
			l.Message.Exchange != "" || l.Message.Key != "q" || len(l.Message.Header) > 0 || len(l.ID) != 36 {
			t.Errorf("letter: %+v", l)
		}
	}
	again, err := b.Letters(ctx, "", 10)
	must(t, err)
	if len(again) != 2 || again[0].ID != letters[0].ID || again[1].ID != letters[1].ID {
		t.Errorf("letters %+v, before: %+v", again, letters)
	}
	for left := 2; left > 0; left-- {
		must(t, b.Requeue(ctx, again[0].ID))
		again, err = b.Letters(ctx, "", 10)
		must(t, err)
		if len(again) != left-1 {
			t.Fatalf("left are %+v", again)
		}
	}
	got := collect(t, b, broker.Queue{Name: "q"})
	for range letters {
		if m := <-got; m.ID != "poison" || string(m.Body) != "crash" || m.Key != "q" || len(m.Header) > 0 {
			t.Errorf("came %+v", m)
		}
	}
}

// TestForeignLetter: what somebody put among the dead letters by hand is shown, and stays.
func TestForeignLetter(t *testing.T) {
	h := open(t)
	b := h.open(t, rabbitmq.Options{})
	collect(t, b, broker.Queue{Name: "q"})
	must(t, h.raw(t).Publish("", "tiffin.dead", true, false, amqp.Publishing{Body: []byte("?")}))
	wait(t, func() bool { return h.state(t, b, "tiffin.dead").Ready == 1 })
	letters, err := b.Letters(t.Context(), "", 10)
	must(t, err)
	if len(letters) != 1 || letters[0].Reason == "" || string(letters[0].Message.Body) != "?" {
		t.Fatalf("letters: %+v", letters)
	}
	if err := b.Requeue(t.Context(), letters[0].ID); err == nil {
		t.Error("requeued to nowhere")
	}
	again, err := b.Letters(t.Context(), "", 10)
	must(t, err)
	if len(again) != 1 || again[0].ID != letters[0].ID {
		t.Errorf("letters: %+v, before: %+v", again, letters)
	}
}
