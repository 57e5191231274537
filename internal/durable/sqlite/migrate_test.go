package sqlite_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
)

// layout1 is a file as programs before layout 2 left it.
const layout1 = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE kinds (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('last_time', 9000000000);
CREATE TABLE orders (
	id      TEXT PRIMARY KEY NOT NULL,
	key     TEXT UNIQUE,
	version INTEGER NOT NULL,
	created INTEGER,
	updated INTEGER,
	due     INTEGER,
	owner   TEXT NOT NULL,
	lease   INTEGER,
	minted  INTEGER NOT NULL,
	state   ANY NOT NULL,
	owed    TEXT NOT NULL,
	seen    TEXT NOT NULL
) STRICT;
CREATE INDEX orders_due ON orders (due, owner) WHERE due IS NOT NULL;
CREATE TABLE payments (
	id      TEXT PRIMARY KEY NOT NULL,
	key     TEXT UNIQUE,
	version INTEGER NOT NULL,
	created INTEGER,
	updated INTEGER,
	due     INTEGER,
	owner   TEXT NOT NULL,
	lease   INTEGER,
	minted  INTEGER NOT NULL,
	state   ANY NOT NULL,
	owed    TEXT NOT NULL,
	seen    TEXT NOT NULL
) STRICT;
CREATE INDEX payments_due ON payments (due, owner) WHERE due IS NOT NULL;
INSERT INTO kinds VALUES ('orders'), ('payments');
INSERT INTO orders VALUES
	('r1', 'k', 3, 1000000000, 9000000000, 8000000000, 'a', 9000000000, 2, '{"status":"paid"}',
	 '[{"name":"late","kind":"timer","due":"1970-01-01T00:00:08Z","id":"r1/late/2"}]', '[{"id":"e1","hash":"00ff"}]'),
	('r2', NULL, 1, NULL, NULL, NULL, '', NULL, 0, x'fffe', '[]', '[]');
PRAGMA application_id = 0x54696666;
PRAGMA user_version = 1;`

// old makes a file of layout 1, with more in it.
func old(t *testing.T, more string) string {
	t.Helper()
	path := temp(t)
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec(layout1 + more)
	must(t, err)
	must(t, db.Close())
	return path
}

// TestMigrate: a file of an earlier version is brought to this one's layout. Its records are as they were, and
// nobody's until they are saved again.
func TestMigrate(t *testing.T) {
	path, ctx := old(t, ""), t.Context()
	if _, err := sqlite.OpenReadOnly(ctx, path); err == nil || !strings.Contains(err.Error(), "open it for writing once") {
		t.Errorf("open for reading: %v", err)
	}
	db := open(t, path)
	if kinds, err := db.Kinds(ctx); err != nil || !slices.Equal(kinds, []string{"orders", "payments"}) {
		t.Errorf("kinds: %q, %v", kinds, err)
	}
	for range 2 {
		last, err := db.LastTime(ctx)
		if err != nil || !last.Equal(time.Unix(9, 0)) {
			t.Errorf("last time: %v, %v", last, err)
		}
		must(t, db.Close())
		db = open(t, path)
	}
	s := orders(t, db)
	r, err := s.Load(ctx, "r1")
	must(t, err)
	if r.Key != "k" || r.Version != 3 || !r.Due.Equal(time.Unix(8, 0)) || r.Minted != 2 || string(r.State) != `{"status":"paid"}` ||
		len(r.Owed) != 1 || r.Owed[0].ID != "r1/late/2" || len(r.Seen) != 1 || r.Party != "" || r.Trace != "" {
		t.Errorf("%+v", r)
	}
	ids := func(party string) (ids []string) {
		list, err := s.List(ctx, party, "", 9)
		must(t, err)
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		return ids
	}
	if all, adas := ids(""), ids("ada"); !slices.Equal(all, []string{"r2", "r1"}) || adas != nil {
		t.Errorf("all %q, ada's %q", all, adas)
	}
	r.Version, r.Party = 4, "ada"
	must(t, s.Save(ctx, r))
	must(t, s.Create(ctx, durable.Record{ID: "r3", Party: "ada", Trace: "t"}))
	if adas := ids("ada"); !slices.Equal(adas, []string{"r3", "r1"}) {
		t.Errorf("ada's %q", adas)
	}
	for _, kind := range []string{"payments", "tickets"} { // one that was there, and a new one
		other, err := db.Store(ctx, kind)
		must(t, err)
		must(t, other.Create(ctx, durable.Record{ID: "r1", Party: "ada"}))
		if list, err := other.List(ctx, "ada", "", 9); err != nil || len(list) != 1 {
			t.Errorf("%s: %v, %v", kind, list, err)
		}
	}
	reader, err := sqlite.OpenReadOnly(ctx, path)
	must(t, err)
	if list, err := orders(t, reader).List(ctx, "ada", "r3", 9); err != nil || len(list) != 1 || list[0].Party != "ada" {
		t.Errorf("%v, %v", list, err)
	}
	must(t, reader.Close())
}

// TestFailedMigration: one that fails leaves the file as it was.
func TestFailedMigration(t *testing.T) {
	path := old(t, "CREATE INDEX payments_party ON payments (version);")
	if _, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "to version 2") {
		t.Errorf("open: %v", err)
	}
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec("SELECT id FROM orders WHERE party = ''")
	if err == nil || !strings.Contains(err.Error(), "no such column") {
		t.Errorf("orders were changed: %v", err)
	}
	_, err = db.Exec("DROP INDEX payments_party")
	must(t, err)
	must(t, db.Close())
	open(t, path)
}

// TestPlans: a party's records are read along their index, and a save that leaves the party alone does not touch it.
func TestPlans(t *testing.T) {
	for what, path := range map[string]string{"new": temp(t), "migrated": old(t, "")} {
		db := open(t, path)
		statements := orders(t, db).Statements()
		for _, name := range []string{"listOf", "listAllOf"} {
			plan, err := db.Texts(t.Context(), "EXPLAIN QUERY PLAN "+statements[name], 3)
			must(t, err)
			if text := strings.Join(plan, "; "); !strings.HasPrefix(text, "SEARCH orders USING INDEX orders_party (party=?") || len(plan) != 1 {
				t.Errorf("%s, %s: %s", what, name, text)
			}
		}
		for name, indexes := range map[string]int{"save": 1, "give": 2} {
			code, err := db.Texts(t.Context(), "EXPLAIN "+statements[name], 1)
			must(t, err)
			n := 0
			for _, op := range code {
				if op == "IdxInsert" {
					n++
				}
			}
			if n != indexes {
				t.Errorf("%s, %s: %d index entries are written", what, name, n)
			}
		}
	}
}
