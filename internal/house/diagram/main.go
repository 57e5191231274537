// Command diagram draws the order's transition table, order.Graph, as docs/status.md.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func main() {
	if len(os.Args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: diagram FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(document(order.Graph)), 0o644); err != nil { //nolint:gosec // a document is for everybody
		_, _ = fmt.Fprintln(os.Stderr, "diagram:", err)
		os.Exit(1)
	}
}

const head = `<!-- Generated from order.Graph by internal/house/diagram; see make generate. Do not edit. -->

# The status of an order

What may follow what, and who brings it about. The table is ` + "`order.Graph`" + ` in
[internal/order/graph.go](../internal/order/graph.go); the code and this page cannot differ.

`

const foot = `
` + "`orderCancelled`" + ` is final where no money moved, and leads to ` + "`reimbursed`" + ` where it did. What each status means and
how an order gets there is told in [architecture.md](architecture.md).
`

// document is the page about the graph.
func document(graph []order.Edge) string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	for _, s := range wire.Statuses {
		if !enters(graph, s) {
			fmt.Fprintf(&b, "    [*] --> %s\n", s)
		}
	}
	for _, e := range graph {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", e.From, e.To, e.By)
	}
	for _, s := range wire.Statuses {
		if !leaves(graph, s) {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	fmt.Fprintf(&b, "    %s --> [*]: no money moved\n", wire.OrderCancelled)
	b.WriteString("```\n\n| status | may be followed by |\n|---|---|\n")
	for _, s := range wire.Statuses {
		next := []string{}
		for _, e := range graph {
			if e.From == s {
				next = append(next, fmt.Sprintf("%#q (%s)", e.To, e.By))
			}
		}
		if len(next) == 0 {
			next = append(next, "nothing")
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", s, strings.Join(next, ", "))
	}
	b.WriteString(foot)
	return b.String()
}

func enters(graph []order.Edge, s wire.Status) bool {
	return slices.ContainsFunc(graph, func(e order.Edge) bool { return e.To == s })
}

func leaves(graph []order.Edge, s wire.Status) bool {
	return slices.ContainsFunc(graph, func(e order.Edge) bool { return e.From == s })
}
