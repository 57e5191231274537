// Package durable is the shell around every service's pure core: it remembers what happened to a record, calls
// the core's Step, and carries out what the core decided, whatever crashes.
//
// A record is one aggregate (an order, a payment): its state, the events already applied (inbox) and the effects
// still owed (outbox), saved in one atomic write. The promise, for every event that Apply answered with nil:
//
//   - it is applied exactly once, however often it is delivered under the same id;
//   - the state it led to is on disk;
//   - every effect it led to is carried out at least once under one stable id, which is the idempotency key on
//     the other side, and what the effect brought back is the next event.
//
// The bookkeeping itself ([Cell]) does no I/O: it names the next act (load, save, send, reply) and takes the
// result. The [Runner] executes acts for real; the simulation executes the same acts with faults. So a mistake in
// the order of I/O is found in the code that ships.
//
// The package never decides anything about the business, never reads the wall clock, and holds no random source:
// jitter is drawn from the effect's id, so that the same history gives the same schedule.
package durable
