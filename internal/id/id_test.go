package id_test

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/id"
)

func TestIDsAreVersion7AndAscend(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := id.NewSource(func() time.Time { return now }, bytes.NewReader(bytes.Repeat([]byte{0xff, 0x00, 0xa5}, 1<<16)))
	shape := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	last := ""
	for i := range 10_000 { // more than the counter holds within one millisecond
		if i == 9_000 {
			now = now.Add(-time.Hour) // the clock going back changes nothing
		}
		got := s.New()
		if !shape.MatchString(got) {
			t.Fatalf("%s is not a UUID of version 7", got)
		}
		if got <= last {
			t.Fatalf("%s after %s", got, last)
		}
		last = got
	}
}
