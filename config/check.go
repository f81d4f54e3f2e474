package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
	"sallyport/internal/upstream"
	"sallyport/policy"
	"sallyport/token"
)

// Roles are what a person of the directory may be.
func Roles() []string { return []string{"agent", "lead", "engineer", "dba", "security"} }

// Check holds a configuration of the right shape to sense.
func (c *Config) Check(r *Document) {
	if c.Version != 1 {
		r.problemAt("version", "version %d; expected version: 1", c.Version)
	}
	c.checkAddresses(r)
	if o := c.Upstream.Others; o != "" && o != othersRelay && o != OthersRefuse {
		r.problemAt("upstream.others", "there is no way %q with other databases; expected %s or %s", o, othersRelay, OthersRefuse)
	}
	wrong := c.Protect.Check()
	for _, p := range wrong {
		r.problemAt(sectionPath(p.Path), "%s", p.Text)
	}
	c.checkTokens(r, wrong)
	c.checkKeys(r)
	c.checkRecord(r)
	for _, p := range c.Purposes.Check(c.ServiceIDs()) {
		r.problemAt("purposes."+p.Path, "%s", p.Text)
	}
	c.checkDirectory(r)
	c.checkSources(r)
	c.checkOutside(r)
	c.checkBudgets(r)
	c.checkGrants(r)
	c.checkReplication(r)
	c.checkPowers(r)
	c.checkCopy(r)
	c.checkSeenBy(r)
	c.checkAssertions(r)
	c.checkShares(r)
	c.checkGateways(r)
	c.checkExport(r)
	c.Ledger.check(r)
	c.Retention.check(r)
	c.History.check(r)
	c.Reports.check(r)
	c.Blast.check(r, c)
	if c.LocksPerHour < 0 {
		r.problemAt("locks_per_hour", "%d; expected 1 or more, or 0 for the default", c.LocksPerHour)
	}
	c.checkDetect(r)
	c.checkCanary(r)
	c.checkDrill(r)
	c.Training.check(r, &c.Reports)
	c.checkLogIn(r)
	c.checkEnter(r)
	c.checkAPI(r)
	c.checkConsole(r)
	c.checkCustomers(r)
	c.checkProgram(r)
	if _, err := c.DrainFor(); err != nil {
		r.problemAt("drain", "%q is no length of time; expected one such as 30s, or 0s", c.Drain)
	}
}

// What becomes of the server's other databases.
const (
	othersRelay  = "relay"
	OthersRefuse = "refuse"
)

// usualDrain is how long transactions may take to their end where nothing is configured.
const usualDrain = 30 * time.Second

// DrainFor is how long transactions may take to their end.
func (c *Config) DrainFor() (time.Duration, error) {
	if c.Drain == "" {
		return usualDrain, nil
	}
	d, err := time.ParseDuration(c.Drain)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("read drain: %w", cmp.Or(err, errors.New("it is negative")))
	}
	return d, nil
}

// checkReplication holds the roles that replicate to names that a role can have. None of them may be Sallyport's own.
func (c *Config) checkReplication(r *Document) {
	seen := map[string]bool{}
	for i, role := range c.Replication {
		path := fmt.Sprintf("replication[%d]", i)
		switch {
		case role == "" || len(role) > 63 || strings.ContainsFunc(role, func(c rune) bool { return c < ' ' || c == 0x7f }):
			r.problemAt(path, "no name of a role; expected a database role that may replicate")
		case role == c.Upstream.Reader.User:
			r.problemAt(path, "%q is Sallyport's own log-in; expected a role of its own", role)
		case seen[role]:
			r.problemAt(path, "%q stands twice; expected each role once", role)
		}
		seen[role] = true
	}
}

// checkTokens tries to make every codec that protecting takes, save for columns that are wrong in another way already.
func (c *Config) checkTokens(r *Document, wrong []catalog.Problem) {
	ring, err := c.FormRing()
	if err != nil {
		r.problemAt("protect.email_domain", "%s; expected a domain such as k1.invalid", innermost(err))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Protect.Columns)) {
		at := "columns." + name
		if slices.ContainsFunc(wrong, func(p catalog.Problem) bool { return strings.HasPrefix(p.Path+".", at+".") }) {
			continue
		}
		settings := c.Protect.Columns[name]
		column, _ := catalog.ParseColumn(name)
		_, err := ring.Codec(token.Spec{Column: column, Scheme: settings.Scheme, Group: settings.Group, Prefixes: settings.Prefixes, NextPrefixes: settings.NextPrefixes, Region: settings.Region, Canonical: settings.Canonical, Shred: settings.Shred})
		switch {
		case err == nil:
		case settings.Region != "":
			r.problemAt("protect."+at+".region", "%s", innermost(err))
		default:
			r.problemAt("protect."+at+".prefixes", "%s; expected prefixes: {CS: ZQ}, each with one of tokens of the same length that nothing else uses", innermost(err))
		}
	}
}

// innermost is the reason at the bottom of an error, without what was tried.
func innermost(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

func (c *Config) checkAddresses(r *Document) {
	if c.Upstream.Address != "" {
		checkAddress(r, "upstream.address", c.Upstream.Address)
	}
	if c.Listen != "" {
		checkAddress(r, "listen", c.Listen)
	}
	if _, err := c.SocketMode(); err != nil {
		r.problemAt("listen_mode", "%v", err)
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		r.problemAt("tls", "only one of certificate and key; expected both or none")
	}
	if c.TLS.ClientCA != "" && c.TLS.Certificate == "" {
		r.problemAt("tls.client_ca", "clients show certificates under TLS only; expected a tls certificate and key")
	}
	c.checkUpstreamTLS(r)
	if !c.Guards() {
		return
	}
	for path, value := range map[string]string{
		"upstream.address": c.Upstream.Address, "upstream.database": c.Upstream.Database, "upstream.reader.user": c.Upstream.Reader.User,
	} {
		if value == "" {
			r.problemAt(path, "nothing stands here, yet columns are %s; expected %s", c.treated(), path)
		}
	}
	if c.Listen != "" && c.TLS.Certificate == "" && !loopback(c.Listen) {
		r.problemAt("listen", "%s is no loopback address; expected a tls certificate and key while columns are %s", c.Listen, c.treated())
	}
}

// checkUpstreamTLS holds the way to the server to what it is for.
func (c *Config) checkUpstreamTLS(r *Document) {
	t := c.Upstream.TLS
	if !KnownMode(t.Mode) {
		r.problemAt("upstream.tls.mode", "there is no mode %q; expected %s", t.Mode, ModeNames())
		return
	}
	if (t.Certificate == "") != (t.Key == "") {
		r.problemAt("upstream.tls", "only one of certificate and key; expected both or none")
	}
	if t.Mode == string(upstream.VerifyCA) && t.CA == "" {
		r.problemAt("upstream.tls.mode", "verify-ca with the system's authorities proves nothing: each signs for everybody; expected upstream.tls.ca, or verify-full")
	}
	at, err := ParsePlace(c.Upstream.Address)
	if err != nil || !c.Protects() || at.Network != "tcp" || loopback(at.Address) {
		return
	}
	if !c.upstreamMode(at, t).Checked() {
		r.problemAt("upstream.tls.mode", "%s is no loopback address; expected verify-full or verify-ca while columns are protected: "+
			"somebody between could answer in the database's place", c.Upstream.Address)
	}
}

func checkAddress(r *Document, path, address string) {
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(socket, "/") {
			r.problemAt(path, "a socket that is no absolute path; expected unix:/FOLDER/.s.PGSQL.5432")
		}
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.problemAt(path, "no address that can be used; expected HOST:PORT, such as 127.0.0.1:5432")
	}
}

// loopback tells whether an address can be reached from this machine only.
func loopback(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkDirectory sees to it that each id and each log-in means one person or one service.
func (c *Config) checkDirectory(r *Document) {
	owner := map[string]string{} // log-in → path of who has it
	claim := func(path string, logins []string) {
		for i, login := range logins {
			at := fmt.Sprintf("%s.logins[%d]", path, i)
			if first, taken := owner[login]; taken {
				r.problemAt(at, "log-in %q belongs to %s already; expected one owner for each log-in", login, first)
			}
			owner[login] = path
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.People)) {
		person, path := c.People[id], "people."+id
		claim(path, person.Logins)
		c.checkPerson(r, path, person)
		if !slices.Contains(Roles(), person.Role) && (person.Role != "" || !c.Directory.used()) {
			r.problemAt(path+".role", "unknown role %q; expected %s", person.Role, OneOf(person.Role, Roles()))
		}
		c.checkPassword(r, path, person)
		if _, err := person.hours(); err != nil {
			r.problemAt(path+".shift", "%v", err)
		}
		if _, err := person.zone(); err != nil {
			r.problemAt(path+".timezone", "%v", err)
		}
		checkID(r, path, id)
	}
	for _, id := range slices.Sorted(maps.Keys(c.Services)) {
		path := "services." + id
		claim(path, c.Services[id].Logins)
		if len(c.Services[id].Logins) == 0 {
			r.problemAt(path, "no log-in; expected logins: [ROLE]")
		}
		if _, also := c.People[id]; also {
			r.problemAt(path, "%q is a person too; expected an id of its own", id)
		}
		checkID(r, path, id)
	}
}

// checkPassword wants a hash, or a log-in: who only gives orders needs none. With an identity provider nobody needs a password.
func (c *Config) checkPassword(r *Document, path string, person Person) {
	if person.Password == "" {
		if len(person.Logins) == 0 && c.LogIn.Issuer == "" {
			r.problemAt(path, "no log-in and no password; expected logins: [ROLE], or password: the line that 'sallyport passwd' prints")
		}
		return
	}
	if err := person.Password.Check(); err != nil {
		r.problemAt(path+".password", "%s; expected the line that it prints", err)
	}
}

// checkID keeps ids apart from those that Sallyport makes itself (login:NAME), and printable.
func checkID(r *Document, path, id string) {
	if id == "" || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c == ':' || c == ',' || c == 0x7f }) {
		r.problemAt(path, "no id that can be used; expected letters, digits and the like, without spaces, colons and commas")
	}
}

func (c *Config) checkBudgets(r *Document) {
	c.CheckBudget(r, "budgets.default", c.Budgets.Default)
	teams := map[string]bool{}
	for _, person := range c.People {
		teams[person.Team] = true
	}
	for _, service := range c.Services {
		teams[service.Team] = true
	}
	delete(teams, "")
	for _, team := range slices.Sorted(maps.Keys(c.Budgets.Teams)) {
		path := "budgets.teams." + team
		if !teams[team] {
			r.problem(r.Keys[path], "nobody is in team %q; expected %s", team, OneOf(team, slices.Sorted(maps.Keys(teams))))
		}
		c.CheckBudget(r, path, c.Budgets.Teams[team])
	}
}

// CheckBudget holds one budget to sense.
func (c *Config) CheckBudget(r *Document, path string, b exposure.Budgets) {
	for measure, budget := range map[string]exposure.Budget{"revealed": b.Revealed, "reached": b.Reached, "probed": b.Probed} {
		for window, n := range map[string]int{"hour": budget.Hour, "day": budget.Day, "month": budget.Month} {
			if n < 0 {
				r.problemAt(path+"."+measure+"."+window, "a budget below 0; expected 1 or more, or 0 for the default")
			}
		}
	}
}

func (c *Config) checkGrants(r *Document) {
	seen := map[string]bool{}
	c.checkAsking(r)
	for i, g := range c.Grants.Standing {
		path := fmt.Sprintf("grants.standing[%d]", i)
		at := func(key string) string { return path + "." + key }
		if g.ID == "" || seen[g.ID] {
			r.problemAt(at("id"), "%q; expected an id that no other grant has", g.ID)
		}
		checkGrantID(r, at("id"), g.ID)
		seen[g.ID] = true
		if g.Customers <= 0 {
			r.problemAt(at("customers"), "%d customers; expected the most that may be seen under this grant", g.Customers)
		}
		if g.Until.IsZero() {
			r.problemAt(at("until"), "no end; expected until: a time, such as 2026-12-31T00:00:00Z")
		}
		if len(g.Columns) == 0 {
			r.problemAt(at("columns"), "no columns; expected a list of protected columns")
		}
		for j, column := range g.Columns {
			if _, ok := c.Protect.Columns[column]; !ok {
				r.problemAt(fmt.Sprintf("%s[%d]", at("columns"), j), "%q is not protected; expected %s",
					column, OneOf(column, slices.Sorted(maps.Keys(c.Protect.Columns))))
			}
		}
		c.checkParties(r, at, g)
	}
}

// checkParties holds a grant to two people for power: known ones, different ones, and not its beneficiary.
func (c *Config) checkParties(r *Document, at func(string) string, g policy.Grant) {
	people := slices.Sorted(maps.Keys(c.People))
	known := slices.Concat(people, slices.Sorted(maps.Keys(c.Services)))
	if !slices.Contains(known, string(g.For)) {
		r.problemAt(at("for"), "nobody is called %q; expected %s", g.For, OneOf(string(g.For), known))
	}
	approvers := map[sallyport.Staff]bool{}
	for j, by := range g.ApprovedBy {
		entry := fmt.Sprintf("%s[%d]", at("approved_by"), j)
		switch {
		case !slices.Contains(people, string(by)):
			r.problemAt(entry, "nobody is called %q; expected %s", by, OneOf(string(by), people))
		case by == g.For:
			r.problemAt(entry, "%s approves a grant for himself; expected somebody else", by)
		case approvers[by]:
			r.problemAt(entry, "%s approves twice; expected two different people", by)
		}
		approvers[by] = true
	}
	if len(g.ApprovedBy) < 2 {
		r.problemAt(at("approved_by"), "fewer than two approvers; expected two different people, neither of them %q", g.For)
	}
}
