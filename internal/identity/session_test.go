package identity_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/identity"
)

func TestSessionSteps(t *testing.T) {
	begun := identity.Session{ID: "s", Account: "a", Epoch: 1, Hash: "h1", Created: noon, Used: noon, Expires: noon.Add(identity.SessionLife)}
	rotated := with(begun, func(s *identity.Session) { s.Hash, s.Former = "h2", []identity.Former{{Hash: "h1", Replaced: noon}} })
	revoked := func(why string) func(*identity.Session) {
		return func(s *identity.Session) { s.Hash, s.Former, s.Revoked = "", nil, why }
	}
	over := with(begun, revoked("signed out"))
	refresh := func(shown string, epoch int, after time.Duration) durable.Event {
		e := event(identity.EventRefresh, identity.Refresh{Shown: shown, Next: "next", Epoch: epoch})
		e.At = noon.Add(after)
		return e
	}
	next := func(s identity.Session, after time.Duration, former ...identity.Former) identity.Session {
		s.Hash, s.Used, s.Former = "next", noon.Add(after), former
		return s
	}
	first, second := identity.Former{Hash: "h1", Replaced: noon}, func(d time.Duration) identity.Former { return identity.Former{Hash: "h2", Replaced: noon.Add(d)} }
	for _, tt := range []struct {
		what   string
		before identity.Session
		event  durable.Event
		want   identity.Session
		comes  string
	}{
		{"open", identity.Session{}, event(identity.EventOpen, identity.Open{ID: "s", Account: "a", Epoch: 1, Hash: "h1"}), begun, ""},
		{"open twice", begun, event(identity.EventOpen, identity.Open{ID: "s"}), begun, "fails"},
		{"refresh of none", identity.Session{}, refresh("h1", 1, 0), identity.Session{}, "not found"},
		{"revoke none", identity.Session{}, event(identity.EventRevoke, identity.Revoke{Why: "x"}), identity.Session{}, "not found"},
		{"refresh", begun, refresh("h1", 1, 0), next(begun, 0, first), ""},
		{"refresh again", rotated, refresh("h2", 1, 5*time.Second), next(rotated, 5*time.Second, first, second(5*time.Second)), ""},
		{"a lost answer", rotated, refresh("h1", 1, identity.Grace-1), next(rotated, identity.Grace-1, first, second(identity.Grace-1)), ""},
		{"too late", rotated, refresh("h1", 1, identity.Grace), with(rotated, revoked(identity.RevokedReuse)), ""},
		{"former ones are forgotten", rotated, refresh("h2", 1, time.Hour), next(rotated, time.Hour, second(time.Hour)), ""},
		{"an unknown one", begun, refresh("h0", 1, 0), with(begun, revoked(identity.RevokedReuse)), ""},
		{"an empty one", begun, refresh("", 1, 0), with(begun, revoked(identity.RevokedReuse)), ""},
		{"the account changed", begun, refresh("h1", 2, 0), with(begun, revoked(identity.RevokedAccount)), ""},
		{"idle", begun, refresh("h1", 1, identity.SessionIdle), with(begun, revoked(identity.RevokedExpired)), ""},
		{"just not idle", begun, refresh("h1", 1, identity.SessionIdle-1), next(begun, identity.SessionIdle-1, identity.Former{Hash: "h1", Replaced: noon.Add(identity.SessionIdle - 1)}), ""},
		{"at its end", with(begun, func(s *identity.Session) { s.Used = noon.Add(identity.SessionLife - 1) }), refresh("h1", 1, identity.SessionLife),
			with(begun, func(s *identity.Session) { s.Used = noon.Add(identity.SessionLife - 1) }, revoked(identity.RevokedExpired)), ""},
		{"sign-out", rotated, event(identity.EventRevoke, identity.Revoke{Why: "signed out"}), with(rotated, revoked("signed out")), ""},
		{"sign-out again", over, event(identity.EventRevoke, identity.Revoke{Why: "x"}), over, "ignored"},
		{"refresh of a revoked one", over, refresh("h1", 1, 0), over, "ignored"},
		{"with no secret of a revoked one", over, refresh("", 1, 0), over, "ignored"},
		{"unknown", begun, event("fly", nil), begun, "fails"},
		{"no JSON", begun, durable.Event{Type: identity.EventRefresh, Body: []byte("{")}, begun, "fails"},
	} {
		before, _ := json.Marshal(tt.before)
		got, effects, err := identity.SessionMachine{}.Step(tt.before, tt.event)
		if !reflect.DeepEqual(got, tt.want) || outcome(err) != tt.comes || len(effects) > 0 {
			t.Errorf("%s: %+v %v\nwant %+v %s", tt.what, got, err, tt.want, tt.comes)
		}
		if after, _ := json.Marshal(tt.before); string(after) != string(before) {
			t.Errorf("%s: the state before was written into", tt.what)
		}
	}
	if over.Holds("") || !rotated.Holds("h1") || !rotated.Holds("h2") || rotated.Holds("h3") {
		t.Error("Holds")
	}
}

// TestSessionFamily shows secrets in any order and at any time: who shows the newest one, or one replaced within the
// grace, goes on; anybody else ends the family for all.
func TestSessionFamily(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, made := noon, 1
		replaced := map[string]time.Time{}
		s, _, err := identity.SessionMachine{}.Step(identity.Session{}, event(identity.EventOpen, identity.Open{ID: "s", Account: "a", Hash: "h1"}))
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "wait")) * identity.Grace / 3)
			shown := fmt.Sprint("h", rapid.IntRange(max(1, made-3), made).Draw(t, "shown"))
			was, former := replaced[shown]
			good := s.Revoked == "" && (shown == s.Hash || former && at.Before(was.Add(identity.Grace)))
			current := s.Hash
			made++
			next := fmt.Sprint("h", made)
			e := event(identity.EventRefresh, identity.Refresh{Shown: shown, Next: next})
			e.At = at
			after, _, err := identity.SessionMachine{}.Step(s, e)
			if err == nil {
				s = after
			}
			switch {
			case good != s.Holds(next):
				t.Fatalf("%s at %v: good %t, holds %t: %+v", shown, at, good, s.Holds(next), s)
			case good:
				replaced[current] = at
			case s.Revoked == "" || s.Holds(shown) || len(s.Former) > 0:
				t.Fatalf("%s was not good, and the session goes on: %+v", shown, s)
			}
		}
	})
}

func TestKeySteps(t *testing.T) {
	k := auth.Key{ID: "0011223344556677", Name: "till", Digest: "d", Scopes: []auth.Scope{"operator"}, Expires: noon.Add(1)}
	made := identity.Key{Key: k, Created: noon, By: "account:a"}
	dead := with(made, func(k *identity.Key) { k.Revoked, k.RevokedAt, k.RevokedBy = true, noon, "account:b" })
	create := func(changes ...func(*auth.Key)) durable.Event {
		return event(identity.EventCreate, identity.CreateKey{Key: with(k, changes...), By: "account:a"})
	}
	revoke := event(identity.EventRevokeKey, identity.RevokeKey{By: "account:b"})
	for _, tt := range []struct {
		what   string
		before identity.Key
		event  durable.Event
		want   identity.Key
		comes  string
	}{
		{"create", identity.Key{}, create(), made, ""},
		{"create a revoked one", identity.Key{}, create(func(k *auth.Key) { k.Revoked = true }), made, ""},
		{"create again", made, create(), made, "ignored"},
		{"create what is revoked", dead, create(), dead, "ignored"},
		{"another of the id", made, create(func(k *auth.Key) { k.Digest = "e" }), made, "conflict"},
		{"without a digest", identity.Key{}, create(func(k *auth.Key) { k.Digest = "" }), identity.Key{}, "fails"},
		{"without a scope", identity.Key{}, create(func(k *auth.Key) { k.Scopes = nil }), identity.Key{}, "invalid"},
		{"of an unknown scope", identity.Key{}, create(func(k *auth.Key) { k.Scopes = []auth.Scope{"operator", "king"} }), identity.Key{}, "invalid"},
		{"over already", identity.Key{}, create(func(k *auth.Key) { k.Expires = noon }), identity.Key{}, "invalid"},
		{"revoke", made, revoke, dead, ""},
		{"revoke again", dead, revoke, dead, "ignored"},
		{"revoke none", identity.Key{}, revoke, identity.Key{}, "not found"},
		{"unknown", made, event("fly", nil), made, "fails"},
		{"no JSON", made, durable.Event{Type: identity.EventRevokeKey, Body: []byte("{")}, made, "fails"},
	} {
		got, effects, err := identity.KeyMachine{}.Step(tt.before, tt.event)
		if !reflect.DeepEqual(got, tt.want) || outcome(err) != tt.comes || len(effects) > 0 {
			t.Errorf("%s: %+v %v\nwant %+v %s", tt.what, got, err, tt.want, tt.comes)
		}
	}
}
