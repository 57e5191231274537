package durable

import "time"

// MaxBackoff is the longest wait between two attempts at an effect, backoffFirst the first.
const (
	MaxBackoff   = 30 * time.Second
	backoffFirst = 200 * time.Millisecond
)

// backoff is the wait before the attempt after the given one: doubling from backoffFirst to MaxBackoff, times a
// jitter between ½ and 1 that is drawn from id and attempt, so that records spread and a history repeats.
func backoff(id string, attempt int) time.Duration {
	d := MaxBackoff
	if attempt < 8 {
		d = min(d, backoffFirst<<attempt)
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	h = (h ^ uint64(attempt)) * 1099511628211
	h = (h ^ h>>32) * 1099511628211 // the attempt reaches every bit
	return d/2 + time.Duration((h>>16)%uint64(d/2))
}
