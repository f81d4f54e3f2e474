package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sallyport"
	"sallyport/history"
)

// Sighting is one statement by which somebody could read values of a customer.
type Sighting = history.Sighting

// whoSaw answers who could read which field of a customer, when and why: people by pseudonyms, until two agreed to see who it is. That somebody asked is recorded before it is read.
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
	list, err := s.past.WhoSaw(r.Context(), customer)
	if err != nil {
		return nil, err
	}
	shown := s.shownTo(me)
	s.nameTickets(r.Context(), slices.DeleteFunc(slices.Clone(list), func(sighting *Sighting) bool { return !shown(sighting.Staff) }))
	s.c.Names.Mask(list, shown)
	return pagedWith(r, "sightings", list, func(x **Sighting) string { return fmt.Sprint((*x).Session, (*x).Statement, (*x).Entry) }, map[string]any{"customer": customer})
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
