package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// errand owes a command and a timer from the start; the command's outcome owes a message, and another makes no sense.
type errand struct{ durable.JSON[[]string] }

func (errand) Step(log []string, e durable.Event) ([]string, []durable.Effect, error) {
	log = append(slices.Clip(log), e.Type)
	switch e.Type {
	case "begin":
		return log, []durable.Effect{durable.Command("go", "there", "POST /", nil, time.Time{}), durable.Timer("late", e.At.Add(time.Hour))}, nil
	case "go.done":
		return log, []durable.Effect{durable.Message("tell", "", "queue", nil)}, nil
	case "go.refused":
		return nil, nil, errors.New("no sense")
	}
	return log, nil, nil
}

// follower is a Tracer and a Meter that notes what it is told. A span's trace is its number.
type follower struct {
	mu    sync.Mutex
	notes []string
	spans int
}

func (f *follower) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// told is what it was told since it was last asked.
func (f *follower) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := f.notes
	f.notes = nil
	return told
}

type step struct {
	f  *follower
	id string
}

func (s step) Trace() string { return s.id }
func (s step) End(err error) { s.f.note("%s ends: %v", s.id, err) }

func (f *follower) Event(kind string, r durable.Record, e durable.Event) durable.Span {
	f.mu.Lock()
	f.spans++
	s := step{f, fmt.Sprintf("span-%d", f.spans)}
	f.mu.Unlock()
	f.note("%s: %s %s v%d, of %q by %q", s.id, kind, e.Type, r.Version, r.Trace, e.Trace)
	return s
}

type traceKey struct{}

func (f *follower) Send(ctx context.Context, _ string, r durable.Record, o durable.Owed) (context.Context, func(durable.Outcome)) {
	f.note("send %s of v%d for %q", o.Name, r.Version, o.Trace)
	return context.WithValue(ctx, traceKey{}, o.Name), func(out durable.Outcome) { f.note("sent %s: %d", o.Name, out.Verdict) }
}

func (f *follower) Under(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

func (f *follower) Trace(ctx context.Context) string {
	s, _ := ctx.Value(traceKey{}).(string)
	return s
}

func (f *follower) Sent(name string, attempt int, v durable.Verdict) {
	f.note("counts %s %d %d", name, attempt, v)
}
func (f *follower) Parked(name string)   { f.note("parked %s", name) }
func (f *follower) Unparked(name string) { f.note("unparked %s", name) }

// expect fails where the follower was told anything else.
func (f *follower) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := f.told(); !slices.Equal(got, want) {
		t.Fatalf("told\n%q, want\n%q", got, want)
	}
}

// TestTraceIsKept: what an event leads to is within its span, on disk; and the record knows the first.
func TestTraceIsKept(t *testing.T) {
	f := &follower{}
	c := durable.NewCell(errand{}, durable.Terms{Owner: "us", Lease: 2 * time.Hour, FlushAfter: time.Hour, Exclusive: true, Kind: "errands", Tracer: f, Meter: f}, "r")
	now := noon
	c.DeliverNew(1, "", durable.Event{ID: "1", Type: "begin", Trace: "caller"})
	save := c.Next(now)
	if save.Kind != durable.ActSave || save.Trace != "span-1" || save.Record.Trace != "span-1" || len(save.Record.Owed) != 2 {
		t.Fatalf("the first act is %+v", save)
	}
	for _, o := range save.Record.Owed {
		if o.Trace != "span-1" {
			t.Errorf("%s is owed within %q", o.Name, o.Trace)
		}
	}
	f.expect(t, `span-1: errands begin v0, of "" by "caller"`)
	c.Saved(durable.ErrUnknown, now) // nobody knows: read again, and it was not there
	if load := c.Next(now); load.Kind != durable.ActLoad || load.Trace != "span-1" {
		t.Fatalf("then %+v", load)
	}
	c.Loaded(durable.Record{}, durable.ErrNotFound, now)
	if save = c.Next(now); save.Kind != durable.ActSave || save.Record.Trace != "span-1" {
		t.Fatalf("then %+v", save)
	}
	f.expect(t) // within the same span
	c.Saved(nil, now)
	f.expect(t, `span-1 ends: <nil>`)
	send := acts(c, now)
	if len(send) != 1 || send[0].Owed.Trace != "span-1" {
		t.Fatalf("then %+v", send)
	}
	c.Sent(send[0].Owed.ID, durable.Outcome{Verdict: durable.Rejected})
	acts(c, now)
	f.expect(t, `span-2: errands go.refused v1, of "span-1" by "span-1"`, "parked go", "span-2 ends: no sense")
	c.Unpark(2, "go")
	send = acts(c, now)
	f.expect(t, "unparked go")
	c.Sent(send[0].Owed.ID, durable.Outcome{Verdict: durable.Accepted})
	if save = c.Next(now); save.Record.Trace != "span-1" || save.Record.Owed[1].Name != "tell" || save.Record.Owed[1].Trace != "span-3" {
		t.Fatalf("then %+v", save)
	}
	c.Saved(nil, now)
	f.expect(t, `span-3: errands go.done v1, of "span-1" by "span-1"`, "span-3 ends: <nil>")
	acts(c, now)
	now = now.Add(time.Hour)
	acts(c, now)
	f.expect(t, `span-4: errands late.due v2, of "span-1" by "span-1"`)
}

// acts takes the sends; others it leaves out.
func acts(c *durable.Cell[[]string], now time.Time) (sends []durable.Act) {
	for {
		switch act := c.Next(now); act.Kind {
		case durable.ActSend:
			sends = append(sends, act)
		case durable.ActReply:
		default:
			return sends
		}
	}
}

// under is a store that notes within what it works.
type under struct {
	durable.Store
	f *follower
}

func (u under) Features() durable.Features { return durable.FeaturesOf(u.Store) }

func (u under) Create(ctx context.Context, r durable.Record) error {
	u.f.note("create within %q", u.f.Trace(ctx))
	return u.Store.Create(ctx, r)
}

// TestRunnerIsFollowed: whoever brings an event is asked for the trace, stores and executors work within it, and every
// save that came through is told once.
func TestRunnerIsFollowed(t *testing.T) {
	inBubble(t, exclusive, func(t *testing.T, h *house) {
		f := &follower{}
		r := durable.NewRunner(errand{}, durable.Options{
			Name: "errands", Owner: "us", Store: under{h.store, f}, Clock: h.clock, Tracer: f, Flush: time.Second,
			Meters: func(kind string) durable.Meter { f.note("meter of %s", kind); return f },
			Executor: &others{do: func(ctx context.Context, o durable.Owed, attempt int) durable.Outcome {
				if f.Trace(ctx) != o.Name {
					t.Errorf("%s is carried out within %q", o.Name, f.Trace(ctx))
				}
				if attempt == 1 && o.Name == "go" {
					return durable.Outcome{Detail: "busy"}
				}
				return durable.Outcome{Verdict: durable.Accepted}
			}},
		})
		var changes []string
		r.OnChange(func(was, is []string) { changes = append(changes, fmt.Sprint(was, is)) })
		r.Start()
		if _, _, err := r.Create(f.Under(t.Context(), "caller"), "r", "", durable.Event{ID: "1", Type: "begin"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Hour) // of the bubble
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.expect(t, "meter of errands", `span-1: errands begin v0, of "" by "caller"`, `create within "span-1"`, "span-1 ends: <nil>",
			`send go of v1 for "span-1"`, "sent go: 0", "counts go 0 0", `send go of v1 for "span-1"`, "sent go: 1", "counts go 1 1",
			`span-2: errands go.done v1, of "span-1" by "span-1"`, "span-2 ends: <nil>",
			`send tell of v2 for "span-2"`, "sent tell: 1", "counts tell 0 1",
			`span-3: errands late.due v3, of "span-1" by "span-1"`, "span-3 ends: <nil>")
		want := []string{"[] [begin]", "[begin] [begin go.done]", "[begin go.done] [begin go.done]", "[begin go.done] [begin go.done late.due]"}
		if !slices.Equal(changes, want) {
			t.Errorf("the changes are %q, want %q", changes, want)
		}
	})
}
