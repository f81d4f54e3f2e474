package gateway

import (
	"bytes"
	"sync"

	"sallyport"
	"sallyport/wire/pg"
)

// watch follows what passes through a relayed session, to count it by fingerprint. It changes nothing, holds nothing up, and where it does not
// understand something it goes on counting without fingerprints.
type watch struct {
	// The client's side only.
	skip     int    // of a message of which the rest is not looked at
	part     []byte // the beginning of a message whose end is still to come
	prepared map[string]string
	portals  map[string]string
	blind    bool // something came that is no message

	// The server's side only.
	rows, out uint64 // since the last statement ended

	mu    sync.Mutex // guards queue
	queue []relayed
}

// relayed is something whose end the server will tell: of a query or a call by ReadyForQuery, of an Execute by itself, of a Sync by ReadyForQuery.
type relayed struct {
	kind        byte
	fingerprint string
	in          uint64
}

const (
	mostWatched = 16 << 10 // bytes of a message that is kept until it is whole
	mostNames   = 1 << 10
	mostAsked   = 1 << 14
)

// sees takes up bytes from the client.
func (w *watch) sees(g *Gateway, b []byte) {
	for len(b) > 0 && !w.blind {
		switch {
		case w.skip > 0:
			n := min(w.skip, len(b))
			w.skip -= n
			b = b[n:]
		case len(w.part) > 0 || len(b) < pg.HeaderLen:
			b = w.collect(g, b)
		default:
			kind, size, _, err := pg.Header(b)
			switch {
			case err != nil:
				w.blind = true
			case size <= len(b):
				w.message(g, kind, b[:size], size)
				b = b[size:]
			case size <= mostWatched:
				b = w.collect(g, b)
			default:
				w.message(g, kind, nil, size)
				w.skip = size
			}
		}
	}
}

// collect takes of b what is missing of a message.
func (w *watch) collect(g *Gateway, b []byte) []byte {
	want := pg.HeaderLen - len(w.part)
	if want <= 0 {
		_, size, _, err := pg.Header(w.part)
		if err != nil {
			w.blind = true
			return nil
		}
		if size > mostWatched {
			w.message(g, w.part[0], nil, size)
			w.skip, w.part = size-len(w.part), w.part[:0]
			return b
		}
		want = size - len(w.part)
	}
	n := min(want, len(b))
	w.part = append(w.part, b[:n]...)
	if len(w.part) >= pg.HeaderLen {
		if kind, size, _, err := pg.Header(w.part); err == nil && size == len(w.part) {
			w.message(g, kind, w.part, size)
			w.part = w.part[:0]
		}
	}
	return b[n:]
}

// message is one of the client's; m is nil where it is too long to be looked at.
func (w *watch) message(g *Gateway, kind byte, m []byte, size int) {
	next := relayed{kind: kind, in: uint64(size)} //nolint:gosec // a length
	switch kind {
	case pg.Query:
		if text, _, ok := cString(m, pg.HeaderLen); ok {
			next.fingerprint = g.prints.Of(string(text))
		}
	case pg.Execute:
		if portal, _, ok := cString(m, pg.HeaderLen); ok {
			next.fingerprint = w.portals[string(portal)]
		}
	case pg.Sync, pg.FunctionCall:
	case pg.Parse:
		w.parse(g, m)
		return
	case pg.Bind:
		w.bind(m)
		return
	default:
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) >= mostAsked { // whoever pipelines so much is counted in one
		w.queue = w.queue[:0]
	}
	w.queue = append(w.queue, next)
}

// parse remembers what a prepared statement is.
func (w *watch) parse(g *Gateway, m []byte) {
	name, rest, ok := cString(m, pg.HeaderLen)
	text, _, whole := cString(m, rest)
	if !ok || !whole {
		return
	}
	remember(&w.prepared, string(name), g.prints.Of(string(text)))
}

// bind remembers what a portal is.
func (w *watch) bind(m []byte) {
	portal, rest, ok := cString(m, pg.HeaderLen)
	name, _, whole := cString(m, rest)
	if !ok || !whole {
		return
	}
	remember(&w.portals, string(portal), w.prepared[string(name)])
}

// cString is the text that ends with a zero byte, from a place on, and the place behind it.
func cString(m []byte, from int) (text []byte, rest int, ok bool) {
	if from > len(m) || m == nil {
		return nil, 0, false
	}
	end := bytes.IndexByte(m[from:], 0)
	if end < 0 {
		return nil, 0, false
	}
	return m[from : from+end], from + end + 1, true
}

func remember(names *map[string]string, name, fingerprint string) {
	if *names == nil || len(*names) >= mostNames {
		*names = map[string]string{}
	}
	(*names)[name] = fingerprint
}

// answered takes up the beginning of one of the server's messages.
func (s *session) answered(kind byte, size int) {
	w := &s.watch
	w.out += uint64(size) //nolint:gosec // a length
	switch kind {
	case pg.DataRow, pg.CopyData:
		w.rows++
	case pg.CommandComplete, pg.EmptyQuery, pg.PortalSuspended, pg.ErrorResponse:
		failed := kind == pg.ErrorResponse
		one := w.ends(failed)
		n := sallyport.Counters{Statements: 1, Rows: w.rows, BytesIn: one.in, BytesOut: w.out}
		w.rows, w.out = 0, 0
		s.traffic.add(one.fingerprint, nil, &n, failed)
	case pg.ReadyForQuery:
		w.ready()
	}
}

// ends is what has ended. What follows an error up to Sync is not done by the server, and dropped with it.
func (w *watch) ends(failed bool) (one relayed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return one
	}
	one = w.queue[0]
	w.queue[0].in = 0 // a query of several statements came in once
	if one.kind == pg.Execute && !failed {
		w.queue = w.queue[1:]
	}
	return one
}

// ready drops everything up to what ReadyForQuery answers.
func (w *watch) ready() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 {
		kind := w.queue[0].kind
		w.queue = w.queue[1:]
		if kind != pg.Execute {
			return
		}
	}
}
