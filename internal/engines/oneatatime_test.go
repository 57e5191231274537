package engines

import (
	"bytes"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// TestVersionedUpdatesAreExact: of updates that are filtered on the same version one succeeds, whoever is behind.
func TestVersionedUpdatesAreExact(t *testing.T) {
	const writers, each = 16, 20
	ctx := t.Context()
	err := database(ctx, Place(t, MongoDB), func(counters *mongo.Collection) error {
		if _, err := counters.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}, {Key: "version", Value: 0}}); err != nil {
			return err
		}
		var matched, refused atomic.Int64
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for range each {
					var counter struct{ Version int }
					if err := counters.FindOne(ctx, bson.D{{Key: "_id", Value: 1}}).Decode(&counter); err != nil {
						t.Error(err)
						return
					}
					result, err := counters.UpdateOne(ctx,
						bson.D{{Key: "_id", Value: 1}, {Key: "version", Value: counter.Version}},
						bson.D{{Key: "$set", Value: bson.D{{Key: "version", Value: counter.Version + 1}}}})
					if err != nil {
						t.Error(err)
						return
					}
					matched.Add(result.MatchedCount)
					refused.Add(1 - result.MatchedCount)
				}
			})
		}
		all.Wait()
		var counter struct{ Version int64 }
		if err := counters.FindOne(ctx, bson.D{{Key: "_id", Value: 1}}).Decode(&counter); err != nil {
			return err
		}
		if counter.Version != matched.Load() || matched.Load()+refused.Load() != writers*each {
			t.Errorf("version %d after %d updates that matched, %d that did not", counter.Version, matched.Load(), refused.Load())
		}
		if refused.Load() == 0 {
			t.Log("no two writers met")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// message is an OP_MSG with the sections.
func message(sections ...[]byte) []byte {
	body := bytes.Join(append([][]byte{make([]byte, headerSize+4)}, sections...), nil)
	binary.LittleEndian.PutUint32(body, uint32(len(body)))
	binary.LittleEndian.PutUint32(body[12:], opMsg)
	return body
}

func TestCommandName(t *testing.T) {
	doc, err := bson.Marshal(bson.D{{Key: "update", Value: "orders"}, {Key: "$db", Value: "tiffin"}})
	if err != nil {
		t.Fatal(err)
	}
	command := append([]byte{0}, doc...)
	sequence := append([]byte{1, 13, 0, 0, 0}, "updates\x00x"...)
	for name, c := range map[string]struct {
		message []byte
		want    string
	}{
		"a command":                       {message(command), "update"},
		"a sequence before the command":   {message(sequence, command), "update"},
		"a sequence alone":                {message(sequence), ""},
		"an endless sequence":             {message([]byte{1, 255, 255, 255, 255, 0}), ""},
		"a name without an end":           {message(command[:8]), ""},
		"nothing":                         {message(), ""},
		"another kind of message":         {make([]byte, headerSize+4), ""},
		"a message without even a header": {[]byte{1, 2, 3}, ""},
	} {
		if got := commandName(c.message); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
