package quarantine

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/redact"
)

// Options are what a service's quarantine is made of.
type Options struct {
	Shell durable.Options // Owner, Clock, Executor and limits; Name and Store are set here
	Store durable.Store
	NewID func() string // ids in the order of time: the newest is the highest
}

// Service keeps callbacks, and shows them to operators. Safe for concurrent use.
type Service struct {
	newID func() string
	kept  *durable.Runner[State]
}

// New makes a quarantine; Start begins its work.
func New(opt Options) *Service {
	shell := opt.Shell
	shell.Name, shell.Store = "quarantine", opt.Store
	return &Service{newID: opt.NewID, kept: durable.NewRunner(Machine{}, shell)}
}

// Start takes up what earlier runs left.
func (s *Service) Start() { s.kept.Start() }

// Stop ends the work under way; see durable.Runner.
func (s *Service) Stop(ctx context.Context) error { return s.kept.Stop(ctx) }

// Keep keeps the body of a callback, or counts it where it is kept already. When it returns nil that is on disk.
func (s *Service) Keep(ctx context.Context, company, kind, webhookID string, body []byte, reason string) error {
	c := Callback{Company: company, Kind: kind, WebhookID: webhookID, Reason: reason, Body: redact.Canonical(body, MaxBody)}
	_, _, err := s.kept.Create(ctx, s.newID(), c.Key(), durable.Event{Type: EventKeep, Value: c, Hash: "-"})
	return err
}

// Judge is for who brings a company's news to a record, with what came of it. What was doubted is kept, and is no
// error: the company cannot do anything about it. What no record is known of is kept, and stays an error.
func (s *Service) Judge(ctx context.Context, company, kind, webhookID string, body []byte, err error) (doubted bool, _ error) {
	var unknown *durable.Refusal
	why, doubted := durable.Doubted(err)
	switch {
	case doubted:
		return true, s.Keep(ctx, company, kind, webhookID, body, why)
	case errors.Is(err, durable.ErrNotFound), errors.As(err, &unknown) && unknown.Code == durable.NotFound:
		if kept := s.Keep(ctx, company, kind, webhookID, body, "nobody knows what it is about"); kept != nil {
			return false, kept
		}
	}
	return false, err
}

// Kept is a kept callback as the API shows it.
type Kept struct {
	ID        string    `json:"id" format:"uuid"`
	Company   string    `json:"company"`
	Kind      string    `json:"kind" doc:"What it says: its status"`
	WebhookID string    `json:"webhook_id,omitempty" doc:"Of the last one"`
	Reason    string    `json:"reason" doc:"Why it cannot be true"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Count     int64     `json:"count" doc:"How often it came"`
	Body      string    `json:"body" doc:"At most 4 KiB of it, without what looks like a card's data"`
	Dismissed bool      `json:"dismissed" doc:"An operator has seen to it, and it has not come again"`
}

type (
	listInput  struct{ httpapi.Page }
	listOutput struct {
		httpapi.Linked
		Body []Kept
	}
	idInput struct {
		ID string `path:"id" format:"uuid"`
	}
)

// Routes registers the operator's side below a service's path, such as /v1/payments; of says whose callbacks they are,
// in the operations' ids.
func (s *Service) Routes(a *httpapi.API, path, of string) {
	tags := []string{"quarantine"}
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodGet, Path: path + "/quarantine", OperationID: "list-" + of + "-quarantine", Tags: tags,
		Summary: "List callbacks that cannot be true, the newest first",
	}, s.list)
	httpapi.Register(a, auth.For(auth.Operator), httpapi.Operation{
		Method: http.MethodPost, Path: path + "/quarantine/dismiss/{id}", OperationID: "dismiss-" + of + "-quarantine", Tags: tags,
		DefaultStatus: 202, Summary: "Note that a kept callback was seen to", Errors: []int{404},
	}, func(ctx context.Context, in *idInput) (*struct{}, error) {
		_, err := s.kept.Apply(ctx, in.ID, durable.Event{Type: EventDismiss})
		return nil, err
	})
}

func (s *Service) list(ctx context.Context, in *listInput) (*listOutput, error) {
	states, records, err := s.kept.List(ctx, "", in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOutput{Body: make([]Kept, len(states))}
	for i, k := range states {
		out.Body[i] = Kept{
			ID: records[i].ID, Company: k.State.Company, Kind: k.State.Kind, WebhookID: k.State.WebhookID, Reason: k.State.Reason,
			First: k.State.First, Last: k.State.Last, Count: k.State.Count, Body: k.State.Body, Dismissed: k.State.Dismissed,
		}
	}
	if len(records) == in.Limit {
		out.Linked = in.Next(records[len(records)-1].ID)
	}
	return out, nil
}
