package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/app"
)

// patience is how long anything of a process is waited for. A machine that is busy with other things needs seconds
// where an idle one needs milliseconds; what takes this long is stuck.
const patience = 60 * time.Second

// process is a `tiffin` that goes on until it is stopped.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	sign  string        // what it says when it is ready
	ready chan struct{} // closed then
	ended chan struct{} // closed when it has ended, and all that it said was read

	mu    sync.Mutex
	url   string   // what follows the sign
	lines []string // of its output and its standard error
}

// start runs tiffin with args; it is ready when it says sign, and killed when the test ends.
func start(t *testing.T, sign string, args ...string) *process {
	t.Helper()
	p := &process{
		t: t, cmd: exec.Command(tiffin(t), args...),
		sign: sign, ready: make(chan struct{}), ended: make(chan struct{}),
	}
	said, says, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer says.Close() //nolint:errcheck // the process has its own
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environment(), says, says
	endsWithTest(p.cmd)
	if err := p.cmd.Start(); err != nil {
		_ = said.Close()
		t.Fatal(err)
	}
	go p.listen(said)
	t.Cleanup(p.kill)
	return p
}

// upSign is what `tiffin up` says when it is ready, before its address.
const upSign = " is ready at "

// up is a system of its own on the data folder, ready for requests.
func up(t *testing.T, data string, args ...string) *process {
	t.Helper()
	beOperator(t, data)
	p := start(t, upSign, append([]string{"up", "--listen", "127.0.0.1:0", "--data", data}, args...)...)
	p.awaitReady()
	return p
}

// beOperator has the system on a data folder believe the tests' key.
func beOperator(t *testing.T, data string) {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, app.OperatorKeyFile), []byte(operatorKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// identityFlags are what a process needs that serves who is who: the tests' key, and a key to sign with.
func identityFlags(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	signing, first := filepath.Join(dir, "signing"), filepath.Join(dir, "first-keys")
	if err := errors.Join(os.Mkdir(signing, 0o700),
		os.WriteFile(filepath.Join(signing, "1.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(first, []byte("tests operator "+operatorKey+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return []string{"--signing-keys", signing, "--first-keys", first}
}

// listen reads what the process says, and then its end.
func (p *process) listen(said io.ReadCloser) {
	lines := bufio.NewScanner(said)
	for ready := false; lines.Scan(); {
		line := lines.Text()
		p.mu.Lock()
		p.lines = append(p.lines, line)
		if _, rest, found := strings.Cut(line, p.sign); found && !ready {
			ready = true
			p.url, _, _ = strings.Cut(rest, " ")
			close(p.ready)
		}
		p.mu.Unlock()
	}
	_ = said.Close()
	_ = p.cmd.Wait() // ProcessState tells
	close(p.ended)
}

func (p *process) awaitReady() {
	p.t.Helper()
	select {
	case <-p.ready:
	case <-p.ended:
		p.t.Fatalf("%s ended before it was ready:\n%s", p.cmd, p.said())
	case <-time.After(patience):
		p.t.Fatalf("%s is not ready after %s:\n%s", p.cmd, patience, p.said())
	}
}

// address is where its gateway is.
func (p *process) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url
}

// said is what it has written so far.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.ended
}

// terminate sends SIGTERM and does not wait.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("SIGTERM: %v", err)
	}
}

// awaitEnd waits for the process to end by itself, and says with what status.
func (p *process) awaitEnd() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended after %s:\n%s", p.cmd, patience, p.said())
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop is SIGTERM, and an end that must be clean.
func (p *process) stop() {
	p.t.Helper()
	p.terminate()
	if code := p.awaitEnd(); code != 0 {
		p.t.Errorf("SIGTERM: it ended with %d:\n%s", code, p.said())
	}
	p.mustBeCalm()
}

// mustBeCalm: a system that is killed or stopped may have something to say, but nothing that asks for a person.
func (p *process) mustBeCalm() {
	p.t.Helper()
	for line := range strings.Lines(p.said()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
			p.t.Errorf("it said: %s", line)
		}
	}
}

// result is what a command printed, and its exit status.
type result struct {
	code     int
	out, err string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\n%s%s", r.code, r.out, r.err)
}

// run runs tiffin to its end.
func run(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, tiffin(t), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), &out, &errOut
	cmd.Dir = t.TempDir() // what it leaves without being told where, it leaves there
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("tiffin %s: %v\n%s", strings.Join(args, " "), errors.Join(err, ctx.Err()), errOut.String())
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// environment is ours without what would configure tiffin.
func environment() []string {
	env := []string{}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TIFFIN_") {
			env = append(env, v)
		}
	}
	return append(env, "TIFFIN_TOKEN="+operatorKey)
}
