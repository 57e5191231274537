package app

import (
	"context"
	"fmt"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/clock"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// executor carries effects out: commands over HTTP, messages through the broker.
type executor struct {
	client    *httpapi.Client
	publisher broker.Publisher
	clock     *clock.Clock
}

// Execute makes one attempt. It never decides anything: what an answer means is httpapi's to say.
func (x executor) Execute(ctx context.Context, o durable.Owed, key string) durable.Outcome {
	switch o.Kind {
	case durable.KindCommand:
		return httpapi.Outcome(x.client.Do(ctx, httpapi.Call{To: o.To, Op: o.Op, Body: o.Body, IdempotencyKey: key}))
	case durable.KindMessage:
		err := x.publisher.Publish(ctx, broker.Message{
			ID: key, Type: o.Name, Exchange: o.To, Key: o.Op, Time: x.clock.Now(), Body: o.Body,
		})
		if err != nil {
			return durable.Outcome{Verdict: durable.Retry, Detail: err.Error()}
		}
		return durable.Outcome{Verdict: durable.Accepted}
	default:
		return durable.Outcome{Verdict: durable.Rejected, Detail: fmt.Sprintf("nobody carries out a %s", o.Kind)}
	}
}
