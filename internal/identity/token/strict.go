package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

var errStrict = errors.New("not one JSON object with every name once")

// names are the names of a JSON object, each of which it has once, whatever their case: two readers must not read two
// things. Objects within it are looked through too.
func names(b []byte) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errStrict
	}
	all, err := members(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF { // the decoder returns it unwrapped
		return nil, errStrict
	}
	return all, nil
}

// maxDepth is how deep a token's values may lie in one another.
const maxDepth = 4

// members reads an object behind its brace.
func members(d *json.Decoder, depth int) ([]string, error) {
	var all []string
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errStrict
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return nil, errStrict
		}
		seen[folded] = true
		all = append(all, name)
		if err := value(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return all, err
}

// value reads one value.
func value(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil || depth > maxDepth {
		return errStrict
	}
	switch t {
	case json.Delim('{'):
		_, err = members(d, depth)
		return err
	case json.Delim('['):
		for d.More() {
			if err := value(d, depth+1); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	}
	return nil
}
