package main

import (
	"maps"
	"slices"
	"strings"

	"sallyport"
	"sallyport/purpose"
	"sallyport/query"
)

// listing is whose a log-in is by the configuration alone.
type listing struct {
	people map[string]purpose.Person          // by log-in
	staff  map[sallyport.Staff]purpose.Person // by id
	logins map[sallyport.Staff][]string
	names  map[string]purpose.Person // by what other systems call them, in small letters
}

// listing puts people and services of the configuration in order.
func (c *Config) listing() *listing {
	d := &listing{people: map[string]purpose.Person{}, staff: map[sallyport.Staff]purpose.Person{}, logins: map[sallyport.Staff][]string{}, names: map[string]purpose.Person{}}
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

// named is who is called so by other systems.
func (d *listing) named(name string) (purpose.Person, bool) {
	p, ok := d.names[strings.ToLower(name)]
	return p, ok
}

// addNames notes what other systems call somebody. checkNames sees to it that nobody has another's name.
func (d *listing) addNames(p purpose.Person, known []string) purpose.Person {
	p.Names = nil
	for _, name := range slices.Concat([]string{string(p.Staff)}, p.Logins, known) {
		if !slices.Contains(p.Names, name) {
			p.Names = append(p.Names, name)
		}
	}
	for _, name := range p.Names {
		d.names[strings.ToLower(name)] = p
	}
	return p
}

// identifies tells whether equal values of a column mean the same customer.
func (c *Config) identifies(column sallyport.Column) bool {
	return identifies(c.Protect.Columns[column.String()].Scheme)
}

// identifies tells whether equal values of a scheme mean the same customer.
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
