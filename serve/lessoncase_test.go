package serve

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
	"sallyport/detect"
	"sallyport/program/training"
)

// TestNegligenceIsLearntFrom: of two people whom findings call negligent, the one whose case two people closed as confirmed is given a lesson, and he of the
// unfounded case none; neither is before that, since a lesson must tell nobody that he is looked into.
func TestNegligenceIsLearntFrom(t *testing.T) {
	t.Parallel()
	f := newFort(t, "training: {lessons: true}\n")
	o1, o2 := f.officer("o1"), f.officer("o2")
	given := func(who sallyport.Staff) bool {
		return f.server.teaching.book.Given(who, training.WrongPlace, time.Time{})
	}
	ends := func(who sallyport.Staff, outcome string) {
		t.Helper()
		id, now := string(who)+"-1", time.Now()
		text, err := json.Marshal(detect.Finding{Time: now, ID: id, Kind: "sink", Staff: []sallyport.Staff{who}, Type: detect.Negligent, Since: now})
		fatal(t, err)
		fatal(t, f.server.orders.Give(nil, &sallyport.Event{Time: now, Kind: sallyport.FindingKind, Order: &sallyport.Order{Action: "find", ID: id, About: who, Finding: text}}))
		pseudonym := f.server.Names.Person(who)
		n := uint64(0) // serve opens a case of each finding by itself
		within(t, 30*time.Second, "the finding has a case", func() bool {
			list, err := o1.Cases(t.Context())
			fatal(t, err)
			for _, c := range list {
				if slices.Contains(c.Findings, api.Pseudonymous(id, who, pseudonym)) {
					n = c.Number
				}
			}
			return n > 0
		})
		if given(who) {
			t.Errorf("%s is told by a lesson that he is looked into", who)
		}
		q := api.CaseRequest{Outcome: outcome, Text: "looked into"}
		if outcome == cases.Confirmed {
			q.People = []string{pseudonym}
		}
		proposal, err := o1.StepCase(t.Context(), fmt.Sprint(n), cases.DoClose, q)
		fatal(t, err)
		_, err = o2.Approve(t.Context(), proposal)
		fatal(t, err)
	}
	careless, wrongly := f.org.Agents()[0].ID, f.org.Agents()[1].ID
	ends(wrongly, cases.Unfounded)
	ends(careless, cases.Confirmed)
	within(t, 30*time.Second, "who was careless is given the lesson", func() bool { return given(careless) })
	if given(wrongly) {
		t.Errorf("%s is given a lesson for what was unfounded", wrongly)
	}
}
