package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"sallyport/api"
)

// tracePage is who may be behind the reports of scam calls.
type tracePage struct {
	Reports     int       `json:"reports"`
	Unconfirmed int       `json:"unconfirmed"`
	Verdict     string    `json:"verdict"`
	Suspects    []traced  `json:"suspects"`
	None        float64   `json:"none"`
	FalseNaming float64   `json:"false_accusation"`
	More        *int      `json:"more_reports_needed"`
	AskNext     []string  `json:"ask_next"`
	Forged      int       `json:"forged_reports_to_overturn"`
	Calm        int       `json:"calm"`
	Since       time.Time `json:"since"`

	List   []api.Report `json:"-"` // newest first
	Shares shareChart   `json:"-"`
	Case   uint64       `json:"-"`
	Hows   []string     `json:"-"`
	Me     string       `json:"-"`
	Most   int          `json:"-"` // of List that are left out
	State  string       `json:"-"` // of all reports: another one, and the page is old
}

type traced struct {
	Staff     []string `json:"staff"`
	Posterior float64  `json:"posterior"`
	LogOdds   float64  `json:"log10_odds"`
	Seen      int      `json:"seen"`
	Expected  float64  `json:"expected"`
	Customers int      `json:"customers"`
}

// The bounds of the page.
const (
	mostSuspects = 10
	mostReports  = 50
	mostPasted   = 200 // reports at once
)

func (s *Console) traceRoutes(mux *http.ServeMux) {
	mux.Handle("GET /trace", s.as(s.trace))
	mux.Handle("GET /trace/part", s.as(s.tracePart))
	mux.HandleFunc("GET /trace/stream", s.traceStream)
	mux.Handle("POST /trace/upload", s.as(s.addReports))
	mux.Handle("POST /trace/{id}/judge", s.as(s.judgeReport))
}

func (s *Console) trace(v *visit) error {
	p, err := v.traced()
	if err != nil {
		return err
	}
	return v.show("trace", "Trace", p)
}

// tracePart is the part of the page that moves as reports come and are confirmed.
func (s *Console) tracePart(v *visit) error {
	p, err := v.traced()
	if err != nil {
		return err
	}
	return v.part("trace", "Trace", p)
}

// traceStream tells an open page that a report has come, or was judged.
func (s *Console) traceStream(w http.ResponseWriter, r *http.Request) {
	s.follow(w, r, func(v *visit) (string, error) { return v.api.ReportsState(v.r.Context()) }, "investigate")
}

// traced asks who may be behind the reports.
func (v *visit) traced() (p tracePage, err error) {
	p = tracePage{Hows: api.Hows(), Me: string(v.me.Staff)}
	if p.State, err = v.api.ReportsState(v.r.Context()); err != nil { // what comes while the rest is asked for is told once more
		return p, err
	}
	raw, err := v.api.Trace(v.r.Context())
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("read what was traced: %w", err)
	}
	if len(p.Suspects) > mostSuspects {
		p.Suspects = p.Suspects[:mostSuspects]
	}
	list, err := v.api.Reports(v.r.Context())
	if err != nil {
		return p, err
	}
	slices.Reverse(list)
	if len(list) > mostReports {
		p.Most, list = len(list)-mostReports, list[:mostReports]
	}
	p.List = list
	return p, v.weighings(&p)
}

// weighings are what the reports came to one after the other, as their case has it.
func (v *visit) weighings(p *tracePage) error {
	all, err := v.api.Cases(v.r.Context())
	if isProblem(err, "no_cases") {
		return nil
	}
	if err != nil {
		return err
	}
	for i := len(all) - 1; i >= 0 && p.Case == 0; i-- {
		if all[i].Source == "reports" {
			p.Case = all[i].Number
		}
	}
	if p.Case == 0 {
		return nil
	}
	c, err := v.api.Case(v.r.Context(), fmt.Sprint(p.Case))
	p.Shares = sharesOf(c.Weighed)
	return err
}

// addReports takes one report or several, typed, pasted or as a file. All of them are good, or none is taken.
func (s *Console) addReports(v *visit) error {
	list, err := v.reportsIn()
	if err != nil {
		return err
	}
	if len(list) == 0 || len(list) > mostPasted {
		return &api.Problem{Status: http.StatusBadRequest, Code: "bad_report", Sentence: fmt.Sprintf("Between 1 and %d reports are taken at once.", mostPasted), Hint: "Nothing was taken."}
	}
	for _, r := range list {
		if why := r.Check(s.c.Now()); why != "" {
			return &api.Problem{Status: http.StatusBadRequest, Code: "bad_report", Sentence: "One of the reports cannot be taken: " + why + ".", Hint: "Nothing was taken."}
		}
	}
	for _, r := range list {
		if _, err := v.api.AddReport(v.r.Context(), r); err != nil {
			return err
		}
	}
	return v.done("/trace", "reported")
}

func (s *Console) judgeReport(v *visit) error {
	if err := v.api.JudgeReport(v.r.Context(), v.r.PathValue("id"), v.form("real") == "yes", v.form("how")); err != nil {
		return err
	}
	return v.done("/trace", "judged")
}
