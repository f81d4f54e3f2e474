package serve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/config"
)

// What a server answers where a function is not there, or not for us.
const (
	undefinedFunction     = "42883"
	undefinedSchema       = "3F000"
	insufficientPrivilege = "42501"
)

// Detour is one way around the gateway, somebody on it, or something that cannot be seen.
type Detour struct {
	Kind string `json:"kind"` // role, superuser, session, hba, password, slot, publication, unseen
	What string `json:"what"` // a sentence; new ways are told by it
	Next string `json:"next,omitempty"`
	Todo bool   `json:"todo"` // else it is only to be known

	who sallyport.Who
}

// Surroundings look for ways around the gateway, on a connection to the protected database.
type Surroundings struct {
	Config *config.Config
	Conn   *pgx.Conn
	owns   func() *ownSessions // those of gateways; nil: nobody knows them here
	listed func(string) bool   // whether a log-in is somebody's by the directory's sources; nil: nobody knows that here

	passwords map[string]string // role → digest of its verifier at the last look
	doubted   map[string]bool   // sessions of the last look that nobody could tell from a worker
}

// Look returns the ways in the order of their kinds. What the role may not see is a way of kind unseen, not an error.
func (a *Surroundings) Look(ctx context.Context) ([]Detour, error) {
	var all []Detour
	for _, step := range []func(context.Context) ([]Detour, error){a.roles, a.sessions, a.rules, a.changed, a.outlets} {
		found, err := step(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// roles are those that log in and are nobody's in the configuration, and superusers. Sallyport's own are no way around.
func (a *Surroundings) roles(ctx context.Context) ([]Detour, error) {
	rows, err := a.Conn.Query(ctx, `SELECT rolname::text, rolsuper FROM pg_catalog.pg_roles
		WHERE rolcanlogin AND rolconnlimit <> 0 AND rolname <> $1 ORDER BY rolname`, a.Config.Upstream.Reader.User)
	if err != nil {
		return nil, fmt.Errorf("look for roles: %w", err)
	}
	known := a.Config.Logins()
	var out []Detour
	var name string
	var super bool
	_, err = pgx.ForEachRow(rows, []any{&name, &super}, func() error {
		switch {
		case super:
			out = append(out, Detour{
				Kind: "superuser", What: fmt.Sprintf("%s is a superuser who can log in: the server refuses him nothing", name), who: sallyport.Who{Login: name},
				Next: "Let superusers log in on the server's own machine only, and record what they do there.",
			})
		case !known[name] && (a.listed == nil || !a.listed(name)):
			out = append(out, Detour{
				Kind: "role", Todo: true, What: fmt.Sprintf("role %s can log in and is nobody's in the configuration", name), who: sallyport.Who{Login: name},
				Next: "Name whose it is under people or services, or: ALTER ROLE " + pgx.Identifier{name}.Sanitize() + " NOLOGIN;",
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for roles: %w", err)
	}
	return out, nil
}

// rules are the lines of pg_hba.conf by which somebody else than the gateway reaches the protected database.
func (a *Surroundings) rules(ctx context.Context) ([]Detour, error) {
	var own *string
	if err := a.Conn.QueryRow(ctx, "SELECT pg_catalog.host(pg_catalog.inet_client_addr())").Scan(&own); err != nil {
		return nil, fmt.Errorf("look for the gateway's address: %w", err)
	}
	rows, err := a.Conn.Query(ctx, `SELECT line_number, type, database, user_name, coalesce(address, ''), coalesce(netmask, ''), auth_method
		FROM pg_catalog.pg_hba_file_rules WHERE error IS NULL ORDER BY line_number`)
	if err != nil && !denied(err) { // if it is, reading the rows says so once more
		return nil, fmt.Errorf("look at pg_hba.conf: %w", err)
	}
	var out []Detour
	var line int
	var kind, address, mask, method string
	var databases, users []string
	closed := false
	gateways := a.gateways()
	_, err = pgx.ForEachRow(rows, []any{&line, &kind, &databases, &users, &address, &mask, &method}, func() error {
		concerned := slices.ContainsFunc(databases, func(d string) bool { return d != "replication" && (d == a.Config.Upstream.Database || reserved(d)) })
		switch {
		case closed || !concerned:
		case method == "reject":
			closed = slices.Contains(databases, "all") && slices.Contains(users, "all") && address == "all"
		case kind != "local" && elsewhere(address, mask, own) && !slices.ContainsFunc(gateways, func(at string) bool { return !elsewhere(address, mask, &at) }):
			out = append(out, Detour{
				Kind: "hba", Todo: true, Next: "Let only the gateway's address in for this database, and SELECT pg_reload_conf().",
				What: fmt.Sprintf("line %d of pg_hba.conf lets %s in from %s by %s", line, strings.Join(users, ","), strings.Trim(address+" "+mask, " "), method),
			})
		}
		return nil
	})
	if denied(err) {
		return []Detour{{
			Kind: "unseen", What: "pg_hba.conf cannot be seen by " + a.Conn.Config().User + ", so whether it lets others in than the gateway is not known",
			Next: strings.ReplaceAll("GRANT SELECT ON pg_hba_file_rules TO ROLE; GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO ROLE; as a superuser, or check --owner with a superuser's DSN.",
				"ROLE", pgx.Identifier{a.Conn.Config().User}.Sanitize()),
		}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at pg_hba.conf: %w", err)
	}
	return out, nil
}

// gateways are the addresses from which those of a controller come.
func (a *Surroundings) gateways() []string {
	if a.owns == nil {
		return nil
	}
	o := a.owns()
	return slices.DeleteFunc(append(o.addresses, o.away...), func(at string) bool { return at == "" })
}

// reserved words of pg_hba.conf, patterns and groups may all mean the protected database.
func reserved(database string) bool {
	switch database {
	case "all", "sameuser", "samerole", "samegroup":
		return true
	}
	return strings.HasPrefix(database, "/") || strings.HasPrefix(database, "+")
}

// elsewhere tells whether an address of pg_hba.conf holds more than where the server sees the gateway come from. nil: a socket.
func elsewhere(address, mask string, own *string) bool {
	rule, err := netip.ParseAddr(address)
	if err != nil {
		return true // all, samenet, a host's name
	}
	if ones, err := netip.ParseAddr(mask); err != nil || strings.Trim(ones.StringExpanded(), "f:") != "" && ones.String() != "255.255.255.255" {
		return true
	}
	if own == nil {
		return !rule.IsLoopback()
	}
	self, err := netip.ParseAddr(*own)
	return err != nil || rule != self && !(rule.IsLoopback() && self.IsLoopback())
}

// changed are roles whose password is another one than at the last look. The digests stay in memory.
func (a *Surroundings) changed(ctx context.Context) ([]Detour, error) {
	rows, err := a.Conn.Query(ctx, `SELECT rolname::text, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(v, 'UTF8')), 'hex')
		FROM (SELECT rolname, sallyport.scram_verifier(rolname) AS v FROM pg_catalog.pg_roles WHERE rolcanlogin) r WHERE v <> ''`)
	if err != nil && !denied(err) {
		return nil, fmt.Errorf("look at passwords: %w", err)
	}
	now := map[string]string{}
	var name, digest string
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&name, &digest}, func() error {
			now[name] = digest
			return nil
		})
	}
	if denied(err) {
		return []Detour{{
			Kind: "unseen", What: "whether a role's password changed cannot be seen by " + a.Conn.Config().User,
			Next: "As a superuser: sallyport check --config " + a.Config.File + " --sql | psql -X -v ON_ERROR_STOP=1 -d " + a.Config.Upstream.Database,
		}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at passwords: %w", err)
	}
	var out []Detour
	for role, digest := range now {
		if before, known := a.passwords[role]; known && before != digest {
			out = append(out, Detour{
				Kind: "password", Todo: true, What: "the password of role " + role + " changed", who: sallyport.Who{Login: role},
				Next: "Ask its owner whether that was he.",
			})
		}
	}
	slices.SortFunc(out, func(x, y Detour) int { return strings.Compare(x.What, y.What) })
	a.passwords = now
	return out, nil
}

// outlets are publications and logical slots, by which whole tables leave.
func (a *Surroundings) outlets(ctx context.Context) ([]Detour, error) {
	rows, err := a.Conn.Query(ctx, `SELECT 'slot', slot_name::text FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' AND database = pg_catalog.current_database()
		UNION ALL SELECT 'publication', pubname::text FROM pg_catalog.pg_publication ORDER BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("look for slots: %w", err)
	}
	var out []Detour
	var kind, name string
	_, err = pgx.ForEachRow(rows, []any{&kind, &name}, func() error {
		w := Detour{Kind: kind, Todo: true, What: "logical replication slot " + name + " hands out every change", Next: "Unless it is somebody's work: SELECT pg_drop_replication_slot(" + literal(name) + ");"}
		if kind == "publication" {
			w.What, w.Next = "publication "+name+" offers whole tables to subscribers", "Unless it is somebody's work: DROP PUBLICATION "+pgx.Identifier{name}.Sanitize()+";"
		}
		w.Todo = len(a.Config.Replication) == 0 // where roles replicate by the configuration, they are to be expected
		out = append(out, w)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for slots: %w", err)
	}
	return out, nil
}

// literal quotes a text for SQL.
func literal(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// denied tells whether the server does not show something to this role, or has no such function.
func denied(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (answer.Code == undefinedFunction || answer.Code == undefinedSchema || answer.Code == insufficientPrivilege)
}
