package serve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
)

// saw puts on record that somebody looked at a customer.
func (f *fort) saw(who sallyport.Staff, customer sallyport.Subject, at time.Time) {
	f.t.Helper()
	r := &sallyport.Revealed{Statement: 1, Columns: []sallyport.Column{{Schema: "support", Table: "customers", Name: "phone"}}}
	r.Values.Add(sallyport.RevealedValue{Subject: customer, Digest: sallyport.Digest{7, byte(len(customer))}})
	_, err := f.server.AccessStream.Append(&sallyport.Event{Time: at, Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: who, Login: string(who), Session: "s-" + string(who)}, Reveal: r})
	f.need(err)
}

// TestTakersAreNotNamed: one person takes all reports that are entered, another all that the ticket system sends, and each looks at the customer for it. The thief is named, and not
// they; and where there is no thief, nobody.
func TestTakersAreNotNamed(t *testing.T) {
	f := reported(t, "detect: {off: true}\n")
	agents := f.org.Agents()
	thief, desk := agents[0].ID, agents[1].ID
	now, o1, o2 := time.Now(), f.officer("o1"), f.officer("o2")
	for i := range 200 {
		f.saw(agents[i%10].ID, sallyport.Subject(fmt.Sprint(2000+i)), now.Add(-50*time.Hour))
	}
	var lines []string
	for i := range 12 {
		c := sallyport.Subject(fmt.Sprint(1000 + i))
		if i < 8 {
			f.saw(thief, c, now.Add(-40*time.Hour))
		}
		if i%2 == 0 {
			f.saw("o1", c, now.Add(-5*time.Minute))
			_, err := o1.AddReport(t.Context(), api.Report{Customer: c, Channel: "call", Taker: thief}) // that somebody else took it is nothing that one can say here
			fatal(t, err)
			continue
		}
		f.saw(desk, c, now.Add(-5*time.Minute))
		lines = append(lines, fmt.Sprintf(`{"customer":%q,"time":%q,"channel":"call","taken_by":%q}`, c, now.Format(time.RFC3339), desk))
	}
	if status, answer := f.send("/reports", reportsSecret, time.Now(), `{"id":"t-1","reports":[`+strings.Join(lines, ",")+`]}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	list, err := o2.Reports(t.Context())
	fatal(t, err)
	for _, x := range list {
		if text, err := json.Marshal(x); err != nil || strings.Contains(string(text), string(desk)) {
			t.Errorf("who took it is told: %s %v", text, err)
		}
		judge := o2
		fatal(t, judge.JudgeReport(t.Context(), x.ID, true, "call"))
	}
	got := f.traced("o3")
	if got.Verdict != "named" || string(got.Suspects[0].Staff[0]) != f.server.Names.Person(thief) || got.Aside != 12 {
		t.Errorf("%s %+v, %d set aside", got.Verdict, got.Suspects, got.Aside)
	}
	for _, s := range got.Suspects[1:] {
		for _, who := range s.Staff {
			if name := string(who); (name == f.server.Names.Person("o1") || name == f.server.Names.Person(desk)) && len(s.Staff) == 1 {
				t.Errorf("who took them is suspected: %+v", s)
			}
		}
	}
}

// TestTraceSince: reports before a day tell what comes anyhow. The day is on record, and one that is none is refused.
func TestTraceSince(t *testing.T) {
	f := reported(t, "detect: {off: true}\n")
	agents := f.org.Agents()
	thief := agents[0].ID
	now, o1, o2 := time.Now(), f.officer("o1"), f.officer("o2")
	for i := range 30 {
		f.saw(thief, sallyport.Subject(fmt.Sprint(1000+i)), now.Add(-500*24*time.Hour))
		for k := range 4 {
			f.saw(agents[1+k].ID, sallyport.Subject(fmt.Sprint(2000+100*k+i)), now.Add(-500*24*time.Hour))
		}
	}
	report := func(customer int, at time.Time) {
		t.Helper()
		id, err := o1.AddReport(t.Context(), api.Report{Customer: sallyport.Subject(fmt.Sprint(customer)), Channel: "call", Time: at})
		fatal(t, err)
		fatal(t, o2.JudgeReport(t.Context(), id, true, "call"))
	}
	for i := range 40 { // a year in which customers of nobody report
		report(100+i, now.Add(-time.Duration(400-9*i)*24*time.Hour))
	}
	began := now.Add(-10 * 24 * time.Hour)
	for i := range 3 {
		report(1000+i, began.Add(time.Duration(i+1)*time.Hour))
	}
	ask := func(since time.Time) (line LiveTrace) {
		t.Helper()
		text, err := f.officer("o3").TraceSince(t.Context(), since)
		fatal(t, err)
		fatal(t, json.Unmarshal(text, &line))
		return line
	}
	all, lately := ask(now.Add(-1000*24*time.Hour)), ask(began)
	if usual := ask(time.Time{}); usual.Verdict != "named" || usual.Reports < 4 || usual.Reports+usual.Calm != 43 || usual.Since.Sub(began.Add(3*time.Hour-90*24*time.Hour)).Abs() > time.Second {
		t.Errorf("of ninety days: %s %+v of %d reports since %v, %d before", usual.Verdict, usual.Suspects, usual.Reports, usual.Since, usual.Calm)
	}
	if lately.Verdict != "named" || string(lately.Suspects[0].Staff[0]) != f.server.Names.Person(thief) || lately.Reports != 3 || lately.Calm != 40 {
		t.Errorf("since it began: %s %+v of %d reports, %d before", lately.Verdict, lately.Suspects, lately.Reports, lately.Calm)
	}
	if all.Verdict == "named" || all.Reports != 43 || all.Calm != 0 {
		t.Errorf("of all: %s %+v of %d reports, %d before", all.Verdict, all.Suspects, all.Reports, all.Calm)
	}
	asked := ""
	fatal(t, f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.Queried && e.Order.Action == "trace" && e.Order.Details != "" {
			asked = e.Order.Details
		}
		return nil
	}))
	if asked != began.UTC().Format(time.RFC3339) {
		t.Errorf("on record as asked since %q", asked)
	}
}
