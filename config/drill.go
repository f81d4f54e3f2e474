package config

import (
	"fmt"
	"slices"

	"sallyport"
	"sallyport/drill"
)

// DrillConfig says by which accounts thefts are played (docs/drills.md). Absent: none are.
type DrillConfig struct {
	Accounts []DrillAccount `yaml:"accounts"` // of people who are nobody: they can be shown only customers who do not exist. Two are needed for collusion
	Team     string         `yaml:"team"`     // as whose member detection sees them during a drill; empty: their own team's
	Schedule []DrillEvery   `yaml:"schedule"` // drills that are played again and again, unannounced; empty: none are
}

// DrillEvery is a drill on a schedule: at a moment that nobody knows, within a window.
type DrillEvery struct {
	Drill  string `yaml:"drill"`  // support-2019, …
	Every  int    `yaml:"every"`  // days from one to the window of the next
	Within int    `yaml:"within"` // days that the window lasts; the first one begins when serve starts
}

// Every is the schedule.
func (d *DrillConfig) Every() (list []drill.Every) {
	for _, e := range d.Schedule {
		list = append(list, drill.Every{Drill: e.Drill, Days: e.Every, For: e.Within})
	}
	return list
}

// checkSchedule holds the schedule to sense.
func (d *DrillConfig) checkSchedule(r *Document) {
	seen := map[string]bool{}
	for i, e := range d.Schedule {
		path := fmt.Sprintf("drill.schedule[%d]", i)
		plan, ok := drill.Find(e.Drill)
		switch {
		case !ok:
			r.problemAt(path+".drill", "there is no drill %q; expected %s", e.Drill, OneOf(e.Drill, drill.Names()))
		case seen[e.Drill]:
			r.problemAt(path+".drill", "%s is on the schedule twice; expected each drill once", e.Drill)
		case len(d.Accounts) < plan.Accounts:
			r.problemAt(path+".drill", "%s takes %d accounts, and drill.accounts has %d", e.Drill, plan.Accounts, len(d.Accounts))
		}
		seen[e.Drill] = true
		if e.Every < 1 || e.Every > 730 {
			r.problemAt(path+".every", "%d days; expected 1 to 730", e.Every)
		}
		if e.Within < 1 || e.Within > 365 {
			r.problemAt(path+".within", "%d days; expected 1 to 365: within one day everybody knows when", e.Within)
		}
	}
}

// DrillAccount is one of them.
type DrillAccount struct {
	Login        string `yaml:"login"`         // a log-in of one of people, who is nobody in flesh
	PasswordFile string `yaml:"password_file"` // one line; mode 0600
}

// checkDrill holds the section to sense.
func (c *Config) checkDrill(r *Document) {
	c.Drill.checkSchedule(r)
	of := c.Owners()
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

// Staff are those who play, in the order of the configuration.
func (d *DrillConfig) Staff(c *Config) (list []sallyport.Staff) {
	of := c.Owners()
	for _, a := range d.Accounts {
		list = append(list, of(a.Login))
	}
	return list
}

// Plays tells who plays thefts.
func (d *DrillConfig) Plays(c *Config) func(sallyport.Staff) bool {
	list := d.Staff(c)
	return func(who sallyport.Staff) bool { return slices.Contains(list, who) }
}
