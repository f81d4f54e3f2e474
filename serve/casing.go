package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
	"sallyport/detect"
	"sallyport/grant"
	"sallyport/trace"
)

// casing opens cases about findings and reports, and adds what evidence comes to as it arrives.
type casing struct {
	s    *Server
	book *cases.Book
}

// openCases folds what the record says about cases.
func (s *Server) openCases() error {
	s.casing = &casing{s: s, book: cases.NewBook()}
	if err := s.orders.Fold(s.casing.book.Apply); err != nil {
		return err
	}
	return s.casing.begin()
}

// begin says on record, once, from which entry on findings open cases: what was found before cases were kept has been dealt with otherwise. It is said
// before anything can be found, so that a start that comes to nothing loses none.
func (k *casing) begin() error {
	if k.s.link != nil || k.book.From() != 0 {
		return nil
	}
	from := k.s.ControlStream.Last() + 1
	if k.book.Next() > 1 { // there are cases already, so all findings have theirs
		from = 1
	}
	return k.s.orders.Give(nil, &sallyport.Event{Time: k.s.O.Clock(), Kind: sallyport.CaseKind, Order: &sallyport.Order{Action: "case", CasesFrom: from}})
}

func (k *casing) desk() *api.Cases {
	return &api.Cases{Book: k.book, Control: k.s.ControlStream, Line: k.line, Pack: k.s.evidencePack, Figures: k.figures}
}

// line is where other stands in the report line of who; another account of who stands there, too.
func (k *casing) line(who, other sallyport.Staff) sallyport.Line {
	if slices.Contains(k.s.O.Config.AccountsOf(who), other) {
		return sallyport.SameTeam
	}
	return grant.LineOf(k.s.granting, who, other)
}

// caseDelay gathers reports that are confirmed one after the other.
const caseDelay = 2 * time.Second

// run follows the control stream until ctx ends. What it does stands in the stream itself, so that a start does nothing twice.
func (k *casing) run(ctx context.Context) {
	entries := make(chan *sallyport.Event, 256)
	done := make(chan error, 1)
	go func() {
		done <- k.s.ControlStream.Follow(ctx, 1, func(e *sallyport.Event) error {
			if e.Kind != sallyport.FindingKind && e.Kind != sallyport.ReportJudged && !k.weighed(e) {
				return nil
			}
			select {
			case entries <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	defer func() { <-done }() //nolint:errcheck // it ended because ctx did, or the record
	var due <-chan time.Time
	var judged, seen uint64 // the last report that was judged, and that was weighed by the record
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-entries:
			switch e.Kind {
			case sallyport.FindingKind:
				k.tell("a finding", k.finding(e))
			case sallyport.ReportJudged:
				judged, due = e.Seq, time.After(caseDelay)
			default:
				seen = e.Seq
			}
		case <-due:
			if due = nil; judged > seen {
				k.tell("reports", k.reports(ctx))
				seen = judged
			}
		}
	}
}

// weighed tells whether an entry says what reports came to.
func (k *casing) weighed(e *sallyport.Event) bool {
	return e.Kind == sallyport.CaseKind && e.Order != nil && e.Order.Case != nil && e.Order.Case.Do == cases.DoHypotheses && e.Order.Case.Source == cases.FromReports
}

func (k *casing) tell(what string, err error) {
	if err != nil {
		k.s.log.Error("a case was not written", "about", what, "why", err.Error())
	}
}

// give takes a step of Sallyport's own. That it does not fit any more is no error: people have gone on.
func (k *casing) give(step *sallyport.CaseStep) error {
	err := k.s.orders.StepCase(k.book, step, "", k.s.O.Clock())
	if errors.Is(err, cases.ErrStep) {
		return nil
	}
	return err
}

// finding opens a case about a line of a finding, or adds to the one about it: what it makes of him.
func (k *casing) finding(e *sallyport.Event) error {
	var f detect.Finding
	if err := json.Unmarshal(e.Order.Finding, &f); err != nil {
		return fmt.Errorf("read a finding: %w", err)
	}
	if f.Kind == separationKind {
		return nil // a rule was broken: nobody is suspected of anything
	}
	n := k.book.Of(f.ID)
	if n == 0 {
		if e.Seq < k.book.From() {
			return nil
		}
		var err error
		if n, err = k.caseOf(&f); err != nil {
			return err
		}
	}
	c, ok := k.book.Case(n)
	if !ok || c.State == cases.Closed || slices.ContainsFunc(c.Weighed, func(w cases.Weighing) bool { return w.Source == sourceOf(e) }) {
		return nil
	}
	return k.give(&sallyport.CaseStep{Case: n, Do: cases.DoHypotheses, Source: sourceOf(e), Weighed: weighedBy(&f)})
}

// sourceOf names a line of a finding.
func sourceOf(e *sallyport.Event) string {
	return fmt.Sprintf("finding %s, entry %d", e.Order.ID, e.Seq)
}

// weighedBy are the hypotheses of a finding.
func weighedBy(f *detect.Finding) (list []sallyport.Hypothesis) {
	for _, kind := range []string{"malicious", "negligent", "compromised", "benign"} {
		if p, ok := f.Probabilities[kind]; ok {
			list = append(list, sallyport.Hypothesis{Staff: f.Staff, Type: kind, Probability: p})
		}
	}
	return list
}

// caseOf is the case that a new finding belongs to: an open one about the same person, else a new one.
func (k *casing) caseOf(f *detect.Finding) (uint64, error) {
	for _, c := range k.book.All() {
		if c.State == cases.Closed || c.Source != cases.FromFinding || len(f.Staff) == 0 || !slices.Contains(c.People, f.Staff[0]) {
			continue
		}
		return c.Number, k.give(&sallyport.CaseStep{Case: c.Number, Do: cases.DoFinding, Finding: f.ID, People: f.Staff})
	}
	step := &sallyport.CaseStep{Do: cases.DoOpen, Source: cases.FromFinding, Text: fmt.Sprintf("Finding %s: %s", f.ID, f.Kind), Finding: f.ID, People: f.Staff}
	n, err := k.s.orders.OpenCase(k.book, step, "", k.s.O.Clock())
	if errors.Is(err, cases.ErrStep) {
		return k.book.Of(f.ID), nil
	}
	return n, err
}

// mostWeighed are the suspects that a case keeps of each weighing.
const mostWeighed = 5

// reports weighs all reports, and adds what they come to to the case about them; the first confirmed one opens it. Who is named is involved from
// then on, so that neither he nor his line sees the case.
func (k *casing) reports(ctx context.Context) error {
	line, err := k.s.reports.tracer.trace(ctx, time.Time{}, nil)
	if err != nil || line.Reports == 0 {
		return err
	}
	n := uint64(0)
	for _, c := range k.book.All() {
		if c.Source == cases.FromReports && c.State != cases.Closed {
			n = c.Number
		}
	}
	if n == 0 {
		step := &sallyport.CaseStep{Do: cases.DoOpen, Source: cases.FromReports, Text: "Customers report scam calls"}
		if n, err = k.s.orders.OpenCase(k.book, step, "", k.s.O.Clock()); err != nil {
			return err
		}
	}
	step := &sallyport.CaseStep{Case: n, Do: cases.DoHypotheses, Source: cases.FromReports, Text: fmt.Sprintf("%d customers, verdict %s", line.Reports, line.Verdict), Customers: k.reporters()}
	for _, x := range line.Suspects[:min(len(line.Suspects), mostWeighed)] {
		step.Weighed = append(step.Weighed, sallyport.Hypothesis{Staff: x.Staff, Probability: x.Posterior})
	}
	step.Weighed = append(step.Weighed, sallyport.Hypothesis{Probability: line.None})
	if line.Verdict == trace.Named {
		step.People = line.Suspects[0].Staff
	}
	return k.give(step)
}

// reporters are the customers whose reports weigh.
func (k *casing) reporters() (list []sallyport.Subject) {
	all, err := k.s.reports.all()
	if err != nil {
		return nil
	}
	for _, x := range all {
		if x.State == api.ReportConfirmed && !slices.Contains(list, x.Customer) {
			list = append(list, x.Customer)
		}
	}
	return list
}

// FiguresLine is what notices of a case count.
type FiguresLine struct {
	Record  string        `json:"record"`
	Reports int           `json:"reports"`
	People  []*RadiusLine `json:"people"` // without names of people and customers
}

// figures counts for the notices of a case.
func (k *casing) figures(ctx context.Context, c *cases.Case) (json.RawMessage, error) {
	out := FiguresLine{Record: k.s.AccessStream.ID(), People: []*RadiusLine{}}
	for _, who := range c.People {
		line, err := k.s.blastRadius(ctx, who, time.Time{})
		if err != nil {
			return nil, err
		}
		line.List, line.More = []ExposedLine{}, len(line.List)
		out.People = append(out.People, line)
	}
	if c.Source == cases.FromReports {
		out.Reports = len(k.reporters())
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write figures: %w", err)
	}
	return text, nil
}
