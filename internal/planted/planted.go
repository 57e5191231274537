// Package planted holds the bugs that the proof must catch: one switch for each mistake of INVARIANTS, placed in
// the code that ships, at the very line where the mistake is usually made. Nothing but a test can throw one:
// Plant panics outside a test binary, and a test of the house lets only tests call it.
package planted

import (
	"sync/atomic"
	"testing"
)

// Bug names one planted mistake.
type Bug uint32

// The planted mistakes, in the order of the invariants' list.
const (
	RefundBeforeCancelCheck Bug = iota
	StatusOverwrittenByLateEvent
	AckBeforeCommit
	EffectLostAfterCommit
	EffectSentBeforeCommit
	NoDedupOfCallbacks
	NewKeyPerAttempt
	RefundAmountRecomputed
	CancelAfterDriverAvailable
	CookingBeforePayment
	LatePaymentNotRefunded
	OutboxRemovedBeforeConfirm
	ClaimWithoutLease
	TimerNotPersisted
	DeadLetterNotRecorded
	VersionCheckDropped
	CacheBeforeStore
	ConflictWithoutReload
	Count // how many there are
)

var names = [Count]string{
	"refund before the cancel check", "status overwritten by a late event", "ack before commit",
	"effect lost between commit and send", "effect sent before commit", "no dedup of callbacks",
	"new idempotency key per attempt", "refund amount recomputed", "cancel allowed after driverAvailable",
	"cooking started before payment", "payment after cancel not refunded",
	"outbox entry removed before the confirm", "claim without a lease", "timer not persisted",
	"dead letter acknowledged without a record", "version check dropped from a save",
	"cache written before the store", "conflict retried without reloading",
}

func (b Bug) String() string { return names[b] }

var on atomic.Uint32

// Is reports whether b is planted; always false outside tests.
func Is(b Bug) bool { return on.Load()&(1<<b) != 0 }

// Plant puts b in for the rest of a test. Tests that plant must not run in parallel with others.
func Plant(t testing.TB, b Bug) {
	if !testing.Testing() {
		panic("planted: a bug was planted outside a test")
	}
	t.Helper()
	on.Or(1 << b)
	t.Cleanup(func() { on.And(^uint32(1 << b)) })
}
