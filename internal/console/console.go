// Package console writes for people: aligned tables, and colour where the output is a terminal that wants it.
package console

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// Paint colours text for one output; for anything but a terminal (and under NO_COLOR) it changes nothing.
type Paint struct{ r *lipgloss.Renderer }

// NewPaint finds out what w can show.
func NewPaint(w io.Writer) Paint { return Paint{lipgloss.NewRenderer(w)} }

// Colours says whether there are any.
func (p Paint) Colours() bool { return p.r.ColorProfile() != termenv.Ascii }

func (p Paint) style(colour string, s string) string {
	return p.r.NewStyle().Foreground(lipgloss.Color(colour)).Render(s)
}

// Bold is for what matters most.
func (p Paint) Bold(s string) string { return p.r.NewStyle().Bold(true).Render(s) }

// Dim is for what matters least.
func (p Paint) Dim(s string) string { return p.style("8", s) }

// Good is for what is well.
func (p Paint) Good(s string) string { return p.style("2", s) }

// Bad is for what is not.
func (p Paint) Bad(s string) string { return p.style("1", s) }

// Status colours an order's status.
func (p Paint) Status(s wire.Status) string {
	switch s {
	case wire.Delivered:
		return p.Good(string(s))
	case wire.PaymentFailed, wire.OrderCancelled, wire.Reimbursed:
		return p.Bad(string(s))
	}
	return p.style("6", string(s))
}

// Table writes rows under a header in aligned columns. Columns whose header ends in a blank are right-aligned.
func Table(w io.Writer, p Paint, header []string, rows [][]string) error {
	widths := make([]int, len(header))
	for i, h := range header {
		widths[i] = lipgloss.Width(strings.TrimSuffix(h, " "))
		for _, row := range rows {
			widths[i] = max(widths[i], lipgloss.Width(row[i]))
		}
	}
	var b strings.Builder
	line := func(row []string, paint func(string) string) {
		for len(row) > 0 && row[len(row)-1] == "" { // no blanks at the end of a line
			row = row[:len(row)-1]
		}
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-lipgloss.Width(cell))
			last := i == len(row)-1
			switch right := strings.HasSuffix(header[i], " "); {
			case right:
				b.WriteString(pad + paint(cell))
			case last:
				b.WriteString(paint(cell))
			default:
				b.WriteString(paint(cell) + pad)
			}
			if !last {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	names := make([]string, len(header))
	for i, h := range header {
		names[i] = strings.TrimSuffix(h, " ")
	}
	line(names, p.Dim)
	for _, row := range rows {
		line(row, func(s string) string { return s })
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Pairs writes names and values, one pair a line.
func Pairs(w io.Writer, p Paint, pairs [][2]string) error {
	width := 0
	for _, pair := range pairs {
		width = max(width, lipgloss.Width(pair[0]))
	}
	for _, pair := range pairs {
		if _, err := fmt.Fprintf(w, "%s%s  %s\n", p.Dim(pair[0]), strings.Repeat(" ", width-lipgloss.Width(pair[0])), pair[1]); err != nil {
			return err
		}
	}
	return nil
}

// JSON writes v for a script.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Clock is a moment as tables show it.
func Clock(t time.Time) string { return t.UTC().Format("15:04:05") }
