package console_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestTable(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		rows   [][]string
		want   []string
	}{
		{"no rows", []string{"ID", "STATUS"}, nil, []string{"ID  STATUS"}},
		{"aligned, no blanks at the end of a line", []string{"ID", "STATUS", "WHY"}, [][]string{{"1", "delivered", ""}, {"23", "created", "x"}},
			[]string{"ID  STATUS     WHY", "1   delivered", "23  created    x"}},
		{"numbers to the right", []string{"N ", "WHAT", "SUM "}, [][]string{{"7", "a", "1.00"}, {"1234", "b", "25.90"}},
			[]string{"   N  WHAT    SUM", "   7  a      1.00", "1234  b     25.90"}},
		{"wide characters", []string{"NAME", "N "}, [][]string{{"Zürich", "1"}, {"東京", "2"}},
			[]string{"NAME    N", "Zürich  1", "東京    2"}},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		err := console.Table(&b, console.NewPaint(&b), tt.header, tt.rows)
		if want := strings.Join(tt.want, "\n") + "\n"; err != nil || b.String() != want {
			t.Errorf("%s: %v\ngot\n%swant\n%s", tt.name, err, b.String(), want)
		}
	}
}

func TestPairs(t *testing.T) {
	var b bytes.Buffer
	err := console.Pairs(&b, console.NewPaint(&b), [][2]string{{"orders", "12"}, {"door", "yes"}})
	if want := "orders  12\ndoor    yes\n"; err != nil || b.String() != want {
		t.Errorf("%q, %v", b.String(), err)
	}
}

// TestNoColours: what is no terminal gets the text and nothing else.
func TestNoColours(t *testing.T) {
	p := console.NewPaint(&bytes.Buffer{})
	if p.Colours() {
		t.Error("a buffer has colours")
	}
	for _, paint := range []func(string) string{p.Bold, p.Dim, p.Good, p.Bad} {
		if got := paint("x"); got != "x" {
			t.Errorf("%q", got)
		}
	}
	for _, s := range wire.Statuses {
		if got := p.Status(s); got != string(s) {
			t.Errorf("%q", got)
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := console.JSON(&b, map[string]string{"what": "a <b> & c"}); err != nil || b.String() != "{\n  \"what\": \"a <b> & c\"\n}\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestClock(t *testing.T) {
	at := time.Date(2026, 3, 1, 13, 4, 5, 0, time.FixedZone("there", 3600))
	if got := console.Clock(at); got != "12:04:05" {
		t.Errorf("%q", got)
	}
}

// full is a terminal whose other end is gone.
type full struct{}

var errGone = errors.New("broken pipe")

func (full) Write([]byte) (int, error) { return 0, errGone }

func TestOutputFails(t *testing.T) {
	p := console.NewPaint(full{})
	for what, err := range map[string]error{
		"Table": console.Table(full{}, p, []string{"A"}, [][]string{{"1"}}),
		"Pairs": console.Pairs(full{}, p, [][2]string{{"a", "1"}}),
		"JSON":  console.JSON(full{}, 1),
	} {
		if !errors.Is(err, errGone) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
