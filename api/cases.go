package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/cases"
	"sallyport/control"
)

// Cases are what people do about findings and reports.
type Cases struct {
	Book *cases.Book
	// Line is where other stands in the report line of who; nil: nobody stands in any.
	Line func(who, other sallyport.Staff) sallyport.Line
	// Pack makes the evidence pack that somebody and another agreed on; nil: none are made.
	Pack func(ctx context.Context, c *cases.Case, p control.Proposal, me sallyport.Staff) ([]byte, error)
	// Figures are what notices count, as JSON: how far each of the case's people got, without names of customers; nil: nobody counts.
	Figures func(ctx context.Context, c *cases.Case) (json.RawMessage, error)
	// Control is read for timelines.
	Control interface {
		Read(from uint64, fn func(*sallyport.Event) error) error
	}
}

// Case is one as somebody may see it: people by pseudonym but for whom he may know by name.
type Case struct {
	Number    uint64               `json:"number"`
	Title     string               `json:"title"`
	Source    string               `json:"source"`
	State     string               `json:"state"`
	Opened    time.Time            `json:"opened"`
	By        string               `json:"by"`
	Changed   time.Time            `json:"changed"`
	People    []string             `json:"people"`
	Customers int                  `json:"customers"`
	Findings  []string             `json:"findings"`
	Notes     []CaseNote           `json:"notes,omitempty"`
	Tasks     []CaseTask           `json:"tasks,omitempty"`
	Links     []sallyport.CaseLink `json:"links,omitempty"`
	Weighed   []CaseWeighing       `json:"weighed,omitempty"`
	Hold      bool                 `json:"hold"`
	HeldFrom  time.Time            `json:"held_from,omitzero"`
	Aware     time.Time            `json:"aware,omitzero"`
	Countries []string             `json:"countries,omitempty"`
	Met       map[string]time.Time `json:"met,omitempty"`
	Outcome   string               `json:"outcome,omitempty"`
	Guilty    []string             `json:"guilty,omitempty"`
	ClosedAt  time.Time            `json:"closed_at,omitzero"`
	Packs     []CasePack           `json:"packs,omitempty"` // evidence packs that were proposed, where one case is asked for
}

// CasePack is an evidence pack that was proposed.
type CasePack struct {
	Proposal string    `json:"proposal"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Status   string    `json:"status"`
	Whole    bool      `json:"whole,omitempty"` // entries are shown whole, also where they speak of other customers
	Yours    bool      `json:"yours,omitempty"` // you may fetch it now
}

// CaseNote is a remark, a decision or a change.
type CaseNote struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	Do   string    `json:"do"`
	Text string    `json:"text"`
}

// CaseTask is something to do.
type CaseTask struct {
	ID   uint64    `json:"id"`
	Text string    `json:"text"`
	By   string    `json:"by"`
	Done time.Time `json:"done,omitzero"`
	Who  string    `json:"who,omitempty"`
}

// CaseWeighing is what evidence came to at one time.
type CaseWeighing struct {
	At     time.Time        `json:"at"`
	Source string           `json:"source"`
	List   []CaseHypothesis `json:"list"`
}

// CaseHypothesis is one explanation.
type CaseHypothesis struct {
	Staff       []string `json:"staff"` // empty: nobody of the staff
	Type        string   `json:"type,omitempty"`
	Probability float64  `json:"probability"`
}

// CaseLine is a line of a timeline.
type CaseLine struct {
	At    time.Time `json:"at"`
	Entry uint64    `json:"entry"` // of the control stream
	By    string    `json:"by"`
	What  string    `json:"what"`
	Text  string    `json:"text"`

	wrote string // the end of Text, where By wrote it himself
}

func (s *Server) caseRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/cases", s.as(investigators, s.listCases))
	mux.Handle("POST /v1/cases", s.upTo(mostCaseBody, investigators, s.openCase))
	mux.Handle("GET /v1/cases/{n}", s.as(investigators, s.showCase))
	mux.Handle("GET /v1/cases/{n}/timeline", s.as(investigators, s.timeline))
	mux.Handle("POST /v1/cases/{n}/{do}", s.upTo(mostCaseBody, investigators, s.stepCase))
	mux.Handle("GET /v1/cases/{n}/pack/{id}", s.as(investigators, s.pack))
	mux.Handle("GET /v1/cases/{n}/figures", s.as(investigators, s.figures))
	mux.Handle("GET /v1/calibration", s.as(investigators, s.calibration))
}

// mostCaseBody is what a list of customers takes.
const mostCaseBody = 4 << 20

// caseFor is a case that somebody may see. Of one about himself, or somebody in whose report line he stands, he learns as much as of none.
func (s *Server) caseFor(me sallyport.Staff, text string) (c cases.Case, err error) {
	if s.c.Cases == nil {
		return c, &Problem{http.StatusConflict, "no_cases", "This serve keeps no cases.", ""}
	}
	n, _ := strconv.ParseUint(text, 10, 64) // 0 is no case
	c, ok := s.c.Cases.Book.Case(n)
	if !ok || c.Barred(me, s.c.Cases.Line) != "" {
		return c, &Problem{http.StatusNotFound, "no_such_case", "There is no case with this number that you may see.", "sallyport case ls lists them."}
	}
	return c, nil
}

func (s *Server) listCases(r *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Cases == nil {
		return nil, &Problem{http.StatusConflict, "no_cases", "This serve keeps no cases.", ""}
	}
	if err := s.asked(me, "cases", "", "listed cases"); err != nil {
		return nil, err
	}
	list := []Case{}
	for _, c := range s.c.Cases.Book.All() {
		if c.Barred(me, s.c.Cases.Line) == "" {
			x := s.caseTo(me, &c)
			x.Notes, x.Tasks, x.Weighed, x.Links = nil, nil, nil, nil
			list = append(list, x)
		}
	}
	return paged(r, "cases", list, func(c *Case) string { return strconv.FormatUint(c.Number, 10) })
}

func (s *Server) showCase(r *http.Request, me sallyport.Staff) (any, error) {
	c, err := s.caseFor(me, r.PathValue("n"))
	if err != nil {
		return nil, err
	}
	if err := s.asked(me, "case", fmt.Sprint(c.Number), "read a case"); err != nil {
		return nil, err
	}
	out := s.caseTo(me, &c)
	out.Packs = s.packs(me, c.Number)
	return out, nil
}

// barredFrom tells whether a proposal is about a case that somebody may not see.
func (s *Server) barredFrom(me sallyport.Staff, p *control.Proposal) bool {
	if p.Case == nil || s.c.Cases == nil {
		return false
	}
	c, ok := s.c.Cases.Book.Case(p.Case.Case)
	return ok && c.Barred(me, s.c.Cases.Line) != ""
}

// masker puts pseudonyms in the place of the people of a case in a text: a finding's id begins with a name.
func (s *Server) masker(me sallyport.Staff, people []sallyport.Staff) func(string) string {
	call := s.callsTo(me)
	var pairs []string
	longest := slices.SortedFunc(slices.Values(people), func(a, b sallyport.Staff) int { return len(b) - len(a) })
	for _, who := range longest {
		if name := call(who); name != string(who) && len(who) > 1 {
			pairs = append(pairs, string(who), name)
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

// caseTo is a case as somebody may see it.
func (s *Server) caseTo(me sallyport.Staff, c *cases.Case) Case {
	call, mask := s.callsTo(me), s.masker(me, c.People)
	wrote := func(by sallyport.Staff, text string) string { return ownWords(me, by, text, mask) }
	names := func(list []sallyport.Staff) []string {
		out := []string{}
		for _, who := range list {
			out = append(out, call(who))
		}
		return out
	}
	x := Case{
		Number: c.Number, Title: wrote(c.By, c.Title), Source: c.Source, State: c.State, Opened: c.Opened, By: byWhom(c.By), Changed: c.Changed, People: names(c.People), Customers: len(c.Customers), Findings: []string{},
		Links: c.Links, Hold: c.Hold, HeldFrom: c.HeldFrom, Aware: c.Aware, Countries: c.Countries, Met: c.Met, Outcome: c.Outcome, Guilty: names(c.Guilty), ClosedAt: c.ClosedAt,
	}
	for _, id := range c.Findings {
		x.Findings = append(x.Findings, mask(id))
	}
	for _, n := range c.Notes {
		x.Notes = append(x.Notes, CaseNote{n.At, byWhom(n.By), n.Do, wrote(n.By, n.Text)})
	}
	for _, t := range c.Tasks {
		x.Tasks = append(x.Tasks, CaseTask{t.ID, wrote(t.By, t.Text), byWhom(t.By), t.Done, string(t.Who)})
	}
	for _, w := range c.Weighed {
		one := CaseWeighing{At: w.At, Source: mask(w.Source)}
		for _, h := range w.List {
			one.List = append(one.List, CaseHypothesis{names(h.Staff), h.Type, h.Probability})
		}
		x.Weighed = append(x.Weighed, one)
	}
	return x
}

// byWhom names who did something in his office: people by name, Sallyport itself where nobody did.
func byWhom(who sallyport.Staff) string {
	if who == "" {
		return "Sallyport"
	}
	return string(who)
}

// CaseRequest is a step as it is asked for.
type CaseRequest struct {
	Text      string              `json:"text,omitempty"`
	State     string              `json:"state,omitempty"`
	Task      uint64              `json:"task,omitempty"`
	People    []string            `json:"people,omitempty"` // pseudonyms, or names that the caller may know
	Customers []sallyport.Subject `json:"customers,omitempty"`
	Finding   string              `json:"finding,omitempty"` // of open
	Link      *sallyport.CaseLink `json:"link,omitempty"`
	Outcome   string              `json:"outcome,omitempty"`
	At        time.Time           `json:"at,omitzero"`
	Deadline  string              `json:"deadline,omitempty"`
	Countries []string            `json:"countries,omitempty"`
}

func (s *Server) stepOf(r *http.Request, me sallyport.Staff) (step sallyport.CaseStep, err error) {
	var q CaseRequest
	if err := body(r, &q); err != nil {
		return step, err
	}
	step = sallyport.CaseStep{
		Text: strings.TrimSpace(q.Text), State: q.State, Task: q.Task, Customers: q.Customers, Link: q.Link, Outcome: q.Outcome, At: q.At.UTC(), Deadline: q.Deadline, Countries: q.Countries,
	}
	if q.At.IsZero() {
		step.At = time.Time{}
	}
	for _, text := range q.People {
		who, err := s.personOf(r.Context(), me, text)
		if err != nil {
			return step, err
		}
		step.People = append(step.People, who)
	}
	if q.Finding != "" {
		f, found := s.findingCalled(me, q.Finding)
		if step.Finding = f.ID; found {
			step.People = append(step.People, f.About)
		} else {
			return step, &Problem{http.StatusNotFound, "no_such_finding", "There is no finding with this id that you may read.", "sallyport findings lists them."}
		}
	}
	return step, nil
}

// openCase begins one.
func (s *Server) openCase(r *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Cases == nil {
		return nil, &Problem{http.StatusConflict, "no_cases", "This serve keeps no cases.", ""}
	}
	step, err := s.stepOf(r, me)
	if err != nil {
		return nil, err
	}
	step.Do, step.Source = cases.DoOpen, cases.FromPerson
	n, err := s.c.Orders.OpenCase(s.c.Cases.Book, &step, me, s.c.Now())
	if err != nil {
		return nil, stepProblem(err)
	}
	return map[string]uint64{"case": n}, nil
}

// OpenCase puts the opening of a case on record, with the next number, which it returns.
func (o *Orders) OpenCase(book *cases.Book, step *sallyport.CaseStep, by sallyport.Staff, at time.Time) (uint64, error) {
	e := &sallyport.Event{Time: at, Kind: sallyport.CaseKind, Who: sallyport.Who{Staff: by}, Order: &sallyport.Order{Action: "case", By: by, Case: step}}
	err := o.Give(func() error {
		step.Case = book.Next()
		return book.Check(step, by)
	}, e)
	return step.Case, err
}

// StepCase puts a step on record that takes one person, or Sallyport itself.
func (o *Orders) StepCase(book *cases.Book, step *sallyport.CaseStep, by sallyport.Staff, at time.Time) error {
	e := &sallyport.Event{Time: at, Kind: sallyport.CaseKind, Who: sallyport.Who{Staff: by}, Order: &sallyport.Order{Action: "case", By: by, Case: step}}
	return o.Give(func() error { return book.Check(step, by) }, e)
}

// stepCase takes a step, or proposes it where it takes two.
func (s *Server) stepCase(r *http.Request, me sallyport.Staff) (any, error) {
	c, err := s.caseFor(me, r.PathValue("n"))
	if err != nil {
		return nil, err
	}
	step, err := s.stepOf(r, me)
	if err != nil {
		return nil, err
	}
	step.Case, step.Do = c.Number, r.PathValue("do")
	if step.Do == cases.DoOpen {
		return nil, &Problem{http.StatusBadRequest, "bad_step", "The case is open already.", ""}
	}
	if err := s.stillFree(me)(); err != nil {
		return nil, err
	}
	if cases.Two(step.Do) {
		order := sallyport.Order{Action: cases.ProposalOf, Reason: step.Text, Details: fmt.Sprintf("%s case %d %s", step.Do, step.Case, step.Outcome), Subjects: c.People, Case: &step}
		answer, err := s.propose(me, order, func() error { return s.c.Cases.Book.Check(&step, me) })
		return answer, stepProblem(err)
	}
	if err := s.c.Orders.StepCase(s.c.Cases.Book, &step, me, s.c.Now()); err != nil {
		return nil, stepProblem(err)
	}
	return map[string]any{"case": step.Case, "do": step.Do}, nil
}

func stepProblem(err error) error {
	if errors.Is(err, cases.ErrStep) {
		return &Problem{http.StatusConflict, "bad_step", upper(strings.TrimPrefix(err.Error(), cases.ErrStep.Error()+": ")) + ".", "docs/cases.md says what can be done when."}
	}
	return err
}

// timeline is what the record says about a case, in its order.
func (s *Server) timeline(r *http.Request, me sallyport.Staff) (any, error) {
	c, err := s.caseFor(me, r.PathValue("n"))
	if err != nil {
		return nil, err
	}
	if err := s.asked(me, "case_timeline", fmt.Sprint(c.Number), "read the timeline of a case"); err != nil {
		return nil, err
	}
	list, err := Timeline(s.c.Cases.Control, &c)
	if err != nil {
		return nil, err
	}
	mask, call := s.masker(me, c.People), s.callsTo(me)
	for i := range list {
		list[i].Text = list[i].textTo(me, mask)
		if slices.Contains(c.People, sallyport.Staff(list[i].By)) {
			list[i].By = call(sallyport.Staff(list[i].By))
		}
	}
	return paged(r, "timeline", list, func(l *CaseLine) string { return fmt.Sprint(l.Entry, l.What) })
}

// Timeline gathers what the control stream says about a case, with names.
func Timeline(stream interface {
	Read(from uint64, fn func(*sallyport.Event) error) error
}, c *cases.Case,
) (list []CaseLine, err error) {
	proposals := map[string]bool{}
	err = stream.Read(1, func(e *sallyport.Event) error {
		if o := e.Order; o != nil {
			if text, ok := timelineText(e, o, c, proposals); ok {
				list = append(list, CaseLine{e.Time, e.Seq, byWhom(o.By), string(e.Kind), text, wroteInCase(o)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the control stream: %w", err)
	}
	return list, nil
}

// timelineText is what an entry says about a case.
func timelineText(e *sallyport.Event, o *sallyport.Order, c *cases.Case, proposals map[string]bool) (string, bool) {
	about := o.About != "" && slices.Contains(c.People, o.About)
	switch e.Kind {
	case sallyport.CaseKind:
		if o.Case != nil && o.Case.Case == c.Number {
			return strings.TrimSpace(o.Case.Do + " " + o.Case.State + " " + o.Case.Text), true
		}
	case sallyport.Proposed:
		if o.Case != nil && o.Case.Case == c.Number || about {
			proposals[o.ID] = true
			return strings.TrimSpace(o.Action + " " + o.ID + " " + o.Details + ": " + o.Reason), true
		}
	case sallyport.Approved, sallyport.Declined:
		return o.ID, proposals[o.ID]
	case sallyport.FindingKind:
		return "finding " + o.ID, slices.Contains(c.Findings, o.ID)
	case sallyport.ResponseKind, sallyport.Trusted, sallyport.Suspended, sallyport.Locked, sallyport.GrantEnded, sallyport.Confirmed:
		text := o.Action + " " + string(o.About) + " " + o.Details + " " + o.Reason
		if r := o.Response; r != nil {
			text = r.Step + " (" + r.State + "): " + o.Reason
		}
		return text, about
	case sallyport.ReportJudged:
		return reportLine(o), c.Source == cases.FromReports
	default:
		// The rest is not about a case.
	}
	return "", false
}

func reportLine(o *sallyport.Order) string {
	if o.Judged == nil {
		return ""
	}
	if o.Judged.Real {
		return "report " + o.Judged.Report + " confirmed by " + o.Judged.How
	}
	return "report " + o.Judged.Report + " denied by " + o.Judged.How
}

// figures are what notices count.
func (s *Server) figures(r *http.Request, me sallyport.Staff) (any, error) {
	c, err := s.caseFor(me, r.PathValue("n"))
	if err != nil {
		return nil, err
	}
	if s.c.Cases.Figures == nil {
		return nil, &Problem{http.StatusConflict, "no_blast", "This serve does not count.", ""}
	}
	if err := s.asked(me, "case_figures", fmt.Sprint(c.Number), "counted for the notices of a case"); err != nil {
		return nil, err
	}
	return s.c.Cases.Figures(r.Context(), &c)
}

// CaseFigures are what notices count.
func (c *Client) CaseFigures(ctx context.Context, n string) (json.RawMessage, error) {
	var answer json.RawMessage
	err := c.call(ctx, http.MethodGet, "/v1/cases/"+url.PathEscape(n)+"/figures", nil, &answer)
	return answer, err
}

// calibration compares what hypotheses said with how cases ended.
func (s *Server) calibration(r *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Cases == nil {
		return nil, &Problem{http.StatusConflict, "no_cases", "This serve keeps no cases.", ""}
	}
	if err := s.asked(me, "calibration", "", "compared hypotheses with outcomes"); err != nil {
		return nil, err
	}
	return paged(r, "bins", s.c.Cases.Book.Calibration(), func(b *cases.Bin) string { return strconv.FormatFloat(b.From, 'g', -1, 64) })
}

// Cases lists those that one may see.
func (c *Client) Cases(ctx context.Context) ([]Case, error) {
	return pages[Case](ctx, c, "/v1/cases", "cases")
}

// Case is one whole.
func (c *Client) Case(ctx context.Context, n string) (x Case, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/cases/"+url.PathEscape(n), nil, &x)
	return x, err
}

// CaseTimeline is what the record says about a case.
func (c *Client) CaseTimeline(ctx context.Context, n string) ([]CaseLine, error) {
	return pages[CaseLine](ctx, c, "/v1/cases/"+url.PathEscape(n)+"/timeline", "timeline")
}

// OpenCase begins one, and returns its number.
func (c *Client) OpenCase(ctx context.Context, q CaseRequest) (uint64, error) {
	var answer struct {
		Case uint64 `json:"case"`
	}
	err := c.call(ctx, http.MethodPost, "/v1/cases", q, &answer)
	return answer.Case, err
}

// StepCase takes a step; where it takes two it returns the proposal's id.
func (c *Client) StepCase(ctx context.Context, n, do string, q CaseRequest) (proposal string, err error) {
	return c.proposed(ctx, "/v1/cases/"+url.PathEscape(n)+"/"+url.PathEscape(do), q)
}

// Calibration compares what hypotheses said with how cases ended.
func (c *Client) Calibration(ctx context.Context) ([]cases.Bin, error) {
	return pages[cases.Bin](ctx, c, "/v1/calibration", "bins")
}
