package mongo_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/durabletest"
	"github.com/tiffin-food/tiffin/internal/durable/mongo"
	"github.com/tiffin-food/tiffin/internal/engines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(engines.Main{M: m}) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o mongo.Options) *mongo.DB {
	t.Helper()
	db, err := mongo.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func orders(t testing.TB, db *mongo.DB) *mongo.Store {
	t.Helper()
	s, err := db.Store(t.Context(), "orders")
	must(t, err)
	return s
}

func TestStore(t *testing.T) {
	durabletest.Exercise(t, func(t testing.TB) (durable.Store, func() durable.Store) {
		place := engines.Place(t, engines.MongoDB)
		db := open(t, mongo.Options{URL: place})
		return orders(t, db), func() durable.Store {
			must(t, db.Close())
			db = open(t, mongo.Options{URL: place})
			return orders(t, db)
		}
	})
}
