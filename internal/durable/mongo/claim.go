package mongo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Claim finds the records that are due and in nobody's hand, and then takes each only if it is still as it was found:
// of many claimers at once, each record goes to one. An error, ErrUnknown too, leaves at worst records under the
// claimer's lease that it does not know of; they are claimed again when it has run out.
func (s *Store) Claim(ctx context.Context, c durable.Claim) (claimed []durable.Record, next time.Time, err error) {
	if s.db.readOnly {
		return nil, time.Time{}, fmt.Errorf("claim: %w", ErrReadOnly)
	}
	now := c.Now.UnixNano()
	free := bson.D{
		{Key: "due", Value: bson.D{{Key: "$lte", Value: now}}},
		{Key: "lease", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$gt", Value: now}}}}}, // past, or absent
	}
	var found []document
	if err = s.page(ctx, &found, free, bson.D{{Key: "due", Value: 1}, {Key: "_id", Value: 1}}, c.Limit, ""); err == nil {
		next, err = s.earliest(ctx, bson.D{{Key: "$gt", Value: now}})
	}
	if err == nil && len(found) > 0 {
		found, err = s.take(ctx, c, found)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claim: %w", err)
	}
	for _, d := range found {
		r := d.record()
		r.Owner, r.Lease = c.Who, c.Lease
		claimed = append(claimed, r)
	}
	return claimed, next, nil
}

// take makes the records the claimer's that nobody has saved or claimed since they were read, and returns them.
func (s *Store) take(ctx context.Context, c durable.Claim, found []document) ([]document, error) {
	mark := rand.Int64N(1<<62) + 1
	owned := bson.D{{Key: "owner", Value: c.Who}, {Key: "claim", Value: mark}}
	update := bson.D{{Key: "$set", Value: append(owned, bson.E{Key: "lease", Value: c.Lease.UnixNano()})}}
	if c.Lease.IsZero() {
		update = bson.D{{Key: "$set", Value: owned}, {Key: "$unset", Value: bson.D{{Key: "lease", Value: ""}}}}
	}
	takes := make([]mongo.WriteModel, 0, len(found))
	for _, d := range found {
		asRead := bson.D{{Key: "_id", Value: d.ID}, {Key: "version", Value: d.Content.Version}, {Key: "claim", Value: nil}}
		if d.Claim != 0 {
			asRead[2].Value = d.Claim
		}
		takes = append(takes, mongo.NewUpdateOneModel().SetFilter(asRead).SetUpdate(update))
	}
	taken := 0
	err := s.db.write(ctx, func(ctx context.Context) error {
		res, err := s.records.BulkWrite(ctx, takes, options.BulkWrite().SetOrdered(false))
		if err == nil {
			taken = int(res.MatchedCount)
		}
		return err
	})
	switch {
	case err != nil || taken == 0:
		return nil, err
	case taken < len(found): // the answer does not say which
		ids := bson.A{}
		for _, d := range found {
			ids = append(ids, d.ID)
		}
		var mine []document
		err = s.find(ctx, &mine, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "claim", Value: mark}},
			options.Find().SetProjection(bson.D{{Key: "version", Value: 1}}).SetBatchSize(int32(min(len(ids), 1000))))
		found = slices.DeleteFunc(found, func(d document) bool {
			return !slices.ContainsFunc(mine, func(m document) bool { return m.ID == d.ID && m.Content.Version == d.Content.Version })
		})
	}
	s.db.writes.Add(1)
	return found, err
}

// Backlog counts the records that are due.
func (s *Store) Backlog(ctx context.Context, now time.Time, limit int) (n int, oldest time.Time, err error) {
	if limit <= 0 {
		return 0, time.Time{}, ctx.Err()
	}
	due := bson.D{{Key: "$lte", Value: now.UnixNano()}}
	if oldest, err = s.earliest(ctx, due); err == nil && !oldest.IsZero() {
		err = s.db.read(ctx, func(ctx context.Context) error {
			count, err := s.records.CountDocuments(ctx, bson.D{{Key: "due", Value: due}}, options.Count().SetLimit(int64(limit)))
			n = int(count)
			return err
		})
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("backlog: %w", err)
	}
	if n == 0 { // done meanwhile
		oldest = time.Time{}
	}
	return n, oldest, nil
}
