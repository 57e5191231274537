package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/mongo"
	"github.com/tiffin-food/tiffin/internal/engines"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 123456789, time.UTC)

// version checks which version of r1 the store has, 0 for none.
func version(t *testing.T, s durable.Store, want int64) {
	t.Helper()
	r, err := s.Load(t.Context(), "r1")
	if errors.Is(err, durable.ErrNotFound) {
		err = nil
	}
	if err != nil || r.Version != want {
		t.Errorf("load: version %d, %v; want %d", r.Version, err, want)
	}
}

// behind is a store behind a proxy, and one that is not.
func behind(t *testing.T, params string) (p *proxy, db *mongo.DB, through, direct *mongo.Store) {
	t.Helper()
	place := engines.Place(t, engines.MongoDB)
	p, url := startProxy(t, place)
	db = open(t, mongo.Options{URL: url + params})
	return p, db, orders(t, db), orders(t, open(t, mongo.Options{URL: place}))
}

// on lets one fault happen to the commands of a name.
func on(name string, f fault) func(string, bson.Raw) fault {
	return func(command string, _ bson.Raw) fault {
		if command == name {
			return f
		}
		return pass
	}
}

// TestResultLost: a write whose answer does not come is unknown, and was sent once.
func TestResultLost(t *testing.T) {
	create := func(ctx context.Context, s *mongo.Store) error {
		return s.Create(ctx, durable.Record{ID: "r1", Due: noon})
	}
	save := func(ctx context.Context, s *mongo.Store) error {
		return s.Save(ctx, durable.Record{ID: "r1", Version: 2, Due: noon})
	}
	claim := func(ctx context.Context, s *mongo.Store) error {
		_, _, err := s.Claim(ctx, durable.Claim{Who: "x", Now: noon, Lease: noon.Add(time.Minute), Limit: 9})
		return err
	}
	for _, test := range []struct {
		name, command string
		call          func(context.Context, *mongo.Store) error
		before        int64 // version there
		fault         fault
		after         int64
		owner         string
	}{
		{"create, request lost", "insert", create, 0, lose, 0, ""},
		{"create, answer lost", "insert", create, 0, muffle, 1, ""},
		{"create, no answer", "insert", create, 0, withhold, 1, ""},
		{"save, request lost", "update", save, 1, lose, 1, ""},
		{"save, answer lost", "update", save, 1, muffle, 2, ""},
		{"save, no answer", "update", save, 1, withhold, 2, ""},
		{"claim, answer lost", "update", claim, 1, muffle, 1, "x"},
	} {
		for _, params := range []string{"?timeoutMS=2000", "?timeoutMS=2000&retryWrites=true"} {
			t.Run(test.name+params, func(t *testing.T) {
				t.Parallel()
				p, db, through, direct := behind(t, params)
				if test.before > 0 {
					must(t, direct.Create(t.Context(), durable.Record{ID: "r1", Due: noon}))
				}
				p.on(on(test.command, test.fault))
				p.count(test.command)
				if err := test.call(t.Context(), through); !errors.Is(err, durable.ErrUnknown) {
					t.Errorf("answered %v", err)
				} else {
					t.Log(err)
				}
				if n := p.count(test.command); n != 1 {
					t.Errorf("it was sent %d times", n)
				}
				if n := db.Stats().Unknown; n != 1 {
					t.Errorf("%d were counted as unknown", n)
				}
				version(t, direct, test.after)
				if r, err := direct.Load(t.Context(), "r1"); err == nil && r.Owner != test.owner {
					t.Errorf("it belongs to %q", r.Owner)
				}
				p.on(nil)
				version(t, through, test.after)
			})
		}
	}
}

// TestReadRepeated: a read whose answer is lost is asked for again.
func TestReadRepeated(t *testing.T) {
	p, _, through, direct := behind(t, "")
	must(t, direct.Create(t.Context(), durable.Record{ID: "r1"}))
	lost := false
	p.on(func(command string, _ bson.Raw) fault {
		if command != "find" || lost {
			return pass
		}
		lost = true
		return muffle
	})
	version(t, through, 1)
	if !lost {
		t.Error("no answer was lost")
	}
}

// TestContextEnds: a save that was under way when its context ended is unknown; its error is the context's too.
func TestContextEnds(t *testing.T) {
	p, _, through, direct := behind(t, "")
	must(t, through.Create(t.Context(), durable.Record{ID: "r1"}))
	ctx, cancel := context.WithCancel(t.Context())
	p.on(func(command string, _ bson.Raw) fault {
		if command != "update" {
			return pass
		}
		return withhold
	})
	go func() {
		<-p.held // the server has done it
		cancel()
	}()
	err := through.Save(ctx, durable.Record{ID: "r1", Version: 2})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, durable.ErrUnknown) {
		t.Errorf("save: %v", err)
	}
	version(t, direct, 2)
	p.count("update")
	err = through.Save(ctx, durable.Record{ID: "r1", Version: 3})
	if !errors.Is(err, context.Canceled) || errors.Is(err, durable.ErrUnknown) || p.count("update") != 0 {
		t.Errorf("save after it ended: %v", err)
	}
	version(t, direct, 2)
}

// TestServerSays: what a server's answer means for a save. These are MongoDB's answers in a failover; no server here
// gives them by itself.
func TestServerSays(t *testing.T) {
	failed := func(code int32, name string, labels ...string) bson.D {
		d := bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: name}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
		if labels != nil {
			d = append(d, bson.E{Key: "errorLabels", Value: labels})
		}
		return d
	}
	unconfirmed := func(code int32, name string) bson.D {
		return bson.D{{Key: "n", Value: 1}, {Key: "nModified", Value: 1}, {Key: "ok", Value: 1.0}, {Key: "writeConcernError", Value: bson.D{
			{Key: "code", Value: code}, {Key: "codeName", Value: name}, {Key: "errmsg", Value: name},
		}}}
	}
	statement := func(code int32) bson.D {
		return bson.D{{Key: "n", Value: 0}, {Key: "nModified", Value: 0}, {Key: "ok", Value: 1.0}, {Key: "writeErrors", Value: bson.A{
			bson.D{{Key: "index", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: "no"}},
		}}}
	}
	for _, test := range []struct {
		name    string
		reply   bson.D
		unknown bool
		sent    int
	}{
		{"not the primary", failed(10107, "NotWritablePrimary"), false, 3},
		{"shutting down", failed(91, "ShutdownInProgress"), true, 1},
		{"interrupted by a failover", failed(11602, "InterruptedDueToReplStateChange", "RetryableWriteError"), true, 1},
		{"interrupted by a failover, nothing done", failed(11602, "InterruptedDueToReplStateChange", "NoWritesPerformed"), false, 1},
		{"out of time", failed(50, "MaxTimeMSExpired"), true, 1},
		{"something new", failed(99999, "Whatever"), true, 1},
		{"not allowed", failed(13, "Unauthorized"), false, 1},
		{"too big", failed(10334, "BSONObjectTooLarge"), false, 1},
		{"not confirmed in time", unconfirmed(64, "WriteConcernFailed"), true, 1},
		{"stepped down before it was confirmed", unconfirmed(189, "PrimarySteppedDown"), true, 1},
		{"document invalid", statement(121), false, 1},
		{"statement interrupted", statement(11602), true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, db, through, _ := behind(t, "")
			must(t, through.Create(t.Context(), durable.Record{ID: "r1"}))
			p.answer(func(command string) bson.D {
				if command == "update" {
					return test.reply
				}
				return nil
			})
			err := through.Save(t.Context(), durable.Record{ID: "r1", Version: 2})
			if err == nil || errors.Is(err, durable.ErrUnknown) != test.unknown || errors.Is(err, durable.ErrConflict) {
				t.Errorf("save: %v", err)
			}
			if n := p.count("update"); n != test.sent || db.Stats().Retries != uint64(test.sent-1) {
				t.Errorf("sent %d times, want %d; %+v", n, test.sent, db.Stats())
			}
		})
	}
}

// TestComesBack: a server that stays away is an error that says where and why, and that nothing was written; one that
// comes back in time is waited for.
func TestComesBack(t *testing.T) {
	place := engines.Place(t, engines.MongoDB)
	p, url := startProxy(t, place)
	db := open(t, mongo.Options{URL: url + "?serverSelectionTimeoutMS=3000"})
	s := orders(t, db)
	must(t, s.Create(t.Context(), durable.Record{ID: "r1"}))
	p.stop()
	if err := db.Ping(t.Context()); err == nil {
		t.Error("a server answers that is away")
	}
	address := p.door.Addr().String()
	err := s.Save(t.Context(), durable.Record{ID: "r1", Version: 2})
	if err == nil || errors.Is(err, durable.ErrUnknown) || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("save: %v", err)
	} else {
		t.Log(err)
	}
	answer := make(chan error)
	go func() { answer <- s.Save(t.Context(), durable.Record{ID: "r1", Version: 2}) }()
	startProxyAt(t, place, address)
	must(t, <-answer)
	version(t, s, 2)
}

func TestOpenFails(t *testing.T) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	away := door.Addr().String()
	must(t, door.Close())
	_, err = mongo.Open(t.Context(), mongo.Options{URL: "mongodb://me:s3cret@" + away + "/orders?serverSelectionTimeoutMS=300"})
	if err == nil || !strings.Contains(err.Error(), away) || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("open: %v", err)
	} else {
		t.Log(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mongo.Open(ctx, mongo.Options{URL: "mongodb://" + away + "/orders"}); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
	for _, test := range []struct{ url, database, want string }{
		{"", "orders", "empty"},
		{"postgres://me:s3cret@h/orders", "", "scheme"},
		{"mongodb://", "orders", "host"},
		{"me:s3cret@h:27017/orders", "", "scheme"},
		{"mongodb://me:s3cret@h:port/orders", "", "port"},
		{"mongodb://me:s3cret/x@h/orders", "", "URL"},
		{"mongodb://me:s3cret%zz@h/orders", "", "URL"},
		{"mongodb://me:a@s3cret@h/orders", "", "URL"},
		{"mongodb://me:s3cret:x@h/orders", "", "URL"},
		{"mongodb://me:s3cret@h/orders?tls=maybe", "", "tls"},
		{"mongodb://me:s3cret@h/orders?w=majority&journal=x", "", "journal"},
		{"mongodb://me:s3cret@h/orders?directConnection=true&connectTimeoutMS=abc", "", "connectTimeoutMS"},
		{"mongodb://me:s3cret@a,b/orders?directConnection=true", "", "direct"},
		{"mongodb://me:s3cret@h/", "", "database"},
		{"mongodb://me:s3cret@h", "a b", "database"},
		{"mongodb://h/orders?authMechanism=SCRAM-SHA-256", "", "URL"},
	} {
		t.Run(fmt.Sprint(test.url, test.database), func(t *testing.T) {
			_, err := mongo.Open(t.Context(), mongo.Options{URL: test.url, Database: test.database})
			setting, ok := errors.AsType[*mongo.SettingError](err)
			if !ok || !strings.Contains(err.Error(), test.want) || setting.Form == "" {
				t.Fatalf("open: %v", err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is told: %v", err)
			}
			t.Log(err)
		})
	}
}
