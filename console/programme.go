package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/program"
)

// programmePage is what an insider-threat programme does beside the software. Reviews and draws are there at once; a report reads the whole record, so it
// is made when somebody asks for it.
type programmePage struct {
	Reviews   []reviewed // open ones first, those that are due first
	More      int        // that are not shown
	Rotations []api.RotationStatus
	Reports   []reportButton

	Report     string // that was asked for; empty: none
	At         time.Time
	Assets     []program.Asset
	Separation *separationReport
	Firms      []program.FirmExposure
	Status     []program.Status
}

// reviewed is a review of one person's access.
type reviewed struct {
	api.ReviewStatus
	Mine bool // it is open: whoever sees it may decide
}

// reportButton is a report that can be asked for.
type reportButton struct{ Name, Words string }

// separationReport is what breaks the rules of many eyes.
type separationReport struct {
	Rules      int                 `json:"rules"`
	Violations []program.Violation `json:"violations"`
}

// mostReviews are shown; sallyport program review ls prints all.
const mostReviews = 100

func (s *Console) programmeRoutes(mux *http.ServeMux) {
	mux.Handle("GET /programme", s.as(func(v *visit) error { return v.programme(&programmePage{}) }))
	mux.Handle("POST /programme", s.as(s.makeReport))
	mux.Handle("POST /programme/reviews", s.as(s.decideReview))
}

// programmeReports are those that a page shows.
func programmeReports() []reportButton {
	return []reportButton{{"assets", "Assets"}, {"separation", "Separation and many eyes"}, {"firms", "Outside firms"}, {"status", "The 22 practices"}}
}

// programme shows the page. Whoever may not see the draws sees his people's reviews.
func (v *visit) programme(p *programmePage) error {
	list, err := v.api.Reviews(v.r.Context())
	if err != nil {
		return err
	}
	for _, x := range list {
		p.Reviews = append(p.Reviews, reviewed{x, x.State == "open"})
	}
	slices.SortStableFunc(p.Reviews, func(a, b reviewed) int {
		if a.Mine != b.Mine {
			if a.Mine {
				return -1
			}
			return 1
		}
		return a.Until.Compare(b.Until)
	})
	if n := len(p.Reviews); n > mostReviews {
		p.Reviews, p.More = p.Reviews[:mostReviews], n-mostReviews
	}
	if !v.may("investigate") {
		return v.show("programme", "Programme", p)
	}
	p.Reports = programmeReports()
	if p.Rotations, err = v.api.Rotations(v.r.Context()); err != nil {
		return err
	}
	slices.Reverse(p.Rotations)
	return v.show("programme", "Programme", p)
}

// statusReport is the part of that report that the page shows.
type statusReport struct {
	Practices []program.Status `json:"practices"`
}

// makeReport has a report made, which is on record first.
func (s *Console) makeReport(v *visit) error {
	p := &programmePage{Report: v.form("report")}
	if !slices.ContainsFunc(programmeReports(), func(b reportButton) bool { return b.Name == p.Report }) {
		return &api.Problem{Status: http.StatusBadRequest, Code: "bad_report", Sentence: "There is no such report on this page.", Hint: "The others are commands: sallyport program --help."}
	}
	answer, err := v.api.ProgramReport(v.r.Context(), &api.ReportQuestion{Report: p.Report})
	if err != nil {
		return err
	}
	p.At = answer.At
	var status statusReport
	into := map[string]any{"assets": &p.Assets, "separation": &p.Separation, "firms": &p.Firms, "status": &status}[p.Report]
	if err := json.Unmarshal(answer.Found, into); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	p.Status = status.Practices
	return v.programme(p)
}

// decideReview says whether somebody keeps what he may read.
func (s *Console) decideReview(v *visit) error {
	keep := v.form("keep") == "yes"
	if err := v.api.DecideReview(v.r.Context(), v.form("name"), sallyport.Staff(v.form("staff")), keep, v.form("reason")); err != nil {
		return err
	}
	return v.done("/programme", "reviewed")
}

// staffOf names people, or nobody.
func staffOf(list []sallyport.Staff) string {
	if len(list) == 0 {
		return "nobody"
	}
	names := make([]string, len(list))
	for i, who := range list {
		names[i] = string(who)
	}
	return strings.Join(names, ", ")
}
