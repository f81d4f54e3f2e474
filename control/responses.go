package control

import (
	"time"

	"sallyport"
)

// Whether Sallyport acts on findings.
const (
	ModeAct     = "act"
	ModeObserve = "observe" // it only says what it would have done
)

// The states of a response.
const (
	Would    = "would" // nothing was done: Sallyport only observes
	Asked    = "asked" // it is to be done outside of Sallyport
	Did      = "done"
	Failed   = "failed"   // it will be tried again
	Reversed = "reversed" // what was done outside was taken back there, too
)

// Finding is one of detection's, as it stands.
type Finding struct {
	ID    string
	About sallyport.Staff
	First time.Time // when it was raised
	Last  time.Time
	Lines int    // it has grown as often
	JSON  []byte // of the last line
}

// Answer is a response as it stands.
type Answer struct {
	sallyport.Response
	About  sallyport.Staff
	At     time.Time // of the first entry about it
	Reason string
	Undone bool // two people have taken it back
}

// answers are findings, and what was done about them.
type answers struct {
	mode     string // act or observe; empty: nobody has said yet
	findings map[string]*Finding
	found    []string
	answers  map[string]*Answer
	order    []string
	held     []string // of order those that hold evidence
}

func newAnswers() answers {
	return answers{findings: map[string]*Finding{}, answers: map[string]*Answer{}}
}

func (a *answers) find(e *sallyport.Event, o *sallyport.Order) {
	f := a.findings[o.ID]
	if f == nil {
		f = &Finding{ID: o.ID, About: o.About, First: e.Time}
		a.findings[o.ID] = f
		a.found = append(a.found, o.ID)
	}
	f.Last, f.JSON = e.Time, o.Finding
	f.Lines++
}

// noteResponse keeps what was done because of a finding. Only Sallyport itself responds.
func (s *State) noteResponse(e *sallyport.Event, o *sallyport.Order) {
	r := o.Response
	if r == nil || r.ID == "" || o.By != "" {
		return
	}
	a := s.answers.answers[r.ID]
	if a == nil {
		a = &Answer{About: o.About, At: e.Time, Reason: o.Reason}
		s.answers.answers[r.ID] = a
		s.answers.order = append(s.answers.order, r.ID)
		if r.Held != nil {
			s.answers.held = append(s.answers.held, r.ID)
		}
	}
	a.Response = *r
}

// of are the responses about somebody of that id, or to the finding of that id, that nobody has taken back.
func (a *answers) of(who sallyport.Staff, id string) (list []*Answer) {
	for _, known := range a.order {
		x := a.answers[known]
		if x.About == who && !x.Undone && x.State != Would && (x.ID == id || x.Finding == id) {
			list = append(list, x)
		}
	}
	return list
}

// undoResponse takes back what was done inside Sallyport. A lock or a suspension that was there before, or that a person gave, stays.
func (s *State) undoResponse(p *Proposal) {
	for _, x := range s.answers.of(p.About, p.Details) {
		x.Undone = true
		s.doors.uncap(x.About, x.ID)
		person := s.people[x.About]
		if person == nil {
			continue
		}
		changed := false
		for _, h := range []**hold{&person.locked, &person.suspended} {
			if *h != nil && (*h).response == x.ID {
				*h, changed = nil, true
			}
		}
		if person.locked == nil && person.suspended == nil {
			delete(s.people, x.About)
		}
		if changed {
			s.changes = append(s.changes, change{x.About, s.standing(x.About)})
		}
	}
}

// Responds is whether Sallyport acts on findings, as the record has it; empty: it says nothing of it.
func (s *State) Responds() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers.mode
}

// Findings lists them in the order in which they were raised.
func (s *State) Findings() []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Finding, len(s.answers.found))
	for i, id := range s.answers.found {
		list[i] = *s.answers.findings[id]
	}
	return list
}

// Answers lists what was done about a finding, or about all where id is empty, in the order of time.
func (s *State) Answers(finding string) (list []Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.answers.order {
		if x := s.answers.answers[id]; finding == "" || x.Finding == finding {
			list = append(list, *x)
		}
	}
	return list
}

// Evidence says of which finding an entry of the access stream is evidence; empty: of none that still stands.
func (s *State) Evidence(seq uint64, who sallyport.Staff) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.answers.held {
		if x := s.answers.answers[id]; x.Held != nil && x.About == who && !x.Undone && x.Held.From <= seq && seq <= x.Held.To {
			return "it is evidence of the finding " + x.Finding
		}
	}
	return ""
}

// Answer is one response.
func (s *State) Answer(id string) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.answers.answers[id]; x != nil {
		return *x, true
	}
	return Answer{}, false
}
