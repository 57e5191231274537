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
	}
	if n, ok := value.(json.Number); ok {
		return n.String(), nil
	}
	return value, nil
}
