package identity

import (
	"fmt"
	"slices"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Session is a family of refresh tokens: one after the other, of one sign-in. Of their secrets there are digests only;
// a secret has 256 random bits, so that a plain SHA-256 is as good as a slow one.
type Session struct {
	ID      string    `json:"id"`
	Account string    `json:"account"`
	Epoch   int       `json:"epoch"` // of the account at the sign-in
	Hash    string    `json:"hash"`  // of the secret that is good now
	Former  []Former  `json:"former,omitempty"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"`
	Expires time.Time `json:"expires"` // whatever happens
	Revoked string    `json:"revoked,omitempty"`
}

// Former is a secret that was replaced, but not long ago.
type Former struct {
	Hash     string    `json:"hash"`
	Replaced time.Time `json:"replaced"`
}

// Limits of a session, by the clock.
const (
	SessionLife = 30 * 24 * time.Hour // from the sign-in
	SessionIdle = 7 * 24 * time.Hour  // from the last refresh
	Grace       = 10 * time.Second    // for who did not get the answer to a refresh
)

// maxFormer bounds how many replaced secrets are still good: who refreshes more often than that within the grace is
// taken for a copy.
const maxFormer = 32

// Why a session is revoked.
const (
	RevokedSignOut = "signed out"
	RevokedReuse   = "a refresh token was shown again"
	RevokedAccount = "the account was changed"
	RevokedExpired = "expired"
)

// SessionMachine is the session's pure core.
type SessionMachine struct{ durable.JSON[Session] }

// Events of a session.
const (
	EventOpen    = "open"    // body Open: begins it
	EventRefresh = "refresh" // body Refresh
	EventRevoke  = "revoke"  // body Revoke
)

// Open begins a session.
type Open struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	Epoch   int    `json:"epoch"`
	Hash    string `json:"hash"`
}

// Refresh shows a secret and asks for the next one. What it came to the session says: Holds the next one, or Revoked.
type Refresh struct {
	Shown string `json:"shown"` // a digest
	Next  string `json:"next"`  // a digest
	Epoch int    `json:"epoch"` // of the account now
}

// Revoke ends a session.
type Revoke struct {
	Why string `json:"why"`
}

// Step applies an event to a session.
func (SessionMachine) Step(s Session, e durable.Event) (Session, []durable.Effect, error) {
	before := s
	step := func(err error) (Session, []durable.Effect, error) {
		if err != nil {
			return before, nil, err
		}
		return s, nil, nil
	}
	if e.Type == EventOpen {
		return step(into(e, func(o Open) error {
			if s.ID != "" {
				return fmt.Errorf("session %s is open already", s.ID)
			}
			s = Session{
				ID: o.ID, Account: o.Account, Epoch: o.Epoch, Hash: o.Hash,
				Created: e.At, Used: e.At, Expires: e.At.Add(SessionLife),
			}
			return nil
		}))
	}
	if s.ID == "" {
		return step(durable.Refuse(durable.NotFound, "no such session"))
	}
	switch e.Type {
	case EventRefresh:
		return step(into(e, func(r Refresh) error { return s.refresh(r, e.At) }))
	case EventRevoke:
		return step(into(e, func(r Revoke) error { return s.revoke(r.Why) }))
	}
	return step(fmt.Errorf("a session does not know the event %s", e.Type))
}

// revoke ends the session and forgets its secrets.
func (s *Session) revoke(why string) error {
	if s.Revoked != "" {
		return durable.ErrIgnored
	}
	s.Revoked, s.Hash, s.Former = why, "", nil
	return nil
}

func (s *Session) refresh(r Refresh, at time.Time) error {
	former := slices.DeleteFunc(slices.Clone(s.Former), func(f Former) bool { return !at.Before(f.Replaced.Add(Grace)) })
	switch {
	case s.Revoked != "":
		return durable.ErrIgnored
	case !at.Before(s.Expires), !at.Before(s.Used.Add(SessionIdle)):
		return s.revoke(RevokedExpired)
	case r.Shown == "" || r.Shown != s.Hash && !slices.ContainsFunc(former, func(f Former) bool { return f.Hash == r.Shown }):
		return s.revoke(RevokedReuse)
	case r.Epoch != s.Epoch:
		return s.revoke(RevokedAccount)
	}
	if len(former) >= maxFormer {
		former = former[len(former)-maxFormer+1:]
	}
	s.Former = append(former, Former{s.Hash, at})
	s.Hash, s.Used = r.Next, at
	return nil
}

// Holds says whether the secret of a digest is good now, or was so a moment ago: another refresh may have come
// between.
func (s Session) Holds(hash string) bool {
	return hash != "" && (s.Hash == hash || slices.ContainsFunc(s.Former, func(f Former) bool { return f.Hash == hash }))
}
