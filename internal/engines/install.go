package engines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// cache is the folder for what is built or fetched once, beside the linter that the Makefile keeps there.
func cache() (string, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "tiffin", "tools"), nil
}

// once has cache()/name filled by fill, which is given an empty folder, unless it is there. Whoever else wants the same at
// the same time, in any process, waits; nobody sees half of it.
func once(ctx context.Context, name string, fill func(folder string) error) error {
	tools, err := cache()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(tools, 0o755); err != nil { //nolint:gosec // as other caches are
		return err
	}
	unlock, err := lock(ctx, filepath.Join(tools, name+".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	final := filepath.Join(tools, name)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	draft, err := os.MkdirTemp(tools, name+"-draft-")
	if err != nil {
		return err
	}
	if err := fill(draft); err != nil {
		return errors.Join(err, os.RemoveAll(draft))
	}
	return os.Rename(draft, final)
}

// lock holds the file against other processes until unlock, or until this one ends.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in our cache
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("waiting for %s: %w", name, err), f.Close())
		}
	}
}

// tool is a server that is written in Go and built from its module's source.
type tool struct {
	name, module, version, pkg string
	takes                      string            // how long building does, on two cores
	replace                    map[string]string // modules that its own go.mod takes from beside it
	add                        map[string]string // files that its module lacks
	onPath                     bool              // one on the PATH serves as well
}

var (
	ferretDBTool = tool{
		name: "ferretdb", module: "github.com/FerretDB/FerretDB", version: "v1.24.2", pkg: "./cmd/ferretdb",
		takes: "a minute", add: map[string]string{"build/version/version.txt": "v1.24.2"},
	}
	consulTool = tool{
		name: "consul", module: "github.com/hashicorp/consul", version: "v1.14.11", pkg: ".",
		takes: "five minutes", onPath: true, replace: map[string]string{
			"github.com/hashicorp/consul/api":          "v1.18.1",
			"github.com/hashicorp/consul/proto-public": "v0.2.1",
			"github.com/hashicorp/consul/sdk":          "v0.13.0",
		},
	}
	jaegerTool = tool{
		name: "jaeger-all-in-one", module: "github.com/jaegertracing/jaeger", version: "v1.76.0", pkg: "./cmd/all-in-one",
		takes: "four minutes", onPath: true,
	}
)

// path is where the tool is.
func (b tool) path() (string, error) {
	tools, err := cache()
	if err != nil {
		return "", err
	}
	built := filepath.Join(tools, b.name+"-"+b.version, b.name)
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	if b.onPath {
		return program(b.name)
	}
	return "", fmt.Errorf("%s %s is not built", b.name, b.version)
}

func (b tool) here(context.Context) error {
	_, err := b.path()
	return err
}

// install builds the tool into the cache, from a copy of its module: a module's own folder cannot be changed, and a
// server's dependencies are right only where it is the main module.
func (b tool) install(ctx context.Context, say func(string)) error {
	err := once(ctx, b.name+"-"+b.version, func(folder string) error {
		say(fmt.Sprintf("building %s %s, once (%s or so)", b.name, b.version, b.takes))
		// Outside of the folders that are Go modules.
		work, err := os.MkdirTemp("", "tiffin-build-")
		if err != nil {
			return err
		}
		err = b.build(ctx, work, filepath.Join(folder, b.name))
		return errors.Join(err, os.RemoveAll(work))
	})
	if err != nil {
		return fmt.Errorf("building %s %s: %w", b.name, b.version, err)
	}
	return nil
}

func (b tool) build(ctx context.Context, work, binary string) error {
	out, err := goCommand(ctx, work, "mod", "download", "-json", b.module+"@"+b.version)
	if err != nil {
		return err
	}
	var fetched struct{ Dir string }
	if err := json.Unmarshal(out, &fetched); err != nil {
		return fmt.Errorf("go mod download: %w", err)
	}
	source := filepath.Join(work, "source")
	if err := os.CopyFS(source, os.DirFS(fetched.Dir)); err != nil {
		return err
	}
	for name, text := range b.add {
		name = filepath.Join(source, filepath.FromSlash(name))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	for module, version := range b.replace {
		if _, err := goCommand(ctx, source, "mod", "edit", "-replace="+module+"="+module+"@"+version); err != nil {
			return err
		}
	}
	_, err = goCommand(ctx, source, "build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, b.pkg)
	return err
}

// goCommand runs go for a module that is not ours: without flags and a workspace of ours, and without race detector.
func goCommand(ctx context.Context, folder string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // ours
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		said := strings.TrimSpace(errOut.String() + string(out)) // `go mod download -json` tells its errors there
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, said[max(0, len(said)-1000):])
	}
	return out, nil
}

// aptTurn: only one apt at a time, in this process; apt itself waits for those of others. aptLists is done before
// the first, so that it knows of what is to be had.
var (
	aptTurn  sync.Mutex
	aptLists bool
)

// apt installs Debian packages where we may.
func apt(packages ...string) func(context.Context, func(string)) error {
	return func(ctx context.Context, say func(string)) error {
		what := strings.Join(packages, " ")
		if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
			return fmt.Errorf("only root on Debian or Ubuntu may install %s", what)
		}
		aptTurn.Lock()
		defer aptTurn.Unlock()
		if !aptLists {
			if err := aptGet(ctx, "update"); err != nil {
				return err
			}
			aptLists = true
		}
		if exec.CommandContext(ctx, "apt-cache", append([]string{"show"}, packages...)...).Run() != nil { //nolint:gosec // ours
			return fmt.Errorf("apt knows no %s", what)
		}
		say("installing " + what)
		return aptGet(ctx, append([]string{"install", "--yes", "--no-install-recommends"}, packages...)...)
	}
}

func aptGet(ctx context.Context, args ...string) error {
	//nolint:gosec // the packages are ours to name
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet", "--option=DPkg::Lock::Timeout=300"}, args...)...)
	// In runlevel 1 a package does not start its service: we start servers of our own.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		said := strings.TrimSpace(string(out))
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, said[max(0, len(said)-500):])
	}
	return nil
}
