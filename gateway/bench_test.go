package gateway

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/record"
	"sallyport/token"
	"sallyport/wire/pg"
)

// BenchmarkRow is what one row of six fields costs between the server and the client, without the network: passed on, left as a token and
// counted, revealed under a grant and recorded. Every row is another customer's.
func BenchmarkRow(b *testing.B) {
	email := sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	grant := policy.Grant{ID: "g", For: "svc", Columns: []string{email.String()}, Customers: 1 << 30, Until: time.Now().Add(time.Hour), ApprovedBy: []sallyport.Staff{"a", "b"}}
	for _, way := range []struct {
		name    string
		columns []columnKind
		grants  []policy.Grant
	}{
		{"passed", []columnKind{passing, passing, passing, passing, passing, passing}, nil},
		{"masked", []columnKind{passing, veiled, passing, passing, passing, passing}, nil},
		{"left", []columnKind{keyed, guarded, passing, passing, passing, passing}, nil},
		{"revealed", []columnKind{keyed, guarded, passing, passing, passing, passing}, []policy.Grant{grant}},
	} {
		b.Run(way.name, func(b *testing.B) {
			s := benchSession(b)
			codec, err := s.gw.Protection.Ring.Codec(token.Spec{Column: email, Scheme: sallyport.Email, Group: "email"})
			if err != nil {
				b.Fatal(err)
			}
			protected := &catalog.Protected{Column: email, Scheme: sallyport.Email}
			l := &layout{columns: make([]column, len(way.columns)), key: -1, visible: len(way.columns)}
			for i, kind := range way.columns {
				l.columns[i] = column{kind: kind, typ: typeText}
				switch kind {
				case guarded:
					l.columns[i].protected, l.columns[i].codec, l.columns[i].home, l.inspect = protected, codec, s.gw.kin.column(email), true
				case keyed:
					l.key, l.inspect = i, true
				case veiled:
					l.columns[i].text, l.columns[i].show, l.inspect, l.veils = true, catalog.ShowDomain, true, []int{i}
				case passing, formed:
				}
			}
			l.front = l.frontOf()
			r := &run{stmt: &query.Statement{Touches: true, Verb: "SELECT"}, sight: &sight{grants: way.grants, policies: defaultPolicies(b, email), asking: policy.Ask{Who: "svc", Service: true, Action: policy.ActionReveal, Context: policy.Context{Trust: 100}}}, layout: l}
			s.queue = []*reply{{what: expectRows, run: r}}
			rows := benchRows(b, codec)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if n%len(rows) == 0 { // other customers than before
					b.StopTimer()
					s.gw.Book, s.gw.granted, r.sight.decided = exposure.NewBook(), exposure.NewGrants(), nil
					s.openAccounts()
					b.StartTimer()
				}
				if err := s.row(b.Context(), r, rows[n%len(rows)]); err != nil {
					b.Fatal(err)
				}
				n++
				if n%512 == 0 { // as many as stand in a buffer
					s.accounts.asked = false
				}
				if len(s.out) >= batchSize {
					if err := s.record(); err != nil {
						b.Fatal(err)
					}
					s.out, s.clean = s.out[:0], 0
				}
			}
		})
	}
}

// benchRows are rows of other customers each.
func benchRows(b *testing.B, codec *token.Codec) [][]byte {
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
func benchSession(b *testing.B) *session {
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
		Access: access, Book: exposure.NewBook(), Clock: time.Now,
		Protection: &Protection{Ring: ring, Budgets: func(purpose.Person) exposure.Budgets {
			return exposure.Budgets{Revealed: most, Reached: most, Probed: most}
		}},
	}, identities: newIdentities(), granted: exposure.NewGrants(), kin: newKin()}
	return &session{gw: gw, person: purpose.Person{Staff: "svc"}, who: sallyport.Who{Staff: "svc"}, described: map[string]*layout{}, written: map[string]purpose.Value{}}
}
