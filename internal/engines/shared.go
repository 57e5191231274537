package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared are the servers that this process started for URL, or failed to.
var shared struct {
	sync.Mutex
	servers map[Kind]*Server
	errs    map[Kind]error
}

// URL is a server that tests share: the one that the environment names, else one that this process starts when it is
// first asked. What the test leaves there others find, so it uses names of its own; or see Place.
//
// Where there is no server the test is skipped, and says what is missing; with CI=true it fails.
func URL(t testing.TB, k Kind) string {
	t.Helper()
	url, _ := addresses(t, k)
	return url
}

// Side is the second address (see Server.Side) of the server that URL names. It is "" where the environment names
// only a first.
func Side(t testing.TB, k Kind) string {
	t.Helper()
	_, side := addresses(t, k)
	return side
}

func addresses(t testing.TB, k Kind) (url, side string) {
	t.Helper()
	if url := os.Getenv(k.Variable()); url != "" {
		if k.SideVariable() != "" {
			side = os.Getenv(k.SideVariable())
		}
		return url, side
	}
	s, err := share(k)
	if err != nil {
		missing(t, string(k), k.Variable(), err)
	}
	return s.URL(), s.Side()
}

// Private is a server for this test alone, which may kill it; it is stopped when the test ends. Where there is none
// to be had the test is skipped, as for URL; that the environment names a server is of no use here.
func Private(t testing.TB, k Kind) *Server {
	t.Helper()
	s, err := Start(t.Context(), k)
	if err != nil {
		missing(t, string(k), "", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// missing ends a test that cannot have what it needs. What is here and does not start is a failure everywhere.
func missing(t testing.TB, what, variable string, err error) {
	t.Helper()
	if os.Getenv("CI") != "" || !errors.Is(err, ErrMissing) {
		t.Fatalf("this test needs %s: %v", what, err)
	}
	hint := "`make test` installs it where it may"
	if variable != "" {
		hint += ", or name one by " + variable
	}
	t.Skipf("this test needs %s: %v; %s", what, err, hint)
}

func share(k Kind) (*Server, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.servers == nil {
		shared.servers, shared.errs = map[Kind]*Server{}, map[Kind]error{}
	}
	if shared.servers[k] == nil && shared.errs[k] == nil {
		shared.servers[k], shared.errs[k] = Start(context.Background(), k)
	}
	return shared.servers[k], shared.errs[k]
}

// Main is a package's tests that share servers. TestMain runs it, so that the servers end before anybody looks for
// goroutines that were left: goleak.VerifyTestMain(engines.Main{M: m}). Without it they end with the process.
type Main struct{ M *testing.M }

// Run runs the tests and stops the servers. It returns what os.Exit wants.
func (m Main) Run() int {
	code := m.M.Run()
	shared.Lock()
	defer shared.Unlock()
	for k, s := range shared.servers {
		if s == nil {
			continue
		}
		if err := s.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stopping %s: %v\n", k, err)
			code = max(code, 1)
		}
	}
	shared.servers, shared.errs = nil, nil
	return code
}
