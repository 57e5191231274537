package auth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
)

// tokens knows one.
type tokens struct{}

var errAsleep = errors.New("asleep")

func (tokens) Verify(_ context.Context, text string) (auth.Caller, error) {
	switch text {
	case "ada":
		return auth.Caller{Subject: "account:1"}, nil
	case "asleep":
		return auth.Caller{}, errAsleep
	}
	return auth.Caller{}, auth.ErrCredential
}

// asleep are keys that nobody can tell.
type asleep struct{}

func (asleep) Find(string) (auth.Key, bool, error) { return auth.Key{}, false, errAsleep }

func TestOuter(t *testing.T) {
	set := auth.KeySet{}
	key := func(scopes ...auth.Scope) string {
		k, text, err := auth.NewKey(rand.Reader, "k", scopes, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		set[k.ID] = k
		return text
	}
	till, card, order, gate := key("operator"), key("partner:card"), key("operator", "service:order"), key("gateway")
	door := auth.Outer{Tokens: tokens{}, Keys: set, Now: func() time.Time { return noon }}
	const bearer = "Authorization"
	for _, tt := range []struct {
		what    string
		door    auth.Outer
		headers []string
		subject string // empty: nobody
		err     error
	}{
		{"nothing", door, nil, "", nil},
		{"a claim is not looked at", door, []string{auth.Header, auth.Root.Encode()}, "", nil},
		{"a token", door, []string{bearer, "Bearer ada"}, "account:1", nil},
		{"a token, in small letters", door, []string{bearer, "bearer ada"}, "account:1", nil},
		{"a token and a claim", door, []string{bearer, "Bearer ada", auth.Header, auth.Root.Encode()}, "account:1", nil},
		{"a key", door, []string{auth.KeyHeader, till}, "key:" + till[4:20], nil},
		{"a key as a bearer", door, []string{bearer, "Bearer " + till}, "key:" + till[4:20], nil},
		{"a company's key", door, []string{auth.KeyHeader, card}, "key:" + card[4:20], nil},
		{"a wrong token", door, []string{bearer, "Bearer eve"}, "", auth.ErrCredential},
		{"no scheme", door, []string{bearer, "ada"}, "", auth.ErrCredential},
		{"another scheme", door, []string{bearer, "Basic YTph"}, "", auth.ErrCredential},
		{"an empty header", door, []string{bearer, ""}, "", auth.ErrCredential},
		{"an empty key", door, []string{auth.KeyHeader, ""}, "", auth.ErrCredential},
		{"a token as a key", door, []string{auth.KeyHeader, "ada"}, "", auth.ErrCredential},
		{"two tokens", door, []string{bearer, "Bearer ada", bearer, "Bearer ada"}, "", auth.ErrCredential},
		{"two keys", door, []string{auth.KeyHeader, till, auth.KeyHeader, till}, "", auth.ErrCredential},
		{"both", door, []string{bearer, "Bearer ada", auth.KeyHeader, till}, "", auth.ErrCredential},
		{"a service's key", door, []string{auth.KeyHeader, order}, "", auth.ErrCredential},
		{"the gateway's key", door, []string{bearer, "Bearer " + gate}, "", auth.ErrCredential},
		{"a token where none is good", auth.Outer{Keys: set, Now: door.Now}, []string{bearer, "Bearer ada"}, "", auth.ErrCredential},
		{"a key where none is good", auth.Outer{Tokens: tokens{}, Now: door.Now}, []string{auth.KeyHeader, till}, "", auth.ErrCredential},
		{"a token that nobody can tell", door, []string{bearer, "Bearer asleep"}, "", errAsleep},
		{"a key that nobody can tell", auth.Outer{Keys: asleep{}, Now: door.Now}, []string{auth.KeyHeader, till}, "", errAsleep},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for i := 0; i < len(tt.headers); i += 2 {
			r.Header.Add(tt.headers[i], tt.headers[i+1])
		}
		got, err := tt.door.Authenticate(r)
		if got.Subject != tt.subject || !errors.Is(err, tt.err) || err != nil && !reflect.DeepEqual(got, auth.Caller{}) {
			t.Errorf("%s: %+v %v", tt.what, got, err)
		}
	}
}

func TestSignedIn(t *testing.T) {
	somebody := auth.Caller{Subject: "account:1"}
	reader := auth.Caller{Subject: "key:1", Roles: []auth.Role{auth.Operator}, ReadOnly: true}
	if auth.SignedIn.Void() || auth.SignedIn.Public() || auth.SignedIn.String() == "" {
		t.Error("SignedIn is for somebody")
	}
	for _, tt := range []struct {
		caller auth.Caller
		method string
		want   error
	}{
		{somebody, "POST", nil}, {auth.Caller{}, "GET", auth.ErrUnauthenticated}, {reader, "GET", nil}, {reader, "PUT", auth.ErrForbidden},
	} {
		if err := auth.SignedIn.Allows(tt.caller, tt.method); !errors.Is(err, tt.want) {
			t.Errorf("%+v %s: %v", tt.caller, tt.method, err)
		}
	}
}
