package wire_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/wire"
)

func TestParseDecimal(t *testing.T) {
	good := map[string]wire.Decimal{
		"0": 0, "12": 1200, "12.9": 1290, "12.95": 1295, "0.05": 5, "-3.5": -350, "12.950": 1295, "12.000000": 1200, "007": 700,
		"92233720368547758.07": math.MaxInt64,
	}
	for text, want := range good {
		if got, err := wire.ParseDecimal(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "-", ".", ".5", "12.955", "1e3", "1E3", "+5", "--5", "-+5", "5.-1", "5.+1", "1,5", " 1", "1 ", "1_000", "0x10", "NaN", "Inf",
		"1.2.3", "92233720368547758.08", "100000000000000000000",
	} {
		if got, err := wire.ParseDecimal(text); err == nil {
			t.Errorf("%q is taken as %s", text, got)
		}
	}
}

func TestDecimalJSON(t *testing.T) {
	var body struct {
		Amount wire.Decimal `json:"amount"`
	}
	for text, want := range map[string]wire.Decimal{`12.95`: 1295, `10`: 1000, `-0.5`: -50, `25.90`: 2590, `1.100`: 110} {
		if err := json.Unmarshal([]byte(`{"amount":`+text+`}`), &body); err != nil || body.Amount != want {
			t.Errorf("%s: %d, %v", text, body.Amount, err)
		}
	}
	for _, text := range []string{`true`, `null`, `"x"`, `{}`, `[1]`, `1.005`, `1e2`} {
		err := json.Unmarshal([]byte(`{"amount":`+text+`}`), &body)
		if err == nil || !strings.Contains(err.Error(), "amount") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestDecimalRoundTrip: what is written is read as it was, by our parser and as a JSON number.
func TestDecimalRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := wire.Decimal(rapid.Int64Min(math.MinInt64+1).Draw(t, "amount"))
		if got, err := wire.ParseDecimal(d.String()); err != nil || got != d {
			t.Fatalf("%d is written %s and read as %d (%v)", int64(d), d, int64(got), err)
		}
		b, err := json.Marshal(d)
		if err != nil || string(b) != d.String() || !json.Valid(b) {
			t.Fatalf("%d is %s in JSON (%v)", int64(d), b, err)
		}
		var back wire.Decimal
		if err := json.Unmarshal(b, &back); err != nil || back != d {
			t.Fatalf("%s is read as %d (%v)", b, int64(back), err)
		}
	})
	if got, want := wire.Decimal(math.MinInt64).String(), "-92233720368547758.08"; got != want {
		t.Errorf("the smallest is written %s, want %s", got, want)
	}
}

func TestMoney(t *testing.T) {
	price := wire.Money{Amount: 1295, Currency: wire.Euro}
	if got := price.String(); got != "12.95 EUR" {
		t.Errorf("%q", got)
	}
	if got, want := price.Times(3), (wire.Money{Amount: 3885, Currency: wire.Euro}); got != want {
		t.Errorf("three times: %v", got)
	}
}

// FuzzParseDecimal: what is taken is written and read as the same amount.
func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{"12.95", "-3.5", "--5", "1e3", ".5", "12.950", "92233720368547758.08", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := wire.ParseDecimal(text)
		if err != nil {
			return
		}
		if again, err := wire.ParseDecimal(d.String()); err != nil || again != d {
			t.Fatalf("%q is %s is %s (%v)", text, d, again, err)
		}
		if negative := strings.HasPrefix(text, "-"); negative && d > 0 || !negative && d < 0 {
			t.Fatalf("%q is %s", text, d)
		}
	})
}
