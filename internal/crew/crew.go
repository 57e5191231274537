// Package crew keeps goroutines for short jobs that come by the thousand. A goroutine that has done one waits for
// the next, so that its stack, which deep calls have made grow, is not grown anew for every job.
package crew

import "sync"

// maxIdle is how many goroutines wait at most: about as many as are busy at once under load.
const maxIdle = 64

// Crew does jobs. Set Work before the first; the zero value is ready otherwise. Safe for concurrent use.
type Crew[J any] struct {
	Work func(J)

	mu   sync.Mutex
	idle []chan J // the last to become idle is the first to be taken
	shut int      // dismissals so far
	all  sync.WaitGroup
}

// Do has a job done, at once, on a goroutine of the crew.
func (c *Crew[J]) Do(j J) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		to := c.idle[n-1]
		c.idle[n-1] = nil
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		to <- j
		return
	}
	shut := c.shut
	c.all.Add(1)
	c.mu.Unlock()
	go c.work(j, shut)
}

func (c *Crew[J]) work(j J, shut int) {
	defer c.all.Done()
	next := make(chan J, 1)
	for {
		c.Work(j)
		c.mu.Lock()
		if len(c.idle) >= maxIdle || c.shut != shut {
			c.mu.Unlock()
			return
		}
		c.idle = append(c.idle, next)
		c.mu.Unlock()
		var ok bool
		if j, ok = <-next; !ok {
			return
		}
	}
}

// Dismiss sends home who waits, now, and who works, afterwards. The crew can be used again.
func (c *Crew[J]) Dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut++
	for _, next := range c.idle {
		close(next)
	}
	c.idle = nil
}

// Wait returns when every goroutine of the crew has ended. Dismiss first.
func (c *Crew[J]) Wait() { c.all.Wait() }
