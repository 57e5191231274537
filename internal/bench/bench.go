// Package bench measures a whole system under load: open-loop arrivals over real sockets, complete orders from POST
// to delivered, with the load generator and the simulated companies on the same machine.
package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Options say what load is put on.
type Options struct {
	URL      string
	Token    string  // shown to the gateway
	Rate     float64 // orders per second
	Duration time.Duration
	Warmup   time.Duration // before anything is measured
	Order    client.Order
	Settled  func() int64 // how many orders are settled so far
	Progress func(placed, settled int64, left time.Duration)
}

// Result is what was measured.
type Result struct {
	Rate       float64 `json:"rate"`           // asked for, orders/s
	Placed     int64   `json:"placed"`         // answered 202 while measuring
	Refused    int64   `json:"refused"`        // answered otherwise
	Complete   float64 `json:"complete_per_s"` // settled while measuring, per second
	PostP50    float64 `json:"post_p50_ms"`    // from the moment the order should have been sent
	PostP99    float64 `json:"post_p99_ms"`
	PostMax    float64 `json:"post_max_ms"`
	RefusedP50 float64 `json:"refused_p50_ms"` // as PostP50, of what was answered otherwise
	RefusedP99 float64 `json:"refused_p99_ms"`
	CPUPer     float64 `json:"cpu_ms_per_order"` // of the whole process, load generator and partners included
	Allocs     float64 `json:"allocs_per_order"`
	AllocBytes float64 `json:"alloc_bytes_per_order"`
	HeapMB     float64 `json:"heap_mb"`
	MaxRSSMB   float64 `json:"max_rss_mb"`
	DrainS     float64 `json:"drain_s"` // from the last order until all were settled
	Total      int64   `json:"total"`   // orders placed, warm-up included
	FirstError string  `json:"first_error,omitempty"`
}

// usage is what the process has used so far.
type usage struct {
	cpu    time.Duration
	rss    int64
	allocs uint64
	bytes  uint64
	heap   uint64
}

func used() (u usage, err error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return u, err
	}
	u.cpu = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	u.rss = r.Maxrss
	if runtime.GOOS == "linux" {
		u.rss *= 1024 // kilobytes there, bytes on macOS
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.allocs, u.bytes, u.heap = m.Mallocs, m.TotalAlloc, m.HeapInuse
	return u, nil
}

// patience is how long the last orders may take to settle.
const patience = 5 * time.Minute

// Run puts on the load and waits until every order is settled.
func Run(ctx context.Context, opt Options) (Result, error) {
	if !(opt.Rate > 0) || opt.Duration <= 0 {
		return Result{}, errors.New("bench: rate and duration must be positive")
	}
	transport := &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true}
	defer transport.CloseIdleConnections()
	api, err := client.New(opt.URL, transport)
	if err != nil {
		return Result{}, err
	}
	api = api.As(opt.Token)
	l := &load{Options: opt, api: api, latency: histogram(), refusal: histogram()}
	before := opt.Settled()
	if err := l.phase(ctx, opt.Warmup, false); err != nil {
		return Result{}, err
	}
	u0, err := used()
	if err != nil {
		return Result{}, err
	}
	s0, t0 := opt.Settled(), time.Now()
	if err := l.phase(ctx, opt.Duration, true); err != nil {
		return Result{}, err
	}
	s1, t1 := opt.Settled(), time.Now()
	u1, err := used()
	if err != nil {
		return Result{}, err
	}
	l.posts.Wait()
	r := l.result()
	if err := l.drain(ctx, before); err != nil {
		return r, err
	}
	r.DrainS = time.Since(t1).Seconds()
	done := float64(s1 - s0)
	r.Complete = done / t1.Sub(t0).Seconds()
	if done > 0 {
		r.CPUPer = float64((u1.cpu - u0.cpu).Microseconds()) / 1000 / done
		r.Allocs = float64(u1.allocs-u0.allocs) / done
		r.AllocBytes = float64(u1.bytes-u0.bytes) / done
	}
	r.HeapMB, r.MaxRSSMB = float64(u1.heap)/(1<<20), float64(u1.rss)/(1<<20)
	return r, nil
}

// load is a run's state.
type load struct {
	Options
	api     *client.Client
	posts   sync.WaitGroup
	total   atomic.Int64
	placed  atomic.Int64
	refused atomic.Int64

	mu      sync.Mutex
	latency *hdrhistogram.Histogram // microseconds
	refusal *hdrhistogram.Histogram
	first   error
}

// histogram counts microseconds up to a minute.
func histogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
}

// phase sends orders at the rate for a while. An order is sent when its time has come, however the ones before it
// fare, and its latency counts from that moment: a system that stalls cannot hide it.
func (l *load) phase(ctx context.Context, d time.Duration, measured bool) error {
	began := time.Now()
	n := int64(d.Seconds() * l.Rate)
	tick := time.NewTimer(0)
	defer tick.Stop()
	shown := began
	for i := int64(0); i < n; {
		now := time.Now()
		due := min(n, int64(now.Sub(began).Seconds()*l.Rate)+1)
		for ; i < due; i++ {
			at := began.Add(time.Duration(float64(i) / l.Rate * float64(time.Second)))
			l.posts.Go(func() { l.post(ctx, at, measured) })
		}
		if l.Progress != nil && now.Sub(shown) > time.Second/2 {
			shown = now
			l.Progress(l.total.Load(), l.Settled(), d-now.Sub(began))
		}
		tick.Reset(time.Millisecond)
		select {
		case <-ctx.Done():
			l.posts.Wait()
			return ctx.Err()
		case <-tick.C:
		}
	}
	if rest := d - time.Since(began); rest > 0 {
		tick.Reset(rest)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (l *load) post(ctx context.Context, at time.Time, measured bool) {
	var placed wire.Order
	placed, err := l.api.Place(ctx, l.Order, "")
	took := time.Since(at)
	if err == nil && placed.ID != "" {
		l.total.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.first == nil {
		l.first = err
	}
	if !measured {
		return
	}
	if err != nil {
		l.refused.Add(1)
		_ = l.refusal.RecordValue(max(1, took.Microseconds()))
		return
	}
	l.placed.Add(1)
	_ = l.latency.RecordValue(max(1, took.Microseconds())) // beyond a minute it is not worth a number
}

func (l *load) result() Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	ms := func(us int64) float64 { return float64(us) / 1000 }
	r := Result{
		Rate: l.Rate, Placed: l.placed.Load(), Refused: l.refused.Load(), Total: l.total.Load(),
		PostP50: ms(l.latency.ValueAtQuantile(50)), PostP99: ms(l.latency.ValueAtQuantile(99)), PostMax: ms(l.latency.Max()),
		RefusedP50: ms(l.refusal.ValueAtQuantile(50)), RefusedP99: ms(l.refusal.ValueAtQuantile(99)),
	}
	if l.first != nil {
		r.FirstError = l.first.Error()
	}
	return r
}

// drain waits until all that was placed is settled.
func (l *load) drain(ctx context.Context, before int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for l.Settled()-before < l.total.Load() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("bench: %d of %d orders are settled: %w", l.Settled()-before, l.total.Load(), ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
