package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/cases"
	"sallyport/program"
	"sallyport/program/training"
)

var t0 = time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)

func figure(t *testing.T, p *Page, id string) Figure {
	t.Helper()
	i := slices.IndexFunc(p.Figures, func(f Figure) bool { return f.ID == id })
	if i < 0 {
		t.Fatalf("no figure %s", id)
	}
	return p.Figures[i]
}

// TestNothingIsInvented: of an empty record every figure is not measured and says why, on the page, too.
func TestNothingIsInvented(t *testing.T) {
	p := NewBook(0.00003).Page(t0, t0.AddDate(0, 0, 10))
	for _, f := range p.Figures {
		if f.Value != nil || f.Says == "" || len(f.Past) != 12 {
			t.Errorf("%+v", f)
		}
	}
	if got := p.Asks(); !slices.Equal(got, []string{"How long it takes to notice a theft has not been known for three months: in this one no drill was played."}) {
		t.Errorf("of an empty record is to be asked about: %q", got)
	}
	var html bytes.Buffer
	if err := p.WriteHTML(&html); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(html.String(), "not measured</span>"); n != len(p.Figures) || strings.Contains(html.String(), "NaN") || p.Over || strings.Count(html.String(), "Not measured: ") != 2 {
		t.Errorf("%d of %d\n%s", n, len(p.Figures), html.String())
	}
}

// filled is a record of September and October.
func filled() *Book {
	b := NewBook(0.001)
	day := func(n int) time.Time { return t0.AddDate(0, 0, n) }
	look := func(at time.Time, who, customer string, unexplained int64) {
		b.Input(&sallyport.Input{Time: at, Access: &sallyport.Access{Staff: sallyport.Staff(who), Subjects: []sallyport.Subject{sallyport.Subject(customer)}, Verdict: "reveal"}}, 1, unexplained, 1)
	}
	for i := range 4 {
		b.Input(&sallyport.Input{Time: day(i), Ticket: &sallyport.TicketFact{ID: fmt.Sprint(i)}}, 0, 0, 0)
		b.Input(&sallyport.Input{Time: day(i), Ticket: &sallyport.TicketFact{ID: fmt.Sprint(i)}}, 0, 0, 0) // of the same ticket again
	}
	look(day(1), "s1", "a", 0)
	look(day(2), "s1", "a", 0)
	look(day(3), "s2", "a", 0)
	look(day(4), "s2", "b", 1)
	look(day(35), "s2", "b", 0)
	order := func(at time.Time, kind sallyport.EventKind, o *sallyport.Order) {
		b.Control(&sallyport.Event{Time: at, Kind: kind, Order: o})
	}
	step := func(at time.Time, s *sallyport.CaseStep) {
		order(at, sallyport.CaseKind, &sallyport.Order{By: "o1", Case: s})
	}
	order(day(0), sallyport.TrainingKind, &sallyport.Order{Training: &sallyport.TrainingStep{Do: training.Imported, Rows: []sallyport.TrainingFact{
		{Staff: "s1", Kind: training.Course, Name: "x", Due: day(10)},
		{Staff: "s2", Kind: training.Course, Name: "x", Due: day(60)},
		{Staff: "s1", Kind: training.Phishing, Name: "p", Time: day(5), Result: training.Clicked},
		{Staff: "s2", Kind: training.Phishing, Name: "p", Time: day(5), Result: training.Reported},
	}}})
	order(day(1), sallyport.FindingKind, &sallyport.Order{ID: "s1-1", Finding: []byte(`{"since":"2026-08-29T08:00:00Z"}`)})
	order(day(1), sallyport.FindingKind, &sallyport.Order{ID: "drill-s9-1"})
	order(day(1), sallyport.FindingKind, &sallyport.Order{ID: "separation-1", Finding: []byte(`{"kind":"separation","since":"2026-08-29T08:00:00Z"}`)})
	order(day(2), sallyport.FindingKind, &sallyport.Order{ID: "s1-1"}) // it grows
	order(day(2), sallyport.FindingKind, &sallyport.Order{ID: "s2-1", Finding: []byte(`{"since":"2026-09-02T08:00:00Z"}`)})
	order(day(3), sallyport.FindingKind, &sallyport.Order{ID: "s3-1"})
	for n, c := range []struct{ finding, outcome string }{{"s1-1", cases.Confirmed}, {"s2-1", cases.Unfounded}} {
		number := uint64(n + 1)
		open := &sallyport.CaseStep{Case: number, Do: cases.DoOpen, Text: "x", Source: cases.FromFinding, Finding: c.finding, People: []sallyport.Staff{"s1"}}
		order(day(4), sallyport.CaseKind, &sallyport.Order{Case: open})
		step(day(6), &sallyport.CaseStep{Case: number, Do: cases.DoState, State: cases.Contained, Text: "x"})
		end := &sallyport.CaseStep{Case: number, Do: cases.DoClose, Outcome: c.outcome, Text: "x"}
		if c.outcome == cases.Confirmed {
			end.People = []sallyport.Staff{"s1"}
		}
		id := fmt.Sprint("p", number)
		order(day(8), sallyport.Proposed, &sallyport.Order{ID: id, Action: cases.ProposalOf, By: "o1", Case: end})
		order(day(8), sallyport.Approved, &sallyport.Order{ID: id, By: "o2"})
	}
	for i, seconds := range []string{"5", "7", "20"} {
		order(day(9+i), sallyport.DrillKind, &sallyport.Order{Drill: &sallyport.DrillRun{Name: "snoop"}})
		order(day(9+i).Add(time.Minute), sallyport.DrillKind, &sallyport.Order{Drill: &sallyport.DrillRun{Name: "snoop", Ended: true}, Drilled: []byte(`{"drill":"snoop","score":90,"seconds_to_detect":` + seconds + `}`)})
	}
	review := func(at time.Time, do string, who sallyport.Staff) {
		order(at, sallyport.ProgramKind, &sallyport.Order{By: "o1", Program: &sallyport.ProgramStep{Do: do, Name: "r", Staff: who, Until: day(20), Keeps: true}})
	}
	review(day(10), program.ReviewOpened, "s1")
	review(day(10), program.ReviewOpened, "s2")
	review(day(12), program.ReviewDecided, "s1")
	order(day(14), sallyport.GlassBroken, &sallyport.Order{ID: "g1"})
	order(day(31), sallyport.GlassReviewed, &sallyport.Order{ID: "g1"})
	order(day(40), sallyport.TrainingKind, &sallyport.Order{Training: &sallyport.TrainingStep{Do: training.Imported, Rows: []sallyport.TrainingFact{{Staff: "s1", Kind: training.Course, Name: "x", Done: day(40)}}}})
	return b
}

// TestFigures: each figure is what the record says by hand, in its own month; what came later changes no month that is over, and the page is the same each time.
func TestFigures(t *testing.T) {
	september, october := filled().Page(t0, t0.AddDate(0, 0, 45)), filled().Page(t0.AddDate(0, 1, 0), t0.AddDate(0, 0, 45))
	for id, want := range map[string]float64{
		"exposure": 750, "unexplained": 25, "detect_drill": 7, "detect_case": 4, "contain_case": 2, "name_case": 4, "false_alarms": 1, "promise": 0.004,
		"reviews": 50, "glass": 100, "overdue": 50, "phishing": 50,
	} {
		if f := figure(t, september, id); f.Value == nil || *f.Value < want-1e-9 || *f.Value > want+1e-9 {
			t.Errorf("September, %s: %v, want %g (%s)", id, f.Value, want, f.Says)
		}
	}
	for _, id := range []string{"contain_drill", "name_drill", "lessons"} {
		if f := figure(t, september, id); f.Value != nil {
			t.Errorf("September, %s: %g", id, *f.Value)
		}
	}
	if f := figure(t, september, "false_alarms"); f.Says != "of 3 findings 1 were confirmed, 1 unfounded, 1 not judged" {
		t.Error(f.Says)
	}
	for _, id := range []string{"exposure", "detect_drill", "detect_case", "reviews", "glass", "phishing"} { // without a ticket, a drill …
		if f := figure(t, october, id); f.Value != nil || f.Past[10].Value == nil && id != "contain_drill" {
			t.Errorf("October, %s: %+v", id, f)
		}
	}
	if f := figure(t, october, "overdue"); f.Value == nil || *f.Value != 0 || *f.Past[10].Value != 50 {
		t.Errorf("overdue: %+v", f)
	}
	want := []string{"More people were suspected wrongly than promised: 1, of 0.004.", "Managers let dates of reviews pass: 50 % were decided.", "50 % of the people are behind with training. Who has them learn?"}
	if got := september.Asks(); !slices.Equal(got, want) {
		t.Errorf("to ask about in September: %q", got)
	}
	october.Drift = &Drift{Documents: 1, Contradicted: 2, Unwritten: 1, Broken: 2}
	if got := october.Asks(); len(got) != 2 || !strings.HasSuffix(got[0], "contradicts: 2.") || !strings.HasSuffix(got[1], "do not name each other: 3.") {
		t.Errorf("to ask about in October: %q", got)
	}
	october.Drift = nil
	if f := figure(t, october, "reviews"); f.Before() != "50 %" || f.Text() != "not measured" {
		t.Errorf("October, reviews: %s, before %s", f.Text(), f.Before())
	}
	if !september.Over || october.Over || len(september.Drills) != 3 {
		t.Errorf("%+v", september)
	}
	var pages [2][2]bytes.Buffer
	for i := range pages {
		p := filled().Page(t0, t0.AddDate(0, 0, 45))
		if err := p.WriteHTML(&pages[i][0]); err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&pages[i][1]).Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	if pages[0][0].String() != pages[1][0].String() || pages[0][1].String() != pages[1][1].String() {
		t.Error("two pages of the same record differ")
	}
	for _, who := range []string{"s1", "s2", "o1"} {
		if strings.Contains(pages[0][0].String(), ">"+who+"<") || strings.Contains(pages[0][1].String(), `"`+who+`"`) {
			t.Errorf("the page names %s", who)
		}
	}
}
