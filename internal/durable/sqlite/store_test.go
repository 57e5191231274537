package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

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
