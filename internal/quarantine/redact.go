package quarantine

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxBody is how many bytes of a body are kept.
const MaxBody = 4 << 10

// blank stands for what was taken out.
const blank = "[redacted]"

// Redact is a body as it can be kept: at most MaxBody bytes of valid UTF-8, with fields that are named like those of a
// card's secrets blanked, and whatever looks like the number of a card anywhere. JSON comes out compact and with its
// fields sorted, so that the same content is the same text.
func Redact(body []byte) string {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err == nil && !d.More() {
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		if enc.Encode(redact(v)) == nil {
			return cut(strings.TrimSpace(out.String()), MaxBody)
		}
	}
	return cut(numbers(strings.ToValidUTF8(string(body), "\uFFFD")), MaxBody)
}

func redact(v any) any {
	switch v := v.(type) {
	case string:
		return numbers(v)
	case json.Number:
		if text := v.String(); numbers(text) != text {
			return blank
		}
	case []any:
		for i := range v {
			v[i] = redact(v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for name, value := range v {
			if secret(name) {
				value = blank
			}
			clean[numbers(name)] = redact(value)
		}
		return clean
	}
	return v
}

// secret says whether a field's name is that of a card's secret.
func secret(name string) bool {
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

// number is a card's number as people write it: in one, or in groups of four, or as American Express does.
var number = regexp.MustCompile(`[0-9]{13,19}|[0-9]{4}([ -])[0-9]{4}[ -][0-9]{4}[ -][0-9]{1,7}|[0-9]{4}([ -])[0-9]{6}[ -][0-9]{4,5}`)

// numbers blanks what looks like a card's number and has its check digit. The groups of a UUID do not look like one.
func numbers(s string) string {
	found := number.FindAllStringIndex(s, -1)
	if found == nil {
		return s
	}
	var out strings.Builder
	from := 0
	for _, f := range found {
		if f[0] > 0 && joins(s[f[0]-1]) || f[1] < len(s) && joins(s[f[1]]) || !checks(s[f[0]:f[1]]) {
			continue
		}
		out.WriteString(s[from:f[0]])
		out.WriteString(blank)
		from = f[1]
	}
	out.WriteString(s[from:])
	return out.String()
}

// joins says whether a byte beside digits makes them part of something longer.
func joins(c byte) bool { return c >= '0' && c <= '9' || c == '-' }

// checks is Luhn's check of 13 to 19 digits.
func checks(s string) bool {
	sum, n := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= 13 && n <= 19 && sum%10 == 0
}

// cut is at most n bytes of s, of whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
