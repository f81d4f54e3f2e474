package cases

import (
	"fmt"
	"slices"

	"sallyport"
)

// Check says why a step cannot be taken; nil if it can. Of one that takes two, why it cannot be proposed.
func (b *Book) Check(s *sallyport.CaseStep, by sallyport.Staff) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.check(s, by)
}

// What bounds a case.
const (
	mostText      = 4000
	mostPeople    = 50
	mostCustomers = 200_000
	mostSteps     = 10_000
)

func (b *Book) check(s *sallyport.CaseStep, by sallyport.Staff) error {
	no := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrStep, fmt.Sprintf(format, args...))
	}
	if len(s.Text) > mostText || len(s.People) > mostPeople || len(s.Customers) > mostCustomers {
		return no("at most %d bytes of text, %d people and %d customers at once", mostText, mostPeople, mostCustomers)
	}
	if s.Do == DoOpen {
		return b.mayOpen(s, by, no)
	}
	c := b.find(s.Case)
	switch {
	case c == nil:
		return no("there is no case %d", s.Case)
	case len(c.Notes)+len(c.Tasks)+len(c.Weighed) > mostSteps:
		return no("the case has %d steps already; open another one", mostSteps)
	case by != "" && slices.Contains(c.People, by) || slices.Contains(s.People, by) && by != "":
		return no("nobody works on a case about himself")
	case c.State == Closed && s.Do != DoState && s.Do != DoNote && s.Do != DoHold && s.Do != DoRelease && s.Do != DoExport && s.Do != DoExported:
		return no("the case is closed; go back to %s first", Investigating)
	}
	return c.may(s, by, no)
}

func (b *Book) mayOpen(s *sallyport.CaseStep, by sallyport.Staff, no func(string, ...any) error) error {
	switch {
	case s.Case != uint64(len(b.cases))+1:
		return no("the next case is %d", len(b.cases)+1)
	case s.Text == "":
		return no("a case needs a title")
	case s.Finding != "" && b.findings[s.Finding] != 0:
		return no("case %d is about this finding", b.findings[s.Finding])
	case by != "" && slices.Contains(s.People, by):
		return no("nobody works on a case about himself")
	}
	return nil
}

// needs is what a step needs: whether it has that, and in words.
type needs struct {
	has  bool
	says string
}

// may holds one step to what it needs.
func (c *Case) may(s *sallyport.CaseStep, by sallyport.Staff, no func(string, ...any) error) error {
	if s.Do == DoClose {
		return c.mayClose(s, no)
	}
	n, ok := c.needs(s, by)
	switch {
	case !ok:
		return no("there is no step %q", s.Do)
	case !n.has:
		return no("%s", n.says)
	}
	return nil
}

func (c *Case) needs(s *sallyport.CaseStep, by sallyport.Staff) (needs, bool) {
	switch s.Do {
	case DoNote, DoTask, DoDecision, DoExport:
		return needs{s.Text != "", "it needs a text"}, true
	case DoDone:
		return needs{s.Task > 0 && s.Task <= uint64(len(c.Tasks)) && c.Tasks[max(1, s.Task)-1].Done.IsZero(), "there is no such task to be done"}, true
	case DoLink:
		return needs{s.Link != nil && s.Link.Ref != "" && slices.Contains(LinkKinds(), s.Link.Kind), "a link needs a kind and a reference"}, true
	case DoPeople:
		return needs{len(s.People) > 0, "it must say who is involved"}, true
	case DoCustomers:
		return needs{len(s.Customers) > 0, "it must say which customers"}, true
	case DoFinding:
		return needs{s.Finding != "" && by == "", "only Sallyport adds findings"}, true
	case DoExported:
		return needs{by == "", "only Sallyport says what it gave away"}, true
	case DoHypotheses:
		return needs{by == "" && len(s.Weighed) > 0, "only Sallyport weighs evidence"}, true
	case DoState:
		return needs{s.Text != "" && slices.Contains(next(c.State), s.State), fmt.Sprintf("from %s it goes to %v, with a reason", c.State, next(c.State))}, true
	case DoHold:
		return needs{!c.Hold && s.Text != "", "a hold needs a reason, and a case that has none"}, true
	case DoRelease:
		return needs{c.Hold && s.Text != "", "to let go of evidence needs a reason, and a case that holds some"}, true
	case DoAware:
		return needs{!s.At.IsZero(), "it must say when the company learned of it"}, true
	case DoMet:
		return needs{s.Deadline != "" && s.Text != "", "it must say which deadline was met, and how"}, true
	}
	return needs{}, false
}

func (c *Case) mayClose(s *sallyport.CaseStep, no func(string, ...any) error) error {
	switch {
	case s.Text == "" || !slices.Contains(Outcomes(), s.Outcome):
		return no("it ends with a reason and an outcome: %v", Outcomes())
	case (s.Outcome == Confirmed) != (len(s.People) > 0):
		return no("it says who did it if, and only if, it is %s", Confirmed)
	}
	for _, who := range s.People {
		if !slices.Contains(c.People, who) {
			return no("who did it has to be involved in the case")
		}
	}
	return nil
}
