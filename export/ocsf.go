package export

import (
	"net/netip"
	"strconv"

	"sallyport"
)

// schemaVersion is the version of OCSF whose classes and required attributes these objects keep to.
const schemaVersion = "1.4.0"

// OCSF's classes that are written, with their categories (docs/export.md says which kind of entry becomes which).
const (
	classFinding      = 2004 // Detection Finding
	classAccount      = 3001 // Account Change
	classLogIn        = 3002 // Authentication
	classAuthorize    = 3003 // Authorize Session
	classEntity       = 3004 // Entity Management
	classLifecycle    = 6002 // Application Lifecycle
	classAPI          = 6003 // API Activity
	classData         = 6005 // Datastore Activity
	activityOther     = 99
	relationalType    = 1 // database.type_id
	userType          = 1 // user.type_id
	serviceType       = 3 // System, as FORMATS has it for a service account
	statusOK          = 1
	statusFailed      = 2
	outcomeSuccess    = "success"
	outcomeFailure    = "failure"
	vendor            = "Sallyport"
	unknownEndpoint   = "unknown"
	categoryPerClass  = 1000
	typesPerClass     = 100
	activityLogOn     = 1
	activityLogOff    = 2
	activityStart     = 3
	activityStop      = 4
	activityDisable   = 5
	activityLock      = 9
	activityCreate    = 1
	activityUpdate    = 3 // of Entity Management, and of API Activity
	activityRead      = 2 // of API Activity
	activityPrivilege = 1 // of Authorize Session

	activityUpdateFinding = 2 // of Detection Finding
	activityCloseFinding  = 3
)

// head begins an object: what every class requires.
func (c *Encoder) head(o *object, class, activity, severity int, uid, correlation string, at int64) {
	o.open()
	o.number("class_uid", int64(class))
	o.number("category_uid", int64(class/categoryPerClass))
	o.number("activity_id", int64(activity))
	o.number("type_uid", int64(class*typesPerClass+activity))
	o.number("severity_id", int64(severity))
	o.number("time", at)
	o.begin("metadata")
	o.text("uid", uid)
	o.text("correlation_uid", correlation)
	o.text("version", schemaVersion)
	o.begin("product")
	o.text("name", vendor)
	o.text("vendor_name", vendor)
	o.text("version", c.Version)
	o.shut()
	o.shut()
}

func (c *Encoder) ocsfAccess(a *sallyport.Access, severity int, from *sallyport.Imported) []byte {
	o := object{make([]byte, 0, 640+12*len(a.Subjects)+12*len(a.Reached))}
	correlation := ""
	if a.Statement != 0 {
		correlation = a.Session + "/" + strconv.FormatUint(a.Statement, 10)
	}
	c.head(&o, classData, int(a.Activity), severity, a.UID, correlation, a.Time.UnixMilli())
	o.begin("actor")
	user(&o, "user", a.Staff, a.Service)
	session(&o, a.Session)
	o.text("app_name", a.Application)
	o.shut()
	endpoint(&o, a.Address, a.Device)
	if a.Shape != "" || a.Verb != "" || a.Bytes != 0 {
		o.begin("query_info")
		o.text("uid", a.Shape)
		if a.Verb != "" {
			o.text("query_string", a.Verb) // required by OCSF; the text itself is not kept
		} else {
			o.key("query_string")
			o.b = append(o.b, `""`...)
		}
		o.count("bytes", a.Bytes)
		o.shut()
	}
	o.begin("database")
	o.text("name", orUnknown(a.Database))
	o.number("type_id", relationalType)
	o.shut()
	if a.Table != "" {
		o.begin("table")
		o.text("name", a.Table)
		o.shut()
	}
	o.number("status_id", status(a.Refused))
	o.begin("unmapped")
	o.begin("sallyport")
	o.count("rows", a.Rows)
	texts(&o, "columns", a.Columns)
	texts(&o, "subjects", a.Subjects)
	o.count("subject_count", a.Count)
	if a.Purpose.Kind != "" {
		o.begin("purpose")
		o.text("kind", a.Purpose.Kind)
		o.text("ref", a.Purpose.Ref)
		o.shut()
	}
	o.text("verdict", a.Verdict)
	o.text("policy", a.Policy)
	if a.Trust > 0 {
		o.number("trust", int64(a.Trust-1))
	}
	o.text("via", string(a.Via))
	if a.Statement != 0 {
		o.key("statement")
		o.b = strconv.AppendUint(o.b, a.Statement, 10)
	}
	texts(&o, "reached", a.Reached)
	o.count("reach", a.Reach)
	o.count("probes", a.Probes)
	texts(&o, "powers", a.Powers)
	if from != nil {
		o.text("source", from.Source)
		o.text("original_uid", from.Access.UID)
	}
	o.shut()
	o.shut()
	o.shut()
	return o.b
}

func user(o *object, key string, who sallyport.Staff, service bool) {
	o.begin(key)
	o.text("uid", orUnknown(string(who)))
	if service {
		o.number("type_id", serviceType)
	} else {
		o.number("type_id", userType)
	}
	o.shut()
}

func session(o *object, id string) {
	if id == "" {
		return
	}
	o.begin("session")
	o.text("uid", id)
	o.shut()
}

// endpoint is where from. OCSF requires it, and at least one thing known of it; a Unix socket has a name.
func endpoint(o *object, address, device string) {
	o.begin("src_endpoint")
	if _, err := netip.ParseAddr(address); err == nil {
		o.text("ip", address)
	} else if address != "" {
		o.text("name", address)
	}
	o.text("uid", device)
	if address == "" && device == "" {
		o.text("name", unknownEndpoint)
	}
	o.shut()
}

func orUnknown(s string) string {
	if s == "" {
		return unknownEndpoint
	}
	return s
}

func status(failed bool) int64 {
	if failed {
		return statusFailed
	}
	return statusOK
}

// ocsfNote writes what is no statement.
func (c *Encoder) ocsfNote(n *note) []byte {
	o := object{make([]byte, 0, 640)}
	c.head(&o, n.class, n.activity, n.severity, n.UID, "", n.Time.UnixMilli())
	o.text("activity_name", n.activityName())
	o.text("message", n.message)
	o.number("status_id", status(n.failed))
	o.begin("actor")
	actor := n.by
	if n.kind == sallyport.FindingKind && n.about != "" {
		actor = n.about // who did what was found, as readers of alerts expect it
	}
	user(&o, "user", actor, c.Service != nil && c.Service(actor))
	session(&o, n.session)
	o.text("app_name", n.application)
	o.shut()
	endpoint(&o, n.address, n.device)
	c.ofClass(&o, n)
	o.begin("unmapped")
	o.begin("sallyport")
	o.text("kind", string(n.kind))
	o.text("action", n.action)
	o.text("about", string(n.about))
	o.text("id", n.id)
	o.text("details", n.details)
	o.text("via", string(n.via))
	o.count("statements", n.statements)
	o.count("rows", n.rows)
	o.count("bytes", n.bytes)
	texts(&o, "erased", n.erased)
	if n.found != nil {
		n.found.own(&o)
	}
	o.shut()
	o.shut()
	o.shut()
	return o.b
}

// ofClass writes what the class requires besides what all do.
func (c *Encoder) ofClass(o *object, n *note) {
	switch n.class {
	case classLogIn:
		user(o, "user", n.by, c.Service != nil && c.Service(n.by))
		session(o, n.session)
		named(o, "service", orUnknown(n.database))
	case classAuthorize:
		user(o, "user", n.by, false)
		session(o, n.session)
		texts(o, "privileges", []string{"act_for"})
	case classAccount:
		user(o, "user", n.about, c.Service != nil && c.Service(n.about))
	case classFinding:
		o.begin("finding_info")
		if n.found != nil && n.found.ID != "" { // the lines of one finding that grows have one id
			o.text("uid", n.found.ID)
			n.found.info(o)
		} else {
			o.text("uid", n.UID)
		}
		o.text("title", n.title())
		o.shut()
		if n.found != nil {
			if percent, ok := n.found.confidence(); ok {
				o.number("confidence_score", percent)
			}
		}
	case classEntity:
		o.begin("entity")
		o.text("type", n.entity)
		o.text("uid", orUnknown(n.id))
		o.shut()
	case classLifecycle:
		o.begin("app")
		o.text("name", vendor)
		o.text("vendor_name", vendor)
		o.text("version", c.Version)
		o.shut()
	case classAPI:
		o.begin("api")
		o.text("operation", n.operation())
		named(o, "service", "sallyport")
		o.shut()
		if n.about != "" {
			o.key("resources")
			o.b = append(o.b, '[')
			o.open()
			o.text("type", "staff")
			o.text("uid", string(n.about))
			o.shut()
			o.b = append(o.b, ']')
		}
	}
}

func named(o *object, key, name string) {
	o.begin(key)
	o.text("name", name)
	o.shut()
}
