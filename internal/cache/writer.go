package cache

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// WriterOptions are a writer's settings; Cache and TTL have no default.
type WriterOptions struct {
	Cache   Cache
	TTL     time.Duration // of every entry
	Pending int           // keys that wait at most; 10,000
	Log     *slog.Logger
}

// Writer fills a cache behind the store: whoever has committed something notes it and goes on, and one goroutine
// writes it soon after, many keys in one round trip and of each key only the newest version.
//
// While the cache is away what was noted waits, and is written when it is back, so that an outage leaves no old
// copies behind. Two things can: more keys noted than may wait, of which those too many are dropped and counted, and
// the end of the process meanwhile. Such a copy lives until its time is over.
type Writer struct {
	opt  WriterOptions
	wake chan struct{} // there is something to write
	stop chan struct{}
	done chan struct{}
	life context.Context // of the writes: ends when Stop gives up
	end  context.CancelFunc

	mu       sync.Mutex
	notes    map[string]note
	queue    []string // the keys of notes, the longest waiting first
	stats    WriterStats
	started  bool
	stopping bool
}

type note struct {
	version int64
	value   func() []byte
}

// WriterStats counts what a writer did. Noted = Coalesced + Dropped + Written + Pending.
type WriterStats struct {
	Noted     int64 `json:"noted"`
	Coalesced int64 `json:"coalesced"` // not written, because a newer version of the key was noted
	Written   int64 `json:"written"`
	Dropped   int64 `json:"dropped"`
	Pending   int   `json:"pending"`
	Failures  int64 `json:"failures"` // round trips that failed; they were tried again
}

const (
	batch      = 128 // keys in one round trip
	writePause = 50 * time.Millisecond
	maxPause   = 2 * time.Second // between tries, real time; varies by half
)

// NewWriter makes a writer; Start begins its work.
func NewWriter(opt WriterOptions) *Writer {
	if opt.Pending == 0 {
		opt.Pending = 10_000
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	w := &Writer{
		opt: opt, notes: map[string]note{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	w.life, w.end = context.WithCancel(context.Background())
	return w
}

// Start begins to write. Call it once.
func (w *Writer) Start() {
	w.mu.Lock()
	w.started = true
	w.mu.Unlock()
	go w.run()
}

// Stop takes no more notes, writes what is waiting and ends. It gives up when a write fails or ctx ends; the error
// says how many keys were not written.
func (w *Writer) Stop(ctx context.Context) error {
	w.mu.Lock()
	first, started := !w.stopping, w.started
	w.stopping = true
	w.mu.Unlock()
	if first {
		close(w.stop)
		if !started {
			close(w.done)
		}
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		w.end()
		<-w.done
	}
	w.end()
	if left := w.Stats().Pending; left > 0 {
		return fmt.Errorf("cache: %d keys were not written", left)
	}
	return nil
}

// Note has a version of key written soon; call it after the store's commit, never before. It does not block. value is
// called when the entry is written, on another goroutine and perhaps more than once, or never where a newer version
// is noted before; what it returns is not changed afterwards. A negative version is dropped.
func (w *Writer) Note(key string, version int64, value func() []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Noted++
	old, ok := w.notes[key]
	switch {
	case key == "" || version < 0 || w.stopping || !ok && len(w.notes) >= w.opt.Pending:
		w.stats.Dropped++
		return
	case ok:
		w.stats.Coalesced++
		if version > old.version {
			w.notes[key] = note{version, value}
		}
		return
	}
	w.notes[key] = note{version, value}
	w.queue = append(w.queue, key)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Stats counts since the beginning.
func (w *Writer) Stats() WriterStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Pending = len(w.notes)
	return s
}

func (w *Writer) run() {
	defer close(w.done)
	var (
		away   time.Time // since when every write failed
		pause  = writePause
		last   bool // Stop was called: no failure is waited out
		timer  = time.NewTimer(0)
		passed <-chan time.Time
	)
	defer timer.Stop()
	for {
		n, err := w.write()
		switch {
		case err != nil && last:
			return
		case err != nil:
			if away.IsZero() {
				away = time.Now()
				w.opt.Log.Warn("cache: it is away, what is to be written waits", "err", err)
			}
			timer.Reset(time.Duration(float64(pause) * (0.5 + rand.Float64())))
			passed = timer.C
			pause = min(2*pause, maxPause)
		case n > 0:
			if !away.IsZero() {
				w.opt.Log.Info("cache: it is back", "after", time.Since(away), "pending", w.Stats().Pending)
			}
			away, pause = time.Time{}, writePause
			continue
		case last:
			return
		}
		wake := w.wake
		if err != nil {
			wake = nil // a new note is no reason to try sooner
		}
		select {
		case <-wake:
		case <-passed:
		case <-w.stop:
			last = true
		}
		passed = nil
	}
}

// write writes what waits longest, one round trip of it, and says how many keys that were.
func (w *Writer) write() (int, error) {
	w.mu.Lock()
	keys := w.queue[:min(len(w.queue), batch)]
	items := make([]Item, len(keys))
	values := make([]func() []byte, len(keys))
	for i, key := range keys {
		n := w.notes[key]
		items[i] = Item{Key: key, Entry: Entry{Version: n.version}, TTL: w.opt.TTL}
		values[i] = n.value
	}
	w.mu.Unlock()
	if len(items) == 0 {
		return 0, nil
	}
	for i, value := range values {
		items[i].Value = value()
	}
	err := PutAll(w.life, w.opt.Cache, items)

	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.stats.Failures++
		return 0, err
	}
	w.queue = w.queue[len(items):] // only this goroutine takes out
	for _, i := range items {
		if w.notes[i.Key].version == i.Version {
			delete(w.notes, i.Key)
			w.stats.Written++
		} else { // a newer one came meanwhile; the older was counted as coalesced then
			w.queue = append(w.queue, i.Key)
		}
	}
	return len(items), nil
}
