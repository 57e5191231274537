package redact_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/redact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// card is a number with its check digit, of no card.
const card = "4242424242424242"

func TestNumbers(t *testing.T) {
	for s, want := range map[string]string{
		card:                               "[redacted]",
		"card 4242 4242 4242 4242, thanks": "card [redacted], thanks",
		"4242-4242-4242-4242":              "[redacted]",
		"3782 822463 10005":                "[redacted]",
		"30569309025904":                   "[redacted]",
		"2223003122003222":                 "[redacted]",
		"6799990100000000019":              "[redacted]",
		"on 2026-03-01 " + card:            "on 2026-03-01 [redacted]",
		"12 4242 4242 4242 4242":           "12 [redacted]",
		card + "-" + card:                  "[redacted]-[redacted]",
		"tok_" + card:                      "tok_[redacted]",
		"ü" + card + "ü":                   "ü[redacted]ü",
		"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e/" + card: "0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e/[redacted]",
	} {
		if got := redact.Numbers(s); got != want || !redact.Card(s) || redact.Card(got) {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
	for _, s := range []string{
		"", "4242424242424243", "42424242424242424242", "42 42 42 42 42 42 42 42", "4242  4242  4242  4242",
		"0190a000-4242-4242-8242-424242424242", "42424242-4242-4242-8242-424242424242", "11111111-2222-4333-8444-555555555555",
		"1767225600000", "1767225600000000007", "20260101000000", "2026010100000000", "13.4242424242424242",
		"+49 30 1234567890", "2026-03-01T12:00:00.123456789Z",
	} {
		if got := redact.Numbers(s); got != s || redact.Card(s) {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestKey(t *testing.T) {
	once, again := redact.Key(card), redact.Key(strings.Clone(card))
	if redact.Key("k") != "k" || once != again || strings.Contains(redact.Key(card), card) ||
		redact.Key(card) == redact.Key("4000056655665556") || redact.Card(redact.Key(card)) {
		t.Error(redact.Key(card))
	}
}

func TestCanonical(t *testing.T) {
	const order = "01980000-1234-4234-8234-123456789012"
	for _, tt := range []struct{ what, body, want string }{
		{"nothing to hide", `{ "status":"paymentPaid", "amount":12.90,"caller_id":"` + order + `" }`,
			`{"amount":12.90,"caller_id":"` + order + `","status":"paymentPaid"}`},
		{"a number", `{"transaction_id":"` + card + `"}`, `{"transaction_id":"[redacted]"}`},
		{"a number as one", `{"x":` + card + `}`, `{"x":"[redacted]"}`},
		{"in groups, in a sentence", `{"x":"card 4242 4242 4242 4242, thanks"}`, `{"x":"card [redacted], thanks"}`},
		{"with dashes", `{"x":"4242-4242-4242-4242"}`, `{"x":"[redacted]"}`},
		{"American Express", `["3782 822463 10005"]`, `["[redacted]"]`},
		{"as a name", `{"` + card + `":1}`, `{"[redacted]":1}`},
		{"without a check digit", `{"x":"4242424242424243"}`, `{"x":"4242424242424243"}`},
		{"too long for one", `{"x":"42424242424242424242"}`, `{"x":"42424242424242424242"}`},
		{"fields by their names", `{"a":{"CVV":"123","cvc2":9,"card_number":"x","PAN":"y","Card-Number":{"z":1}},"company":"z"}`,
			`{"a":{"CVV":"[redacted]","Card-Number":"[redacted]","PAN":"[redacted]","card_number":"[redacted]","cvc2":"[redacted]"},"company":"z"}`},
		{"no JSON", "paid with " + card + "\xff", "paid with [redacted]\uFFFD"},
		{"two values", `{} ` + card, `{} [redacted]`},
	} {
		if got := redact.Canonical([]byte(tt.body), 4096); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
	if got := redact.Canonical([]byte(`{"x":"`+strings.Repeat("ü", 5000)+`"}`), 4096); len(got) > 4096 || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
}

func TestBody(t *testing.T) {
	for _, same := range []string{`{ "b":1,  "a":"x" }`, "\xff", "", `{"a":1}{`, `{"id":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e"}`, `{"CVV":""}`, `{"a":"cvv","b":["pan"]}`} {
		if got := redact.Body([]byte(same)); string(got) != same {
			t.Errorf("%s became %s", same, got)
		}
	}
	for body, want := range map[string]string{
		`{ "b":` + card + `, "a":"` + card + `"}`: `{"a":"[redacted]","b":"[redacted]"}`,
		`{"cvv":"123","x":{"PAN":[1]}}`:           `{"cvv":"[redacted]","x":{"PAN":"[redacted]"}}`,
		`{"a":"` + card + `","a":"x"}`:            `{"a":"x"}`,
		"not JSON, " + card:                       "not JSON, [redacted]",
		"{\"pan\" \t\r\n:1}":                      `{"pan":"[redacted]"}`,
		`{"\u0070an":1}`:                          `{"pan":"[redacted]"}`,
		`{"a":"4111\u0031111 1111 1111"}`:         `{"a":"[redacted]"}`,
	} {
		got := redact.Body([]byte(body))
		if string(got) != want {
			t.Errorf("%s became %s, want %s", body, got, want)
		}
		if again := redact.Body(got); !bytes.Equal(again, got) {
			t.Errorf("%s became %s", got, again)
		}
	}
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{card, "a 4111-1111-1111-1111 b", "1 2 3", "é4242 4242 4242 4242é", "", card + "-0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := redact.Numbers(s)
		if redact.Card(once) || redact.Numbers(once) != once {
			t.Errorf("%q became %q, and that %q", s, once, redact.Numbers(once))
		}
		if redact.Card(s) != (once != s) {
			t.Errorf("%q became %q", s, once)
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"cvv":"123","x":["` + card + `"]}`))
	f.Add([]byte("x " + card))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got := redact.Canonical(body, 4096); len(got) > 4096 || !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
		got := redact.Body(body)
		if redact.Card(string(got)) {
			t.Errorf("%q became %q", body, got)
		}
		if whole := redact.Canonical(body, 1<<20); json.Valid(body) && redact.Canonical(got, 1<<20) != whole {
			t.Errorf("%q became %q, want what is in %q", body, got, whole) // decoded or not
		}
	})
}

func BenchmarkCard(b *testing.B) {
	text := strings.Repeat("Veil with glazed onions and blue cheese 0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e ", 2)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if redact.Card(text) {
			b.Fatal(text)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	body := []byte(`{"status":"deliveryScheduled","metadata":{"order_id":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e",` +
		`"customer_id":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e"},"delivery_id":"0190e2a6-7b1c-7e55-8c0f-6a1f2b3c4d5e"}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if &redact.Body(body)[0] != &body[0] {
			b.Fatal(string(body))
		}
	}
}
