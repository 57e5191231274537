package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// settings are those of a file: a JSON object of flags' names and their values. A flag wins over a variable, a
// variable over the file. A name that no flag has is an error: a misspelt setting would otherwise be none.
type settings map[string]any

// readSettings is a kong.ConfigurationLoader.
func readSettings(r io.Reader) (kong.Resolver, error) {
	var s settings
	dec := json.NewDecoder(r)
	dec.UseNumber()
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("config: not a JSON object of settings: %w", err)
	}
	return s, nil
}

// Validate says which names no flag has.
func (s settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var walk func(*kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(app.Node)
	var wrong []string
	for name := range s {
		if !known[name] {
			wrong = append(wrong, name)
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("config: no such setting: %s; expected names of flags, such as driver-limit", strings.Join(wrong, ", "))
	}
	return nil
}

// Resolve gives a flag its value from the file, where no variable does.
func (s settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := s[flag.Name]
	if !ok {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
		if _, set := os.LookupEnv(name + fileSuffix); set {
			return nil, nil
		}
	}
	if n, ok := value.(json.Number); ok {
		return n.String(), nil
	}
	return value, nil
}

// fileSuffix makes the variable that names a file whose content is a setting: TIFFIN_BROKER_FILE for a secret that is
// mounted as a file. Blanks around the content do not count.
const fileSuffix = "_FILE"

// files is a kong.Resolver of such variables.
type files struct{}

// Validate has nothing to say before a flag is asked for.
func (files) Validate(*kong.Application) error { return nil }

// Resolve reads the file that is named for the flag.
func (files) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		path, set := os.LookupEnv(name + fileSuffix)
		if !set {
			continue
		}
		if _, both := os.LookupEnv(name); both {
			return nil, fmt.Errorf("%s: set beside %s%s; expected one of the two", name, name, fileSuffix)
		}
		content, err := os.ReadFile(path) //nolint:gosec // whoever starts the program says which
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", name, fileSuffix, err)
		}
		return strings.TrimSpace(string(content)), nil
	}
	return nil, nil
}
