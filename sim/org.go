// Package sim makes up a support organisation for the demonstration and for benchmarks: customers of several countries,
// staff in teams, tickets, messages, contacts, and what an ordinary working day brings.
//
// It does no I/O and reads no clock. It holds nothing about real people: names are drawn from lists of frequent ones, mail
// domains end in .example, telephone numbers stand in ranges kept for fiction or not assigned. Its invariant: row i of a
// table is a function of the seed and i alone, so that any number of rows streams through constant memory.
package sim

import (
	_ "embed" // the lists of names and sentences, the schema
	"errors"
	"fmt"
	"time"

	"sallyport"
)

// Schema is the project's own copy of the reference support database.
//
//go:embed support.sql
var Schema string

// Org is one organisation. It is immutable, so that goroutines may share it.
type Org struct {
	Customers int64 // ids 1 to Customers
	Tickets   int64
	Messages  int64
	Contacts  int64
	Now       time.Time // when the data were taken; the newest ticket is a little older
	Staff     []Person  // agents first
	Services  []sallyport.Staff

	seed      uint64
	agents    int // Staff[:agents] are agents
	perAgent  int // open tickets of each
	teams     map[string]span
	countries []country
	byWeight  draw[int] // indices of countries
	phrases   map[string][]string
}

// Person is a member of staff.
type Person struct {
	ID         sallyport.Staff // s001, also the log-in
	Name       string
	Team, Role string
}

// span is a range of indices into Org.Staff.
type span struct{ from, to int }

// The roles of staff.
const (
	Agent    = "agent"
	Lead     = "lead"
	Engineer = "engineer"
	DBA      = "dba"
	Security = "security"
)

// Router and Telephony are the services that write what proves a reason: assignments, and contacts.
const (
	Router    sallyport.Staff = "svc_router"
	Telephony sallyport.Staff = "svc_phone"
)

// How many open tickets an agent has. Real queues do not grow with the number of customers, so neither do these.
const (
	fewestOpen = 20
	mostOpen   = 90
)

// maxTickets is how many different numbers of the form CS-dddd-dddd there are.
const maxTickets = 100_000_000

// New makes an organisation of that many customers as of now.
func New(seed uint64, customers int64, now time.Time) (*Org, error) {
	if customers < 1 || customers > maxTickets {
		return nil, fmt.Errorf("make up organisation: %d customers, want 1 to %d", customers, maxTickets)
	}
	o := &Org{
		Customers: customers, Now: now.UTC().Truncate(time.Second), seed: seed,
		Services: []sallyport.Staff{Router, Telephony},
	}
	var err error
	if o.countries, err = parseNames(); err != nil {
		return nil, err
	}
	weights := make([]int, len(o.countries))
	indices := make([]int, len(o.countries))
	for i, c := range o.countries {
		weights[i], indices[i] = c.weight, i
	}
	o.byWeight = newDraw(indices, weights)
	if o.phrases, err = parsePhrases(); err != nil {
		return nil, err
	}
	o.hire()

	o.Tickets = customers * 3 / 10
	o.perAgent = int(max(fewestOpen, min(mostOpen, o.Tickets/int64(3*o.agents))))
	o.Tickets = max(o.Tickets, o.recent())
	o.Messages = messagesOf(o.Tickets)
	o.Contacts = o.Tickets * 7 / 10
	return o, nil
}

// hire fills the teams.
func (o *Org) hire() {
	o.teams = map[string]span{}
	for _, team := range []struct {
		name, role string
		people     int
	}{
		{"support-eu", Agent, 20},
		{"support-us", Agent, 18},
		{"support-asia", Agent, 8},
		{"leads", Lead, 5},
		{"engineering", Engineer, 5},
		{"dba", DBA, 2},
		{"security", Security, 2},
	} {
		from := len(o.Staff)
		for range team.people {
			n := len(o.Staff) + 1
			d := o.dice(forStaff, int64(n))
			c := &o.countries[o.byWeight.take(&d)]
			o.Staff = append(o.Staff, Person{
				ID: sallyport.Staff(fmt.Sprintf("s%03d", n)), Name: c.first.take(&d).written + " " + c.last.take(&d).written,
				Team: team.name, Role: team.role,
			})
		}
		o.teams[team.name] = span{from, len(o.Staff)}
		if team.role == Agent {
			o.agents = len(o.Staff)
		}
	}
}

// Agents are the members of staff who work on tickets.
func (o *Org) Agents() []Person { return o.Staff[:o.agents] }

// Person is the member of staff with that id.
func (o *Org) Person(id sallyport.Staff) (Person, error) {
	for _, p := range o.Staff {
		if p.ID == id {
			return p, nil
		}
	}
	return Person{}, fmt.Errorf("find %s: %w", id, ErrNobody)
}

// ErrNobody says that an id is nobody's.
var ErrNobody = errors.New("no such member of staff")
