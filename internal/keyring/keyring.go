// Package keyring keeps a copy of the API keys in a process that does not hold them itself: the gateway's, and every
// service's but identity's. It asks for them again and again, cheaply: an entity tag says whether anything changed.
//
// What it promises:
//
//   - Find answers from memory. What is revoked it knows within the interval and the time of one answer.
//   - Nothing is known before the first answer, and that is said as an error, never as "no such key".
//   - When nobody answers, what was known last is known on: a key must not stop working because identity does. It is
//     said in the log, once, when that lasts.
package keyring

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/httpapi"
)

// Source gives all keys and their entity tag. Where the tag is the given one still, changed is false and the keys are
// not looked at.
type Source func(ctx context.Context, etag string) (keys []auth.Key, tag string, changed bool, err error)

// From asks the service that has the keys for them: GET /v1/keys/snapshot. The client's MaxBody bounds how many there may
// be: some 4,000 in a MiB.
func From(client *httpapi.Client, service string) Source {
	return func(ctx context.Context, etag string) ([]auth.Key, string, bool, error) {
		call := httpapi.Call{To: service, Op: "GET /v1/keys/snapshot"}
		if etag != "" {
			call.Header = http.Header{"If-None-Match": {etag}}
		}
		r, err := client.Do(ctx, call)
		switch {
		case err != nil:
			return nil, "", false, err
		case r.Status == http.StatusNotModified:
			return nil, etag, false, nil
		case r.Status != http.StatusOK:
			return nil, "", false, fmt.Errorf("%s: %s: %s", service, call.Op, httpapi.Detail(r.Status, r.Body))
		}
		var body struct {
			Keys []auth.Key `json:"keys"`
		}
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return nil, "", false, fmt.Errorf("%s: %s: the answer cannot be read", service, call.Op)
		}
		return body.Keys, r.Header.Get("ETag"), true, nil
	}
}

// Options are a snapshot's settings; Source has no default. Times are real time.
type Options struct {
	Source  Source
	Log     *slog.Logger
	Every   time.Duration // between two questions; 500 ms
	Timeout time.Duration // of one; 2 s
	Stale   time.Duration // how old what is known may be before it is logged; 5 s
}

// Snapshot is a copy of the keys. It is auth.Keys, safe for concurrent use.
type Snapshot struct {
	opt   Options
	known atomic.Pointer[auth.KeySet]
	first chan struct{} // closed when something is known
	end   context.CancelFunc
	loop  sync.WaitGroup
}

// New makes a snapshot of nothing; Start begins to ask.
func New(opt Options) *Snapshot {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Every == 0 {
		opt.Every = 500 * time.Millisecond
	}
	if opt.Timeout == 0 {
		opt.Timeout = 2 * time.Second
	}
	if opt.Stale == 0 {
		opt.Stale = 5 * time.Second
	}
	return &Snapshot{opt: opt, first: make(chan struct{}), end: func() {}}
}

// Start asks, at once and from then on, until Stop or until ctx ends. Call it once.
func (s *Snapshot) Start(ctx context.Context) {
	ctx, s.end = context.WithCancel(ctx)
	s.loop.Go(func() { s.run(ctx) })
}

// Stop ends the asking and waits for it. What is known stays known.
func (s *Snapshot) Stop() {
	s.end()
	s.loop.Wait()
}

// Ready is closed when the first answer has come.
func (s *Snapshot) Ready() <-chan struct{} { return s.first }

// Find is auth.Keys. The error wraps httpapi.ErrUnavailable.
func (s *Snapshot) Find(id string) (auth.Key, bool, error) {
	keys := s.known.Load()
	if keys == nil {
		return auth.Key{}, false, fmt.Errorf("the keys are not known yet: %w", httpapi.ErrUnavailable)
	}
	return keys.Find(id)
}

func (s *Snapshot) run(ctx context.Context) {
	tick := time.NewTicker(s.opt.Every)
	defer tick.Stop()
	etag, heard, silent := "", time.Now(), false
	for {
		tag, err := s.ask(ctx, etag)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if silent {
				s.opt.Log.Info("keys: known again")
			}
			etag, heard, silent = tag, time.Now(), false
		case !silent && time.Since(heard) >= s.opt.Stale:
			silent = true
			s.opt.Log.Warn("keys: nobody tells them; what was known last is used", "since", heard, "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask asks once.
func (s *Snapshot) ask(ctx context.Context, etag string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	keys, tag, changed, err := s.opt.Source(ctx, etag)
	if err != nil {
		return "", err
	}
	if !changed && s.known.Load() != nil {
		return tag, nil
	}
	set := make(auth.KeySet, len(keys))
	for _, k := range keys {
		set[k.ID] = k
	}
	if s.known.Swap(&set) == nil {
		close(s.first)
	}
	return tag, nil
}
