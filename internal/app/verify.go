package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
	"github.com/tiffin-food/tiffin/internal/partner/cardcompany"
	"github.com/tiffin-food/tiffin/internal/verify"
)

// Verify checks the invariants over the data in a folder, which a system may be running on.
func Verify(ctx context.Context, folder string) (report verify.Report, err error) {
	if _, err := os.Stat(filepath.Join(folder, DataFile)); err != nil {
		return report, fmt.Errorf("data: no system has run on %s: it has no %s", folder, DataFile)
	}
	db, err := sqlite.OpenReadOnly(ctx, filepath.Join(folder, DataFile))
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var books *sqlite.DB
	path := filepath.Join(folder, PartnerFile)
	if _, missing := os.Stat(path); !errors.Is(missing, fs.ErrNotExist) {
		if books, err = sqlite.OpenReadOnly(ctx, path); err != nil {
			return report, err
		}
		defer func() { err = errors.Join(err, books.Close()) }()
	}
	return check(ctx, db, books)
}

// check runs the verification over open databases; books nil: there is no card company of ours.
func check(ctx context.Context, db, books *sqlite.DB) (verify.Report, error) {
	stores := verify.Stores{}
	for kind, into := range map[string]*durable.Store{
		Orders: &stores.Orders, Payments: &stores.Payments, Deliveries: &stores.Deliveries, Tickets: &stores.Tickets,
	} {
		store, err := db.Store(ctx, kind)
		if err != nil {
			return verify.Report{}, err
		}
		*into = store
	}
	if books == nil {
		return verify.Check(ctx, stores)
	}
	charges, err := books.Store(ctx, cardcompany.Kind)
	if err != nil {
		return verify.Report{}, err
	}
	now, err := latest(ctx, db, books)
	if err != nil {
		return verify.Report{}, err
	}
	stores.Ledger = func(ctx context.Context, each func(verify.Charge)) error {
		for e, err := range cardcompany.Ledger(ctx, charges, now) {
			if err != nil {
				return err
			}
			each(verify.Charge{OrderID: e.CallerID, Charged: int64(e.Charged), Refunded: int64(e.Refunded)})
		}
		return nil
	}
	return verify.Check(ctx, stores)
}

// latest is how far the data's clock came.
func latest(ctx context.Context, all ...*sqlite.DB) (now time.Time, err error) {
	for _, db := range all {
		t, err := db.LastTime(ctx)
		if err != nil {
			return now, fmt.Errorf("the data's time: %w", err)
		}
		if t.After(now) {
			now = t
		}
	}
	return now, nil
}

// Verify checks the invariants over the running system's data.
func (s *System) Verify(ctx context.Context) (verify.Report, error) {
	var books *sqlite.DB
	if s.partners != nil {
		books = s.partners.db
	}
	return check(ctx, s.db, books)
}
