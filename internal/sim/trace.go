package sim

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// entry is one line of a world's story.
type entry struct {
	at   int64
	who  string
	what string
	a, b string
	n    int64
}

func (e entry) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%14s  %-12s %s", time.Duration(e.at).Round(time.Microsecond), e.who, e.what)
	for _, v := range []string{e.a, e.b} {
		if v != "" {
			s.WriteByte(' ')
			s.WriteString(v)
		}
	}
	if e.n != 0 {
		fmt.Fprintf(&s, " %d", e.n)
	}
	return s.String()
}

// tail is how much of a story is told with a violation.
const tail = 400

// story keeps the last entries and a hash of all of them.
type story struct {
	ring [tail]entry
	n    int
	hash uint64
	out  io.Writer // everything, as it happens; nil: nowhere
}

func (t *story) tell(e entry) {
	t.ring[t.n%tail] = e
	t.n++
	h := mix(t.hash, uint64(e.at))
	h = mixString(h, e.who)
	h = mixString(h, e.what)
	h = mixString(h, e.a)
	h = mixString(h, e.b)
	t.hash = mix(h, uint64(e.n))
	if t.out != nil {
		if _, err := fmt.Fprintln(t.out, e); err != nil {
			t.out = nil // nobody listens any more
		}
	}
}

// last tells the end of the story.
func (t *story) last() []string {
	var lines []string
	for i := max(0, t.n-tail); i < t.n; i++ {
		lines = append(lines, t.ring[i%tail].String())
	}
	return lines
}

// mix folds v into a hash.
func mix(h, v uint64) uint64 {
	h ^= v
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func mixString(h uint64, s string) uint64 {
	h = mix(h, uint64(len(s)))
	for len(s) >= 8 {
		h = mix(h, uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|
			uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)
		s = s[8:]
	}
	var v uint64
	for i := range len(s) {
		v |= uint64(s[i]) << (8 * i)
	}
	return mix(h, v)
}
