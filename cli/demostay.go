package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sallyport/api"
)

// stay does what people do after such a day, prints where the pages are, and keeps everything running until it is interrupted.
func (d *demo) stay(ctx context.Context) error {
	if err := d.afterwards(ctx); err != nil {
		return fmt.Errorf("fill the pages: %w", err)
	}
	held := d.exhibits()
	d.title("Look at it: the pages, as they are after this story")
	d.say("  %s", held.Console)
	for _, o := range held.Officers {
		d.say("  %s (%s)  password %s", o.ID, o.Role, o.Password)
	}
	d.say("(The certificate is this run's own, so the browser asks.) Begin with Trace, which says who may be behind the reports, and its case under\n"+
		"Findings and cases; People shows how each of them works, and Policies what other budgets would have meant. Under Requests %s proposes to give somebody his access back: log in as %s and decide.", held.Officers[1].ID, held.Officers[2].ID)
	d.say("\nThe same in this terminal:")
	d.say("  SALLYPORT_PASSWORD='%s' %s top --as %s --data %s", held.Officers[0].Password, thisProgram(), held.Officers[0].ID, held.Data)
	d.say("\nWhat customers see, who want to know whether a call is yours:\n  %s", held.Customers)
	d.say("\nTo try things by hand, from the beginning: %s demo --hold. Ctrl-C ends this and removes everything.", thisProgram())
	select {
	case <-ctx.Done():
		return nil
	case <-d.server.Done():
		return d.server.Err()
	}
}

// afterwards is what officers do: one enters what customers told, another asks these customers; a case is opened; somebody proposes to give an access back.
func (d *demo) afterwards(ctx context.Context) error {
	one, other, third := d.officer(0), d.officer(1), d.officer(2)
	for _, c := range []*api.Client{one, other, third} {
		defer c.Close()
	}
	for _, r := range d.told {
		id, err := one.AddReport(ctx, api.Report{Customer: r.Customer, Time: r.At, Channel: "call", Quoted: []string{"name", "ticket"}})
		if err != nil {
			return fmt.Errorf("enter a report: %w", err)
		}
		if err := other.JudgeReport(ctx, id, true, api.Hows()[0]); err != nil {
			return fmt.Errorf("confirm a report: %w", err)
		}
	}
	if err := d.caseOpens(ctx, one); err != nil {
		return err
	}
	found, _, err := one.Findings(ctx, "")
	if err != nil {
		return err
	}
	if len(found) > 0 {
		if err := d.openCase(ctx, one, &found[0]); err != nil {
			return err
		}
	}
	if err := d.theDrill(ctx, one, other); err != nil {
		return err
	}
	status, err := one.Status(ctx)
	if err != nil || len(status.Locked) == 0 {
		return err
	}
	_, err = other.Unlock(ctx, status.Locked[0], "says that his password was stolen; it has been changed")
	return err
}

// caseOpens waits until Sallyport has weighed the reports and opened their case.
func (d *demo) caseOpens(ctx context.Context, c *api.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return awaited(ctx, func() (bool, error) {
		list, err := c.Cases(ctx)
		return len(list) > 0, err
	})
}

// openCase opens a case about a finding, with a first task.
func (d *demo) openCase(ctx context.Context, by *api.Client, f *api.Finding) error {
	id, err := findingID(f)
	if err != nil {
		return err
	}
	n, err := by.OpenCase(ctx, api.CaseRequest{Text: "looks like a theft", Finding: id})
	if err != nil {
		return fmt.Errorf("open a case: %w", err)
	}
	if _, err := by.StepCase(ctx, number(int64(n)), "task", api.CaseRequest{Text: "ask his lead what he worked on"}); err != nil { //nolint:gosec // a small number
		return fmt.Errorf("add a task: %w", err)
	}
	return nil
}

// findingID is what whoever was told of a finding calls it.
func findingID(f *api.Finding) (string, error) {
	var line struct {
		ID string `json:"id"`
	}
	err := json.Unmarshal(f.Finding, &line)
	return line.ID, err
}
