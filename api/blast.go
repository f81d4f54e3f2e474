package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/history"
)

// Blast answers what somebody's access came to.
type Blast struct {
	// Radius is the answer as JSON; whole: with every customer. since zero: from the start that detection estimates, or the beginning.
	Radius func(ctx context.Context, who sallyport.Staff, since time.Time, whole bool) (json.RawMessage, error)
}

// listLasts is how long an approved list can be fetched.
const listLasts = 7 * 24 * time.Hour

func (s *Server) blastRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/blast", s.as(investigators, s.blast))
	mux.Handle("POST /v1/blast/list", s.as(investigators, s.proposeList))
	mux.Handle("GET /v1/blast/list/{id}", s.as(investigators, s.list))
}

// blast says what somebody's access came to. That somebody asked is recorded first.
func (s *Server) blast(r *http.Request, me sallyport.Staff) (any, error) {
	who, since, err := s.blastAbout(r.Context(), me, r.URL.Query().Get("staff"), r.URL.Query().Get("since"))
	if err != nil {
		return nil, err
	}
	if err := s.asked(me, "blast", s.callsTo(me)(who), "asked what somebody's access came to"); err != nil {
		return nil, err
	}
	return s.c.Blast.Radius(r.Context(), who, since, false)
}

// blastAbout is about whom it is asked. By name only since two people agreed that the caller sees it.
func (s *Server) blastAbout(ctx context.Context, me sallyport.Staff, text, since string) (who sallyport.Staff, from time.Time, err error) {
	if s.c.Blast == nil {
		return "", from, &Problem{http.StatusConflict, "no_blast", "This serve does not answer what somebody's access came to.", ""}
	}
	if from, err = moment(since); err != nil {
		return "", from, err
	}
	who, err = s.personOf(ctx, me, text)
	return who, from, err
}

// moment reads a time; none is the zero time.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, &Problem{http.StatusBadRequest, "bad_time", "This is no time.", "Give it as 2026-03-02T10:30:00+01:00."}
	}
	return at, nil
}

// personOf is whom a pseudonym or a name means. The answer to a name that one may not know is the same as to none.
func (s *Server) personOf(ctx context.Context, me sallyport.Staff, text string) (who sallyport.Staff, err error) {
	switch {
	case strings.HasPrefix(text, history.PersonPrefix):
		if who = s.foundAs(text); who != "" {
			break
		}
		if who, err = s.past.Person(ctx, text, s.c.Names); err != nil {
			return "", err
		}
	case s.shownTo(me)(sallyport.Staff(text)):
		who = sallyport.Staff(text)
	}
	switch who {
	case "":
		return "", &Problem{http.StatusNotFound, "no_such_pseudonym", "Nobody on record has this pseudonym, or you may not know him by this name.", "findings, trace, who-saw and history query print pseudonyms: p- and ten characters; a name is shown once two people agreed (sallyport unmask)."}
	case me:
		return "", &Problem{http.StatusForbidden, "about_yourself", "Nobody looks into what is about himself.", "Ask another lead or security."}
	}
	return who, nil
}

type listRequest struct {
	Staff  string `json:"staff"`
	Since  string `json:"since,omitempty"`
	Reason string `json:"reason"`
}

// proposeList proposes to see every customer whom it concerns, so that the company can tell them.
func (s *Server) proposeList(r *http.Request, me sallyport.Staff) (any, error) {
	var q listRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reasoned := request{Reason: q.Reason}
	if err := reasoned.reasoned(); err != nil {
		return nil, err
	}
	who, since, err := s.blastAbout(r.Context(), me, q.Staff, q.Since)
	if err != nil {
		return nil, err
	}
	details := ""
	if !since.IsZero() {
		details = since.UTC().Format(time.RFC3339)
	}
	return s.propose(me, sallyport.Order{Action: control.NotifyList, About: who, Reason: reasoned.Reason, Details: details}, func() error { return nil })
}

// list gives the list to one of the two who agreed on it, for a week.
func (s *Server) list(r *http.Request, me sallyport.Staff) (any, error) {
	p, err := s.agreed(r.PathValue("id"), control.NotifyList, me)
	if err != nil {
		return nil, err
	}
	var since time.Time
	if p.Details != "" {
		if since, err = time.Parse(time.RFC3339, p.Details); err != nil {
			return nil, fmt.Errorf("read the proposal: %w", err)
		}
	}
	if err := s.asked(me, "notify_list", p.ID, "fetched the list of customers to be told"); err != nil {
		return nil, err
	}
	return s.c.Blast.Radius(r.Context(), p.About, since, true)
}

// agreed is a proposal that the caller and another agreed on not long ago.
func (s *Server) agreed(id, action string, me sallyport.Staff) (control.Proposal, error) {
	p, ok := s.proposal(id)
	switch {
	case !ok || p.Action != action || me != p.By && me != p.Decider:
		return p, &Problem{http.StatusNotFound, "no_such_proposal", "You agreed on nothing of this id.", "It is for the two who agreed on it."}
	case p.Status != control.Agreed:
		return p, &Problem{http.StatusConflict, "not_agreed", "Nobody has approved this yet, or it was declined.", "Another lead or security: sallyport approve " + id}
	case s.c.Now().Sub(p.DecidedAt) > listLasts:
		return p, &Problem{http.StatusConflict, "too_old", "This was agreed on more than a week ago.", "Propose it anew."}
	}
	return p, nil
}

// Blast asks what somebody's access came to.
func (c *Client) Blast(ctx context.Context, staff, since string) (json.RawMessage, error) {
	var answer json.RawMessage
	err := c.call(ctx, http.MethodGet, "/v1/blast?staff="+url.QueryEscape(staff)+"&since="+url.QueryEscape(since), nil, &answer)
	return answer, err
}

// ProposeList proposes to see every customer, and returns the proposal's id.
func (c *Client) ProposeList(ctx context.Context, staff, since, reason string) (string, error) {
	return c.proposed(ctx, "/v1/blast/list", listRequest{staff, since, reason})
}

// List fetches what was agreed on.
func (c *Client) List(ctx context.Context, proposal string) (json.RawMessage, error) {
	var answer json.RawMessage
	err := c.call(ctx, http.MethodGet, "/v1/blast/list/"+url.PathEscape(proposal), nil, &answer)
	return answer, err
}
