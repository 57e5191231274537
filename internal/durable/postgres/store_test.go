package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/durabletest"
	"github.com/tiffin-food/tiffin/internal/durable/postgres"
	"github.com/tiffin-food/tiffin/internal/engines"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 123456789, time.UTC)

func TestMain(m *testing.M) { goleak.VerifyTestMain(engines.Main{M: m}) }

// database is one of the test's own.
func database(t testing.TB) string {
	t.Helper()
	return engines.Place(t, engines.PostgreSQL)
}

// with changes a URL.
func with(text string, change func(*url.URL)) string {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	change(u)
	return u.String()
}

// parameter adds one to a URL.
func parameter(text, name, value string) string {
	return with(text, func(u *url.URL) {
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // a plus is a plus to PostgreSQL
	})
}

// query runs a statement beside the store and returns its rows' first columns.
func query(t testing.TB, database, sql string, args ...any) []string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // it was read
	rows, err := conn.Query(context.Background(), sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		return string(row.RawValues()[0]), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

func open(t testing.TB, opt postgres.Options) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, db) })
	return db
}

func shut(t testing.TB, db *postgres.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func orders(t testing.TB, db *postgres.DB) *postgres.Store {
	t.Helper()
	s, err := db.Store(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	url, places := database(t), 0
	durabletest.Exercise(t, func(t testing.TB) (durable.Store, func() durable.Store) {
		places++
		opt := postgres.Options{URL: url, Schema: fmt.Sprint("place", places)}
		db := open(t, opt)
		return orders(t, db), func() durable.Store {
			shut(t, db)
			db = open(t, opt)
			return orders(t, db)
		}
	})
}

func record(id string) durable.Record {
	return durable.Record{ID: id, Version: 1, Created: noon, Updated: noon, Due: noon, State: []byte(`{"version":1}`)}
}

// next is r as its next version.
func next(r durable.Record) durable.Record {
	r.Version++
	r.Updated = r.Updated.Add(time.Second)
	r.State = fmt.Appendf(nil, `{"version":%d}`, r.Version)
	return r
}

func create(t testing.TB, s durable.Store, r durable.Record) durable.Record {
	t.Helper()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func version(t testing.TB, s durable.Store, id string) int64 {
	t.Helper()
	r, err := s.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r.Version
}
