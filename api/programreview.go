package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/history"
	"sallyport/program"
)

type acknowledgeRequest struct {
	Document string `json:"document"`
	Version  string `json:"version"` // SHA-256 of the file
}

// acknowledge puts on record that the caller has read a version of a document.
func (s *Server) acknowledge(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	var q acknowledgeRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	digest, err := hex.DecodeString(q.Version)
	if err != nil || len(digest) != sha256.Size || !isOneLine(q.Document) {
		return nil, &Problem{http.StatusBadRequest, "bad_request", "A document has a name, and a version of 64 hexadecimal digits.", "sallyport program acknowledge FILE sends them."}
	}
	if at := book.Read(q.Document, digest, me); !at.IsZero() {
		return map[string]any{"at": at}, nil
	}
	e := s.event(sallyport.ProgramKind, me, &sallyport.Order{Action: program.Acknowledged, By: me, Program: &sallyport.ProgramStep{Do: program.Acknowledged, Name: q.Document, Digest: digest}})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	return map[string]any{"at": e.Time}, nil
}

func isOneLine(name string) bool {
	return name != "" && len(name) <= 100 && !strings.ContainsAny(name, "\n\r")
}

// ReviewStatus is a review of one person's access, and how it stands.
type ReviewStatus struct {
	program.Review
	State string `json:"state"` // open, kept, ended
}

// manages tells whether somebody is another's manager.
func (s *Server) manages(me, who sallyport.Staff) bool {
	if s.c.Directory == nil || me == who {
		return false
	}
	return slices.ContainsFunc(s.c.Directory.List(), func(m Member) bool { return m.Staff == who && m.Manager == me })
}

// reviewList has everything for who looks after access, and for everybody else his people. Nobody reads what is about himself.
func (s *Server) reviewList(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	if err := s.asked(me, "reviews", "", "listed reviews of access"); err != nil {
		return nil, err
	}
	all, list, now := s.allows(r, callerOf(r), overseers), []ReviewStatus{}, s.c.Now()
	for _, x := range book.Reviews() {
		if x.Staff == me || !all && !s.manages(me, x.Staff) {
			continue
		}
		state := "open"
		switch {
		case x.Ended(now):
			state = "ended"
		case !x.Decided.IsZero():
			state = "kept"
		}
		list = append(list, ReviewStatus{x, state})
	}
	return paged(r, "reviews", list, func(x *ReviewStatus) string { return x.Name + " " + string(x.Staff) })
}

type reviewRequest struct {
	Name   string                       `json:"name"`
	Until  time.Time                    `json:"until"`
	People map[sallyport.Staff][]string `json:"people"`
}

const (
	mostReviewed = 5000
	mostItems    = 500
)

// openReview puts a list for each person on record.
func (s *Server) openReview(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	var q reviewRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	switch {
	case !isOneLine(q.Name), len(q.People) == 0, len(q.People) > mostReviewed, q.Until.Before(s.c.Now().Add(program.ShortestReview)):
		return nil, &Problem{http.StatusBadRequest, "bad_review", "A review has a name, a date at least a week ahead, and 1 to 5,000 people.", "What nobody has decided by then ends by itself: docs/programme.md."}
	case slices.ContainsFunc(book.Reviews(), func(x program.Review) bool { return x.Name == q.Name }):
		return nil, &Problem{http.StatusConflict, "bad_review", "There is a review of this name.", "Give it another one, such as the half-year's."}
	}
	if err := s.nameReviewed(&q); err != nil {
		return nil, err
	}
	for _, who := range slices.Sorted(maps.Keys(q.People)) {
		items := q.People[who]
		if len(items) > mostItems || slices.ContainsFunc(items, func(x string) bool { return len(x) > 500 }) {
			return nil, &Problem{http.StatusBadRequest, "bad_review", "A person's list has more than 500 lines, or a line more than 500 bytes.", ""}
		}
	}
	for _, who := range slices.Sorted(maps.Keys(q.People)) {
		e := s.event(sallyport.ProgramKind, me, &sallyport.Order{Action: program.ReviewOpened, By: me, About: who, Program: &sallyport.ProgramStep{
			Do: program.ReviewOpened, Name: q.Name, Staff: who, Until: q.Until, Items: q.People[who], Ends: true,
		}})
		if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
			return nil, err
		}
	}
	return map[string]any{"name": q.Name, "people": len(q.People)}, nil
}

// nameReviewed puts those in place of pseudonyms who stand behind them: a report that was asked of a running serve has people by pseudonym, and
// whoever opens the review need not know them.
func (s *Server) nameReviewed(q *reviewRequest) error {
	named := map[string]sallyport.Staff{}
	if s.c.Directory != nil {
		for _, m := range s.c.Directory.List() {
			named[s.c.Names.Person(m.Staff)] = m.Staff
		}
	}
	people := map[sallyport.Staff][]string{}
	for who, items := range q.People {
		if strings.HasPrefix(string(who), history.PersonPrefix) {
			known, ok := named[string(who)]
			if !ok {
				return &Problem{http.StatusBadRequest, "bad_review", "Nobody has the pseudonym " + string(who) + ".", "Make the report anew: pseudonyms may have changed since."}
			}
			who = known
		}
		people[who] = items
	}
	q.People = people
	return nil
}

type prolongRequest struct {
	Name   string            `json:"name"`
	Staff  []sallyport.Staff `json:"staff"` // of the review
	Until  time.Time         `json:"until"`
	Reason string            `json:"reason"`
}

// mostProlonged is how far ahead the new date may be.
const mostProlonged = 90 * 24 * time.Hour

// prolongReview proposes another date for some people of a review, before its date or after it: it is as if nobody had decided about them. None of them
// proposes or approves it.
func (s *Server) prolongReview(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	var q prolongRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reasoned := request{Reason: q.Reason}
	if err := reasoned.reasoned(); err != nil {
		return nil, err
	}
	slices.Sort(q.Staff)
	q.Staff = slices.Compact(q.Staff)
	now := s.c.Now()
	if len(q.Staff) == 0 || len(q.Staff) > mostReviewed || !q.Until.After(now.Add(proposalTime)) || q.Until.After(now.Add(mostProlonged)) {
		return nil, &Problem{http.StatusBadRequest, "bad_review", "A new date is more than a day and at most 90 days ahead, for at least one person of the review.", "Two people agree to it; another review takes its place after that."}
	}
	if slices.Contains(q.Staff, me) {
		return nil, &Problem{http.StatusForbidden, "about_yourself", "Nobody prolongs his own access.", "Ask another lead or security."}
	}
	reviews := book.Reviews()
	for _, who := range q.Staff {
		if !slices.ContainsFunc(reviews, func(x program.Review) bool { return x.Name == q.Name && x.Staff == who }) {
			return nil, &Problem{http.StatusNotFound, "no_such_review", "There is no review of this name that is about " + string(who) + ".", "sallyport program review ls lists them."}
		}
	}
	order := sallyport.Order{
		Action: program.ReviewProlongs, Reason: reasoned.Reason, Subjects: q.Staff, Details: fmt.Sprintf("%s until %s", q.Name, q.Until.UTC().Format(time.RFC3339)),
		Program: &sallyport.ProgramStep{Do: program.ReviewProlongs, Name: q.Name, Until: q.Until},
	}
	return s.propose(me, order, func() error { return nil })
}

// proposalTime is how long a proposal can be approved.
const proposalTime = 24 * time.Hour

type decideReviewRequest struct {
	Name   string          `json:"name"`
	Staff  sallyport.Staff `json:"staff"`
	Keep   bool            `json:"keep"`
	Reason string          `json:"reason"`
}

// decideReview puts on record whether somebody keeps his access. His manager says so, or who looks after access; what he may not decide he learns nothing of.
func (s *Server) decideReview(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	var q decideReviewRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reasoned := request{Reason: q.Reason}
	if err := reasoned.reasoned(); err != nil {
		return nil, err
	}
	may := me != q.Staff && (s.manages(me, q.Staff) || s.allows(r, callerOf(r), approvers))
	check := func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		i := slices.IndexFunc(book.Reviews(), func(x program.Review) bool { return x.Name == q.Name && x.Staff == q.Staff })
		if !may || i < 0 {
			return &Problem{http.StatusNotFound, "no_such_review", "There is no such review that you may decide.", "sallyport program review ls lists them."}
		}
		if x := book.Reviews()[i]; !x.Decided.IsZero() || !s.c.Now().Before(x.Until) {
			return &Problem{http.StatusConflict, "decided", "This is decided, or its date is over: " + cmp.Or(x.Why, "it has ended") + ".", "Open another review."}
		}
		return nil
	}
	e := s.event(sallyport.ProgramKind, me, &sallyport.Order{Action: program.ReviewDecided, By: me, About: q.Staff, Program: &sallyport.ProgramStep{
		Do: program.ReviewDecided, Name: q.Name, Staff: q.Staff, Keeps: q.Keep, Text: reasoned.Reason,
	}})
	if err := s.c.Orders.Give(check, e); err != nil {
		return nil, err
	}
	return map[string]any{"name": q.Name, "staff": q.Staff, "keeps": q.Keep}, nil
}

// Acknowledge puts on record that one has read a version of a document.
func (c *Client) Acknowledge(ctx context.Context, document, version string) (time.Time, error) {
	var answer struct {
		At time.Time `json:"at"`
	}
	err := c.call(ctx, http.MethodPost, "/v1/program/acknowledge", acknowledgeRequest{document, version}, &answer)
	return answer.At, err
}

// OpenReview opens a review of people's access.
func (c *Client) OpenReview(ctx context.Context, name string, until time.Time, people map[sallyport.Staff][]string) error {
	return c.call(ctx, http.MethodPost, "/v1/program/reviews", reviewRequest{name, until, people}, nil)
}

// DecideReview decides about somebody's access.
func (c *Client) DecideReview(ctx context.Context, name string, who sallyport.Staff, keep bool, reason string) error {
	return c.call(ctx, http.MethodPost, "/v1/program/reviews/decide", decideReviewRequest{name, who, keep, reason}, nil)
}

// ProlongReview proposes another date for people of a review, and returns the proposal's id.
func (c *Client) ProlongReview(ctx context.Context, name string, who []sallyport.Staff, until time.Time, reason string) (string, error) {
	return c.proposed(ctx, "/v1/program/reviews/prolong", prolongRequest{name, who, until, reason})
}

// Reviews lists reviews that one may see.
func (c *Client) Reviews(ctx context.Context) ([]ReviewStatus, error) {
	return pages[ReviewStatus](ctx, c, "/v1/program/reviews", "reviews")
}
