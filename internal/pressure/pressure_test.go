package pressure_test

import (
	"math"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/pressure"
)

// machine does so many events in a second, one after the other, by a clock of its own.
type machine struct {
	now   time.Time
	gauge *pressure.Gauge
	left  float64 // of an event
}

func newMachine() *machine {
	m := &machine{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	m.gauge = pressure.New(pressure.Target, func() time.Time { return m.now })
	return m
}

// run offers events and does them for a while; what the gauge says is turned away. It returns how many were done, and
// how many waited in the end.
func (m *machine) run(d time.Duration, offered, capacity float64, waiting int) (done, left int) {
	const step = time.Millisecond
	come, turn := 0.0, 0.0
	for range d / step {
		m.now = m.now.Add(step)
		for come += offered * step.Seconds(); come >= 1; come-- {
			if turn += m.gauge.Value(); turn >= 1 {
				turn--
				continue
			}
			m.gauge.Begin()
			waiting++
		}
		for m.left += capacity * step.Seconds(); m.left >= 1 && waiting > 0; m.left-- {
			m.gauge.End()
			waiting--
			done++
		}
		m.left = min(m.left, 1)
	}
	return done, waiting
}

func TestOverload(t *testing.T) {
	for _, offered := range []float64{1.2, 3, 6} {
		m := newMachine()
		const capacity = 10_000
		_, waiting := m.run(time.Second, capacity*offered, capacity, 0)
		done, waiting := m.run(5*time.Second, capacity*offered, capacity, waiting)
		if share := float64(done) / (5 * capacity); share < 0.97 {
			t.Errorf("at %v times what it can do, it does %.2f of it", offered, share)
		}
		if wait := float64(waiting) / capacity; wait > 3*pressure.Target.Seconds() {
			t.Errorf("at %v times what it can do, the last one waits %.3f s", offered, wait)
		}
		if done, _ := m.run(time.Second, capacity/2, capacity, waiting); done < capacity/2-200 {
			t.Errorf("afterwards it does %d of %d", done, capacity/2)
		}
		if p := m.gauge.Value(); p != 0 {
			t.Errorf("with half of what it can do the pressure is %v", p)
		}
	}
}

// TestFew: however slow a store is, a few events under way are no overload.
func TestFew(t *testing.T) {
	m := newMachine()
	for range 32 {
		m.gauge.Begin()
	}
	m.now = m.now.Add(time.Minute)
	if p := m.gauge.Value(); p != 0 {
		t.Errorf("%v", p)
	}
	for range 100 {
		m.gauge.Begin()
	}
	if p := m.gauge.Value(); p != 0 {
		t.Errorf("a burst is %v", p)
	}
	for range 2 {
		m.now = m.now.Add(100 * time.Millisecond)
		m.gauge.Value()
	}
	if p := m.gauge.Value(); p != 0.98 {
		t.Errorf("behind a store that does nothing any more it is %v", p)
	}
}

func TestHeard(t *testing.T) {
	m := newMachine()
	m.gauge.Hear(0.2)
	m.gauge.Hear(0.6)
	m.gauge.Hear(0.1) // another instance, which has less to do
	m.gauge.Hear(math.NaN())
	m.gauge.Hear(-1)
	if p := m.gauge.Value(); p != 0.6 {
		t.Errorf("%v", p)
	}
	m.now = m.now.Add(150 * time.Millisecond)
	m.gauge.Hear(0.1)
	if p := m.gauge.Value(); p != 0.1 {
		t.Errorf("a moment later it is %v", p)
	}
	m.gauge.Hear(7)
	if p := m.gauge.Value(); p != 0.98 {
		t.Errorf("%v", p)
	}
	m.now = m.now.Add(5 * time.Second)
	if p := m.gauge.Value(); p != 0 {
		t.Errorf("nobody has confirmed it for seconds, and it is %v", p)
	}
}
