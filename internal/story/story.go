// Package story tells what really happened to an order: as a timeline, and as a sequence diagram.
package story

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/order"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
)

// Timeline writes the story a line an event, and what is still to be done below.
func Timeline(w io.Writer, p console.Paint, s orderapi.Story) error {
	rows := make([][]string, len(s.Notes))
	for i, n := range s.Notes {
		who := n.From + " → " + n.To
		if n.From == n.To {
			who = n.From
		}
		rows[i] = []string{
			console.Clock(n.At), n.At.Sub(s.Order.Created).Round(100_000_000).String(), who, oneLine(n.What),
		}
	}
	if _, err := fmt.Fprintf(w, "%s  %s\n\n", p.Bold(s.Order.ID), p.Status(s.Order.Status)); err != nil {
		return err
	}
	if err := console.Table(w, p, []string{"TIME", "AFTER ", "WHO", "WHAT"}, rows); err != nil {
		return err
	}
	if len(s.Owed) == 0 {
		return nil
	}
	rows = rows[:0]
	for _, o := range s.Owed {
		why := oneLine(o.Last)
		if o.Parked != "" {
			why = p.Bad("parked: " + oneLine(o.Parked))
		}
		rows = append(rows, []string{console.Clock(o.Due), o.Service, o.Name, o.Kind, fmt.Sprint(o.Attempt), why})
	}
	if _, err := fmt.Fprintln(w, "\nStill to be done:"); err != nil {
		return err
	}
	return console.Table(w, p, []string{"DUE", "SERVICE", "NAME", "KIND", "TRIED ", "WHY NOT YET"}, rows)
}

// oneLine takes out what would break a line or command a terminal: reasons are written by customers and companies.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// parties are the columns of the diagram, in the order of the contract's sequence.
var parties = []string{"customer", "operator", "order", "payment", "customers", "delivery", "kitchen"}

// Mermaid writes the story as a Mermaid sequence diagram.
func Mermaid(w io.Writer, s orderapi.Story) error {
	var b strings.Builder
	b.WriteString("sequenceDiagram\n")
	told := func(who string) bool {
		return slices.ContainsFunc(s.Notes, func(n order.Note) bool { return n.From == who || n.To == who })
	}
	for _, who := range parties {
		if told(who) {
			fmt.Fprintf(&b, "    participant %s\n", who)
		}
	}
	for _, n := range s.Notes {
		what := strings.NewReplacer(";", ",", "#", "").Replace(oneLine(n.What))
		after := n.At.Sub(s.Order.Created).Round(100_000_000)
		if n.From == n.To {
			fmt.Fprintf(&b, "    Note over %s: %s (+%s)\n", n.From, what, after)
		} else {
			arrow := "->>"
			if n.To == "order" && n.From != "customer" && n.From != "operator" {
				arrow = "-)" // a message through a queue
			}
			fmt.Fprintf(&b, "    %s%s%s: %s (+%s)\n", n.From, arrow, n.To, what, after)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
