package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport"
	"sallyport/api"
	"sallyport/detect"
	"sallyport/program"
	"sallyport/record"
)

func (m *Main) programSeparationCommand() *cobra.Command {
	var f programFlags
	var rules string
	cmd := &cobra.Command{
		Use:   "separation",
		Short: "Hold the record to the rules of who may not do two things at once, and of how many eyes there must be",
		Long: `The rules stand in the configuration under program.separation: who handles a queue does not approve its grants; nobody covers a customer or a queue alone for more than
so many weeks; a queue has so many people active; grants are approved by those who were drawn. A running serve checks them once a day, and what breaks one is a finding
(sallyport findings). Without a serve --rules holds the record to another file of the same form.
` + howReports + `

Exit status 0: no rule is broken; 1: one is; 2: wrong usage.`,
		Example: "  sallyport program separation --as s051\n  sallyport program separation --rules rules.yaml --data /tmp/copy --key-file key.txt",
		Args:    exactly(0, ""),
	}
	f.add(m, cmd.Flags())
	cmd.Flags().StringVar(&rules, "rules", "", "`FILE` of rules, in place of those of the configuration")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		show := func(found json.RawMessage) error { return m.showSeparation(found, f.json) }
		if rules == "" {
			return m.programReport(cmd, &f, &api.ReportQuestion{Report: "separation"}, show)
		}
		if f.live() {
			return usagef("a running serve holds the record to its own rules; leave --rules out, or --as")
		}
		return m.separationBy(cmd.Context(), &f, rules, show)
	}
	return cmd
}

// separationBy holds the record of a folder to other rules.
func (m *Main) separationBy(ctx context.Context, f *programFlags, rules string, show func(json.RawMessage) error) error {
	if f.days <= 0 {
		return usagef("%d days; expected --days 90, or another number above 0", f.days)
	}
	text, err := readSmall(rules)
	if err != nil {
		return err
	}
	other, err := program.ReadSeparation(rules, text)
	if err != nil {
		return &usageError{err: err}
	}
	return withRecord(ctx, m.recordPlace(f), func(r *programRecord) error {
		r.config.Program.Separation = *other
		found, err := r.separation(ctx, f.days)
		if err != nil {
			return err
		}
		text, err := json.Marshal(found)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return show(text)
	})
}

// showSeparation prints what breaks the rules.
func (m *Main) showSeparation(found json.RawMessage, asJSON bool) error {
	x, err := readReport[separationFound](found)
	switch {
	case err != nil:
	case asJSON:
		err = printJSON(m.Stdout, x)
	default:
		err = m.printSeparation(&x)
	}
	if err == nil && len(x.Violations) > 0 {
		return errFound
	}
	return err
}

// separationFound is what breaks the rules.
type separationFound struct {
	Rules      int                 `json:"rules"`
	Violations []program.Violation `json:"violations"`
}

func (m *Main) printSeparation(x *separationFound) error {
	if len(x.Violations) == 0 {
		return printLine(m.Stdout, "%s, and none is broken.", several(int64(x.Rules), "rule"))
	}
	w := tabwriter.NewWriter(m.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tOF\tWHO\tSINCE\tLAST\tWHAT")
	for _, v := range x.Violations {
		who := "nobody"
		if len(v.Staff) > 0 {
			who = someStaff(v.Staff)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.Rule, printable(v.Of), who, dateOf(v.Since), dateOf(v.Last), printable(v.Text))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// dateOf is a day, or nothing for the zero time.
func dateOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

// violations hold the record to the rules.
func (r *programRecord) violations(ctx context.Context, days int) ([]program.Violation, error) {
	rules := &r.config.Program.Separation
	if len(rules.Rules) == 0 {
		return nil, nil
	}
	eyes := program.NewEyes(rules, func(who sallyport.Staff) bool { return !r.config.program(who) })
	if err := errors.Join(r.orders(ctx, eyes.Control), r.accesses(ctx, eyes.Access)); err != nil {
		return nil, err
	}
	return eyes.Find(r.now.AddDate(0, 0, -days), r.now), nil
}

// separation is what breaks the rules; what is about who asks is not told.
func (r *programRecord) separation(ctx context.Context, days int) (*separationFound, error) {
	list, err := r.violations(ctx, days)
	if err != nil {
		return nil, err
	}
	out := &separationFound{Rules: len(r.config.Program.Separation.Rules), Violations: []program.Violation{}}
	for _, v := range list {
		if r.asker != "" && slices.Contains(v.Staff, r.asker) {
			continue
		}
		for i, who := range v.Staff {
			v.Staff[i] = sallyport.Staff(r.call(who))
		}
		out.Violations = append(out.Violations, v)
	}
	return out, nil
}

// separationWatch checks the rules once a day.
type separationWatch struct {
	s    *Server
	next time.Time // zero: at the start
}

// The bounds of a daily check.
const (
	separationEvery = 24 * time.Hour
	separationAgain = 10 * time.Minute // after one that failed
	separationBack  = 90               // days
	mostViolations  = 20               // new findings of one check; the report has all
)

// look checks if it is time. What breaks a rule is a finding, once: a start checks again and finds the same.
func (w *separationWatch) look(ctx context.Context) {
	now := w.s.o.Clock()
	if len(w.s.o.Config.Program.Separation.Rules) == 0 || now.Before(w.next) {
		return
	}
	w.next = now.Add(separationEvery)
	if err := w.check(ctx, now); err != nil && ctx.Err() == nil && !errors.Is(err, record.ErrClosed) {
		w.next = now.Add(separationAgain)
		w.s.log.Error("the rules of many eyes were not checked; it is tried again", "why", err.Error())
	}
}

func (w *separationWatch) check(ctx context.Context, now time.Time) error {
	r := &programRecord{config: w.s.o.Config, access: w.s.access, control: w.s.control, now: now}
	list, err := r.violations(ctx, separationBack)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, f := range w.s.state.Findings() {
		known[f.ID] = true
	}
	fresh := 0
	for i := range list {
		v := &list[i]
		if len(v.Staff) == 0 || known[v.ID()] {
			continue
		}
		if fresh++; fresh > mostViolations {
			w.s.log.Warn("more rules of many eyes are broken than are put on record at once", "broken", len(list), "see", "sallyport program separation")
			return nil
		}
		if err := w.find(v, now); err != nil {
			return err
		}
	}
	w.s.log.Info("the rules of many eyes were checked", "broken", len(list), "new", fresh)
	return nil
}

// separationKind is the kind of a finding that says that a rule was broken. It suspects nobody: it opens no case, and nothing is done about it by itself.
const separationKind = program.SeparationFinding

// find puts a broken rule on record as a finding. Its action is another word than detection's, which counts its own.
func (w *separationWatch) find(v *program.Violation, now time.Time) error {
	f := &detect.Finding{
		Time: now, ID: v.ID(), Kind: separationKind, Staff: v.Staff, Type: detect.Benign, Probabilities: map[string]float64{detect.Benign: 1},
		Evidence: []detect.Evidence{{Source: separationKind, Text: v.Text + " (rule " + v.Rule + ")"}},
		Since:    v.Since, SinceLow: v.Since, SinceHigh: v.Since, Attack: []string{}, Action: "page",
	}
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write a finding: %w", err)
	}
	return w.s.orders.Give(nil, &sallyport.Event{Time: now, Kind: sallyport.FindingKind, Order: &sallyport.Order{ID: f.ID, Action: "separate", About: v.Staff[0], Finding: text}})
}
