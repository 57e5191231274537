package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Store keeps the records of one kind; it is a [durable.Store]. Create, Load, Save and List take one round trip each
// when nothing is wrong, Claim two, and three when there is something to claim.
type Store struct {
	db      *DB
	records *mongo.Collection
}

var _ durable.Store = (*Store)(nil)

// Create adds a record at Version 1; where both the id and the key are taken, the error names the one with the id.
func (s *Store) Create(ctx context.Context, r durable.Record) error {
	d := document{ID: r.ID, Key: r.Key, Created: nanos(r.Created), Trace: r.Trace, Content: contentOf(r)}
	d.Content.Version = 1
	err := s.db.write(ctx, func(ctx context.Context) error {
		_, err := s.records.InsertOne(ctx, d)
		return err
	})
	switch {
	case err == nil:
		s.db.writes.Add(1)
		return nil
	case !mongo.IsDuplicateKeyError(err):
		return fmt.Errorf("create %s: %w", r.ID, err)
	}
	id, err := s.holder(ctx, r, err)
	if err != nil {
		return fmt.Errorf("create %s: %w", r.ID, err)
	}
	return &durable.ExistsError{ID: id}
}

// holder is the id of the record that has r's id or key. It was there when the insert was refused, but a majority may
// not have it yet, and it may be undone: who is named by then is asked for a few times.
func (s *Store) holder(ctx context.Context, r durable.Record, taken error) (string, error) {
	either := bson.A{bson.D{{Key: "_id", Value: r.ID}}}
	if r.Key != "" {
		either = append(either, bson.D{{Key: "key", Value: r.Key}})
	}
	for try := 1; ; try++ {
		var found []document
		err := s.find(ctx, &found, bson.D{{Key: "$or", Value: either}}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
		switch {
		case err != nil:
			return "", err
		case slices.ContainsFunc(found, func(d document) bool { return d.ID == r.ID }):
			return r.ID, nil
		case len(found) > 0:
			return found[0].ID, nil
		case try == tries || pause(ctx, try) != nil:
			return "", fmt.Errorf("id or key is taken by a record that most servers do not have yet: %w", taken)
		}
	}
}

// Load reads a record as the last answered write left it, or as a later one did.
func (s *Store) Load(ctx context.Context, id string) (durable.Record, error) {
	var d document
	err := s.db.read(ctx, func(ctx context.Context) error {
		return s.records.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(&d)
	})
	if errors.Is(err, mongo.ErrNoDocuments) {
		err = durable.ErrNotFound
	}
	if err != nil {
		return durable.Record{}, fmt.Errorf("load %s: %w", id, err)
	}
	return d.record(), nil
}

// Save replaces the record one version below the given one.
func (s *Store) Save(ctx context.Context, r durable.Record) error {
	matched := int64(0)
	err := s.db.write(ctx, func(ctx context.Context) error {
		res, err := s.records.UpdateOne(ctx,
			bson.D{{Key: "_id", Value: r.ID}, {Key: "version", Value: r.Version - 1}}, contentOf(r).update())
		if err == nil {
			matched = res.MatchedCount
		}
		return err
	})
	if err == nil && matched == 0 {
		err = s.lost(ctx, r.ID)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", r.ID, err)
	}
	s.db.writes.Add(1)
	return nil
}

// lost says why a save found nothing to replace.
func (s *Store) lost(ctx context.Context, id string) error {
	var found []document
	err := s.find(ctx, &found, bson.D{{Key: "_id", Value: id}}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return durable.ErrNotFound
	}
	return durable.ErrConflict
}

// List reads up to limit records of a party below an id, highest id first. Which index serves a party is not left to the
// server: along the ids of all it would find the records of one who has few only after a long look.
func (s *Store) List(ctx context.Context, party, before string, limit int) ([]durable.Record, error) {
	filter, along := bson.D{}, ""
	if party != "" {
		filter, along = bson.D{{Key: "party", Value: party}}, partyIndex
	}
	if before != "" {
		filter = append(filter, bson.E{Key: "_id", Value: bson.D{{Key: "$lt", Value: before}}})
	}
	var found []document
	if err := s.page(ctx, &found, filter, bson.D{{Key: "_id", Value: -1}}, limit, along); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return records(found), nil
}

func records(found []document) []durable.Record {
	var all []durable.Record
	for _, d := range found {
		all = append(all, d.record())
	}
	return all
}

// page reads the first limit documents in an order, along an index where one is named; none where limit is not positive.
func (s *Store) page(ctx context.Context, into *[]document, filter, order bson.D, limit int, along string) error {
	if limit <= 0 {
		return ctx.Err()
	}
	size := int32(min(limit, 1000)) // in one answer, if they are not bigger than one can be
	o := options.Find().SetSort(order).SetLimit(int64(limit)).SetBatchSize(size)
	if along != "" {
		o.SetHint(along)
	}
	return s.find(ctx, into, filter, o)
}

func (s *Store) find(ctx context.Context, into *[]document, filter bson.D, o *options.FindOptionsBuilder) error {
	return s.db.read(ctx, func(ctx context.Context) error {
		cursor, err := s.records.Find(ctx, filter, o)
		if err != nil {
			return err
		}
		return cursor.All(ctx, into)
	})
}

// earliest is the least due that meets the condition, zero where there is none.
func (s *Store) earliest(ctx context.Context, due bson.D) (time.Time, error) {
	var found []document
	err := s.find(ctx, &found, bson.D{{Key: "due", Value: due}}, options.Find().SetLimit(1).
		SetSort(bson.D{{Key: "due", Value: 1}, {Key: "_id", Value: 1}}).SetProjection(bson.D{{Key: "due", Value: 1}}))
	if err != nil || len(found) == 0 {
		return time.Time{}, err
	}
	return timeOf(found[0].Content.Due), nil
}
