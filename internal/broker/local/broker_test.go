package local_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/brokertest"
	"github.com/tiffin-food/tiffin/internal/broker/local"
	"github.com/tiffin-food/tiffin/internal/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBroker(t *testing.T) {
	brokertest.Exercise(t, brokertest.Features{Ordered: true}, func(testing.TB) brokertest.Broker { return local.New(box()) })
}

// failing is a store that cannot keep anything.
type failing struct{ durable.Store }

func (failing) Create(context.Context, durable.Record) error { return errors.New("disk full") }

func TestNotAcknowledgedWithoutDeadLetter(t *testing.T) {
	b := local.New(local.NewBox(failing{}, func() string { return "letter" }, time.Now))
	must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q"}, func(context.Context, broker.Message) error {
		return &broker.Reject{Reason: "bad"}
	}))
	if err := b.Publish(t.Context(), broker.Message{ID: "m1", Key: "q"}); err == nil {
		t.Error("a rejected message was acknowledged without a dead letter")
	}
}

// TestRequeueKeepsTheLetter: until a consumer has acknowledged the message there is a letter.
func TestRequeueKeepsTheLetter(t *testing.T) {
	b, ctx := local.New(box()), t.Context()
	life, leave := context.WithCancel(ctx)
	verdict := error(&broker.Reject{Reason: "bad"})
	must(t, b.Subscribe(life, broker.Queue{Name: "q"}, func(context.Context, broker.Message) error { return verdict }))
	must(t, b.Publish(ctx, broker.Message{Key: "q"})) // without an id
	one := func(reason string) string {
		t.Helper()
		letters, err := b.Letters(ctx, "", 10)
		must(t, err)
		if len(letters) != 1 || letters[0].Reason != reason {
			t.Fatalf("letters: %+v, want one: %s", letters, reason)
		}
		return letters[0].ID
	}
	first := one("bad")
	verdict = &broker.Reject{Reason: "still bad"}
	must(t, b.Requeue(ctx, first))
	if again := one("still bad"); again != first {
		t.Errorf("letter %s is now %s", first, again)
	}
	verdict = errors.New("not now")
	if err := b.Requeue(ctx, first); err == nil || errors.Is(err, broker.ErrNoLetter) {
		t.Errorf("requeued to a handler that fails: %v", err)
	}
	one("still bad")
	leave()
	if err := b.Requeue(ctx, first); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("requeued to nobody: %v", err)
	}
	one("still bad")
}

// TestOneOfManyQueues: a queue that fails does not keep the message from the others, nor from coming back.
func TestOneOfManyQueues(t *testing.T) {
	b := local.New(box())
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
	br := local.New(box())
	_ = br.Subscribe(b.Context(), broker.Queue{Name: "q"}, func(context.Context, broker.Message) error { return nil })
	m := broker.Message{ID: "m1", Key: "q", Header: map[string]string{"traceparent": "00-x"}}
	for b.Loop() {
		if err := br.Publish(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
