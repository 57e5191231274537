package main

import (
	"strings"
	"testing"
)

var helps = map[string]string{
	"": `Usage: tiffin <command> [flags]

Flags:
  -h, --help     Show help.
      --log=X    How much.

Commands:
  order      Place
             and read.
  version    Print the version.

Run "tiffin <command> --help" for more.
`,
	"order": `Usage: tiffin order <command>

Flags:
  -h, --help     Show help.
      --log=X    How much.

Commands:
  order get     Show an order.
`,
	"order get": `Usage: tiffin order get <id> [flags]

Show an order.

Arguments:
  <id>    The order.

Flags:
  -h, --help     Show help.
      --log=X    How much.

      --json     Print JSON.
`,
	"version": "Usage: tiffin version [flags]\n\nFlags:\n  -h, --help    Show help.\n",
}

func TestDocument(t *testing.T) {
	text, err := document(func(words ...string) (string, error) { return helps[strings.Join(words, " ")], nil })
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(text, "\n## ")
	want := "tiffin\n\n```\n" + strings.TrimSpace(helps[""]) + "\n```\n" +
		"\n## tiffin order\n\n```\nUsage: tiffin order <command>\n\nCommands:\n  order get     Show an order.\n```\n" +
		"\n## tiffin order get\n\n```\nUsage: tiffin order get <id> [flags]\n\nShow an order.\n\nArguments:\n  <id>    The order.\n\nFlags:\n      --json     Print JSON.\n```\n" +
		"\n## tiffin version\n\n```\nUsage: tiffin version [flags]\n```\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
