package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/redact"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Letter is a dead letter as the API shows it.
type Letter struct {
	ID        string    `json:"id" format:"uuid"`
	Queue     string    `json:"queue"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"`
	MessageID string    `json:"message_id,omitempty"`
	Body      string    `json:"body" doc:"At most 2,000 bytes of it"`
}

// maxShown is how many bytes of a message's body are shown.
const maxShown = 2000

// Shown is as much of a message's body as is shown: nothing of a card, whatever a broker keeps.
func Shown(body []byte) string {
	clean := redact.Body(body)
	return string(clean[:min(len(clean), maxShown)])
}

// QueueNames are the queues an operator looks at: all that the service listens to.
var QueueNames = []string{wire.OrderQueue, MenuQueue.Name}

// Event is a domain event as the API shows it.
type Event struct {
	Key  string          `json:"key" example:"order.paymentPaid"`
	ID   string          `json:"id,omitempty"`
	At   time.Time       `json:"at"`
	Body json.RawMessage `json:"body"`
}

// queues registers the operator's tools: queues, dead letters, domain events.
func (s *Service) queues(a *httpapi.API) {
	type (
		queuesOutput struct{ Body []broker.QueueState }
		sendInput    struct {
			Queue string `path:"queue" maxLength:"100"`
			ID    string `header:"Message-Id" maxLength:"200" doc:"Where it is missing the message is recognised by order and status"`
			Body  json.RawMessage
		}
		listInput  struct{ httpapi.Page }
		listOutput struct {
			httpapi.Linked
			Body []Letter
		}
		idInput struct {
			ID string `path:"id" format:"uuid"`
		}
		tailInput struct {
			Topic []string `query:"topic,explode" doc:"Keys of events, with * for a word and # for any rest; # where it is missing"`
		}
	)
	tags := []string{"queues"}
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/queues", OperationID: "list-queues", Tags: tags, Summary: "How the queues stand",
	}, func(ctx context.Context, _ *struct{}) (*queuesOutput, error) {
		states, err := s.opt.Broker.Queues(ctx, QueueNames...)
		return &queuesOutput{append([]broker.QueueState{}, states...)}, away(err)
	})
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/queues/{queue}/messages", OperationID: "send-message", Tags: tags, DefaultStatus: 202,
		Summary: "Put a message into a queue", Errors: []int{404},
	}, func(ctx context.Context, in *sendInput) (*struct{}, error) {
		if !slices.Contains(QueueNames, in.Queue) {
			return nil, durable.Refuse(durable.NotFound, "no such queue")
		}
		return nil, away(s.opt.Broker.Publish(ctx, broker.Message{ID: in.ID, Key: in.Queue, Time: s.opt.Shell.Clock.Now(), Body: in.Body}))
	})
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/dead-letters", OperationID: "list-dead-letters", Tags: tags,
		Summary: "List messages that could not be applied, the latest first",
	}, func(ctx context.Context, in *listInput) (*listOutput, error) {
		letters, err := s.opt.Broker.Letters(ctx, in.After, in.Limit)
		if err != nil {
			return nil, away(err)
		}
		out := &listOutput{Body: make([]Letter, 0, len(letters))}
		for _, l := range letters {
			out.Body = append(out.Body, Letter{l.ID, l.Queue, redact.Numbers(l.Reason), l.At, redact.Key(l.Message.ID), Shown(l.Message.Body)})
		}
		if len(letters) == in.Limit {
			out.Linked = in.Next(letters[len(letters)-1].ID)
		}
		return out, nil
	})
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/requeue", OperationID: "requeue-dead-letter", Tags: tags, DefaultStatus: 202,
		Summary: "Put a message into its queue again", Errors: []int{404},
	}, func(ctx context.Context, in *idInput) (*struct{}, error) {
		err := s.opt.Broker.Requeue(ctx, in.ID)
		if errors.Is(err, broker.ErrNoLetter) {
			return nil, durable.Refuse(durable.NotFound, "no such dead letter")
		}
		return nil, away(err)
	})
	httpapi.RegisterStream[tailInput, Event](a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/events", OperationID: "tail-events", Tags: tags,
		Summary: "Follow the domain events, from now on",
	}, func(ctx context.Context, in *tailInput) (func(context.Context, *httpapi.Events), error) {
		topics := in.Topic
		if len(topics) == 0 {
			topics = []string{"#"}
		}
		if _, err := s.opt.Broker.Queues(ctx, QueueNames...); err != nil { // Tail would wait until the broker is back
			return nil, away(err)
		}
		events := make(chan broker.Message, tailRoom)
		err := s.opt.Broker.Tail(ctx, topics, func(_ context.Context, m broker.Message) error {
			select {
			case events <- m:
			default: // the listener is slow
			}
			return nil
		})
		return func(ctx context.Context, e *httpapi.Events) { tail(ctx, events, e) }, away(err)
	})
}

// tailRoom is how many events a listener may be behind; then it misses some.
const tailRoom = 1024

func tail(ctx context.Context, events <-chan broker.Message, e *httpapi.Events) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-events:
			body := json.RawMessage(m.Body)
			if !json.Valid(body) {
				body = json.RawMessage("null")
			}
			if e.Send("event", "", Event{Key: m.Key, ID: m.ID, At: m.Time, Body: body}) != nil {
				return
			}
		}
	}
}

// away says that the broker is not to be had now.
func away(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(httpapi.ErrUnavailable, err)
}
