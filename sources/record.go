package sources

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sallyport"
)

// Parts turns entries of the access stream into accesses, each by itself: what one entry says is one access, or several where it names more
// than MostSubjects customers. Nothing is kept between entries, so that a reader may begin anywhere and every access has the same UID
// whenever it is made. Accesses of one session with the same Statement are parts of one executed statement: Fold puts them together.
type Parts struct {
	Record  string                     // id of the record, which begins every UID
	Service func(sallyport.Staff) bool // who is a program; nil: nobody is known to be one
}

// MostSubjects is how many customers one part names at most: a batch of a large result holds thousands, and who receives it as one message
// of a log has a limit.
const MostSubjects = 1000

// UIDPrefix begins the UID of whatever comes from a record of this id.
func UIDPrefix(record string) string { return record[:min(16, len(record))] + "-" }

// UID is that of an entry of a record, or of what is made of it: n counts from 0 where it is several.
func UID(record string, seq uint64, n int) string {
	id := UIDPrefix(record) + strconv.FormatUint(seq, 10)
	if n > 0 {
		id += "." + strconv.Itoa(n)
	}
	return id
}

// Append adds what one entry comes to; most kinds come to nothing.
func (p *Parts) Append(list []sallyport.Access, e *sallyport.Event) []sallyport.Access {
	switch e.Kind {
	case sallyport.StatementKind, sallyport.RefusedKind, sallyport.CopyKind, sallyport.PowerKind, sallyport.RevealKind, sallyport.TouchKind, sallyport.ObservedKind, sallyport.ResultKind:
		if e.Statement == nil && e.Reveal == nil && e.Touch == nil {
			return list // a sentence of serve --observe
		}
	case sallyport.CountersKind, sallyport.ReplicationEnd:
		if e.Counters == nil {
			return list
		}
	case sallyport.ImportedKind:
		if e.Imported == nil {
			return list
		}
		a := e.Imported.Access
		a.Arrived, a.UID = e.Seq, UID(p.Record, e.Seq, 0) // two systems may both call something e-1
		return append(list, a)
	default:
		return list
	}
	a := p.actor(e)
	addStatement(&a, e)
	addTouch(&a, e)
	if c := e.Counters; c != nil {
		a.Rows, a.Bytes = int64(c.Rows), int64(c.BytesOut) //nolint:gosec // sums of one session
		if a.Activity == sallyport.OtherActivity {
			a.Activity = sallyport.QueryActivity
		}
	}
	addResult(&a, e.Result)
	if e.Kind == sallyport.ReplicationEnd {
		a.Activity, a.Verb = sallyport.ReadActivity, "REPLICATION"
	}
	return p.addReveal(list, a, e)
}

// actor begins an access with who, where from and when.
func (p *Parts) actor(e *sallyport.Event) sallyport.Access {
	return sallyport.Access{
		UID: UID(p.Record, e.Seq, 0), Time: e.Time, Arrived: e.Seq, Activity: sallyport.OtherActivity,
		Staff: e.Who.Staff, Via: e.Who.Via, Service: p.Service != nil && p.Service(e.Who.Staff), Session: e.Who.Session, Application: e.Who.Application,
		Address: Host(e.Who.Address), Device: e.Who.Device, Database: e.Who.Database,
	}
}

// Host is an address without its port; what is none (a Unix socket's [local]) stays as it is.
func Host(address string) string {
	if at, err := netip.ParseAddrPort(address); err == nil {
		return at.Addr().Unmap().String()
	}
	return address
}

func addStatement(a *sallyport.Access, e *sallyport.Event) {
	s := e.Statement
	if s == nil {
		return
	}
	a.Statement, a.Shape, a.Verb, a.Activity = s.ID, s.Fingerprint, s.Verb, ActivityOf(s.Verb)
	touches(a, s.Columns)
	if a.Table == "" && len(s.Tables) > 0 {
		a.Table = bareName(s.Tables[0])
	}
	a.Trust = int(min(s.Trust, 101))
	if s.Writes && a.Activity == sallyport.ReadActivity {
		a.Activity = sallyport.WriteActivity // COPY FROM, WITH … INSERT
	}
	if len(s.Purposes) > 0 {
		a.Purpose = s.Purposes[0]
	}
	if s.Refused != "" {
		a.Refused, a.Verdict = true, sallyport.Deny.String()
	}
	if u := e.Power; u != nil {
		for _, kind := range u.Kinds {
			a.Powers = append(a.Powers, string(kind))
		}
		a.Refused = a.Refused || u.Refused
	}
	if d := e.Decision; d != nil {
		a.Policy, a.Refused = d.Policy, a.Refused || !d.Permitted
	}
	if a.Refused {
		a.Verdict = sallyport.Deny.String()
	}
}

// addResult adds how a statement ended.
func addResult(a *sallyport.Access, r *sallyport.Result) {
	if r == nil {
		return
	}
	a.Activity, a.Rows, a.Bytes = sallyport.QueryActivity, int64(r.Rows), int64(r.Bytes) //nolint:gosec // counts
	switch {
	case r.Revealed > 0:
		a.Verdict = sallyport.Reveal.String()
	case r.Masked > 0:
		a.Verdict = sallyport.Mask.String()
	case r.Left > 0:
		a.Verdict = sallyport.Token.String()
	}
	addRulings(a, r.Rulings, r.Trust)
}

// addRulings names the policy that let out most, and how far the person was trusted.
func addRulings(a *sallyport.Access, rulings []sallyport.Ruled, trust int64) {
	most := ""
	for i := range rulings {
		if opener(rulings[i].Verdict, most) {
			most, a.Policy = rulings[i].Verdict, rulings[i].Policy
		}
	}
	if trust > 0 {
		a.Trust = int(min(trust, 101))
	}
}

// touches names protected columns by their own names, and their table.
func touches(a *sallyport.Access, columns []sallyport.Column) {
	for _, c := range columns {
		if a.Table == "" {
			a.Table = c.Table
		}
		if !slices.Contains(a.Columns, c.Name) {
			a.Columns = append(a.Columns, c.Name)
		}
	}
}

// addTouch adds what was reached and probed. While serve only observes, whatever a result held was readable.
func addTouch(a *sallyport.Access, e *sallyport.Event) {
	t := e.Touch
	if t == nil {
		return
	}
	a.Statement = t.Statement
	if a.Activity == sallyport.OtherActivity {
		a.Activity = sallyport.ReadActivity
	}
	a.Probes = int64(len(t.Probes) + len(t.Dates))
	if len(t.Reached)+len(t.Values) == 0 {
		return
	}
	a.Reached, a.Reach = t.Reached, int64(len(t.Reached)+len(t.Values))
	a.Verdict = sallyport.Token.String()
	if e.Kind == sallyport.ObservedKind {
		a.Verdict, a.Subjects, a.Reached, a.Reach = sallyport.Reveal.String(), t.Reached, nil, 0
	}
}

// addReveal adds whose values left in plain, and cuts the access where they are many.
func (p *Parts) addReveal(list []sallyport.Access, a sallyport.Access, e *sallyport.Event) []sallyport.Access {
	if r := e.Reveal; r != nil {
		a.Statement, a.Activity, a.Verdict = r.Statement, sallyport.RevealActivity, sallyport.Reveal.String()
		touches(&a, r.Columns)
		addRulings(&a, r.Rulings, r.Trust)
		switch {
		case len(r.Purposes) > 0:
			a.Purpose = r.Purposes[0]
		case r.Grant != "":
			a.Purpose = sallyport.Purpose{Kind: "grant", Ref: r.Grant}
		}
		a.Subjects = r.Values.Distinct(a.Subjects)
	}
	for n, most := 0, max(len(a.Subjects), len(a.Reached)); ; n++ {
		part := a
		part.UID = UID(p.Record, e.Seq, n)
		part.Subjects, part.Reached = nth(a.Subjects, n), nth(a.Reached, n)
		if n > 0 {
			part.Reach, part.Probes = 0, 0 // counted by the first
		}
		list = append(list, part)
		if (n+1)*MostSubjects >= most {
			return list
		}
	}
}

// nth is the n-th part of a list of customers.
func nth(list []sallyport.Subject, n int) []sallyport.Subject {
	from, to := min(n*MostSubjects, len(list)), min((n+1)*MostSubjects, len(list))
	if from == to {
		return nil
	}
	return list[from:to:to]
}

// ActivityOf is OCSF's activity of a statement that begins with this word.
func ActivityOf(verb string) sallyport.Activity {
	switch word, _, _ := strings.Cut(strings.ToUpper(verb), " "); word {
	case "SELECT", "FETCH", "TABLE", "VALUES", "WITH", "COPY", "DECLARE", "SHOW", "EXPLAIN", "MOVE", "REVEAL", "TOKENISE":
		return sallyport.ReadActivity
	case "UPDATE", "ALTER", "MERGE", "COMMENT", "GRANT", "REVOKE", "REINDEX", "CLUSTER", "REFRESH":
		return sallyport.UpdateActivity
	case "INSERT", "IMPORT":
		return sallyport.WriteActivity
	case "CREATE":
		return sallyport.CreateActivity
	case "DELETE", "TRUNCATE", "DROP":
		return sallyport.DeleteActivity
	}
	return sallyport.OtherActivity
}

// mergeSubjects adds those of b that a does not have; a long list stays linear.
func mergeSubjects(a []sallyport.Subject, seen map[sallyport.Subject]struct{}, b []sallyport.Subject) []sallyport.Subject {
	for _, s := range b {
		if _, again := seen[s]; !again {
			seen[s] = struct{}{}
			a = append(a, s)
		}
	}
	return a
}

func mergeTexts(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(slices.Clip(a), s)
		}
	}
	return a
}
