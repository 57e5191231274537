// Package e2e is the last proof: Tiffin as a whole, from outside. There is nothing here to import.
//
// Half of its tests build the program and run it as its users do, with real processes, real sockets and real files:
// kill -9 at any moment, SIGTERM under load, the command line. The other half runs the whole composition in the
// test's own process under the virtual clock, where a day takes a second and nothing depends on the machine's pace:
// an order's life and every misbehaviour of the companies around it, the contract's shapes, recorded days.
//
// Nothing in here sleeps. What processes do is awaited by what they say: a line of their output, an event stream,
// their end. -short kills three times instead of twenty and replays the smallest days only.
package e2e
