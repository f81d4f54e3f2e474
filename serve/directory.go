package serve

import (
	"sallyport"
	"sallyport/config"
	"sallyport/exposure"
	"sallyport/purpose"
)

// directory answers whose a log-in is, and what budgets he has.
type directory struct {
	*config.Listing
	budgets config.Budgets
	live    *staffing // who is where right now; nil: as the configuration says
}

func directoryOf(c *config.Config) *directory {
	return &directory{Listing: c.Listing(), budgets: c.Budgets}
}

// person is who logs in; a log-in that nobody owns is a person of its own without rights.
func (d *directory) person(login string) purpose.Person {
	if p, ok := d.People[login]; ok {
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
	if p, ok := d.Staff[id]; ok {
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
		if logins, configured := d.Logins[who]; configured {
			out = append(out, logins...)
		} else {
			out = append(out, string(who))
		}
	}
	return out
}

// of is what somebody may see.
func (d *directory) of(p purpose.Person) exposure.Budgets { return d.budgets.Of(d.placed(p).Team) }
