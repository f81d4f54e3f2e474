package export

import (
	"net/netip"
	"time"

	"sallyport"
)

// ecsVersion is that of the Elastic Common Schema whose field names these are.
const ecsVersion = "8.11.0"

// ecsHead begins a document. Dotted names are what Elasticsearch takes for nested objects.
func (c *Encoder) ecsHead(o *object, uid, kind, category, action string, failed bool, severity int, at time.Time) {
	o.open()
	o.text("@timestamp", at.UTC().Format("2006-01-02T15:04:05.000Z"))
	o.text("ecs.version", ecsVersion)
	o.text("event.id", uid)
	o.text("event.kind", kind)
	texts(o, "event.category", []string{category})
	o.text("event.action", action)
	o.text("event.outcome", outcome(failed))
	o.number("event.severity", int64(severity))
	o.text("event.module", "sallyport")
	o.text("observer.vendor", vendor)
	o.text("observer.product", vendor)
	o.text("observer.version", c.Version)
}

func ecsSource(o *object, address, device string) {
	if _, err := netip.ParseAddr(address); err == nil {
		o.text("source.ip", address)
	}
	o.text("source.address", address)
	o.text("host.id", device)
}

func (c *Encoder) ecsAccess(a *sallyport.Access, severity int) []byte {
	o := object{make([]byte, 0, 640+12*len(a.Subjects)+12*len(a.Reached))}
	action := a.Verb
	if a.Activity == sallyport.RevealActivity {
		action = "reveal"
	}
	c.ecsHead(&o, a.UID, "event", "database", orUnknown(action), a.Refused, severity, a.Time)
	o.text("user.id", string(a.Staff))
	ecsSource(&o, a.Address, a.Device)
	o.text("sallyport.session", a.Session)
	o.text("sallyport.application", a.Application)
	o.text("sallyport.shape", a.Shape)
	o.text("sallyport.database", a.Database)
	o.text("sallyport.table", a.Table)
	texts(&o, "sallyport.columns", a.Columns)
	texts(&o, "sallyport.subjects", a.Subjects)
	o.count("sallyport.subject_count", a.Count)
	texts(&o, "sallyport.reached", a.Reached)
	o.count("sallyport.reach", a.Reach)
	o.count("sallyport.probes", a.Probes)
	texts(&o, "sallyport.powers", a.Powers)
	o.count("sallyport.rows", a.Rows)
	o.count("sallyport.bytes", a.Bytes)
	if a.Purpose.Kind != "" {
		o.text("sallyport.purpose", a.Purpose.String())
	}
	o.text("sallyport.verdict", a.Verdict)
	o.text("sallyport.policy", a.Policy)
	if a.Trust > 0 {
		o.number("sallyport.trust", int64(a.Trust-1))
	}
	o.text("sallyport.via", string(a.Via))
	o.count("sallyport.statement", int64(a.Statement)) //nolint:gosec // a number within a session
	o.shut()
	return o.b
}

func (c *Encoder) ecsNote(n *note) []byte {
	o := object{make([]byte, 0, 640)}
	kind, category := "event", "configuration"
	switch n.class {
	case classFinding:
		kind, category = "alert", "intrusion_detection"
	case classLogIn, classAuthorize:
		category = "authentication"
	case classAccount:
		category = "iam"
	case classEntity:
		category = "database"
	case classLifecycle:
		category = "process"
	}
	c.ecsHead(&o, n.UID, kind, category, n.operation(), n.failed, n.severity, n.Time)
	o.text("message", n.message)
	o.text("user.id", string(n.by))
	o.text("user.target.id", string(n.about))
	ecsSource(&o, n.address, n.device)
	o.text("sallyport.session", n.session)
	o.text("sallyport.application", n.application)
	o.text("sallyport.database", n.database)
	o.text("sallyport.id", n.id)
	o.text("sallyport.details", n.details)
	o.count("sallyport.statements", n.statements)
	o.count("sallyport.rows", n.rows)
	o.count("sallyport.bytes", n.bytes)
	texts(&o, "sallyport.erased", n.erased)
	if n.found != nil {
		texts(&o, "threat.technique.id", n.found.Attack)
		o.begin("sallyport.finding")
		n.found.own(&o)
		o.shut()
	}
	o.shut()
	return o.b
}
