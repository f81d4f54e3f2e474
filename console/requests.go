package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport"
	"sallyport/api"
)

// requestsPage are grants and whatever else takes two people.
type requestsPage struct {
	Waiting   []api.Grant // for whoever looks
	Others    []api.Grant
	Proposals []proposal
	Past      []api.Proposal
	None      string // why nothing can be asked for; empty: it can
	Classes   []string
	Typed     askForm
}

// askForm is a request as it was typed: who is refused need not type it again.
type askForm struct {
	Customers, Hours, Columns, Only, Reason string
	Classes                                 []string
	Refused                                 *api.Problem // nil: it was not
}

// Has tells whether a class was ticked.
func (f askForm) Has(class string) bool { return slices.Contains(f.Classes, class) }

// proposal is one that is open.
type proposal struct {
	api.Proposal
	Mine bool
}

// mostPast is how many requests that are over a page shows.
const mostPast = 25

func (s *Console) requestRoutes(mux *http.ServeMux) {
	mux.Handle("GET /requests", s.as(s.requests))
	mux.Handle("POST /requests", s.as(s.ask))
	mux.Handle("GET /requests/{id}", s.as(s.request))
	mux.Handle("POST /requests/{id}/{do}", s.as(s.decideRequest))
	mux.Handle("POST /proposals/{id}/{do}", s.as(s.decideProposal))
}

func (s *Console) requests(v *visit) error { return v.showRequests(askForm{Hours: "4"}) }

func (v *visit) showRequests(typed askForm) error {
	p := requestsPage{Classes: []string{"identity", "contact", "content", "reference"}, Typed: typed}
	list, err := v.api.Grants(v.r.Context())
	switch problem, ok := err.(*api.Problem); { //nolint:errorlint // the client returns it as it is
	case ok && problem.Code == "protects_nothing":
		p.None = problem.Sentence
	case err != nil:
		return err
	}
	slices.Reverse(list)
	for _, g := range list {
		switch {
		case g.MayDecide && g.Status == "asked":
			p.Waiting = append(p.Waiting, g)
		case len(p.Others) < mostPast:
			p.Others = append(p.Others, g)
		}
	}
	if len(v.me.May) > 0 {
		all, err := v.api.Proposals(v.r.Context())
		if err != nil {
			return err
		}
		slices.Reverse(all)
		for _, x := range all {
			switch {
			case x.Status == "open":
				p.Proposals = append(p.Proposals, proposal{x, x.By == v.me.Staff})
			case len(p.Past) < mostPast:
				p.Past = append(p.Past, x)
			}
		}
	}
	status := http.StatusOK
	if typed.Refused != nil {
		status = typed.Refused.Status
	}
	v.s.pages.show(v.w, status, "requests", v.frame("Requests", p))
	return nil
}

// ask asks for a grant.
func (s *Console) ask(v *visit) error {
	customers, _ := strconv.Atoi(v.form("customers")) // what is no number is refused as none
	hours, _ := strconv.ParseFloat(v.form("hours"), 64)
	if hours < 0 || hours > 24*366 {
		hours = 0
	}
	q := api.GrantRequest{
		Columns: strings.Fields(strings.ReplaceAll(v.form("columns"), ",", " ")), Classes: v.r.PostForm["class"], Customers: customers, Minutes: int(hours * 60),
		Team: v.form("team"), Reason: v.form("reason"),
	}
	for id := range strings.FieldsSeq(strings.ReplaceAll(v.form("only"), ",", " ")) {
		q.Only = append(q.Only, sallyport.Subject(id))
	}
	g, err := v.api.RequestGrant(v.r.Context(), q)
	if p, ok := err.(*api.Problem); ok && p.Status == http.StatusBadRequest { //nolint:errorlint // the client returns it as it is
		return v.showRequests(askForm{v.form("customers"), v.form("hours"), v.form("columns"), v.form("only"), v.form("reason"), v.r.PostForm["class"], p})
	}
	if err != nil {
		return err
	}
	return v.done("/requests/"+g.ID, "asked")
}

// requestPage is one request.
type requestPage struct {
	api.Grant
	Mine, MayEnd bool
}

func (s *Console) request(v *visit) error {
	g, err := v.api.Grant(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	approved := slices.ContainsFunc(g.Votes, func(x api.GrantVote) bool { return x.By == v.me.Staff })
	return v.show("request", "Request "+g.ID, requestPage{g, g.By == v.me.Staff, g.Status == "active" && (g.By == v.me.Staff || g.For == v.me.Staff || approved || v.may("administer"))})
}

func (s *Console) decideRequest(v *visit) error {
	id, reason := v.r.PathValue("id"), v.form("reason")
	var err error
	what := ""
	switch v.r.PathValue("do") {
	case "approve":
		what = "approved"
		_, err = v.api.ApproveGrant(v.r.Context(), id)
	case "decline":
		what = "declined"
		_, err = v.api.DeclineGrant(v.r.Context(), id, reason)
	case "end":
		what = "ended"
		_, err = v.api.EndGrant(v.r.Context(), id, reason)
	default:
		return noSuchDeed()
	}
	if err != nil {
		return err
	}
	return v.done("/requests/"+url.PathEscape(id), what)
}

func noSuchDeed() error {
	return &api.Problem{Status: http.StatusNotFound, Code: "no_such_page", Sentence: "That cannot be done.", Hint: ""}
}

// agreedPage is half a code, which is shown once.
type agreedPage struct{ Code string }

func (s *Console) decideProposal(v *visit) error {
	id := v.r.PathValue("id")
	switch v.r.PathValue("do") {
	case "approve":
		p, err := v.api.Approve(v.r.Context(), id)
		if err != nil {
			return err
		}
		if p.Code != "" {
			return v.show("agreed", "Approved", agreedPage{p.Code})
		}
		return v.done("/requests", "approved")
	case "decline":
		if _, err := v.api.Decline(v.r.Context(), id); err != nil {
			return err
		}
		return v.done("/requests", "declined")
	}
	return noSuchDeed()
}
