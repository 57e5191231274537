package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// leash runs a program for as long as its standard input is open at the other end. When that closes, because the
// owner wants it to end or has ended itself, however violently, it ends the program and removes its folder. The
// program's group goes with the program, whoever ends that.
//
// $1 is the folder, $2 the command that ends the process $server, and the rest is the program.
const leash = `
folder=$1 end=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
echo $server >"$folder/pid"
{ read -r _ <&3; : >"$folder/ending"; eval "$end"; sleep 20; kill -s KILL $server; } &
wait $server
[ ! -e "$folder/ending" ] || { cd /; rm -rf "$folder"; rmdir "$(dirname "$folder")" 2>/dev/null; }
kill -s KILL 0
`

// atOnce ends a program that has nothing to clean up.
const atOnce = "kill -s KILL $server"

// tries is how often a program is started that ends before it is ready: what a killed predecessor held (memory, a
// port) may be free a moment later only.
const tries = 4

// process is a program on a leash. What it says goes into the file log in its folder.
type process struct {
	folder string // its own, below the server's
	argv   []string
	env    []string            // besides the environment
	user   *syscall.Credential // nil: ours
	end    string              // how it is ended: shell text, see leash
	murder []string            // the command that is its kill -9, where that is not a signal to the process
	ready  func(context.Context) error
	// settled is nil when the program may be killed without losing what it should not; nil itself: at any time.
	settled func(context.Context) error

	cmd  *exec.Cmd
	hold *os.File      // the leash's end that we hold
	gone chan struct{} // closed when cmd has ended
}

// start returns when the program is ready.
func (p *process) start(ctx context.Context) error {
	for try := 1; ; try++ {
		err := p.launch()
		if err != nil {
			return err
		}
		if err = await(ctx, p.gone, p.ready); err == nil {
			return nil
		}
		ended := errors.Is(err, errGone)
		err = fmt.Errorf("starting %s: %w; it said:\n%s", filepath.Base(p.argv[0]), err, p.said())
		if !ended || try == tries {
			return err
		}
		_ = p.hold.Close()
		if pause(ctx, 200*time.Millisecond) != nil {
			return err
		}
	}
}

func (p *process) launch() error {
	log, err := os.OpenFile(filepath.Join(p.folder, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close() //nolint:errcheck // the process has its own
	args := append([]string{"-c", leash, "leash", p.folder, p.end}, p.argv...)
	p.cmd = exec.Command("/bin/sh", args...) //nolint:gosec // the programs are ours to name
	p.cmd.Dir, p.cmd.Env = p.folder, append(os.Environ(), p.env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.user}
	if err := p.cmd.Start(); err != nil {
		_ = ours.Close()
		return err
	}
	p.hold, p.gone = ours, make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		_ = cmd.Wait() // it ends with SIGKILL always
		close(gone)
	}(p.cmd, p.gone)
	return nil
}

// pid is the program's process id.
func (p *process) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(p.folder, "pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// kill is kill -9. It returns when the program is gone; its folder stays.
func (p *process) kill(ctx context.Context) error {
	if p.hasEnded() {
		return nil
	}
	if p.settled != nil {
		if err := await(ctx, p.gone, p.settled); err != nil {
			return err
		}
	}
	if len(p.murder) > 0 {
		if out, err := exec.CommandContext(ctx, p.murder[0], p.murder[1:]...).CombinedOutput(); err != nil { //nolint:gosec // ours
			return fmt.Errorf("%s: %w: %s", strings.Join(p.murder, " "), err, out)
		}
	} else {
		pid, err := p.pid()
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	select {
	case <-p.gone:
		return p.hold.Close()
	case <-ctx.Done():
		return fmt.Errorf("killing %s: %w", p.argv[0], ctx.Err())
	}
}

// stop ends the program and removes its folder.
func (p *process) stop() error {
	if p.gone == nil {
		return nil
	}
	_ = p.hold.Close() // it may have been killed
	select {
	case <-p.gone:
		return nil
	case <-time.After(30 * time.Second): // longer than the leash takes to lose its patience
		return fmt.Errorf("%s does not end", p.argv[0])
	}
}

func (p *process) hasEnded() bool {
	if p.gone == nil {
		return true
	}
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// said is the end of what it has written.
func (p *process) said() string {
	text, err := os.ReadFile(filepath.Join(p.folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

var errGone = errors.New("it ended")

// await asks until the answer is nil, and says what the last one was when it gives up.
func await(ctx context.Context, gone <-chan struct{}, ask func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ask(once)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-gone:
			return errGone
		default:
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("it is not ready: %w", err)
		}
	}
}

// pause waits d, or less where ctx ends: then it returns why.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
