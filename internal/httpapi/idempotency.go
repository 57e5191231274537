package httpapi

import "github.com/tiffin-food/tiffin/internal/durable"

// IdempotencyHeader names the header that makes a repeated request the same request.
const IdempotencyHeader = "Idempotency-Key"

// Idempotency is for embedding into an input: the optional key, 1 to 255 visible ASCII characters, checked.
type Idempotency struct {
	Key string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]+$" patternDescription:"visible ASCII" doc:"Makes a repeated request the same request: the same key with the same body is answered as before, with another body it is refused"`
}

// CheckKey says what is wrong with an idempotency key: a *durable.Refusal, or nil.
func CheckKey(key string) error {
	bad := len(key) == 0 || len(key) > 255
	for i := 0; i < len(key) && !bad; i++ {
		bad = key[i] < '!' || key[i] > '~'
	}
	if bad {
		return &durable.Refusal{Code: durable.Invalid, Field: "header." + IdempotencyHeader,
			Detail: "expected 1 to 255 visible ASCII characters"}
	}
	return nil
}
