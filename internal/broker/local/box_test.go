package local_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/local"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/memory"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func box() *local.Box {
	n, now := 0, noon
	return local.NewBox(memory.New(durable.Features{}),
		func() string { n++; return fmt.Sprintf("letter-%04d", n) },
		func() time.Time { now = now.Add(time.Second); return now })
}

func dead(id string) broker.DeadLetter {
	return broker.DeadLetter{Queue: "OrderService", Reason: "no order_id", Message: broker.Message{
		ID: id, Type: "t", Key: "OrderService", Time: noon, Header: map[string]string{"a": "b"}, Body: []byte(`{"b": "<&>",` + "\n" + ` "a":1.0}`),
	}}
}

func waiting(t *testing.T, b *local.Box) []local.Letter {
	t.Helper()
	letters, err := b.List(t.Context(), "", 1000)
	must(t, err)
	return letters
}

func TestBoxKeepsEverything(t *testing.T) {
	for name, body := range map[string]string{"JSON": `{"b": "<&>\u003c", "a":1.0}`, "poison": "\x00\xff{", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			b, want := box(), dead("m1")
			want.Message.Body = []byte(body)
			must(t, b.Put(t.Context(), want))
			want.At = noon.Add(time.Second)
			letters := waiting(t, b)
			if len(letters) != 1 || !reflect.DeepEqual(letters[0], local.Letter{Letter: broker.Letter{ID: "letter-0001", DeadLetter: want}}) {
				t.Errorf("kept %+v, want %+v", letters, want)
			}
			if one, err := b.Load(t.Context(), "letter-0001"); err != nil || !reflect.DeepEqual(one, letters[0]) {
				t.Errorf("load: %+v, %v", one, err)
			}
		})
	}
}

func TestBoxOnceForEachQueue(t *testing.T) {
	b, other := box(), dead("m1")
	other.Queue = "KitchenService"
	for _, d := range []broker.DeadLetter{dead("m1"), dead("m1"), other, dead("m2"), dead(""), dead("")} {
		must(t, b.Put(t.Context(), d))
	}
	if letters := waiting(t, b); len(letters) != 5 { // without an id, nobody knows whether it is the same
		t.Errorf("%d letters: %+v", len(letters), letters)
	}
}

func TestBoxRequeued(t *testing.T) {
	b, ctx := box(), t.Context()
	must(t, b.Put(ctx, dead("m1")))
	id := waiting(t, b)[0].ID
	must(t, b.Requeued(ctx, id))
	must(t, b.Requeued(ctx, id))
	if letters := waiting(t, b); len(letters) != 0 {
		t.Errorf("still waiting: %+v", letters)
	}
	if l, err := b.Load(ctx, id); err != nil || l.Requeued.IsZero() {
		t.Errorf("load: %+v, %v", l, err)
	}
	again := dead("m1")
	again.Reason = "still bad"
	must(t, b.Put(ctx, again))
	if letters := waiting(t, b); len(letters) != 1 || letters[0].Reason != "still bad" || letters[0].ID != id {
		t.Errorf("rejected again: %+v", letters)
	}
	if err := b.Requeued(ctx, "none"); !errors.Is(err, durable.ErrNotFound) {
		t.Errorf("requeued nothing: %v", err)
	}
}

func TestBoxPages(t *testing.T) {
	b, ctx := box(), t.Context()
	for i := range 250 {
		must(t, b.Put(ctx, dead(fmt.Sprint("m", i))))
	}
	for i := 101; i <= 240; i++ { // more than a page of the store with nothing that waits
		must(t, b.Requeued(ctx, fmt.Sprintf("letter-%04d", i)))
	}
	var ids []string
	for before := ""; ; {
		page, err := b.List(ctx, before, 7)
		must(t, err)
		for _, l := range page {
			ids = append(ids, l.ID)
			before = l.ID
		}
		if len(page) < 7 {
			break
		}
	}
	if len(ids) != 110 || ids[0] != "letter-0250" || ids[10] != "letter-0100" || ids[109] != "letter-0001" {
		t.Errorf("%d letters: %q", len(ids), ids)
	}
}
