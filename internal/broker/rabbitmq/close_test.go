package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
)

// wait asks until the answer is yes: of what the server shows there is no signal.
func wait(t testing.TB, ask func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !ask() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("it does not come about")
		}
	}
}

// state is how a queue stands; zero where there is none.
func (h host) state(t testing.TB, b *rabbitmq.Broker, name string) broker.QueueState {
	t.Helper()
	states, err := b.Queues(t.Context(), name)
	must(t, err)
	if len(states) == 0 {
		return broker.QueueState{}
	}
	return states[0]
}

func (h host) publish(t testing.TB, b *rabbitmq.Broker, n int) {
	t.Helper()
	for i := range n {
		must(t, b.Publish(t.Context(), broker.Message{ID: fmt.Sprint("m", i), Key: "q"}))
	}
}

func TestPrefetch(t *testing.T) {
	h := open(t)
	b := h.open(t, rabbitmq.Options{Prefetch: 3})
	var at, most atomic.Int32
	entered, pass := make(chan struct{}, 10), make(chan struct{})
	must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q"}, func(context.Context, broker.Message) error {
		n := at.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		entered <- struct{}{}
		<-pass
		at.Add(-1)
		return nil
	}))
	h.publish(t, b, 10)
	for range 3 {
		<-entered
	}
	wait(t, func() bool { return h.state(t, b, "q").Ready == 7 })
	close(pass)
	for range 7 {
		<-entered
	}
	if most.Load() != 3 {
		t.Errorf("%d handlers at once, want 3", most.Load())
	}
}

// TestUnsubscribe: messages that no handler has seen go back at once, and handlers under way acknowledge.
func TestUnsubscribe(t *testing.T) {
	h := open(t)
	b := h.open(t, rabbitmq.Options{Prefetch: 1})
	life, leave := context.WithCancel(t.Context())
	defer leave()
	entered, pass := make(chan context.Context), make(chan struct{})
	must(t, b.Subscribe(life, broker.Queue{Name: "q"}, func(ctx context.Context, _ broker.Message) error {
		entered <- ctx
		<-pass
		return ctx.Err()
	}))
	h.publish(t, b, 3)
	<-entered
	leave()
	got := collect(t, b, broker.Queue{Name: "q"})
	for _, want := range []string{"m1", "m2"} {
		if m := <-got; m.ID != want {
			t.Errorf("came %s, want %s", m.ID, want)
		}
	}
	close(pass)
	wait(t, func() bool { return h.state(t, b, "q") == broker.QueueState{Name: "q", Consumers: 1} })
	if len(got) > 0 {
		t.Errorf("came again: %+v", <-got)
	}
}

// TestCloseWaits: a handler under way is finished, whatever it comes to, and its message is settled.
func TestCloseWaits(t *testing.T) {
	for name, verdict := range map[string]error{"handled": nil, "rejected": &broker.Reject{Reason: "bad"}, "failed": errors.New("not now")} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			b, other := h.open(t, rabbitmq.Options{}), h.open(t, rabbitmq.Options{})
			entered, pass := make(chan struct{}), make(chan struct{})
			must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q"}, func(ctx context.Context, _ broker.Message) error {
				close(entered)
				<-pass
				return errors.Join(ctx.Err(), verdict)
			}))
			h.publish(t, b, 1)
			<-entered
			var closing sync.WaitGroup
			closing.Go(func() { must(t, b.Close(t.Context())) })
			wait(t, func() bool { // until it has begun
				_, err := b.Queues(t.Context(), "q")
				return err != nil
			})
			close(pass)
			closing.Wait()
			if err := b.Publish(t.Context(), broker.Message{Key: "q"}); err == nil {
				t.Error("published after Close")
			}
			if err := b.Subscribe(t.Context(), broker.Queue{Name: "q"}, nil); err == nil {
				t.Error("subscribed after Close")
			}
			must(t, b.Close(t.Context()))
			switch verdict.(type) { //nolint:errorlint // the table's own values
			case nil:
				if n := h.state(t, other, "q").Ready; n > 0 {
					t.Errorf("%d messages are left", n)
				}
			case *broker.Reject:
				if letters, err := other.Letters(t.Context(), "", 10); err != nil || len(letters) != 1 {
					t.Errorf("letters: %+v, %v", letters, err)
				}
			default:
				wait(t, func() bool { return h.state(t, other, "q").Ready == 1 })
			}
		})
	}
}

// TestCloseGivesUp: when Close waits no longer the handler's context ends, and the message comes again.
func TestCloseGivesUp(t *testing.T) {
	h := open(t)
	b, other := h.open(t, rabbitmq.Options{}), h.open(t, rabbitmq.Options{})
	entered := make(chan struct{})
	must(t, b.Subscribe(t.Context(), broker.Queue{Name: "q"}, func(ctx context.Context, _ broker.Message) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}))
	h.publish(t, b, 1)
	<-entered
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Close(now); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
	if m := <-collect(t, other, broker.Queue{Name: "q"}); m.ID != "m0" {
		t.Errorf("came %+v", m)
	}
}
