package training

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// TestLessons: each mistake has one lesson of a page, with one right answer, and there is no other lesson.
func TestLessons(t *testing.T) {
	list, err := Lessons()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, l := range list {
		ids = append(ids, l.ID)
		if n := len(strings.Fields(l.Text)); n < 60 || n > 250 {
			t.Errorf("%s has %d words; a page is 250", l.ID, n)
		}
		right := 0
		for i := range l.Choices {
			if l.Right(string(rune('a' + i))) {
				right++
			}
		}
		if right != 1 || l.Right("") || l.Right("z") || l.Right("ab") {
			t.Errorf("%s: %d right answers", l.ID, right)
		}
		if regexp.MustCompile(`tk1:|@\w+\.\w|[A-Z]{3}-\d`).MatchString(l.Text) {
			t.Errorf("%s has something in it that looks like a value", l.ID)
		}
	}
	want := []string{Around, BreakGlass, BulkCopy, NotAReason, NotYourTicket, OwnReason, Mail, Power, TooMany, WrongPlace}
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Errorf("%v, want %v", ids, want)
	}
	for _, bad := range []string{"", "# T\ntext", "# T\ntext\n## Question\nq?\n- [ ] a\n- [ ] b", "# T\ntext\n## Question\nq?\n- [x] a\n- [x] b", "# T\ntext\n## Question\nq?\n- [x] a"} {
		if _, err := parse("bad", bad); err == nil {
			t.Errorf("%q is taken for a lesson", bad)
		}
	}
}

func imported(at time.Time, rows ...sallyport.TrainingFact) *sallyport.Event {
	return &sallyport.Event{Time: at, Kind: sallyport.TrainingKind, Order: &sallyport.Order{Training: &sallyport.TrainingStep{Do: Imported, ID: "m1", Rows: rows}}}
}

// TestOverdue: a course is overdue from its due date until it is passed, a lesson from its own; what was done stays done until it is due again.
func TestOverdue(t *testing.T) {
	b := NewBook()
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	course := func(due, done int, result string) sallyport.TrainingFact {
		f := sallyport.TrainingFact{Staff: "s001", Kind: Course, Name: "privacy", Due: day(due), Result: result}
		if done > 0 {
			f.Done = day(done)
		}
		return f
	}
	want := func(what string, at int, days int64) {
		t.Helper()
		if got := b.Overdue("s001", day(at)); got != days {
			t.Errorf("%s: %d days overdue, want %d", what, got, days)
		}
	}
	want("nothing known", 5, 0)
	b.Apply(imported(day(0), course(10, 0, "")))
	want("before it is due", 9, 0)
	want("when it is due", 10, 0)
	want("the day after", 11, 2)
	b.Apply(imported(day(12), course(10, 12, Failed)))
	want("failed", 13, 4)
	b.Apply(imported(day(13), sallyport.TrainingFact{Staff: "s001", Kind: Course, Name: "privacy", Done: day(13), Result: Passed}))
	want("passed", 14, 0)
	b.Apply(imported(day(14), course(10, 0, "")))
	want("an old row again", 15, 0)
	b.Apply(imported(day(15), course(380, 0, "")))
	want("due again next year", 16, 0)
	want("and not done", 381, 2)
	lesson := &sallyport.TrainingStep{Do: Assigned, Staff: "s001", Lesson: Mail, From: day(20), Due: day(30)}
	b.Apply(&sallyport.Event{Time: day(16), Kind: sallyport.TrainingKind, Order: &sallyport.Order{Training: lesson}})
	if n := len(b.People(day(19))[0].Lessons); n != 0 {
		t.Error("he is told of a lesson before its time")
	}
	want("a lesson", 31, 2)
	read := &sallyport.TrainingStep{Do: Read, Staff: "s001", Lesson: Mail}
	b.Apply(&sallyport.Event{Time: day(31), Kind: sallyport.TrainingKind, Order: &sallyport.Order{Training: read}})
	want("read", 32, 0)
	if !b.Taken("m1") || b.Taken("m2") {
		t.Error("a message is not known again")
	}
	for what, f := range map[string]sallyport.TrainingFact{
		"nobody": {Kind: Course, Name: "x", Due: day(1)}, "no date": {Staff: "s1", Kind: Course, Name: "x"}, "a kind": {Staff: "s1", Kind: "exam", Name: "x", Due: day(1)},
		"a result": {Staff: "s1", Kind: Phishing, Name: "x", Time: day(1), Result: "fine"}, "no time": {Staff: "s1", Kind: Phishing, Name: "x", Result: Clicked},
		"lines": {Staff: "s1", Kind: Course, Name: "x\ny", Due: day(1)}, "a course clicked": {Staff: "s1", Kind: Course, Name: "x", Due: day(1), Result: Clicked},
	} {
		if Check(&f) == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// TestMisses: which entries come to which lesson, how many of them it takes, and what is no mistake.
func TestMisses(t *testing.T) {
	const mine, open, covers = sallyport.FactMine, sallyport.FactOpen, sallyport.FactCovers
	token, reveal := sallyport.Token.String(), sallyport.Reveal.String()
	statement := func(verb string, is sallyport.Facts) sallyport.Event {
		return sallyport.Event{Kind: sallyport.StatementKind, Statement: &sallyport.Statement{ID: 7, Verb: verb, Known: &sallyport.Known{Reasons: []sallyport.KnownReason{{Is: is}}}}}
	}
	result := func(rulings ...sallyport.Ruled) sallyport.Event {
		return sallyport.Event{Kind: sallyport.ResultKind, Statement: &sallyport.Statement{ID: 7}, Result: &sallyport.Result{Left: 1, Rulings: rulings}}
	}
	refused := func(code string) []sallyport.Event {
		return []sallyport.Event{{Kind: sallyport.RefusedKind, Statement: &sallyport.Statement{Refused: code}}}
	}
	by := sallyport.Ruled{Verdict: token, Purpose: 1}
	for _, c := range []struct {
		what   string
		events []sallyport.Event
		lesson string
		times  int
	}{
		{"not a purpose", refused("SP013"), NotAReason, 3},
		{"a power", refused("SP007"), Power, 3},
		{"what cannot be traced is nobody's mistake", refused("SP001"), "", 5},
		{"his own ticket", []sallyport.Event{statement("SELECT", covers|open|mine|sallyport.FactOpenedBySelf), result(by)}, OwnReason, 3},
		{"his own, of a customer who called", []sallyport.Event{statement("SELECT", covers|open|mine|sallyport.FactOpenedBySelf|sallyport.FactContacted), result(by)}, "", 5},
		{"a closed one", []sallyport.Event{statement("SELECT", covers|mine), result(by)}, NotYourTicket, 3},
		{"a colleague's", []sallyport.Event{statement("SELECT", covers|open), result(by)}, NotYourTicket, 3},
		{"a good one, by which a column stays a token", []sallyport.Event{statement("SELECT", covers|open|mine), result(by)}, "", 5},
		{"one of two shows something", []sallyport.Event{statement("SELECT", covers|mine), result(by, sallyport.Ruled{Verdict: reveal, Purpose: 1})}, "", 5},
		{"no reason at all: tokens are ordinary work", []sallyport.Event{statement("SELECT", 0), result(sallyport.Ruled{Verdict: token})}, "", 5},
		{"a copy", []sallyport.Event{statement("COPY", 0), result()}, BulkCopy, 3},
		{"his budget", []sallyport.Event{{Kind: sallyport.BudgetReached, Limit: &sallyport.Limit{Window: "hour"}}}, TooMany, 3},
		{"his team's budget", []sallyport.Event{{Kind: sallyport.BudgetReached, Limit: &sallyport.Limit{Window: "hour", Scope: "team"}}}, "", 5},
		{"a grant is used up", []sallyport.Event{{Kind: sallyport.BudgetReached, Limit: &sallyport.Limit{Window: "grant's time"}}}, "", 5},
		{"past the gateway", []sallyport.Event{{Kind: sallyport.AroundKind}}, Around, 1},
	} {
		w, got, times, at, seq := NewWatch(Rules{Skip: func(who sallyport.Staff) bool { return who == "svc" }}), "", 0, begin, uint64(0)
		for times < 5 && got == "" {
			times++
			at = at.Add(time.Hour)
			for _, again := range []time.Duration{0, time.Minute} { // what is tried again at once is one mistake
				for _, e := range c.events {
					seq++
					e.Seq, e.Time, e.Who = seq, at.Add(again), sallyport.Who{Staff: "s001", Session: "x"}
					if m := w.Access(&e); m != nil && got == "" {
						got = m.Lesson
						if m.Staff != "s001" || len(m.Causes) != c.times {
							t.Errorf("%s: %+v", c.what, m)
						}
					}
					e.Who.Staff, e.Who.Session = "svc", "y"
					if w.Access(&e) != nil {
						t.Errorf("%s: a program is given a lesson", c.what)
					}
				}
			}
		}
		if got != c.lesson || times != c.times {
			t.Errorf("%s: %q after %d, want %q after %d", c.what, got, times, c.lesson, c.times)
		}
	}
	w := NewWatch(Rules{})
	for i := range 10 { // one a fortnight
		if w.Access(&sallyport.Event{Time: begin.AddDate(0, 0, 16*i), Kind: sallyport.RefusedKind, Who: sallyport.Who{Staff: "s001"}, Statement: &sallyport.Statement{Refused: "SP013"}}) != nil {
			t.Error("refusals of long ago count")
		}
	}
	negligent := func(*sallyport.Event) []sallyport.Staff { return []sallyport.Staff{"s002"} }
	for what, e := range map[string]*sallyport.Event{
		WrongPlace: {Time: begin, Kind: sallyport.Approved, Order: &sallyport.Order{ID: "p1"}},
		BreakGlass: {Time: begin, Kind: sallyport.GlassReviewed, Order: &sallyport.Order{About: "s002", Details: "misused"}},
		Mail:       imported(begin, sallyport.TrainingFact{Staff: "s002", Kind: Phishing, Name: "q1", Time: begin, Result: Clicked}),
		"":         imported(begin, sallyport.TrainingFact{Staff: "s002", Kind: Phishing, Name: "q1", Time: begin, Result: Reported}),
	} {
		got := ""
		for _, m := range w.Control(e, negligent) {
			got = m.Lesson
			b := NewBook()
			step := b.Assign(m, 14, 28*24*time.Hour, 1)
			if !step.From.Equal(begin.AddDate(0, 0, 28)) || !step.Due.Equal(begin.AddDate(0, 0, 42)) || !step.Drawn {
				t.Errorf("who waits: %+v", step)
			}
			b.Apply(&sallyport.Event{Time: begin, Kind: sallyport.TrainingKind, Order: &sallyport.Order{Training: step}})
			if b.Assign(m, 14, 0, 0) != nil {
				t.Error("a lesson is given twice")
			}
			if later := *m; true {
				later.At = begin.AddDate(0, 0, 91)
				if step := b.Assign(&later, 14, 0, 0); step == nil || step.Drawn || !step.From.Equal(later.At) {
					t.Errorf("after 90 days: %+v", step)
				}
			}
		}
		if got != what {
			t.Errorf("%q, want %q", got, what)
		}
	}
}
