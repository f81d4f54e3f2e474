package export

import (
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/sources"
)

// note is an entry of the record that is no statement, on its way to whatever format.
type note struct {
	UID      string
	Time     time.Time
	kind     sallyport.EventKind
	class    int
	activity int
	severity int
	failed   bool

	by          sallyport.Staff
	via         sallyport.Staff
	about       sallyport.Staff
	session     string
	application string
	address     string
	device      string
	database    string
	message     string // the entry's note: a sentence of Sallyport's own
	action      string // of an order
	id          string // of a proposal, a grant, a ticket
	entity      string
	login       string
	grant       bool     // id is that of a grant, which was asked for by name
	found       *finding // of a finding
	erased      []string // of an erasure: runs of ids of messages
	details     string
	statements  int64
	rows        int64
	bytes       int64
}

// noteOf is what an entry becomes that is no access. Kinds that it does not know are orders or findings of a later version: they are written
// as API Activity, so that nothing is left out without a word.
func noteOf(e *sallyport.Event) (note, bool) {
	n := note{
		kind: e.Kind, class: classAPI, activity: activityOther, severity: informational,
		by: e.Who.Staff, via: e.Who.Via, session: e.Who.Session, application: e.Who.Application, address: sources.Host(e.Who.Address), device: e.Who.Device, login: e.Who.Login,
		database: e.Who.Database, message: e.Note,
	}
	if c := e.Counters; c != nil {
		n.statements, n.rows, n.bytes = int64(c.Statements), int64(c.Rows), int64(c.BytesOut) //nolint:gosec // sums of one session
	}
	switch e.Kind {
	case sallyport.TieKind, sallyport.InputKind, sallyport.ImportedKind, sallyport.StatementKind, sallyport.RevealKind, sallyport.TouchKind, sallyport.CountersKind, sallyport.ResultKind:
		return n, false // ties are the record's own bookkeeping, inputs other systems' words; the others are accesses, where they hold anything
	case sallyport.ShapeKind:
		if e.Statement != nil {
			n.id, n.details = e.Statement.Fingerprint, e.Statement.Shape // its literals are gone
		}
	case sallyport.SessionStart:
		n.class, n.activity = classLogIn, activityLogOn
	case sallyport.SessionEnd:
		n.class, n.activity = classLogIn, activityLogOff
	case sallyport.EntryRefused:
		n.class, n.activity, n.severity, n.failed = classLogIn, activityLogOn, low, true
	case sallyport.ActingKind:
		n.class, n.activity = classAuthorize, activityPrivilege
		if e.Asserted != nil {
			n.details = e.Asserted.Source
		}
	case sallyport.BudgetReached:
		n.class, n.activity, n.severity = classFinding, activityCreate, high
		if l := e.Limit; l != nil {
			n.details = strings.TrimSpace(l.Measure + " " + l.Window + " " + l.Scope)
			n.rows = int64(l.Count)
		}
	case sallyport.StrayKind, sallyport.AroundKind:
		n.class, n.activity, n.severity = classFinding, activityCreate, medium
	case sallyport.FactKind:
		n.class, n.activity = classEntity, activityUpdate
		if len(e.Facts) > 0 {
			n.entity, n.id = e.Facts[0].Table, e.Facts[0].ID
		}
	case sallyport.GatewayStarted:
		n.class, n.activity = classLifecycle, activityStart
	case sallyport.GatewayStopped:
		n.class, n.activity = classLifecycle, activityStop
	default:
	}
	if o := e.Order; o != nil {
		n.order(e.Kind, o)
	}
	return n, true
}

// order is what an entry of the control stream becomes. Reasons are people's own words and stay in the record.
func (n *note) order(kind sallyport.EventKind, o *sallyport.Order) {
	n.action, n.id, n.about = o.Action, o.ID, o.About
	if o.By != "" {
		n.by = o.By
	}
	if n.by == "" {
		n.by = "sallyport"
	}
	switch kind {
	case sallyport.LogInOK:
		n.class, n.activity = classLogIn, activityLogOn
	case sallyport.LogInBad:
		n.class, n.activity, n.failed, n.severity = classLogIn, activityLogOn, true, low
		n.by = o.About
	case sallyport.CredentialEnded:
		n.class, n.activity = classLogIn, activityLogOff
	case sallyport.Locked:
		n.class, n.activity, n.severity = classAccount, activityLock, high
	case sallyport.Suspended:
		n.class, n.activity, n.severity = classAccount, activityDisable, high
	case sallyport.Trusted:
		n.class, n.activity, n.severity, n.details = classAccount, activityOther, medium, o.Details
	case sallyport.RecordRoom:
		if n.class, n.activity, n.severity, n.details = classFinding, activityCreate, high, o.Details; o.Details == "fine" {
			n.severity = informational
		}
	case sallyport.GlassBroken:
		n.severity = high
	case sallyport.FindingKind:
		n.finding(o)
	case sallyport.Erasing:
		n.severity = low
		n.erasing(o.Erased)
	case sallyport.Erased:
		n.severity = low
	case sallyport.UnsealBad:
		n.failed, n.severity = true, medium
	case sallyport.Queried:
		n.activity, n.message = activityRead, "" // a question may hold a literal
	case sallyport.Proposed, sallyport.Approved, sallyport.Requested, sallyport.Configured, sallyport.Adopted, sallyport.KeyDestroyed, sallyport.KeyRotated, sallyport.Recovering:
		n.severity = low
	default:
	}
	switch kind {
	case sallyport.KeyRotated, sallyport.KeyDestroyed, sallyport.KeyTurned, sallyport.Adopted, sallyport.Peopled, sallyport.Shredding, sallyport.Shredded:
		n.details = o.Details // a join group, a hash, a source, a customer's id
	case sallyport.ImportOrdered:
		if o.Importing != nil {
			n.details = o.Importing.Source
		}
	default:
	}
	if g := o.Grant; g != nil {
		n.about, n.rows = g.For, int64(g.Customers)
	}
	n.grant = o.Action == "grant" || o.Action == "break_glass"
}

// erasing lists the messages that are to go: whoever was sent them can take them away, too. A run is FIRST, or FIRST..LAST.
func (n *note) erasing(e *sallyport.Erasure) {
	if e == nil {
		return
	}
	n.rows = int64(e.Count) //nolint:gosec // entries
	for i := 0; i+1 < len(e.Runs); i += 2 {
		run := sources.UID(e.Record, e.Runs[i], 0)
		if e.Runs[i+1] > e.Runs[i] {
			run += ".." + strconv.FormatUint(e.Runs[i+1], 10)
		}
		n.erased = append(n.erased, run)
	}
}

// operation is what an order is called: its kind, and what it is about where that is something else.
func (n *note) operation() string {
	if n.action == "" || n.action == string(n.kind) {
		return string(n.kind)
	}
	return string(n.kind) + ":" + n.action
}

// activityName is required where the activity is none of OCSF's.
func (n *note) activityName() string {
	if n.activity != activityOther {
		return ""
	}
	return n.operation()
}

// title is what a finding is called.
func (n *note) title() string {
	if n.found != nil {
		return n.found.title()
	}
	switch n.kind {
	case sallyport.BudgetReached:
		return strings.TrimSpace("A budget of customers was reached: " + n.details)
	case sallyport.StrayKind:
		return "Somebody else's tokens stand in a customer's row"
	case sallyport.RecordRoom:
		return "How full the disk of the record is: " + n.details
	case sallyport.AroundKind:
		return "There is a way around the gateway"
	default:
		return n.operation()
	}
}
