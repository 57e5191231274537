package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/postgres"
)

// TestLostAnswer: a write whose answer is lost is in doubt and not repeated. Here it took place.
func TestLostAnswer(t *testing.T) {
	p := between(t, database(t))
	db := open(t, postgres.Options{URL: p.url, MaxConns: 1})
	s := orders(t, db)
	r := create(t, s, record("r1"))
	warm(t, s)
	before := db.Stats()
	p.is(losesAnswers)
	if err := s.Save(t.Context(), next(r)); !errors.Is(err, durable.ErrUnknown) {
		t.Errorf("save: %v", err)
	}
	p.is(honest)
	if v := version(t, s, "r1"); v != 2 {
		t.Errorf("version %d", v)
	}
	warm(t, s)
	p.is(losesAnswers)
	if err := s.Create(t.Context(), record("r2")); !errors.Is(err, durable.ErrUnknown) {
		t.Errorf("create: %v", err)
	}
	p.is(honest)
	if v := version(t, s, "r2"); v != 1 {
		t.Errorf("version %d", v)
	}
	warm(t, s)
	claim := durable.Claim{Who: "x", Now: noon.Add(time.Hour), Lease: noon.Add(2 * time.Hour), Limit: 9}
	p.is(losesAnswers)
	if _, _, err := s.Claim(t.Context(), claim); !errors.Is(err, durable.ErrUnknown) {
		t.Errorf("claim: %v", err)
	}
	p.is(honest)
	if r, err := s.Load(t.Context(), "r1"); err != nil || r.Owner != "x" {
		t.Errorf("%v, %v", r, err)
	}
	after := db.Stats()
	if after.Unknown-before.Unknown != 3 || after.Writes-before.Writes != 4 || after.Claims-before.Claims != 2 { // warm's
		t.Errorf("%+v, before %+v", after, before)
	}
}

// warm has every statement of the store prepared on its connection.
func warm(t testing.TB, s durable.Store) {
	t.Helper()
	r := record("warm " + rand.Text())
	r.Due = time.Time{}
	create(t, s, r)
	if err := s.Save(t.Context(), next(r)); err != nil {
		t.Fatal(err)
	}
	version(t, s, r.ID)
	if _, _, err := s.Claim(t.Context(), durable.Claim{Who: "warm", Now: noon, Lease: noon}); err != nil {
		t.Fatal(err)
	}
}

// TestLostRequest: the same, but the write did not take place. What is only read is read again.
func TestLostRequest(t *testing.T) {
	p := between(t, database(t))
	db := open(t, postgres.Options{URL: p.url, MaxConns: 1})
	s := orders(t, db)
	r := create(t, s, record("r1"))
	warm(t, s)
	p.is(losesRequest)
	if err := s.Save(t.Context(), next(r)); !errors.Is(err, durable.ErrUnknown) {
		t.Errorf("save: %v", err)
	}
	p.is(honest)
	if v := version(t, s, "r1"); v != 1 {
		t.Errorf("version %d", v)
	}
	p.cut()
	if v := version(t, s, "r1"); v != 1 {
		t.Errorf("version %d", v)
	}
	p.is(losesRequest)
	if _, err := s.Load(t.Context(), "r1"); err == nil || errors.Is(err, durable.ErrUnknown) {
		t.Errorf("load: %v", err)
	}
	if db.Stats().Retries < 3 {
		t.Errorf("%+v", db.Stats())
	}
}

// TestOneLossIsEnough: when one connection turns out to be lost, the others that were idle are tried before a write
// is given to them: no more than one write is in doubt.
func TestOneLossIsEnough(t *testing.T) {
	url := database(t)
	p := between(t, url)
	db := open(t, postgres.Options{URL: p.url, MaxConns: 4})
	s := orders(t, db)
	r := create(t, s, record("r1"))
	release := locked(t, url, "r1")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // each waits on a connection of its own
			if err := s.Save(t.Context(), next(r)); err != nil && !errors.Is(err, durable.ErrConflict) {
				t.Error(err)
			}
		})
	}
	waitings(t, url, 4, "")
	release()
	wg.Wait()
	p.cut()
	r = next(next(r))
	if err := s.Save(t.Context(), r); !errors.Is(err, durable.ErrUnknown) { // it did not arrive
		t.Errorf("the first: %v", err)
	}
	for range 4 {
		if err := s.Save(t.Context(), r); err != nil {
			t.Error(err)
		}
		r = next(r)
	}
	if n := db.Stats().Unknown; n != 1 {
		t.Errorf("%d writes in doubt", n)
	}
}

// TestCanceledInFlight: a write that was sent when its context ended is in doubt, for the context's reason; one that
// nobody answers is in doubt after a while, for none of the context's.
func TestCanceledInFlight(t *testing.T) {
	p := between(t, database(t))
	db := open(t, postgres.Options{URL: p.url, MaxConns: 1})
	s := orders(t, db)
	r := create(t, s, record("r1"))
	warm(t, s)
	p.is(silent)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-p.struck
		cancel()
	}()
	if err := s.Save(ctx, next(r)); !errors.Is(err, durable.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("save: %v", err)
	}
	p.is(honest)
	p.cut()
	if v := version(t, s, "r1"); v != 2 {
		t.Errorf("version %d", v)
	}

	p.is(silent)
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		<-p.struck
		cancel()
	}()
	if _, err := s.Load(ctx, "r1"); !errors.Is(err, context.Canceled) || errors.Is(err, durable.ErrUnknown) {
		t.Errorf("load: %v", err)
	}
	p.is(honest)
	p.cut()
	warm(t, s)

	db.SetPatience(50 * time.Millisecond)
	p.is(silent)
	err := s.Save(t.Context(), next(next(r)))
	p.is(honest)
	p.cut()
	db.SetPatience(time.Minute)
	if !errors.Is(err, durable.ErrUnknown) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("save: %v", err)
	}
	if r, err := s.Load(t.Context(), "r1"); err != nil || r.Version < 2 {
		t.Errorf("%v, %v", r, err)
	}
}

// locked holds the record's row from the store until release.
func locked(t testing.TB, database, id string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "SELECT 1 FROM tiffin.orders WHERE id = $1 FOR UPDATE", id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := tx.Rollback(context.Background()); err != nil {
			t.Error(err)
		}
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// waiting is the backend that waits for a row, other than the given one.
func waiting(t testing.TB, database, other string) string {
	t.Helper()
	return waitings(t, database, 1, other)
}

// waitings is the first of n that wait.
func waitings(t testing.TB, database string, n int, other string) string {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 20*time.Second; { // a watchdog, not a wait
		pids := query(t, database, "SELECT pid::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND pid::text <> '"+other+"'")
		if len(pids) >= n {
			return pids[0]
		}
	}
	t.Fatalf("not %d wait", n)
	return ""
}

// TestTerminated: when an administrator ends a connection while it writes, the server says so and nothing was
// written; the write is sent again.
func TestTerminated(t *testing.T) {
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	s := orders(t, db)
	r := create(t, s, record("r1"))
	release := locked(t, url, "r1")
	done := make(chan error, 1)
	go func() { done <- s.Save(context.Background(), next(r)) }()
	first := waiting(t, url, "")
	query(t, url, "SELECT pg_terminate_backend("+first+")")
	waiting(t, url, first)
	if v := version(t, s, "r1"); v != 1 {
		t.Errorf("version %d", v)
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if v := version(t, s, "r1"); v != 2 || db.Stats().Retries != 1 || db.Stats().Unknown != 0 {
		t.Errorf("version %d, %+v", v, db.Stats())
	}
}

// TestLimits: a write that waits too long for a row, or runs too long, is ended by the server: nothing was written.
func TestLimits(t *testing.T) {
	url := database(t)
	for name, limit := range map[string]string{"lock_timeout": "lock timeout", "statement_timeout": "statement timeout"} {
		db := open(t, postgres.Options{URL: parameter(url, name, "100ms")})
		s := orders(t, db)
		r := create(t, s, record(name))
		release := locked(t, url, name)
		err := s.Save(t.Context(), next(r))
		if err == nil || !strings.Contains(err.Error(), limit) || errors.Is(err, durable.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		claimed, _, err := s.Claim(t.Context(), durable.Claim{Who: "x", Now: noon, Lease: noon.Add(1), Limit: 9})
		for _, r := range claimed {
			if r.ID == name {
				t.Error("a record that is being changed was given out")
			}
		}
		if err != nil {
			t.Errorf("claim does not wait: %v", err)
		}
		release()
		if v := version(t, s, name); v != 1 {
			t.Errorf("version %d", v)
		}
	}
}

// TestDeadline: a write for which no connection is free before its context ends is not sent.
func TestDeadline(t *testing.T) {
	url := database(t)
	db := open(t, postgres.Options{URL: url, MaxConns: 1})
	s := orders(t, db)
	one, two := create(t, s, record("r1")), create(t, s, record("r2"))
	release := locked(t, url, "r1")
	done := make(chan error, 1)
	go func() { done <- s.Save(context.Background(), next(one)) }()
	waiting(t, url, "")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Save(ctx, next(two)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, durable.ErrUnknown) {
		t.Errorf("save: %v", err)
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if a, b := version(t, s, "r1"), version(t, s, "r2"); a != 2 || b != 1 {
		t.Errorf("versions %d and %d", a, b)
	}
}

// TestServerReadOnly: after a failover the old server may take no writes any more. That is an error like another.
func TestServerReadOnly(t *testing.T) {
	url := database(t)
	s := orders(t, open(t, postgres.Options{URL: url}))
	r := create(t, s, record("r1"))
	db := open(t, postgres.Options{URL: parameter(url, "default_transaction_read_only", "on")})
	s = orders(t, db)
	_, _, claim := s.Claim(t.Context(), durable.Claim{Who: "x", Now: noon, Lease: noon.Add(1), Limit: 1})
	for what, err := range map[string]error{"create": s.Create(t.Context(), record("r2")), "save": s.Save(t.Context(), next(r)), "claim": claim} {
		if err == nil || errors.Is(err, durable.ErrUnknown) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s: %v", what, err)
		}
	}
	got, err := s.Load(t.Context(), "r1")
	if err != nil || got.Version != 1 || got.Owner != "" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := s.Load(t.Context(), "r2"); !errors.Is(err, durable.ErrNotFound) {
		t.Error(err)
	}
	if db.Stats().Retries != 0 {
		t.Errorf("%+v", db.Stats())
	}
}

// TestStorm: many savers of few records, each reading again when it has lost: every version is somebody's, once.
// With the isolation that has the server give up instead of looking again, the same.
func TestStorm(t *testing.T) {
	url := database(t)
	for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			db := open(t, postgres.Options{URL: parameter(url, "default_transaction_isolation", isolation), Schema: strings.ReplaceAll(isolation, " ", "_")})
			s := orders(t, db)
			const savers, saves = 12, 20
			create(t, s, record("r0"))
			create(t, s, record("r1"))
			var wg sync.WaitGroup
			for i := range savers {
				wg.Go(func() {
					for n := range saves {
						if err := saveOnce(t.Context(), s, fmt.Sprint("r", (i+n)%2)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if sum := version(t, s, "r0") + version(t, s, "r1"); sum != 2+savers*saves {
				t.Errorf("%d versions, want %d", sum, 2+savers*saves)
			}
			t.Logf("%+v", db.Stats())
		})
	}
}

// saveOnce saves the next version of a record, reading it again when another was quicker. Where the server gives up
// more often than the store repeats, that is a plain error, and nothing was written.
func saveOnce(ctx context.Context, s durable.Store, id string) error {
	for {
		r, err := s.Load(ctx, id)
		if err != nil {
			return err
		}
		err = s.Save(ctx, next(r))
		if err == nil || !errors.Is(err, durable.ErrConflict) && !strings.Contains(err.Error(), "could not serialize") {
			return err
		}
	}
}
