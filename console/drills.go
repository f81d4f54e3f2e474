package console

import (
	"net/http"
	"net/url"
	"slices"

	"sallyport/api"
	"sallyport/drill"
)

func (s *Console) drillRoutes(mux *http.ServeMux) {
	mux.Handle("GET /drills", s.as(s.drills))
	mux.Handle("POST /drills", s.as(s.playDrill))
	mux.Handle("GET /drills/{id}", s.as(s.drill))
}

// drillsPage are the drills that there are, and those that were played.
type drillsPage struct {
	Plans []api.DrillPlan
	Runs  []drill.Run // the newest first
	Plays bool        // policies let whoever looks play one
}

// mostRuns is how many drills are told of.
const mostRuns = 50

func (s *Console) drills(v *visit) error {
	list, err := v.api.Drills(v.r.Context())
	if err != nil {
		return err
	}
	slices.Reverse(list.Runs)
	p := drillsPage{Plans: list.Plans, Plays: v.may("administer"), Runs: list.Runs[:min(len(list.Runs), mostRuns)]}
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
	var r drill.Report
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
