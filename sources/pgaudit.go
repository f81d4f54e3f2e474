package sources

import (
	"io"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/query"
)

// AuditLog reads what pgAudit writes into PostgreSQL's own log. Each of its lines is one access: where pgAudit names several relations of one
// statement, these have the same Session and Statement, and Fold puts them together. A statement that the server refused for want of a
// privilege is an access that was refused. Texts leave their shape and nothing else.
type AuditLog struct {
	Source string                                  // of the server, by a name of the user's; begins UIDs and sessions
	Zone   *time.Location                          // of log_timezone; nil: it must be UTC, or the times have offsets
	Staff  func(login string) sallyport.Staff      // whose a role is; nil: it is a person of its own, as sallyport.UnknownLogin
	Use    func(*sallyport.Access) error           // is given each access, which is its own
	Bad    Bad                                     // is told of lines that cannot be read
	Other  int                                     // lines that are no accesses: read and passed over
	shapes map[string]struct{ shape, verb string } // of texts that came lately
}

// CSV reads csvlog.
func (a *AuditLog) CSV(r io.Reader) error { return csvLog(r, a.Zone, a.line, a.Bad) }

// JSON reads jsonlog.
func (a *AuditLog) JSON(r io.Reader) error { return jsonLog(r, a.Zone, a.line, a.Bad) }

// refusedState is PostgreSQL's insufficient_privilege.
const refusedState = "42501"

func (a *AuditLog) line(l *logLine) error {
	audit, isAudit := strings.CutPrefix(l.message, "AUDIT: ")
	refused := l.severity == "ERROR" && l.state == refusedState
	if !isAudit && !refused {
		a.Other++
		return nil
	}
	if l.session == "" || l.number == "" {
		return a.Bad(l.line, "no session or no number in it: the line cannot be told from others")
	}
	who := sallyport.UnknownLogin(l.user)
	if a.Staff != nil {
		who = a.Staff(l.user)
	}
	x := sallyport.Access{
		UID: "pg:" + a.Source + ":" + l.session + ":" + l.number, Time: l.time, Activity: sallyport.OtherActivity, Staff: who,
		Session: a.Source + ":" + l.session, Application: l.application, Address: l.address, Database: l.database,
	}
	if l.user == "" {
		return a.Bad(l.line, "no user stands in it")
	}
	if refused {
		x.Refused, x.Verdict = true, sallyport.Deny.String()
		a.outline(&x, l.query)
		return a.Use(&x)
	}
	if what := a.audited(&x, audit); what != "" {
		return a.Bad(l.line, what)
	}
	return a.Use(&x)
}

// The fields of an AUDIT line, in pgAudit's documentation under "Format". Rows stand behind them with pgaudit.log_rows.
const (
	auditStatement, auditClass, auditCommand, auditObject, auditText, auditLeast, auditRows = 1, 3, 4, 6, 7, 9, 9
)

// audited fills in what pgAudit says.
func (a *AuditLog) audited(x *sallyport.Access, audit string) (what string) {
	f, what := splitCSV(nil, []byte(audit))
	switch {
	case what != "":
		return "pgAudit's part: " + what
	case len(f) < auditLeast:
		return "pgAudit's part has " + strconv.Itoa(len(f)) + " fields; expected " + strconv.Itoa(auditLeast) + " or more"
	case f[0] != "SESSION" && f[0] != "OBJECT":
		return "pgAudit's part begins with neither SESSION nor OBJECT"
	}
	n, err := strconv.ParseUint(f[auditStatement], 10, 64)
	if err != nil || n == 0 {
		return "pgAudit's part has no number of a statement"
	}
	x.Statement = n
	x.Table = bareName(f[auditObject])
	if len(f) > auditRows {
		if rows, err := strconv.ParseInt(f[auditRows], 10, 64); err == nil && rows >= 0 {
			x.Rows = rows
		}
	}
	a.outline(x, f[auditText])
	x.Verb = f[auditCommand] // what pgAudit says it is: SELECT FOR UPDATE, ALTER TABLE …
	x.Activity = ActivityOf(x.Verb)
	if f[auditClass] == "WRITE" && x.Activity == sallyport.ReadActivity {
		x.Activity = sallyport.WriteActivity // COPY FROM
	}
	return ""
}

// bareName is a relation's name without its schema. Names in quotes may hold a dot.
func bareName(name string) string {
	quoted, last := false, 0
	for i := range len(name) {
		switch {
		case name[i] == '"':
			quoted = !quoted
		case name[i] == '.' && !quoted:
			last = i + 1
		}
	}
	name = name[last:]
	if len(name) > 1 && name[0] == '"' && name[len(name)-1] == '"' {
		name = strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return name
}

// keptShapes bounds the texts of which the shape is remembered, and keptText how long they are.
const (
	keptShapes = 4096
	keptText   = 4 << 10
)

// outline keeps the shape of a text. pgAudit writes <previously logged> and <not logged> in its place, of which nothing is kept.
func (a *AuditLog) outline(x *sallyport.Access, text string) {
	if known, ok := a.shapes[text]; ok {
		x.Shape, x.Verb, x.Activity = known.shape, known.verb, ActivityOf(known.verb)
		return
	}
	shape, verb, ok := query.Outline(text, false)
	if ok {
		x.Shape, x.Verb, x.Activity = shape, verb, ActivityOf(verb)
	}
	if len(text) > keptText {
		return
	}
	if a.shapes == nil || len(a.shapes) >= keptShapes {
		a.shapes = make(map[string]struct{ shape, verb string }, keptShapes)
	}
	a.shapes[strings.Clone(text)] = struct{ shape, verb string }{x.Shape, x.Verb}
}
