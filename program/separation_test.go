package program

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
)

const eyes = `
queues:
  billing: {teams: [billing], sensitive: true}
  vip: {customers: ["7"], sensitive: true}
  desk: {teams: [desk]}
rules:
- {id: apart, rule: handles_not_approves}
- {id: weeks, rule: covers_at_most, weeks: 3}
- {id: queue-weeks, rule: covers_at_most, weeks: 3, queues: [vip]}
- {id: two, rule: at_least, people: 2, days: 14}
- {id: drawn, rule: drawn_approves, rotation: approvers}
`

// handles is an entry by which somebody works on a ticket of a team.
func handles(seq uint64, at time.Time, who sallyport.Staff, team string) *sallyport.Event {
	return &sallyport.Event{Seq: seq, Time: at, Kind: sallyport.StatementKind, Who: sallyport.Who{Staff: who}, Statement: &sallyport.Statement{
		Known: &sallyport.Known{Reasons: []sallyport.KnownReason{{Is: sallyport.FactCovers, Team: team}}},
	}}
}

// shows is an entry by which somebody is shown a customer.
func shows(seq uint64, at time.Time, who sallyport.Staff, kind string, customers ...sallyport.Subject) *sallyport.Event {
	var values []sallyport.RevealedValue
	for _, c := range customers {
		values = append(values, sallyport.RevealedValue{Subject: c})
	}
	e := &sallyport.Event{Seq: seq, Time: at, Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: who}, Reveal: &sallyport.Revealed{
		Columns: []sallyport.Column{{Schema: "s", Table: "t", Name: "email"}}, Values: sallyport.ValuesOf(values...),
	}}
	if kind != "" {
		e.Reveal.Purposes = []sallyport.Purpose{{Kind: kind, Ref: "1"}}
	}
	return e
}

// TestSeparation: each rule is found broken by whom it is about, with the entry, and not by its neighbours.
func TestSeparation(t *testing.T) {
	rules, err := ReadSeparation("rules.yaml", []byte(eyes))
	if err != nil {
		t.Fatal(err)
	}
	e := NewEyes(rules, func(who sallyport.Staff) bool { return who != "svc" })
	const day = 24 * time.Hour
	at := func(d int) time.Time { return t0.AddDate(0, 0, d) }
	e.Access(handles(1, at(0), "b1", "billing"))
	e.Access(handles(2, at(0), "b2", "billing"))
	e.Access(handles(3, at(0), "svc", "billing"))
	e.Access(handles(4, at(50), "b2", "billing"))
	refused := handles(5, at(50), "b1", "billing") // a reason that covered nobody is no work
	refused.Statement.Known.Reasons[0].Is = 0
	e.Access(refused)
	for week := range 5 {
		e.Access(shows(uint64(10+week), at(7*week), "c1", "ticket", "8"))
		e.Access(shows(uint64(20+week), at(7*week), "c2", "ticket", "7"))
		e.Access(shows(uint64(30+week), at(7*week), "svc", "ticket", "7")) // a program is no pair of eyes
	}
	for week := range 5 { // two look at the same customer in turns
		e.Access(shows(uint64(40+week), at(7*week), []sallyport.Staff{"d1", "d2"}[week%2], "ticket", "9"))
	}
	ask := func(id string, at time.Time, by sallyport.Staff, terms sallyport.GrantTerms, voters ...sallyport.Staff) {
		e.Control(&sallyport.Event{Time: at, Kind: sallyport.Requested, Order: &sallyport.Order{ID: id, By: by, Grant: &terms}})
		for i, v := range voters {
			e.Control(&sallyport.Event{Seq: uint64(100 + i), Time: at.Add(time.Hour), Kind: sallyport.Approved, Order: &sallyport.Order{ID: id, By: v, Vote: &sallyport.GrantVote{}}})
		}
	}
	e.Control(&sallyport.Event{Time: at(1), Kind: sallyport.ProgramKind, Order: &sallyport.Order{Program: &sallyport.ProgramStep{
		Do: RotationDraw, Name: "approvers", Text: `{"start":"2026-11-20","handover_until":"2026-11-22","posts":[{"post":"billing","who":["lead1"],"before":["lead2"]}]}`,
	}}})
	ask("g1", at(2), "b1", sallyport.GrantTerms{}, "b2", "lead1")                                                  // his colleague of the queue
	ask("g2", at(2), "x", sallyport.GrantTerms{Only: []sallyport.Subject{"7"}}, "c2")                              // about the queue's customer
	ask("g3", at(2), "x", sallyport.GrantTerms{}, "b2")                                                            // of no queue
	ask("g4", at(40), "x", sallyport.GrantTerms{Team: "billing"}, "b2")                                            // he has not been there for 40 days, and others were drawn
	ask("g5", time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC), "b1", sallyport.GrantTerms{Team: "billing"}, "lead2") // until the hand-over
	ask("g6", time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), "b1", sallyport.GrantTerms{Team: "billing"}, "lead2") // after it

	var got []string
	for _, v := range e.Find(t0, at(60)) {
		text := v.Rule + " " + v.Of
		for _, who := range v.Staff {
			text += " " + string(who)
		}
		got = append(got, strings.TrimSpace(text+" "+v.Grant))
	}
	want := []string{
		"apart billing b2 g1", "apart vip c2 g2", "weeks 7 c2", "weeks 8 c1", "queue-weeks vip c2", "two billing b2", "two vip", "drawn billing b2 g4", "drawn billing lead2 g6",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, v := range e.Find(t0, at(60)) {
		for _, who := range []string{"b1", "b2", "c1", "c2", "lead1", "lead2"} {
			if strings.Contains(v.Text, who) {
				t.Errorf("what is told of rule %s names %s", v.Rule, who)
			}
		}
		if len(v.Staff) > 0 && (v.Entry == 0 || !strings.HasPrefix(v.ID(), string(v.Staff[0])+"-separation-")) {
			t.Errorf("%+v is called %s", v, v.ID())
		}
	}
	if later := e.Find(at(30), at(60)); slices.ContainsFunc(later, func(v Violation) bool { return v.Grant == "g1" || v.Rule == "weeks" }) {
		t.Errorf("what was before is found again: %+v", later)
	}
}

// TestSeparationRules: what makes no sense is no rule.
func TestSeparationRules(t *testing.T) {
	for text, want := range map[string]string{
		`rules: [{id: a, rule: x}]`:                                                       "no rule",
		`rules: [{id: "a b", rule: at_least, people: 2}]`:                                 "no id",
		`rules: [{id: a, rule: at_least, people: 1}]`:                                     "2 or more",
		`rules: [{id: a, rule: covers_at_most}]`:                                          "how many weeks",
		`rules: [{id: a, rule: drawn_approves}]`:                                          "name of the rotation",
		`rules: [{id: a, rule: at_least, people: 2, queues: [q]}]`:                        "no queue",
		`rules: [{id: a, rule: at_least, people: 2, days: -1}]`:                           "1 or more",
		`queues: {q: {sensitive: true}}`:                                                  "nothing is in it",
		`rules: [{id: a, rule: at_least, people: 2}, {id: a, rule: at_least, people: 3}]`: "stands twice",
		`rule: []`: "unknown field",
	} {
		if _, err := ReadSeparation("rules.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
