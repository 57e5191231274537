package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/identity"
)

// APIKey is a key as operators see it: without its digest.
type APIKey struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Scopes    []auth.Scope `json:"scopes"`
	Created   time.Time    `json:"created"`
	By        string       `json:"by" doc:"Who made it"`
	Expires   *time.Time   `json:"expires,omitempty"`
	RevokedAt *time.Time   `json:"revoked_at,omitempty"`
	RevokedBy string       `json:"revoked_by,omitempty"`
}

// NewAPIKey is a key and its text.
type NewAPIKey struct {
	APIKey
	Text string `json:"key" doc:"For the header X-API-Key. It is shown this once"`
}

func viewKey(k identity.Key) APIKey {
	v := APIKey{ID: k.ID, Name: k.Name, Scopes: k.Scopes, Created: k.Created, By: k.By, RevokedBy: k.RevokedBy}
	if !k.Expires.IsZero() {
		v.Expires = &k.Expires
	}
	if k.Revoked {
		v.RevokedAt = &k.RevokedAt
	}
	return v
}

type (
	createKeyInput struct {
		Body struct {
			Name    string       `json:"name" minLength:"1" maxLength:"100"`
			Scopes  []auth.Scope `json:"scopes" minItems:"1" maxItems:"10" doc:"operator, operator:read, gateway, service:NAME, partner:card, partner:transport or partner:restaurant"`
			Expires time.Time    `json:"expires,omitzero" doc:"Never where it is missing"`
		}
	}
	createKeyOutput struct {
		CacheControl string `header:"Cache-Control"`
		Body         NewAPIKey
	}
	keyInput struct {
		ID string `path:"id" pattern:"^[0-9a-f]{16}$"`
	}
	keysInput  struct{ httpapi.Page }
	keysOutput struct {
		httpapi.Linked
		Body []APIKey
	}
	snapshotInput struct {
		IfNoneMatch string `header:"If-None-Match" maxLength:"200"`
	}
	snapshotOutput struct {
		ETag string `header:"ETag"`
		Body KeySnapshot
	}
)

// KeySnapshot is the body of GET /v1/keys/snapshot.
type KeySnapshot struct {
	Keys []auth.Key `json:"keys"`
}

func (s *Service) allKeys(a *httpapi.API) {
	tags := []string{"keys"}
	httpapi.Register(a, operators, httpapi.Operation{
		Method: http.MethodPost, Path: "/v1/keys", OperationID: "create-key", Tags: tags, DefaultStatus: 201,
		Summary: "Make an API key", Description: "Its text is in the answer, and nowhere else.", Errors: []int{422},
	}, s.createKey)
	httpapi.Register(a, operators, httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/keys", OperationID: "list-keys", Tags: tags, Summary: "List keys, highest id first",
	}, s.listKeys)
	httpapi.Register(a, operators, httpapi.Operation{
		Method: http.MethodDelete, Path: "/v1/keys/{id}", OperationID: "revoke-key", Tags: tags, DefaultStatus: 204,
		Summary: "Revoke a key", Description: "Everywhere within a second or so. A revoked key stays in the list.", Errors: []int{404},
	}, s.revokeKey)
	httpapi.Register(a, auth.For(auth.Service), httpapi.Operation{
		Method: http.MethodGet, Path: "/v1/keys/snapshot", OperationID: "snapshot-keys", Tags: tags,
		Summary: "All keys, with their digests, for who checks them", Errors: []int{503},
		Responses: map[string]*huma.Response{"304": {Description: http.StatusText(http.StatusNotModified)}}, // not an error: it has no body
	}, s.snapshot)
}

func (s *Service) createKey(ctx context.Context, in *createKeyInput) (*createKeyOutput, error) {
	k, text, err := auth.NewKey(s.opt.Random, in.Body.Name, in.Body.Scopes, in.Body.Expires)
	if err != nil {
		return nil, err
	}
	by := auth.From(ctx).Subject
	made, err := s.keep(ctx, k, by)
	if err != nil {
		return nil, err
	}
	s.log.Info("key made", "key", k.ID, "by", by, "scopes", k.Scopes)
	return &createKeyOutput{"no-store", NewAPIKey{viewKey(made), text}}, nil
}

func (s *Service) keep(ctx context.Context, k auth.Key, by string) (identity.Key, error) {
	_, made, err := s.keys.Create(ctx, k.ID, "", durable.Event{
		Type: identity.EventCreate, Hash: k.ID, Value: identity.CreateKey{Key: k, By: by},
	})
	return made.State, err
}

// EnsureKeys makes the keys that are not there: those of the services themselves. One that is there stays as it is, and
// a revoked one stays revoked.
func (s *Service) EnsureKeys(ctx context.Context, keys []auth.Key) error {
	for _, k := range keys {
		if _, err := s.keep(ctx, k, "setup"); err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
	}
	return nil
}

func (s *Service) listKeys(ctx context.Context, in *keysInput) (*keysOutput, error) {
	states, records, err := s.keys.List(ctx, "", in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &keysOutput{Body: make([]APIKey, len(states))}
	for i, k := range states {
		out.Body[i] = viewKey(k.State)
	}
	if len(records) == in.Limit {
		out.Linked = in.Next(records[len(records)-1].ID)
	}
	return out, nil
}

func (s *Service) revokeKey(ctx context.Context, in *keyInput) (*struct{}, error) {
	by := auth.From(ctx).Subject
	_, err := s.keys.Apply(ctx, in.ID, durable.Event{Type: identity.EventRevokeKey, Hash: in.ID, Value: identity.RevokeKey{By: by}})
	if err != nil {
		return nil, err
	}
	s.log.Info("key revoked", "key", in.ID, "by", by)
	return nil, nil
}

func (s *Service) snapshot(ctx context.Context, in *snapshotInput) (*snapshotOutput, error) {
	keys, etag, err := s.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if strings.TrimPrefix(in.IfNoneMatch, "W/") == etag {
		return nil, notModified{etag}
	}
	return &snapshotOutput{etag, KeySnapshot{keys}}, nil
}

// notModified is the answer to who has seen these keys. As an error of a handler it is answered as it is: 304, the ETag
// and no body.
type notModified struct{ etag string }

func (n notModified) Error() string { return "the keys are those of " + n.etag }

// GetStatus is for huma.
func (notModified) GetStatus() int { return http.StatusNotModified }

// GetHeaders is for huma.
func (n notModified) GetHeaders() http.Header { return http.Header{"ETag": {n.etag}} }
