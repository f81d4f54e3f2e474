package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/grant"
)

// Desk is what requests for grants are held to.
type Desk struct {
	Service func(sallyport.Staff) bool // whether this is a program, for which others ask
	// Complete fills in the columns of classes, who asks, and what the beneficiary usually needs. It may read the record.
	Complete func(ctx context.Context, by sallyport.Staff, t *sallyport.GrantTerms, classes []string) error
	// Fit finds the rule; no request is being made meanwhile.
	Fit func(t *sallyport.GrantTerms) error
	// Vote is what somebody's approval counts for at this moment.
	Vote func(by sallyport.Staff, g *control.Grant) sallyport.GrantVote
	// Use is what was seen under a grant until now.
	Use func(ctx context.Context, g *control.Grant) (sallyport.GrantUse, error)
	// Tell carries what happened to a grant to those who have to know. It does not wait.
	Tell func(what string, g *control.Grant)
}

// GrantRequest is the body of a request.
type GrantRequest struct {
	For       sallyport.Staff     `json:"for,omitempty"`     // empty: who asks
	Columns   []string            `json:"columns,omitempty"` // schema.table.column
	Classes   []string            `json:"classes,omitempty"` // and all columns of these
	Customers int                 `json:"customers"`
	Only      []sallyport.Subject `json:"only,omitempty"` // these customers and no others
	Team      string              `json:"team,omitempty"` // customers of this team's open tickets and no others
	Minutes   int                 `json:"minutes"`
	Incident  string              `json:"incident,omitempty"` // of a break-glass
	Reason    string              `json:"reason"`
}

// Grant is what was asked for and what became of it. The first two figures are what an approval is about.
type Grant struct {
	Asked     int                 `json:"asked"` // customers
	Usual     sallyport.Usual     `json:"usual"` // customers a day that the beneficiary needs otherwise, in 30 days
	ID        string              `json:"id"`
	Status    string              `json:"status"`
	By        sallyport.Staff     `json:"by"`
	For       sallyport.Staff     `json:"for"`
	Columns   []string            `json:"columns"`
	Only      []sallyport.Subject `json:"only,omitempty"`
	Team      string              `json:"team,omitempty"`
	Others    int                 `json:"others,omitempty"` // customers asked for by other grants in 30 days
	Minutes   int                 `json:"minutes"`
	Incident  string              `json:"incident,omitempty"`
	Reason    string              `json:"reason"`
	Rule      string              `json:"rule,omitempty"`
	Needs     string              `json:"needs,omitempty"` // who approves, in words
	At        time.Time           `json:"at"`
	Votes     []GrantVote         `json:"votes"`
	Since     time.Time           `json:"since,omitzero"`
	Until     time.Time           `json:"until,omitzero"`
	Ended     time.Time           `json:"ended,omitzero"`
	EndedBy   sallyport.Staff     `json:"ended_by,omitempty"`
	EndedFor  string              `json:"ended_for,omitempty"`
	Use       *sallyport.GrantUse `json:"use,omitempty"`
	Review    *GrantReview        `json:"review,omitempty"` // of a break-glass
	MayDecide bool                `json:"may_decide,omitempty"`
}

// GrantVote is one approval.
type GrantVote struct {
	By     sallyport.Staff `json:"by"`
	At     time.Time       `json:"at"`
	Groups []string        `json:"groups"`
	Line   sallyport.Line  `json:"line,omitempty"`
	Note   string          `json:"note,omitempty"`
}

// GrantReview is what became of looking at a break-glass.
type GrantReview struct {
	Until   time.Time       `json:"until"` // when somebody else has to have looked at it
	By      sallyport.Staff `json:"by,omitempty"`
	At      time.Time       `json:"at,omitzero"`
	Finding string          `json:"finding,omitempty"`
	Text    string          `json:"text,omitempty"`
	Overdue bool            `json:"overdue,omitempty"`
}

func (s *Server) grantRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/grants", s.as(everybody, s.atDesk(s.requestGrant)))
	mux.Handle("GET /v1/grants", s.as(everybody, s.atDesk(s.listGrants)))
	mux.Handle("GET /v1/grants/{id}", s.as(everybody, s.atDesk(s.showGrant)))
	mux.Handle("POST /v1/grants/{id}/approve", s.as(everybody, s.atDesk(s.approveGrant)))
	mux.Handle("POST /v1/grants/{id}/decline", s.as(everybody, s.atDesk(s.declineGrant)))
	mux.Handle("POST /v1/grants/{id}/end", s.as(everybody, s.atDesk(s.endGrant)))
	mux.Handle("POST /v1/grants/{id}/review", s.as(investigators, s.atDesk(s.reviewGlass)))
	mux.Handle("POST /v1/break-glass", s.as(everybody, s.atDesk(s.breakGlass)))
}

// atDesk refuses where nothing is protected.
func (s *Server) atDesk(do func(*http.Request, sallyport.Staff) (any, error)) func(*http.Request, sallyport.Staff) (any, error) {
	return func(r *http.Request, me sallyport.Staff) (any, error) {
		if s.c.Desk == nil {
			return nil, &Problem{http.StatusConflict, "protects_nothing", "This serve protects nothing, so there is nothing to grant.", ""}
		}
		return do(r, me)
	}
}

// askable bounds what can be asked for.
const (
	mostOnly    = 1000 // customers that are named
	mostAsked   = 10   // open requests of one person
	grantMonth  = 30 * 24 * time.Hour
	pairsMonths = 3 * grantMonth
)

// terms reads a request.
func (s *Server) terms(r *http.Request, me sallyport.Staff) (GrantRequest, *sallyport.GrantTerms, error) {
	var q GrantRequest
	if err := body(r, &q); err != nil {
		return q, nil, err
	}
	reasoned := request{Reason: q.Reason}
	if err := reasoned.reasoned(); err != nil {
		return q, nil, err
	}
	q.Reason = reasoned.Reason
	if q.For == "" {
		q.For = me
	}
	bad := func(sentence, hint string) error {
		return &Problem{http.StatusBadRequest, "bad_request", sentence, hint}
	}
	switch {
	case q.Customers <= 0 || q.Minutes <= 0:
		return q, nil, bad("A request says for how many customers at most, and how long.", "Add --customers 5 --for 4h.")
	case len(q.Columns)+len(q.Classes) == 0:
		return q, nil, bad("A request says which columns.", "Name them, or give --class contact.")
	case len(q.Only) > 0 && q.Team != "":
		return q, nil, bad("A request is for named customers or for a team's tickets, not both.", "")
	case len(q.Only) > mostOnly || len(q.Only) > q.Customers || slices.Contains(q.Only, ""):
		return q, nil, bad("The named customers are too many, or one has no name.", "At most 1000, and no more than --customers.")
	}
	q.Only = slices.Compact(slices.Sorted(slices.Values(q.Only)))
	t := &sallyport.GrantTerms{For: q.For, Columns: q.Columns, Customers: q.Customers, Minutes: q.Minutes, Only: q.Only, Team: q.Team, From: s.c.Access.Last()}
	return q, t, s.c.Desk.Complete(r.Context(), me, t, q.Classes)
}

func (s *Server) requestGrant(r *http.Request, me sallyport.Staff) (any, error) {
	q, t, err := s.terms(r, me)
	if err != nil {
		return nil, grantProblem(err)
	}
	if q.For != me && !s.c.Desk.Service(q.For) {
		return nil, &Problem{http.StatusForbidden, "not_for_others", "Nobody asks for another person.", "Ask for yourself, or for a service: --service ID. " + string(q.For) + " asks himself."}
	}
	order := &sallyport.Order{ID: control.GrantPrefix + newID(), Action: "grant", By: me, About: q.For, Reason: q.Reason, Grant: t}
	return s.giveGrant(sallyport.Requested, me, order, "", func() error {
		open := 0
		for _, g := range s.state.Grants() {
			if g.Status == control.GrantAsked && g.Terms.Person == t.Person {
				open++
			}
		}
		if open >= mostAsked {
			return &Problem{http.StatusConflict, "too_many_requests", "You have asked for as much as can be asked for at once.", "Take one back: sallyport decline ID."}
		}
		t.Others = s.state.AskedFor(t, s.c.Now().Add(-grantMonth))
		return s.c.Desk.Fit(t)
	}, "requested")
}

// breakGlass lets one person see a few customers at once, for an incident that has a name.
func (s *Server) breakGlass(r *http.Request, me sallyport.Staff) (any, error) {
	q, t, err := s.terms(r, me)
	if err != nil {
		return nil, grantProblem(err)
	}
	t.Incident = strings.TrimSpace(q.Incident)
	order := &sallyport.Order{ID: control.GlassPrefix + newID(), Action: "break_glass", By: me, About: me, Reason: q.Reason, Grant: t}
	return s.giveGrant(sallyport.GlassBroken, me, order, "", func() error {
		door := s.state.Door(me)
		confirmed := door.Confirmed
		switch {
		case s.c.LogIns != nil && door.How == "" && !confirmed.IsZero(): // by a password, which whoever is named under login.passwords has for when the provider is away
			confirmed = time.Time{}
		case door.How == control.ByOneFactor:
			return &Problem{
				http.StatusForbidden, "weak_log_in", "Breaking the glass takes two factors, and the identity provider says that you proved who you are by one.",
				"Run 'sallyport confirm' with the second factor; which means count stands under login.factors.",
			}
		}
		if confirmed.IsZero() || s.c.Now().Sub(confirmed) > grant.GlassFresh*time.Minute {
			return &Problem{
				http.StatusForbidden, "confirm_first", "Breaking the glass takes a log-in that is minutes old.",
				fmt.Sprintf("Prove that it is you, then try again within %d minutes: sallyport confirm --as %s", grant.GlassFresh, me),
			}
		}
		return nil
	}, "glass_broken")
}

// giveGrant records an order about a grant, tells of it, and answers how the grant stands then.
func (s *Server) giveGrant(kind sallyport.EventKind, me sallyport.Staff, order *sallyport.Order, note string, check func() error, what string) (any, error) {
	e := s.event(kind, me, order)
	e.Note = note
	err := s.c.Orders.Give(func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		s.state.Advance(e.Time)
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		return s.state.CheckGrant(kind, order)
	}, e)
	if err != nil {
		return nil, grantProblem(err)
	}
	g, _ := s.state.Grant(order.ID)
	if what == "approved" && g.Status == control.GrantActive {
		what = "active"
	}
	s.c.Desk.Tell(what, &g)
	return s.grantOf(&g, me), nil
}

// grantProblem turns what rules and the fold say into an answer.
func grantProblem(err error) error {
	if refused, ok := errors.AsType[*grant.Refusal](err); ok {
		return &Problem{http.StatusForbidden, "no_rule", refused.Sentence, refused.Hint}
	}
	if errors.Is(err, control.ErrGrant) {
		return &Problem{http.StatusForbidden, "not_yours_to_decide", sentence(err), "sallyport grants show ID says who may."}
	}
	return err
}

func newID() string { return strings.ToLower(rand.Text()[:10]) }

func (s *Server) approveGrant(r *http.Request, me sallyport.Staff) (any, error) {
	g, err := s.oneGrant(r, me)
	if err != nil {
		return nil, err
	}
	vote := s.c.Desk.Vote(me, g)
	if err := s.mayVote(r, &vote); err != nil {
		return nil, err
	}
	order := &sallyport.Order{ID: g.ID, Action: "grant", By: me, About: g.Terms.For, Vote: &vote}
	return s.giveGrant(sallyport.Approved, me, order, s.alwaysEachOther(me, &vote, g), nil, "approved")
}

// alwaysEachOther is what is odd about an approval: the same two approve each other's requests every time.
func (s *Server) alwaysEachOther(me sallyport.Staff, vote *sallyport.GrantVote, g *control.Grant) string {
	mine, theirs := s.state.EachOther(vote.Person, g.Terms.Person, s.c.Now().Add(-pairsMonths), g.ID)
	if mine.Approved == 0 || mine.Approved < mine.Of || theirs.Approved < 2 || theirs.Approved < theirs.Of {
		return ""
	}
	return fmt.Sprintf("the same two always approve each other: with this one %s approved all %d requests of %s in 90 days, and %s all %d of %s", me, mine.Of+1, g.By, g.By, theirs.Of, me)
}

// aboutGrant is the grant that an order is about, and the order.
func (s *Server) aboutGrant(r *http.Request, me sallyport.Staff) (g *control.Grant, q request, err error) {
	if g, err = s.oneGrant(r, me); err != nil {
		return nil, q, err
	}
	return g, q, body(r, &q)
}

func (s *Server) declineGrant(r *http.Request, me sallyport.Staff) (any, error) {
	g, q, err := s.aboutGrant(r, me)
	if err != nil {
		return nil, err
	}
	vote := s.c.Desk.Vote(me, g)
	if me != g.By { // who asked takes it back
		if err := s.mayVote(r, &vote); err != nil {
			return nil, err
		}
	}
	return s.giveGrant(sallyport.Declined, me, &sallyport.Order{ID: g.ID, Action: "grant", By: me, About: g.Terms.For, Reason: cut(q.Reason), Vote: &vote}, "", nil, "declined")
}

// endGrant ends a grant before its time.
func (s *Server) endGrant(r *http.Request, me sallyport.Staff) (any, error) {
	g, q, err := s.aboutGrant(r, me)
	if err != nil {
		return nil, err
	}
	approved := slices.ContainsFunc(g.Votes, func(v control.Vote) bool { return v.By == me })
	if me != g.By && me != g.Terms.For && !approved && !s.allows(r, callerOf(r), administrators) {
		return nil, &Problem{http.StatusForbidden, "not_yours_to_decide", "Who asked for a grant, approved it, or oversees access ends it.", ""}
	}
	return s.giveGrant(sallyport.GrantEnded, me, &sallyport.Order{ID: g.ID, Action: "grant", By: me, About: g.Terms.For, Reason: cut(q.Reason)}, "", nil, "ended")
}

// reviewGlass notes what somebody else found about a break-glass. Who misused it is suspended.
func (s *Server) reviewGlass(r *http.Request, me sallyport.Staff) (any, error) {
	g, err := s.oneGrant(r, me)
	if err != nil {
		return nil, err
	}
	var q struct {
		Finding string `json:"finding"`
		Reason  string `json:"reason"`
	}
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if err := (&request{Reason: q.Reason}).reasoned(); err != nil {
		return nil, err
	}
	vote := s.c.Desk.Vote(me, g)
	answer, err := s.giveGrant(sallyport.GlassReviewed, me, &sallyport.Order{ID: g.ID, Action: "break_glass", By: me, About: g.By, Details: q.Finding, Reason: q.Reason, Vote: &vote}, "", nil, "glass_reviewed")
	if err != nil || q.Finding != control.Misused {
		return answer, err
	}
	return answer, s.c.Orders.Give(nil, s.event(sallyport.Suspended, me, &sallyport.Order{
		ID: g.ID, Action: "suspend", By: me, About: g.By, Reason: "the break-glass " + g.ID + " was misused, says its review",
	}))
}

func cut(text string) string {
	return strings.TrimSpace(text)[:min(len(strings.TrimSpace(text)), maxReason)]
}

// oneGrant is the one that a path names, for whom it concerns.
func (s *Server) oneGrant(r *http.Request, me sallyport.Staff) (*control.Grant, error) {
	s.state.Advance(s.c.Now())
	g, ok := s.state.Grant(r.PathValue("id"))
	if !ok || !s.concerns(r, &g, me) {
		return nil, &Problem{http.StatusNotFound, "no_such_grant", "There is no request or grant with this id that concerns you.", "sallyport grants ls lists those that do."}
	}
	return &g, nil
}

// concerns tells whether somebody may know of a grant: he asked for it, reads under it, approved it or may, or oversees access.
func (s *Server) concerns(r *http.Request, g *control.Grant, me sallyport.Staff) bool {
	return me == g.By || me == g.Terms.For || s.investigates(r) || len(s.c.Desk.Vote(me, g).Groups) > 0 ||
		slices.ContainsFunc(g.Votes, func(v control.Vote) bool { return v.By == me })
}

func (s *Server) listGrants(r *http.Request, me sallyport.Staff) (any, error) {
	list := []Grant{}
	s.state.Advance(s.c.Now())
	for _, g := range s.state.Grants() {
		if s.concerns(r, &g, me) {
			list = append(list, s.grantOf(&g, me))
		}
	}
	return paged(r, "grants", list, func(g *Grant) string { return g.ID })
}

func (s *Server) showGrant(r *http.Request, me sallyport.Staff) (any, error) {
	g, err := s.oneGrant(r, me)
	if err != nil {
		return nil, err
	}
	out := s.grantOf(g, me)
	if out.Use == nil && !g.Since.IsZero() {
		use, err := s.c.Desk.Use(r.Context(), g)
		if err != nil {
			return nil, err
		}
		out.Use = &use
	}
	return out, nil
}

func (s *Server) grantOf(g *control.Grant, me sallyport.Staff) Grant {
	t := &g.Terms
	out := Grant{
		Asked: t.Customers, Usual: t.Usual, ID: g.ID, Status: string(g.Status), By: g.By, For: t.For, Columns: t.Columns, Only: t.Only, Team: t.Team, Others: t.Others,
		Minutes: t.Minutes, Incident: t.Incident, Reason: g.Reason, Rule: t.Rule, Needs: grant.Missing(t.Needs), At: g.At, Votes: []GrantVote{},
		Since: g.Since, Until: g.Until, Ended: g.EndedAt, EndedBy: g.EndedBy, EndedFor: g.Ended, Use: g.Use,
	}
	for _, v := range g.Votes {
		out.Votes = append(out.Votes, GrantVote{By: v.By, At: v.At, Groups: v.Groups, Line: v.Line, Note: v.Note})
	}
	if g.Glass {
		out.Review = &GrantReview{Until: g.ReviewBy(), By: g.Reviewer, At: g.Reviewed, Finding: g.Finding, Text: g.Review, Overdue: g.Overdue}
	}
	out.MayDecide = s.mayGrant(g, me)
	vote := s.c.Desk.Vote(me, g)
	s.maskGrant(&out, g, me, len(vote.Groups) > 0 && (g.Status == control.GrantAsked || g.Status == control.GrantActive))
	return out
}

// mayGrant tells whether somebody's word on a request would count now.
func (s *Server) mayGrant(g *control.Grant, me sallyport.Staff) bool {
	vote := s.c.Desk.Vote(me, g)
	return s.state.CheckGrant(sallyport.Approved, &sallyport.Order{ID: g.ID, By: me, Vote: &vote}) == nil
}

// maskGrant puts pseudonyms into a grant for who only looks through them: he neither asked for it, nor reads under it, nor had or has a say, nor
// agreed with another to see who it is. A break-glass names who broke it until somebody has reviewed it.
func (s *Server) maskGrant(out *Grant, g *control.Grant, me sallyport.Staff, says bool) {
	part := me == g.By || me == g.Terms.For || slices.ContainsFunc(g.Votes, func(v control.Vote) bool { return v.By == me }) || me == g.Reviewer
	if s.c.Names == nil || part || says || out.MayDecide || g.Glass && g.Reviewed.IsZero() {
		return
	}
	call := s.callsTo(me)
	people := []sallyport.Staff{g.By, g.Terms.For, g.EndedBy, g.Reviewer}
	for i := range out.Votes {
		people = append(people, out.Votes[i].By)
		out.Votes[i].By = sallyport.Staff(call(out.Votes[i].By))
	}
	words := s.masker(me, people)
	out.By, out.For, out.EndedBy = sallyport.Staff(call(g.By)), sallyport.Staff(call(g.Terms.For)), sallyport.Staff(call(g.EndedBy))
	out.Reason, out.EndedFor = words(g.Reason), ownWords(me, g.EndedBy, g.Ended, words)
	if out.By != g.By || out.For != g.Terms.For {
		out.Team = s.c.Names.Team(out.Team)
	}
	for i := range out.Votes {
		out.Votes[i].Note = words(out.Votes[i].Note)
	}
	if out.Review != nil {
		out.Review.By, out.Review.Text = sallyport.Staff(call(g.Reviewer)), words(g.Review)
	}
}

// unreviewed are sentences about break-glasses that nobody has looked at yet: whoever oversees access hears them with every answer.
func (s *Server) unreviewed(me sallyport.Staff) (list []string) {
	for _, g := range s.state.Grants() {
		if g.Glass && g.Reviewed.IsZero() && g.By != me {
			list = append(list, fmt.Sprintf("%s broke the glass (%s) at %s; somebody has to review it until %s: sallyport grants show %s",
				g.By, g.ID, g.At.UTC().Format(time.RFC3339), g.ReviewBy().UTC().Format(time.RFC3339), g.ID))
		}
	}
	return list
}

// RequestGrant asks for a grant.
func (c *Client) RequestGrant(ctx context.Context, q GrantRequest) (Grant, error) {
	return c.grant(ctx, http.MethodPost, "/v1/grants", q)
}

// BreakGlass lets whoever is logged in see a few customers at once.
func (c *Client) BreakGlass(ctx context.Context, q GrantRequest) (Grant, error) {
	return c.grant(ctx, http.MethodPost, "/v1/break-glass", q)
}

// Grant is one request or grant.
func (c *Client) Grant(ctx context.Context, id string) (Grant, error) {
	return c.grant(ctx, http.MethodGet, "/v1/grants/"+url.PathEscape(id), nil)
}

// ApproveGrant approves a request.
func (c *Client) ApproveGrant(ctx context.Context, id string) (Grant, error) {
	return c.grant(ctx, http.MethodPost, "/v1/grants/"+url.PathEscape(id)+"/approve", nil)
}

// DeclineGrant refuses a request, or takes it back.
func (c *Client) DeclineGrant(ctx context.Context, id, reason string) (Grant, error) {
	return c.grant(ctx, http.MethodPost, "/v1/grants/"+url.PathEscape(id)+"/decline", request{Reason: reason})
}

// EndGrant ends a grant before its time.
func (c *Client) EndGrant(ctx context.Context, id, reason string) (Grant, error) {
	return c.grant(ctx, http.MethodPost, "/v1/grants/"+url.PathEscape(id)+"/end", request{Reason: reason})
}

// ReviewGlass says what was found about a break-glass.
func (c *Client) ReviewGlass(ctx context.Context, id, finding, reason string) (Grant, error) {
	return c.grant(ctx, http.MethodPost, "/v1/grants/"+url.PathEscape(id)+"/review", map[string]string{"finding": finding, "reason": reason})
}

// Grants lists the requests and grants that concern whoever is logged in.
func (c *Client) Grants(ctx context.Context) ([]Grant, error) {
	return pages[Grant](ctx, c, "/v1/grants", "grants")
}

func (c *Client) grant(ctx context.Context, method, path string, in any) (Grant, error) {
	var g Grant
	err := c.call(ctx, method, path, in, &g)
	return g, err
}
