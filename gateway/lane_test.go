package gateway

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/canary"
	"sallyport/exposure"
	"sallyport/purpose"
	"sallyport/wire/pg"
)

// TestLane holds the lane to what becomes of the same rows where each goes the whole way: what leaves, what is on record, what is counted, and where a
// budget cuts. Among the rows are some of everything that is unusual, and they come in pieces of any size.
func TestLane(t *testing.T) {
	for _, granted := range []bool{false, true} {
		for _, most := range []int{1 << 30, 700, 3} {
			for seed := range uint64(6) {
				t.Run(fmt.Sprintf("granted %t, budget %d, %d", granted, most, seed), func(t *testing.T) { checkLane(t, granted, most, seed) })
			}
		}
	}
}

func checkLane(t *testing.T, granted bool, most int, seed uint64) {
	t.Helper()
	lane, whole := newLanePath(t, granted, most), newLanePath(t, granted, most)
	whole.run.layout.lane = false
	rng, took := rand.New(rand.NewPCG(seed, 11)), 0
	for range 8 {
		piece := lane.piece(t, rng)
		lane.gw.Clock, whole.gw.Clock = lane.later(), whole.later()
		took += lane.take(t, piece)
		whole.take(t, piece)
		if diff := cmp.Diff(whole.seen(t), lane.seen(t)); diff != "" {
			t.Fatalf("through the lane (+) it is not as without (-):\n%s", diff)
		}
		if !bytes.Equal(whole.out, lane.out) {
			t.Fatal("other bytes leave")
		}
		if lane.over.Load() {
			break
		}
	}
	if cut := lane.over.Load(); cut != (most <= 700) {
		t.Errorf("cut: %t", cut)
	}
	if took < min(most/2, 1000) {
		t.Errorf("%d rows took the lane", took)
	}
}

// lanePath is a session whose budget can be used up, with a canary among the customers.
type lanePath struct {
	*rowPath
	canary []byte // its token
	now    time.Time
	next   int // the next customer
}

func newLanePath(t *testing.T, granted bool, most int) *lanePath {
	t.Helper()
	row, codec := layRowPath(t, &rowWay{columns: []columnKind{passing, keyed, passing, guarded, passing, keyed}, granted: granted})
	p := &lanePath{rowPath: row, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p.gw.Clock, p.gw.Log, p.run.recorded = p.later(), slog.New(slog.DiscardHandler), true
	budget := exposure.Budget{Hour: most, Day: most, Month: most}
	p.gw.Protection.Budgets = func(purpose.Person) exposure.Budgets {
		return exposure.Budgets{Revealed: budget, Reached: budget, Probed: budget}
	}
	p.gw.Protection.Suspend = func(sallyport.Staff, sallyport.Limit) error { return nil }
	for _, h := range p.run.sight.grants {
		h.Customers, h.Until = most, p.now.Add(time.Hour)
	}
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	p.clientConn, p.client, p.wake.L = near, newStream(near, &p.gw.pool), &p.mu
	p.openAccounts()

	value := []byte("nobody@mail.example")
	var err error
	if p.canary, err = codec.Tokenise(nil, value, nil); err != nil {
		t.Fatal(err)
	}
	key, err := canary.NewKey(make([]byte, canary.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := key.Seal(&canary.Canary{ID: canary.ID{1}, Subject: "7", Values: []sallyport.Digest{codec.Digest(value)}}, bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	p.gw.Protection.Canaries = canary.NewBook(key, canary.Settings{Domains: []string{"mail.example"}})
	if err := p.gw.Protection.Canaries.Apply(&sallyport.Event{Kind: sallyport.CanaryPlanted, Order: &sallyport.Order{Sealed: sealed}}); err != nil {
		t.Fatal(err)
	}
	return p
}

// later is a clock that stands still, a second on.
func (p *lanePath) later() func() time.Time {
	p.now = p.now.Add(time.Second)
	now := p.now
	return func() time.Time { return now }
}

// piece are rows that come together: customers side by side, or anywhere, or seen before; and unusual ones.
func (p *lanePath) piece(t *testing.T, rng *rand.Rand) (rows [][]byte) {
	t.Helper()
	codec := p.run.layout.columns[3].codec
	token := func(n int) []byte {
		tok, err := codec.Tokenise(nil, fmt.Appendf(nil, "somebody.%d@mail.example", n), nil)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	for range 1 + rng.IntN(1200) {
		p.next++
		n := p.next
		switch rng.IntN(20) {
		case 0:
			n = rng.IntN(n + 1)
		case 1:
			n = rng.IntN(1 << 40)
		}
		key, value, last := fmt.Appendf(nil, "%d", n), token(n), []byte("x")
		switch rng.IntN(60) {
		case 0:
			key = nil
		case 1:
			value = nil
		case 2:
			key = []byte("-5")
		case 3:
			value = []byte("plain@mail.example")
		case 4:
			value = token(n + 1) // somebody else's
		case 5:
			value = p.canary
		case 6:
			value = []byte{}
		case 7:
			last = nil
		}
		rows = append(rows, pg.AppendDataRow(nil, [][]byte{nil, key, []byte("DE"), value, []byte("basic"), last}))
	}
	return rows
}

// take takes what came together as rows does, and returns how many rows took the lane.
func (p *lanePath) take(t *testing.T, piece [][]byte) (lane int) {
	t.Helper()
	p.server.buf, p.server.at, p.accounts.asked = p.server.buf[:0], 0, false
	for _, m := range piece {
		p.server.buf = append(p.server.buf, m...)
	}
	for p.server.buffered() > 0 && !p.over.Load() {
		_, m, err := p.server.message()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.row(t.Context(), p.run, m); err != nil {
			t.Fatal(err)
		}
		if !p.over.Load() && p.run.layout.lane {
			lane += int(p.takeLane(p.run)) //nolint:gosec // of a test
		}
		if len(p.out) >= batchSize {
			if err := p.record(); err != nil {
				t.Fatal(err)
			}
			p.out, p.clean = p.out[:0], 0
		}
	}
	return lane
}

// seen is all that a session did and put on record, but the bytes.
func (p *lanePath) seen(t *testing.T) map[string]any {
	t.Helper()
	values := []sallyport.RevealedValue{}
	for v := range p.values.All() {
		values = append(values, v)
	}
	var entries []string
	if err := p.gw.Access.Sync(); err != nil { // what is enqueued is read by nobody before
		t.Fatal(err)
	}
	if err := p.gw.Access.Read(1, func(e *sallyport.Event) error {
		entry := fmt.Sprint(e.Kind, e.Limit)
		if e.Reveal != nil {
			entry += fmt.Sprintf("%x", e.Reveal.Values.Packed())
		}
		if e.Touch != nil {
			entry += fmt.Sprint(*e.Touch)
		}
		entries = append(entries, entry)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	hour, day, month := p.gw.Book.Count(p.now, "svc", exposure.Reached)
	return map[string]any{
		"values": values, "columns": fmt.Sprint(p.columns), "grant": p.grant, "reached": fmt.Sprint(p.reached), "others": fmt.Sprint(p.reachedRows),
		"left": p.run.left, "revealed": p.run.revealed, "hint": p.run.hint.subject(), "token": p.run.leftToken,
		"counts": []int{hour, day, month, p.gw.GrantCount("g")}, "over": p.over.Load(), "clean": p.clean, "read": p.server.at, "entries": entries,
	}
}
