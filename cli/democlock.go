package cli

import (
	"sync"
	"time"
)

// demoClock is the clock of the story. It runs at the pace of the wall clock from wherever it was last set forward to, so
// that a day passes as fast as the machine plays it, and never goes back. The zero value is the wall clock.
type demoClock struct {
	mu  sync.Mutex // guards at and set
	at  time.Time  // what it showed
	set time.Time  // when, by the wall clock
}

// Now is what the clock shows.
func (c *demoClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *demoClock) now() time.Time {
	if c.at.IsZero() {
		return time.Now()
	}
	return c.at.Add(time.Since(c.set))
}

// advance sets the clock forward. A time that it has passed already changes nothing.
func (c *demoClock) advance(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || to.After(c.now()) {
		c.at, c.set = to, time.Now()
	}
}
