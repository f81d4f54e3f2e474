package config

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport"
	"sallyport/program"
)

// Firm is an outside organisation whose people have access. Its policies are stricter: firms.cedar.
type Firm struct {
	Name  string `yaml:"name"`  // as people call it
	Until string `yaml:"until"` // last day of its contract, such as 2027-01-31: after it none of its people may anything any more; empty: nobody said
}

// ProgramConfig is what the insider-threat programme is held to.
type ProgramConfig struct {
	Assets     map[string]program.Known       `yaml:"assets"`     // what is known of assets, by schema.table, by the database's name, or by that of another database that holds personal data
	Clients    map[string][]sallyport.Subject `yaml:"clients"`    // customers that belong together, such as those of one tenant, by name: for what outside firms saw of each
	Separation program.Separation             `yaml:"separation"` // who may not do two things at once, and how many eyes there must be; checked once a day
}

// LastDay reads a day; the answer is its end in UTC. Empty: the zero time.
func LastDay(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no day; expected one such as 2027-01-31", text)
	}
	return day.AddDate(0, 0, 1), nil
}

// HasFirm tells whether a firm of this name stands in the configuration.
func (c *Config) HasFirm(name string) bool {
	_, ok := c.Firms[name]
	return ok
}

// checkProgram holds firms and the programme to sense.
func (c *Config) checkProgram(r *Document) {
	for name, f := range c.Firms {
		if _, err := LastDay(f.Until); err != nil {
			r.problemAt("firms."+name+".until", "%v", err)
		}
		if err := oneWord(name); err != nil {
			r.problemAt("firms."+name, "%v", err)
		}
	}
	for _, p := range c.Program.Separation.Check() {
		r.problemAt("program.separation."+p.Where, "%s", p.What)
	}
	for name, a := range c.Program.Assets {
		if a.Criticality != "" && !slices.Contains(program.Criticalities(), a.Criticality) {
			r.problemAt("program.assets."+name+".criticality", "unknown grade %q; expected %s", a.Criticality, OneOf(a.Criticality, program.Criticalities()))
		}
	}
	for name := range c.Program.Clients {
		if name == program.OtherClients {
			r.problemAt("program.clients."+name, "this name stands for the customers of no client")
		}
	}
}

func oneWord(name string) error {
	if name == "" || len(name) > 60 || slices.ContainsFunc([]rune(name), func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
		return errors.New("no name that can be used; expected up to 60 letters, digits and the like, without spaces")
	}
	return nil
}

// ClientList are the customers that belong together.
func (c *ProgramConfig) ClientList() (out []program.Client) {
	for name, list := range c.Clients {
		x := program.Client{Name: name, Customers: map[sallyport.Subject]bool{}}
		for _, s := range list {
			x.Customers[s] = true
		}
		out = append(out, x)
	}
	return out
}
