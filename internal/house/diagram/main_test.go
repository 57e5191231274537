package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestTheStatusPageIsCurrent(t *testing.T) {
	const page = "../../../docs/status.md"
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ReplaceAll(string(got), "\r\n", "\n") != document(order.Graph) {
		t.Errorf("%s is not what order.Graph says: run make generate", page)
	}
}

func TestDocument(t *testing.T) {
	text := document([]order.Edge{{From: wire.Created, To: wire.PaymentFailed, By: "payment"}})
	for _, line := range []string{
		"    [*] --> created\n", "    created --> paymentFailed: payment\n", "    paymentFailed --> [*]\n",
		"| `created` | `paymentFailed` (payment) |\n", "| `paymentFailed` | nothing |\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if strings.Contains(text, "    created --> [*]\n") {
		t.Error("created is not final")
	}
}
