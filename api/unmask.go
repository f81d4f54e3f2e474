package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/history"
)

// unmaskRequest asks to see who stands behind a pseudonym.
type unmaskRequest struct {
	Person string        `json:"person"`
	Reason string        `json:"reason"`
	Lasts  time.Duration `json:"lasts,omitempty"` // 0: DefaultUnmask
}

// DefaultUnmask is how long a name is shown where nothing else is asked for.
const DefaultUnmask = 24 * time.Hour

// Unmasked is somebody whom whoever asks may see by name.
type Unmasked struct {
	Person string          `json:"person"`
	Staff  sallyport.Staff `json:"staff"`
	Until  time.Time       `json:"until"`
}

func (s *Server) unmaskRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/unmask", s.as(investigators, s.unmask))
	mux.Handle("GET /v1/unmask", s.as(overseers, s.unmasked))
}

// unmask proposes to see somebody's name. The answer does not tell who it is, nor does a refusal, but to himself.
func (s *Server) unmask(r *http.Request, me sallyport.Staff) (any, error) {
	var q unmaskRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	about := request{Reason: q.Reason}
	if err := about.reasoned(); err != nil {
		return nil, err
	}
	if q.Lasts == 0 {
		q.Lasts = DefaultUnmask
	}
	if q.Lasts < time.Minute || q.Lasts > control.LongestUnmask {
		return nil, &Problem{http.StatusBadRequest, "bad_time", "A name is shown for a minute at least, and for 168 hours at most.", "Add --for 24h."}
	}
	var who sallyport.Staff
	if strings.HasPrefix(q.Person, history.PersonPrefix) {
		var err error
		if who = s.foundAs(q.Person); who == "" {
			if who, err = s.past.Person(r.Context(), q.Person, s.c.Names); err != nil {
				return nil, err
			}
		}
	}
	if who == "" {
		return nil, &Problem{http.StatusNotFound, "no_such_pseudonym", "Nobody on record has this pseudonym.", "findings, who-saw and history query print them: p- and ten characters."}
	}
	return s.propose(me, sallyport.Order{
		Action: control.Unmask, About: who, Reason: about.Reason, Details: q.Person, Unmask: &sallyport.Unmasking{Pseudonym: q.Person, Lasts: q.Lasts},
	}, func() error { return nil })
}

// unmasked lists whom the caller may see by name.
func (s *Server) unmasked(r *http.Request, me sallyport.Staff) (any, error) {
	list := []Unmasked{}
	for _, u := range s.state.Unmasked(me, s.c.Now()) {
		list = append(list, Unmasked{u.Pseudonym, u.Staff, u.Until})
	}
	return paged(r, "unmasked", list, func(u *Unmasked) string { return u.Person })
}

// shownTo says of whom somebody may see the name.
func (s *Server) shownTo(me sallyport.Staff) func(sallyport.Staff) bool {
	names := map[sallyport.Staff]bool{}
	for _, u := range s.state.Unmasked(me, s.c.Now()) {
		names[u.Staff] = true
	}
	return func(who sallyport.Staff) bool { return names[who] || s.c.Names.Person(who) == string(who) }
}

// proposalTo is a proposal as somebody may see it: whom one to unmask is about is told to the two who agreed on it, and whom another one about
// somebody unnamed is about only to who knows his name.
func (s *Server) proposalTo(me sallyport.Staff, p control.Proposal) Proposal {
	answer := proposalOf(p)
	switch call := s.callsTo(me); {
	case p.Action == control.Unmask && !s.shownTo(me)(p.About):
		answer.About = sallyport.Staff(p.Details)
	case p.Action == control.NotifyList:
		answer.About = sallyport.Staff(call(p.About))
	case p.Action == control.UndoResponse:
		answer.About, answer.Details = sallyport.Staff(call(p.About)), s.answerTo(p.Details, call)
	case p.Case != nil:
		answer.Reason, answer.Subjects = ownWords(me, p.By, p.Reason, s.masker(me, p.Subjects)), nil
		for _, who := range p.Subjects {
			answer.Subjects = append(answer.Subjects, sallyport.Staff(call(who)))
		}
	}
	return answer
}

// Unmask proposes to see who stands behind a pseudonym, and returns the proposal's id.
func (c *Client) Unmask(ctx context.Context, person, reason string, lasts time.Duration) (string, error) {
	var answer struct {
		Proposal string `json:"proposal"`
	}
	err := c.call(ctx, http.MethodPost, "/v1/unmask", unmaskRequest{Person: person, Reason: reason, Lasts: lasts}, &answer)
	return answer.Proposal, err
}

// Unmasked lists whom one may see by name.
func (c *Client) Unmasked(ctx context.Context) ([]Unmasked, error) {
	return pages[Unmasked](ctx, c, "/v1/unmask", "unmasked")
}
