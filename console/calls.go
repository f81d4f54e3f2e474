package console

import (
	"net/http"
	"strconv"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/assure"
)

// callsPage are one's own calls that customers can check, and, for who may investigate, links that show them who has seen their data.
type callsPage struct {
	Calls   []api.Call
	Topics  []string
	Made    *api.Call // just now: its code is shown once
	Links   []api.CustomerLink
	MayLink bool
	Issued  *api.CustomerLink // likewise
	Typed   callForm
}

// callForm is a call as it was typed: who is refused need not type it again.
type callForm struct {
	Customer, From, Minutes, About string
	Refused                        *api.Problem // nil: it was not
}

func (s *Console) callRoutes(mux *http.ServeMux) {
	mux.Handle("GET /calls", s.as(func(v *visit) error { return s.showCalls(v, callsPage{}) }))
	mux.Handle("POST /calls", s.as(s.schedule))
	mux.Handle("POST /calls/{id}/cancel", s.as(func(v *visit) error {
		if err := v.api.CancelCall(v.r.Context(), v.r.PathValue("id")); err != nil {
			return err
		}
		return v.done("/calls", "called_off")
	}))
	mux.Handle("POST /links", s.as(s.issue))
	mux.Handle("POST /links/{id}/end", s.as(func(v *visit) error {
		if err := v.api.EndLink(v.r.Context(), v.r.PathValue("id"), v.form("reason")); err != nil {
			return err
		}
		return v.done("/calls", "ended")
	}))
}

func (s *Console) showCalls(v *visit, p callsPage) error {
	var err error
	if p.Calls, err = v.api.Calls(v.r.Context()); err != nil {
		return err
	}
	p.Topics = assure.Topics()
	status := http.StatusOK
	if p.Typed.Refused == nil {
		p.Typed = callForm{From: s.c.Now().UTC().Format(minuteForm), Minutes: "30"}
	} else {
		status = p.Typed.Refused.Status
	}
	if p.MayLink = v.may("investigate") && s.c.API.HasLinks(); p.MayLink {
		if p.Links, err = v.api.Links(v.r.Context()); err != nil {
			return err
		}
	}
	s.pages.show(v.w, status, "calls", v.frame("Calls", p))
	return nil
}

// minuteForm is how browsers write a minute.
const minuteForm = "2006-01-02T15:04"

// schedule shows the code on the very page that answers: nothing keeps it.
func (s *Console) schedule(v *visit) error {
	from, err := time.Parse(minuteForm, v.form("from"))
	minutes, wrong := strconv.Atoi(v.form("minutes"))
	typed := callForm{Customer: v.form("customer"), From: v.form("from"), Minutes: v.form("minutes"), About: v.form("about")}
	if err != nil || wrong != nil {
		return &api.Problem{Status: http.StatusBadRequest, Code: "bad_call", Sentence: "A call has a time, and lasts so many minutes.", Hint: "Times are UTC here."}
	}
	call, err := v.api.ScheduleCall(v.r.Context(), api.CallRequest{Customer: sallyport.Subject(v.form("customer")), From: from, Minutes: minutes, About: typed.About})
	if p, ok := err.(*api.Problem); ok && p.Status < http.StatusInternalServerError && p.Status != http.StatusUnauthorized { //nolint:errorlint // the client returns it as it is
		typed.Refused = p
		return s.showCalls(v, callsPage{Typed: typed})
	}
	if err != nil {
		return err
	}
	return s.showCalls(v, callsPage{Made: &call})
}

func (s *Console) issue(v *visit) error {
	days, err := strconv.Atoi(v.form("days"))
	if err != nil {
		return &api.Problem{Status: http.StatusBadRequest, Code: "bad_link", Sentence: "A link holds so many days."}
	}
	link, err := v.api.IssueLink(v.r.Context(), api.LinkRequest{Customer: sallyport.Subject(v.form("customer")), Days: days, Language: v.form("language"), Reason: v.form("reason")})
	if err != nil {
		return err
	}
	return s.showCalls(v, callsPage{Issued: &link})
}
