package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/mongo"
	"github.com/tiffin-food/tiffin/internal/engines"
)

// raw is the database as mongosh would see it.
func raw(t testing.TB, place string) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(place))
	must(t, err)
	t.Cleanup(func() { must(t, client.Disconnect(context.Background())) })
	return client.Database(path.Base(place))
}

// TestStorm: of all who save one record at once, from two instances, one wins each version.
func TestStorm(t *testing.T) {
	const savers, saves = 32, 10
	place := engines.Place(t, engines.MongoDB)
	stores := []*mongo.Store{orders(t, open(t, mongo.Options{URL: place})), orders(t, open(t, mongo.Options{URL: place}))}
	must(t, stores[0].Create(t.Context(), durable.Record{ID: "r1"}))
	var mu sync.Mutex
	won := map[int64]int{}
	var lost atomic.Int64
	var wg sync.WaitGroup
	for i := range savers {
		s := stores[i%2]
		wg.Go(func() {
			for n := 0; n < saves; {
				r, err := s.Load(t.Context(), "r1")
				if err == nil {
					r.Version++
					r.Minted++
					err = s.Save(t.Context(), r)
				}
				switch {
				case err == nil:
					mu.Lock()
					won[r.Version]++
					mu.Unlock()
					n++
				case errors.Is(err, durable.ErrConflict):
					lost.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for v := range int64(savers * saves) {
		if n := won[v+2]; n != 1 {
			t.Errorf("version %d was won %d times", v+2, n)
		}
	}
	r, err := stores[0].Load(t.Context(), "r1")
	if err != nil || r.Version != savers*saves+1 || r.Minted != savers*saves {
		t.Errorf("there is version %d, minted %d, %v", r.Version, r.Minted, err)
	}
	t.Logf("%d saves won, %d lost", savers*saves, lost.Load())
}

// TestClaimLosesSome: a claim gives out what it has won and nothing else.
func TestClaimLosesSome(t *testing.T) {
	place := engines.Place(t, engines.MongoDB)
	p, url := startProxy(t, place)
	slow, fast := orders(t, open(t, mongo.Options{URL: url})), orders(t, open(t, mongo.Options{URL: place}))
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		must(t, slow.Create(t.Context(), durable.Record{ID: id, Due: noon}))
	}
	claim := func(s *mongo.Store, who string, limit int) []string {
		t.Helper()
		got, _, err := s.Claim(t.Context(), durable.Claim{Who: who, Now: noon, Lease: noon.Add(time.Minute), Limit: limit})
		must(t, err)
		var ids []string
		for _, r := range got {
			ids = append(ids, r.ID)
		}
		return ids
	}
	for _, test := range []struct {
		meanwhile func()
		want      []string
	}{
		{func() {
			if ids := claim(fast, "fast", 2); !slices.Equal(ids, []string{"a", "b"}) {
				t.Errorf("fast claimed %q", ids)
			}
			must(t, fast.Save(context.Background(), durable.Record{ID: "d", Version: 2, Due: noon}))
		}, []string{"c", "e"}},
		{func() { claim(fast, "fast", 9) }, nil},
	} {
		p.on(func(command string, _ bson.Raw) fault {
			if command == "update" {
				test.meanwhile() // found, and not yet taken
			}
			return pass
		})
		if ids := claim(slow, "slow", 9); !slices.Equal(ids, test.want) {
			t.Errorf("slow claimed %q, want %q", ids, test.want)
		}
		p.on(nil)
	}
}

// TestKilled: every save that was answered is there when the server was killed and is started again.
func TestKilled(t *testing.T) {
	const savers, enough = 16, 400
	server := engines.Private(t, engines.MongoDB)
	t.Log(server.From(), server.Version())
	url := server.URL()
	var answered [savers]int64
	for range 2 {
		db := open(t, mongo.Options{URL: url, Database: "kill"})
		s := orders(t, db)
		var done atomic.Int64
		plenty := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range savers {
			wg.Go(func() {
				r := durable.Record{ID: fmt.Sprint("r", i)}
				old, err := s.Load(ctx, r.ID)
				if errors.Is(err, durable.ErrNotFound) {
					err = s.Create(ctx, r)
				}
				for r.Version = max(old.Version, 1); err == nil; {
					answered[i] = r.Version
					if done.Add(1) == enough {
						close(plenty)
					}
					r.Version++
					r.State = fmt.Appendf(nil, `{"version":%d}`, r.Version)
					err = s.Save(ctx, r)
				}
				if done.Load() < enough {
					t.Error(err)
				}
			})
		}
		<-plenty
		must(t, server.Kill(t.Context()))
		cancel()
		wg.Wait()
		must(t, server.Start(t.Context()))
		for i, version := range answered { // the same DB finds the server again
			r, err := s.Load(t.Context(), fmt.Sprint("r", i))
			if err != nil || r.Version < version || r.Version > version+1 {
				t.Fatalf("r%d: version %d was answered; found %d, %v", i, version, r.Version, err)
			}
			if r.Version > 1 && string(r.State) != fmt.Sprintf(`{"version":%d}`, r.Version) {
				t.Fatalf("r%d: version %d holds %s", i, r.Version, r.State)
			}
			answered[i] = r.Version
		}
		must(t, db.Close())
	}
	t.Log("versions", answered)
}

// TestIndexes: many instances that start at once make the indexes once, and starting again changes nothing.
func TestIndexes(t *testing.T) {
	place := engines.Place(t, engines.MongoDB)
	for range 2 {
		var wg sync.WaitGroup
		for range 8 {
			db := open(t, mongo.Options{URL: place})
			wg.Go(func() {
				if _, err := db.Store(t.Context(), "orders"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	cursor, err := raw(t, place).Collection("orders").Indexes().List(t.Context())
	must(t, err)
	var indexes []struct{ Name string }
	must(t, cursor.All(t.Context(), &indexes))
	var names []string
	for _, i := range indexes {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"_id_", "due", "key", "party"}) {
		t.Errorf("indexes: %q", names)
	}
}

func TestRoundTrips(t *testing.T) {
	db := open(t, mongo.Options{URL: engines.Place(t, engines.MongoDB), MaxPool: 2})
	s, ctx := orders(t, db), t.Context()
	r := durable.Record{ID: "r1", Key: "k", Due: noon}
	for _, test := range []struct {
		name   string
		trips  uint64
		writes uint64
		call   func() error
	}{
		{"create", 1, 1, func() error { return s.Create(ctx, r) }},
		{"create what is there", 2, 0, func() error {
			if err := s.Create(ctx, durable.Record{ID: "r2", Key: "k"}); err == nil {
				return errors.New("it was created")
			}
			return nil
		}},
		{"load", 1, 0, func() error { _, err := s.Load(ctx, "r1"); return err }},
		{"save", 1, 1, func() error { r.Version = 2; return s.Save(ctx, r) }},
		{"save that lost", 2, 0, func() error {
			if err := s.Save(ctx, r); !errors.Is(err, durable.ErrConflict) {
				return fmt.Errorf("answered %w", err)
			}
			return nil
		}},
		{"list", 1, 0, func() error { _, err := s.List(ctx, "", "", 500); return err }},
		{"list of a party", 1, 0, func() error { _, err := s.List(ctx, "ada", "r9", 500); return err }},
		{"claim of something", 3, 1, func() error {
			_, _, err := s.Claim(ctx, durable.Claim{Who: "x", Now: noon, Lease: noon.Add(time.Hour), Limit: 256})
			return err
		}},
		{"claim of nothing", 2, 0, func() error {
			_, _, err := s.Claim(ctx, durable.Claim{Who: "x", Now: noon, Lease: noon.Add(time.Hour), Limit: 256})
			return err
		}},
		{"backlog", 2, 0, func() error { _, _, err := s.Backlog(ctx, noon, 100); return err }},
	} {
		before := db.Stats()
		if err := test.call(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		after := db.Stats()
		if trips, writes := after.RoundTrips-before.RoundTrips, after.Writes-before.Writes; trips != test.trips || writes != test.writes {
			t.Errorf("%s: %d round trips, %d writes; want %d, %d", test.name, trips, writes, test.trips, test.writes)
		}
	}
}

func TestKinds(t *testing.T) {
	place := engines.Place(t, engines.MongoDB)
	db, ctx := open(t, mongo.Options{URL: place}), t.Context()
	a := orders(t, db)
	b, err := db.Store(ctx, "payments")
	must(t, err)
	must(t, a.Create(ctx, durable.Record{ID: "r1", Key: "k"}))
	version(t, b, 0)
	must(t, b.Create(ctx, durable.Record{ID: "r1", Key: "k"}))
	for _, name := range []string{"", "Orders", "a b", "1", "o$x", "system.users"} {
		if _, err := db.Store(ctx, name); err == nil {
			t.Errorf("kind %q was taken", name)
		}
	}

	last := func(want time.Time) {
		t.Helper()
		if got, err := db.LastTime(ctx); err != nil || !got.Equal(want) {
			t.Errorf("last time: %v, %v; want %v", got, err, want)
		}
	}
	last(time.Time{})
	must(t, a.Save(ctx, durable.Record{ID: "r1", Version: 2, Updated: noon}))
	must(t, b.Save(ctx, durable.Record{ID: "r1", Version: 2, Updated: noon.Add(1)}))
	must(t, a.Create(ctx, durable.Record{ID: "r2", Updated: noon.Add(-1)}))
	last(noon.Add(1))
}

func TestReadOnly(t *testing.T) {
	place, ctx := engines.Place(t, engines.MongoDB), t.Context()
	reader := open(t, mongo.Options{URL: place, ReadOnly: true})
	if _, err := reader.Store(ctx, "orders"); err == nil {
		t.Error("a kind that is not there was opened")
	}
	must(t, orders(t, open(t, mongo.Options{URL: place})).Create(ctx, durable.Record{ID: "r1", Due: noon}))
	s := orders(t, reader)
	version(t, s, 1)
	_, _, claim := s.Claim(ctx, durable.Claim{Who: "x", Now: noon, Limit: 1})
	for _, err := range []error{s.Create(ctx, durable.Record{ID: "r2"}), s.Save(ctx, durable.Record{ID: "r1", Version: 2}), claim} {
		if !errors.Is(err, mongo.ErrReadOnly) {
			t.Errorf("write: %v", err)
		}
	}
	must(t, reader.Close())
	must(t, reader.Close())
	if _, err := s.Load(ctx, "r1"); !errors.Is(err, mongo.ErrClosed) {
		t.Errorf("load after close: %v", err)
	}
}

// TestReadable: in the shell a state is text, whatever else can be is too, and nothing stands there for what is not.
func TestReadable(t *testing.T) {
	place, ctx := engines.Place(t, engines.MongoDB), t.Context()
	s := orders(t, open(t, mongo.Options{URL: place}))
	for id, state := range map[string]string{"text": `{"é":1}`, "zero": "a\x00b", "binary": "\xff\xfe", "empty": ""} {
		must(t, s.Create(ctx, durable.Record{ID: id, State: []byte(state)}))
		if r, err := s.Load(ctx, id); err != nil || string(r.State) != state {
			t.Errorf("%s: %q, %v", id, r.State, err)
		}
	}
	found, err := raw(t, place).Collection("orders").FindOne(ctx, bson.D{{Key: "_id", Value: "text"}}).Raw()
	must(t, err)
	const want = `{"_id": "text","version": {"$numberLong":"1"},"owner": "","minted": {"$numberLong":"0"},"state": "{\"é\":1}","owed": [],"seen": []}`
	if got := found.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
