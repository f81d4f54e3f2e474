package config

import (
	"maps"
	"slices"
	"strings"

	"sallyport"
	"sallyport/purpose"
	"sallyport/query"
)

// Listing is whose a log-in is by the configuration alone.
type Listing struct {
	People map[string]purpose.Person          // by log-in
	Staff  map[sallyport.Staff]purpose.Person // by id
	Logins map[sallyport.Staff][]string
	names  map[string]purpose.Person // by what other systems call them, in small letters
}

// Listing puts people and services of the configuration in order.
func (c *Config) Listing() *Listing {
	d := &Listing{People: map[string]purpose.Person{}, Staff: map[sallyport.Staff]purpose.Person{}, Logins: map[sallyport.Staff][]string{}, names: map[string]purpose.Person{}}
	for id, p := range c.People {
		who := d.addNames(purpose.Person{Staff: sallyport.Staff(id), Logins: p.Logins, Team: p.Team, Role: p.Role}, p.KnownAs)
		for _, login := range p.Logins {
			d.People[login] = who
		}
		d.Staff[who.Staff] = who
		d.Logins[sallyport.Staff(id)] = p.Logins
	}
	for id, service := range c.Services {
		who := d.addNames(purpose.Person{Staff: sallyport.Staff(id), Logins: service.Logins, Team: service.Team, Service: true}, nil)
		for _, login := range service.Logins {
			d.People[login] = who
		}
	}
	return d
}

// Named is who is called so by other systems.
func (d *Listing) Named(name string) (purpose.Person, bool) {
	p, ok := d.names[strings.ToLower(name)]
	return p, ok
}

// addNames notes what other systems call somebody. checkNames sees to it that nobody has another's name.
func (d *Listing) addNames(p purpose.Person, known []string) purpose.Person {
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

// Identifies tells whether equal values of a column mean the same customer.
func (c *Config) Identifies(column sallyport.Column) bool {
	return Identifies(c.Protect.Columns[column.String()].Scheme)
}

// Identifies tells whether equal values of a scheme mean the same customer.
func Identifies(scheme sallyport.Scheme) bool {
	switch scheme {
	case sallyport.Email, sallyport.Phone, sallyport.Number:
		return true
	case sallyport.Name, sallyport.Text, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return false
	}
	return false
}

// FactColumns are what query adds to writes there, so that the gateway learns who made which reason.
func (c *Config) FactColumns() query.FactColumns {
	t, k := c.Purposes.Ticket, c.Purposes.Contact
	return query.FactColumns{
		Ticket:  query.TicketColumns{ID: t.ID, Customer: t.Customer, Assignee: t.Assignee, State: t.State},
		Contact: query.ContactColumns{ID: k.ID, Customer: k.Customer, Staff: k.Staff, Ticket: k.Ticket, Direction: k.Direction, At: k.At},
	}
}

// ServiceIDs are the programs with access.
func (c *Config) ServiceIDs() []sallyport.Staff {
	ids := make([]sallyport.Staff, 0, len(c.Services))
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		ids = append(ids, sallyport.Staff(id))
	}
	return ids
}
