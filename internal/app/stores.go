package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/mongo"
	"github.com/tiffin-food/tiffin/internal/durable/postgres"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
)

// database is where records are kept, whatever the engine.
type database interface {
	Store(ctx context.Context, kind string) (durable.Store, error)
	Ping(context.Context) error
	LastTime(context.Context) (time.Time, error) // the latest change of any record
	Close() error
}

// The engines' own types, as databases.
type (
	sqliteDB   struct{ *sqlite.DB }
	mongoDB    struct{ *mongo.DB }
	postgresDB struct{ *postgres.DB }
)

func (d sqliteDB) Store(ctx context.Context, kind string) (durable.Store, error) {
	return d.DB.Store(ctx, kind)
}

func (d sqliteDB) Ping(ctx context.Context) error {
	_, err := d.LastTime(ctx)
	return err
}

func (d mongoDB) Store(ctx context.Context, kind string) (durable.Store, error) {
	return d.DB.Store(ctx, kind)
}

func (d postgresDB) Store(ctx context.Context, kind string) (durable.Store, error) {
	return d.DB.Store(ctx, kind)
}

// databases are those of a process, each opened once.
type databases struct {
	cfg      Config
	log      *slog.Logger
	readOnly bool

	mu   sync.Mutex // a health check may look while the process stops
	open map[place]database
}

func newDatabases(cfg Config, readOnly bool) *databases {
	return &databases{cfg: cfg, log: cfg.Log, readOnly: readOnly, open: map[place]database{}}
}

// of is the database of a service.
func (d *databases) of(ctx context.Context, service string) (database, error) {
	at, err := d.cfg.place(service)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if db, ok := d.open[at]; ok {
		return db, nil
	}
	db, err := d.connect(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("database of the %s service: %w", service, err)
	}
	d.open[at] = db
	return db, nil
}

func (d *databases) connect(ctx context.Context, at place) (database, error) {
	switch at.scheme {
	case schemeMongo:
		db, err := mongo.Open(ctx, mongo.Options{URL: at.url, Database: at.part, Log: d.log, ReadOnly: d.readOnly})
		return mongoDB{db}, err
	case schemePostgres:
		db, err := postgres.Open(ctx, postgres.Options{URL: at.url, Schema: at.part, Log: d.log, ReadOnly: d.readOnly})
		return postgresDB{db}, err
	}
	open := sqlite.Open
	if d.readOnly {
		open = sqlite.OpenReadOnly
	}
	db, err := open(ctx, at.url)
	return sqliteDB{db}, err
}

// store is a service's store for one kind of records.
func (d *databases) store(ctx context.Context, service, kind string) (durable.Store, error) {
	db, err := d.of(ctx, service)
	if err != nil {
		return nil, err
	}
	return db.Store(ctx, kind)
}

// latest is how far the clock came that the open databases were written by.
func (d *databases) latest(ctx context.Context) (latest time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for db := range maps.Values(d.open) {
		t, err := db.LastTime(ctx)
		if err != nil {
			return latest, fmt.Errorf("the data's time: %w", err)
		}
		if t.After(latest) {
			latest = t
		}
	}
	return latest, nil
}

func (d *databases) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for db := range maps.Values(d.open) {
		errs = append(errs, db.Close())
	}
	clear(d.open)
	return errors.Join(errs...)
}

// How long something that is missing is waited for between two tries, real time, and how often that is logged.
const (
	waitBetween = 500 * time.Millisecond
	sayEvery    = 10 // tries
)

// await tries until it works or ctx ends, and says what it waits for.
func (s *System) await(ctx context.Context, what string, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || s.cfg.Waiting == nil {
			return err
		}
		s.cfg.Waiting(what, err) // before it is said: who reads that may ask at once
		if n%sayEvery == 0 {
			s.log.Warn("waiting for "+what, "err", err)
		}
		pause := time.NewTimer(waitBetween)
		select {
		case <-ctx.Done():
			pause.Stop()
			return errors.Join(fmt.Errorf("waiting for %s: %w", what, ctx.Err()), err)
		case <-pause.C:
		}
	}
}

// store is a service's store for one kind of records; a start waits for its database.
func (s *System) store(ctx context.Context, service, kind string) (store durable.Store, err error) {
	err = s.await(ctx, "the database of the "+service+" service", func() error {
		store, err = s.dbs.store(ctx, service, kind)
		return err
	})
	return store, err
}
