package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/durabletest"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		saveForEver(path)
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func orders(t testing.TB, db *sqlite.DB) *sqlite.Store {
	t.Helper()
	s, err := db.Store(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	durabletest.Exercise(t, func(t testing.TB) (durable.Store, func() durable.Store) {
		path := filepath.Join(t.TempDir(), "a %?# b.db")
		db := open(t, path)
		return orders(t, db), func() durable.Store {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = open(t, path)
			return orders(t, db)
		}
	})
}

// TestPaced: after a commit of several writes the next one waits for the pace, after a commit of one it does not.
func TestPaced(t *testing.T) {
	paced := func(pace time.Duration) (*sqlite.DB, func(id int) error) {
		db, err := sqlite.OpenPaced(t.Context(), filepath.Join(t.TempDir(), "paced.db"), pace)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		s := orders(t, db)
		return db, func(id int) error {
			return s.Create(t.Context(), durable.Record{ID: fmt.Sprintf("order-%d", id), State: []byte("{}")})
		}
	}
	_, create := paced(time.Hour)
	for id := range 5 {
		if err := create(id); err != nil {
			t.Fatal(err)
		}
	}

	const pace = 20 * time.Millisecond
	db, create := paced(pace)
	began := time.Now()
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for j := range 10 {
				if err := create(i*10 + j); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	took, stats := time.Since(began), db.Stats()
	several := -stats.Batches[0]
	for _, n := range stats.Batches {
		several += n
	}
	if several < 2 || took < time.Duration(several-1)*pace {
		t.Errorf("%d commits of several writes in %s", several, took)
	}
}
