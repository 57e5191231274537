package auth

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Access says who may use a route. The zero value is nobody, and no route can be registered with it. Access is by
// role; whose order it is the service asks, with Acts, Cooks, Drives and Speaks.
type Access struct {
	everyone bool
	signedIn bool
	roles    []Role
}

// Everyone is for what anybody may see: menus, documentation, health, signing in.
var Everyone = Access{everyone: true}

// SignedIn is for whoever is somebody, with a role or without: one's own account.
var SignedIn = Access{signedIn: true}

// For is for callers with one of the roles.
func For(roles ...Role) Access {
	a := Access{}
	for _, r := range Roles { // in their order, however they were named
		if slices.Contains(roles, r) {
			a.roles = append(a.roles, r)
		}
	}
	return a
}

// Roles are those it is for; none where it is for everyone, or for whoever is signed in.
func (a Access) Roles() []Role { return slices.Clone(a.roles) }

// Public says whether it is for everyone.
func (a Access) Public() bool { return a.everyone }

// String names them, for a page.
func (a Access) String() string {
	if a.everyone {
		return "everyone"
	}
	if a.signedIn {
		return "whoever is signed in"
	}
	names := make([]string, len(a.roles))
	for i, r := range a.roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// Void says whether it is for nobody.
func (a Access) Void() bool { return !a.everyone && !a.signedIn && len(a.roles) == 0 }

// Errors of Allows.
var (
	ErrUnauthenticated = errors.New("sign in, or show a key")  // 401
	ErrForbidden       = errors.New("this is not yours to do") // 403
)

// Allows says whether the caller may make a request with the method: nil, ErrUnauthenticated or ErrForbidden.
func (a Access) Allows(c Caller, method string) error {
	switch {
	case a.everyone:
		return nil
	case c.Nobody():
		return ErrUnauthenticated
	case c.ReadOnly && method != http.MethodGet && method != http.MethodHead:
		return ErrForbidden
	case a.signedIn, slices.ContainsFunc(a.roles, c.Is):
		return nil
	}
	return ErrForbidden
}

// Authenticator finds out who makes a request. A request that shows nothing is nobody's, without an error. An error
// that wraps ErrCredential means that what it shows is not valid (401); any other that nobody can say now (503).
type Authenticator interface {
	Authenticate(*http.Request) (Caller, error)
}

// ErrCredential says that what a request shows is not valid, for whatever reason: it is not told.
var ErrCredential = errors.New("the credential is not valid")

// AuthenticatorFunc is a function as an Authenticator.
type AuthenticatorFunc func(*http.Request) (Caller, error)

// Authenticate is Authenticator.
func (f AuthenticatorFunc) Authenticate(r *http.Request) (Caller, error) { return f(r) }

// Trusting takes every request for Root's. It is for tests, and for a system on a loopback address that was told to
// be open.
var Trusting Authenticator = AuthenticatorFunc(func(*http.Request) (Caller, error) { return Root, nil })
