// Package wire is what crosses a service's wall: statuses, HTTP bodies and queue messages, exactly as CONTRACT says.
// It holds shapes and their plain rules (what is a known status, how an amount is written), never behaviour.
package wire
