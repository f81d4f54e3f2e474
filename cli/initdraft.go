package cli

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/catalog/discover"
	"sallyport/serve"
)

// draft writes a proposal as a configuration with comments.
type draft struct {
	proposal *discover.Proposal
	connect  *pgx.ConnConfig
	at       time.Time
	out      bytes.Buffer
}

// line writes one line. Its arguments are made printable, so that no name from the database ends a comment.
func (d *draft) line(format string, args ...any) {
	fmt.Fprintln(&d.out, serve.Printable(fmt.Sprintf(format, args...)))
}

// commentWidth is how long lines of comments become.
const commentWidth = 130

// comment writes a text as comment lines.
func (d *draft) comment(indent, format string, args ...any) {
	line := indent + "#"
	for word := range strings.FieldsSeq(serve.Printable(fmt.Sprintf(format, args...))) {
		if len(line)+1+len(word) > commentWidth && len(line) > len(indent)+4 {
			d.line("%s", line)
			line = indent + "#  "
		}
		line += " " + word
	}
	d.line("%s", line)
}

func (d *draft) yaml() []byte {
	d.line("# Proposed by 'sallyport init' on %s from the database %s. Read it before you use it: only you know what", d.at.Format(time.DateOnly), d.connect.Database)
	d.line("# your columns mean. Every key is explained in docs/configuration.md. No value of a row stands in here, but for")
	d.line("# letters that many reference numbers begin with.")
	d.line("# Editors complete it once 'sallyport config schema > sallyport.schema.json' has put the schema beside it.")
	d.line("# yaml-language-server: $schema=sallyport.schema.json")
	d.line("version: 1")
	d.line("")
	d.line("upstream:")
	d.line("  address: %s", scalarText(upstreamAddress(d.connect)))
	d.line("  database: %s", scalarText(d.connect.Database))
	d.line("  reader: {user: sallyport_reader, password_file: reader.password}  # 'sallyport protect' makes both")
	d.line("listen: 127.0.0.1:6432")
	d.line("")
	d.protect()
	d.purposes()
	d.directory()
	return d.out.Bytes()
}

// protect writes the section protect, or a comment where nothing can stand in it.
func (d *draft) protect() {
	p := d.proposal
	proposed := slices.ContainsFunc(p.Columns, func(c discover.Candidate) bool { return c.Proposed() })
	mark := ""
	if p.Customer == "" || !proposed {
		mark = "# "
		d.line("# No column can be proposed yet. Name the table with one row a customer (sallyport init --customer schema.table).")
	}
	d.line("%sprotect:", mark)
	if p.Customer != "" {
		d.line("%s  customer: {table: %s, key: %s}", mark, scalarText(p.Customer), scalarText(p.Key))
	} else {
		d.line("%s  customer: {table: schema.table, key: id}", mark)
	}
	d.line("  # class: identity, contact, content, reference. scheme: what its tokens look like (docs/tokens). Columns of one scheme share a")
	d.line("  # key, so that joins between them work, unless a group says otherwise. Lines in comments are for you to decide.")
	d.line("%s  columns:", mark)
	for i := range p.Columns {
		d.candidate(&p.Columns[i])
	}
	d.paths(mark)
	d.line("")
}

// candidate writes one column with its evidence.
func (d *draft) candidate(c *discover.Candidate) {
	if c.Confidence == discover.Low {
		d.comment("    ", "(%s: %s, low: %s)", c.Column, c.Kind, strings.Join(c.Evidence, "; "))
		return
	}
	d.comment("    ", "%s, %s: %s", c.Kind, c.Confidence, strings.Join(c.Evidence, "; "))
	for _, text := range c.Obstacles {
		d.comment("    ", "not yet: %s", text)
	}
	for _, text := range c.Warnings {
		d.comment("    ", "mind: %s", text)
	}
	mark := "# "
	if c.Proposed() {
		mark = ""
	}
	settings := fmt.Sprintf("class: %s, scheme: %s", c.Class, c.Scheme)
	if c.Group != "" {
		settings += ", group: " + scalarText(c.Group)
	}
	if len(c.Prefixes) > 0 {
		var pairs []string
		for _, plain := range slices.Sorted(maps.Keys(c.Prefixes)) {
			pairs = append(pairs, scalarText(plain)+": "+scalarText(c.Prefixes[plain]))
		}
		settings += ", prefixes: {" + strings.Join(pairs, ", ") + "}"
	}
	if c.Region != "" {
		settings += ", region: " + scalarText(c.Region)
	}
	if c.Vault {
		settings += ", overflow: vault"
	}
	d.line("    %s%s: {%s}", mark, scalarText(c.Column.String()), settings)
}

// paths writes the ways to the customer. Those that only names speak for are comments: a wrong way shows the wrong customer's values.
func (d *draft) paths(mark string) {
	if len(d.proposal.Paths) == 0 {
		return
	}
	d.line("%s  paths:                                # how a row of each table finds its customer", mark)
	for _, path := range d.proposal.Paths {
		note, mark := "", mark
		switch {
		case path.Guess:
			note, mark = "  # by its name alone: no foreign key says so", "# "
		case path.Others > 0:
			note = fmt.Sprintf("  # one of %d ways: look whether it is the right one", path.Others+1)
		}
		d.line("    %s%s: %s%s", mark, scalarText(path.Table), scalarText(path.String()), note)
	}
}

func (d *draft) purposes() {
	d.line("# Where reasons are checked: a ticket that is open, assigned to who asks, by somebody else. routers and writers are services whose")
	d.line("# word about tickets and contacts counts: without any, only what other people write does.")
	t := d.proposal.Ticket
	if t == nil {
		d.line("# No table of tickets was recognised: without purposes.ticket nobody's reason counts (docs/purposes.md).")
		d.line("")
		return
	}
	mark := ""
	if len(t.Missing) > 0 {
		mark = "# "
		d.line("# %s may hold tickets; fill in: %s.", t.Table, strings.Join(t.Missing, ", "))
	}
	for _, e := range t.Evidence {
		d.line("# %s", e)
	}
	d.line("%spurposes:", mark)
	d.section(mark, "ticket", [][2]string{
		{"table", t.Table}, {"id", t.ID}, {"number", t.Number}, {"customer", t.Customer}, {"assignee", t.Assignee}, {"state", t.State}, {"opened_at", t.OpenedAt},
	}, "open", t.Open, "routers")
	d.contact(mark)
	d.line("")
}

func (d *draft) contact(mark string) {
	k := d.proposal.Contact
	if k == nil {
		return
	}
	if len(k.Missing) > 0 {
		mark = "# "
		d.line("  # %s may hold contacts; fill in: %s.", k.Table, strings.Join(k.Missing, ", "))
	}
	d.section(mark, "contact", [][2]string{
		{"table", k.Table}, {"id", k.ID}, {"customer", k.Customer}, {"ticket", k.Ticket}, {"staff", k.Staff}, {"direction", k.Direction}, {"at", k.At},
	}, "incoming", k.Incoming, "writers")
}

// section writes one source of reasons.
func (d *draft) section(mark, name string, keys [][2]string, list string, words []string, trusted string) {
	d.line("%s  %s:", mark, name)
	for _, k := range keys {
		if k[1] != "" {
			d.line("%s    %s: %s", mark, k[0], scalarText(k[1]))
		}
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = scalarText(w)
	}
	d.line("%s    %s: [%s]", mark, list, strings.Join(quoted, ", "))
	d.line("%s    %s: []", mark, trusted)
}

// directory writes whose log-ins there are.
func (d *draft) directory() {
	services, people := []discover.Role{}, []discover.Role{}
	for _, r := range d.proposal.Roles {
		if r.Service {
			services = append(services, r)
		} else {
			people = append(people, r)
		}
	}
	if len(services) > 0 {
		d.line("# Programs with access, by id.")
		d.line("services:")
		for _, r := range services {
			d.line("  %s: {logins: [%s]}  # %s", scalarText(r.Login), scalarText(r.Login), r.Evidence)
		}
		d.line("")
	}
	if len(people) == 0 {
		return
	}
	d.line("# Staff with access, by id: every log-in that is no superuser, does not replicate and is not called after a service. role: agent,")
	d.line("# lead, engineer, dba, security. 'sallyport passwd' prints a password for who gives orders.")
	d.line("people:")
	for _, r := range people {
		team := ""
		if r.Team != "" {
			team = ", team: " + scalarText(r.Team)
		}
		d.line("  %s: {name: %s%s, role: %s, logins: [%s]}  # %s", scalarText(r.Login), scalarText(r.Login), team, r.Role, scalarText(r.Login), r.Evidence)
	}
}

// plainScalar is what YAML reads as the text that it is, also within {}; words that would read as something else are quoted.
func plainScalar(s string) bool {
	plain := regexp.MustCompile(`^[\p{L}_/][\p{L}0-9_.:/-]*( -> [\p{L}_][\p{L}0-9_.]*)?$`)
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf":
		return false
	}
	return plain.MatchString(s) && !strings.HasSuffix(s, ":")
}

// scalarText writes a text as YAML.
func scalarText(s string) string {
	if plainScalar(s) {
		return s
	}
	return strconv.Quote(s) // its escapes are YAML's too
}
