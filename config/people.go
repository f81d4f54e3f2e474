package config

import (
	"encoding/json"
	"os"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/staff"
)

// Logins are all log-ins of the configuration.
func (c *Config) Logins() map[string]bool {
	known := map[string]bool{}
	for _, p := range c.People {
		for _, login := range p.Logins {
			known[login] = true
		}
	}
	for _, s := range c.Services {
		for _, login := range s.Logins {
			known[login] = true
		}
	}
	for _, role := range c.Replication {
		known[role] = true
	}
	for _, e := range c.Upstream.Enter { // Sallyport itself logs in as it
		known[e.As] = true
	}
	return known
}

// Listed has the commands about policies ask about everybody whom 'directory ls --json' printed, in place of the configuration's people.
func (c *Config) Listed(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Usagef("read the people: %w", err)
	}
	var list struct {
		Staff []api.Member `json:"staff"`
	}
	if err := json.Unmarshal(text, &list); err != nil || len(list.Staff) == 0 {
		return Usagef("read the people: %s is not what 'sallyport directory ls --json' prints", file)
	}
	c.Roster = &staff.Roster{People: map[sallyport.Staff]staff.Person{}}
	for _, x := range list.Staff {
		c.Roster.People[x.Staff] = staff.Person{
			Staff: x.Staff, Name: x.Name, Place: sallyport.Place{Team: x.Team, Role: x.Role}, Manager: x.Manager, Employment: x.Employment,
		}
	}
	return nil
}

// Alone tells whether whoever writes the file may change it: while there is nothing to guard, in a demonstration, and where there are no two
// people who could agree.
func (c *Config) Alone(state *control.State) bool {
	n := 0
	for id, p := range c.People {
		if c.MayOrder(state, id, p) && (p.Role == "lead" || p.Role == "security") && p.Employment != "left" {
			n++
		}
	}
	return c.Demonstration || !c.Guards() || n < 2
}

// MayOrder tells whether somebody can log in for commands.
func (c *Config) MayOrder(state *control.State, id string, p Person) bool {
	return p.Password != "" || c.LogIn.Issuer != "" || state.Password(sallyport.Staff(id)) != ""
}

// TeamOf is somebody's team, else the one that the record names.
func (c *Config) TeamOf(who sallyport.Staff, recorded string) string {
	if c.Roster != nil {
		if p, ok := c.Roster.People[who]; ok {
			return p.Place.Team
		}
	}
	if p, ok := c.People[string(who)]; ok {
		return p.Team
	}
	if s, ok := c.Services[string(who)]; ok {
		return s.Team
	}
	return recorded
}
