package limit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Fallback counts with First, and while that fails with Second, which then starts from nothing: for a while more passes
// than the limits say. It logs that First is away, and that it is back, once each.
type Fallback struct {
	First, Second Counter
	Log           *slog.Logger
	away          atomic.Bool
}

// Add is Counter.
func (f *Fallback) Add(ctx context.Context, at time.Time, hits ...Hit) ([]Count, error) {
	counts, err := f.First.Add(ctx, at, hits...)
	if err == nil {
		if f.away.Load() && f.away.CompareAndSwap(true, false) {
			f.Log.Info("limits: all instances count together again")
		}
		return counts, nil
	}
	if ctx.Err() != nil { // the caller is gone; says nothing about First
		return nil, err
	}
	if f.away.CompareAndSwap(false, true) {
		f.Log.Warn("limits: this process counts for itself", "err", err)
	}
	return f.Second.Add(ctx, at, hits...)
}
