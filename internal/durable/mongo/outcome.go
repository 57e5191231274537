package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// sent counts the commands that the driver sends for one try of a call. It is what tells a failure that cannot have
// written anything from one that may have.
type sent struct{ atomic.Int64 }

type sentKey struct{}

// monitor hears from the driver of every command that it is about to send.
func (db *DB) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(ctx context.Context, _ *event.CommandStartedEvent) {
		db.roundTrips.Add(1)
		if n, ok := ctx.Value(sentKey{}).(*sent); ok {
			n.Add(1)
		}
	}}
}

// A write of which nothing was written is tried so often, with a pause of up to tryPause times the tries so far.
const (
	tries    = 3
	tryPause = 50 * time.Millisecond
)

// write carries out one write. Its error is ErrUnknown where the write may have taken place.
func (db *DB) write(ctx context.Context, do func(context.Context) error) error {
	if db.readOnly {
		return ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	done, err := db.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	bounded, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	for try := 1; ; try++ {
		var n sent
		err := do(context.WithValue(bounded, sentKey{}, &n))
		if err == nil {
			return nil
		}
		fate := fateOf(err, n.Load())
		if fate == untouched && try < tries && pause(bounded, try) == nil {
			db.retries.Add(1)
			db.log.Debug("store", "what", "write tried again", "try", try, "err", err)
			continue
		}
		err = withContext(ctx, err)
		if fate == unknown {
			db.unknown.Add(1)
			return fmt.Errorf("%w: %w", durable.ErrUnknown, err)
		}
		return err
	}
}

// read carries out reads, which the driver repeats where that may help.
func (db *DB) read(ctx context.Context, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done, err := db.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	bounded, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	if err := do(bounded); err != nil {
		return withContext(ctx, err)
	}
	return nil
}

// turn waits for a call's turn. Time spent in the driver's own queue would be the call's: a server that is slow for
// many would be left with requests whose callers have given up, and do ever more work for nobody.
func (db *DB) turn(ctx context.Context) (done func(), err error) {
	select {
	case db.turns <- struct{}{}:
		return func() { <-db.turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// withContext has err say that the context ended, where it did, and that the DB is closed, where it is.
func withContext(ctx context.Context, err error) error {
	if errors.Is(err, mongo.ErrClientDisconnected) {
		return ErrClosed
	}
	if over := ctx.Err(); over != nil && !errors.Is(err, over) {
		return fmt.Errorf("%w: %w", over, err)
	}
	return err
}

// pause waits before the next try.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(rand.N(tryPause * time.Duration(try)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fate is what became of a write that failed.
type fate int

const (
	unknown   fate = iota // it may have taken place
	refused               // it has not, and would not if it were tried again
	untouched             // it has not, and may if it is tried again
)

// Codes of servers, from the error_codes.yml of MongoDB.
const (
	notWritablePrimary  = 10107
	notPrimarySecondary = 13435 // NotPrimaryNoSecondaryOk
)

// refusals are codes of commands that were not begun: invalid, too big, not allowed, not known.
var refusals = []int32{
	2, 9, 13, 14, 18, 20, 22, 59, 72, 73, notImplemented, // BadValue, FailedToParse, Unauthorized, TypeMismatch,
	// AuthenticationFailed, IllegalOperation, InvalidBSON, CommandNotFound, InvalidOptions, InvalidNamespace
	10334, 40415, // BSONObjectTooLarge, an unknown field
}

// interruptions are codes of statements that ended for want of time or of a primary: nobody says at what point.
var interruptions = []int{
	6, 7, 24, 46, 50, 64, 89, 91, 100, 134, 189, 262, 9001, 11600, 11601, 11602, notWritablePrimary, notPrimarySecondary, 13436,
}

// fateOf judges a failed write by the error and by how many commands were sent. Who doubts is told unknown: that costs a
// read, where a wrong "nothing was written" costs a record.
func fateOf(err error, sent int64) fate {
	var network net.Error
	var write mongo.WriteException
	var command mongo.CommandError
	switch {
	case sent == 0:
		if !mongo.IsTimeout(err) && (mongo.IsNetworkError(err) || errors.As(err, &network)) {
			return untouched
		}
		return refused
	case errors.As(err, &write):
		if len(write.WriteErrors) == 0 { // done, and not confirmed by a majority
			return unknown
		}
		for _, e := range write.WriteErrors {
			if slices.Contains(interruptions, e.Code) {
				return unknown
			}
		}
		return refused
	case sent > 1: // the driver has repeated it (see Options), and tells of one try only
		return unknown
	case errors.As(err, &command):
		switch {
		case command.HasErrorLabel("NetworkError"):
			return unknown
		case command.Code == notWritablePrimary || command.Code == notPrimarySecondary:
			return untouched
		case slices.Contains(refusals, command.Code), command.HasErrorLabel("NoWritesPerformed"):
			return refused
		}
	}
	return unknown
}

func hasCode(err error, code int) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && server.HasErrorCode(code)
}
