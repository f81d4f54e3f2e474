package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/purpose"
	"sallyport/record"
)

func sealedToken(t *testing.T) string {
	t.Helper()
	var nonce [12]byte
	if _, err := io.ReadFull(rand.Reader, nonce[:]); err != nil {
		t.Fatal(err)
	}
	return "tk1:a" + base64.RawURLEncoding.EncodeToString(append([]byte{0x11}, append(nonce[:], make([]byte, 17)...)...))
}

func coverOf(subject sallyport.Subject, tokens ...string) *purpose.Cover {
	c := &purpose.Cover{Values: map[string]purpose.Value{}}
	for _, tok := range tokens {
		c.Values[tok] = purpose.Value{Column: sallyport.Column{Schema: "s", Table: "customers", Name: "notes"}, Scheme: sallyport.Text, Subject: subject}
	}
	return c
}

// TestTies ties ten thousand tokens, finds strays among them, and does so again from the record alone.
func TestTies(t *testing.T) {
	clock := func() time.Time { return time.Unix(1, 0) }
	stream, err := record.Open(filepath.Join(t.TempDir(), "access"), record.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	now := func() *catalog.Snapshot { return &catalog.Snapshot{} }
	table := catalog.Table{Schema: "s", Name: "customers"}
	ties := NewTies(table, stream, clock, slog.New(slog.DiscardHandler), now)
	who := purpose.Person{Staff: "s001"}
	var tokens []string
	for i := range 2000 {
		var own []string
		for range 5 {
			own = append(own, sealedToken(t))
		}
		tokens = append(tokens, own...)
		if err := ties.Vet(who, coverOf(sallyport.Subject(fmt.Sprint(i)), own...)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, ties *Ties) {
		for i, tok := range tokens {
			own, other := customerOf(sallyport.Subject(fmt.Sprint(i/5))), customerOf(sallyport.Subject(fmt.Sprint(i/5+1)))
			p := &catalog.Protected{Column: sallyport.Column{Schema: "s", Table: "customers", Name: "notes"}, Scheme: sallyport.Text}
			if ties.Stray(p, []byte(tok), &own) || !ties.Stray(p, []byte(tok), &other) {
				t.Fatalf("%s: token %d is not its customer's alone", when, i)
			}
		}
		c := coverOf("77", tokens[0], tokens[77*5], sealedToken(t))
		if err := ties.Vet(who, c); err != nil || len(c.Values) != 2 {
			t.Errorf("%s: %d of 3 values are left, %v", when, len(c.Values), err)
		}
		elsewhere := coverOf("77", tokens[0])
		v := elsewhere.Values[tokens[0]]
		v.Column.Table = "tickets"
		elsewhere.Values[tokens[0]] = v
		if err := ties.Vet(who, elsewhere); err != nil || len(elsewhere.Values) != 1 {
			t.Errorf("%s: a ticket's text is tied", when)
		}
	}
	check("live", ties)
	again := NewTies(table, stream, clock, slog.New(slog.DiscardHandler), now)
	if err := stream.Sync(); err != nil {
		t.Fatal(err)
	}
	strays := 0
	if err := stream.Read(1, func(e *sallyport.Event) error {
		again.Restore(e)
		if e.Kind == sallyport.StrayKind {
			strays += len(e.Ties)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if strays != 1 {
		t.Errorf("%d strays are on record, want one", strays)
	}
	check("from the record", again)
}
