// Package cases is the life of a case: a fold of the control stream into who is looked into, in which state, with which notes, tasks,
// decisions and hypotheses, and how it ended.
//
// It does no I/O and reads no clock. It refuses a step that its state does not allow, to close a case or to let go of evidence on one person's
// word, and to show a case to anybody it is about, or who stands in the report line of one.
//
// Invariant: the same entries in the same order give the same cases, everywhere.
package cases

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"sallyport"
)

// ErrStep says that something cannot be done about a case.
var ErrStep = errors.New("cannot be done")

// The states.
const (
	Open          = "open"
	Investigating = "investigating"
	Contained     = "contained" // nothing more gets out; why and how is still looked into
	Closed        = "closed"
)

// States lists them.
func States() []string { return []string{Open, Investigating, Contained, Closed} }

// next is to which states one may go from each. To Closed leads only Close.
func next(state string) []string {
	switch state {
	case Open:
		return []string{Investigating, Contained}
	case Investigating:
		return []string{Contained}
	case Contained:
		return []string{Investigating}
	case Closed:
		return []string{Investigating}
	}
	return nil
}

// The outcomes.
const (
	Confirmed  = "confirmed"  // People did it
	Unfounded  = "unfounded"  // nobody of those involved did
	Unresolved = "unresolved" // nobody can say
	Duplicate  = "duplicate"  // another case is about it
)

// Outcomes lists them.
func Outcomes() []string { return []string{Confirmed, Unfounded, Unresolved, Duplicate} }

// The steps.
const (
	DoOpen       = "open"
	DoNote       = "note"
	DoTask       = "task"
	DoDone       = "done"
	DoDecision   = "decision"
	DoLink       = "link"
	DoPeople     = "people"
	DoCustomers  = "customers"
	DoFinding    = "finding"
	DoHypotheses = "hypotheses"
	DoState      = "state"
	DoHold       = "hold"
	DoAware      = "aware"
	DoMet        = "met"
	DoExported   = "exported" // Sallyport gave an evidence pack away
	// These take two people.
	DoClose   = "close"
	DoRelease = "release"
	DoExport  = "export" // the two may fetch an evidence pack
)

// Two tells whether a step takes two people.
func Two(do string) bool { return do == DoClose || do == DoRelease || do == DoExport }

// ProposalOf is the action of a proposal that is to take such a step.
const ProposalOf = "case_step"

// Sources of cases.
const (
	FromFinding = "finding"
	FromReports = "reports"
	FromPerson  = "person"
)

// Case is one, as it stands.
type Case struct {
	Number    uint64
	Title     string
	Source    string
	State     string
	Opened    time.Time
	By        sallyport.Staff // empty: Sallyport itself
	Changed   time.Time
	People    []sallyport.Staff
	Customers []sallyport.Subject
	Findings  []string
	Notes     []Note
	Tasks     []Task
	Links     []sallyport.CaseLink
	Weighed   []Weighing // in the order of time
	Hold      bool
	HeldFrom  time.Time // entries of the people involved from then on
	Aware     time.Time // when the company learned of it; zero: nobody has said
	Countries []string
	Met       map[string]time.Time // deadlines that were met
	Outcome   string
	Guilty    []sallyport.Staff
	ClosedAt  time.Time
}

// Note is a remark, a decision or a change of state, with its reason.
type Note struct {
	At   time.Time
	By   sallyport.Staff
	Do   string
	Text string
}

// Task is something to do.
type Task struct {
	ID   uint64
	Text string
	By   sallyport.Staff
	At   time.Time
	Done time.Time
	Who  sallyport.Staff // who did it
}

// Weighing is what evidence came to at one time.
type Weighing struct {
	At     time.Time
	Source string
	List   []sallyport.Hypothesis
}

// Probability is how probable it is that somebody did it, by the last weighing of each source: the most that any says.
func (c *Case) Probability(who sallyport.Staff) (most float64) {
	last := map[string]Weighing{}
	for _, w := range c.Weighed {
		last[w.Source] = w
	}
	for _, w := range last {
		sum := 0.0
		for _, h := range w.List {
			if slices.Contains(h.Staff, who) && h.Type != "benign" {
				sum += h.Probability
			}
		}
		most = max(most, min(sum, 1))
	}
	return most
}

// Book is all cases. It is safe for use by many goroutines.
type Book struct {
	mu       sync.Mutex // guards what follows
	cases    []*Case
	proposed map[string]proposal
	findings map[string]uint64 // → its case
	from     uint64            // the entry from which on findings open cases; 0: nothing says so
}

// proposal is a step that waits for a second person.
type proposal struct {
	step sallyport.CaseStep
	by   sallyport.Staff
	at   time.Time
}

// lifetime is how long a proposal can be approved, as for all others.
const lifetime = 24 * time.Hour

// NewBook has none.
func NewBook() *Book { return &Book{proposed: map[string]proposal{}, findings: map[string]uint64{}} }

// Apply folds one entry of the control stream. What does not fit is passed over.
func (b *Book) Apply(e *sallyport.Event) {
	o := e.Order
	if o == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case e.Kind == sallyport.CaseKind && o.Case == nil && o.By == "" && b.from == 0:
		b.from = o.CasesFrom
	case e.Kind == sallyport.CaseKind && o.Case != nil:
		if !Two(o.Case.Do) && b.check(o.Case, o.By) == nil {
			b.take(o.Case, o.By, e.Time)
		}
	case e.Kind == sallyport.Proposed && o.Action == ProposalOf && o.Case != nil && o.By != "":
		b.proposed[o.ID] = proposal{*o.Case, o.By, e.Time}
	case e.Kind == sallyport.Declined:
		delete(b.proposed, o.ID)
	case e.Kind == sallyport.Approved:
		p, ok := b.proposed[o.ID]
		if !ok {
			return
		}
		delete(b.proposed, o.ID)
		c := b.find(p.step.Case)
		if o.By == "" || o.By == p.by || e.Time.Sub(p.at) >= lifetime || c == nil || slices.Contains(c.People, o.By) || b.check(&p.step, p.by) != nil {
			return
		}
		p.step.Text += " (agreed to by " + string(o.By) + ")"
		b.take(&p.step, p.by, e.Time)
	}
}

// Settles are the findings of the case that a proposal is to close; none where it is about something else.
func (b *Book) Settles(proposal string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.proposed[proposal]
	c := b.find(p.step.Case)
	if !ok || p.step.Do != DoClose || c == nil {
		return nil
	}
	return slices.Clone(c.Findings)
}

// LinkKinds are those whom a case can be linked to.
func LinkKinds() []string {
	return []string{"police", "regulator", "hr", "legal", "insurer", "ticket", "other"}
}

// take does a step that was checked.
func (b *Book) take(s *sallyport.CaseStep, by sallyport.Staff, at time.Time) {
	if s.Do == DoOpen {
		b.cases = append(b.cases, &Case{Number: s.Case, Title: s.Text, Source: s.Source, State: Open, Opened: at, By: by, Met: map[string]time.Time{}})
	}
	c := b.find(s.Case)
	c.Changed = at
	if s.Finding != "" && (s.Do == DoOpen || s.Do == DoFinding) {
		c.Findings = add(c.Findings, s.Finding)
		b.findings[s.Finding] = c.Number
	}
	if s.Do != DoClose {
		c.People, c.Customers = add(c.People, s.People...), addMany(c.Customers, s.Customers)
	}
	switch s.Do {
	case DoTask:
		c.Tasks = append(c.Tasks, Task{ID: uint64(len(c.Tasks) + 1), Text: s.Text, By: by, At: at})
	case DoDone:
		c.Tasks[s.Task-1].Done, c.Tasks[s.Task-1].Who = at, by
	case DoLink:
		c.Links = append(c.Links, *s.Link)
	case DoHypotheses:
		c.Weighed = append(c.Weighed, Weighing{at, s.Source, s.Weighed})
		return
	case DoState:
		c.State, c.Outcome, c.Guilty, c.ClosedAt = s.State, "", nil, time.Time{}
	case DoClose:
		c.State, c.Outcome, c.Guilty, c.ClosedAt = Closed, s.Outcome, s.People, at
	case DoHold:
		c.Hold, c.HeldFrom = true, s.At
	case DoRelease:
		c.Hold = false
	case DoAware:
		c.Aware, c.Countries = s.At, s.Countries
	case DoMet:
		c.Met[s.Deadline] = at
	}
	if s.Do != DoTask {
		c.Notes = append(c.Notes, Note{at, by, s.Do, said(s)})
	}
}

// said is what a step comes to, for the list of notes.
func said(s *sallyport.CaseStep) string {
	switch s.Do {
	case DoState:
		return s.State + ": " + s.Text
	case DoClose:
		return s.Outcome + ": " + s.Text
	case DoDone:
		return fmt.Sprintf("task %d", s.Task)
	case DoLink:
		return s.Link.Kind + " " + s.Link.Ref
	case DoFinding:
		return s.Finding
	case DoPeople:
		return fmt.Sprintf("%d people more. %s", len(s.People), s.Text)
	case DoCustomers:
		return fmt.Sprintf("%d customers more. %s", len(s.Customers), s.Text)
	case DoAware:
		return "learned of it at " + s.At.UTC().Format(time.RFC3339) + ". " + s.Text
	case DoMet:
		return s.Deadline + ": " + s.Text
	}
	return s.Text
}

func add[T comparable](list []T, more ...T) []T {
	for _, x := range more {
		if !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}

// addMany is add for long lists.
func addMany(list, more []sallyport.Subject) []sallyport.Subject {
	if len(more) == 0 {
		return list
	}
	have := make(map[sallyport.Subject]bool, len(list)+len(more))
	for _, x := range list {
		have[x] = true
	}
	for _, x := range more {
		if !have[x] {
			have[x] = true
			list = append(list, x)
		}
	}
	return list
}

func (b *Book) find(n uint64) *Case {
	if n == 0 || n > uint64(len(b.cases)) {
		return nil
	}
	return b.cases[n-1]
}

// Next is the number of the next case.
func (b *Book) Next() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return uint64(len(b.cases)) + 1
}

// Of is the case about a finding; 0: there is none.
func (b *Book) Of(finding string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.findings[finding]
}

// From is the entry of the control stream from which on findings open cases, so that those of before cases were kept do not; 0: nothing says so
// yet.
func (b *Book) From() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.from
}

// Case is one of them.
func (b *Book) Case(n uint64) (Case, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.find(n); c != nil {
		return c.copied(), true
	}
	return Case{}, false
}

// All lists them in the order of their numbers.
func (b *Book) All() []Case {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Case, len(b.cases))
	for i, c := range b.cases {
		list[i] = c.copied()
	}
	return list
}

// copied shares nothing that take changes in place.
func (c *Case) copied() Case {
	x := *c
	x.Tasks, x.Met = slices.Clone(c.Tasks), maps.Clone(c.Met)
	return x
}
