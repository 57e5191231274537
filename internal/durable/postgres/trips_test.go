package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/postgres"
)

// TestRoundTrips: everything that goes well takes one.
func TestRoundTrips(t *testing.T) {
	db := open(t, postgres.Options{URL: database(t), MaxConns: 1})
	s := orders(t, db)
	r := create(t, s, record("r1"))
	warm(t, s)
	claim := durable.Claim{Who: "x", Now: noon, Lease: noon.Add(time.Minute), Limit: 9}
	for _, c := range []struct {
		what  string
		trips uint64
		call  func() error
	}{
		{"create", 1, func() error { return s.Create(t.Context(), record("r2")) }},
		{"save", 1, func() error { return s.Save(t.Context(), next(r)) }},
		{"load", 1, func() error { _, err := s.Load(t.Context(), "r1"); return err }},
		{"list of a party", 2, func() error { _, err := s.List(t.Context(), "ada", "", 9); return err }}, // it is not prepared yet
		{"claim", 1, func() error { _, _, err := s.Claim(t.Context(), claim); return err }},
		{"claim of nothing", 1, func() error { _, _, err := s.Claim(t.Context(), claim); return err }},
		{"create of what is there, with its statement prepared", 3, func() error { return isExists(s.Create(t.Context(), record("r2"))) }},
		{"create of what is there", 2, func() error { return isExists(s.Create(t.Context(), record("r2"))) }},
	} {
		before := db.Stats().RoundTrips
		if err := c.call(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if n := db.Stats().RoundTrips - before; n != c.trips {
			t.Errorf("%s: %d round trips, want %d", c.what, n, c.trips)
		}
	}
}

func isExists(err error) error {
	if exists := (*durable.ExistsError)(nil); !errors.As(err, &exists) {
		return fmt.Errorf("got %w", err)
	}
	return nil
}

// TestPlans: statements go along an index, whatever the planner is told of the table: nothing when it is new.
func TestPlans(t *testing.T) {
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	s := orders(t, db)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plan_cache_mode", "enable_seqscan", "enable_bitmapscan", "jit"} {
		value, err := db.Setting(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		config.RuntimeParams[name] = value
	}
	for _, fill := range []string{
		"SELECT 1", "ANALYZE tiffin.orders",
		`INSERT INTO tiffin.orders SELECT 'r' || i, NULL, 1, i, i, CASE WHEN i % 100 = 0 THEN i END, '', NULL, 0, '{}', '[]', '[]' FROM generate_series(1, 20000) AS i`,
		"ANALYZE tiffin.orders",
		"UPDATE tiffin.orders SET party = CASE WHEN id LIKE '%99' THEN id ELSE 'ada' END", "ANALYZE tiffin.orders", // the others have one each
	} {
		query(t, url, fill)
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		for name, sql := range s.Statements() {
			if name == "create" {
				continue
			}
			if _, err := conn.Exec(t.Context(), "PREPARE "+name+" AS "+sql); err != nil {
				t.Fatal(name, err)
			}
			n := 1
			for strings.Contains(sql, fmt.Sprint("$", n+1)) {
				n++
			}
			args := strings.TrimSuffix(strings.Repeat("NULL,", n), ",")
			rows, err := conn.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE %s(%s)", name, args), pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(name, err)
			}
			plan := strings.Join(lines, "\n")
			if strings.Contains(name, "Of") && (!strings.Contains(plan, "orders_party") || strings.Contains(plan, "Sort")) {
				t.Errorf("%s after %s does not go along the index:\n%s", name, fill, plan)
			}
			if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Bitmap") || strings.Contains(plan, "JIT") {
				t.Errorf("%s after %s:\n%s", name, fill, plan)
			}
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
