// Command with runs a command with the real servers that tests need:
//
//	go run ./internal/engines/with [-need rabbitmq,postgresql] -- go test ./...
//
// For each server it takes the one that the environment names, or starts a private one of what is installed here, or
// installs that where it may. The command finds them in its environment, as package engines does. When the command
// has ended the servers are stopped, and with exits with its status.
//
// A server that is not to be had is told loudly, before and after; with CI=true nothing is run then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tiffin-food/tiffin/internal/engines"
)

// prism is needed like a server, and is none.
const prism = "Prism"

func main() {
	need := flag.String("need", "", "what is needed, by name, with commas between; everything when empty")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: with [-need rabbitmq,mongodb,postgresql,redis,consul,jaeger,prism] -- command ...")
	}
	flag.Parse()
	names, err := needed(*need)
	if err != nil || flag.NArg() == 0 {
		if err != nil {
			fmt.Fprintln(os.Stderr, "with:", err)
		}
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := with(ctx, names, flag.Args())
	stop()
	os.Exit(code)
}

// needed are the names that a list of them means.
func needed(list string) ([]string, error) {
	all := []string{prism}
	for _, k := range engines.Kinds() {
		all = append(all, string(k))
	}
	if list == "" {
		return all, nil
	}
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(known string) bool { return strings.EqualFold(known, name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no server called %q", name)
		}
		names = append(names, all[i])
	}
	return names, nil
}

// found is what there is for one name.
type found struct {
	name string
	env  []string
	note string // for people
	err  error
	stop func() error // nil: not ours to stop
}

// with returns the status to exit with.
func with(ctx context.Context, names, command []string) int {
	all := find(ctx, names)
	defer func() {
		var wg sync.WaitGroup
		for _, f := range all {
			if f.stop == nil {
				continue
			}
			wg.Go(func() {
				if err := f.stop(); err != nil {
					fmt.Fprintf(os.Stderr, "with: stopping %s: %v\n", f.name, err)
				}
			})
		}
		wg.Wait()
	}()
	if ctx.Err() != nil {
		return 1
	}
	missing := tell(all)
	if missing && os.Getenv("CI") != "" {
		return 1
	}
	code := run(ctx, command, all)
	if missing {
		tell(all)
	}
	return code
}

// find has everything there is, at once, and prints a line for each when it is there.
func find(ctx context.Context, names []string) []found {
	all := make([]found, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			start := time.Now()
			say := func(what string) { fmt.Printf("%s: %s\n", name, what) }
			if name == prism {
				all[i] = findPrism(ctx, say)
			} else {
				all[i] = findServer(ctx, engines.Kind(name), say)
			}
			if all[i].err == nil {
				fmt.Printf("%s: %s, %.1f s\n", name, all[i].note, time.Since(start).Seconds())
			}
		})
	}
	wg.Wait()
	return all
}

func findPrism(ctx context.Context, say func(string)) found {
	path, err := engines.InstallPrism(ctx, say)
	return found{name: prism, note: "ready", env: []string{engines.PrismVariable + "=" + path}, err: err}
}

func findServer(ctx context.Context, k engines.Kind, say func(string)) found {
	f := found{name: string(k)}
	if url := os.Getenv(k.Variable()); url != "" {
		version, err := engines.Version(ctx, k, url)
		f.note = version + " that " + k.Variable() + " names"
		if err != nil {
			f.err = fmt.Errorf("the server that %s names does not answer: %w", k.Variable(), err)
		}
		return f
	}
	s, err := engines.Provide(ctx, k, say)
	if err != nil {
		f.err = err
		return f
	}
	f.stop, f.note = s.Stop, strings.TrimSpace(s.Version()+" from "+s.From())
	f.env = append(f.env, k.Variable()+"="+s.URL())
	if s.Side() != "" {
		f.env = append(f.env, k.SideVariable()+"="+s.Side())
	}
	return f
}

// tell says what is missing, if anything is.
func tell(all []found) (missing bool) {
	for _, f := range all {
		if f.err != nil {
			missing = true
			fmt.Fprintf(os.Stderr, "NOT RUN: tests that need %s: %v\n", f.name, f.err)
		}
	}
	return missing
}

// run runs the command. An interrupt is the command's to obey; we wait for it.
func run(ctx context.Context, command []string, all []found) int {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // that is what we are for
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = os.Environ()
	for _, f := range all {
		if f.err == nil {
			cmd.Env = append(cmd.Env, f.env...)
		}
	}
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() >= 0 {
		return cmd.ProcessState.ExitCode()
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) && err != nil {
		fmt.Fprintln(os.Stderr, "with:", err)
	}
	return 1
}
