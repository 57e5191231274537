package crew_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/crew"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryJobIsDoneOnce(t *testing.T) {
	var done atomic.Int64
	var jobs sync.WaitGroup
	c := crew.Crew[int]{Work: func(n int) {
		done.Add(int64(n))
		jobs.Done()
	}}
	const n = 10_000
	jobs.Add(n)
	for range n {
		c.Do(1)
	}
	jobs.Wait()
	if done.Load() != n {
		t.Fatalf("%d jobs were done of %d", done.Load(), n)
	}
	c.Dismiss()
	c.Wait()
}

func TestDismissedWhileWorking(*testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	c := crew.Crew[int]{Work: func(int) { close(begun); <-finish }}
	c.Do(1)
	<-begun
	c.Dismiss()
	close(finish)
	c.Wait() // goleak sees that the goroutine went home
}

func BenchmarkDo(b *testing.B) {
	var jobs sync.WaitGroup
	c := crew.Crew[struct{}]{Work: func(struct{}) { jobs.Done() }}
	for b.Loop() {
		jobs.Add(1)
		c.Do(struct{}{})
		jobs.Wait()
	}
	c.Dismiss()
	c.Wait()
}
