package program

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/policy"
)

var t0 = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

const written = `# Access
Applies to: agent, lead

2.7 Agents read no
dates of birth. (enforced by: own.no-birth-dates)

2.8 Nobody talks about customers in the canteen.

**2.9** Screens are locked. (seen to by: everybody)

3.1 Nothing on Sundays. (enforced by: own.no-sundays, own.gone)

Not a paragraph: 4.1 in the middle.
`

// TestDrift names each kind of drift once, and none where there is none.
func TestDrift(t *testing.T) {
	d, err := ReadDocument("access.md", []byte(written))
	if err != nil || len(d.Paragraphs) != 4 || d.Paragraphs[0].Text != "Agents read no dates of birth. (enforced by: own.no-birth-dates)" {
		t.Fatalf("%+v, %v", d, err)
	}
	book := NewBook()
	ack := func(who sallyport.Staff, digest []byte) {
		book.Apply(&sallyport.Event{Time: t0, Kind: sallyport.ProgramKind, Order: &sallyport.Order{By: who, Program: &sallyport.ProgramStep{Do: Acknowledged, Name: "access.md", Digest: digest}}})
	}
	ack("a1", d.Digest)
	ack("a2", []byte("another version"))
	staff := []Member{{"a1", "eu", "agent", false}, {"a2", "eu", "agent", false}, {"a3", "us", "agent", true}, {"d1", "db", "dba", false}}
	policies := []Enforcing{
		{ID: "own.no-birth-dates", Document: "access.md#2.7", Against: 3, People: 2},
		{ID: "own.no-sundays", Document: "access.md#3.2"},
		{ID: "own.more", Document: "access.md#2.7"},
		{ID: "own.quiet"},
	}
	got := FindDrift([]*Document{d}, policies, staff, book.Read)
	where := func(list []Place) (out []string) {
		for _, p := range list {
			out = append(out, p.Where)
		}
		return out
	}
	if w := where(got.Unenforced); !slices.Equal(w, []string{"access.md#2.8"}) {
		t.Errorf("unenforced: %v", w)
	}
	if w := where(got.Broken); !slices.Equal(w, []string{"access.md#3.1", "access.md#3.1", "access.md#2.7"}) {
		t.Errorf("broken: %v", got.Broken)
	}
	if w := where(got.Unwritten); !slices.Equal(w, []string{"own.no-sundays", "own.quiet"}) {
		t.Errorf("unwritten: %v", got.Unwritten)
	}
	if len(got.Contradicted) != 1 || got.Contradicted[0] != (Contrary{"access.md#2.7", "own.no-birth-dates", 3, 2}) {
		t.Errorf("contradicted: %+v", got.Contradicted)
	}
	if len(got.Unread) != 1 || !slices.Equal(got.Unread[0].Staff, []sallyport.Staff{"a2"}) || got.Documents[0].Readers != 2 || got.Documents[0].Have != 1 {
		t.Errorf("unread: %+v %+v", got.Unread, got.Documents)
	}
	if _, err := ReadDocument("x.md", []byte("2.1 One.\n\n2.1 Two.\n")); err == nil {
		t.Error("two paragraphs of one number")
	}
	if _, err := ReadDocument("x.md", []byte("# Nothing\n")); err == nil {
		t.Error("no paragraph")
	}
}

// TestPrivileges holds what is allowed to what was used.
func TestPrivileges(t *testing.T) {
	column := func(name string) sallyport.Column {
		return sallyport.Column{Schema: "s", Table: "t", Name: name}
	}
	u := NewUses(t0, t0.AddDate(0, 0, 90))
	reveal := func(at time.Time, who sallyport.Staff, of ...uint16) {
		var values []sallyport.RevealedValue
		for _, c := range of {
			values = append(values, sallyport.RevealedValue{Subject: "7", Column: c})
		}
		u.Access(&sallyport.Event{Time: at, Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: who}, Reveal: &sallyport.Revealed{
			Columns: []sallyport.Column{column("email"), column("phone"), column("name")}, Values: sallyport.ValuesOf(values...),
		}})
	}
	reveal(t0.Add(time.Hour), "a1", 0, 0, 2)
	reveal(t0.Add(2*time.Hour), "a1", 2)
	reveal(t0.Add(-time.Hour), "a2", 1)    // before
	reveal(t0.AddDate(0, 0, 90), "a2", 1)  // after
	reveal(t0.Add(3*time.Hour), "a2", 2)   // the phone stands in the entry, and did not leave
	reveal(t0.Add(4*time.Hour), "gone", 1) // he may not any more
	var allowed []Allowed
	for _, c := range []string{"s.t.email", "s.t.phone", "s.t.name", "s.t.birth"} {
		allowed = append(allowed, Allowed{"a1", "eu", "agent", c}, Allowed{"a2", "eu", "agent", c}, Allowed{"l1", "eu", "lead", c})
	}
	p := ComparePrivileges(allowed, u)
	if p.Allowed != 12 || p.Used != 3 || !slices.Equal(p.Nobody, []string{"s.t.birth", "s.t.phone"}) {
		t.Errorf("%d allowed, %d used, nobody %v", p.Allowed, p.Used, p.Nobody)
	}
	if len(p.Propose) != 2 || !slices.Equal(p.Propose[0].Columns, []string{"s.t.birth", "s.t.phone"}) || len(p.Propose[1].Columns) != 4 || p.Propose[0].People != 2 {
		t.Errorf("%+v", p.Propose)
	}
	if p.Removes != 8.0/12 {
		t.Errorf("removes %g", p.Removes)
	}
	if items := p.People[0].ReviewItems(); len(items) != 4 || items[1] != "s.t.name: used 2 times, last on 2026-11-01" || items[2] != "s.t.birth: not used" {
		t.Errorf("%q", items)
	}
	if text := p.Cedar("access-policy.md#4.4"); !strings.Contains(text, `@id("unused.eu.agent")`) || !strings.Contains(text, `[Column::"s.t.birth", Column::"s.t.phone"].contains(resource)`) {
		t.Error(text)
	}
}

// TestReviews: undecided access ends at the date; nobody decides about himself; what was decided stays so.
func TestReviews(t *testing.T) {
	book := NewBook()
	step := func(at time.Duration, by sallyport.Staff, p sallyport.ProgramStep) {
		p.Name = "autumn"
		book.Apply(&sallyport.Event{Time: t0.Add(at), Kind: sallyport.ProgramKind, Order: &sallyport.Order{By: by, Program: &p}})
	}
	for _, who := range []sallyport.Staff{"a1", "a2", "a3", "a4"} {
		step(0, "s1", sallyport.ProgramStep{Do: ReviewOpened, Staff: who, Until: t0.Add(time.Hour), Items: []string{"s.t.email: not used"}})
	}
	step(time.Minute, "l1", sallyport.ProgramStep{Do: ReviewDecided, Staff: "a1", Keeps: true})
	step(time.Minute, "l1", sallyport.ProgramStep{Do: ReviewDecided, Staff: "a2"})
	step(time.Minute, "a3", sallyport.ProgramStep{Do: ReviewDecided, Staff: "a3", Keeps: true})   // himself
	step(2*time.Hour, "l1", sallyport.ProgramStep{Do: ReviewDecided, Staff: "a4", Keeps: true})   // too late
	step(time.Minute*2, "l2", sallyport.ProgramStep{Do: ReviewDecided, Staff: "a2", Keeps: true}) // decided already
	want := map[sallyport.Staff][2]bool{"a1": {false, false}, "a2": {true, true}, "a3": {false, true}, "a4": {false, true}}
	for _, r := range book.Reviews() {
		if got := [2]bool{r.Ended(t0.Add(30 * time.Minute)), r.Ended(t0.Add(time.Hour))}; got != want[r.Staff] {
			t.Errorf("%s has ended before and at the date: %v, want %v", r.Staff, got, want[r.Staff])
		}
	}
}

// TestExample: the written policy that is shipped can be read.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("../examples/access-policy.md")
	if err != nil {
		t.Fatal(err)
	}
	d, err := ReadDocument("access-policy.md", text)
	if err != nil || len(d.Paragraphs) != 31 {
		t.Errorf("%d paragraphs, %v", len(d.Paragraphs), err)
	}
}

// TestExampleFitsThePolicies: the program's own policies and the written policy that is shipped name each other, all of them.
func TestExampleFitsThePolicies(t *testing.T) {
	text, err := os.ReadFile("../examples/access-policy.md")
	if err != nil {
		t.Fatal(err)
	}
	d, err := ReadDocument("access-policy.md", text)
	if err != nil {
		t.Fatal(err)
	}
	set, problems := policy.Load(policy.Defaults(false), &policy.World{Roles: policy.Roles()}, policy.Copiers{})
	if set == nil {
		t.Fatal(problems)
	}
	var policies []Enforcing
	for _, p := range set.All() {
		policies = append(policies, Enforcing{ID: p.Policy, Document: p.Document, Place: p.Place})
	}
	if drift := FindDrift([]*Document{d}, policies, nil, NewBook().Read); drift.Any() || drift.Enforced != 27 || len(policies) != 33 {
		t.Errorf("%d policies: %+v", len(policies), drift)
	}
}

// TestReviewsEndAccess: by themselves at the date; not those of before that was so, nor one that was opened shortly before it; the last word counts, and what
// has ended nobody gives back alone.
func TestReviewsEndAccess(t *testing.T) {
	const day = 24 * time.Hour
	book := NewBook()
	step := func(at time.Duration, by sallyport.Staff, p sallyport.ProgramStep) {
		book.Apply(&sallyport.Event{Time: t0.Add(at), Kind: sallyport.ProgramKind, Order: &sallyport.Order{By: by, Program: &p}})
	}
	open := func(at time.Duration, name string, who sallyport.Staff, until time.Duration, ends bool) {
		step(at, "s1", sallyport.ProgramStep{Do: ReviewOpened, Name: name, Staff: who, Until: t0.Add(until), Ends: ends})
	}
	decide := func(at time.Duration, by sallyport.Staff, name string, who sallyport.Staff, keeps bool) {
		step(at, by, sallyport.ProgramStep{Do: ReviewDecided, Name: name, Staff: who, Keeps: keeps})
	}
	for _, who := range []sallyport.Staff{"silent", "kept", "ended", "again", "alone"} {
		open(0, "autumn", who, 10*day, true)
	}
	open(0, "autumn", "before", 10*day, false) // by an older program
	open(0, "autumn", "rushed", day, true)
	decide(day, "l1", "autumn", "kept", true)
	decide(day, "l1", "autumn", "ended", false)
	for _, who := range []sallyport.Staff{"again", "alone"} {
		open(11*day, "spring", who, 20*day, true)
	}
	decide(12*day, "l1", "spring", "again", true)
	decide(12*day, "s1", "spring", "alone", true) // who opened it
	ended := func(who sallyport.Staff, at time.Duration) bool {
		_, yes := book.Ended(who, t0.Add(at))
		return yes
	}
	for who, want := range map[sallyport.Staff][3]bool{ // a moment before the date, at it, on the 13th day
		"silent": {false, true, true}, "kept": {}, "ended": {true, true, true}, "before": {}, "rushed": {}, "nobody": {}, "alone": {false, true, true},
	} {
		if got := [3]bool{ended(who, 10*day-1), ended(who, 10*day), ended(who, 13*day)}; got != want {
			t.Errorf("%s: ended %v, want %v", who, got, want)
		}
	}
	if ended("again", 13*day) {
		t.Error("a later review kept it, by two people's doing")
	}
	if due := book.Due(t0.Add(10 * day)); len(due) != 3 { // silent, again, alone
		t.Errorf("%d are to be put on record", len(due))
	}
	step(9*day, "", sallyport.ProgramStep{Do: ReviewLapsed, Name: "autumn", Staff: "silent"})    // too early
	step(10*day, "s1", sallyport.ProgramStep{Do: ReviewLapsed, Name: "autumn", Staff: "silent"}) // a person's word
	if ended("silent", 10*day-1) || len(book.Due(t0.Add(10*day))) != 3 {
		t.Error("it lapsed by a person's word, or before its date")
	}
	step(10*day, "", sallyport.ProgramStep{Do: ReviewLapsed, Name: "autumn", Staff: "silent"})
	if !ended("silent", 10*day-1) || len(book.Due(t0.Add(10*day))) != 2 {
		t.Error("a clock that is set back brings it back")
	}
}

// TestProlonging: two people, neither of them one of those whom it is about, within a day; then it is as if nobody had decided.
func TestProlonging(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		by, second sallyport.Staff
		after      time.Duration
		declined   bool
		goesOn     bool
	}{
		"two people": {"s1", "s2", time.Hour, false, true}, "alone": {"s1", "s1", time.Hour, false, false}, "by its subject": {"s1", "a1", time.Hour, false, false},
		"proposed by its subject": {"a1", "s2", time.Hour, false, false}, "too late": {"s1", "s2", day, false, false}, "declined": {"s1", "s2", time.Hour, true, false},
	} {
		book := NewBook()
		give := func(at time.Duration, kind sallyport.EventKind, o sallyport.Order) {
			book.Apply(&sallyport.Event{Time: t0.Add(at), Kind: kind, Order: &o})
		}
		for _, who := range []sallyport.Staff{"a1", "a2"} {
			give(0, sallyport.ProgramKind, sallyport.Order{By: "s1", Program: &sallyport.ProgramStep{Do: ReviewOpened, Name: "autumn", Staff: who, Until: t0.Add(8 * day), Ends: true}})
		}
		give(9*day, sallyport.Proposed, sallyport.Order{ID: "p", Action: ReviewProlongs, By: tt.by, Subjects: []sallyport.Staff{"a1"}, Program: &sallyport.ProgramStep{Name: "autumn", Until: t0.Add(20 * day)}})
		if tt.declined {
			give(9*day, sallyport.Declined, sallyport.Order{ID: "p", By: "s2"})
		}
		give(9*day+tt.after, sallyport.Approved, sallyport.Order{ID: "p", By: tt.second})
		_, ended := book.Ended("a1", t0.Add(11*day))
		_, later := book.Ended("a1", t0.Add(20*day))
		_, other := book.Ended("a2", t0.Add(11*day))
		if ended == tt.goesOn || !later || !other {
			t.Errorf("%s: ended %v, at the new date %v, who is not named %v", name, ended, later, other)
		}
	}
}
