package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/postgres"
)

// TestManyMigrate: instances that start at once in an empty database all find everything, made once.
func TestManyMigrate(t *testing.T) {
	url := database(t)
	const instances = 6
	errs := make([]error, instances)
	var wg sync.WaitGroup
	for i := range instances {
		wg.Go(func() {
			db, err := postgres.OpenNewer(t.Context(), postgres.Options{URL: url, Schema: "kitchen_1", MaxConns: 2}, priority)
			if err != nil {
				errs[i] = err
				return
			}
			defer func() { shut(t, db) }()
			for _, kind := range []string{"orders", "payments"} {
				s, err := db.Store(t.Context(), kind)
				if err == nil {
					err = s.Create(t.Context(), record(fmt.Sprint("r", i)))
				}
				if err != nil {
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("instance %d: %v", i, err)
		}
	}
	got := strings.Join(query(t, url, "SELECT kind || version FROM kitchen_1.tiffin_migrations ORDER BY 1"), " ")
	var want []string
	for _, kind := range []string{"orders", "payments"} {
		for version := range postgres.Layouts + 1 {
			want = append(want, fmt.Sprint(kind, version+1))
		}
	}
	if got != strings.Join(want, " ") {
		t.Errorf("migrations %s, want %s", got, want)
	}
	if n := query(t, url, "SELECT count(*) FROM kitchen_1.orders"); n[0] != fmt.Sprint(instances) {
		t.Errorf("%s records", n[0])
	}
}

// priority is what a migration of a newer program may look like.
const priority = `ALTER TABLE "{schema}"."{kind}" ADD COLUMN priority integer NOT NULL DEFAULT 7`

// TestSideBySide: a running program goes on when a newer one changes the layout under it, but is not started on it
// again.
func TestSideBySide(t *testing.T) {
	opt := postgres.Options{URL: database(t)}
	older := open(t, opt)
	s := orders(t, older)
	r := create(t, s, record("r1"))
	newer, err := postgres.OpenNewer(t.Context(), opt, priority)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, newer)
	theirs := orders(t, newer)
	r = next(r)
	for _, err := range []error{s.Save(t.Context(), r), theirs.Save(t.Context(), next(r)), s.Create(t.Context(), record("r2"))} {
		if err != nil {
			t.Error(err)
		}
	}
	claimed, _, err := s.Claim(t.Context(), durable.Claim{Who: "x", Now: noon, Lease: noon.Add(1), Limit: 9})
	if err != nil || len(claimed) != 2 || claimed[0].Version != 3 {
		t.Errorf("%v, %v", claimed, err)
	}
	if got := query(t, opt.URL, "SELECT sum(priority) FROM tiffin.orders"); got[0] != "14" {
		t.Error(got)
	}
	want := fmt.Sprintf("newer version of this program (layout %d, this one knows %d)", postgres.Layouts+1, postgres.Layouts)
	for _, readOnly := range []bool{false, true} {
		opt.ReadOnly = readOnly
		if _, err := postgres.Open(t.Context(), opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open: %v", err)
		}
	}
	if _, err := older.Store(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("store: %v", err)
	}
}

// TestEarlierLayout: what programs of an earlier layout wrote, before and beside this one, is read as it was, and
// nobody's until it is saved again.
func TestEarlierLayout(t *testing.T) {
	opt := postgres.Options{URL: database(t)}
	earlier, err := postgres.OpenEarlier(t.Context(), opt, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, earlier)
	if _, err := earlier.Store(t.Context(), "orders"); err != nil { // which this program cannot write to
		t.Fatal(err)
	}
	const write = "INSERT INTO tiffin.orders (id, version, owner, minted, state, owed, seen) VALUES ($1, 1, '', 0, '{}', '[]', '[]')"
	query(t, opt.URL, write, "r1")
	opt.ReadOnly = true
	if _, err := open(t, opt).Store(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), "open it for writing once") {
		t.Errorf("open for reading: %v", err)
	}
	opt.ReadOnly = false
	s := orders(t, open(t, opt))
	query(t, opt.URL, write, "r2")
	for _, id := range []string{"r1", "r2"} {
		r, err := s.Load(t.Context(), id)
		if err != nil || r.Party != "" || r.Trace != "" {
			t.Errorf("%+v, %v", r, err)
		}
		r.Version, r.Party = 2, "ada"
		if err := s.Save(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	if list, err := s.List(t.Context(), "ada", "", 9); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if got := query(t, opt.URL, "SELECT party || trace FROM tiffin.orders_view"); strings.Join(got, " ") != "ada ada" {
		t.Errorf("the view shows %q", got)
	}
}

// TestFailedMigration: one that fails leaves what was there, and is done when its cause is gone.
func TestFailedMigration(t *testing.T) {
	opt := postgres.Options{URL: database(t)}
	create(t, orders(t, open(t, opt)), record("r1"))
	db, err := postgres.OpenNewer(t.Context(), opt, priority, "ALTER TABLE {schema}.{kind} ADD COLUMN cook text; SELECT 1/0")
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, db)
	if _, err := db.Store(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), "division by zero") ||
		!strings.Contains(err.Error(), fmt.Sprintf("from version %d ", postgres.Layouts+1)) {
		t.Errorf("got %v", err)
	}
	got := query(t, opt.URL, "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders' AND column_name IN ('priority', 'cook')")
	if strings.Join(got, " ") != "priority" {
		t.Errorf("columns %s", got)
	}
	again, err := postgres.OpenNewer(t.Context(), opt, priority, "ALTER TABLE {schema}.{kind} ADD COLUMN cook text")
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, again)
	if v := version(t, orders(t, again), "r1"); v != 1 {
		t.Errorf("version %d", v)
	}
}

// TestKinds: names that are no word, or would meet what belongs to something else, are refused.
func TestKinds(t *testing.T) {
	db := open(t, postgres.Options{URL: database(t)})
	for _, kind := range []string{"", "Orders", "a b", `a"b`, "1st", "tiffin_migrations", "orders_view", "orders_due", "orders_party", strings.Repeat("a", 42)} {
		if _, err := db.Store(t.Context(), kind); err == nil {
			t.Errorf("%q is a kind", kind)
		}
	}
	if _, err := db.Store(t.Context(), strings.Repeat("a", 41)); err != nil {
		t.Error(err)
	}
}

// TestView shows records to a person.
func TestView(t *testing.T) {
	url := database(t)
	r := record("r1")
	r.Key, r.State = "k", []byte(`{"status":"paid", "total":2350}`)
	r.Owed = []durable.Owed{{Effect: durable.Command("pay", "payment", "POST /v1/payments", map[string]int{"cents": 1}, noon), ID: "r1/pay/1"}}
	create(t, orders(t, open(t, postgres.Options{URL: url})), r)
	got := query(t, url, `SELECT concat_ws(' ', state->>'total', owed->0->'body'->>'cents', to_char(due AT TIME ZONE 'UTC', 'HH24:MI:SS'))
		FROM tiffin.orders_view WHERE state @> '{"status":"paid"}'`)
	if strings.Join(got, "") != "2350 1 12:00:00" {
		t.Errorf("%q", got)
	}
}
