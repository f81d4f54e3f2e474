package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/trace"
)

// Weeks later customers report calls by somebody who knows too much about them.
const (
	victimReports     = 6
	backgroundReports = 3 // scams that have nothing to do with this company
	untilReports      = 14 * 24 * time.Hour
)

// reports lets customers of the fifth thief's notes report, and others, and asks the record who it was.
func (d *demo) reports(ctx context.Context) error {
	d.title("Customers report calls")
	notes := d.notes.ToArray()
	if len(notes) < victimReports {
		return fmt.Errorf("the fifth thief wrote down %d customers, and the story needs %d", len(notes), victimReports)
	}
	dice := rand.New(rand.NewPCG(d.o.seed, 2019)) //nolint:gosec // who is called is no secret
	dice.Shuffle(len(notes), func(i, j int) { notes[i], notes[j] = notes[j], notes[i] })
	var customers []int64
	for _, c := range notes[:victimReports] {
		customers = append(customers, int64(c))
	}
	for range backgroundReports {
		customers = append(customers, 1+dice.Int64N(d.org.Customers))
	}
	dice.Shuffle(len(customers), func(i, j int) { customers[i], customers[j] = customers[j], customers[i] })
	d.clock.advance(d.clock.Now().Add(untilReports))
	var list []trace.Report
	for i, c := range customers {
		d.clock.advance(d.clock.Now().Add(time.Duration(2+i%5) * time.Hour))
		list = append(list, trace.Report{Customer: sallyport.Subject(strconv.FormatInt(c, 10)), At: d.clock.Now()})
	}
	d.told = list
	return d.name(ctx, list)
}

// unmask has two officers agree to see who the first of the ranking is, and says what they read then.
func (d *demo) unmask(ctx context.Context, suspects []sallyport.Staff) error {
	one, other := d.officer(0), d.officer(1)
	defer one.Close()
	defer other.Close()
	for _, who := range suspects {
		id, err := one.Unmask(ctx, d.server.Names.Person(who), "customers report calls", 0)
		if err != nil {
			return fmt.Errorf("propose to unmask the suspect: %w", err)
		}
		if _, err := other.Approve(ctx, id); err != nil {
			return fmt.Errorf("approve to unmask the suspect: %w", err)
		}
	}
	list, err := one.Unmasked(ctx)
	if err != nil {
		return fmt.Errorf("read who the suspect is: %w", err)
	}
	var names []sallyport.Staff
	for _, u := range list {
		names = append(names, u.Staff)
		d.say("    sallyport unmask %s --as %s, approved by %s: %s.", u.Person, d.officers[0].ID, d.officers[1].ID, u.Staff)
	}
	d.figures.Reports.Suspect = staffList(names)
	return nil
}

// officer is logged in for commands.
func (d *demo) officer(i int) *api.Client {
	id := d.officers[i].ID
	return api.NewClient(d.server.Control(), id, d.passwords[id])
}

// name asks the record, and nothing else.
func (d *demo) name(ctx context.Context, list []trace.Report) error {
	start := time.Now()
	seen := trace.NewExposures()
	err := d.server.AccessStream.Read(1, func(e *sallyport.Event) error {
		seen.Apply(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	result := seen.Trace(list, trace.Options{Customers: d.org.Customers})
	took := time.Since(start)
	if result.Verdict != trace.Named {
		return fmt.Errorf("%d reports do not name anybody: %s", len(list), result.Verdict)
	}
	suspects := result.Suspects
	f := &d.figures.Reports
	*f = demoReports{
		Reports: len(list), FromThief: victimReports, Background: backgroundReports, Thief: d.figures.Thefts[len(d.figures.Thefts)-1].Thief,
		WallSeconds: took.Seconds(),
	}
	for _, s := range suspects[:min(5, len(suspects))] {
		f.Ranking = append(f.Ranking, demoSuspect{Staff: staffList(s.Staff), Customers: s.Customers, Seen: s.Seen, Expected: s.Expected, Posterior: s.Posterior})
	}
	d.say("%d customers say: somebody called me pretending to be you. %d of them are in the fifth thief's notes, %d were called by\n"+
		"others. The record knows nothing of that; it knows who had seen whom before the reports:", len(list), victimReports, backgroundReports)
	f.None, f.Forged = result.None, result.Forged
	d.printSuspects()
	d.say("%.0f ms (wall clock) after the last report: the first of them. Nobody of them: %.1f %%. To turn this around %d reports would have to\n"+
		"be forged. Nobody sees a name before two people agree to:", 1000*f.WallSeconds, 100*f.None, f.Forged)
	if err := d.unmask(ctx, suspects[0].Staff); err != nil {
		return err
	}
	if f.Suspect != f.Thief {
		return fmt.Errorf("the record points at %s, and it was %s", f.Suspect, f.Thief)
	}
	return nil
}

// staffList is a suspect for people: one, or two who act together.
func staffList(staff []sallyport.Staff) string {
	var names []string
	for _, s := range staff {
		names = append(names, string(s))
	}
	return strings.Join(names, " and ")
}
