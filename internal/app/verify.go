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
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Verify checks the invariants over the services' databases and the simulated card company's books in the data folder.
// A system may be running on all of them.
func Verify(ctx context.Context, cfg Config) (report verify.Report, err error) {
	if err := cfg.checkEngines(); err != nil {
		return report, err
	}
	for _, service := range Services {
		at, err := cfg.place(service)
		if err != nil {
			return report, err
		}
		if _, err := os.Stat(at.url); at.scheme == schemeSQLite && err != nil {
			return report, fmt.Errorf("data: no system has run on %s: it has no %s", filepath.Dir(at.url), filepath.Base(at.url))
		}
	}
	dbs := newDatabases(cfg, true)
	defer func() { err = errors.Join(err, dbs.close()) }()
	var books *sqlite.DB
	path := filepath.Join(cfg.Data, PartnerFile)
	if _, missing := os.Stat(path); !errors.Is(missing, fs.ErrNotExist) {
		if books, err = sqlite.OpenReadOnly(ctx, path); err != nil {
			return report, err
		}
		defer func() { err = errors.Join(err, books.Close()) }()
	}
	return check(ctx, dbs, books)
}

// check runs the verification over open databases; books nil: there is no card company of ours.
func check(ctx context.Context, dbs *databases, books *sqlite.DB) (verify.Report, error) {
	stores := verify.Stores{}
	for _, s := range []struct {
		service, kind string
		into          *durable.Store
	}{
		{wire.OrderService, Orders, &stores.Orders}, {wire.PaymentService, Payments, &stores.Payments},
		{wire.DeliveryService, Deliveries, &stores.Deliveries}, {wire.KitchenService, Tickets, &stores.Tickets},
	} {
		store, err := dbs.store(ctx, s.service, s.kind)
		if err != nil {
			return verify.Report{}, err
		}
		*s.into = store
	}
	if books == nil {
		return verify.Check(ctx, stores)
	}
	charges, err := books.Store(ctx, cardcompany.Kind)
	if err != nil {
		return verify.Report{}, err
	}
	now, err := latest(ctx, dbs, books)
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
func latest(ctx context.Context, dbs *databases, books *sqlite.DB) (time.Time, error) {
	theirs, err := books.LastTime(ctx)
	if err != nil {
		return theirs, fmt.Errorf("the data's time: %w", err)
	}
	ours, err := dbs.latest(ctx)
	if ours.After(theirs) {
		return ours, err
	}
	return theirs, err
}

// Verify checks the invariants over the running system's data.
func (s *System) Verify(ctx context.Context) (verify.Report, error) {
	var books *sqlite.DB
	if s.partners != nil {
		books = s.partners.db
	}
	return check(ctx, s.dbs, books)
}
