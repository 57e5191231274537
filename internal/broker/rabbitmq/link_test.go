package rabbitmq

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// TestBlocked: who wants to publish while the server takes no messages waits until it does, the connection is lost,
// or they give up, and can be told why.
func TestBlocked(t *testing.T) {
	for name, end := range map[string]func(chan<- amqp.Blocking, chan<- *amqp.Error, context.CancelFunc) bool{
		"unblocked": func(b chan<- amqp.Blocking, _ chan<- *amqp.Error, _ context.CancelFunc) bool {
			b <- amqp.Blocking{Active: true, Reason: "low on memory"} // once more
			b <- amqp.Blocking{}
			return true
		},
		"lost": func(b chan<- amqp.Blocking, closed chan<- *amqp.Error, _ context.CancelFunc) bool {
			close(b)
			closed <- amqp.ErrClosed
			return false
		},
		"given up": func(_ chan<- amqp.Blocking, _ chan<- *amqp.Error, cancel context.CancelFunc) bool {
			cancel()
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &connection{lost: make(chan struct{})}
				blocked, closed := make(chan amqp.Blocking, 8), make(chan *amqp.Error, 1)
				go c.watch(closed, blocked)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if !c.free(ctx) || c.blocking() != nil {
					t.Error("blocked from the beginning")
				}
				blocked <- amqp.Blocking{Active: true, Reason: "low on disk"}
				synctest.Wait()
				if err := c.blocking(); err == nil || !strings.Contains(err.Error(), "low on disk") {
					t.Errorf("blocked: %v", err)
				}
				free := make(chan bool, 1)
				go func() { free <- c.free(ctx) }()
				synctest.Wait()
				if len(free) > 0 {
					t.Error("nobody waited")
				}
				want := end(blocked, closed, cancel)
				if got := <-free; got != want {
					t.Errorf("free: %v", got)
				}
				if name != "lost" {
					close(closed)
				}
				<-c.lost
				if err := c.why(); name == "lost" && !errors.Is(err, amqp.ErrClosed) || err == nil {
					t.Errorf("why: %v", err)
				}
			})
		})
	}
}

// TestBackoff: between half the wait and all of it, doubling up to the most.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for failures, most := range map[int]int64{1: 100, 2: 200, 3: 400, 6: 3200, 7: 5000, 100: 5000} {
			began := time.Now()
			if !pause(t.Context(), failures) {
				t.Fatal("no context has ended")
			}
			if d := time.Since(began).Milliseconds(); d < most/2 || d > most {
				t.Errorf("%d ms after %d failures, want %d to %d", d, failures, most/2, most)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if pause(ctx, 100) {
			t.Error("the context has ended")
		}
	})
}
