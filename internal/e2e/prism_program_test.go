package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tiffin-food/tiffin/internal/app"
	"github.com/tiffin-food/tiffin/internal/engines"
)

// prismSign is what Prism says when it is ready, before its address.
const prismSign = "Prism is listening on "

// prism starts Prism over a service's document on a free port of its own choice; further arguments follow the
// document. It need not be ready yet, so that several can be started at once. It is killed when the test ends, and
// what it said is in the log of a test that failed.
func prism(t *testing.T, service, command string, args ...string) *process {
	t.Helper()
	path := engines.Prism(t)
	document, err := app.OpenAPI(service, "e2e")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), service+".json")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{
		t: t, cmd: exec.Command(path, append([]string{command, "--host", "127.0.0.1", "--port", "0", file}, args...)...),
		sign: prismSign, ready: make(chan struct{}), ended: make(chan struct{}),
	}
	said, says, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer says.Close()                                                                         //nolint:errcheck // the process has its own
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append(environment(), "FORCE_COLOR=0"), says, says // where CI is set its address has colours
	endsWithTest(p.cmd)
	if err := p.cmd.Start(); err != nil {
		_ = said.Close()
		t.Fatal(err)
	}
	go p.listen(said)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", p.cmd, p.said())
		}
	})
	return p
}

// violation is something in a request or an answer that Prism finds to be against the document. That it only warns
// of some, an undocumented status among them, makes no difference here.
type violation struct {
	Location []any // begins with "request" or "response"
	Severity string
	Message  string
}

func (v violation) String() string { return fmt.Sprint(v.Severity, " ", v.Location, ": ", v.Message) }

// violations are those that an answer's header tells, of the request and of the response.
func violations(t *testing.T, header http.Header) (request, response []violation) {
	t.Helper()
	const name = "Sl-Violations"
	if len(header[name]) == 0 {
		return nil, nil
	}
	var all []violation
	if err := json.Unmarshal([]byte(header.Get(name)), &all); err != nil {
		t.Errorf("%s: %v: %s", name, err, header.Get(name))
	}
	for _, v := range all {
		if slices.Equal(v.Location[:1], []any{"request"}) {
			request = append(request, v)
		} else {
			response = append(response, v)
		}
	}
	return request, response
}
