package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/scim"
	"sallyport/staff"
)

// DirectoryConfig says who else tells about the staff, besides this file. What stands under people holds; what is left out there is for them
// to say. Nobody becomes an approver by them alone.
type DirectoryConfig struct {
	SCIM    SCIMConfig      `yaml:"scim"`    // the identity provider, which tells of changes itself; empty: it is not heard
	Groups  map[string]Spot `yaml:"groups"`  // what a group of the identity provider means here, by the group's name; one that is called like a team is that team
	Power   PowerConfig     `yaml:"power"`   // what takes two people's word, besides the roles lead and security
	Leavers int             `yaml:"leavers"` // how many people an hour a source locks by its word alone; more may not work, and the lock waits for a second person. 0: 50
	Delay   string          `yaml:"delay"`   // how long after two people agreed that power begins, such as 24h; empty: 24h
}

// SCIMConfig is where the identity provider is heard, over TLS.
type SCIMConfig struct {
	Listen      string   `yaml:"listen"`      // HOST:PORT; empty: nowhere
	Certificate string   `yaml:"certificate"` // the chain, its own first; empty: that of tls
	Key         string   `yaml:"key"`         // of the certificate
	Tokens      []string `yaml:"tokens"`      // hashes of the bearer tokens that may call, made with 'sallyport directory token'; two while one is replaced
	ID          string   `yaml:"id"`          // the attribute that is the id of new staff: userName, externalId or employeeNumber; empty: userName
}

// Spot is a place in the company.
type Spot struct {
	Team string `yaml:"team"` // empty: the group says nothing of it
	Role string `yaml:"role"` // likewise
}

// PowerConfig names what nobody gets by an import alone.
type PowerConfig struct {
	Roles []string `yaml:"roles"` // besides lead and security
	Teams []string `yaml:"teams"` // whose people approve or investigate
}

// used tells whether anybody else than this file tells about the staff.
func (d *DirectoryConfig) used() bool { return d.SCIM.Listen != "" || len(d.Groups) > 0 }

// usualPowerDelay is how long after its approval power begins where nothing is configured.
const usualPowerDelay = 24 * time.Hour

// PowerDelay is how long after its approval power begins.
func (d *DirectoryConfig) PowerDelay() (time.Duration, error) {
	if d.Delay == "" {
		return usualPowerDelay, nil
	}
	delay, err := time.ParseDuration(d.Delay)
	if err != nil || delay < 0 {
		return 0, fmt.Errorf("%q is no length of time; expected one such as 24h", d.Delay)
	}
	return delay, nil
}

// checkSources holds the section directory to sense.
func (c *Config) checkSources(r *Document) {
	d := &c.Directory
	if _, err := d.PowerDelay(); err != nil {
		r.problemAt("directory.delay", "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Groups)) {
		spot, path := d.Groups[name], "directory.groups."+name
		switch {
		case spot == (Spot{}):
			r.problemAt(path, "the group means nothing; expected team, role or both")
		case spot.Role != "" && !slices.Contains(Roles(), spot.Role):
			r.problemAt(path+".role", "unknown role %q; expected %s", spot.Role, OneOf(spot.Role, Roles()))
		}
	}
	for i, role := range d.Power.Roles {
		if !slices.Contains(Roles(), role) {
			r.problemAt(fmt.Sprintf("directory.power.roles[%d]", i), "unknown role %q; expected %s", role, OneOf(role, Roles()))
		}
	}
	if d.Leavers < 0 {
		r.problemAt("directory.leavers", "below 0; expected 1 or more, or 0 for the default")
	}
	c.checkSCIM(r)
}

func (c *Config) checkSCIM(r *Document) {
	s, path := &c.Directory.SCIM, "directory.scim."
	if s.Listen == "" {
		if len(s.Tokens) > 0 {
			r.problemAt("directory.scim", "tokens, and nowhere to listen; expected listen: HOST:PORT")
		}
		return
	}
	checkAddress(r, path+"listen", s.Listen)
	if strings.HasPrefix(s.Listen, "unix:") {
		r.problemAt(path+"listen", "a socket; expected HOST:PORT, where the identity provider calls")
	}
	if (s.Certificate == "") != (s.Key == "") {
		r.problemAt("directory.scim", "only one of certificate and key; expected both or none")
	}
	if s.Certificate == "" && c.TLS.Certificate == "" {
		r.problemAt(path+"certificate", "no certificate, and none under tls; expected certificate and key: the identity provider is heard over TLS only")
	}
	if len(s.Tokens) == 0 {
		r.problemAt(path+"tokens", "no token; expected the line that 'sallyport directory token' prints")
	}
	for i, text := range s.Tokens {
		if _, err := scim.ParseToken(text); err != nil {
			r.problemAt(fmt.Sprintf("%stokens[%d]", path, i), "%v", err)
		}
	}
	if !slices.Contains([]string{"", "userName", "externalId", "employeeNumber"}, s.ID) {
		r.problemAt(path+"id", "%q identifies nobody; expected userName, externalId or employeeNumber", s.ID)
	}
}

// checkPerson holds what only concerns the directory to sense.
func (c *Config) checkPerson(r *Document, path string, p Person) {
	if p.Employment != "" && !slices.Contains(staff.Employments(), p.Employment) {
		r.problemAt(path+".employment", "unknown state %q; expected %s", p.Employment, OneOf(p.Employment, staff.Employments()))
	}
	if p.Firm != "" && !c.HasFirm(p.Firm) {
		r.problemAt(path+".firm", "there is no firm %q; expected one of firms", p.Firm)
	}
	if _, err := LastDay(p.Until); err != nil {
		r.problemAt(path+".until", "%v", err)
	}
	if p.Manager != "" && "people."+p.Manager == path {
		r.problemAt(path+".manager", "he is his own manager; expected somebody else, or nobody")
	}
}

// Rules say which places take two people's word: those that are named for it, and those that approve grants.
func (c *Config) Rules() staff.Rules {
	r := staff.Rules{Roles: slices.Clone(c.Directory.Power.Roles), Teams: slices.Clone(c.Directory.Power.Teams)}
	for _, g := range c.Grants.Groups {
		r.Roles, r.Teams = append(r.Roles, g.Roles...), append(r.Teams, g.Teams...)
	}
	r.Firms = map[string]time.Time{}
	for name, f := range c.Firms {
		r.Firms[name], _ = LastDay(f.Until) // checked when the file was read
	}
	return r
}

// Mapping says what groups and roles of a source mean here.
func (c *Config) Mapping() *staff.Mapping {
	m := &staff.Mapping{Groups: map[string]sallyport.Place{}, Roles: Roles(), Rules: c.Rules(), Teams: c.teams()}
	for name, spot := range c.Directory.Groups {
		m.Groups[name] = sallyport.Place{Team: spot.Team, Role: spot.Role}
	}
	return m
}

// teams are those that the configuration speaks of.
func (c *Config) teams() []string {
	teams := map[string]bool{}
	for _, p := range c.People {
		teams[p.Team] = true
	}
	for _, s := range c.Services {
		teams[s.Team] = true
	}
	for team := range c.Budgets.Teams {
		teams[team] = true
	}
	for _, spot := range c.Directory.Groups {
		teams[spot.Team] = true
	}
	for _, team := range c.Directory.Power.Teams {
		teams[team] = true
	}
	delete(teams, "")
	return slices.Sorted(maps.Keys(teams))
}

// Own is what the configuration says of its people.
func (c *Config) Own() map[sallyport.Staff]*staff.Own {
	out := make(map[sallyport.Staff]*staff.Own, len(c.People))
	for id, p := range c.People {
		until, _ := LastDay(p.Until) // checked when the file was read
		out[sallyport.Staff(id)] = &staff.Own{
			Name: p.Name, Place: sallyport.Place{Team: p.Team, Role: p.Role}, Manager: sallyport.Staff(p.Manager), Employment: p.Employment,
			Firm: p.Firm, Until: until,
		}
	}
	return out
}

// IsProgram tells whether an id is a service's, or the name of Sallyport's own log-in: no person has it.
func (c *Config) IsProgram(id sallyport.Staff) bool {
	for name := range c.Services {
		if strings.EqualFold(name, string(id)) {
			return true
		}
	}
	return id != "" && strings.EqualFold(string(id), c.Upstream.Reader.User)
}
