package gateway

import (
	"math/rand/v2"
	"testing"

	"sallyport"
	"sallyport/wire/pg"
)

// TestWatch cuts a conversation into pieces of every size: what is counted is the same.
func TestWatch(t *testing.T) {
	var said []byte
	said = pg.AppendQuery(said, "SELECT 1")
	said = pg.AppendQuery(said, "SELECT 22")
	said = pg.AppendParse(said, "p", "SELECT a FROM b WHERE c = $1", nil)
	said = append(said, bindOf("", "p")...)
	said = pg.AppendExecute(said, "", 0)
	said = append(said, bindOf("", "p")...)
	said = pg.AppendExecute(said, "", 0)
	said = pg.Append(said, pg.Sync)
	long := make([]byte, 3*mostWatched)
	for i := range long {
		long[i] = ' '
	}
	said = pg.AppendQuery(said, "SELECT 1"+string(long))
	said = pg.AppendQuery(said, "SELECT now(), 'x'")

	rng := rand.New(rand.NewPCG(1, 2))
	for piece := 1; piece < len(said); piece += 1 + rng.IntN(1+piece) {
		g := &Gateway{}
		s := &session{gw: g}
		for rest := said; len(rest) > 0; {
			n := min(piece, len(rest))
			s.watch.sees(g, rest[:n])
			rest = rest[n:]
		}
		if s.watch.blind || len(s.watch.queue) != 7 {
			t.Fatalf("in pieces of %d: blind %v, %d asked", piece, s.watch.blind, len(s.watch.queue))
		}
		answer := func(kinds string) {
			for _, kind := range kinds {
				s.answered(byte(kind), 10)
			}
		}
		answer("TDDCZ" + "TDCZ" + "1DDC" + "DDDC" + "Z" + "CZ" + "EZ")
		got := map[string]sallyport.Counters{}
		for fingerprint, one := range s.traffic.by {
			got[fingerprint] = one.n
		}
		simple, other, prepared := g.prints.Of("SELECT 5"), g.prints.Of("SELECT now(), 'y'"), g.prints.Of("SELECT a FROM b WHERE c = $1")
		if n := got[simple]; n.Statements != 2 || n.Rows != 3 {
			t.Errorf("in pieces of %d: SELECT 1: %+v", piece, n)
		}
		if n := got[prepared]; n.Statements != 2 || n.Rows != 5 {
			t.Errorf("in pieces of %d: the prepared one: %+v", piece, n)
		}
		if n := got[other]; n.Statements != 1 || n.Rows != 0 {
			t.Errorf("in pieces of %d: the one that failed: %+v", piece, n)
		}
		if n := got[""]; n.Statements != 1 || n.BytesIn <= uint64(len(long)) {
			t.Errorf("in pieces of %d: the long one: %+v", piece, n)
		}
		if len(s.watch.queue) != 0 {
			t.Errorf("in pieces of %d: %d are waited for still", piece, len(s.watch.queue))
		}
	}
}

func bindOf(portal, name string) []byte {
	return pg.Append(nil, pg.Bind, portal, "\x00", name, "\x00\x00\x00\x00\x00\x00\x00")
}

// FuzzWatch: whatever a client sends, counting neither fails nor grows without bound.
func FuzzWatch(f *testing.F) {
	f.Add(pg.AppendQuery(nil, "SELECT 1"), 3)
	f.Add([]byte{'Q', 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, 1)
	f.Add([]byte{'P', 0, 0, 0, 4, 'B', 0, 0, 0, 5, 1, 'E', 0, 0, 0, 4}, 2)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		g := &Gateway{}
		s := &session{gw: g}
		piece = max(1, piece%1000)
		for rest := b; len(rest) > 0; {
			n := min(piece, len(rest))
			s.watch.sees(g, rest[:n])
			rest = rest[n:]
			s.answered(rest0(rest), n)
		}
		if len(s.watch.part) > mostWatched || len(s.watch.queue) > mostAsked {
			t.Errorf("%d bytes kept, %d asked", len(s.watch.part), len(s.watch.queue))
		}
	})
}

func rest0(b []byte) byte {
	if len(b) == 0 {
		return pg.ReadyForQuery
	}
	return b[0]
}
