package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"sallyport"
	"sallyport/control"
)

// Finding is what detection found, as it stands, with what was done about it.
type Finding struct {
	Finding   json.RawMessage `json:"finding"` // as 'sallyport analyze --json' prints it
	First     time.Time       `json:"first"`   // when it was raised
	Lines     int             `json:"lines"`   // it has grown as often
	Name      string          `json:"name,omitempty"`
	Responses []Response      `json:"responses"`
}

// Response is a step because of a finding.
type Response struct {
	ID       string          `json:"id"`
	Step     string          `json:"step"`
	About    sallyport.Staff `json:"about"`
	State    string          `json:"state"` // would, asked, done, failed, reversed
	Undone   bool            `json:"undone,omitempty"`
	At       time.Time       `json:"at"`
	Why      string          `json:"why"`
	Attempts int             `json:"attempts,omitempty"`
	Trouble  string          `json:"trouble,omitempty"`
	Held     *sallyport.Held `json:"held,omitempty"`
}

func (s *Server) findingRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/findings", s.as(investigators, s.findings))
	mux.Handle("POST /v1/respond/undo", s.as(administrators, s.undoResponse))
	mux.Handle("POST /v1/respond/mode", s.as(administrators, s.respondMode))
}

// findings answers what was found; of one where id says which. That somebody asked is recorded first. Nobody reads what is about himself.
func (s *Server) findings(r *http.Request, me sallyport.Staff) (any, error) {
	id := r.URL.Query().Get("id")
	if len(id) > 300 {
		return nil, &Problem{http.StatusBadRequest, "bad_request", "No finding has such an id.", "sallyport findings lists them."}
	}
	e := s.event(sallyport.Queried, me, &sallyport.Order{Action: "findings", By: me, Details: id})
	e.Note = "what was found"
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	list := []Finding{}
	for _, f := range s.state.Findings() {
		if id != "" && !s.isCalled(me, id, f.ID, f.About) || s.aboutHimself(&f, me) {
			continue
		}
		list = append(list, s.finding(me, &f))
	}
	if id != "" && len(list) == 0 {
		return nil, &Problem{http.StatusNotFound, "no_such_finding", "There is no finding with this id that you may read.", "sallyport findings lists them."}
	}
	return pagedWith(r, "findings", list, findingID, map[string]any{"mode": s.state.Responds()})
}

// findingID is its id as whoever looks knows it.
func findingID(f *Finding) string {
	var line struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(f.Finding, &line) // it was made here
	return line.ID
}

func (s *Server) aboutHimself(f *control.Finding, me sallyport.Staff) bool {
	var about struct {
		Staff []sallyport.Staff `json:"staff"`
	}
	return json.Unmarshal(f.JSON, &about) != nil || slices.Contains(about.Staff, me) || f.About == me
}

// finding is one as somebody may see it: by pseudonym, until two people agreed that he sees who it is.
func (s *Server) finding(me sallyport.Staff, f *control.Finding) Finding {
	x := Finding{Finding: s.lineTo(me, f), First: f.First, Lines: f.Lines, Responses: []Response{}}
	call, mask := s.callsTo(me), s.masker(me, []sallyport.Staff{f.About})
	if s.c.Named != nil && s.shownTo(me)(f.About) {
		x.Name = s.c.Named(f.About)
	}
	for _, a := range s.state.Answers(f.ID) {
		x.Responses = append(x.Responses, Response{
			ID: Pseudonymous(a.ID, f.About, call(f.About)), Step: a.Step, About: sallyport.Staff(call(a.About)), State: a.State, Undone: a.Undone, At: a.At, Why: mask(a.Reason),
			Attempts: a.Attempts, Trouble: mask(a.Trouble), Held: a.Held,
		})
	}
	return x
}

type undoRequest struct {
	ID     string `json:"id"` // of a finding or of a response
	Reason string `json:"reason"`
}

// undoResponse proposes to take back what was done because of a finding.
func (s *Server) undoResponse(r *http.Request, me sallyport.Staff) (any, error) {
	var q undoRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reasoned := request{Reason: q.Reason}
	if err := reasoned.reasoned(); err != nil {
		return nil, err
	}
	about, id := s.answerCalled(me, q.ID)
	if id == "" {
		return nil, &Problem{http.StatusNotFound, "no_such_response", "Nothing was done that has this id.", "sallyport findings lists what was done."}
	}
	return s.propose(me, sallyport.Order{Action: control.UndoResponse, About: about, Reason: reasoned.Reason, Details: id}, func() error { return nil })
}

// answerCalled is whom the step is about that somebody calls so, and its own id, or that of the finding where he asks for all of its steps.
func (s *Server) answerCalled(me sallyport.Staff, asked string) (about sallyport.Staff, id string) {
	for _, f := range s.state.Findings() {
		for _, a := range s.state.Answers(f.ID) {
			switch {
			case s.isCalled(me, asked, f.ID, f.About):
				return a.About, f.ID
			case s.isCalled(me, asked, a.ID, f.About):
				return a.About, a.ID
			}
		}
	}
	return "", ""
}

type modeRequest struct {
	Mode   string `json:"mode"`
	Reason string `json:"reason"`
}

// respondMode proposes that Sallyport acts on findings from then on, or does not.
func (s *Server) respondMode(r *http.Request, me sallyport.Staff) (any, error) {
	var q modeRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reasoned := request{Reason: q.Reason}
	if err := reasoned.reasoned(); err != nil {
		return nil, err
	}
	return s.propose(me, sallyport.Order{Action: control.Respond, Reason: reasoned.Reason, Details: q.Mode}, func() error { return nil })
}

// Findings lists what was found, or one of it where id is not empty, and whether Sallyport acts on it.
func (c *Client) Findings(ctx context.Context, id string) (list []Finding, mode string, err error) {
	path := "/v1/findings"
	if id != "" {
		path += "?id=" + url.QueryEscape(id)
	}
	list, rest, err := pagesWith[Finding](ctx, c, path, "findings")
	if err == nil {
		err = json.Unmarshal(rest["mode"], &mode)
	}
	return list, mode, err
}

// UndoResponse proposes to take back what was done, and returns the proposal's id.
func (c *Client) UndoResponse(ctx context.Context, id, reason string) (string, error) {
	return c.proposed(ctx, "/v1/respond/undo", undoRequest{id, reason})
}

// RespondMode proposes that Sallyport acts on findings, or only observes, and returns the proposal's id.
func (c *Client) RespondMode(ctx context.Context, mode, reason string) (string, error) {
	return c.proposed(ctx, "/v1/respond/mode", modeRequest{mode, reason})
}

func (c *Client) proposed(ctx context.Context, path string, q any) (string, error) {
	var answer struct {
		Proposal string `json:"proposal"`
	}
	err := c.call(ctx, http.MethodPost, path, q, &answer)
	return answer.Proposal, err
}
