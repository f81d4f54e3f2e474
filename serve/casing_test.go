package serve

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
)

// TestAFindingOpensACase: a case about whom a finding names, by pseudonym, with what evidence makes of him; not for him and his line; evidence
// held, until two let go; closed by two; the same after a restart.
func TestAFindingOpensACase(t *testing.T) {
	f, canary := trapped(t, "  mode: observe\n")
	who, _, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SELECT id, email FROM support.customers WHERE id = %d", canary))
	o1, o2 := f.officer("o1"), f.officer("o2")
	if err := f.server.casing.finding(&sallyport.Event{Seq: f.server.casing.book.From() - 1, Order: &sallyport.Order{Finding: []byte(`{"id":"old","staff":["s017"]}`)}}); err != nil || f.server.casing.book.Of("old") != 0 {
		t.Errorf("a finding of before cases were kept opens one: %v", err)
	}
	within(t, 30*time.Second, "a case is open and weighed", func() bool {
		x, ok := f.server.casing.book.Case(1)
		return ok && len(x.Weighed) > 0
	})
	x, err := o1.Case(t.Context(), "1")
	fatal(t, err)
	pseudonym := f.server.Names.Person(who)
	if x.Source != cases.FromFinding || x.State != cases.Open || !slices.Equal(x.People, []string{pseudonym}) || x.By != "Sallyport" || strings.Contains(fmt.Sprintf("%+v", x), string(who)+"-1") {
		t.Errorf("%+v", x)
	}
	sum := 0.0
	for _, h := range x.Weighed[0].List {
		sum += h.Probability
	}
	if sum < 0.99 || sum > 1.01 {
		t.Errorf("the hypotheses come to %g", sum)
	}
	step := func(c *api.Client, do string, q api.CaseRequest) string {
		t.Helper()
		id, err := c.StepCase(t.Context(), "1", do, q)
		fatal(t, err)
		return id
	}
	step(o1, cases.DoState, api.CaseRequest{State: cases.Investigating, Text: "nobody has a reason to look there"})
	step(o1, cases.DoTask, api.CaseRequest{Text: "ask " + string(who) + "'s lead"})
	step(o2, cases.DoDone, api.CaseRequest{Task: 1})
	step(o2, cases.DoLink, api.CaseRequest{Link: &sallyport.CaseLink{Kind: "police", Ref: "AZ 4711"}})
	step(o2, cases.DoCustomers, api.CaseRequest{Customers: []sallyport.Subject{sallyport.Subject(fmt.Sprint(customer.ID))}, Text: "he had his ticket"})
	step(o2, cases.DoHold, api.CaseRequest{Text: "the prosecutor asks"})
	if _, err := o1.Shred(t.Context(), fmt.Sprint(customer.ID), "he asked for it"); err == nil || !strings.Contains(err.Error(), "ase 1 holds") {
		t.Errorf("evidence is shredded: %v", err)
	}
	end := api.CaseRequest{Outcome: cases.Confirmed, People: []string{pseudonym}, Text: "he admitted it"}
	id := step(o1, cases.DoClose, end)
	if _, err := o1.Approve(t.Context(), id); err == nil {
		t.Error("one person closed it")
	}
	list, err := f.officer("o3").Proposals(t.Context())
	fatal(t, err)
	if strings.Contains(fmt.Sprintf("%+v", list), string(who)) {
		t.Errorf("a proposal tells who it is about: %+v", list)
	}
	f.restart()
	o1, o2 = f.officer("o1"), f.officer("o2")
	_, err = o2.Approve(t.Context(), id)
	fatal(t, err)
	x, err = o2.Case(t.Context(), "1")
	fatal(t, err)
	if x.State != cases.Closed || x.Outcome != cases.Confirmed || !slices.Equal(x.Guilty, []string{pseudonym}) || !x.Hold || len(x.Tasks) != 1 || x.Tasks[0].Who != "o2" || strings.Contains(x.Tasks[0].Text, string(who)) {
		t.Errorf("%+v", x)
	}
	timeline, err := o2.CaseTimeline(t.Context(), "1") // who wrote a name himself reads it again
	fatal(t, err)
	text := fmt.Sprintf("%+v", timeline)
	for _, want := range []string{"finding " + pseudonym, "hold", "close case 1 confirmed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the timeline lacks %q: %s", want, text)
		}
	}
	if strings.Contains(text, string(who)) {
		t.Errorf("the timeline names him: %s", text)
	}
	bins, err := o1.Calibration(t.Context())
	fatal(t, err)
	people, guilty := 0, 0
	for _, b := range bins {
		people, guilty = people+b.People, guilty+b.Guilty
	}
	if people != 1 || guilty != 1 {
		t.Errorf("calibration: %+v", bins)
	}
}

// TestNoInvestigatorSeesHisOwnCase: an officer whom a case is about, and who stands in such a one's report line, learn as much as of no case at all.
func TestNoInvestigatorSeesHisOwnCase(t *testing.T) {
	f, _ := trapped(t, "  mode: observe\n")
	fatal(t, f.server.orders.StepCase(f.server.casing.book, &sallyport.CaseStep{Case: 1, Do: cases.DoOpen, Text: "o2 looks at too much", People: []sallyport.Staff{"o2"}}, "", time.Now()))
	agent := f.org.Agents()[0].ID
	fatal(t, f.server.orders.StepCase(f.server.casing.book, &sallyport.CaseStep{Case: 2, Do: cases.DoOpen, Text: "an agent", People: []sallyport.Staff{agent}}, "", time.Now()))
	// The officers are one team and name no manager, so that the team stands for the line: none of them sees a case about another.
	for _, who := range []sallyport.Staff{"o1", "o2", "o3"} {
		list, err := f.officer(who).Cases(t.Context())
		fatal(t, err)
		if len(list) != 1 || list[0].Number != 2 {
			t.Errorf("%s sees %+v", who, list)
		}
		for _, do := range []func() error{
			func() error { _, err := f.officer(who).Case(t.Context(), "1"); return err },
			func() error { _, err := f.officer(who).CaseTimeline(t.Context(), "1"); return err },
			func() error {
				_, err := f.officer(who).StepCase(t.Context(), "1", cases.DoNote, api.CaseRequest{Text: "nothing to see"})
				return err
			},
		} {
			if p, ok := errors.AsType[*api.Problem](do()); !ok || p.Code != "no_such_case" {
				t.Errorf("%s: %v", who, p)
			}
		}
	}
	if _, err := f.officer(agent).Cases(t.Context()); err == nil {
		t.Error("an agent lists cases")
	}
}
