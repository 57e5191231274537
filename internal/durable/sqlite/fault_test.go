package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
)

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "store.db") }

// version checks which version of r1 the store has.
func version(t *testing.T, s durable.Store, want int64) {
	t.Helper()
	if r, err := s.Load(t.Context(), "r1"); err != nil || r.Version != want {
		t.Errorf("load: version %d, %v; want %d", r.Version, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestWriteFails: a write that cannot be made says so, nothing of it is there, and later ones work again.
func TestWriteFails(t *testing.T) {
	for _, test := range []struct{ name, fault, mend string }{
		{"full disk", "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"}, // at the size it has
		{"read-only", "PRAGMA query_only = 1", "PRAGMA query_only = 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := open(t, temp(t))
			s := orders(t, db)
			ctx := t.Context()
			must(t, s.Create(ctx, durable.Record{ID: "r1"}))
			must(t, db.Exec(test.fault))
			big := durable.Record{ID: "r1", Version: 2, State: []byte(strings.Repeat("x", 1<<20)), Updated: time.Unix(9, 0)}
			err := s.Save(ctx, big)
			if err == nil || errors.Is(err, durable.ErrUnknown) || errors.Is(err, durable.ErrConflict) {
				t.Errorf("save: %v", err)
			}
			t.Log(err)
			version(t, s, 1)
			if n := db.Stats().Failed; n != 1 {
				t.Errorf("%d failed transactions were counted", n)
			}
			must(t, db.Exec(test.mend))
			must(t, s.Save(ctx, big))
			version(t, s, 2)
		})
	}
}

func TestCommitFails(t *testing.T) {
	db := open(t, temp(t))
	s := orders(t, db)
	failing := false
	db.FailCommits(func() bool { return failing })
	must(t, s.Create(t.Context(), durable.Record{ID: "r1"}))
	failing = true
	if err := s.Save(t.Context(), durable.Record{ID: "r1", Version: 2}); !errors.Is(err, durable.ErrUnknown) {
		t.Errorf("save: %v", err)
	}
	failing = false
	version(t, s, 1)
	must(t, s.Save(t.Context(), durable.Record{ID: "r1", Version: 2}))
	version(t, s, 2)
}

// hold keeps the writer busy until release is called, with everything queued meanwhile.
func hold(t *testing.T, db *sqlite.DB) (release func()) {
	t.Helper()
	let := make(chan struct{})
	go func() {
		_ = db.Write(context.Background(), func() error {
			<-let
			return nil
		})
	}()
	synctest.Wait()
	return func() { close(let) }
}

// TestBatch: what waits together is committed together, and who loses a race loses alone.
func TestBatch(t *testing.T) {
	path := temp(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path)
		s := orders(t, db)
		for i := range 4 {
			must(t, s.Create(t.Context(), durable.Record{ID: fmt.Sprint("r", i), Key: fmt.Sprint("k", i)}))
		}
		release := hold(t, db)
		before := db.Stats()
		answers := make([]error, 6)
		for i, call := range []func() error{
			func() error { return s.Save(t.Context(), durable.Record{ID: "r0", Version: 2}) },
			func() error { return s.Save(t.Context(), durable.Record{ID: "r1", Version: 9}) },
			func() error { return s.Create(t.Context(), durable.Record{ID: "r9", Key: "k2"}) },
			func() error { return s.Save(t.Context(), durable.Record{ID: "none", Version: 2}) },
			func() error { return s.Save(t.Context(), durable.Record{ID: "r3", Version: 2}) },
			func() error { return s.Save(t.Context(), durable.Record{ID: "r3", Version: 3}) },
		} {
			go func() { answers[i] = call() }()
			synctest.Wait() // in this order
		}
		release()
		synctest.Wait()
		exists := &durable.ExistsError{}
		if answers[0] != nil || !errors.Is(answers[1], durable.ErrConflict) || !errors.As(answers[2], &exists) || exists.ID != "r2" ||
			!errors.Is(answers[3], durable.ErrNotFound) || answers[4] != nil || answers[5] != nil {
			t.Errorf("answers: %v", answers)
		}
		after := db.Stats()
		if after.Commits-before.Commits != 2 || after.Batches[2]-before.Batches[2] != 1 { // the held one, and six at once
			t.Errorf("stats: %+v, before %+v", after, before)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestContextEnds: a write withdrawn before its turn never happens; later, nobody knows.
func TestContextEnds(t *testing.T) {
	path := temp(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path)
		s := orders(t, db)
		must(t, s.Create(t.Context(), durable.Record{ID: "r1"}))
		save := func(ctx context.Context) <-chan error {
			answer := make(chan error, 1)
			go func() { answer <- s.Save(ctx, durable.Record{ID: "r1", Version: 2}) }()
			synctest.Wait()
			return answer
		}

		ctx, cancel := context.WithCancel(t.Context())
		release := hold(t, db)
		answer := save(ctx)
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) || errors.Is(err, durable.ErrUnknown) {
			t.Errorf("withdrawn save: %v", err)
		}
		release()
		synctest.Wait()
		version(t, s, 1)

		ctx, cancel = context.WithCancel(t.Context())
		release = hold(t, db)
		answer = save(ctx)
		releaseBatch := hold(t, db) // in the batch of the save, behind it
		release()
		synctest.Wait()
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) || !errors.Is(err, durable.ErrUnknown) {
			t.Errorf("save that was under way: %v", err)
		}
		releaseBatch()
		synctest.Wait()
		version(t, s, 2)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestClose: what was waiting is written, what comes later is refused.
func TestClose(t *testing.T) {
	path := temp(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path)
		s := orders(t, db)
		release := hold(t, db)
		var created, closed error
		go func() { created = s.Create(t.Context(), durable.Record{ID: "r1"}) }()
		synctest.Wait()
		go func() { closed = db.Close() }()
		synctest.Wait()
		if err := s.Create(t.Context(), durable.Record{ID: "r2"}); !errors.Is(err, sqlite.ErrClosed) {
			t.Errorf("create after close: %v", err)
		}
		release()
		synctest.Wait()
		if err := errors.Join(created, closed); err != nil {
			t.Error(err)
		}
		if _, err := s.Load(t.Context(), "r1"); !errors.Is(err, sqlite.ErrClosed) {
			t.Errorf("load after close: %v", err)
		}
		db = open(t, path)
		version(t, orders(t, db), 1)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log was left behind: %v", err)
	}
}

func TestOwner(t *testing.T) {
	path := temp(t)
	db := open(t, path)
	_, err := sqlite.Open(t.Context(), path)
	if !isInUse(err) || !strings.Contains(err.Error(), path) {
		t.Errorf("second opener: %v", err)
	}
	must(t, db.Close())
	open(t, path)
}

func TestReadOnly(t *testing.T) {
	path, ctx := temp(t), t.Context()
	if _, err := sqlite.OpenReadOnly(ctx, path); err == nil {
		t.Error("a file that is not there was opened")
	}
	db := open(t, path)
	must(t, orders(t, db).Create(ctx, durable.Record{ID: "r1"}))
	check := func(what string) {
		t.Run(what, func(t *testing.T) {
			reader, err := sqlite.OpenReadOnly(ctx, path)
			must(t, err)
			s := orders(t, reader)
			version(t, s, 1)
			if durable.FeaturesOf(s).Exclusive {
				t.Error("a reader is not alone")
			}
			_, _, claim := s.Claim(ctx, durable.Claim{Who: "x", Now: time.Now(), Limit: 1})
			for _, err := range []error{s.Create(ctx, durable.Record{ID: "r2"}), s.Save(ctx, durable.Record{ID: "r1", Version: 2}), claim} {
				if !errors.Is(err, sqlite.ErrReadOnly) {
					t.Errorf("write: %v", err)
				}
			}
			if _, err := reader.Store(ctx, "payments"); err == nil {
				t.Error("a kind that is not there was opened")
			}
			if kinds, err := reader.Kinds(ctx); err != nil || !slices.Equal(kinds, []string{"orders"}) {
				t.Errorf("kinds: %q, %v", kinds, err)
			}
			must(t, reader.Close())
		})
	}
	check("while another writes")
	must(t, db.Close())
	check("alone")
}

func TestKinds(t *testing.T) {
	path, ctx := temp(t), t.Context()
	db := open(t, path)
	a, err := db.Store(ctx, "orders")
	must(t, err)
	b, err := db.Store(ctx, "payments")
	must(t, err)
	must(t, a.Create(ctx, durable.Record{ID: "r1", Key: "k"}))
	if _, err := b.Load(ctx, "r1"); !errors.Is(err, durable.ErrNotFound) {
		t.Errorf("load from another kind: %v", err)
	}
	must(t, b.Create(ctx, durable.Record{ID: "r1", Key: "k"}))
	for _, name := range []string{"", "Orders", "a b", "1", "o;drop"} {
		if _, err := db.Store(ctx, name); err == nil {
			t.Errorf("kind %q was taken", name)
		}
	}
}

func TestLastTime(t *testing.T) {
	path, ctx := temp(t), t.Context()
	at := time.Date(2026, 3, 14, 12, 0, 0, 123456789, time.UTC)
	want := func(db *sqlite.DB, want time.Time) {
		t.Helper()
		if got, err := db.LastTime(ctx); err != nil || !got.Equal(want) {
			t.Errorf("last time: %v, %v; want %v", got, err, want)
		}
	}
	db := open(t, path)
	want(db, time.Time{})
	s := orders(t, db)
	must(t, s.Create(ctx, durable.Record{ID: "r1", Updated: at}))
	must(t, s.Create(ctx, durable.Record{ID: "r2", Updated: at.Add(-time.Hour)}))
	if err := s.Save(ctx, durable.Record{ID: "r2", Version: 7, Updated: at.Add(time.Hour)}); !errors.Is(err, durable.ErrConflict) {
		t.Error(err)
	}
	want(db, at)
	must(t, db.Close())
	db = open(t, path)
	want(db, at)
	s = orders(t, db)
	must(t, s.Save(ctx, durable.Record{ID: "r1", Version: 2, Updated: at.Add(-time.Hour)}))
	want(db, at)
	must(t, s.Save(ctx, durable.Record{ID: "r1", Version: 3, Updated: at.Add(time.Hour)}))
	want(db, at.Add(time.Hour))
}

// TestForeignFile: what this program does not know, it does not touch.
func TestForeignFile(t *testing.T) {
	for _, test := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"not a database", "not a database", func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("my diary ", 1000)), 0o600)
		}},
		{"of another program", "another program", func(path string) error {
			return script(t, path, "PRAGMA application_id = 0; PRAGMA user_version = 0; CREATE TABLE theirs (x)")
		}},
		{"newer", "newer version", func(path string) error {
			return script(t, path, fmt.Sprintf("PRAGMA user_version = %d", sqlite.Layouts+1))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := temp(t)
			must(t, test.make(path))
			for _, open := range []func(context.Context, string) (*sqlite.DB, error){sqlite.Open, sqlite.OpenReadOnly} {
				if _, err := open(t.Context(), path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("open: %v", err)
				} else {
					t.Log(err)
				}
			}
		})
	}
}

// script changes a new file behind our back.
func script(t *testing.T, path, text string) error {
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		return err
	}
	return errors.Join(db.Exec(text), db.Close())
}

func TestStateReadable(t *testing.T) {
	path, ctx := temp(t), t.Context()
	db := open(t, path)
	s := orders(t, db)
	for id, state := range map[string]string{"text": `{"é":1}`, "zero": "a\x00b", "binary": "\xff\xfe", "empty": ""} {
		must(t, s.Create(ctx, durable.Record{ID: id, State: []byte(state)}))
		if r, err := s.Load(ctx, id); err != nil || string(r.State) != state {
			t.Errorf("%s: %q, %v", id, r.State, err)
		}
	}
	if n, err := db.Count(ctx, "SELECT count(*) FROM orders WHERE typeof(state) = 'text'"); err != nil || n != 2 {
		t.Errorf("%d states are text, %v", n, err)
	}
}
