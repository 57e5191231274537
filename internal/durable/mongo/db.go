// Package mongo keeps records in a MongoDB database, a collection for each kind and a document for each record.
//
// A document is the whole of a record: state, what it owes, and what it has seen. So every write is one atomic
// operation on one document, filtered on the version it replaces, and a standalone server serves as well as a replica
// set; there are no transactions over documents.
//
// A write is answered nil when a majority of the servers has it in its journal (w: majority, j: true), and reads take
// from the primary what a majority has (read concern majority): what was seen or answered survives a failover. A read
// of a server that does not know yet that it was deposed may be old, never undone; a save based on it loses its race.
// A standalone server keeps what it has answered, but lets a write be read some milliseconds before it is in the journal:
// what was only read then may be gone after a crash of that server.
//
// A write whose result did not come (the connection broke, time ran out, the primary stepped down over it, no majority
// confirmed it) fails with [durable.ErrUnknown] and is not sent again. Every other failure has written nothing. What was
// refused before anything was sent, or by a server that is not the primary, is tried up to three times.
//
// Other processes write to the same database; leases are honoured. The collections must not be sharded: there a key
// could not be kept unique.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// ErrClosed is the answer of a closed DB.
var ErrClosed = errors.New("the database is closed")

// ErrReadOnly is the answer to a write where the database was opened for reading.
var ErrReadOnly = errors.New("the database was opened for reading only")

// DB is a database on a server or a replica set. All methods are safe for concurrent use.
type DB struct {
	client   *mongo.Client
	data     *mongo.Database
	log      *slog.Logger
	timeout  time.Duration
	turns    chan struct{} // as many calls at once as there are connections; the others wait, and their time does not run
	readOnly bool
	hosts    string
	close    func() error

	writes, roundTrips, retries, unknown atomic.Uint64
}

// Stats count what was done since Open.
type Stats struct {
	Writes     uint64 // creates, saves and claims that changed something
	RoundTrips uint64 // commands sent, reads too; not the driver's own heartbeats and handshakes
	Retries    uint64 // writes tried again, as nothing had been written
	Unknown    uint64 // writes that failed with ErrUnknown
}

// Open connects to the database and asks the primary for a sign of life. An invalid setting fails at once with a
// [*SettingError]; a server that is away fails, with its address and the reason, after the time for finding one (see
// [Options]), and may be tried again. Nothing is left open when it fails.
func Open(ctx context.Context, o Options) (*DB, error) {
	set, err := o.parse()
	if err != nil {
		return nil, err
	}
	db := &DB{log: o.Log, timeout: set.timeout, turns: make(chan struct{}, *set.client.MaxPoolSize), readOnly: o.ReadOnly, hosts: strings.Join(set.client.Hosts, ",")}
	if db.log == nil {
		db.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if db.client, err = mongo.Connect(set.client.SetMonitor(db.monitor())); err != nil {
		return nil, fmt.Errorf("mongodb at %s: %w", db.hosts, err)
	}
	db.data = db.client.Database(set.database)
	db.close = sync.OnceValue(db.shut)
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Ping says whether the primary answers.
func (db *DB) Ping(ctx context.Context) error {
	err := db.read(ctx, func(ctx context.Context) error { return db.client.Ping(ctx, readpref.Primary()) })
	if err != nil {
		return fmt.Errorf("mongodb at %s: %w", db.hosts, err)
	}
	return nil
}

// Close waits for the calls that are under way, 10 s at the most, and closes all connections. Calls that come later
// answer ErrClosed.
func (db *DB) Close() error { return db.close() }

func (db *DB) shut() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := db.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("close mongodb at %s: %w", db.hosts, err)
	}
	return nil
}

// Stats are the counters so far.
func (db *DB) Stats() Stats {
	return Stats{
		Writes: db.writes.Load(), RoundTrips: db.roundTrips.Load(),
		Retries: db.retries.Load(), Unknown: db.unknown.Load(),
	}
}

var kindName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// Store is the store of one kind, a lower-case word, whose collection and indexes are made where they are not there
// yet; many instances may do so at once, and an error, whatever it is, may be tried again. A database opened for reading must have the collection.
func (db *DB) Store(ctx context.Context, kind string) (*Store, error) {
	if !kindName.MatchString(kind) {
		return nil, fmt.Errorf("store: %q is not the name of a kind", kind)
	}
	s := &Store{db: db, records: db.data.Collection(kind)}
	var err error
	if db.readOnly {
		err = db.read(ctx, func(ctx context.Context) error {
			names, err := db.data.ListCollectionNames(ctx, bson.D{{Key: "name", Value: kind}})
			if err == nil && len(names) == 0 {
				err = errors.New("there are none in the database")
			}
			return err
		})
	} else {
		err = s.index(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("store of %s in mongodb at %s: %w", kind, db.hosts, err)
	}
	return s, nil
}

// partyIndex is the index by party and id, and the field.
const partyIndex = "party"

// notImplemented is the code of FerretDB's answer to what it does not know. No MongoDB gives it.
const notImplemented = 238

// index makes the collection's indexes, one by one, as FerretDB breaks down over several that are there already.
// Finished records, which owe nothing, are not in the index by due: they cost claims nothing. Nobody's are not in that
// by party.
func (s *Store) index(ctx context.Context) error {
	create := func(name string, keys bson.D, o *options.IndexOptionsBuilder) error {
		return s.db.write(ctx, func(ctx context.Context) error {
			_, err := s.records.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: keys, Options: o.SetName(name)})
			return err
		})
	}
	if err := create("key", bson.D{{Key: "key", Value: 1}}, options.Index().SetUnique(true).SetSparse(true)); err != nil {
		return err
	}
	for _, field := range []string{"due", partyIndex} {
		keys := bson.D{{Key: field, Value: 1}, {Key: "_id", Value: 1}}
		there := bson.D{{Key: field, Value: bson.D{{Key: "$exists", Value: true}}}}
		err := create(field, keys, options.Index().SetPartialFilterExpression(there))
		if hasCode(err, notImplemented) {
			s.db.log.Debug("store", "what", "the server has no partial indexes: records without the field stay in the index",
				"index", field, "kind", s.records.Name())
			err = create(field, keys, options.Index())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// LastTime is the latest Updated of any record in the database, zero where there is none. It reads every collection
// whose name is a kind's from end to end: it is for checks beside the running system, not within it.
func (db *DB) LastTime(ctx context.Context) (last time.Time, err error) {
	err = db.read(ctx, func(ctx context.Context) error {
		names, err := db.data.ListCollectionNames(ctx, bson.D{})
		if err != nil {
			return err
		}
		for _, name := range names {
			if !kindName.MatchString(name) {
				continue
			}
			var latest struct{ Updated *int64 }
			err := db.data.Collection(name).FindOne(ctx, bson.D{{Key: "updated", Value: bson.D{{Key: "$type", Value: "long"}}}},
				options.FindOne().SetSort(bson.D{{Key: "updated", Value: -1}}).SetProjection(bson.D{{Key: "updated", Value: 1}})).Decode(&latest)
			if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
				return err
			}
			if t := timeOf(latest.Updated); t.After(last) {
				last = t
			}
		}
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("last time of mongodb at %s: %w", db.hosts, err)
	}
	return last, nil
}
