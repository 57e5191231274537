package durable_test

import (
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// parcel is a core whose records are somebody's: "for ada" makes it ada's, "sign" asks for a signature, whose
// having come owes a receipt at once and a reminder later, and "later for bob" can wait.
type parcel struct{ durable.JSON[string] }

func (parcel) Party(owner string) string { return owner }

func (parcel) Step(owner string, e durable.Event) (string, []durable.Effect, error) {
	if to, ok := strings.CutPrefix(e.Type, "for "); ok {
		return to, nil, nil
	}
	switch e.Type {
	case "sign":
		return owner, []durable.Effect{durable.Command("sign", "there", "POST /", nil, e.At), durable.Command("later", "there", "POST /", nil, e.At)}, nil
	case "sign.done":
		return owner, []durable.Effect{durable.Message("receipt", "", "queue", nil), durable.Timer("remind", e.At)}, nil
	case "remind.due":
		return owner, []durable.Effect{durable.Message("reminder", "", "queue", nil)}, nil
	case "later.done":
		return "bob", nil, durable.ErrCanWait
	}
	return owner, nil, durable.ErrIgnored
}

const (
	trace1 = "00-11111111111111111111111111111111-1111111111111111-01"
	trace2 = "00-22222222222222222222222222222222-2222222222222222-01"
)

// saves takes the cell's next acts up to a save, and says that the save is through.
func saves(t *testing.T, c *durable.Cell[string]) durable.Record {
	t.Helper()
	for range 20 {
		if act := c.Next(noon); act.Kind == durable.ActSave {
			c.Saved(nil, noon)
			return act.Record
		}
	}
	t.Fatal("nothing is saved")
	return durable.Record{}
}

func traces(r durable.Record) string {
	var list []string
	for _, o := range r.Owed {
		list = append(list, o.Name+" "+strings.TrimLeft(o.Trace[:min(len(o.Trace), 4)], "0-"))
	}
	return strings.Join(list, ", ")
}

func newParcel() *durable.Cell[string] {
	return durable.NewCell(parcel{}, durable.Terms{Owner: "us", Lease: 1e9, Exclusive: true}, "r")
}

// TestParty: whose a record is, every write says by the state it writes, one that had waited too.
func TestParty(t *testing.T) {
	c := newParcel()
	c.DeliverNew(1, "", durable.Event{ID: "e1", Type: "for ada"})
	if r := saves(t, c); r.Party != "ada" || r.Version != 1 {
		t.Errorf("%+v", r)
	}
	c.Deliver(2, durable.Event{ID: "e2", Type: "for eve"})
	if r := saves(t, c); r.Party != "eve" {
		t.Errorf("%+v", r)
	}
	c.Deliver(3, durable.Event{ID: "e3", Type: "sign"})
	r := saves(t, c)
	for c.Next(noon).Kind != durable.ActNone {
	}
	c.Sent(r.Owed[1].ID, durable.Outcome{Verdict: durable.Accepted})
	c.Sent(r.Owed[0].ID, durable.Outcome{Verdict: durable.Retry})
	c.Flush()
	if r := saves(t, c); r.Party != "bob" {
		t.Errorf("%+v", r)
	}
	before := r // as it was written before anybody asked whose it is
	before.Party, before.Version = "", before.Version+2
	c = newParcel()
	if err := c.Adopt(before); err != nil {
		t.Fatal(err)
	}
	c.Deliver(4, durable.Event{ID: "e4", Type: "for eve"})
	if r := saves(t, c); r.Party != "eve" {
		t.Errorf("%+v", r)
	}
	plain := newBench("r", true)
	plain.cell.DeliverNew(1, "", durable.Event{ID: "e1", Type: "owe"})
	if act := plain.cell.Next(noon); act.Record.Party != "" {
		t.Errorf("a machine that names nobody: %+v", act.Record)
	}
}

// TestTrace: a record's trace is that of the event that began it. What it owes is of the trace of the event that made
// it owe that, which an effect's outcome has from the effect, or else of the record's.
func TestTrace(t *testing.T) {
	for _, test := range []struct{ created, event, want string }{
		{trace1, trace2, "2"}, {trace1, "", "1"}, {"", trace2, "2"}, {"", "", ""},
	} {
		want := func(r durable.Record, owed ...string) {
			t.Helper()
			for i := range owed {
				owed[i] += " " + test.want
			}
			if r.Trace != test.created || traces(r) != strings.Join(owed, ", ") {
				t.Errorf("%+v: the record's is %q, owed: %s", test, r.Trace, traces(r))
			}
		}
		c := newParcel()
		c.DeliverNew(1, "", durable.Event{ID: "e1", Type: "for ada", Trace: test.created})
		want(saves(t, c))
		c.Deliver(2, durable.Event{ID: "e2", Type: "sign", Trace: test.event})
		r := saves(t, c)
		want(r, "sign", "later")
		for c.Next(noon).Kind != durable.ActNone {
		}
		c.Sent(r.Owed[0].ID, durable.Outcome{Verdict: durable.Accepted})
		want(saves(t, c), "later", "receipt", "remind")
		want(saves(t, c), "later", "receipt", "reminder")
		c.Deliver(3, durable.Event{ID: "e1", Type: "for ada", Trace: "another"})
		for act := c.Next(noon); act.Kind != durable.ActNone; act = c.Next(noon) {
			if act.Kind == durable.ActReply && act.Reply.Err != nil {
				t.Errorf("the same event in another trace: %v", act.Reply.Err)
			}
		}
	}
}
