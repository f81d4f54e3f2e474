package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sallyport/api"
)

func (s *Console) drillRoutes(mux *http.ServeMux) {
	mux.Handle("GET /drills", s.as(s.drills))
	mux.Handle("POST /drills", s.as(s.playDrill))
	mux.Handle("GET /drills/{id}", s.as(s.drill))
}

// drillReport is what came of a drill, as its report has it.
type drillReport struct {
	Drill     string    `json:"drill"`
	ID        string    `json:"id"`
	Story     string    `json:"story"`
	State     string    `json:"state"`
	Trouble   string    `json:"trouble"`
	Acts      bool      `json:"acts"`
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended"`
	Accounts  []string  `json:"accounts"`
	Customers int       `json:"customers"`
	Asked     int       `json:"asked"`
	Lost      int       `json:"lost"`
	Tokens    int       `json:"tokens"`
	Refused   int       `json:"refused"`
	Detect    *float64  `json:"seconds_to_detect"`
	Contain   *float64  `json:"seconds_to_contain"`
	Name      *float64  `json:"seconds_to_name"`
	Named     string    `json:"named"`
	Marks     []struct {
		Time time.Time `json:"time"`
		What string    `json:"what"`
	} `json:"marks"`
	Score int `json:"score"`
}

// drillsPage are the drills that there are, and those that were played.
type drillsPage struct {
	Plans []api.DrillPlan
	Runs  []drillRun
	Plays bool // policies let whoever looks play one
}

type drillRun struct {
	api.DrillRun
	Figures *drillReport
}

func (s *Console) drills(v *visit) error {
	list, err := v.api.Drills(v.r.Context())
	if err != nil {
		return err
	}
	p := drillsPage{Plans: list.Plans, Plays: v.may("administer")}
	for _, x := range list.Runs {
		run := drillRun{DrillRun: x}
		if len(x.Report) > 0 {
			run.Figures = &drillReport{}
			if err := json.Unmarshal(x.Report, run.Figures); err != nil {
				return fmt.Errorf("read the report of a drill: %w", err)
			}
		}
		p.Runs = append(p.Runs, run)
	}
	return v.show("drills", "Drills", p)
}

func (s *Console) playDrill(v *visit) error {
	id, err := v.api.StartDrill(v.r.Context(), v.form("name"), v.form("reason"))
	if err != nil {
		return err
	}
	return v.done("/drills/"+url.PathEscape(id), "playing")
}

func (s *Console) drill(v *visit) error {
	var r drillReport
	if err := v.api.DrillReport(v.r.Context(), url.PathEscape(v.r.PathValue("id")), &r); err != nil {
		return err
	}
	f := v.frame("Drill "+r.ID, r)
	if r.State == "running" {
		f.Again = v.r.URL.Path
	}
	s.pages.show(v.w, http.StatusOK, "drill", f)
	return nil
}
