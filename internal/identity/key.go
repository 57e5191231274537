package identity

import (
	"fmt"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
)

// Key is an API key, and who made and revoked it. A revoked one stays, so that it is never made again.
type Key struct {
	auth.Key
	Created   time.Time `json:"created"`
	By        string    `json:"by"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

// KeyMachine is the key's pure core.
type KeyMachine struct{ durable.JSON[Key] }

// Events of a key.
const (
	EventCreate    = "create" // body CreateKey: begins it
	EventRevokeKey = "revoke" // body RevokeKey
)

// CreateKey begins a key.
type CreateKey struct {
	auth.Key
	By string `json:"by"`
}

// RevokeKey ends a key.
type RevokeKey struct {
	By string `json:"by"`
}

// Step applies an event to a key.
func (KeyMachine) Step(s Key, e durable.Event) (Key, []durable.Effect, error) {
	before := s
	var err error
	switch {
	case e.Type == EventCreate:
		err = into(e, func(c CreateKey) error { return s.create(c, e.At) })
	case s.ID == "":
		err = durable.Refuse(durable.NotFound, "no such key")
	case e.Type == EventRevokeKey:
		err = into(e, func(r RevokeKey) error {
			if s.Revoked {
				return durable.ErrIgnored
			}
			s.Revoked, s.RevokedAt, s.RevokedBy = true, e.At, r.By
			return nil
		})
	default:
		err = fmt.Errorf("a key does not know the event %s", e.Type)
	}
	if err != nil {
		return before, nil, err
	}
	return s, nil, nil
}

func (k *Key) create(c CreateKey, at time.Time) error {
	switch {
	case k.ID != "" && k.Digest == c.Digest:
		return durable.ErrIgnored // the same key, made before; revoked it stays revoked
	case k.ID != "":
		return durable.Refuse(durable.Conflict, "a key with this id exists already")
	case c.ID == "" || c.Digest == "":
		return fmt.Errorf("a key without an id or a digest")
	case len(c.Scopes) == 0:
		return &durable.Refusal{Code: durable.Invalid, Field: "body.scopes", Detail: "a key needs a scope"}
	}
	for i, scope := range c.Scopes {
		if err := scope.Check(); err != nil {
			return &durable.Refusal{Code: durable.Invalid, Field: fmt.Sprintf("body.scopes[%d]", i), Detail: err.Error()}
		}
	}
	if !c.Expires.IsZero() && !at.Before(c.Expires) {
		return &durable.Refusal{Code: durable.Invalid, Field: "body.expires", Detail: "is over already"}
	}
	c.Revoked = false
	*k = Key{Key: c.Key, Created: at, By: c.By}
	return nil
}
