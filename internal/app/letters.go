package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/local"
	"github.com/tiffin-food/tiffin/internal/durable"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
)

// letters are the dead letters of the local broker.
type letters struct {
	box       *local.Box
	publisher broker.Publisher
}

// maxShown is how many bytes of a dead letter's body are shown.
const maxShown = 2000

// Waiting lists the letters.
func (l letters) Waiting(ctx context.Context, before string, limit int) ([]orderapi.Letter, error) {
	found, err := l.box.List(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	shown := make([]orderapi.Letter, len(found))
	for i, d := range found {
		body := d.Message.Body
		shown[i] = orderapi.Letter{
			ID: d.ID, Queue: d.Queue, Reason: d.Reason, At: d.At, MessageID: d.Message.ID, Body: string(body[:min(len(body), maxShown)]),
		}
	}
	return shown, nil
}

// Requeue publishes the message again and then takes the letter out: done twice, the message is recognised.
func (l letters) Requeue(ctx context.Context, id string) error {
	d, err := l.box.Load(ctx, id)
	if errors.Is(err, durable.ErrNotFound) {
		return durable.Refuse(durable.NotFound, "no such dead letter")
	}
	if err != nil {
		return err
	}
	if err := l.box.Requeued(ctx, id); err != nil { // first: where it is rejected again, the letter is put back
		return err
	}
	m := d.Message
	m.Exchange, m.Key = "", d.Queue
	if err := l.publisher.Publish(ctx, m); err != nil {
		return errors.Join(fmt.Errorf("requeue %s: %w", id, err), l.box.Put(ctx, d.DeadLetter))
	}
	return nil
}
