package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/postgres"
	"github.com/tiffin-food/tiffin/internal/engines"
)

// TestServerKilled: the server is killed while records are created and saved side by side, and started again. What
// was answered is there, what is in doubt is there or not, and what failed otherwise is not. The same DB goes on.
func TestServerKilled(t *testing.T) {
	server := engines.Private(t, engines.PostgreSQL)
	p := between(t, server.URL()) // what runs finishes its statement before it knows that the server is gone; so its answer is lost
	db := open(t, postgres.Options{URL: p.url})
	s := orders(t, db)
	const savers = 24
	records := make([]durable.Record, savers)
	for i := range records {
		records[i] = create(t, s, record(fmt.Sprintf("r%02d", i)))
	}
	doubts, failures := 0, 0
	for round := range 3 {
		errs := make([]error, savers)
		made := make([]string, savers) // the last create, and
		madeErr := make([]error, savers)
		busy := make(chan struct{}, savers*1000)
		var wg sync.WaitGroup
		for i := range records {
			wg.Go(func() {
				for n := 0; errs[i] == nil && madeErr[i] == nil; n++ {
					if errs[i] = s.Save(t.Context(), next(records[i])); errs[i] == nil {
						records[i] = next(records[i])
					}
					made[i] = fmt.Sprintf("new-%d-%d-%d", round, i, n)
					madeErr[i] = s.Create(t.Context(), record(made[i]))
					select {
					case busy <- struct{}{}:
					default:
					}
				}
			})
		}
		for range savers * 20 {
			<-busy
		}
		p.cut()
		if err := server.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if _, err := s.Load(t.Context(), "r00"); !errors.Is(err, postgres.ErrAway) {
			t.Errorf("without a server: %v", err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range records {
			got, err := s.Load(t.Context(), records[i].ID)
			if err != nil {
				t.Fatal(err)
			}
			doubt := errors.Is(errs[i], durable.ErrUnknown)
			if got.Version != records[i].Version && (!doubt || got.Version != records[i].Version+1) ||
				string(got.State) != fmt.Sprintf(`{"version":%d}`, got.Version) {
				t.Errorf("version %d was answered, then %v; found %d with %s", records[i].Version, errs[i], got.Version, got.State)
			}
			records[i] = got
			_, err = s.Load(t.Context(), made[i])
			switch there := err == nil; {
			case err != nil && !errors.Is(err, durable.ErrNotFound):
				t.Fatal(err)
			case madeErr[i] == nil && !there, madeErr[i] != nil && !errors.Is(madeErr[i], durable.ErrUnknown) && there:
				t.Errorf("create of %s: %v; there: %v", made[i], madeErr[i], there)
			}
			for _, err := range []error{errs[i], madeErr[i]} {
				switch {
				case errors.Is(err, durable.ErrUnknown):
					doubts++
				case err != nil:
					failures++
				}
			}
		}
	}
	if doubts == 0 {
		t.Error("no write was under way when the server was killed")
	}
	t.Logf("%d writes in doubt, %d failed; %+v", doubts, failures, db.Stats())
}
