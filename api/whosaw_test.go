package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/history"
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
		if s.Login != "" || s.Session == "x1" || s.Application != "desk" || !slices.Equal(s.Purposes, []string{names(t).Purpose("ticket:4711")}) {
			t.Errorf("%+v", s)
		}
	}
	e, n := email.String(), name.String()
	p := func(who sallyport.Staff) sallyport.Staff { return sallyport.Staff(names(t).Person(who)) }
	if diff := cmp.Diff([]row{
		{p("s003"), "SELECT", []string{e}, []string{e}, nil},
		{p("s001"), "SELECT", []string{e, n}, nil, nil},
		{p("s004"), "SELECT", []string{e}, []string{e}, []sallyport.Subject{"9"}},
		{p("s006"), "SELECT", []string{"a column that the entry does not name"}, nil, nil},
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

// TestUnmask: a name is shown to the two who agreed on it, to nobody else, and not for ever. Not even what was proposed tells it before.
func TestUnmask(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	head := sallyport.Who{Staff: "s051", Login: "s051_db", Session: "x1", Application: "psql of s051", Address: "10.4.0.17:5432"}
	for _, e := range []*sallyport.Event{
		{Time: r.clock.Now(), Kind: sallyport.RevealKind, Who: head, Reveal: &sallyport.Revealed{
			Statement: 1, Columns: []sallyport.Column{email}, Values: sallyport.ValuesOf(sallyport.RevealedValue{Subject: "7", Digest: sallyport.Digest{1}}),
			Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: "4711"}}, Grant: "g123",
		}},
	} {
		if _, err := r.access.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	said := func(who sallyport.Staff) string {
		t.Helper()
		saw, err := r.as(who).WhoSaw(ctx, "7")
		want(t, err, "")
		proposals, err := r.as(who).Proposals(ctx)
		want(t, err, "")
		text, err := json.Marshal([]any{saw, proposals})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	hidden := func(who sallyport.Staff) {
		t.Helper()
		for _, secret := range []string{"s051", "10.4.0.17", "4711", "g123", `"x1"`} {
			if text := said(who); strings.Contains(text, secret) {
				t.Errorf("%s reads %s: %s", who, secret, text)
			}
		}
	}
	hidden("s060")
	pseudonym := names(t).Person("s051")
	_, err := r.as("s001").Unmask(ctx, pseudonym, "x", 0)
	want(t, err, "not_your_role")
	for _, guess := range []string{"s051", "p-aaaaaaaaaaaa", "", "svc_billing"} {
		_, err := r.as("s060").Unmask(ctx, guess, "x", 0)
		want(t, err, "no_such_pseudonym")
	}
	_, err = r.as("s060").Unmask(ctx, pseudonym, " ", 0)
	want(t, err, "no_reason")
	_, err = r.as("s060").Unmask(ctx, pseudonym, "x", 1000*time.Hour)
	want(t, err, "bad_time")
	_, err = r.as("s051").Unmask(ctx, pseudonym, "x", 0) // about himself
	want(t, err, "not_yours_to_propose")

	id, err := r.as("s060").Unmask(ctx, pseudonym, "nine were called", 0)
	want(t, err, "")
	hidden("s060")
	hidden("s050")
	_, err = r.as("s060").Approve(ctx, id)
	want(t, err, "not_yours_to_decide")
	_, err = r.as("s051").Approve(ctx, id) // its subject
	want(t, err, "not_yours_to_decide")
	p, err := r.as("s050").Approve(ctx, id)
	want(t, err, "")
	if p.About != "s051" {
		t.Errorf("who approved is told of %s", p.About)
	}
	for _, who := range []sallyport.Staff{"s060", "s050"} {
		list, err := r.as(who).WhoSaw(ctx, "7")
		want(t, err, "")
		if s := list[0]; s.Staff != "s051" || s.Login != "s051_db" || s.Session != "x1" || s.Grant != "g123" || !slices.Equal(s.Purposes, []string{"ticket:4711"}) {
			t.Errorf("%s reads %+v", who, s)
		}
		names, err := r.as(who).Unmasked(ctx)
		want(t, err, "")
		if len(names) != 1 || names[0].Staff != "s051" || names[0].Person != pseudonym {
			t.Errorf("%s may see %+v", who, names)
		}
	}
	if text := said("s051"); !strings.Contains(text, pseudonym) || strings.Contains(text, "s051_db") {
		t.Errorf("another one reads %s", text)
	}
	r.clock.add(DefaultUnmask)
	hidden("s060")
	hidden("s050")
	if got := strings.Join(r.orders(), "\n"); !strings.Contains(got, "propose unmask s060→s051") || !strings.Contains(got, "approve unmask s050→s051") {
		t.Errorf("the record says: %s", got)
	}
}

// TestHistoryQueries: who may ask, what stands in the record of it, and what is said where there is no history.
func TestHistoryQueries(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	_, err := r.as("s001").HistoryQuery(ctx, "SELECT 1")
	want(t, err, "not_your_role")
	_, err = r.as("s060").HistoryQuery(ctx, " ")
	want(t, err, "no_question")
	_, err = r.as("s060").HistoryQuery(ctx, "SELECT 1")
	want(t, err, "no_history")
	want(t, r.as("s060").HistoryRebuild(ctx, "x"), "no_history")

	rebuilt := 0
	r = start(t, func(c *Config) {
		c.History = &History{Rebuild: func() { rebuilt++ }, Lend: func() (history.Store, func()) { return nil, func() {} }}
	})
	_, err = r.as("s060").HistoryQuery(ctx, "SELECT * FROM reveals WHERE customer = 'anna.schmidt@example.org'")
	want(t, err, "not_ready")
	want(t, r.as("s060").HistoryRebuild(ctx, "erased"), "")
	if rebuilt != 1 {
		t.Errorf("made again %d times", rebuilt)
	}
	if got := strings.Join(r.orders(), "\n"); got != "queried history_query s060→\nhistory_rebuild history_rebuild s060→" {
		t.Errorf("the record says: %s", got)
	}
	err = r.control.Read(1, func(e *sallyport.Event) error {
		if strings.Contains(e.Note, "anna") {
			t.Errorf("the record holds a value: %s", e.Note)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWithoutLiterals(t *testing.T) {
	p := names(t).Person("s001")
	for sql, want := range map[string]string{
		"SELECT * FROM reveals":                                    "SELECT * FROM reveals",
		"SELECT 1 FROM reveals WHERE customer = '48211'":           "SELECT 1 FROM reveals WHERE customer = '48211'",
		"SELECT 1 WHERE x = 'anna@example.org' AND y = 'O''Neill'": "SELECT 1 WHERE x = ? AND y = ??",
		"SELECT 1 WHERE x = '" + p + "'":                           "SELECT 1 WHERE x = '" + p + "'",
		"SELECT 1 WHERE x = 491701234567 AND y = 48211":            "SELECT 1 WHERE x = ? AND y = 48211",
		"SELECT 1 -- anna\n, 2 /* anna */, 3":                      "SELECT 1 , 2 , 3",
		"SELECT $$anna$$, $x$anna$x$, 5":                           "SELECT ?, ?",
		`SELECT "column", "anna@example.org"`:                      `SELECT "column", ?`,
		"SELECT 'anna":                                             "SELECT ?",
		"SELECT E'a\\'b', 1":                                       "SELECT E?b?",
		"SELECT '49170 1234567'":                                   "SELECT ?",
	} {
		if got := WithoutLiterals(sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if got := WithoutLiterals(strings.Repeat("SELECT ", 10_000)); len(got) > longestTemplate+10 {
		t.Errorf("%d bytes", len(got))
	}
}
