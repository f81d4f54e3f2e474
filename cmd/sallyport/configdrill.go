package main

import (
	"cmp"
	"fmt"
	"slices"

	"sallyport"
)

// DrillConfig says by which accounts thefts are played (docs/drills.md). Absent: none are.
type DrillConfig struct {
	Accounts []DrillAccount `yaml:"accounts"` // of people who are nobody: they can be shown only customers who do not exist. Two are needed for collusion
	Team     string         `yaml:"team"`     // as whose member detection sees them during a drill; empty: their own team's
}

// DrillAccount is one of them.
type DrillAccount struct {
	Login        string `yaml:"login"`         // a log-in of one of people, who is nobody in flesh
	PasswordFile string `yaml:"password_file"` // one line; mode 0600
}

// checkDrill holds the section to sense.
func (c *Config) checkDrill(r *configReader) {
	of := c.owners()
	for i, a := range c.Drill.Accounts {
		path := fmt.Sprintf("drill.accounts[%d]", i)
		if a.Login == "" || a.PasswordFile == "" {
			r.problemAt(path, "expected login and password_file")
			continue
		}
		p, ok := c.People[string(of(a.Login))]
		switch {
		case !ok:
			r.problemAt(path+".login", "%q is the log-in of nobody under people; expected that of a person who is there for drills alone", a.Login)
		case p.Password != (Person{}).Password:
			r.problemAt(path+".login", "who plays a theft must not give orders; expected a person without a password for commands")
		case len(p.Logins) != 1:
			r.problemAt(path+".login", "this person has other log-ins; expected one who is there for drills alone")
		}
		for id, other := range c.People {
			if ok && id != string(of(a.Login)) && other.Team == p.Team && p.Team != "" && !c.Drill.has(other.Logins) {
				r.problemAt(path+".login", "people are in the team %q of who plays a theft; expected a team of its own, whose budgets nobody else shares", p.Team)
				break
			}
		}
	}
}

func (d *DrillConfig) has(logins []string) bool {
	return slices.ContainsFunc(d.Accounts, func(a DrillAccount) bool { return slices.Contains(logins, a.Login) })
}

// staff are those who play, in the order of the configuration.
func (d *DrillConfig) staff(c *Config) (list []sallyport.Staff) {
	of := c.owners()
	for _, a := range d.Accounts {
		list = append(list, of(a.Login))
	}
	return list
}

// plays tells who plays thefts.
func (d *DrillConfig) plays(c *Config) func(sallyport.Staff) bool {
	list := d.staff(c)
	return func(who sallyport.Staff) bool { return slices.Contains(list, who) }
}

// watch is what detection sees of drills; nil: none are played.
func (d *DrillConfig) watch(c *Config) *drillWatch {
	if len(d.Accounts) == 0 {
		return nil
	}
	w := &drillWatch{accounts: map[sallyport.Staff]sallyport.Employee{}, alias: map[sallyport.Staff]sallyport.Staff{}, subjects: map[sallyport.Subject]bool{}, tickets: map[string]bool{}}
	for _, who := range d.staff(c) {
		p := c.People[string(who)]
		w.accounts[who] = sallyport.Employee{ID: who, Name: p.Name, Team: cmp.Or(d.Team, p.Team), Role: p.Role}
	}
	return w
}
