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
	// Report is what came of it so far, as JSON.
	Report func(id string) (json.RawMessage, bool)
	// Runs are those on record, the oldest first.
	Runs func() []drill.Run
}

type drillRequest struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

func (s *Server) drillRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/drills", s.as(administrators, s.startDrill))
	mux.Handle("GET /v1/drills", s.as(overseers, s.drillRuns))
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

func (s *Server) drillReport(r *http.Request, _ sallyport.Staff) (any, error) {
	if s.c.Drills != nil {
		if report, ok := s.c.Drills.Report(r.PathValue("id")); ok {
			return report, nil
		}
	}
	return nil, &Problem{http.StatusNotFound, "no_such_drill", "There is no drill with this id since serve started.", "What came of older ones stands in the record."}
}

// drillRuns lists what came of drills.
func (s *Server) drillRuns(_ *http.Request, me sallyport.Staff) (any, error) {
	if s.c.Drills == nil || s.c.Drills.Runs == nil {
		return nil, &Problem{http.StatusNotFound, "no_drills", "This serve plays no drills.", "See docs/drills.md."}
	}
	if err := s.asked(me, "drills", "", "listed drills"); err != nil {
		return nil, err
	}
	return map[string]any{"drills": append([]drill.Run{}, s.c.Drills.Runs()...)}, nil
}

// DrillRuns lists drills on record, the oldest first.
func (c *Client) DrillRuns(ctx context.Context) ([]drill.Run, error) {
	var answer struct {
		Drills []drill.Run `json:"drills"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/drills", nil, &answer)
	return answer.Drills, err
}

// StartDrill begins a drill.
func (c *Client) StartDrill(ctx context.Context, name, reason string) (id string, err error) {
	var answer struct {
		Drill string `json:"drill"`
	}
	err = c.call(ctx, http.MethodPost, "/v1/drills", drillRequest{name, reason}, &answer)
	return answer.Drill, err
}

// DrillReport reads what came of a drill so far into report.
func (c *Client) DrillReport(ctx context.Context, id string, report any) error {
	return c.call(ctx, http.MethodGet, "/v1/drills/"+id, nil, report)
}
