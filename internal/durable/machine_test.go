package durable_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// diary is the state of the tests' machine: the events that were applied, in their order.
type diary struct {
	Log []string `json:"log"`
}

// scribe is a core that does what the event's type says: owe what its body lists, and write it down; or "ignore",
// "refuse", "fail", "unwritable". What an effect brings back it writes down, unless its name begins with one of these.
type scribe struct{ durable.JSON[diary] }

var errScribe = errors.New("no core can do this")

func (scribe) Step(d diary, e durable.Event) (diary, []durable.Effect, error) {
	switch name, _, _ := strings.Cut(e.Type, "."); {
	case strings.HasPrefix(name, "ignore"):
		return d, nil, durable.ErrIgnored
	case strings.HasPrefix(name, "refuse"):
		return d, nil, durable.Refuse(durable.Conflict, "not now")
	case strings.HasPrefix(name, "fail"):
		return d, nil, errScribe
	}
	next := diary{append(d.Log[:len(d.Log):len(d.Log)], e.Type)}
	if strings.HasPrefix(e.Type, "later") {
		return next, nil, durable.ErrCanWait
	}
	var owed []durable.Effect
	if fields := strings.Fields(string(e.Body)); len(fields) > 0 && !strings.Contains(e.Type, ".") {
		for _, f := range fields {
			owed = append(owed, effect(f, e.At))
		}
	}
	if strings.HasPrefix(e.Type, "greedy") {
		for i := range durable.MaxOwed + 1 {
			owed = append(owed, durable.Command("g"+string(rune('A'+i)), "there", "POST /", nil, time.Time{}))
		}
	}
	return next, owed, nil
}

func (s scribe) Append(b []byte, d diary) ([]byte, error) {
	if n := len(d.Log); n > 0 && strings.HasPrefix(d.Log[n-1], "unwritable") {
		return nil, errScribe
	}
	return s.JSON.Append(b, d)
}

// effect reads an effect: a for a command, m! for a message, t~10s for a timer, a^10s for a command given up then,
// -a to drop one.
func effect(text string, at time.Time) durable.Effect {
	name, dropped := strings.CutPrefix(text, "-")
	if dropped {
		return durable.Drop(name)
	}
	if name, ok := strings.CutSuffix(text, "!"); ok {
		return durable.Message(name, "", "queue", struct{}{})
	}
	if name, in, ok := strings.Cut(text, "~"); ok {
		return durable.Timer(name, at.Add(duration(in)))
	}
	name, in, limited := strings.Cut(text, "^")
	e := durable.Command(name, "there", "POST /", struct{}{}, time.Time{})
	if limited {
		e.GiveUp = at.Add(duration(in))
	}
	return e
}

func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

func TestEventInto(t *testing.T) {
	var list []int
	if err := (durable.Event{Type: "count", Body: []byte("[1,2]")}).Into(&list); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if err := (durable.Event{Type: "count", Value: []int{3}, Body: []byte("x")}).Into(&list); err != nil || list[0] != 3 {
		t.Errorf("a value: %v, %v", list, err)
	}
	for _, bad := range []durable.Event{{Type: "count", Body: []byte("{")}, {Type: "count", Value: "three"}} {
		if err := bad.Into(&list); err == nil || !strings.Contains(err.Error(), "count") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	err := durable.Refuse(durable.Invalid, "expected %d", 3)
	var r *durable.Refusal
	if !errors.As(err, &r) || r.Code != durable.Invalid || err.Error() != "expected 3" {
		t.Errorf("%v", err)
	}
	r.Field = "body.n"
	if r.Error() != "body.n: expected 3" {
		t.Errorf("%v", r)
	}
}

// TestFingerprint: what an event says, not how its parts are cut.
func TestFingerprint(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range [][2]string{{"a", "b"}, {"ab", ""}, {"", "ab"}, {"a", "c"}, {"a", ""}} {
		f := durable.Fingerprint(e[0], []byte(e[1]))
		if seen[f] || f != durable.Fingerprint(e[0], []byte(e[1])) {
			t.Errorf("%v: %s", e, f)
		}
		seen[f] = true
	}
}

func TestEffectsCarryJSON(t *testing.T) {
	if b := durable.Command("a", "there", "POST /", nil, time.Time{}).Body; b != nil {
		t.Errorf("no body: %s", b)
	}
	if b := durable.Message("a", "", "q", map[string]int{"n": 1}).Body; !json.Valid(b) {
		t.Errorf("%s", b)
	}
	defer func() {
		if recover() == nil {
			t.Error("a body that is no JSON passed")
		}
	}()
	durable.Message("a", "", "q", func() {})
}
