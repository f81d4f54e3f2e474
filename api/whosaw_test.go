package api

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

var (
	email = sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	name  = sallyport.Column{Schema: "support", Table: "customers", Name: "full_name"}
)

func TestWhoSaw(t *testing.T) {
	r := start(t)
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	digest := func(b byte) sallyport.Digest { return sallyport.Digest{b} }
	add := func(who sallyport.Staff, session string, statement uint64, values ...sallyport.RevealedValue) {
		t.Helper()
		at = at.Add(time.Second)
		head := sallyport.Who{Staff: who, Login: string(who), Session: session, Application: "desk"}
		purposes := []sallyport.Purpose{{Kind: "ticket", Ref: "4711"}}
		for _, e := range []*sallyport.Event{
			{Time: at, Kind: sallyport.StatementKind, Who: head, Statement: &sallyport.Statement{ID: statement, Verb: "SELECT", Purposes: purposes}},
			{Time: at, Kind: sallyport.RevealKind, Who: head, Reveal: &sallyport.Revealed{
				Statement: statement, Columns: []sallyport.Column{email, name}, Values: sallyport.ValuesOf(values...), Purposes: purposes,
			}},
		} {
			if _, err := r.access.Append(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	value := func(subject sallyport.Subject, column uint16, d byte) sallyport.RevealedValue {
		return sallyport.RevealedValue{Subject: subject, Column: column, Digest: digest(d)}
	}
	add("s003", "x3", 1, value("", 0, 10))                       // before anybody knew whose it was: found by value
	add("s001", "x1", 1, value("7", 0, 10), value("7", 1, 20))   // him
	add("s001", "x1", 1, value("8", 0, 11))                      // the same statement's next batch, somebody else
	add("s002", "x2", 1, value("8", 0, 11), value("8", 1, 20))   // a namesake: no sighting
	add("s004", "x4", 9, value("9", 0, 10))                      // his address in another's row
	add("s005", "x5", 1, sallyport.RevealedValue{Subject: "10"}) // no digest
	add("s006", "x6", 1, sallyport.RevealedValue{Subject: "7", Column: 99})

	list, err := r.as("s060").WhoSaw(t.Context(), "7")
	want(t, err, "")
	type row struct {
		Who              sallyport.Staff
		Verb             string
		Columns, ByValue []string
		Under            []sallyport.Subject
	}
	var got []row
	for _, s := range list {
		got = append(got, row{s.Staff, s.Verb, s.Columns, s.ByValue, s.Under})
		if s.Staff == "s001" && (s.Session != "x1" || s.Application != "desk" || !slices.Equal(s.Purposes, []string{"ticket:4711"})) {
			t.Errorf("%+v", s)
		}
	}
	e, n := email.String(), name.String()
	if diff := cmp.Diff([]row{
		{"s003", "SELECT", []string{e}, []string{e}, nil},
		{"s001", "SELECT", []string{e, n}, nil, nil},
		{"s004", "SELECT", []string{e}, []string{e}, []sallyport.Subject{"9"}},
		{"s006", "SELECT", []string{"a column that the entry does not name"}, nil, nil},
	}, got); diff != "" {
		t.Error(diff)
	}

	list, err = r.as("s060").WhoSaw(t.Context(), "12345")
	want(t, err, "")
	if list == nil || len(list) != 0 {
		t.Errorf("%v; want an empty list, not null", list)
	}
	if got := strings.Join(r.orders(), "\n"); got != "queried who_saw s060→\nqueried who_saw s060→" {
		t.Errorf("questions in the record: %s", got)
	}
}
