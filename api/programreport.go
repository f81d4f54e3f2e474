package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// ReportQuestion is which report of the programme is to be made, and of what.
type ReportQuestion struct {
	Report    string            `json:"report"`              // one of Reports
	Days      int               `json:"days"`                // how many days back; 0: 90
	Documents map[string]string `json:"documents,omitempty"` // of drift and board: written policies, by the names of their files; none: those that the configuration names
	Paragraph string            `json:"paragraph,omitempty"` // of privileges: that the smaller policy enforces
	Longer    int               `json:"longer,omitempty"`    // of privileges: how many days that is replayed over; 0: 365
	Firm      string            `json:"firm,omitempty"`      // of firms, firm and offboarding: one of them
	Client    string            `json:"client,omitempty"`    // of firm: what concerns this client alone
	Month     string            `json:"month,omitempty"`     // of board: as 2026-11; empty: the present one
	Standard  string            `json:"standard,omitempty"`  // of status: cert, attack or all; empty: cert
	Staff     string            `json:"staff,omitempty"`     // of handover: whose work, by pseudonym; by name since two agreed
}

// ProgramReports are the reports that can be asked for.
func ProgramReports() []string {
	return []string{"assets", "board", "drift", "effect", "firms", "firm", "handover", "offboarding", "privileges", "separation", "status"}
}

// ReportAnswer is a report.
type ReportAnswer struct {
	Report string          `json:"report"`
	At     time.Time       `json:"at"`
	Found  json.RawMessage `json:"found"` // as the command of that name prints with --json
}

// programReport makes a report from the record as it stands, people by pseudonym. That somebody asked is recorded first.
func (s *Server) programReport(r *http.Request, me sallyport.Staff) (any, error) {
	var q ReportQuestion
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if q.Days == 0 {
		q.Days = 90
	}
	if q.Longer == 0 {
		q.Longer = 365
	}
	switch {
	case s.c.Program == nil || s.c.Program.Report == nil:
		return nil, &Problem{http.StatusConflict, "no_program", "This serve makes no reports of the programme.", ""}
	case !slices.Contains(ProgramReports(), q.Report):
		return nil, &Problem{http.StatusBadRequest, "bad_report", "There is no report of this name.", "Use one of " + strings.Join(ProgramReports(), ", ") + "."}
	case q.Days < 0 || q.Days > mostDays || q.Longer < 0 || q.Longer > mostDays:
		return nil, &Problem{http.StatusBadRequest, "bad_report", "A report looks 1 to 3,660 days back.", ""}
	}
	who, about := sallyport.Staff(""), q.Firm
	if q.Staff != "" {
		var err error
		if who, err = s.personOf(r.Context(), me, q.Staff); err != nil {
			return nil, err
		}
		about = s.callsTo(me)(who)
	}
	if err := s.asked(me, "program_"+q.Report, about, "asked for a report of the programme"); err != nil {
		return nil, err
	}
	q.Staff = string(who)
	found, err := s.c.Program.Report(r.Context(), me, &q, s.callsTo(me))
	if err != nil {
		return nil, err
	}
	return &ReportAnswer{q.Report, s.c.Now(), found}, nil
}

// mostDays is how far a report looks back.
const mostDays = 3660

// ProgramReport asks for a report of the programme.
func (c *Client) ProgramReport(ctx context.Context, q *ReportQuestion) (*ReportAnswer, error) {
	answer := &ReportAnswer{}
	err := c.call(ctx, http.MethodPost, "/v1/program/reports", q, answer)
	return answer, err
}
