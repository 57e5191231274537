package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Letters are the dead letters of this process's queues: messages that could not be applied, with the reason.
type Letters interface {
	// Waiting reads up to limit letters with ids below before (all where it is empty), the latest first.
	Waiting(ctx context.Context, before string, limit int) ([]Letter, error)
	// Requeue puts a letter's message into its queue again; durable.ErrNotFound. Where it is rejected again, the
	// letter waits again.
	Requeue(ctx context.Context, id string) error
}

// Letter is a dead letter as the API shows it.
type Letter struct {
	ID        string    `json:"id" format:"uuid"`
	Queue     string    `json:"queue"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"`
	MessageID string    `json:"message_id,omitempty"`
	Body      string    `json:"body" doc:"At most 2,000 bytes of it"`
}

// letters registers what an operator does with dead letters.
func (s *Service) letters(a *httpapi.API) {
	type (
		listInput  struct{ httpapi.Page }
		listOutput struct {
			httpapi.Linked
			Body []Letter
		}
		idInput struct {
			ID string `path:"id" format:"uuid"`
		}
	)
	tags := []string{"dead letters"}
	httpapi.Register(a, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/dead-letters", OperationID: "list-dead-letters", Tags: tags,
		Summary: "List messages that could not be applied, the latest first",
	}, func(ctx context.Context, in *listInput) (*listOutput, error) {
		waiting, err := s.opt.Letters.Waiting(ctx, in.After, in.Limit)
		if err != nil {
			return nil, err
		}
		out := &listOutput{Body: append([]Letter{}, waiting...)}
		if len(waiting) == in.Limit {
			out.Linked = in.Next(waiting[len(waiting)-1].ID)
		}
		return out, nil
	})
	httpapi.Register(a, httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/dead-letters/{id}/requeue", OperationID: "requeue-dead-letter", Tags: tags, DefaultStatus: 202,
		Summary: "Put a message into its queue again", Errors: []int{404},
	}, func(ctx context.Context, in *idInput) (*struct{}, error) {
		return nil, s.opt.Letters.Requeue(ctx, in.ID)
	})
}
