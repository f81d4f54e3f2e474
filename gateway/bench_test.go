package gateway

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/record"
	"sallyport/token"
	"sallyport/wire/pg"
)

// rowWay is one of the ways in which a row of six fields goes from the server to the client.
type rowWay struct {
	name    string
	columns []columnKind
	granted bool
	most    float64 // allocations a row, on average
}

// rowWays are a row that is passed on, one with a masked field, one with a field that is left as a token and counted, and one with a field that
// is revealed under a grant and recorded. Every row is another customer's: the sets of customers seen grow now and then.
func rowWays() []rowWay {
	return []rowWay{
		{"passed", []columnKind{passing, passing, passing, passing, passing, passing}, false, 0},
		{"masked", []columnKind{passing, veiled, passing, passing, passing, passing}, false, 0},
		{"left", []columnKind{keyed, guarded, passing, passing, passing, passing}, false, 0.1},
		{"revealed", []columnKind{keyed, guarded, passing, passing, passing, passing}, true, 0.1},
	}
}

// rowPath is a session through which rows go, without connections.
type rowPath struct {
	*session
	run   *run
	given [][]byte
	n     int
}

func newRowPath(tb testing.TB, way *rowWay) *rowPath {
	tb.Helper()
	p, codec := layRowPath(tb, way)
	p.given = benchRows(tb, codec)
	return p
}

// layRowPath is one through which no rows are given yet.
func layRowPath(tb testing.TB, way *rowWay) (*rowPath, *token.Codec) {
	tb.Helper()
	email := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	s := benchSession(tb)
	codec, err := s.gw.Protection.Ring.Codec(token.Spec{Column: email, Scheme: sallyport.Email, Group: "email"})
	if err != nil {
		tb.Fatal(err)
	}
	protected := &catalog.Protected{Column: email, Scheme: sallyport.Email}
	l := &layout{columns: make([]column, len(way.columns)), key: -1, visible: len(way.columns)}
	for i, kind := range way.columns {
		l.columns[i] = column{kind: kind, typ: typeText}
		switch kind {
		case guarded:
			l.columns[i].protected, l.columns[i].codec, l.columns[i].home, l.inspect = protected, codec, s.gw.kin.column(email), true
		case keyed:
			if l.inspect = true; l.key < 0 {
				l.key = i
			}
		case veiled:
			l.columns[i].text, l.columns[i].show, l.inspect, l.veils = true, catalog.ShowDomain, true, []int{i}
		case passing, formed:
		}
	}
	l.front = l.frontOf()
	l.value, l.lane = l.laneOf()
	p := &rowPath{session: s, run: &run{stmt: &query.Statement{Touches: true, Verb: "SELECT"}, sight: &sight{
		policies: defaultPolicies(tb, email), asking: policy.Ask{Who: "svc", Service: true, Action: policy.ActionReveal, Context: policy.Context{Trust: 100}},
	}, layout: l}}
	if way.granted {
		p.run.sight.grants = []*heldGrant{{Grant: policy.Grant{ID: "g", For: "svc", Columns: []string{email.String()}, Customers: 1 << 30, Until: time.Now().Add(time.Hour), ApprovedBy: []sallyport.Staff{"a", "b"}}}}
	}
	s.server = &stream{pool: &s.gw.pool}
	s.queue = []*reply{{what: expectRows, run: p.run}}
	p.forget()
	return p, codec
}

// forget makes all customers others than before.
func (p *rowPath) forget() {
	p.gw.Book, p.gw.granted, p.run.sight.decided = exposure.NewBook(), exposure.NewGrants(), nil
	p.openAccounts()
}

// together is how many rows come at once: as many as stand in a buffer.
const together = 256

// next takes one row on its way, and every so often all that come with it.
func (p *rowPath) next(tb testing.TB) {
	if p.n%together == 0 {
		p.server.buf, p.server.at = p.server.buf[:0], 0
		for i := range together {
			p.server.buf = append(p.server.buf, p.given[(p.n+i)%len(p.given)]...)
		}
		p.accounts.asked = false
	}
	p.n++
	for p.n%together == 1 && p.server.buffered() > 0 {
		_, m, err := p.server.message()
		if err != nil {
			tb.Fatal(err)
		}
		if err := p.rows(tb.Context(), m); err != nil {
			tb.Fatal(err)
		}
		if len(p.out) < batchSize {
			continue
		}
		if err := p.record(); err != nil {
			tb.Fatal(err)
		}
		p.out, p.clean = p.out[:0], 0
	}
}

// BenchmarkRow is what one row costs between the server and the client, without the network.
func BenchmarkRow(b *testing.B) {
	ways := rowWays()
	for i := range ways {
		b.Run(ways[i].name, func(b *testing.B) {
			p := newRowPath(b, &ways[i])
			b.ReportAllocs()
			for b.Loop() {
				if p.n%len(p.given) == 0 {
					b.StopTimer()
					p.forget()
					b.StartTimer()
				}
				p.next(b)
			}
		})
	}
}

// TestRowAllocatesNothing holds rows to it: none is allocated for on the way through, and hardly any where customers are counted.
func TestRowAllocatesNothing(t *testing.T) {
	ways := rowWays()
	for i := range ways {
		t.Run(ways[i].name, func(t *testing.T) {
			p := newRowPath(t, &ways[i])
			for range len(p.given) / 2 { // until buffers have their size
				p.next(t)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			measured := len(p.given) - p.n
			for range measured {
				p.next(t)
			}
			runtime.ReadMemStats(&after)
			each := float64(after.Mallocs-before.Mallocs) / float64(measured)
			t.Logf("%.4f allocations a row", each)
			if each > ways[i].most+0.001 { // a goroutine of the runtime's allocates now and then
				t.Errorf("%.4f allocations a row, at most %.1f are allowed", each, ways[i].most)
			}
		})
	}
}

// benchRows are rows of other customers each.
func benchRows(b testing.TB, codec *token.Codec) [][]byte {
	b.Helper()
	rows := make([][]byte, 1<<16)
	for i := range rows {
		tok, err := codec.Tokenise(nil, fmt.Appendf(nil, "somebody.%d@mail.example", i), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		rows[i] = pg.AppendDataRow(nil, [][]byte{fmt.Appendf(nil, "%d", i+1), tok, []byte("DE"), []byte("basic"), []byte("consumer"), []byte("2026-01-01 00:00:00+00")})
	}
	return rows
}

// benchSession is a session without connections, with a real record.
func benchSession(b testing.TB) *session {
	b.Helper()
	access, err := record.Open(b.TempDir(), record.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = access.Close() })
	root, err := token.NewSecret([]byte("only for benchmarks, 32 bytes!!!"))
	if err != nil {
		b.Fatal(err)
	}
	ring, err := token.NewRing(root, token.Settings{})
	if err != nil {
		b.Fatal(err)
	}
	most := exposure.Budget{Hour: 1 << 30, Day: 1 << 30, Month: 1 << 30}
	gw := &Gateway{Config: Config{
		Access: access, Book: exposure.NewBook(), Clock: time.Now, Standing: control.NewState(),
		Protection: &Protection{Ring: ring, Budgets: func(purpose.Person) exposure.Budgets {
			return exposure.Budgets{Revealed: most, Reached: most, Probed: most}
		}},
	}, identities: newIdentities(), granted: exposure.NewGrants(), kin: newKin(), spent: newSpent()}
	return &session{gw: gw, person: purpose.Person{Staff: "svc"}, who: sallyport.Who{Staff: "svc"}, described: map[string]*layout{}, written: map[string]written{}}
}
