package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Fault is one kind of trouble that a world can be given.
type Fault uint8

// The faults. Each can be switched on by its name.
const (
	Crash            Fault = iota // an instance dies before or after an act, and comes back under a new owner
	Stall                         // an instance stops longer than a lease and goes on with old memory
	Evict                         // an instance forgets a record that is at rest
	Skew                          // an instance's clock is up to an hour off
	ClockJump                     // everybody's clock jumps an hour forward
	SaveConflict                  // the store says conflict where there was none
	SaveUnknown                   // nobody knows whether a write took place: it did, it did not, or it will
	StoreBusy                     // the store fails and nothing was written
	LostRequest                   // a request never arrives
	LostResponse                  // a request is carried out and its answer is lost
	Slow                          // a request takes seconds
	ServerError                   // 5xx, before or after the request was carried out
	DuplicateRequest              // a request arrives twice
	Hang                          // a request is given up and carried out minutes later
	EarlyCallback                 // a company calls back before it has answered
	RepeatCallback                // a company calls back up to ten times
	Silent                        // a company never calls back, but answers when it is asked
	LatePayment                   // the card company decides after twenty minutes
	Outage                        // a company is down for minutes
	Publish                       // a message is lost before the broker confirmed it
	Confirm                       // the broker has the message and its confirm is lost
	Duplicate                     // a message is delivered again
	Reorder                       // a message is overtaken
	Delay                         // a message comes hours later
	NoID                          // a message comes without its id
	Poison                        // a message that nobody can apply
	Refusals                      // cards are declined, companies refuse, no driver is found, restaurants sleep
	Cancels                       // customers cancel at any moment, some twice
	Operators                     // operators cancel
	Repeats                       // customers place the same order again, or another under the same key
	Deletes                       // customers delete finished orders
	LostMessage                   // a confirmed message is gone, as when somebody deletes a queue
	faultCount
)

var faultNames = [faultCount]string{
	"crash", "stall", "evict", "skew", "clock-jump", "save-conflict", "save-unknown", "store-busy", "lost-request",
	"lost-response", "slow", "server-error", "duplicate-request", "hang", "early-callback", "repeat-callback",
	"silent", "late-payment", "outage", "publish", "confirm", "duplicate", "reorder", "delay", "no-id", "poison",
	"refusals", "cancels", "operators", "repeats", "deletes", "lost-message",
}

func (f Fault) String() string { return faultNames[f] }

// oneIn is how rare a fault is at each opportunity, before a world makes it rarer.
var oneIn = [faultCount]uint32{
	Crash: 200, Stall: 800, Evict: 60, Skew: 2, ClockJump: 2, SaveConflict: 60, SaveUnknown: 60, StoreBusy: 60,
	LostRequest: 40, LostResponse: 40, Slow: 30, ServerError: 40, DuplicateRequest: 30, Hang: 60,
	EarlyCallback: 10, RepeatCallback: 8, Silent: 10, LatePayment: 12, Outage: 1,
	Publish: 20, Confirm: 20, Duplicate: 12, Reorder: 6, Delay: 60, NoID: 8, Poison: 1,
	Refusals: 10, Cancels: 4, Operators: 25, Repeats: 4, Deletes: 4, LostMessage: 30,
}

// Faults is a set of faults.
type Faults uint64

// All faults, and none.
const (
	All  Faults = 1<<faultCount - 1
	None Faults = 0
)

// Has says whether f is in the set.
func (s Faults) Has(f Fault) bool { return s&(1<<f) != 0 }

// With is the set with f.
func (s Faults) With(f Fault) Faults { return s | 1<<f }

// Without is the set without f.
func (s Faults) Without(f Fault) Faults { return s &^ (1 << f) }

// String is the list that ParseFaults reads.
func (s Faults) String() string {
	switch s {
	case All:
		return "all"
	case None:
		return "none"
	}
	var names []string
	for f := range faultCount {
		if s.Has(f) {
			names = append(names, f.String())
		}
	}
	return strings.Join(names, ",")
}

// ParseFaults reads "all", "none" or names separated by commas; a name behind a minus sign is taken out again.
func ParseFaults(list string) (Faults, error) {
	var s Faults
	for i, name := range strings.Split(list, ",") {
		name, minus := strings.CutPrefix(strings.TrimSpace(name), "-")
		if minus && i == 0 {
			s = All
		}
		var named Faults
		switch f := slices.Index(faultNames[:], name); {
		case name == "all":
			named = All
		case name == "none" || name == "":
		case f >= 0:
			named = 1 << f
		default:
			return 0, fmt.Errorf("unknown fault %q: all, none, or some of %s", name, strings.Join(faultNames[:], ","))
		}
		if minus {
			s &^= named
		} else {
			s |= named
		}
	}
	return s, nil
}

// plan is what one world has of each fault: one in so many opportunities, zero where it has none of it. Worlds
// differ on purpose: a fault that is always there hides what only happens without it.
type plan [faultCount]uint32

func draw(rng *rand.Rand, faults Faults) plan {
	var p plan
	share := []uint32{100, 45, 45, 45, 20, 8}[rng.IntN(6)] // per cent of the faults that this world has
	for f := range faultCount {
		there, rarer := rng.Uint32N(100) < share || faults != All, []uint32{1, 1, 3, 10}[rng.IntN(4)]
		if !faults.Has(f) || !there {
			continue
		}
		p[f] = oneIn[f]
		if p[f] > 2 && faults == All {
			p[f] *= rarer
		}
	}
	return p
}
