package config

import (
	"slices"
	"strings"

	"sallyport"
	"sallyport/program"
)

// Held is what of people's access stands in the configuration.
func (c *Config) Held(people []sallyport.Staff) (out []program.Held) {
	for _, who := range people {
		add := func(way, what, do string) { out = append(out, program.Held{Staff: who, Way: way, What: what, Do: do}) }
		c.heldKeys(who, add)
		c.heldPowers(who, add)
	}
	slices.SortStableFunc(out, func(a, b program.Held) int {
		return strings.Compare(string(a.Staff)+a.Way+a.What, string(b.Staff)+b.Way+b.What)
	})
	return out
}

// heldKeys are what somebody could log in with.
func (c *Config) heldKeys(who sallyport.Staff, add func(way, what, do string)) {
	p := c.People[string(who)]
	if p.Password != "" {
		add(program.WayKey, "his password in the configuration", "take people."+string(who)+" out of it")
	}
	for _, login := range p.Logins {
		add(program.WayKey, "the database role "+login, "DROP ROLE or NOLOGIN: at the database itself nobody but it refuses him")
	}
}

// heldPowers are what he may beside his role.
func (c *Config) heldPowers(who sallyport.Staff, add func(way, what, do string)) {
	for power, list := range c.Powers {
		if slices.Contains(list, string(who)) {
			add(program.WayKey, "the power "+power, "take him out of powers."+power)
		}
	}
	for name, service := range c.Services {
		if service.Owner == string(who) {
			add(program.WayKey, "the service "+name+", for which he answers", "give it another owner, and its secrets anew")
		}
	}
	for _, g := range c.Grants.Standing {
		if g.For == who {
			add(program.WayGrant, g.ID+" of the configuration", "take it out")
		}
	}
	for name, g := range c.Grants.Groups {
		if slices.Contains(g.People, who) {
			add(program.WayRole, "approves in the group "+name, "take him out of grants.groups."+name)
		}
	}
}
