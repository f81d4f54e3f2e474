package serve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"

	"sallyport/drill"
)

// drillPlan plays drills by the schedule of the configuration. The moment is drawn when serve starts and when the one before has begun, and stands nowhere,
// so that nobody foresees it; a start draws anew from what is left of the window.
type drillPlan struct {
	d     *drills
	list  []drill.Every
	next  []time.Time
	after []time.Time  // the run that it was drawn after
	why   []string     // it could not be played when it was tried last
	seen  atomic.Int64 // when it was looked last, in ns since 1970
}

// How often it is looked whether one is due, and how long it is waited after one that could not be played.
const (
	planEvery = 250 * time.Millisecond
	planAgain = time.Hour
)

// run begins what is due until ctx ends.
func (p *drillPlan) run(ctx context.Context) {
	p.list = p.d.s.O.Config.Drill.Every()
	if len(p.list) == 0 {
		return
	}
	p.next, p.after, p.why = make([]time.Time, len(p.list)), make([]time.Time, len(p.list)), make([]string, len(p.list))
	began := p.d.s.O.Clock()
	ticker := time.NewTicker(planEvery)
	defer ticker.Stop()
	for {
		now := p.d.s.O.Clock()
		for i := range p.list {
			p.look(i, began)
		}
		p.seen.Store(now.UnixNano())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look begins one if its moment has come.
func (p *drillPlan) look(i int, began time.Time) {
	now, name := p.d.s.O.Clock(), p.list[i].Drill
	last := p.d.book.Last(name)
	if p.next[i].IsZero() || !last.Equal(p.after[i]) {
		from, until := p.list[i].Window(last, began)
		var draw [8]byte
		_, _ = rand.Read(draw[:]) // it never fails
		p.next[i], p.after[i] = drill.Moment(from, until, now, binary.BigEndian.Uint64(draw[:])), last
	}
	if now.Before(p.next[i]) {
		return
	}
	_, err := p.d.begin("", name, "by schedule")
	if err == nil {
		p.why[i] = ""
		return
	}
	p.next[i] = now.Add(planAgain)
	if text := err.Error(); text != p.why[i] {
		p.why[i] = text
		p.d.s.log.Warn("a drill that is due could not be played; it is tried each hour", "drill", name, "why", text)
	}
}
