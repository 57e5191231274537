package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
	"github.com/tiffin-food/tiffin/internal/engines"
)

// TestKilledServer: the server is killed under traffic and started again. Every message for which Publish returned
// nil is handled, or a dead letter where the handler rejects it; with quorum queues and with classic ones.
func TestKilledServer(t *testing.T) {
	server := engines.Private(t, engines.RabbitMQ)
	h := host{server.URL()}
	before, after := newCount(500), newCount(500) // confirmed
	count := before
	var phase sync.RWMutex
	life, stop := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	defer publishers.Wait()
	defer stop()
	var sides []*traffic
	for _, classic := range []bool{false, true} {
		s := &traffic{queue: fmt.Sprint("classic-", classic), b: h.open(t, rabbitmq.Options{Classic: classic}), confirmed: map[string]bool{}, handled: map[string]int{}}
		sides = append(sides, s)
		for range 2 {
			must(t, s.b.Subscribe(t.Context(), broker.Queue{Name: s.queue}, s.handle))
		}
		for p := range 8 {
			publishers.Go(func() {
				s.publish(life, p, func() {
					phase.RLock()
					defer phase.RUnlock()
					count.add()
				})
			})
		}
	}
	<-before.reached
	must(t, server.Kill(t.Context()))
	phase.Lock()
	count = after
	phase.Unlock()
	must(t, server.Start(t.Context()))
	<-after.reached
	stop()
	publishers.Wait()
	for _, s := range sides {
		wait(t, func() bool {
			dead := map[string]bool{}
			for before := ""; ; {
				letters, err := s.b.Letters(t.Context(), before, 1000)
				if err != nil { // it connects again when it does
					return false
				}
				for _, l := range letters {
					before = l.ID
					dead[l.Message.ID] = l.Queue == s.queue || dead[l.Message.ID]
				}
				if len(letters) < 1000 {
					break
				}
			}
			return s.lost(dead) == 0
		})
		s.mu.Lock()
		t.Logf("%s: %d confirmed, %d publications failed, %d deliveries", s.queue, len(s.confirmed), s.failed.Load(), s.deliveries)
		s.mu.Unlock()
	}
}

// traffic is what goes through one queue.
type traffic struct {
	queue  string
	b      *rabbitmq.Broker
	failed atomic.Int64

	mu         sync.Mutex
	confirmed  map[string]bool
	handled    map[string]int
	deliveries int
}

// publish sends one message after the other, each until it is confirmed, as an outbox does.
func (s *traffic) publish(life context.Context, publisher int, confirmed func()) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%d-%d", s.queue, publisher, i)
		if i%7 == 3 {
			id += "-reject"
		}
		for s.b.Publish(life, broker.Message{ID: id, Key: s.queue, Body: []byte(`{"a":1}`)}) != nil {
			s.failed.Add(1)
			select {
			case <-ticker.C:
			case <-life.Done():
				return
			}
		}
		s.mu.Lock()
		s.confirmed[id] = true
		s.mu.Unlock()
		confirmed()
	}
}

// handle fails on every tenth delivery.
func (s *traffic) handle(_ context.Context, m broker.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deliveries++; s.deliveries%10 == 0 {
		return errors.New("not now")
	}
	if strings.HasSuffix(m.ID, "-reject") {
		return &broker.Reject{Reason: "bad"}
	}
	s.handled[m.ID]++
	return nil
}

// lost is how many confirmed messages are neither handled nor dead.
func (s *traffic) lost(dead map[string]bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.confirmed {
		if s.handled[id] == 0 && !dead[id] {
			n++
		}
	}
	return n
}

// count tells when so many have come.
type count struct {
	left    atomic.Int64
	reached chan struct{}
}

func newCount(n int64) *count {
	c := &count{reached: make(chan struct{})}
	c.left.Store(n)
	return c
}

func (c *count) add() {
	if c.left.Add(-1) == 0 {
		close(c.reached)
	}
}
