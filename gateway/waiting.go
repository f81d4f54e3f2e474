package gateway

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"sallyport"
)

// Waiting is a result that waits at the second door.
type Waiting struct {
	What        string // its verb and reasons
	Because     string
	Address     string
	Application string
	Since       time.Time

	who sallyport.Staff // whose it is
}

// waiting are those that wait right now. The zero value: none.
type waiting struct {
	mu sync.Mutex // guards at
	at map[*session]Waiting
}

// waits notes that a session's result waits, until the returned function is called.
func (w *waiting) waits(s *session, who sallyport.Staff, what, because string) (over func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == nil {
		w.at = map[*session]Waiting{}
	}
	w.at[s] = Waiting{What: what, Because: because, Address: s.who.Address, Application: s.who.Application, Since: s.gw.Clock(), who: who}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.at, s)
	}
}

// Waiting lists what waits for somebody, the longest first.
func (g *Gateway) Waiting(who sallyport.Staff) (out []Waiting) {
	g.waiting.mu.Lock()
	defer g.waiting.mu.Unlock()
	for _, w := range g.waiting.at {
		if w.who == who {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b Waiting) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Address, b.Address)) })
	return out
}
