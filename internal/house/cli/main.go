// Command cli writes docs/cli.md, the reference of the command line, from what the program itself says: the --help
// of every command there is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: cli PACKAGE FILE")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "cli:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pkg, file string) (err error) {
	folder, err := os.MkdirTemp("", "tiffin-cli")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	program := filepath.Join(folder, "tiffin")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, pkg) //nolint:gosec // our own program
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building %s: %w", pkg, err)
	}
	text, err := document(func(words ...string) (string, error) {
		help := exec.CommandContext(ctx, program, append(words, "--help")...) //nolint:gosec // our own program
		help.Env = []string{}                                                 // nobody's settings and terminal
		help.Stderr = os.Stderr
		out, err := help.Output()
		return string(out), err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644) //nolint:gosec // a document is for everybody
}

const head = `<!-- Generated from the program's own help by internal/house/cli; see make generate. Do not edit. -->

# The command line

Every flag can also be set by the variable that stands behind it, or in a file of settings (` + "`--config`" + `). The flags
of the first section are every command's.
`

// document asks for the help of every command and makes a page of it. help gives what words --help prints.
func document(help func(words ...string) (string, error)) (string, error) {
	var b strings.Builder
	b.WriteString(head)
	var section func(words []string) error
	section = func(words []string) error {
		text, err := help(words...)
		if err != nil {
			return fmt.Errorf("help of %q: %w", words, err)
		}
		if len(words) > 0 {
			text = withoutCommon(text)
		}
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", strings.Join(append([]string{"tiffin"}, words...), " "), strings.TrimSpace(text))
		for _, c := range commands(text) {
			if err := section(c); err != nil {
				return err
			}
		}
		return nil
	}
	if err := section(nil); err != nil {
		return "", err
	}
	return b.String(), nil
}

// commands are those that a help text lists: two spaces, the words, and after two more or the line's end what it is.
func commands(help string) [][]string {
	_, list, _ := strings.Cut(help, "\nCommands:\n")
	var found [][]string
	for line := range strings.Lines(list) {
		name, ok := strings.CutPrefix(line, "  ")
		if !ok {
			break
		}
		if strings.HasPrefix(name, " ") {
			continue // the rest of a description
		}
		name, _, _ = strings.Cut(name, "  ")
		found = append(found, strings.Fields(name))
	}
	return found
}

// withoutCommon takes out the flags that every command has: the first paragraph of the flags, --help and those
// that follow.
func withoutCommon(help string) string {
	before, flags, ok := strings.Cut(help, "\nFlags:\n")
	if !ok {
		return help
	}
	_, own, _ := strings.Cut(flags, "\n\n")
	if own == "" {
		return before
	}
	title := ""
	if strings.HasPrefix(own, " ") { // not a group of flags or the commands
		title = "Flags:\n"
	}
	return before + "\n" + title + own
}
