// Package order is an order's whole life: which status may follow which (graph.go), what an order remembers
// (state.go), and what each event does to it (step.go).
//
// It promises: a status is applied once and never against the graph; the card is asked for money once; money that
// moved for an order that was cancelled is asked back once, also when it arrives late; nothing is cooked before
// the order is paid and a driver is committed; of a cancel and a driver exactly one wins, and the transport
// company decides which.
//
// It never does I/O: Step is pure, the durable shell does the rest.
package order
