// Package brokertest says what every broker does between a Publisher and a Subscriber, and what it shows to an
// Inspector, as tests that each adapter runs in a few lines.
package brokertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
)

// Features are the declared differences between brokers.
type Features struct {
	// Redelivers: the broker has the message when Publish returns nil, and brings it back itself when a handler
	// fails. Without it a handler's failure is the error of Publish, and the publisher brings it back.
	Redelivers bool
	// Persistent: a queue stays, and keeps messages, while nobody is subscribed to it.
	Persistent bool
	// Ordered: one publisher's messages, published one after the other, reach the one subscriber of a queue in
	// that order.
	Ordered bool
}

// Broker is what is under test.
type Broker interface {
	broker.Publisher
	broker.Subscriber
	broker.Inspector
}

// Open gives a broker for one test and takes it away with the test's Cleanup. Others may use the same server: the
// suite's queues and topics have names of their own.
type Open func(testing.TB) Broker

// patience is how long a test waits for what must come, and so how long a failure takes.
const patience = 30 * time.Second

// Exercise runs the whole suite against the broker that open gives.
func Exercise(t *testing.T, features Features, open Open) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := c.run(ctx, &bench{Broker: open(t), Features: features, prefix: "test" + rand.Text()}); err != nil {
				t.Error(err)
			}
		})
	}
}

type check struct {
	name string
	run  func(context.Context, *bench) error
}

var checks = []check{
	{"everything of a message arrives", arrives},
	{"nobody takes it: unroutable", unroutable},
	{"a failed message comes back", comesBack},
	{"a panic is a failure", panics},
	{"a rejected message is a dead letter", rejected},
	{"a message published twice keeps its id", twice},
	{"big bodies", big},
	{"a thousand messages from many, none lost", many},
	{"subscribers share a queue", shared},
	{"topics", topics},
	{"topics: every bound queue gets it", fanOut},
	{"a subscription ends with its context", unsubscribed},
	{"order", ordered},
	{"cancelled context", cancelled},
	{"how queues stand", queues},
	{"dead letters are shown and stay", letters},
	{"a dead letter is put into its queue again", requeued},
	{"a tail hears copies", tail},
}

// bench is one test's.
type bench struct {
	Broker
	Features
	prefix string
}

func (b *bench) queue(name string) broker.Queue { return broker.Queue{Name: b.prefix + name} }

// message is one for a queue.
func (b *bench) message(id, queue string) broker.Message {
	return broker.Message{
		ID: id, Type: "order.status", Key: b.prefix + queue, Time: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC),
		Header: map[string]string{"traceparent": "00-" + id, "x": "é"}, Body: []byte(`{"id": "` + id + `", "a":1.0}`),
	}
}

// send publishes as an outbox does: again, until the broker has it for good.
func (b *bench) send(ctx context.Context, m broker.Message) error {
	for {
		err := b.Publish(ctx, m)
		if err == nil || b.Redelivers || errors.Is(err, broker.ErrUnroutable) || ctx.Err() != nil {
			return err
		}
	}
}

// collect subscribes with a handler that takes everything.
func (b *bench) collect(ctx context.Context, q broker.Queue) (<-chan broker.Message, error) {
	got := make(chan broker.Message, 4096)
	return got, b.Subscribe(ctx, q, func(_ context.Context, m broker.Message) error {
		got <- m
		return nil
	})
}

func receive(ctx context.Context, got <-chan broker.Message) (broker.Message, error) {
	select {
	case m := <-got:
		return m, nil
	case <-ctx.Done():
		return broker.Message{}, fmt.Errorf("the message did not come: %w", ctx.Err())
	}
}

// receives says whether the next message is want.
func receives(ctx context.Context, got <-chan broker.Message, want broker.Message) error {
	m, err := receive(ctx, got)
	if err != nil {
		return err
	}
	return differ(m, want)
}

// differ compares times to the second, which is what AMQP carries.
func differ(got, want broker.Message) error {
	if got.ID != want.ID || got.Type != want.Type || got.Exchange != want.Exchange || got.Key != want.Key ||
		!got.Time.Truncate(time.Second).Equal(want.Time.Truncate(time.Second)) ||
		!maps.Equal(got.Header, want.Header) || !bytes.Equal(got.Body, want.Body) {
		return fmt.Errorf("got %s, want %s", show(got), show(want))
	}
	return nil
}

func show(m broker.Message) string {
	if len(m.Body) > 100 {
		m.Body = fmt.Appendf(nil, "%d bytes", len(m.Body))
	}
	return fmt.Sprintf("%q %q %q %q %v %v %s", m.ID, m.Type, m.Exchange, m.Key, m.Time, m.Header, m.Body)
}

func wants(what string, err, target error) error {
	if !errors.Is(err, target) {
		return fmt.Errorf("%s: got %v, want %v", what, err, target)
	}
	return nil
}

func arrives(ctx context.Context, b *bench) error {
	got, err := b.collect(ctx, b.queue("q"))
	if err != nil {
		return err
	}
	full := b.message("m1", "q")
	bare := broker.Message{Key: full.Key, Body: []byte("no JSON at all \x00\xff")} // as the original's services may send
	return errors.Join(
		b.Publish(ctx, full), receives(ctx, got, full),
		b.Publish(ctx, bare), receives(ctx, got, bare))
}

func unroutable(ctx context.Context, b *bench) error {
	foreign := b.message("m2", "q")
	foreign.Exchange = b.prefix + "no such exchange"
	event := b.message("m3", "q")
	event.Exchange = broker.Events
	return errors.Join(
		wants("no such queue", b.Publish(ctx, b.message("m1", "q")), broker.ErrUnroutable),
		wants("no such exchange", b.Publish(ctx, foreign), broker.ErrUnroutable),
		wants("a topic that nobody asked for", b.Publish(ctx, event), nil))
}

// failTwice checks that a message arrives a third time after two failures of the handler.
func failTwice(ctx context.Context, b *bench, fail func() error) error {
	var mu sync.Mutex
	calls := 0
	got := make(chan broker.Message, 10)
	err := b.Subscribe(ctx, b.queue("q"), func(_ context.Context, m broker.Message) error {
		mu.Lock()
		calls++
		bad := calls <= 2
		mu.Unlock()
		if bad {
			return fail()
		}
		got <- m
		return nil
	})
	if err != nil {
		return err
	}
	m := b.message("m1", "q")
	if !b.Redelivers {
		if err := b.Publish(ctx, m); err == nil || errors.Is(err, broker.ErrUnroutable) {
			return fmt.Errorf("the handler failed, and the publisher was told %v", err)
		}
	}
	return errors.Join(b.send(ctx, m), receives(ctx, got, m))
}

func comesBack(ctx context.Context, b *bench) error {
	return failTwice(ctx, b, func() error { return fmt.Errorf("not now: %w", broker.ErrUnroutable) })
}

func panics(ctx context.Context, b *bench) error {
	return failTwice(ctx, b, func() error { panic("a handler's bug") })
}

func rejected(ctx context.Context, b *bench) error {
	got := make(chan broker.Message, 10)
	err := b.Subscribe(ctx, b.queue("q"), func(_ context.Context, m broker.Message) error {
		got <- m
		if m.ID == "good" {
			return nil
		}
		return fmt.Errorf("at the door: %w", &broker.Reject{Reason: "no order_id in " + m.ID})
	})
	if err != nil {
		return err
	}
	bad, good := b.message("bad", "q"), b.message("good", "q")
	for _, m := range []broker.Message{bad, good} { // one does not hold up the other
		if err := errors.Join(b.Publish(ctx, m), receives(ctx, got, m)); err != nil {
			return err
		}
	}
	dead, err := b.letter(ctx, func(broker.Letter) bool { return true })
	if err != nil {
		return err
	}
	if dead.Reason != "no order_id in bad" || dead.Queue != b.prefix+"q" {
		return fmt.Errorf("dead letter of %s, %q", dead.Queue, dead.Reason)
	}
	if len(got) != 0 {
		return fmt.Errorf("a rejected message came back: %s", show(<-got))
	}
	return differ(dead.Message, bad)
}

func twice(ctx context.Context, b *bench) error {
	got, err := b.collect(ctx, b.queue("q"))
	if err != nil {
		return err
	}
	m := b.message("m1", "q")
	return errors.Join(b.Publish(ctx, m), b.Publish(ctx, m), receives(ctx, got, m), receives(ctx, got, m))
}

func big(ctx context.Context, b *bench) error {
	got, err := b.collect(ctx, b.queue("q"))
	if err != nil {
		return err
	}
	for _, size := range []int{0, 1 << 20, 10 << 20} {
		m := b.message(fmt.Sprint(size), "q")
		m.Body = bytes.Repeat([]byte("x"), size)
		if err := errors.Join(b.Publish(ctx, m), receives(ctx, got, m)); err != nil {
			return err
		}
	}
	return nil
}

func many(ctx context.Context, b *bench) error {
	const messages, publishers = 1000, 16
	var mu sync.Mutex
	calls, handled := map[string]int{}, map[string]bool{}
	all := make(chan struct{})
	for range 2 {
		err := b.Subscribe(ctx, b.queue("q"), func(_ context.Context, m broker.Message) error {
			mu.Lock()
			defer mu.Unlock()
			calls[m.ID]++
			if calls[m.ID] == 1 && strings.HasSuffix(m.ID, "7") {
				return errors.New("not now")
			}
			if !handled[m.ID] {
				handled[m.ID] = true
				if len(handled) == messages {
					close(all)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	errs := make([]error, publishers)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := p; i < messages; i += publishers {
				errs[p] = errors.Join(errs[p], b.send(ctx, b.message(fmt.Sprint("m", i), "q")))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		return fmt.Errorf("%d of %d messages were handled: %w", len(handled), messages, ctx.Err())
	}
}

func shared(ctx context.Context, b *bench) error {
	a, err := b.collect(ctx, b.queue("q"))
	c, err2 := b.collect(ctx, b.queue("q"))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	const messages = 50
	for i := range messages {
		if err := b.Publish(ctx, b.message(fmt.Sprint("m", i), "q")); err != nil {
			return err
		}
	}
	count := map[string]int{}
	for range messages {
		var m broker.Message
		select {
		case m = <-a:
		case m = <-c:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages came: %w", len(count), messages, ctx.Err())
		}
		count[m.ID]++
	}
	if len(count) != messages {
		return fmt.Errorf("%d of %d messages came, some more than once", len(count), messages)
	}
	return nil
}

// topics: the words of a routing key lie between dots; * is any one, # any number of them.
func topics(ctx context.Context, b *bench) error {
	keys := []string{"", ".order", ".order.paid", ".order.paid.late", ".kitchen.paid", ".kitchen"}
	for i, test := range []struct {
		topic string
		takes string // which of the keys
	}{
		{".order.paid", "2"}, {".order.*", "2"}, {".*.paid", "24"}, {".order.#", "123"}, {".#", "012345"},
		{".#.paid", "24"}, {".#.late", "3"}, {".*", "15"}, {".*.*", "24"}, {".order.*.late", "3"}, {".order.#.late", "3"},
		{".#.#", "012345"}, {".*.#", "12345"}, {".#.*", "12345"}, {".order", "1"}, {".ord*", ""},
	} {
		key := func(s string) string { return fmt.Sprint(b.prefix, i, s) } // of this row alone
		q := b.queue(fmt.Sprint("q", i))
		q.Topics = []string{key(test.topic), key(".end")} // some take .end twice, and it comes once all the same
		got, err := b.collect(ctx, q)
		if err != nil {
			return err
		}
		for _, k := range append(keys, ".end") {
			m := b.message(k, "")
			m.Exchange, m.Key = broker.Events, key(k)
			if err := b.Publish(ctx, m); err != nil {
				return err
			}
		}
		want := []string{".end"}
		for _, n := range test.takes {
			want = append(want, keys[n-'0'])
		}
		var came []string
		for range want {
			m, err := receive(ctx, got)
			if err != nil {
				return fmt.Errorf("topic %s: %q came of %q: %w", test.topic, came, want, err)
			}
			if m.Exchange != broker.Events || m.Key != key(m.ID) {
				return fmt.Errorf("topic %s: message %s", test.topic, show(m))
			}
			came = append(came, m.ID)
		}
		slices.Sort(came)
		slices.Sort(want)
		if !slices.Equal(came, want) || len(got) > 0 {
			return fmt.Errorf("topic %s: %q came, and %d more; want %q", test.topic, came, len(got), want)
		}
	}
	return nil
}

func fanOut(ctx context.Context, b *bench) error {
	var queues [3]<-chan broker.Message
	for i := range queues {
		q := b.queue(fmt.Sprint("q", i))
		q.Topics = []string{b.prefix + ".order.*", b.prefix + ".#"} // both match: once all the same
		var err error
		if queues[i], err = b.collect(ctx, q); err != nil {
			return err
		}
	}
	for _, id := range []string{"m1", "m2"} {
		m := b.message(id, "")
		m.Exchange, m.Key = broker.Events, b.prefix+".order.paid"
		if err := b.Publish(ctx, m); err != nil {
			return err
		}
		for _, got := range queues {
			if err := receives(ctx, got, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func unsubscribed(ctx context.Context, b *bench) error {
	first, leave := context.WithCancel(ctx)
	defer leave()
	got, err := b.collect(first, b.queue("q"))
	if err != nil {
		return err
	}
	m1, m2 := b.message("m1", "q"), b.message("m2", "q")
	if err := errors.Join(b.Publish(ctx, m1), receives(ctx, got, m1)); err != nil {
		return err
	}
	leave()
	err = b.Publish(ctx, m2)
	if b.Persistent {
		if err != nil {
			return fmt.Errorf("publish while nobody is subscribed: %w", err)
		}
	} else if err := wants("publish while nobody is subscribed", err, broker.ErrUnroutable); err != nil {
		return err
	}
	again, err := b.collect(ctx, b.queue("q"))
	if err != nil {
		return err
	}
	if !b.Persistent {
		err = b.Publish(ctx, m2)
	}
	if err := errors.Join(err, receives(ctx, again, m2)); err != nil {
		return err
	}
	if len(got) > 0 {
		return fmt.Errorf("a message came after the end of the subscription: %s", show(<-got))
	}
	return nil
}

func ordered(ctx context.Context, b *bench) error {
	got, err := b.collect(ctx, b.queue("q"))
	if err != nil {
		return err
	}
	const messages = 200
	for i := range messages {
		if err := b.Publish(ctx, b.message(fmt.Sprint("m", i), "q")); err != nil {
			return err
		}
	}
	for i := range messages {
		m, err := receive(ctx, got)
		if err != nil {
			return err
		}
		if b.Ordered && m.ID != fmt.Sprint("m", i) {
			return fmt.Errorf("message %s came as number %d", m.ID, i)
		}
	}
	return nil
}

func cancelled(ctx context.Context, b *bench) error {
	got, err := b.collect(ctx, b.queue("q"))
	if err != nil {
		return err
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err = b.collect(gone, b.queue("other"))
	return errors.Join(
		wants("publish", b.Publish(gone, b.message("m1", "q")), context.Canceled),
		wants("subscribe", err, context.Canceled),
		b.Publish(ctx, b.message("m2", "q")),
		receives(ctx, got, b.message("m2", "q")))
}
