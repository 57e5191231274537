package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/identity"
)

// ringEvery is how often the store is asked for keys that other instances made or revoked, by the clock; readTimeout is
// how long that may take, real time.
const (
	ringEvery   = 500 * time.Millisecond
	readTimeout = 2 * time.Second
	readPage    = 200
)

// ring holds all keys in memory. Commits of this instance change it at once; where others write to the store too, it
// is read again when somebody asks and it is older than ringEvery.
type ring struct {
	runner *durable.Runner[identity.Key]
	shared bool // others write to the store
	now    func() time.Time
	warn   func(error)

	reading sync.Mutex // one reads at a time; taken before mu
	failing bool       // the last one could not; reading is held

	mu    sync.Mutex
	keys  map[string]kept
	read  time.Time // when the store was read whole; zero: never
	tried time.Time // ... or in vain
	list  []auth.Key
	etag  string // empty: list and etag are to be made anew
}

// kept is a version of a key.
type kept struct {
	key     auth.Key
	version int64
}

func (r *ring) init(s *Service) {
	r.runner, r.now, r.keys = s.keys, s.now, map[string]kept{}
	r.shared = !durable.FeaturesOf(s.opt.Keys).Exclusive
	r.warn = func(err error) { s.log.Warn("keys: the store cannot be read; what is known is used", "err", err) }
	s.keys.OnCommit(func(id string, version int64, k identity.Key) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.take(id, version, k.Key)
	})
}

// take notes a version of a key, if it is newer than what is known. r.mu is held.
func (r *ring) take(id string, version int64, k auth.Key) {
	if have, ok := r.keys[id]; ok && have.version >= version {
		return
	}
	r.keys[id] = kept{k, version}
	r.etag = ""
}

// due says whether the store is to be read, and whether it ever was. r.mu is held.
func (r *ring) due() (due, ever bool) {
	ever = !r.read.IsZero()
	return (!ever || r.shared) && (r.tried.IsZero() || r.now().Sub(r.tried) >= ringEvery), ever
}

// refresh reads the store where that is due. Who asks meanwhile is answered with what is known, or waits where nothing
// is. The error wraps httpapi.ErrUnavailable: nothing was ever read.
func (r *ring) refresh(ctx context.Context) error {
	r.mu.Lock()
	due, ever := r.due()
	r.mu.Unlock()
	if !due && ever {
		return nil
	}
	if !r.reading.TryLock() {
		if ever {
			return nil
		}
		r.reading.Lock()
	}
	defer r.reading.Unlock()
	r.mu.Lock()
	due, ever = r.due()
	r.mu.Unlock()
	var err error
	if due {
		if err = r.readAll(ctx); err != nil && !r.failing {
			r.warn(err)
		}
		r.failing = err != nil
		ever = ever || err == nil
	}
	if !ever {
		return fmt.Errorf("the keys are not known yet: %w", httpapi.ErrUnavailable)
	}
	return nil
}

// readAll reads the store. It does so to the end for all who ask, though the one who began may be gone. r.reading is
// held.
func (r *ring) readAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	began, before := r.now(), ""
	for {
		states, records, err := r.runner.List(ctx, "", before, readPage)
		r.mu.Lock()
		r.tried = began
		for i, s := range states {
			r.take(records[i].ID, s.Version, s.State.Key)
		}
		if err == nil && len(records) < readPage {
			r.read = began
		}
		r.mu.Unlock()
		if err != nil || len(records) < readPage {
			return err
		}
		before = records[len(records)-1].ID
	}
}

// Find is auth.Keys, for the process that the service is in. Keys of other instances it knows within half a second.
func (s *Service) Find(id string) (auth.Key, bool, error) {
	r := &s.ring
	if err := r.refresh(context.Background()); err != nil {
		return auth.Key{}, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.keys[id]
	return k.key, ok, nil
}

// Snapshot gives all keys, by id, and an entity tag that changes when any of them does. The slice is not to be written
// into.
func (s *Service) Snapshot(ctx context.Context) (keys []auth.Key, etag string, err error) {
	r := &s.ring
	if err := r.refresh(ctx); err != nil {
		return nil, "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.etag == "" {
		list := make([]auth.Key, 0, len(r.keys))
		for _, k := range r.keys {
			list = append(list, k.key)
		}
		slices.SortFunc(list, func(a, b auth.Key) int { return cmp.Compare(a.ID, b.ID) })
		b, err := json.Marshal(list)
		if err != nil {
			return nil, "", fmt.Errorf("keys: %w", err)
		}
		sum := sha256.Sum256(b)
		r.list, r.etag = list, `"`+hex.EncodeToString(sum[:12])+`"`
	}
	return r.list, r.etag, nil
}
