package purpose

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/catalog"
)

// search is one look into the database on behalf of one person: at most two round trips.
type search struct {
	*queries
	rules *rules
	conn  *pgx.Conn
	who   Person
	forms func(p *catalog.Protected, token string) []string
}

// ticket resolves ticket:REF, where REF is an id in digits or a number's token.
func (s *search) ticket(ctx context.Context, ref string) (*Cover, error) {
	tickets, contacts, err := s.findTicket(ctx, ref)
	switch {
	case err != nil:
		return nil, err
	case len(tickets) == 0:
		return &Cover{Refused: "there is no such ticket"}, nil
	case len(tickets) > 1:
		return &Cover{Refused: "several tickets have this number: give the ticket's id"}, nil
	}
	t := tickets[0]
	known, refused := s.rules.reason(s.who, t, contacts)
	if refused != "" {
		better, err := s.newestAbout(ctx, t.customer)
		if err != nil {
			return nil, err
		}
		cover := &Cover{Refused: refused}
		if better != "" {
			cover.Help = "SET sallyport.purpose = 'ticket:" + better + "';"
		}
		return cover, nil
	}
	cover := &Cover{Reason: known, Values: map[string]Value{}}
	return cover, s.addValues(ctx, cover, s.values, []sallyport.Subject{sallyport.Subject(t.customer)})
}

// findTicket reads the ticket and the contacts that could support it.
func (s *search) findTicket(ctx context.Context, ref string) ([]ticketRow, []contactRow, error) {
	var b batch
	incoming := textArray(s.config.Contact.Incoming)
	switch {
	case isID(ref):
		b.add(s.byID, ref)
		if s.contactsByID != "" {
			b.add(s.contactsByID, textArray([]string{ref}), incoming)
		}
	case s.config.Ticket.Number != "" && !strings.ContainsRune(ref, 0):
		forms := textArray(s.forms(s.number, ref))
		b.add(s.byNumber, forms)
		if s.contactsByNo != "" {
			b.add(s.contactsByNo, forms, incoming)
		}
	default:
		return nil, nil, nil
	}
	results, err := b.run(ctx, s.conn)
	if err != nil {
		return nil, nil, err
	}
	var contacts []contactRow
	if len(results) > 1 {
		contacts = s.readContacts(results[1])
	}
	return readTickets(results[0]), contacts, nil
}

// maxDigits keeps ids within bigint.
const maxDigits = 18

func isID(ref string) bool {
	return ref != "" && len(ref) <= maxDigits && strings.Trim(ref, "0123456789") == ""
}

// newestAbout finds the id of the person's newest ticket about a customer that is a reason, empty where there is none.
func (s *search) newestAbout(ctx context.Context, customer string) (string, error) {
	if customer == "" || len(s.who.Logins) == 0 {
		return "", nil
	}
	var b batch
	b.add(s.mineAbout, textArray(s.who.Logins), textArray(s.config.Ticket.Open), customer)
	if s.contactsAbout != "" {
		b.add(s.contactsAbout, textArray(s.who.Logins), textArray(s.config.Contact.Incoming), customer)
	}
	results, err := b.run(ctx, s.conn)
	if err != nil {
		return "", err
	}
	var contacts []contactRow
	if len(results) > 1 {
		contacts = s.readContacts(results[1])
	}
	for _, t := range readTickets(results[0]) {
		if s.rules.judge(s.who, t, contacts) == "" {
			return t.id, nil
		}
	}
	return "", nil
}

// ownTicket answers OwnTicket: the id stands in Help.
func (s *search) ownTicket(ctx context.Context, customer string) (*Cover, error) {
	id, err := s.newestAbout(ctx, customer)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return &Cover{Refused: "no ticket of one's own is about this customer"}, nil
	}
	return &Cover{Help: id}, nil
}

// holding reads what the database holds of the customers of one's own open tickets, whether these are reasons or not.
func (s *search) holding(ctx context.Context) (*Cover, error) {
	var first batch
	first.add(s.mine, textArray(s.who.Logins), textArray(s.config.Ticket.Open))
	results, err := first.run(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	var subjects []sallyport.Subject
	for _, t := range readTickets(results[0]) {
		if t.customer != "" && !slices.Contains(subjects, sallyport.Subject(t.customer)) {
			subjects = append(subjects, sallyport.Subject(t.customer))
		}
	}
	cover := &Cover{Values: map[string]Value{}}
	return cover, s.addValues(ctx, cover, s.values, subjects)
}

// workList resolves work:mine: names of the customers, and the numbers, of one's own open tickets that are reasons themselves.
func (s *search) workList(ctx context.Context) (*Cover, error) {
	if len(s.who.Logins) == 0 {
		return nil, errors.New("a person without a log-in")
	}
	var first batch
	first.add(s.mine, textArray(s.who.Logins), textArray(s.config.Ticket.Open))
	results, err := first.run(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	tickets := readTickets(results[0])
	if len(tickets) == 0 {
		return &Cover{Refused: "you have no open ticket"}, nil
	}
	values, contacts, err := s.namesAndContacts(ctx, tickets)
	if err != nil {
		return nil, err
	}
	cover := &Cover{Reason: sallyport.Reason{Kind: "work", Covers: true, Open: true, Mine: true, Team: s.who.Team}, Values: map[string]Value{}}
	covered := map[sallyport.Subject]bool{}
	for _, t := range tickets {
		if s.rules.judge(s.who, t, contacts) != "" {
			continue
		}
		subject := sallyport.Subject(t.customer)
		if !covered[subject] {
			covered[subject] = true
			cover.Subjects = append(cover.Subjects, subject)
		}
		if s.number != nil && t.number != "" {
			cover.Values[s.number.Key(s.settle(s.number, t.number))] = Value{Column: s.number.Column, Scheme: s.number.Scheme, Subject: subject}
		}
	}
	for _, v := range values {
		if covered[v.value.Subject] {
			cover.add(v)
		}
	}
	if len(cover.Subjects) == 0 {
		return &Cover{Refused: "none of your open tickets counts: " + s.rules.judge(s.who, tickets[0], contacts)}, nil
	}
	return cover, nil
}

// namesAndContacts reads, in one round trip, the names of the tickets' customers and the contacts that could support the tickets which
// need it.
func (s *search) namesAndContacts(ctx context.Context, tickets []ticketRow) ([]stored, []contactRow, error) {
	var subjects []sallyport.Subject
	var doubtful []string // tickets that a contact would have to support
	for _, t := range tickets {
		if s.rules.judge(s.who, t, nil) != "" {
			doubtful = append(doubtful, t.id)
		}
		if t.customer != "" && !slices.Contains(subjects, sallyport.Subject(t.customer)) {
			subjects = append(subjects, sallyport.Subject(t.customer))
		}
	}
	var b batch
	for _, q := range s.names {
		b.add(q.SQL, textArray(subjects))
	}
	wantContacts := s.contactsByID != "" && len(doubtful) > 0
	if wantContacts {
		b.add(s.contactsByID, textArray(doubtful), textArray(s.config.Contact.Incoming))
	}
	results, err := b.run(ctx, s.conn)
	if err != nil {
		return nil, nil, err
	}
	var contacts []contactRow
	if wantContacts {
		contacts = s.readContacts(results[len(s.names)])
	}
	return s.readStored(s.names, results), contacts, nil
}

// addValues reads what customers have.
func (s *search) addValues(ctx context.Context, cover *Cover, queries []catalog.CustomerQuery, subjects []sallyport.Subject) error {
	cover.Subjects = subjects
	if len(queries) == 0 {
		return nil
	}
	var b batch
	for _, q := range queries {
		b.add(q.SQL, textArray(subjects))
	}
	results, err := b.run(ctx, s.conn)
	if err != nil {
		return err
	}
	for _, v := range s.readStored(queries, results) {
		cover.add(v)
	}
	return nil
}

// stored is one value as the database has it.
type stored struct {
	text  string
	value Value
	of    *catalog.Protected
	apart *Apart // of an integer or a uuid on its way
}

// add keeps the first meaning of a text: the customer table comes before what is written about him.
func (c *Cover) add(v stored) {
	if v.apart != nil {
		c.addApart(v.of, v.value.Subject, *v.apart)
		return
	}
	if _, known := c.Values[v.text]; !known {
		c.Values[v.text] = v.value
	}
}

// readStored reads the results of customer queries, which come first in results.
func (q *queries) readStored(queries []catalog.CustomerQuery, results []*pgconn.Result) []stored {
	var list []stored
	for i := range queries {
		for _, fields := range results[i].Rows {
			for j, p := range queries[i].Columns {
				text, value := fields[j+1], Value{Column: p.Column, Scheme: p.Scheme, Subject: sallyport.Subject(fields[0])}
				switch at, hasWay := queries[i].Stands[j]; {
				case len(text) == 0:
				case !p.Apart():
					list = append(list, stored{text: p.Key(q.settle(p, string(text))), value: value})
				case hasWay:
					if a, ok := q.apartOf(p, text, fields[at]); ok {
						list = append(list, stored{value: value, of: p, apart: &a})
					}
				}
			}
		}
	}
	return list
}
