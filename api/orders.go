package api

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"sallyport"
	"sallyport/control"
	"sallyport/record"
)

// Orders is the one writer of the control stream: what it appends is durable before the state changes, and the state
// changes in the order of the stream.
type Orders struct {
	mu     sync.Mutex // held from the check of an order until the state knows it
	stream *record.Stream
	state  *control.State
	folds  []func(*sallyport.Event) // besides state

	forward func(*sallyport.Event) error // who writes the stream instead; nil: this
}

// NewOrders folds what stands in the stream into state, then writes to both.
func NewOrders(stream *record.Stream, state *control.State) (*Orders, error) {
	err := stream.Read(1, func(e *sallyport.Event) error {
		state.Apply(e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fold the control stream: %w", err)
	}
	return &Orders{stream: stream, state: state}, nil
}

// FollowOrders is of a stream that another process writes: orders are handed to forward, and hold when they come back by Take.
func FollowOrders(stream *record.Stream, state *control.State, forward func(*sallyport.Event) error) (*Orders, error) {
	o, err := NewOrders(stream, state)
	if err != nil {
		return nil, err
	}
	o.forward = forward
	return o, nil
}

// Take lets an order take effect that another process has put on record.
func (o *Orders) Take(e *sallyport.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.apply(e)
}

// Fold lets another fold see what stands in the stream and everything that is given from then on, in that order.
func (o *Orders) Fold(apply func(*sallyport.Event)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.stream.Sync() // of a copy of another's stream what is known may not be durable yet
	if err == nil {
		err = o.stream.Read(1, func(e *sallyport.Event) error {
			apply(e)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("fold the control stream: %w", err)
	}
	o.folds = append(o.folds, apply)
	return nil
}

// apply lets an event take effect that is on record. o.mu is held.
func (o *Orders) apply(e *sallyport.Event) {
	o.state.Apply(e)
	for _, fold := range o.folds {
		fold(e)
	}
}

// State is the fold of everything given.
func (o *Orders) State() *control.State { return o.state }

// Give appends an event and lets it take effect, unless check, made at the same moment, objects.
func (o *Orders) Give(check func() error, e *sallyport.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if check != nil {
		if err := check(); err != nil {
			return err
		}
	}
	if err := o.put(e); err != nil {
		if e.Kind != sallyport.Locked && e.Kind != sallyport.Suspended {
			return fmt.Errorf("record the order: %w", err)
		}
		// Taking rights away fails closed: until serve is restarted the lock bites, and it must be given again.
		o.apply(e)
		return &Problem{
			http.StatusServiceUnavailable, "not_recorded", "The lock bites, but it could not be recorded: it ends when serve is restarted.",
			"See to the disk under the data folder, then give it again.",
		}
	}
	if o.forward == nil || e.Kind == sallyport.Suspended || e.Kind == sallyport.Locked { // those hold at once, and once more when they come back
		o.apply(e)
	}
	return nil
}

// put makes an order durable, here or where the stream is written.
func (o *Orders) put(e *sallyport.Event) error {
	if o.forward != nil {
		return o.forward(e)
	}
	_, err := o.stream.Append(e)
	return err
}

// Between does something at a moment at which no order is being given.
func (o *Orders) Between(do func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return do()
}

// request is the body of an order about somebody.
type request struct {
	Staff  sallyport.Staff `json:"staff,omitempty"`
	Group  string          `json:"group,omitempty"` // join group, of orders about keys
	Reason string          `json:"reason"`

	Customer sallyport.Subject `json:"customer,omitempty"` // of an order to shred
}

const maxReason = 500

// order reads the body of an order.
func (s *Server) order(r *http.Request) (request, error) {
	var q request
	if err := body(r, &q); err != nil {
		return q, err
	}
	return q, q.reasoned()
}

// reasoned holds an order to a reason.
func (q *request) reasoned() error {
	if q.Reason = strings.TrimSpace(q.Reason); q.Reason == "" || len(q.Reason) > maxReason {
		return &Problem{http.StatusBadRequest, "no_reason", "An order needs a reason of at most 500 bytes.", "Add --reason 'what happened'."}
	}
	return nil
}

// orderAbout reads the body of an order about somebody, whom there must be.
func (s *Server) orderAbout(r *http.Request) (request, error) {
	q, err := s.order(r)
	if err != nil {
		return q, err
	}
	return s.about(q)
}

// about holds an order to a reason and to somebody whom there is.
func (s *Server) about(q request) (request, error) {
	if err := q.reasoned(); err != nil {
		return q, err
	}
	_, person := s.c.People[q.Staff]
	unknownLogin := strings.HasPrefix(string(q.Staff), string(sallyport.UnknownLogin("")))
	if !person && !unknownLogin && (s.c.Known == nil || !s.c.Known(q.Staff)) {
		return q, &Problem{
			http.StatusNotFound, "no_such_staff", "Nobody in the configuration has this id.",
			"Ids stand under 'people' and 'services'; a log-in that nobody owns is login:NAME.",
		}
	}
	return q, nil
}

// DefaultLocks is how many people one person may lock in an hour.
const DefaultLocks = 10

var errManyLocks = errors.New("too many locks") //nolint:gochecknoglobals // a sentinel

// lock takes somebody's access away at once. Who has done that to many within the hour proposes it.
func (s *Server) lock(r *http.Request, me sallyport.Staff) (any, error) {
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	asked := q.Staff
	if found := s.foundAs(string(asked)); found != "" && asked != "" { // of whom there is a finding: to stop him nobody need know his name
		q.Staff = found
	}
	if q, err = s.about(q); err != nil {
		return nil, err
	}
	e := s.event(sallyport.Locked, me, &sallyport.Order{Action: "lock", By: me, About: q.Staff, Reason: q.Reason})
	err = s.c.Orders.Give(func() error {
		if s.state.LockedBy(me, q.Staff, s.c.Now()) >= cmp.Or(s.c.Locks, DefaultLocks) {
			return errManyLocks
		}
		return s.stillFree(me)()
	}, e)
	if errors.Is(err, errManyLocks) {
		return s.propose(me, sallyport.Order{Action: control.Lock, About: q.Staff, Reason: q.Reason}, func() error { return nil })
	}
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"staff": asked, "locked": true}
	if s.c.Observing {
		answer["observing"] = true
	}
	return answer, nil
}

func (s *Server) unlock(r *http.Request, me sallyport.Staff) (any, error) {
	q, err := s.orderAbout(r)
	if err != nil {
		return nil, err
	}
	return s.propose(me, sallyport.Order{Action: control.Unlock, About: q.Staff, Reason: q.Reason}, func() error {
		if standing := s.state.Standing(q.Staff); !standing.Locked && !standing.Suspended {
			return &Problem{http.StatusConflict, "not_locked", "This person is neither locked nor suspended.", ""}
		}
		return nil
	})
}

// acceptMark proposes to serve with a record that does not fit the database's mark. What is accepted is that very mark.
func (s *Server) acceptMark(r *http.Request, me sallyport.Staff) (any, error) {
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	mark := ""
	if s.c.Mark != nil {
		mark = s.c.Mark()
	}
	return s.propose(me, sallyport.Order{Action: control.AcceptMark, Reason: q.Reason, Details: mark}, func() error {
		if mark == "" {
			return &Problem{http.StatusConflict, "mark_fits", "The record fits the database: there is nothing to accept.", ""}
		}
		return nil
	})
}

// propose records a proposal, unless check objects.
func (s *Server) propose(me sallyport.Staff, order sallyport.Order, check func() error) (any, error) {
	order.ID, order.By = strings.ToLower(rand.Text()[:10]), me
	e := s.event(sallyport.Proposed, me, &order)
	err := s.c.Orders.Give(func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		if err := s.state.CheckProposal(&order); err != nil {
			return &Problem{http.StatusForbidden, "not_yours_to_propose", sentence(err), "Ask another lead or security."}
		}
		return check()
	}, e)
	if err != nil {
		return nil, err
	}
	return map[string]string{"proposal": order.ID}, nil
}

// stillFree checks, at the moment of an order, that whoever gives it has not been locked since he logged in.
func (s *Server) stillFree(me sallyport.Staff) func() error {
	return func() error {
		if standing := s.state.Standing(me); standing.Locked || standing.Suspended {
			return &Problem{http.StatusForbidden, "locked", "You are locked or suspended.", ""}
		}
		return nil
	}
}

func (s *Server) approve(r *http.Request, me sallyport.Staff) (any, error) {
	return s.decide(r, me, sallyport.Approved)
}

func (s *Server) decline(r *http.Request, me sallyport.Staff) (any, error) {
	return s.decide(r, me, sallyport.Declined)
}

// decide approves or declines a proposal. Its subject has no say; its proposer may take it back, but only another approve it.
func (s *Server) decide(r *http.Request, me sallyport.Staff, kind sallyport.EventKind) (any, error) {
	id := r.PathValue("id")
	if p, ok := s.proposal(id); ok && s.barredFrom(me, &p) {
		return nil, &Problem{http.StatusNotFound, "no_such_proposal", "There is no proposal with this id.", "sallyport proposals lists those that are open."}
	}
	if p, ok := s.proposal(id); kind == sallyport.Approved || !ok || p.By != me { // who proposed takes it back
		if err := s.mayDecide(r); err != nil {
			return nil, err
		}
	}
	order := &sallyport.Order{ID: id, By: me}
	check := func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		p, ok := s.proposal(id)
		if !ok {
			return &Problem{http.StatusNotFound, "no_such_proposal", "There is no proposal with this id.", "sallyport proposals lists those that are open."}
		}
		order.Action, order.About = p.Action, p.About
		if kind == sallyport.Declined && p.About != me && p.Status == control.Open {
			return nil
		}
		if err := s.state.CheckApproval(id, me); err != nil {
			return &Problem{http.StatusForbidden, "not_yours_to_decide", sentence(err), "Ask another lead or security."}
		}
		if kind == sallyport.Approved {
			order.Settled = s.settled(id)
		}
		return nil
	}
	code := ""
	if kind == sallyport.Approved {
		if p, ok := s.proposal(id); ok && (p.Action == control.Invite || p.Action == control.APIToken) {
			code = halfACode()
			order.Code = digestOf(code)
		}
	}
	if err := s.c.Orders.Give(check, s.event(kind, me, order)); err != nil {
		return nil, err
	}
	p, _ := s.proposal(id)
	answer := s.proposalTo(me, p)
	answer.Code = code
	return answer, nil
}

// settled are the findings that are at an end once a proposal to close a case is approved.
func (s *Server) settled(proposal string) (list []sallyport.Settled) {
	if s.c.Cases == nil {
		return nil
	}
	about := map[string]sallyport.Staff{}
	for _, f := range s.state.Findings() {
		about[f.ID] = f.About
	}
	for _, id := range s.c.Cases.Book.Settles(proposal) {
		list = append(list, sallyport.Settled{Finding: id, About: about[id]})
	}
	return list
}

// sentence makes an error's text one: control's errors begin in lower case as errors do.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func (s *Server) proposal(id string) (control.Proposal, bool) {
	for _, p := range s.state.Proposals() {
		if p.ID == id {
			return p, true
		}
	}
	return control.Proposal{}, false
}
