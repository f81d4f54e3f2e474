package discover

import (
	"slices"
	"strings"
)

// Role is a log-in with what it seems to be.
type Role struct {
	Login    string
	Service  bool
	Role     string // of a person: agent, lead, engineer, dba, security
	Team     string // the group that says so, empty where none does
	Evidence string
}

const (
	serviceWords = `svc service app api web bot worker cron batch backup etl job daemon server sync export import monitor monitoring grafana metabase superset airflow django rails
		application router phone telephony billing integration reporting reader writer proxy pgbouncer exporter shop dienst`
	leadWords     = "lead leads manager managers supervisor supervisors leitung teamlead chef responsable head"
	engineerWords = "engineer engineers dev developer developers devs entwickler engineering sre ops"
	dbaWords      = "dba dbas admin admins administrator database"
	securityWords = "security audit auditor auditors fraud compliance sicherheit dpo datenschutz"
)

// findRoles takes log-ins for people or services by their names and groups. Superusers and those that replicate are left out: the
// server's own.
func (p *proposer) findRoles() {
	for _, l := range p.db.Logins {
		if l.Superuser || l.Replication || strings.HasPrefix(l.Name, "pg_") || strings.HasPrefix(l.Name, "sallyport") || !usableID(l.Name) {
			continue
		}
		p.proposal.Roles = append(p.proposal.Roles, roleOf(l))
	}
	slices.SortFunc(p.proposal.Roles, func(a, b Role) int { return strings.Compare(a.Login, b.Login) })
}

// usableID tells whether a log-in's name can be an id of the configuration.
func usableID(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == ':' || c == ',' || c == '.' || c == '[' || c == 0x7f })
}

func roleOf(l Login) Role {
	r := Role{Login: l.Name}
	for _, word := range wordsOf(l.Name) {
		if has(serviceWords, word) {
			r.Service, r.Evidence = true, "its name says service"
			return r
		}
	}
	r.Role, r.Evidence = "agent", "no group says more"
	for _, kind := range []struct{ words, role string }{
		{securityWords, "security"}, {dbaWords, "dba"}, {engineerWords, "engineer"}, {leadWords, "lead"},
	} {
		for _, group := range append([]string{l.Name}, l.Groups...) {
			if slices.ContainsFunc(wordsOf(group), func(w string) bool { return has(kind.words, w) }) {
				r.Role, r.Evidence = kind.role, "by "+group
				if group != l.Name {
					r.Team = group
				}
				return r
			}
		}
	}
	if len(l.Groups) > 0 {
		r.Team, r.Evidence = l.Groups[0], "in "+l.Groups[0]
	}
	return r
}
