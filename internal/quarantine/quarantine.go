// Package quarantine keeps what an outside company validly says and cannot be true, for a person to look at.
//
// What it promises: the same body of the same company is one record, counted; a record is never more than 4 KiB of it,
// and holds no card number and no CVV, whatever the company sends; nothing is done because of it.
package quarantine

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/redact"
)

// MaxBody is how many bytes of a body are kept.
const MaxBody = 4 << 10

// State is one kept callback.
type State struct {
	Company   string    `json:"company"`
	Kind      string    `json:"kind"`                 // what it says it is: its status
	WebhookID string    `json:"webhook_id,omitempty"` // the last one's
	Reason    string    `json:"reason"`               // why it cannot be true; the last one's
	Body      string    `json:"body"`                 // redacted and bounded
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Count     int64     `json:"count"`
	Dismissed bool      `json:"dismissed,omitempty"` // a person has seen to it, and it has not come again since
}

// Events.
const (
	EventKeep    = "keep" // body Callback
	EventDismiss = "dismiss"
)

// Callback is what is kept of a callback.
type Callback struct {
	Company   string `json:"company"`
	Kind      string `json:"kind"`
	WebhookID string `json:"webhook_id"`
	Reason    string `json:"reason"`
	Body      string `json:"body"` // as redact.Canonical makes it
}

// Key is what two callbacks have in common that are kept as one.
func (c Callback) Key() string {
	sum := sha256.Sum256([]byte(c.Company + "\x00" + c.Body))
	return hex.EncodeToString(sum[:])
}

// Machine is the pure core of a record.
type Machine struct{ durable.JSON[State] }

// Step applies an event to a record.
func (Machine) Step(s State, e durable.Event) (State, []durable.Effect, error) {
	switch e.Type {
	case EventKeep:
		var c Callback
		if err := e.Into(&c); err != nil {
			return s, nil, err
		}
		if s.Count == 0 {
			s.Company, s.Body, s.First = c.Company, c.Body, e.At
		}
		s.Kind, s.WebhookID, s.Reason, s.Last, s.Dismissed = bounded(c.Kind), bounded(c.WebhookID), bounded(c.Reason), e.At, false
		s.Count++
		return s, nil, nil
	case EventDismiss:
		switch {
		case s.Count == 0:
			return s, nil, durable.Refuse(durable.NotFound, "nothing is kept under this id")
		case s.Dismissed:
			return s, nil, durable.ErrIgnored
		}
		s.Dismissed = true
		return s, nil, nil
	}
	return s, nil, durable.Refuse(durable.Invalid, "a kept callback does not know the event %s", e.Type)
}

// bounded keeps what is said beside the body short.
func bounded(s string) string { return redact.Text(s, 300) }
