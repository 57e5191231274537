// Package durabletest says what every [durable.Store] does, as tests that each adapter runs in a few lines. The
// in-memory store is the model: random sequences of calls must be answered as it answers them.
package durabletest

import (
	"context"
	"testing"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Open gives an empty store for one test and takes it away with the test's Cleanup. reopen, nil for a store that
// forgets, ends the store and starts it again on the same data; it may be called more than once, and what it gave
// before is not used any more.
type Open func(t testing.TB) (store durable.Store, reopen func() durable.Store)

// Exercise runs the whole suite against the store that open gives.
func Exercise(t *testing.T, open Open) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			store, _ := open(t)
			if c.leases && durable.FeaturesOf(store).Exclusive {
				t.Skip("the store is exclusive: no lease of another owner counts")
			}
			if err := c.run(context.Background(), store); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("persistence", func(t *testing.T) { persists(t, open) })
	t.Run("answers as the model does", func(t *testing.T) { likeTheModel(t, open) })
}

// check is one rule; run returns how the store broke it.
type check struct {
	name   string
	leases bool // only where leases of others are honoured
	run    func(context.Context, durable.Store) error
}

var checks = []check{
	{name: "create and load", run: createdIsLoaded},
	{name: "an id is taken once", run: idTakenOnce},
	{name: "a key is taken once and stays taken", run: keyTakenOnce},
	{name: "no key is no identity", run: emptyKeys},
	{name: "concurrent creators of a key: one wins", run: oneCreatorWins},
	{name: "load and save of nothing", run: nothingThere},
	{name: "save replaces", run: saveReplaces},
	{name: "save keeps key, created and trace", run: identityKept},
	{name: "save checks the version", run: versionChecked},
	{name: "concurrent savers: one wins each version", run: oneSaverWins},
	{name: "bodies come back to the byte", run: bodiesExact},
	{name: "big record", run: bigRecord},
	{name: "nothing is shared with the caller", run: notAliased},
	{name: "list", run: listPages},
	{name: "list of a party", run: listOfParty},
	{name: "a party changes with a save", run: partyChanges},
	{name: "a trace comes back", run: traceKept},
	{name: "claim in due order, and what is next", run: claimOrder},
	{name: "claim leaves version and rest alone", run: claimChangesNothing},
	{name: "claim again by the same owner", run: claimAgain},
	{name: "what is not due is not claimed", run: notDue},
	{name: "lease of another is honoured", leases: true, run: leaseHonoured},
	{name: "concurrent claimers share no record", leases: true, run: claimedOnce},
	{name: "lease of another is void", run: leaseVoid},
	{name: "backlog", run: backlog},
	{name: "cancelled context", run: cancelled},
}
