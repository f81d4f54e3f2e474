package api

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport"
	"sallyport/assure"
)

// Calls are those that are scheduled, so that a customer can find out that one is the company's.
type Calls struct {
	Book *assure.Book
	// Reason is the open ticket of somebody's about a customer, which he could not make himself; ok is false where there is none.
	Reason func(ctx context.Context, who sallyport.Staff, customer sallyport.Subject) (ticket string, ok bool)
	// Called is what a customer is told of somebody: his first name, and his team.
	Called func(who sallyport.Staff) (name, team string)
}

// CallRequest schedules a call.
type CallRequest struct {
	Customer sallyport.Subject `json:"customer"`
	From     time.Time         `json:"from"`
	Minutes  int               `json:"minutes"`
	About    string            `json:"about"`
}

// Call is one that is to come. Code is shown once, to who has just scheduled it: it goes to the customer's contact details on file, before the call.
type Call struct {
	ID       string            `json:"id"`
	Code     string            `json:"code,omitempty"`
	Customer sallyport.Subject `json:"customer"`
	From     time.Time         `json:"from"`
	Until    time.Time         `json:"until"`
	Caller   sallyport.Staff   `json:"caller"`
	Name     string            `json:"name"` // as the customer is told
	Team     string            `json:"team"`
	About    string            `json:"about"`
	Reason   string            `json:"reason"`
	Checks   int               `json:"checks"` // how often the customer asked about it
}

func (s *Server) callRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/calls", s.as(everybody, s.listCalls))
	mux.Handle("POST /v1/calls", s.as(everybody, s.scheduleCall))
	mux.Handle("POST /v1/calls/{id}/cancel", s.as(everybody, s.cancelCall))
}

// HasCalls tells whether calls are scheduled here.
func (s *Server) HasCalls() bool { return s.c.Calls != nil }

func (s *Server) noCalls() error {
	if s.c.Calls == nil {
		return &Problem{http.StatusConflict, "no_calls", "This serve schedules no calls.", "Section customers of the configuration has them."}
	}
	return nil
}

func callOf(c *assure.Call) Call {
	return Call{ID: c.ID, Customer: c.Customer, From: c.From, Until: c.Until, Caller: c.Caller, Name: c.Name, Team: c.Team, About: c.About, Reason: c.Reason, Checks: c.Checks}
}

func (s *Server) listCalls(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noCalls(); err != nil {
		return nil, err
	}
	list := []Call{}
	for _, c := range s.c.Calls.Book.Of(me, false, s.c.Now()) {
		list = append(list, callOf(&c))
	}
	return paged(r, "calls", list, func(c *Call) string { return c.ID })
}

// scheduleCall puts on record that somebody is going to call a customer, by a ticket of his own about that very customer.
func (s *Server) scheduleCall(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noCalls(); err != nil {
		return nil, err
	}
	var q CallRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if q.Customer == "" || len(q.Customer) > 200 || q.Minutes < 1 || q.From.IsZero() {
		return nil, &Problem{http.StatusBadRequest, "bad_call", "A call names its customer, when it is to be, and for how many minutes.", "sallyport assure call schedule --customer 48211 --at 2026-03-02T10:30:00Z --for 30m --about invoice"}
	}
	ticket, ok := s.c.Calls.Reason(r.Context(), me, q.Customer)
	if !ok {
		return nil, &Problem{http.StatusForbidden, "no_reason", "You have no open ticket about this customer that somebody else gave you.", "Whoever has one calls him."}
	}
	name, team := s.c.Calls.Called(me)
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand, Go 1.24)
	code := assure.Code(random)
	digest, _ := assure.Digest(code) // it is one
	a := &sallyport.AssuredCall{
		ID: "ca-" + newID(), Do: assure.Schedule, Customer: q.Customer, Code: digest[:], From: q.From.UTC(), Until: q.From.UTC().Add(time.Duration(min(q.Minutes, 24*60)) * time.Minute),
		Caller: me, Name: name, Team: team, About: q.About, Reason: "ticket:" + ticket,
	}
	if err := s.giveCall(me, a, func() error { return s.c.Calls.Book.CheckSchedule(a, s.c.Now()) }); err != nil {
		return nil, err
	}
	answer := callOf(&assure.Call{AssuredCall: *a})
	answer.Code = code
	return answer, nil
}

func (s *Server) giveCall(me sallyport.Staff, a *sallyport.AssuredCall, check func() error) error {
	err := s.c.Orders.Give(func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		return check()
	}, s.event(sallyport.AssuredKind, me, &sallyport.Order{Action: "call", By: me, Assured: a}))
	if errors.Is(err, assure.ErrCall) {
		return &Problem{http.StatusConflict, "bad_call", upper(strings.TrimPrefix(err.Error(), assure.ErrCall.Error()+": ")) + ".", "docs/customers.md says what a call can be."}
	}
	return err
}

func (s *Server) cancelCall(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noCalls(); err != nil {
		return nil, err
	}
	id, oversees := r.PathValue("id"), s.allows(r, callerOf(r), administrators)
	a := &sallyport.AssuredCall{ID: id, Do: assure.Cancel}
	if err := s.giveCall(me, a, func() error { return s.c.Calls.Book.CheckCancel(id, me, oversees) }); err != nil {
		return nil, err
	}
	return map[string]any{"call": id, "cancelled": true}, nil
}

// CheckCall is for the customers' page: the call of a code, if it is to be made right now. That who had the code asked is put on record a few times;
// a record that cannot be written is no reason to leave a customer alone with a voice.
func (o *Orders) CheckCall(book *assure.Book, code string, now time.Time) (c assure.Call, ok bool, err error) {
	c, ok = book.Now(code, now)
	if !ok || c.Checks >= assure.MostChecks {
		return c, ok, nil
	}
	err = o.Give(nil, &sallyport.Event{Time: now, Kind: sallyport.AssuredKind, Order: &sallyport.Order{Action: "call_checked", Assured: &sallyport.AssuredCall{ID: c.ID, Do: assure.Check}}})
	return c, ok, err
}

// Calls lists one's own calls that are to come.
func (c *Client) Calls(ctx context.Context) ([]Call, error) {
	return pages[Call](ctx, c, "/v1/calls", "calls")
}

// ScheduleCall schedules one, and returns it with its code.
func (c *Client) ScheduleCall(ctx context.Context, q CallRequest) (call Call, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/calls", q, &call)
	return call, err
}

// CancelCall calls one off.
func (c *Client) CancelCall(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v1/calls/"+url.PathEscape(id)+"/cancel", struct{}{}, nil)
}
