package purpose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// A contact supports a ticket that was opened at most so long after it, or so long before it: the telephone system writes its row
// when the call begins or when it ends.
const (
	contactBefore = 24 * time.Hour
	contactAfter  = time.Hour
)

// rules say whether a ticket is a reason: the one place where that is decided. docs/purposes.md is its table for people.
type rules struct {
	facts    *Facts
	open     []string
	routers  []sallyport.Staff
	writers  []sallyport.Staff
	services []sallyport.Staff
	team     func(Person) []string            // nil: nobody's tickets but one's own
	named    func(name string) (Person, bool) // whose a log-in is; nil: nobody knows
}

func newRules(c Config, facts *Facts, o Options) rules {
	return rules{
		facts: facts, open: c.Ticket.Open, routers: c.Ticket.Routers, writers: c.Contact.Writers, services: o.Services, team: o.Team, named: o.Named,
	}
}

// ticketRow is a ticket as the database has it now.
type ticketRow struct {
	id, customer, assignee, state, number string
	minutes                               int64 // since it was opened
}

// contactRow is a contact as the database has it now. The query sees to its customer, its ticket and its time.
type contactRow struct {
	id, customer, ticket, staff string
	incoming                    bool
	at                          int64  // microseconds since 1970
	about                       string // id of the ticket that it was looked up for
}

// judge says why a ticket is no reason for this person, or nothing if it is one. A colleague's is one for whom policies let see it.
func (r *rules) judge(who Person, t ticketRow, contacts []contactRow) (refused string) {
	_, refused = r.reason(who, t, contacts)
	return refused
}

// reason is judge with what is known of a ticket that is a reason.
func (r *rules) reason(who Person, t ticketRow, contacts []contactRow) (known sallyport.Reason, refused string) {
	known = sallyport.Reason{
		Kind: "ticket", Covers: true, Open: true, State: t.state, Minutes: t.minutes, Team: who.Team, Mine: slices.Contains(who.Logins, t.assignee),
		Contacted: slices.ContainsFunc(contacts, func(c contactRow) bool { return r.contacted(who, t, c) }),
	}
	if known.Mine {
		known.Assignee = who.Staff
	} else if of, ok := r.person(t.assignee); ok {
		known.Assignee, known.Team = of.Staff, of.Team
	}
	switch {
	case !slices.Contains(r.open, t.state):
		return known, fmt.Sprintf("ticket %s is closed", t.id)
	case t.assignee == "":
		return known, fmt.Sprintf("ticket %s is assigned to nobody", t.id)
	case !known.Mine && (r.team == nil || !slices.Contains(r.team(who), t.assignee)):
		return known, fmt.Sprintf("ticket %s is somebody else's", t.id)
	}
	return r.attested(known, who, t, contacts)
}

// attested holds a ticket to what is on record about who wrote it.
func (r *rules) attested(known sallyport.Reason, who Person, t ticketRow, contacts []contactRow) (_ sallyport.Reason, refused string) {
	attested, ok := r.facts.lookUpTicket(t.id)
	if !ok {
		return known, fmt.Sprintf("nobody is on record as the author of ticket %s, so nothing says who gave it to you", t.id)
	}
	var self string
	assigned := fmt.Sprintf("you assigned ticket %s to yourself", t.id)
	if !known.Mine {
		assigned = fmt.Sprintf("you assigned ticket %s", t.id)
	}
	for _, part := range []struct {
		name, selfMade string
		same           bool
		by             attestor
	}{
		{"customer", fmt.Sprintf("you opened ticket %s yourself", t.id), attested.customer == t.customer && t.customer != "", attested.byCustomer},
		{"assignee", assigned, attested.assignee == t.assignee, attested.byAssignee},
		{"state", fmt.Sprintf("you reopened ticket %s yourself", t.id), attested.open, attested.byState},
	} {
		switch {
		case !part.same || part.by.none():
			return known, attested.unknown(who, part.name, t.id)
		case part.by.staff == who.Staff:
			if self == "" {
				self = part.selfMade
			}
		case !r.trusted(part.by):
			return known, fmt.Sprintf("the %s of ticket %s was written by an account whose word about tickets does not count", part.name, t.id)
		}
	}
	known.OpenedBySelf, known.AssignedBySelf = attested.byCustomer.staff == who.Staff, attested.byAssignee.staff == who.Staff
	known.OpenedBy, known.OpenedByProgram = r.author(attested.byCustomer)
	known.AssignedBy, known.AssignedByProgram = r.author(attested.byAssignee)
	if self == "" || r.supported(who, t, attested.changed, contacts) {
		return known, ""
	}
	return known, self + ", and no contact of this customer supports it"
}

// unknown says that nobody is on record for a part of a ticket as it is now: it was written around the gateway, in a way that makes no
// fact, or before this record began. Which of these, the record does not know. If he reopened it, that is what he can act on.
func (t attestedTicket) unknown(who Person, part, id string) string {
	if t.open && t.byState.staff == who.Staff {
		return fmt.Sprintf("you reopened ticket %s yourself, and nobody is on record for the %s of ticket %s", id, part, id)
	}
	return fmt.Sprintf("nobody is on record for the %s of ticket %s", part, id)
}

// trusted tells whether somebody's word about tickets counts for others: another person of the directory, a configured service, or
// what stood there when protection began. Other services and log-ins that belong to nobody do not: who can make a log-in could
// otherwise be his own witness.
func (r *rules) trusted(by attestor) bool {
	switch {
	case by.baseline:
		return true
	case slices.Contains(r.services, by.staff):
		return slices.Contains(r.routers, by.staff)
	}
	return !strings.HasPrefix(string(by.staff), string(sallyport.UnknownLogin("")))
}

// author is who attested something: a person or a program; neither where it stood there when protection began.
func (r *rules) author(by attestor) (person sallyport.Staff, program string) {
	switch {
	case by.baseline:
		return "", ""
	case slices.Contains(r.services, by.staff):
		return "", string(by.staff)
	}
	return by.staff, ""
}

// person is whose a log-in is.
func (r *rules) person(login string) (Person, bool) {
	if r.named == nil || login == "" {
		return Person{}, false
	}
	return r.named(login)
}

// contacted tells whether a contact is the customer's own about a ticket, by the word of a program that is configured for it.
func (r *rules) contacted(who Person, t ticketRow, c contactRow) bool {
	if c.about != t.id || c.customer != t.customer || !c.incoming || c.ticket != "" && c.ticket != t.id {
		return false
	}
	by, same := r.facts.lookUpContact(c)
	return same && (by.baseline || slices.Contains(r.writers, by.staff) && slices.Contains(r.services, by.staff) && by.staff != who.Staff)
}

// supported tells whether a contact that the customer began makes a ticket valid that the person gave himself. When he did so
// is the record's word: opened_at is a column that he may write, and an old call would otherwise serve for ever.
func (r *rules) supported(who Person, t ticketRow, changed int64, contacts []contactRow) bool {
	return slices.ContainsFunc(contacts, func(c contactRow) bool {
		if changed != 0 && c.at < changed-contactBefore.Microseconds() {
			return false
		}
		return (c.staff == "" || slices.Contains(who.Logins, c.staff)) && r.contacted(who, t, c)
	})
}
