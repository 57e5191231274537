package clock_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/tiffin-food/tiffin/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// run runs c until the returned function is called, which waits for the end.
func run(t *testing.T, c *clock.Clock) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// virtual makes a running virtual clock, still held by its maker.
func virtual(t *testing.T) (c *clock.Clock, stop func()) {
	t.Helper()
	c = clock.Virtual(noon)
	return c, run(t, c)
}

func TestNew(t *testing.T) {
	for _, speed := range []float64{0, -1, math.NaN(), math.Inf(1), 2e6} {
		if _, err := clock.New(noon, speed); err == nil {
			t.Errorf("speed %v is taken", speed)
		}
	}
	for _, speed := range []float64{0.5, 1, 60, 1e6} {
		if c, err := clock.New(noon, speed); err != nil || c.IsVirtual() {
			t.Errorf("speed %v: %v", speed, err)
		}
	}
	if !clock.Virtual(noon).IsVirtual() {
		t.Error("a virtual clock is not")
	}
}

// TestRealSpeed: an hour of the clock is an hour divided by the speed, in UTC, whatever zone it was started in.
func TestRealSpeed(t *testing.T) {
	for _, speed := range []float64{0.5, 1, 60, 3600} {
		synctest.Test(t, func(t *testing.T) {
			c, err := clock.New(noon.In(time.FixedZone("there", 3600)), speed)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Now(); !got.Equal(noon) || got.Location() != time.UTC {
				t.Errorf("speed %v: it begins at %s", speed, got)
			}
			time.Sleep(10 * time.Second)
			if got, want := c.Now().Sub(noon), time.Duration(10*speed*float64(time.Second)); got != want {
				t.Errorf("speed %v: after 10 s it is %s later, want %s", speed, got, want)
			}
			c.Hold() // holds nothing
			time.Sleep(time.Second)
			if got, want := c.Now().Sub(noon), time.Duration(11*speed*float64(time.Second)); got != want {
				t.Errorf("speed %v: held, it is %s later, want %s", speed, got, want)
			}
			c.Release()
		})
	}
}

func TestRealNeverGoesBack(t *testing.T) {
	c, err := clock.New(noon, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			last := c.Now()
			for range 10_000 {
				now := c.Now()
				if now.Before(last) {
					t.Errorf("%s after %s", now, last)
					return
				}
				last = now
			}
		})
	}
	all.Wait()
}

// TestRealAlarms: they ring when the clock shows their time, in their order, those of the past at once.
func TestRealAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := clock.New(noon, 60)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, c)
		begun := time.Now()
		rung := make(chan string, 10)
		at := func(name string, d time.Duration) {
			c.At(noon.Add(d), func() {
				if c.Now().Before(noon.Add(d)) {
					t.Errorf("%s rang at %s", name, c.Now())
				}
				rung <- name
			})
		}
		at("an hour", time.Hour)
		at("a minute", time.Minute)
		at("past", -time.Minute)
		for _, want := range []struct {
			name  string
			after time.Duration
		}{{"past", 0}, {"a minute", time.Second}, {"an hour", time.Minute}} {
			if got := <-rung; got != want.name || time.Since(begun).Round(time.Millisecond) != want.after {
				t.Errorf("%s after %s, want %s after %s", got, time.Since(begun), want.name, want.after)
			}
		}
		stop()
	})
}

// TestVirtualStandsStill: while anything is held time does not move, however long that takes.
func TestVirtualStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := virtual(t)
		rung := make(chan time.Time, 1)
		c.At(noon.Add(time.Hour), func() { rung <- c.Now() })
		c.Hold()
		c.Release() // once more than held is needed to let go
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if now := c.Now(); len(rung) > 0 || !now.Equal(noon) {
			t.Errorf("held, it moved to %s", now)
		}
		begun := time.Now()
		c.Release()
		if at := <-rung; !at.Equal(noon.Add(time.Hour)) || time.Since(begun) != 0 {
			t.Errorf("it rang at %s after %s", at, time.Since(begun))
		}
		stop()
	})
}

// TestVirtualHeldWhileRinging: an alarm that hands work over with a hold keeps time from moving on.
func TestVirtualHeldWhileRinging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := virtual(t)
		finish := make(chan struct{})
		second := make(chan time.Time, 1)
		c.At(noon.Add(time.Minute), func() {
			c.Hold()
			go func() {
				<-finish
				c.Release()
			}()
		})
		c.At(noon.Add(2*time.Minute), func() { second <- c.Now() })
		c.Release()
		synctest.Wait()
		if now := c.Now(); !now.Equal(noon.Add(time.Minute)) || len(second) > 0 {
			t.Errorf("it moved on to %s while the first alarm's work was under way", now)
		}
		close(finish)
		<-second
		stop()
	})
}

// TestOrder: alarms ring by time, and in the order they were set where the time is the same.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		delays := rapid.SliceOfN(rapid.IntRange(-2, 5), 1, 20).Draw(rt, "minutes")
		stopped := rapid.SliceOfN(rapid.Bool(), len(delays), len(delays)).Draw(rt, "stopped")
		c, stop := virtual(t)
		type ring struct{ at, i int }
		var want, got []ring
		done := make(chan struct{})
		for i, d := range delays {
			a := c.At(noon.Add(time.Duration(d)*time.Minute), func() { got = append(got, ring{d, i}) })
			if stopped[i] {
				if !a.Stop() || a.Stop() {
					rt.Fatal("Stop is true once")
				}
				continue
			}
			want = append(want, ring{d, i})
		}
		c.At(noon.Add(time.Hour), func() { close(done) })
		slices.SortStableFunc(want, func(a, b ring) int { return a.at - b.at })
		c.Release()
		<-done
		stop()
		if !slices.Equal(got, want) {
			rt.Fatalf("rang %v, want %v", got, want)
		}
	})
}

func TestStopAfterRinging(t *testing.T) {
	c, stop := virtual(t)
	rung := make(chan struct{})
	a := c.At(noon, func() { close(rung) })
	c.Release()
	<-rung
	if a.Stop() {
		t.Error("an alarm that rang was stopped")
	}
	stop()
}

// TestSleep: sleepers wake in their order, and each holds the clock until it lets go.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := virtual(t)
		var all sync.WaitGroup
		woken := make(chan time.Duration, 3)
		for _, d := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour} {
			all.Go(func() {
				if err := c.Sleep(t.Context(), noon.Add(d)); err != nil {
					t.Error(err)
					return
				}
				if got := c.Now().Sub(noon); got != d {
					t.Errorf("the sleeper until %s wakes at %s", d, got)
				}
				woken <- d
				c.Release()
			})
		}
		synctest.Wait()
		c.Release()
		all.Wait()
		for i := range 3 {
			if got, want := <-woken, time.Duration(i+1)*time.Hour; got != want {
				t.Errorf("woken %s, want %s", got, want)
			}
		}
		stop()
	})
}

// TestSleepCancelled: a sleeper that gives up leaves neither a hold nor an alarm, whether it gives up before the
// alarm or while it rings.
func TestSleepCancelled(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, stop := virtual(t)
			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan error, 1)
			go func() { gone <- c.Sleep(ctx, noon.Add(time.Hour)) }()
			synctest.Wait()
			cancel()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("Sleep: %v", err)
			}
			c.Release()
			passed(t, c)
			stop()
		})
	})
	t.Run("while it rings", func(t *testing.T) {
		for range 200 { // either the alarm or the cancel is seen first
			c, stop := virtual(t)
			ctx, cancel := context.WithCancel(t.Context())
			c.At(noon, cancel)
			gone := make(chan error, 1)
			go func() { gone <- c.Sleep(ctx, noon) }()
			c.Release()
			if err := <-gone; err == nil {
				c.Release()
			}
			passed(t, c)
			stop()
		}
	})
}

// passed fails where time is held still: nobody rings.
func passed(t *testing.T, c *clock.Clock) {
	t.Helper()
	rung := make(chan struct{})
	c.At(c.Now().Add(24*time.Hour), func() { close(rung) })
	<-rung
}

// TestRunEnds: with the context, at once, also while alarms keep ringing.
func TestRunEnds(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, stop := virtual(t)
			synctest.Wait()
			stop()
		})
	})
	t.Run("busy", func(t *testing.T) {
		c, stop := virtual(t)
		often := make(chan struct{})
		n := 0
		var again func()
		again = func() {
			if n++; n == 10 {
				close(often)
			}
			c.At(noon, again)
		}
		c.At(noon, again)
		c.Release()
		<-often
		stop()
	})
}

func TestReleasedTooOften(t *testing.T) {
	c := clock.Virtual(noon)
	c.Release()
	defer func() {
		if recover() == nil {
			t.Error("a release without a hold passed")
		}
	}()
	c.Release()
}
