package durable_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/planted"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var errDisk = errors.New("disk full")

// TestCell plays the scripts of testdata/cell.txt: what is put into a cell (>), and the acts that it names then.
// What each input means is said at the top of the file.
func TestCell(t *testing.T) {
	const file = "testdata/cell.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, scripts := parseScripts(string(text))
	out := head
	for _, s := range scripts {
		got := play(s.text)
		if got != s.text {
			t.Run(s.name, func(t *testing.T) {
				if !*update {
					t.Errorf("got\n%s\nwant\n%s", got, s.text)
				}
			})
		}
		out += "\n# " + s.name + "\n" + got
	}
	if *update {
		if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type script struct{ name, text string }

func parseScripts(text string) (head string, scripts []script) {
	parts := strings.Split(text, "\n# ")
	for _, p := range parts[1:] {
		name, body, _ := strings.Cut(p, "\n")
		scripts = append(scripts, script{name, strings.TrimRight(body, "\n") + "\n"})
	}
	return parts[0], scripts
}

// TestPlantedBugsShow: every mistake that can be made in the cell makes the script that is about it come out
// otherwise.
func TestPlantedBugsShow(t *testing.T) {
	text, err := os.ReadFile("testdata/cell.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, scripts := parseScripts(string(text))
	for bug, name := range map[planted.Bug]string{
		planted.AckBeforeCommit:            "nothing is answered or sent before it is saved",
		planted.EffectSentBeforeCommit:     "nothing is answered or sent before it is saved",
		planted.CacheBeforeStore:           "nothing is answered or sent before it is saved",
		planted.TimerNotPersisted:          "a timer becomes an event",
		planted.NoDedupOfCallbacks:         "the same event again is answered again, and not applied",
		planted.NewKeyPerAttempt:           "a retry has the same key",
		planted.OutboxRemovedBeforeConfirm: "a message is owed until the broker has it",
		planted.ConflictWithoutReload:      "a lost race is stepped again on what the store has",
	} {
		t.Run(bug.String(), func(t *testing.T) {
			i := slices.IndexFunc(scripts, func(s script) bool { return s.name == name })
			if i < 0 {
				t.Fatalf("no script %q", name)
			}
			planted.Plant(t, bug)
			if play(scripts[i].text) == scripts[i].text {
				t.Errorf("%q does not notice", name)
			}
		})
	}
}

// TestNoEffectIsLost: each of many effects is sent once it is saved, and is owed until its outcome is known.
func TestNoEffectIsLost(t *testing.T) {
	lost := func() (n int) {
		for i := range 200 {
			b := newBench(fmt.Sprintf("r%d", i), true)
			b.cell.DeliverNew(1, "", durable.Event{ID: "e1", Type: "owe", Body: []byte("a")})
			b.run()
			b.saved(nil)
			b.run()
			if len(b.flying) == 0 {
				n++
			}
		}
		return n
	}
	if n := lost(); n > 0 {
		t.Errorf("%d of 200 effects were never sent", n)
	}
	planted.Plant(t, planted.EffectLostAfterCommit)
	if lost() == 0 {
		t.Error("with the bug, too, none is lost")
	}
}

// bench is a cell with a disk of one record and the acts under way.
type bench struct {
	cell    *durable.Cell[diary]
	terms   durable.Terms
	now     time.Time
	disk    *durable.Record
	loading bool
	saving  *durable.Record
	flying  []durable.Act
	out     strings.Builder
}

func newBench(id string, exclusive bool) *bench {
	terms := durable.Terms{Owner: "us", Lease: 30 * time.Second, FlushAfter: 5 * time.Second, Exclusive: exclusive}
	return &bench{cell: durable.NewCell(scribe{}, terms, id), terms: terms, now: noon}
}

// play plays a script and returns it with the acts as they came.
func play(text string) string {
	b := newBench("r", !strings.Contains(text, "> shared\n"))
	for line := range strings.Lines(text) {
		if input, ok := strings.CutPrefix(line, "> "); ok {
			b.out.WriteString(line)
			b.input(strings.Fields(input))
			b.run()
			if wake := b.cell.Wake(); !wake.IsZero() && b.saving == nil && !b.loading {
				fmt.Fprintf(&b.out, "  wakes in %s\n", about(wake.Sub(b.now)))
			}
		}
	}
	return b.out.String()
}

// about hides the jitter of backoffs: of what is no round time it says the next limit above.
func about(d time.Duration) string {
	if d <= 0 || d%(100*time.Millisecond) == 0 {
		return d.String()
	}
	most := 200 * time.Millisecond
	for d > most {
		most *= 2
	}
	return "at most " + min(most, 30*time.Second).String()
}

func (b *bench) input(in []string) {
	rest := func(from int) []byte { return []byte(strings.Join(in[min(from, len(in)):], " ")) }
	switch in[0] {
	case "shared":
	case "deliver":
		b.cell.Deliver(token(in[1]), durable.Event{ID: in[2], Type: in[3], Body: rest(4)})
	case "create":
		b.cell.DeliverNew(token(in[1]), in[2], durable.Event{ID: in[3], Type: in[4], Body: rest(5)})
	case "unpark":
		b.cell.Unpark(token(in[1]), in[2])
	case "saved":
		b.result(in[1:])
	case "loaded":
		was := b.loading
		b.loading = false
		switch {
		case !was:
			b.out.WriteString("  nothing is being read\n")
		case len(in) > 1:
			b.cell.Loaded(durable.Record{}, errDisk, b.now)
		case b.disk == nil:
			b.cell.Loaded(durable.Record{}, durable.ErrNotFound, b.now)
		default:
			b.cell.Loaded(*b.disk, nil, b.now)
		}
	case "sent":
		b.sent(in[1], in[2], rest(3))
	case "after":
		if in[1] == "wake" {
			b.now = b.cell.Wake()
		} else {
			b.now = b.now.Add(duration(in[1]))
		}
	case "flush":
		b.cell.Flush()
	case "adopt":
		if err := b.cell.Adopt(*b.disk); err != nil {
			fmt.Fprintf(&b.out, "  %v\n", err)
		}
	case "claim":
		b.claim()
	case "recall":
		b.cell.Recall()
	case "forgotten": // the process died, or the cell was evicted
		b.cell, b.saving, b.flying = durable.NewCell(scribe{}, b.terms, "r"), nil, nil
	case "look":
		d, version, ok := b.cell.State()
		fmt.Fprintf(&b.out, "  state v%d %v known %t idle %t\n", version, d.Log, ok, b.cell.Idle())
	case "other": // another instance applies an event, and sends nothing yet
		o := &bench{terms: b.terms, now: b.now, disk: b.disk}
		o.terms.Owner = "other"
		o.cell = durable.NewCell(scribe{}, o.terms, "r")
		o.cell.Deliver(0, durable.Event{ID: in[1], Type: in[2], Body: rest(3)})
		o.run()
		o.cell.Loaded(*o.disk, nil, o.now)
		o.run()
		o.saved(nil)
		b.disk = o.disk
	case "broken": // what the store has cannot be read
		r := *b.disk
		r.State, r.Version = []byte("{"), r.Version+1
		b.disk = &r
	default:
		panic(in[0])
	}
}

// claim is the store's: what is due and in nobody's hand is ours.
func (b *bench) claim() {
	r := *b.disk
	if r.Due.IsZero() || r.Due.After(b.now) || r.Lease.After(b.now) {
		b.out.WriteString("  nothing to claim\n")
		return
	}
	r.Owner, r.Lease = b.terms.Owner, b.now.Add(b.terms.Lease)
	b.disk = &r
	if err := b.cell.Adopt(r); err != nil {
		fmt.Fprintf(&b.out, "  %v\n", err)
	}
}

func token(text string) (n uint64) {
	if _, err := fmt.Sscan(text, &n); err != nil {
		panic(err)
	}
	return n
}

// result ends the save under way as the script says.
func (b *bench) result(how []string) {
	if b.saving == nil {
		b.out.WriteString("  nothing is being saved\n")
		return
	}
	switch strings.Join(how, " ") {
	case "":
		b.saved(nil)
	case "conflict":
		b.saved(durable.ErrConflict)
	case "unknown":
		b.saved(durable.ErrUnknown)
	case "unknown applied":
		b.disk = b.saving
		b.saved(durable.ErrUnknown)
	case "fail":
		b.saved(errDisk)
	default:
		b.saved(&durable.ExistsError{ID: how[1]})
	}
}

func (b *bench) saved(err error) {
	if err == nil {
		b.disk = b.saving
	}
	b.saving = nil
	b.cell.Saved(err, b.now)
}

func (b *bench) sent(name, verdict string, detail []byte) {
	i := slices.IndexFunc(b.flying, func(a durable.Act) bool { return a.Owed.Name == name })
	if i < 0 {
		b.out.WriteString("  it is not under way\n")
		return
	}
	act := b.flying[i]
	b.flying = slices.Delete(b.flying, i, i+1)
	out := durable.Outcome{Body: []byte("{}")}
	switch verdict {
	case "accepted":
		out.Verdict = durable.Accepted
	case "rejected":
		out.Verdict, out.Status, out.Detail = durable.Rejected, 409, string(detail)
	case "retry":
		out.Verdict, out.Status, out.Detail = durable.Retry, 503, "busy"
		if len(detail) > 0 {
			out.After = duration(string(detail))
		}
	}
	b.cell.Sent(act.Owed.ID, out)
}

// run takes acts until there are none, and writes them down.
func (b *bench) run() {
	for {
		act := b.cell.Next(b.now)
		switch act.Kind {
		case durable.ActNone:
			return
		case durable.ActLoad:
			b.loading = true
			b.out.WriteString("  load\n")
		case durable.ActSave:
			r := act.Record
			b.saving = &r
			fmt.Fprintf(&b.out, "  save %s\n", b.described(r))
		case durable.ActSend:
			b.flying = append(b.flying, act)
			fmt.Fprintf(&b.out, "  send %s under %s\n", act.Owed.Name, act.Key)
		case durable.ActReply:
			fmt.Fprintf(&b.out, "  reply %d: %s\n", act.Reply.Token, said(act.Reply.Err))
		}
	}
}

func said(err error) string {
	if err == nil {
		return "applied"
	}
	return err.Error()
}

func (b *bench) described(r durable.Record) string {
	var d diary
	if err := json.Unmarshal(r.State, &d); err != nil {
		panic(err)
	}
	var owed, seen []string
	for _, o := range r.Owed {
		text := o.Name
		switch {
		case o.Parked != "":
			text += " (parked: " + o.Parked + ")"
		case o.Attempt > 0:
			text += fmt.Sprintf(" (tried %d, %s)", o.Attempt, o.Last)
		case o.Due.After(b.now):
			text += " (in " + about(o.Due.Sub(b.now)) + ")"
		}
		owed = append(owed, text)
	}
	for _, s := range r.Seen {
		seen = append(seen, s.ID)
	}
	text := fmt.Sprintf("v%d %v owes %v seen %v", r.Version, d.Log, owed, seen)
	if r.Key != "" {
		text += " key " + r.Key
	}
	if (r.Owner == "") != r.Due.IsZero() {
		text += " BUT owner " + r.Owner + " and due " + r.Due.String()
	}
	return text
}

// TestBackoffGrows: attempts double from 200 ms to 30 s, each at least half of that and never more, and spread.
func TestBackoffGrows(t *testing.T) {
	spread := map[time.Duration]bool{}
	for i := range 100 {
		b := newBench(fmt.Sprintf("r%d", i), true)
		b.cell.DeliverNew(1, "", durable.Event{ID: "e1", Type: "owe", Body: []byte("a")})
		b.run()
		b.saved(nil)
		b.run()
		key := b.flying[0].Key
		for attempt := range 20 {
			b.sent("a", "retry", nil)
			b.run()
			most := 30 * time.Second
			if attempt < 8 {
				most = min(most, 200*time.Millisecond<<attempt)
			}
			o := b.cell.Record().Owed[0]
			wait := o.Due.Sub(b.now)
			if wait < most/2 || wait > most || o.Attempt != attempt+1 {
				t.Fatalf("attempt %d waits %s, want between %s and %s", o.Attempt, wait, most/2, most)
			}
			if attempt == 0 {
				spread[wait] = true
			}
			b.now = o.Due.Add(-1)
			if b.run(); len(b.flying) > 0 {
				t.Fatal("sent before its time")
			}
			b.now = o.Due
			if b.run(); len(b.flying) != 1 || b.flying[0].Key != key {
				t.Fatalf("attempt %d: %+v", attempt+1, b.flying)
			}
			if b.saving != nil {
				b.saved(nil)
			}
		}
	}
	if len(spread) < 90 {
		t.Errorf("100 records wait %d different times", len(spread))
	}
}

// TestCaps: the inbox forgets its oldest; what would owe too much fails, an event with its sender, an outcome at a
// person's desk.
func TestCaps(t *testing.T) {
	t.Run("inbox", func(t *testing.T) {
		b := newBench("r", true)
		apply := func(id string) {
			b.cell.DeliverNew(0, "", durable.Event{ID: id, Type: "note"})
			b.run()
			if b.saving != nil {
				b.saved(nil)
				b.run()
			}
		}
		const more = 10
		for i := range durable.MaxSeen + more {
			apply(fmt.Sprintf("e%d", i))
		}
		if n := len(b.disk.Seen); n != durable.MaxSeen || b.disk.Seen[0].ID != fmt.Sprintf("e%d", more) {
			t.Fatalf("%d entries from %s on", n, b.disk.Seen[0].ID)
		}
		version := b.disk.Version
		if apply(fmt.Sprintf("e%d", more)); b.disk.Version != version {
			t.Error("the oldest that is known was applied again")
		}
	})
	t.Run("outbox of an event", func(t *testing.T) {
		b := newBench("r", true)
		b.cell.DeliverNew(1, "", durable.Event{ID: "e1", Type: "greedy"})
		b.run()
		if got := b.out.String(); !strings.Contains(got, "reply 1: record r would owe 33 effects, more than 32") {
			t.Error(got)
		}
	})
	for _, name := range []string{"greedy", "unwritable"} {
		t.Run("outcome that cannot be kept: "+name, func(t *testing.T) {
			b := newBench("r", true)
			b.cell.DeliverNew(0, "", durable.Event{ID: "e1", Type: "owe", Body: []byte(name)})
			b.run()
			b.saved(nil)
			b.run()
			b.sent(name, "accepted", nil)
			if b.run(); len(b.flying) > 0 {
				t.Fatal("it is sent again and again")
			}
			if o := b.cell.Record().Owed; len(o) != 1 || o[0].Parked == "" {
				t.Errorf("owed %+v", o)
			}
		})
	}
}

// TestLongDetails: what others say of their failures is cut before it is stored.
func TestLongDetails(t *testing.T) {
	b := newBench("r", true)
	b.cell.DeliverNew(0, "", durable.Event{ID: "e1", Type: "owe", Body: []byte("a")})
	b.run()
	b.saved(nil)
	b.run()
	b.cell.Sent(b.flying[0].Owed.ID, durable.Outcome{Detail: strings.Repeat("ü", 1000)})
	b.run()
	if last := b.cell.Record().Owed[0].Last; len(last) > 310 || !strings.HasSuffix(last, "ü…") {
		t.Errorf("%d bytes: %q", len(last), last)
	}
}
