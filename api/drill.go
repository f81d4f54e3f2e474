package api

import (
	"context"
	"encoding/json"
	"net/http"

	"sallyport"
	"sallyport/drill"
)

// Drills plays thefts.
type Drills struct {
	// Start begins one. Its error is a sentence for people.
	Start func(by sallyport.Staff, name, reason string) (id string, err error)
	// Plans are those that can be played.
	Plans func() []DrillPlan
	// Report is what came of it so far, as JSON.
	Report func(id string) (json.RawMessage, bool)
	// Runs are those on record, the oldest first.
	Runs func() []drill.Run
}

// DrillPlan is how a theft goes that can be played.
type DrillPlan struct {
	Name     string `json:"name"`
	Story    string `json:"story"`
	Accounts int    `json:"accounts"`          // that it takes
	Missing  string `json:"missing,omitempty"` // why it cannot be played
}

// DrillList are drills.
type DrillList struct {
	Plans []DrillPlan `json:"plans"`
	Runs  []drill.Run `json:"runs"` // the oldest first
}

type drillRequest struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

func (s *Server) drillRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/drills", s.as(administrators, s.startDrill))
	mux.Handle("GET /v1/drills", s.as(overseers, s.drills))
	mux.Handle("GET /v1/drills/{id}", s.as(overseers, s.drillReport))
}

func (s *Server) startDrill(r *http.Request, me sallyport.Staff) (any, error) {
	var q drillRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reason := request{Reason: q.Reason}
	if err := reason.reasoned(); err != nil {
		return nil, err
	}
	if err := s.stillFree(me)(); err != nil {
		return nil, err
	}
	if s.c.Drills == nil {
		return nil, &Problem{http.StatusNotFound, "no_drills", "This serve plays no drills.", "See docs/drills.md."}
	}
	id, err := s.c.Drills.Start(me, q.Name, reason.Reason)
	if err != nil {
		return nil, &Problem{http.StatusConflict, "not_played", sentence(err), "docs/drills.md says what it takes."}
	}
	return map[string]string{"drill": id}, nil
}

// drills lists them. They are about accounts of drills and customers who do not exist, so it is not recorded that somebody asks.
func (s *Server) drills(r *http.Request, _ sallyport.Staff) (any, error) {
	out := DrillList{Plans: []DrillPlan{}, Runs: []drill.Run{}}
	if s.c.Drills != nil && s.c.Drills.Plans != nil {
		out.Plans = append(out.Plans, s.c.Drills.Plans()...)
		out.Runs = append(out.Runs, s.c.Drills.Runs()...)
	}
	return pagedWith(r, "runs", out.Runs, func(x *drill.Run) string { return x.ID }, map[string]any{"plans": out.Plans})
}

func (s *Server) drillReport(r *http.Request, _ sallyport.Staff) (any, error) {
	if s.c.Drills != nil {
		if report, ok := s.c.Drills.Report(r.PathValue("id")); ok {
			return report, nil
		}
	}
	return nil, &Problem{http.StatusNotFound, "no_such_drill", "There is no drill with this id since serve started.", "What came of older ones stands in the record."}
}

// StartDrill begins a drill.
func (c *Client) StartDrill(ctx context.Context, name, reason string) (id string, err error) {
	var answer struct {
		Drill string `json:"drill"`
	}
	err = c.call(ctx, http.MethodPost, "/v1/drills", drillRequest{name, reason}, &answer)
	return answer.Drill, err
}

// Drills lists those that there are, and those that were played.
func (c *Client) Drills(ctx context.Context) (list DrillList, err error) {
	runs, rest, err := pagesWith[drill.Run](ctx, c, "/v1/drills", "runs")
	if err != nil {
		return list, err
	}
	list.Runs = runs
	return list, readRest(c, rest, map[string]any{"plans": &list.Plans})
}

// DrillReport reads what came of a drill so far into report.
func (c *Client) DrillReport(ctx context.Context, id string, report any) error {
	return c.call(ctx, http.MethodGet, "/v1/drills/"+id, nil, report)
}
