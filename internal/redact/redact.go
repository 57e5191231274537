// Package redact finds what nobody may keep of a payment card in what others send, and takes it out.
//
// What it promises: what looks like a card's number is found wherever it stands in a text, in one or in groups with
// single blanks or dashes between them; an id as we make them (a UUID), a time in milliseconds or nanoseconds and the
// decimals of a number are not taken for one. It cannot know what a card's three digits on the back are but by the name
// of their field. It does no I/O and keeps nothing.
package redact

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

// Blank stands for what was taken out.
const Blank = "[redacted]"

// The lengths of card numbers, in digits (ISO/IEC 7812-1).
const (
	shortest = 13
	longest  = 19
)

// Card says whether a text holds what looks like a card's number.
func Card(s string) bool {
	_, _, found := next(s, 0)
	return found
}

// Numbers is a text with Blank for whatever looks like a card's number.
func Numbers(s string) string {
	begin, end, found := next(s, 0)
	if !found {
		return s
	}
	var out strings.Builder
	from := 0
	for found {
		out.WriteString(s[from:begin])
		out.WriteString(Blank)
		from = end
		begin, end, found = next(s, from)
	}
	out.WriteString(s[from:])
	return out.String()
}

// Text is Numbers of at most size bytes of valid UTF-8.
func Text(s string, size int) string { return cut(Numbers(strings.ToValidUTF8(s, "\uFFFD")), size) }

// Key is a text by which something is recognised again, such as an idempotency key: as it is, or where it looks like a
// card's number a digest of it, which is the same each time.
func Key(s string) string {
	if !Card(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "digest:" + hex.EncodeToString(sum[:16])
}

// next finds the first card number in s that begins at from or later.
func next(s string, from int) (begin, end int, found bool) {
	for i := from; len(s)-i >= shortest; {
		if startsUUID(s, i) {
			i += uuidSize
			continue
		}
		if !digit(s[i]) || i > 0 && digit(s[i-1]) || fraction(s, i) {
			i++
			continue
		}
		if end, ok := number(s, i); ok {
			return i, end, true
		}
		for i < len(s) && digit(s[i]) {
			i++
		}
	}
	return 0, 0, false
}

// number reads a card's number that begins at i: groups of digits with a single blank or dash between them, each but the
// last of three digits at least.
func number(s string, i int) (end int, ok bool) {
	var digits [longest]byte
	n := 0
	for {
		begin := i
		for ; i < len(s) && digit(s[i]); i++ {
			if n == longest {
				return 0, false
			}
			digits[n] = s[i] - '0'
			n++
		}
		if n >= shortest && issued(digits[:n]) && luhn(digits[:n]) {
			return i, true
		}
		if i-begin < 3 || i+1 >= len(s) || s[i] != ' ' && s[i] != '-' || !digit(s[i+1]) {
			return 0, false
		}
		i++
	}
}

// issued says whether cards begin so: those of banks and merchants (ISO/IEC 7812-1, major industry identifiers 2 to 6)
// in the lengths that are in use. A time in milliseconds or nanoseconds begins with 1, one that is written out with 20.
func issued(digits []byte) bool {
	first, two := digits[0], int(digits[0])*10+int(digits[1])
	switch len(digits) {
	case 13:
		return first == 4
	case 14:
		return two == 30 || two == 36 || two == 38 || two == 39
	case 15:
		return two == 34 || two == 37
	case 16:
		return 22 <= two && two <= 27 || two == 35 || 40 <= two && two <= 69
	}
	return 40 <= two && two <= 69
}

// luhn checks the last digit by the others (ISO/IEC 7812-1, annex B).
func luhn(digits []byte) bool {
	sum := 0
	for i, d := range slices.Backward(digits) {
		n := int(d)
		if (len(digits)-1-i)%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// fraction says whether the digits at i are decimals: those of a position, say. What is before the point may have been
// taken out.
func fraction(s string, i int) bool {
	return i >= 2 && s[i-1] == '.' && (digit(s[i-2]) || strings.HasSuffix(s[:i-1], Blank))
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

const uuidSize = 36

// startsUUID says whether a UUID begins at i, and nothing longer.
func startsUUID(s string, i int) bool {
	if len(s)-i < uuidSize || s[i+8] != '-' || i > 0 && word(s[i-1]) || len(s)-i > uuidSize && word(s[i+uuidSize]) {
		return false
	}
	for j := range uuidSize {
		c := s[i+j]
		switch j {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !digit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

func word(c byte) bool { return digit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

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
