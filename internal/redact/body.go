package redact

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Canonical is a body as it can be kept: at most size bytes of valid UTF-8, with fields that are named like those of a
// card's secrets blanked, and whatever looks like the number of a card anywhere. JSON comes out compact and with its
// fields sorted, so that the same content is the same text.
func Canonical(body []byte, size int) string {
	if clean, _, ok := tree(body); ok {
		return cut(clean, size)
	}
	return Text(string(body), size)
}

// Body is a body that is to go on as it came: byte for byte, where there is nothing to take out of it, and else as
// Canonical makes it, of any length.
func Body(body []byte) []byte {
	text := string(body)
	if plain(text) {
		return body
	}
	clean, found, ok := tree(body)
	switch {
	case ok && !found && !Card(text):
		return body
	case ok:
		return []byte(clean)
	}
	if n := Numbers(text); n != text {
		return []byte(n)
	}
	return body
}

// plain says that nothing is to be taken out of a body, whether it is JSON or not, without decoding it: without a
// backslash each string of JSON stands between two quotes as it is. What is not plain may have nothing in it all the
// same.
func plain(text string) bool {
	if strings.IndexByte(text, '\\') >= 0 || Card(text) {
		return false
	}
	for {
		_, rest, found := strings.Cut(text, `"`)
		if !found {
			return true
		}
		name, after, _ := strings.Cut(rest, `"`)
		text = strings.TrimLeft(after, " \t\r\n")
		if strings.HasPrefix(text, ":") && Field(name) {
			return false
		}
	}
}

// tree is a body of JSON without what must not be kept; found says whether there was any.
func tree(body []byte) (clean string, found, ok bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return "", false, false
	}
	v = prune(v, &found)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return "", false, false
	}
	return strings.TrimSuffix(out.String(), "\n"), found, true
}

func prune(v any, found *bool) any {
	text := func(s string) string {
		clean := Numbers(s)
		*found = *found || clean != s
		return clean
	}
	switch v := v.(type) {
	case string:
		return text(v)
	case json.Number:
		if s := v.String(); text(s) != s {
			return Blank
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i], found)
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for name, value := range v {
			if Field(name) && value != "" && value != Blank {
				value, *found = Blank, true
			}
			clean[text(name)] = prune(value, found)
		}
		return clean
	}
	return v
}

// Field says whether a field's name is that of a card's secret.
func Field(name string) bool {
	name = strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, strings.ToLower(name))
	for _, part := range []string{"cvv", "cvc", "cardnumber", "cardno", "securitycode", "expiry", "track1", "track2", "pinblock"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return name == "pan" || name == "pin" || name == "csc" || name == "ccnumber" || name == "primaryaccountnumber"
}
