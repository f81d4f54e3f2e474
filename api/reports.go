package api

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
)

// Reports are what customers tell of scam calls, and the question who may be behind them.
type Reports struct {
	// List is all that are on record, in the order of arrival.
	List func() ([]Report, error)
	// Take puts one on record that somebody of the staff heard; it returns its id.
	Take func(by sallyport.Staff, r Report) (string, error)
	// Trace says who may be the source, as JSON, of the reports since some time, or of all. Who asks is not weighed himself; call gives the name by which he may
	// know somebody.
	Trace func(ctx context.Context, me sallyport.Staff, since time.Time, call func(sallyport.Staff) string) (json.RawMessage, error)
}

// Report is what a customer tells.
type Report struct {
	ID       string            `json:"id,omitempty"`
	Arrived  time.Time         `json:"arrived,omitzero"`
	Source   string            `json:"source,omitempty"`
	Time     time.Time         `json:"time"` // as he says
	Customer sallyport.Subject `json:"customer"`
	Channel  string            `json:"channel,omitempty"`
	Quoted   []string          `json:"quoted,omitempty"` // what the caller knew: ticket, email, phone, name
	State    string            `json:"state,omitempty"`  // open, confirmed, denied
	By       sallyport.Staff   `json:"by,omitempty"`     // who confirmed or denied it
	How      string            `json:"how,omitempty"`
	Taker    sallyport.Staff   `json:"-"` // who wrote it down at Time, as the customer told it: he looked at him for that. Nobody sets it here, and nobody reads his name
}

// The states of a report.
const (
	ReportOpen      = "open"      // nobody has asked the customer yet: it does not weigh
	ReportConfirmed = "confirmed" // he stood by it
	ReportDenied    = "denied"    // he did not
)

// EnteredBy begins the source of what somebody of the staff entered himself.
const EnteredBy = "by "

// QuotedWords are what a report can quote.
func QuotedWords() []string { return []string{"ticket", "email", "phone", "name"} }

// Hows are the ways to ask a customer.
func Hows() []string { return []string{"call", "email", "letter", "visit"} }

func (s *Server) reportRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/reports", s.as(investigators, s.listReports))
	mux.Handle("GET /v1/reports/state", s.as(investigators, s.reportsState))
	mux.Handle("POST /v1/reports", s.as(investigators, s.takeReport))
	mux.Handle("POST /v1/reports/{id}/judge", s.as(investigators, s.judgeReport))
	mux.Handle("GET /v1/trace", s.as(investigators, s.trace))
}

func (s *Server) noReports() error {
	if s.c.Reports == nil {
		return &Problem{http.StatusConflict, "no_reports", "This serve takes no reports.", ""}
	}
	return nil
}

// asked puts on record that somebody asks.
func (s *Server) asked(me sallyport.Staff, action, details, note string) error {
	e := s.event(sallyport.Queried, me, &sallyport.Order{Action: action, By: me, Details: details})
	e.Note = note
	return s.c.Orders.Give(s.stillFree(me), e)
}

func (s *Server) listReports(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noReports(); err != nil {
		return nil, err
	}
	if err := s.asked(me, "reports", "", "listed reports of scam calls"); err != nil {
		return nil, err
	}
	list, err := s.c.Reports.List()
	if err != nil {
		return nil, err
	}
	return paged(r, "reports", list, func(x *Report) string { return x.ID })
}

// ReportsState names what reports there are and what became of each. It says nothing of any, so that it can be asked again and again.
type ReportsState struct {
	State string `json:"state"` // another one than before: a report has come, or was judged
}

func (s *Server) reportsState(*http.Request, sallyport.Staff) (any, error) {
	if err := s.noReports(); err != nil {
		return nil, err
	}
	list, err := s.c.Reports.List()
	if err != nil {
		return nil, err
	}
	h := fnv.New64a()
	for i := range list {
		_, _ = fmt.Fprintln(h, list[i].ID, list[i].State) // a hash takes everything
	}
	return ReportsState{strconv.FormatUint(h.Sum64(), 16)}, nil
}

// takeReport puts on record what a customer told somebody of the staff. Somebody else confirms it.
func (s *Server) takeReport(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noReports(); err != nil {
		return nil, err
	}
	var q Report
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if why := q.Check(s.c.Now()); why != "" {
		return nil, &Problem{http.StatusBadRequest, "bad_report", upper(why) + ".", "sallyport report add --customer 48211 --quoted ticket,name"}
	}
	if err := s.stillFree(me)(); err != nil {
		return nil, err
	}
	id, err := s.c.Reports.Take(me, q)
	if err != nil {
		return nil, err
	}
	return map[string]string{"report": id}, nil
}

// Check says what is wrong with a report that arrives; a time that is to come or not said is now.
func (r *Report) Check(now time.Time) string {
	if r.Time.IsZero() || r.Time.After(now) {
		r.Time = now
	}
	switch {
	case r.Customer == "" || len(r.Customer) > 64:
		return "a report names its customer, by at most 64 bytes"
	case len(r.Taker) > 64:
		return "who took a report is named by at most 64 bytes"
	case r.Channel != "" && !slices.Contains([]string{"call", "sms", "email", "letter", "chat", "other"}, r.Channel):
		return "the channel is call, sms, email, letter, chat or other"
	case len(r.Quoted) > len(QuotedWords()):
		return "a report quotes ticket, email, phone or name"
	}
	for i, word := range r.Quoted {
		r.Quoted[i] = strings.ToLower(strings.TrimSpace(word))
		if !slices.Contains(QuotedWords(), r.Quoted[i]) {
			return "a report says which fields the caller knew (ticket, email, phone, name), never what they say"
		}
	}
	return ""
}

type judgeRequest struct {
	Real bool   `json:"real"`
	How  string `json:"how"`
}

// judgeReport puts on record what the customer said when he was asked at contact details on file.
func (s *Server) judgeReport(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noReports(); err != nil {
		return nil, err
	}
	var q judgeRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if !slices.Contains(Hows(), q.How) {
		return nil, &Problem{http.StatusBadRequest, "bad_report", "It must say how the customer was asked: call, email, letter or visit.", "Add --how call."}
	}
	id := r.PathValue("id")
	list, err := s.c.Reports.List()
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list, func(x Report) bool { return x.ID == id })
	if at < 0 {
		return nil, &Problem{http.StatusNotFound, "no_such_report", "There is no report with this id.", "sallyport report ls lists them."}
	}
	if list[at].Source == EnteredBy+string(me) {
		return nil, &Problem{http.StatusForbidden, "second_person", "Who entered a report does not confirm it himself.", "Ask another lead or security."}
	}
	e := s.event(sallyport.ReportJudged, me, &sallyport.Order{Action: "report_judge", By: me, Judged: &sallyport.Judged{Report: id, Real: q.Real, How: q.How}})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	return map[string]any{"report": id, "real": q.Real}, nil
}

// trace says who may be the source of the reports, by pseudonym but for whom the caller may see by name.
func (s *Server) trace(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noReports(); err != nil {
		return nil, err
	}
	since, err := moment(r.URL.Query().Get("since"))
	if err != nil {
		return nil, err
	}
	details := ""
	if !since.IsZero() {
		details = since.UTC().Format(time.RFC3339) // who tries many days until one names somebody is seen
	}
	if err := s.asked(me, "trace", details, "asked who is the source of reports"); err != nil {
		return nil, err
	}
	return s.c.Reports.Trace(r.Context(), me, since, s.callsTo(me))
}

// callsTo gives the name by which somebody may know another.
func (s *Server) callsTo(me sallyport.Staff) func(sallyport.Staff) string {
	shown := s.shownTo(me)
	return func(who sallyport.Staff) string {
		if shown(who) {
			return string(who)
		}
		return s.c.Names.Person(who)
	}
}

// Reports lists what customers told.
func (c *Client) Reports(ctx context.Context) ([]Report, error) {
	return pages[Report](ctx, c, "/v1/reports", "reports")
}

// ReportsState asks what reports there are, by a name for all of it.
func (c *Client) ReportsState(ctx context.Context) (state string, err error) {
	var answer ReportsState
	err = c.call(ctx, http.MethodGet, "/v1/reports/state", nil, &answer)
	return answer.State, err
}

// AddReport puts one on record, and returns its id.
func (c *Client) AddReport(ctx context.Context, r Report) (string, error) {
	var answer struct {
		Report string `json:"report"`
	}
	err := c.call(ctx, http.MethodPost, "/v1/reports", r, &answer)
	return answer.Report, err
}

// JudgeReport says what the customer answered.
func (c *Client) JudgeReport(ctx context.Context, id string, real bool, how string) error {
	return c.call(ctx, http.MethodPost, "/v1/reports/"+url.PathEscape(id)+"/judge", judgeRequest{real, how}, nil)
}

// Trace asks who may be the source of the reports on record.
func (c *Client) Trace(ctx context.Context) (json.RawMessage, error) {
	return c.TraceSince(ctx, time.Time{})
}

// TraceSince asks likewise of the reports since some time: those before say how many come anyhow, and from whom. The zero time is Trace.
func (c *Client) TraceSince(ctx context.Context, since time.Time) (json.RawMessage, error) {
	var answer json.RawMessage
	path := "/v1/trace"
	if !since.IsZero() {
		path += "?since=" + url.QueryEscape(since.UTC().Format(time.RFC3339))
	}
	err := c.call(ctx, http.MethodGet, path, nil, &answer)
	return answer, err
}
