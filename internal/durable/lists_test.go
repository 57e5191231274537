package durable_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// TestAppendOwed: what is owed is written as encoding/json would, and what is not there takes no byte.
func TestAppendOwed(t *testing.T) {
	pay := durable.Command("pay", "payment", "POST /v1/payments", map[string]int{"cents": 2350}, noon.Add(time.Hour))
	pay.Due = noon
	for _, owed := range [][]durable.Owed{
		{},
		{{Effect: durable.Timer("late", noon), ID: "r/late/1"}},
		{{Effect: pay, ID: "r/pay/1", Attempt: 3, Last: "503 \"try\nlater\""}, {Effect: durable.Timer("late", noon), ID: "r/late/2", Parked: "né"}},
		{{Effect: pay, ID: "r/pay/1", Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
	} {
		got, err := durable.AppendOwed(nil, owed)
		want, _ := json.Marshal(owed)
		if err != nil || string(got) != string(want) {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
		if room := durable.ListRoom(durable.Record{Owed: owed}); room < len(got) {
			t.Errorf("room for %d, %d were needed", room, len(got))
		}
	}
}
