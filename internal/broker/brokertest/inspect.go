package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
)

// eventually asks again until the answer is nil: of what an inspector shows there is no signal.
func eventually(ctx context.Context, ask func() error) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("still: %w", err)
		}
	}
}

// letters reads the dead letters of this test's queues, so many at a time.
func (b *bench) letters(ctx context.Context, page int) ([]broker.Letter, error) {
	var mine []broker.Letter
	for before := ""; ; {
		some, err := b.Letters(ctx, before, page)
		if err != nil {
			return nil, err
		}
		for _, l := range some {
			if before != "" && l.ID >= before {
				return nil, fmt.Errorf("letter %s after %s", l.ID, before)
			}
			before = l.ID
			if l.Queue == b.prefix+"q" {
				mine = append(mine, l)
			}
		}
		if len(some) > page {
			return nil, fmt.Errorf("%d letters, %d at most were asked for", len(some), page)
		}
		if len(some) < page {
			return mine, nil
		}
	}
}

// letter waits until there is one dead letter of this test, such as is wanted.
func (b *bench) letter(ctx context.Context, wanted func(broker.Letter) bool) (one broker.Letter, err error) {
	err = eventually(ctx, func() error {
		found, err := b.letters(ctx, 100)
		if err != nil {
			return err
		}
		if len(found) != 1 || !wanted(found[0]) {
			return fmt.Errorf("dead letters: %+v", found)
		}
		one = found[0]
		return nil
	})
	return one, err
}

func queues(ctx context.Context, b *bench) error {
	for _, name := range []string{"a", "b", "b"} {
		if _, err := b.collect(ctx, b.queue(name)); err != nil {
			return err
		}
	}
	want := []broker.QueueState{{Name: b.prefix + "b", Consumers: 2}, {Name: b.prefix + "a", Consumers: 1}}
	if b.Persistent {
		life, leave := context.WithCancel(ctx)
		defer leave()
		if _, err := b.collect(life, b.queue("c")); err != nil {
			return err
		}
		leave()
		want = append(want, broker.QueueState{Name: b.prefix + "c", Ready: 2})
		unused := func() error { // until then messages are still taken
			states, err := b.Queues(ctx, b.prefix+"c")
			if err == nil && (len(states) != 1 || states[0].Consumers > 0) {
				err = fmt.Errorf("a queue that was left: %+v", states)
			}
			return err
		}
		err := errors.Join(eventually(ctx, unused), b.Publish(ctx, b.message("m1", "c")), b.Publish(ctx, b.message("m2", "c")))
		if err != nil {
			return err
		}
	}
	return eventually(ctx, func() error {
		got, err := b.Queues(ctx, b.prefix+"b", b.prefix+"none", b.prefix+"a", b.prefix+"c")
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("queues %+v, want %+v", got, want)
		}
		return err
	})
}

func letters(ctx context.Context, b *bench) error {
	err := b.Subscribe(ctx, b.queue("q"), func(_ context.Context, m broker.Message) error {
		return &broker.Reject{Reason: "about " + m.ID}
	})
	if err != nil {
		return err
	}
	const all = 5
	sent := map[string]broker.Message{}
	for i := range all {
		m := b.message(fmt.Sprint("m", i), "q")
		sent["about "+m.ID] = m
		if err := b.Publish(ctx, m); err != nil {
			return err
		}
	}
	var first []broker.Letter
	err = eventually(ctx, func() (err error) {
		if first, err = b.letters(ctx, 100); err == nil && len(first) != all {
			err = fmt.Errorf("%d letters of %d", len(first), all)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, l := range first {
		m, ok := sent[l.Reason]
		if !ok || l.At.IsZero() {
			return fmt.Errorf("a letter that was not expected: %+v", l)
		}
		delete(sent, l.Reason)
		if err := differ(l.Message, m); err != nil {
			return err
		}
	}
	for _, page := range []int{1, 2, all, 100} {
		again, err := b.letters(ctx, page)
		if err != nil {
			return err
		}
		if !slices.EqualFunc(again, first, func(a, b broker.Letter) bool { return a.ID == b.ID && a.Reason == b.Reason }) {
			return fmt.Errorf("read by %d: %+v, before: %+v", page, again, first)
		}
	}
	return nil
}

func requeued(ctx context.Context, b *bench) error {
	var reason atomic.Value // why messages are rejected; empty: they are not
	reason.Store("bad")
	got := make(chan broker.Message, 10)
	q := b.queue("q")
	q.Topics = []string{b.prefix + ".order"}
	err := b.Subscribe(ctx, q, func(_ context.Context, m broker.Message) error {
		if why := reason.Load().(string); why != "" {
			return &broker.Reject{Reason: why}
		}
		got <- m
		return nil
	})
	if err != nil {
		return err
	}
	direct, event := b.message("m1", "q"), b.message("m2", "q")
	event.Exchange, event.Key = broker.Events, b.prefix+".order"
	for _, m := range []broker.Message{direct, event} {
		reason.Store("bad")
		if err := b.Publish(ctx, m); err != nil {
			return err
		}
		l, err := b.letter(ctx, func(l broker.Letter) bool { return l.Reason == "bad" })
		if err != nil {
			return err
		}
		reason.Store("still bad")
		if err := b.Requeue(ctx, l.ID); err != nil {
			return err
		}
		if l, err = b.letter(ctx, func(l broker.Letter) bool { return l.Reason == "still bad" }); err != nil {
			return fmt.Errorf("rejected again: %w", err)
		}
		reason.Store("")
		if err := errors.Join(b.Requeue(ctx, l.ID), receives(ctx, got, m)); err != nil {
			return err
		}
		if left, err := b.letters(ctx, 100); err != nil || len(left) > 0 {
			return fmt.Errorf("requeued, and still there: %+v, %v", left, err)
		}
		if err := wants("requeue once more", b.Requeue(ctx, l.ID), broker.ErrNoLetter); err != nil {
			return err
		}
	}
	if len(got) > 0 {
		return fmt.Errorf("it came once more: %s", show(<-got))
	}
	return wants("requeue nothing", b.Requeue(ctx, "0190b6f1-0000-7000-8000-000000000000"), broker.ErrNoLetter)
}

func tail(ctx context.Context, b *bench) error {
	q := b.queue("q")
	q.Topics = []string{b.prefix + ".#"}
	got, err := b.collect(ctx, q)
	if err != nil {
		return err
	}
	life, leave := context.WithCancel(ctx)
	defer leave()
	var tails [2]chan broker.Message
	for i := range tails {
		tails[i] = make(chan broker.Message, 10)
		err := b.Tail(life, []string{b.prefix + ".order.*", b.prefix + ".end"}, func(_ context.Context, m broker.Message) error {
			tails[i] <- m
			if i == 0 {
				panic("whoever only listens bothers nobody")
			}
			return &broker.Reject{Reason: "nor this"}
		})
		if err != nil {
			return err
		}
	}
	send := func(key string) broker.Message {
		m := b.message(key, "")
		m.Exchange, m.Key = broker.Events, b.prefix+key
		err = errors.Join(err, b.Publish(ctx, m), receives(ctx, got, m))
		return m
	}
	for _, key := range []string{".order.paid", ".kitchen.paid", ".order.late", ".end"} {
		m := send(key)
		for _, t := range tails {
			if key != ".kitchen.paid" {
				err = errors.Join(err, receives(ctx, t, m))
			}
		}
		if err != nil {
			return err
		}
	}
	leave()
	if send(".order.paid"); err != nil {
		return err
	}
	if left, err := b.letters(ctx, 100); err != nil || len(left) > 0 || len(got)+len(tails[0])+len(tails[1]) > 0 {
		return fmt.Errorf("%d letters, and %d messages too many: %v", len(left), len(got)+len(tails[0])+len(tails[1]), err)
	}
	return nil
}
