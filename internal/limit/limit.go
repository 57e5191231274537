// Package limit says how often somebody may do something.
//
// It counts in sliding windows, approximately: a window's count is that of the current one, and of the one before it the
// share that the sliding window still covers, as if its hits had come evenly. Two numbers a key are enough for that, and
// no burst at the seam of two windows passes twice.
//
// What it promises:
//
//   - Whoever keeps quiet for as long as [Decision] says is let through then. Refused tries count too: who goes on trying
//     waits on.
//   - What is counted is remembered under a digest: no address and no e-mail can be read where the counts are.
//   - Where nobody can count, everybody passes: a limit protects the system, and does not decide whether it works.
//
// Counters are adapters: memory, of one process, and redis, which all instances share. Their suite is limittest.
package limit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"time"
)

// Counter counts hits in windows. Implementations are safe for concurrent use.
type Counter interface {
	// Add counts each hit in the window of its length that holds the moment at, counted from the epoch, and returns for
	// each how many there are in that window now, and how many were in the one before it. All in one round trip. After
	// an error nobody knows which were counted.
	Add(ctx context.Context, at time.Time, hits ...Hit) ([]Count, error)
}

// Hit is something to be counted N times; 0 only looks.
type Hit struct {
	Key    string
	Window time.Duration // at least a millisecond, always the same for a key
	N      int64         // not negative
}

// Count is what was counted of a key: in the window that is running, and in the one before it.
type Count struct{ Now, Before int64 }

// Index is the number of the window of the length w that holds at.
func Index(at time.Time, w time.Duration) int64 { return at.UnixNano() / int64(w) }

// Rule allows so many hits in any time as long as the window. The zero value allows any number.
type Rule struct {
	Name   string // of what is limited, as clients see it: "address"
	Most   int64  // hits; 0: no limit
	Window time.Duration
}

// Void says whether the rule allows everything.
func (r Rule) Void() bool { return r.Most <= 0 }

// Decision is what a rule says of a hit.
type Decision struct {
	Rule  Rule
	OK    bool
	Left  int64         // hits that would pass now
	Reset time.Duration // until the running window ends
	Wait  time.Duration // where it is not OK: after so much quiet the next hit passes
}

// decide says what a rule makes of a count at a moment; the hit in question is in the count.
func (r Rule) decide(c Count, at time.Time) Decision {
	into := time.Duration(at.UnixNano() % int64(r.Window))
	rest := r.Window - into
	used := int64(math.Ceil(float64(c.Before)*float64(rest)/float64(r.Window))) + c.Now
	d := Decision{Rule: r, OK: used <= r.Most, Left: max(0, r.Most-used), Reset: rest}
	if !d.OK {
		d.Wait = r.wait(c, rest)
	}
	return d
}

// wait is how long after c, with rest of the running window to come, one more hit would pass. From before*part + now + 1
// <= most follows the part of the earlier window that may still count.
func (r Rule) wait(c Count, rest time.Duration) time.Duration {
	if room := r.Most - c.Now - 1; room >= 0 {
		return r.until(c.Before, room, rest)
	}
	return rest + r.until(c.Now, r.Most-1, r.Window)
}

// until is how long it takes until of the hits of the window before, rest of which is still covered, room are left. A
// millisecond more makes up for rounding.
func (r Rule) until(before, room int64, rest time.Duration) time.Duration {
	if before <= room {
		return time.Millisecond
	}
	covered := time.Duration(float64(r.Window) * float64(room) / float64(before))
	return max(0, rest-covered) + time.Millisecond
}

// Ask is a question about a key: may it be hit N times more under the rule? N is 1 mostly; 0 asks whether one hit more
// would pass, and counts none.
type Ask struct {
	Rule Rule
	Key  string
	N    int64
}

// Limiter applies rules. It is safe for concurrent use.
type Limiter struct {
	counter Counter
	now     func() time.Time
}

// New makes a limiter. now is real time: limits protect the machine, whatever the system's clock shows.
func New(counter Counter, now func() time.Time) *Limiter { return &Limiter{counter, now} }

// Allow counts a hit of the key, and says whether it may pass.
func (l *Limiter) Allow(ctx context.Context, r Rule, key string) Decision {
	return l.Decide(ctx, Ask{r, key, 1})[0]
}

// Decide answers several questions in one round trip, in their order. It counts for all of them, whatever the answers
// are.
func (l *Limiter) Decide(ctx context.Context, asks ...Ask) []Decision {
	at := l.now()
	decisions := make([]Decision, len(asks))
	hits := make([]Hit, 0, len(asks))
	for i, a := range asks {
		decisions[i] = Decision{Rule: a.Rule, OK: true, Left: math.MaxInt64}
		if !a.Rule.Void() {
			hits = append(hits, Hit{Key: a.Rule.Name + ":" + digest(a.Key), Window: a.Rule.Window, N: a.N})
		}
	}
	if len(hits) == 0 {
		return decisions
	}
	counts, err := l.counter.Add(ctx, at, hits...)
	if err != nil { // told by whoever counts
		return decisions
	}
	for i, a := range asks {
		if a.Rule.Void() {
			continue
		}
		if a.N == 0 {
			counts[0].Now++ // the hit that is asked about
		}
		decisions[i] = a.Rule.decide(counts[0], at)
		counts = counts[1:]
	}
	return decisions
}

// Note counts a hit whatever the limit, for a rule that another request will be asked about.
func (l *Limiter) Note(ctx context.Context, r Rule, key string) { l.Decide(ctx, Ask{r, key, 1}) }

// digest hides what is counted, and makes it short: 128 bits of SHA-256.
func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
