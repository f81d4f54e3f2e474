package serve

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/assure"
	"sallyport/console"
)

// customersPage is the source of what customers fill in on their page.
const customersPage = "customers page"

// calls are those that are scheduled; nil: customers have no page to check one.
func (s *Server) calls() (*api.Calls, error) {
	if s.O.Config.Customers.Listen == "" {
		return nil, nil
	}
	s.scheduled = assure.NewBook()
	if err := s.orders.Fold(s.scheduled.Apply); err != nil {
		return nil, err
	}
	everybody := directoryOf(s.O.Config)
	everybody.live = s.staffing
	return &api.Calls{
		Book: s.scheduled,
		Reason: func(ctx context.Context, who sallyport.Staff, customer sallyport.Subject) (string, bool) {
			s.mu.Lock()
			reasons := s.reasons
			s.mu.Unlock()
			person, ok := everybody.byID(who)
			if reasons == nil || !ok {
				return "", false
			}
			return reasons.OwnTicket(ctx, person, customer)
		},
		Called: func(who sallyport.Staff) (name, team string) {
			name, _, _ = strings.Cut(s.staffing.calls(who), " ")
			if person, ok := everybody.byID(who); ok {
				team = person.Team
			}
			return name, team
		},
	}, nil
}

// openCustomers listens for browsers of customers, if the configuration says so.
func (s *Server) openCustomers(ctx context.Context, people *api.Server) error {
	c := &s.O.Config.Customers
	if c.Listen == "" || s.link != nil {
		return nil
	}
	texts, err := console.Texts()
	if err != nil {
		return err
	}
	if c.Texts != "" {
		texts = fs.FS(os.DirFS(s.O.Config.Path(c.Texts)))
	}
	if s.outbox, err = s.newOutbox(); err != nil {
		return err
	}
	var ask func(typed, language string)
	if s.outbox != nil {
		ask = s.outbox.ask
	}
	pages, err := console.NewPublic(console.PublicConfig{
		Ask: ask,
		Seen: func(ctx context.Context, link string) ([]api.SeenLine, time.Time, bool) {
			list, until, ok, err := people.Seen(ctx, link)
			if err != nil {
				s.log.Error("a customer cannot be shown who has seen his data", "why", err.Error())
			}
			return list, until, ok && err == nil
		},
		Now: s.O.Clock, Texts: texts, Points: console.ContactPoints{Company: c.Company, Phones: c.Phones, Mails: c.Mails, Domains: c.Domains},
		Check: func(_ context.Context, code string) (assure.Call, bool) {
			call, ok, err := s.orders.CheckCall(s.scheduled, code, s.O.Clock())
			if err != nil {
				s.log.Error("that a customer checked a call could not be put on record", "why", err.Error())
			}
			return call, ok
		},
		Report: func(r api.Report) error {
			_, _, err := s.reports.arrive(customersPage, "", []api.Report{r})
			if err != nil {
				s.log.Error("a report of a customer could not be kept", "why", err.Error())
			}
			return err
		},
	})
	if err != nil {
		return err
	}
	listener, err := s.listenForPages(ctx, c.Listen, c.Certificate, c.Key, mostOfPlace)
	if err != nil {
		return err
	}
	s.customers = &pageListener{listener: listener, handler: pages, end: func() {}}
	return nil
}
