package main

import (
	"maps"
	"slices"

	"sallyport"
	"sallyport/exposure"
	"sallyport/purpose"
	"sallyport/query"
)

// directory answers whose a log-in is, and what budgets he has.
type directory struct {
	people  map[string]purpose.Person          // by log-in
	staff   map[sallyport.Staff]purpose.Person // of the configuration, by id
	logins  map[sallyport.Staff][]string
	names   map[string]purpose.Person // by what other systems call them, in small letters
	budgets Budgets
	live    *staffing // who is where right now; nil: as the configuration says
}

func (c *Config) directory() *directory {
	d := &directory{people: map[string]purpose.Person{}, staff: map[sallyport.Staff]purpose.Person{}, logins: map[sallyport.Staff][]string{}, names: map[string]purpose.Person{}, budgets: c.Budgets}
	for id, p := range c.People {
		who := d.addNames(purpose.Person{Staff: sallyport.Staff(id), Logins: p.Logins, Team: p.Team, Role: p.Role}, p.KnownAs)
		for _, login := range p.Logins {
			d.people[login] = who
		}
		d.staff[who.Staff] = who
		d.logins[sallyport.Staff(id)] = p.Logins
	}
	for id, service := range c.Services {
		who := d.addNames(purpose.Person{Staff: sallyport.Staff(id), Logins: service.Logins, Team: service.Team, Service: true}, nil)
		for _, login := range service.Logins {
			d.people[login] = who
		}
	}
	return d
}

// person is who logs in; a log-in that nobody owns is a person of its own without rights.
func (d *directory) person(login string) purpose.Person {
	if p, ok := d.people[login]; ok {
		return d.placed(p)
	}
	if d.live != nil {
		if p, ok := d.live.imported(login); ok {
			return p
		}
	}
	return purpose.Person{Staff: sallyport.UnknownLogin(login), Logins: []string{login}}
}

// byID is a person of the directory as he stands right now; a service is none.
func (d *directory) byID(id sallyport.Staff) (purpose.Person, bool) {
	if p, ok := d.staff[id]; ok {
		return d.placed(p), true
	}
	if d.live != nil {
		return d.live.imported(string(id))
	}
	return purpose.Person{}, false
}

// placed is a person where he stands right now.
func (d *directory) placed(p purpose.Person) purpose.Person {
	if d.live == nil || p.Service {
		return p
	}
	return d.live.placed(p)
}

// team are the log-ins of a team's people right now.
func (d *directory) team(name string) (out []string) {
	if d.live == nil {
		return nil
	}
	for who, person := range d.live.now().People {
		if person.Place.Team != name {
			continue
		}
		if logins, configured := d.logins[who]; configured {
			out = append(out, logins...)
		} else {
			out = append(out, string(who))
		}
	}
	return out
}

// of is what somebody may see: his team's budgets, else the configuration's default, else the built-in one. An hour for
// which nobody configured anything may use up the day.
func (d *directory) of(p purpose.Person) exposure.Budgets {
	b := d.budgets.Teams[d.placed(p).Team].Over(d.budgets.Default)
	for _, m := range []*exposure.Budget{&b.Revealed, &b.Reached, &b.Probed} {
		if m.Hour == 0 {
			m.Hour = m.Day
		}
	}
	return b.Over(exposure.Default())
}

// identifies tells whether equal values of a column mean the same customer.
func (c *Config) identifies(column sallyport.Column) bool {
	return identifies(c.Protect.Columns[column.String()].Scheme)
}

func identifies(scheme sallyport.Scheme) bool {
	switch scheme {
	case sallyport.Email, sallyport.Phone, sallyport.Number:
		return true
	case sallyport.Name, sallyport.Text, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return false
	}
	return false
}

// factColumns are what query adds to writes there, so that the gateway learns who made which reason.
func (c *Config) factColumns() query.FactColumns {
	t, k := c.Purposes.Ticket, c.Purposes.Contact
	return query.FactColumns{
		Ticket:  query.TicketColumns{ID: t.ID, Customer: t.Customer, Assignee: t.Assignee, State: t.State},
		Contact: query.ContactColumns{ID: k.ID, Customer: k.Customer, Staff: k.Staff, Ticket: k.Ticket, Direction: k.Direction, At: k.At},
	}
}

// serviceIDs are the programs with access.
func (c *Config) serviceIDs() []sallyport.Staff {
	ids := make([]sallyport.Staff, 0, len(c.Services))
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		ids = append(ids, sallyport.Staff(id))
	}
	return ids
}
