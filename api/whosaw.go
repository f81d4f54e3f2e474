package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Sighting is one statement by which somebody could read values of a customer.
type Sighting struct {
	Time        time.Time       `json:"time"` // when the first of them left
	Staff       sallyport.Staff `json:"staff"`
	Via         sallyport.Staff `json:"via,omitempty"`     // the service that acted for him
	Claimed     bool            `json:"claimed,omitempty"` // on its own word alone
	Login       string          `json:"login,omitempty"`
	Application string          `json:"application,omitempty"`
	Address     string          `json:"address,omitempty"`
	Session     string          `json:"session"`
	Statement   uint64          `json:"statement"`
	Verb        string          `json:"verb,omitempty"`
	Columns     []string        `json:"columns"`
	Purposes    []string        `json:"purposes,omitempty"`
	Grant       string          `json:"grant,omitempty"`
	// ByValue lists the columns that were found by an equal value only: the row that carried it was another customer's
	// (Under), or nobody knows whose.
	ByValue []string            `json:"by_value,omitempty"`
	Under   []sallyport.Subject `json:"under,omitempty"`
	// Observed: while serve only observed. Columns are then those that the statement asked for, whatever its purpose.
	Observed bool `json:"observed,omitempty"`
}

// place names one statement in the record.
type place struct {
	session   string
	statement uint64
}

// whoSaw answers who could read which field of a customer, when and why. That somebody asked is recorded before it is read.
func (s *Server) whoSaw(r *http.Request, me sallyport.Staff) (any, error) {
	customer := sallyport.Subject(r.URL.Query().Get("customer"))
	if customer == "" || len(customer) > 200 {
		return nil, &Problem{http.StatusBadRequest, "no_customer", "No customer is named.", "Give the customer's id: ?customer=48211"}
	}
	e := s.event(sallyport.Queried, me, &sallyport.Order{Action: "who_saw", By: me, Details: string(customer)})
	e.Note = "who saw customer " + string(customer)
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	list, err := s.sightings(r.Context(), customer)
	if err != nil {
		return nil, err
	}
	s.nameTickets(r.Context(), list)
	return map[string]any{"customer": customer, "sightings": list}, nil
}

// nameTickets replaces tickets' numbers, which stand in the record as tokens, by the tickets' ids, which people can use.
func (s *Server) nameTickets(ctx context.Context, list []*Sighting) {
	if s.c.TicketID == nil {
		return
	}
	named := map[string]string{}
	for _, sighting := range list {
		for i, p := range sighting.Purposes {
			number, isTicket := strings.CutPrefix(p, "ticket:")
			if !isTicket || strings.Trim(number, "0123456789") == "" {
				continue
			}
			name, known := named[p]
			if !known {
				name = p // a ticket that is gone keeps its token
				if id, ok := s.c.TicketID(ctx, number); ok {
					name = "ticket:" + id
				}
				named[p] = name
			}
			sighting.Purposes[i] = name
		}
	}
}

// sightings reads the access stream four times up to where it ends now: for the values that were revealed under this
// customer, for every reveal of one of them, for rows of the customer that were read while serve only observed, and for the
// statements that these belong to. Memory follows what is found.
func (s *Server) sightings(ctx context.Context, customer sallyport.Subject) ([]*Sighting, error) {
	last := s.c.Access.Last()
	values, err := s.valuesOf(ctx, last, customer)
	if err != nil {
		return nil, err
	}
	found := map[place]*Sighting{}
	list := []*Sighting{}
	err = s.reveals(ctx, last, func(e *sallyport.Event, v sallyport.RevealedValue, column sallyport.Column) {
		direct := v.Subject == customer
		if !direct && !(values[v.Digest] && s.tells(v, column)) {
			return
		}
		at := place{e.Who.Session, e.Reveal.Statement}
		if found[at] == nil {
			found[at] = sightingOf(e)
			list = append(list, found[at])
		}
		found[at].add(v, column, direct)
	})
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, last, func(e *sallyport.Event) {
		if e.Kind != sallyport.ObservedKind || e.Touch == nil || !slices.Contains(e.Touch.Reached, customer) {
			return
		}
		if at := (place{e.Who.Session, e.Touch.Statement}); found[at] == nil {
			found[at] = sightingOf(e)
			list = append(list, found[at])
		}
	})
	if err != nil {
		return nil, err
	}
	return list, s.read(ctx, last, func(e *sallyport.Event) {
		if e.Kind != sallyport.StatementKind || e.Statement == nil {
			return
		}
		if sighting := found[place{e.Who.Session, e.Statement.ID}]; sighting != nil {
			sighting.describe(e.Statement)
		}
	})
}

// valuesOf is the digests of what was revealed under a customer.
func (s *Server) valuesOf(ctx context.Context, last uint64, customer sallyport.Subject) (map[sallyport.Digest]bool, error) {
	values := map[sallyport.Digest]bool{}
	err := s.reveals(ctx, last, func(_ *sallyport.Event, v sallyport.RevealedValue, _ sallyport.Column) {
		if v.Subject == customer && v.Digest != (sallyport.Digest{}) {
			values[v.Digest] = true
		}
	})
	return values, err
}

// describe adds what the statement's own entry says.
func (s *Sighting) describe(statement *sallyport.Statement) {
	s.Verb = statement.Verb
	if !s.Observed {
		return
	}
	for _, column := range statement.Columns {
		if name := column.String(); !slices.Contains(s.Columns, name) {
			s.Columns = append(s.Columns, name)
		}
	}
}

// tells says whether a value equal to one of the customer's means the customer. Where nobody knows whose row carried it, it
// does. In another customer's row only identifying columns do: two people may well share a name or a birthday.
func (s *Server) tells(v sallyport.RevealedValue, column sallyport.Column) bool {
	return v.Subject == "" || s.c.Identifies != nil && s.c.Identifies(column)
}

// reveals walks every value that left in plain.
func (s *Server) reveals(ctx context.Context, last uint64, fn func(*sallyport.Event, sallyport.RevealedValue, sallyport.Column)) error {
	return s.read(ctx, last, func(e *sallyport.Event) {
		if e.Kind != sallyport.RevealKind && e.Kind != sallyport.ObservedKind || e.Reveal == nil {
			return
		}
		for v := range e.Reveal.Values.All() {
			var column sallyport.Column
			if int(v.Column) < len(e.Reveal.Columns) {
				column = e.Reveal.Columns[v.Column]
			}
			fn(e, v, column)
		}
	})
}

// read walks the access stream up to the entry that was the last when the question was asked.
func (s *Server) read(ctx context.Context, last uint64, fn func(*sallyport.Event)) error {
	err := s.c.Access.Read(1, func(e *sallyport.Event) error {
		if e.Seq > last {
			return errRead
		}
		fn(e)
		return ctx.Err()
	})
	if errors.Is(err, errRead) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the access stream: %w", err)
	}
	return nil
}

// errRead ends a walk where the question ended.
var errRead = errors.New("read so far")

func sightingOf(e *sallyport.Event) *Sighting {
	s := &Sighting{
		Time: e.Time, Staff: e.Who.Staff, Via: e.Who.Via, Claimed: e.Who.Claimed, Login: e.Who.Login, Application: e.Who.Application, Address: e.Who.Address,
		Session: e.Who.Session, Columns: []string{}, Observed: e.Kind == sallyport.ObservedKind,
	}
	if e.Reveal == nil {
		s.Statement = e.Touch.Statement
		return s
	}
	s.Statement, s.Grant = e.Reveal.Statement, e.Reveal.Grant
	for _, p := range e.Reveal.Purposes {
		s.Purposes = append(s.Purposes, p.String())
	}
	return s
}

// add notes one value of a statement.
func (s *Sighting) add(v sallyport.RevealedValue, column sallyport.Column, direct bool) {
	name := column.String()
	if column == (sallyport.Column{}) {
		name = "a column that the entry does not name"
	}
	if !slices.Contains(s.Columns, name) {
		s.Columns = append(s.Columns, name)
	}
	if direct {
		return
	}
	if !slices.Contains(s.ByValue, name) {
		s.ByValue = append(s.ByValue, name)
	}
	if v.Subject != "" && !slices.Contains(s.Under, v.Subject) {
		s.Under = append(s.Under, v.Subject)
	}
}
