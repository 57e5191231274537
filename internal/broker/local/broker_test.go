package local_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/brokertest"
	"github.com/tiffin-food/tiffin/internal/broker/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// letters is a dead-letter box to wait at.
type letters chan broker.DeadLetter

func (l letters) Put(_ context.Context, d broker.DeadLetter) error {
	l <- d
	return nil
}

func (l letters) next(ctx context.Context) (broker.DeadLetter, error) {
	select {
	case d := <-l:
		return d, nil
	case <-ctx.Done():
		return broker.DeadLetter{}, ctx.Err()
	}
}

func TestBroker(t *testing.T) {
	brokertest.Exercise(t, brokertest.Features{Ordered: true}, func(testing.TB) brokertest.Bench {
		dead := make(letters, 10)
		return brokertest.Bench{Broker: local.New(dead), Dead: dead.next}
	})
}

// failing is a box that cannot keep anything.
type failing struct{ error }

func (f failing) Put(context.Context, broker.DeadLetter) error { return f.error }

func TestNotAcknowledgedWithoutDeadLetter(t *testing.T) {
	full := errors.New("disk full")
	b := local.New(failing{full})
	must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q"}, func(context.Context, broker.Message) error {
		return &broker.Reject{Reason: "bad"}
	}))
	if err := b.Publish(t.Context(), broker.Message{ID: "m1", Key: "q"}); err == nil {
		t.Error("a rejected message was acknowledged without a dead letter")
	}
}

// TestOneOfManyQueues: a queue that fails does not keep the message from the others, nor from coming back.
func TestOneOfManyQueues(t *testing.T) {
	b := local.New(make(letters, 1))
	got := map[string]int{}
	for _, name := range []string{"a", "b", "c"} {
		must(t, b.Subscribe(t.Context(), broker.Queue{Name: name, Topics: []string{"#"}}, func(context.Context, broker.Message) error {
			if got[name]++; name == "b" && got[name] == 1 {
				return errors.New("not now")
			}
			return nil
		}))
	}
	m := broker.Message{ID: "m1", Exchange: broker.Events, Key: "x"}
	if err := b.Publish(t.Context(), m); err == nil {
		t.Error("published although a queue had not taken it")
	}
	must(t, b.Publish(t.Context(), m))
	if got["a"] != 2 || got["b"] != 2 || got["c"] != 2 {
		t.Errorf("deliveries: %v", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkPublish(b *testing.B) {
	br := local.New(make(letters, 1))
	_ = br.Subscribe(b.Context(), broker.Queue{Name: "q"}, func(context.Context, broker.Message) error { return nil })
	m := broker.Message{ID: "m1", Key: "q", Header: map[string]string{"traceparent": "00-x"}}
	for b.Loop() {
		if err := br.Publish(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
