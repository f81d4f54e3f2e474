package sources

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

const testRecord = "0123456789abcdef0123456789abcdef"

var (
	email = sallyport.Column{Schema: "support", Table: "customers", Name: "email"}
	phone = sallyport.Column{Schema: "support", Table: "customers", Name: "phone"}
)

func at(second int) time.Time { return time.Date(2026, 3, 1, 9, 0, second, 0, time.UTC) }

func who(session string) sallyport.Who {
	return sallyport.Who{Staff: "s017", Login: "anna", Session: session, Application: "desk", Address: "10.4.0.17:51234", Database: "support", Device: "lap-017"}
}

func statement(session string, id uint64, second int) *sallyport.Event {
	return &sallyport.Event{Time: at(second), Kind: sallyport.StatementKind, Who: who(session), Statement: &sallyport.Statement{
		ID: id, Fingerprint: "f3ab", Verb: "SELECT", Columns: []sallyport.Column{email, phone}, Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: "4711"}},
	}}
}

func reveal(session string, id uint64, second int, subjects ...sallyport.Subject) *sallyport.Event {
	var values sallyport.Values
	for _, s := range subjects {
		values.Add(sallyport.RevealedValue{Subject: s, Digest: sallyport.Digest{1}})
		values.Add(sallyport.RevealedValue{Subject: s, Column: 1, Digest: sallyport.Digest{2}})
	}
	return &sallyport.Event{Time: at(second), Kind: sallyport.RevealKind, Who: who(session), Reveal: &sallyport.Revealed{
		Statement: id, Columns: []sallyport.Column{email, phone}, Values: values, Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: "4711"}},
	}}
}

func touch(session string, id uint64, second int, t sallyport.Touched) *sallyport.Event {
	t.Statement = id
	return &sallyport.Event{Time: at(second), Kind: sallyport.TouchKind, Who: who(session), Touch: &t}
}

func result(session string, id uint64, second int) *sallyport.Event {
	return &sallyport.Event{Time: at(second), Kind: sallyport.ResultKind, Who: sallyport.Who{Staff: "s017", Session: session}, Statement: &sallyport.Statement{ID: id}, Result: &sallyport.Result{
		Rows: 3, Bytes: 420, Revealed: 6, Trust: 88, Rulings: []sallyport.Ruled{{Column: phone, Verdict: "mask", Policy: "desk-2"}, {Column: email, Verdict: "reveal", Policy: "desk-1"}},
	}}
}

// TestFoldFetchedInParts: rows that are fetched in parts have a result each; every part of it still says which statement it is.
func TestFoldFetchedInParts(t *testing.T) {
	got := folded(t, false, statement("x9", 1, 0), reveal("x9", 1, 0, "1"), result("x9", 1, 0), reveal("x9", 1, 1, "2"), result("x9", 1, 1))
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	for i, a := range got {
		if a.Shape != "f3ab" || a.Verb != "SELECT" || a.Rows != 3 || a.Bytes != 420 || a.Policy != "desk-1" || a.Trust != 88 || a.Verdict != "reveal" || a.Activity != sallyport.RevealActivity ||
			len(a.Subjects) != 1 || string(a.Subjects[0]) != fmt.Sprint(i+1) || a.Statement != 1 || a.Application != "desk" {
			t.Errorf("%d: %+v", i, a)
		}
	}
}

// folded runs events through a Fold, with sequences from 1.
func folded(t *testing.T, end bool, events ...*sallyport.Event) (list []sallyport.Access) {
	t.Helper()
	f := Fold{Parts: Parts{Record: testRecord}, Emit: func(a *sallyport.Access) error {
		list = append(list, *a)
		return nil
	}}
	for i, e := range events {
		e.Seq = uint64(i + 1)
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if end {
		if err := f.End(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestFold: a statement, what it touched and what it revealed are one access.
func TestFold(t *testing.T) {
	got := folded(t, true,
		touch("x9", 1, 0, sallyport.Touched{Probes: []sallyport.Digest{{7}}}), // a literal was tokenised before the statement was recorded
		statement("x9", 1, 0),
		reveal("x9", 1, 1, "48211", "48212"),
		reveal("x9", 1, 2, "48212", "48213"),
		touch("x9", 1, 2, sallyport.Touched{Reached: []sallyport.Subject{"5"}, Values: []sallyport.Digest{{9}}}),
	)
	want := []sallyport.Access{{
		UID: "0123456789abcdef-1", Time: at(0), Arrived: 5, Activity: sallyport.RevealActivity, Staff: "s017", Session: "x9", Application: "desk",
		Address: "10.4.0.17", Device: "lap-017", Shape: "f3ab", Database: "support", Table: "customers", Columns: []string{"email", "phone"},
		Subjects: []sallyport.Subject{"48211", "48212", "48213"}, Purpose: sallyport.Purpose{Kind: "ticket", Ref: "4711"}, Verdict: "reveal",
		Statement: 1, Verb: "SELECT", Reached: []sallyport.Subject{"5"}, Reach: 2, Probes: 1,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestFoldEnds: what closes a statement, and when it is handed out.
func TestFoldEnds(t *testing.T) {
	end := &sallyport.Event{Time: at(3), Kind: sallyport.SessionEnd, Who: who("x9"), Counters: &sallyport.Counters{Rows: 3}}
	crash := &sallyport.Event{Time: at(3), Kind: sallyport.GatewayStarted}
	late := &sallyport.Event{Time: at(30), Kind: sallyport.FactKind, Who: who("other")}
	refused := statement("x9", 2, 1)
	refused.Kind, refused.Statement.Refused, refused.Statement.Columns = sallyport.RefusedKind, "42501", nil
	for _, c := range []struct {
		name   string
		events []*sallyport.Event
		ids    string
	}{
		{"its session goes on", []*sallyport.Event{statement("x9", 1, 0), statement("x9", 2, 1)}, ""},
		{"the next one yields something", []*sallyport.Event{statement("x9", 1, 0), statement("x9", 2, 1), reveal("x9", 2, 1, "1")}, "1"},
		{"another session yields something", []*sallyport.Event{statement("x9", 1, 0), statement("y1", 2, 1), reveal("y1", 2, 1, "1")}, ""},
		{"its result is there", []*sallyport.Event{statement("x9", 1, 0), statement("x9", 2, 1), result("x9", 1, 1)}, "1"},
		{"its session ends", []*sallyport.Event{statement("x9", 1, 0), statement("y1", 1, 0), end}, "1"},
		{"its gateway was killed", []*sallyport.Event{statement("x9", 1, 0), statement("y1", 1, 0), crash}, "1 1"},
		{"time passes", []*sallyport.Event{statement("x9", 1, 0), late}, "1"},
		{"it was refused", []*sallyport.Event{statement("x9", 1, 0), refused}, "2"},
	} {
		ids := ""
		for _, a := range folded(t, false, c.events...) {
			if ids != "" {
				ids += " "
			}
			ids += fmt.Sprint(a.Statement)
		}
		if ids != c.ids {
			t.Errorf("%s: statements %q are handed out, expected %q", c.name, ids, c.ids)
		}
	}
}

// TestFoldLosesNothing: whatever order entries of many sessions have, each customer of each statement is handed out once for each time that
// it was read apart, and memory stays bounded.
func TestFoldLosesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test repeats
	var events []*sallyport.Event
	want := map[string]bool{}
	next := map[string]uint64{}
	for n := range 20_000 {
		session := fmt.Sprintf("x%d", rng.IntN(6000))
		second := n / 40
		switch rng.IntN(4) {
		case 0:
			next[session]++
			events = append(events, statement(session, next[session], second))
		case 1:
			if rng.IntN(50) == 0 {
				events = append(events, &sallyport.Event{Time: at(second), Kind: sallyport.SessionEnd, Who: who(session)})
			}
		default:
			if next[session] == 0 {
				continue
			}
			id := next[session] - uint64(rng.IntN(2))*(next[session]-1)
			subject := sallyport.Subject(fmt.Sprint(rng.IntN(50)))
			events = append(events, reveal(session, id, second, subject))
			want[fmt.Sprint(session, "/", id, "/", subject)] = true
		}
	}
	got := map[string]bool{}
	most := 0
	f := Fold{Parts: Parts{Record: testRecord}}
	uids := map[string]bool{}
	f.Emit = func(a *sallyport.Access) error {
		if uids[a.UID] {
			t.Fatalf("%s was handed out twice", a.UID)
		}
		uids[a.UID] = true
		for _, s := range a.Subjects {
			got[fmt.Sprint(a.Session, "/", a.Statement, "/", s)] = true
		}
		return nil
	}
	for i, e := range events {
		e.Seq = uint64(i + 1)
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
		most = max(most, f.count)
	}
	if err := f.End(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if most > mostOpen+1 || f.count != 0 || len(f.open) != 0 {
		t.Errorf("%d statements were open at a time, %d are left, of %d sessions", most, f.count, len(f.open))
	}
}

// TestPartsOfALargeBatch: a batch of thousands of customers comes in parts, whose ids hang on its place alone.
func TestPartsOfALargeBatch(t *testing.T) {
	var subjects []sallyport.Subject
	for i := range 2*MostSubjects + 1 {
		subjects = append(subjects, sallyport.Subject(fmt.Sprint(i)))
	}
	e := reveal("x9", 1, 0, subjects...)
	e.Seq = 7
	p := Parts{Record: testRecord}
	list := p.Append(nil, e)
	var got []sallyport.Subject
	ids := ""
	for _, a := range list {
		got = append(got, a.Subjects...)
		ids += a.UID + " "
	}
	if ids != "0123456789abcdef-7 0123456789abcdef-7.1 0123456789abcdef-7.2 " {
		t.Errorf("ids %s", ids)
	}
	if diff := cmp.Diff(subjects, got); diff != "" {
		t.Error(diff)
	}
	if folds := folded(t, true, e); len(folds) != 1 || len(folds[0].Subjects) != len(subjects) {
		t.Errorf("the fold makes %d of it", len(folds))
	}
}

// TestObserved: while serve only observes, whoever was reached could be read.
func TestObserved(t *testing.T) {
	e := touch("x9", 1, 0, sallyport.Touched{Reached: []sallyport.Subject{"5"}})
	e.Kind = sallyport.ObservedKind
	got := folded(t, true, statement("x9", 1, 0), e)
	if len(got) != 1 || len(got[0].Subjects) != 1 || got[0].Verdict != "reveal" {
		t.Errorf("%+v", got)
	}
}

func BenchmarkFold(b *testing.B) {
	events := []*sallyport.Event{statement("x9", 1, 0), reveal("x9", 1, 0, "48211", "48212"), statement("x9", 2, 0), reveal("x9", 2, 0, "48213")}
	f := Fold{Parts: Parts{Record: testRecord}}
	b.ReportAllocs()
	defer cpu(b)()
	for i := range b.N {
		e := events[i%len(events)]
		e.Seq = uint64(i + 1)
		if e.Statement != nil {
			e.Statement.ID = uint64(i/2 + 1)
		} else {
			e.Reveal.Statement = uint64(i/2 + 1)
		}
		if err := f.Event(e); err != nil {
			b.Fatal(err)
		}
	}
}
