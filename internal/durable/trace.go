package durable

import "context"

// Tracer follows records through what happens to them. It is told, and decides nothing: a shell that has one does what
// a shell without one does. Its methods return at once and are safe for concurrent use. A trace is named by a W3C
// traceparent, empty where nothing is traced; that is what crosses a crash with the record.
type Tracer interface {
	// Event begins the span of an event that is about to be applied to a record of a kind. The record is as it was
	// before, with ID and Key alone where the event begins it; e.Trace is whose doing the event is.
	Event(kind string, r Record, e Event) Span
	// Send begins the span of one attempt at an effect of a record. The executor works under the context; done is told
	// what came of it.
	Send(ctx context.Context, kind string, r Record, o Owed) (under context.Context, done func(Outcome))
	// Under is ctx within the trace.
	Under(ctx context.Context, trace string) context.Context
	// Trace is the one that ctx is within.
	Trace(ctx context.Context) string
}

// Span is an event being applied.
type Span interface {
	Trace() string // what the event leads to is within it
	End(error)     // nil: applied, and on disk
}

// Meter counts what a runner does. Its methods return at once and are safe for concurrent use.
type Meter interface {
	// Sent counts an attempt at the effect of a name, the first being 0, and what came of it.
	Sent(name string, attempt int, v Verdict)
	// Parked counts an effect that was put aside for a person, and Unparked one that a person has taken up again.
	Parked(name string)
	Unparked(name string)
}

// follow begins the span of the turn. Where its save loses a race the turn is taken again, within the same span.
func (c *Cell[S]) follow(t *turn) {
	if c.terms.Tracer == nil {
		return
	}
	if t.span == nil {
		rec := c.rec
		if !c.loaded {
			rec = Record{ID: c.id, Key: t.key}
		}
		t.span = c.terms.Tracer.Event(c.terms.Kind, rec, t.event)
	}
	t.event.Trace = t.span.Trace()
}

// cause is the trace of the turn that an act is for, if it is for one.
func (c *Cell[S]) cause() string {
	if len(c.queue) == 0 {
		return ""
	}
	return c.queue[0].event.Trace
}
