package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Money is an amount in the minor unit of an ISO 4217 currency with two decimals: {"amount":1295,"currency":"EUR"}
// is 12.95 Euros.
type Money struct {
	Amount   int64  `json:"amount" doc:"Minor units (cents)" minimum:"0"`
	Currency string `json:"currency" doc:"ISO 4217 code" pattern:"^[A-Z]{3}$" example:"EUR"`
}

// Euro is the currency of the original routes.
const Euro = "EUR"

func (m Money) String() string {
	return fmt.Sprintf("%s %s", Decimal(m.Amount), m.Currency)
}

// Times is n times m.
func (m Money) Times(n int64) Money { return Money{m.Amount * n, m.Currency} }

// Decimal is an amount of minor units as the original routes write it: a decimal number of major units in JSON,
// read and written exactly.
type Decimal int64

func (d Decimal) String() string {
	sign, v := "", uint64(d)
	if d < 0 {
		sign, v = "-", -v
	}
	return fmt.Sprintf("%s%d.%02d", sign, v/100, v%100)
}

// MarshalJSON writes 1295 as 12.95.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalJSON reads a JSON number with up to two decimals (more only where they are zero).
func (d *Decimal) UnmarshalJSON(b []byte) error {
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("amount %s is not a number", b)
	}
	v, err := ParseDecimal(n.String())
	*d = v
	return err
}

// ParseDecimal reads "12.95", "12.9" or "12".
func ParseDecimal(s string) (Decimal, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 2 || strings.ContainsAny(digits, "eE+-") {
		return 0, fmt.Errorf("amount %s is not a number with at most two decimals", s)
	}
	v, err := strconv.ParseInt(whole+fraction+"00"[len(fraction):], 10, 64)
	if err != nil || whole == "" {
		return 0, fmt.Errorf("amount %s is not a number with at most two decimals", s)
	}
	if negative {
		v = -v
	}
	return Decimal(v), nil
}
