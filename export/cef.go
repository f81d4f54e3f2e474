package export

import (
	"net/netip"
	"strconv"
	"strings"

	"sallyport"
)

// extension writes CEF's key=value pairs. Fields that are empty are left out.
type extension struct {
	b     []byte
	begun bool
}

func (x *extension) text(key, value string) {
	if value == "" {
		return
	}
	if x.begun {
		x.b = append(x.b, ' ')
	}
	x.begun = true
	x.b = append(append(x.b, key...), '=')
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '=':
			x.b = append(x.b, '\\', c)
		case '\n':
			x.b = append(x.b, '\\', 'n')
		case '\r':
			x.b = append(x.b, '\\', 'r')
		default:
			x.b = append(x.b, c)
		}
	}
}

func (x *extension) count(key string, n int64) {
	if n != 0 {
		x.text(key, strconv.FormatInt(n, 10))
	}
}

// labelled is one of CEF's fields that have a name beside them.
func (x *extension) labelled(key, label, value string) {
	if value != "" {
		x.text(key, value)
		x.text(key+"Label", label)
	}
}

// list joins members with commas; those within one are %2C, and percent signs %25.
func list[T ~string](members []T) string {
	switch len(members) {
	case 0:
		return ""
	case 1:
		if !strings.ContainsAny(string(members[0]), "%,") {
			return string(members[0])
		}
	}
	size := len(members)
	for _, m := range members {
		size += len(m)
	}
	b := make([]byte, 0, size)
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		for k := range len(m) {
			switch m[k] {
			case '%':
				b = append(b, "%25"...)
			case ',':
				b = append(b, "%2C"...)
			default:
				b = append(b, m[k])
			}
		}
	}
	return string(b)
}

// cefHead writes CEF:0|vendor|product|version|id|name|severity|.
func (c *Encoder) cefHead(id, name string, severity, room int) extension {
	x := extension{b: make([]byte, 0, 512+room)}
	x.b = append(x.b, "CEF:0|"+vendor+"|"+vendor+"|"...)
	for _, field := range [...]string{c.Version, id, name} {
		for i := range len(field) {
			switch ch := field[i]; ch {
			case '\\', '|':
				x.b = append(x.b, '\\', ch)
			case '\n', '\r':
				x.b = append(x.b, ' ')
			default:
				x.b = append(x.b, ch)
			}
		}
		x.b = append(x.b, '|')
	}
	x.b = strconv.AppendInt(x.b, int64(cefSeverity(severity)), 10)
	x.b = append(x.b, '|')
	return x
}

// cefSeverity is CEF's 0 to 10.
func cefSeverity(ocsf int) int { return min(10, 2*ocsf) }

func (x *extension) endpoint(address, device string) {
	if _, err := netip.ParseAddr(address); err == nil {
		x.text("src", address)
	} else {
		x.text("shost", address)
	}
	x.labelled("flexString1", "device", device)
}

func (c *Encoder) cefAccess(a *sallyport.Access, severity int) []byte {
	id := strconv.Itoa(classData) + ":" + strconv.Itoa(int(a.Activity))
	x := c.cefHead(id, "Datastore Activity", severity, 12*len(a.Subjects)+12*len(a.Reached))
	x.text("rt", strconv.FormatInt(a.Time.UnixMilli(), 10))
	x.text("externalId", a.UID)
	x.text("suid", string(a.Staff))
	if a.Service {
		x.text("spriv", "service")
	}
	x.endpoint(a.Address, a.Device)
	x.text("sourceServiceName", a.Application)
	x.text("destinationServiceName", a.Database)
	x.text("fname", a.Table)
	x.text("requestMethod", a.Verb)
	x.text("act", a.Verdict)
	x.text("outcome", outcome(a.Refused))
	x.labelled("cs1", "session", a.Session)
	x.labelled("cs2", "shape", a.Shape)
	x.labelled("cs3", "columns", list(a.Columns))
	x.labelled("cs4", "customers", list(a.Subjects))
	if a.Purpose.Kind != "" {
		x.labelled("cs5", "purpose", a.Purpose.String())
	}
	x.labelled("cs6", "policy", a.Policy)
	x.labelled("flexString2", "via", string(a.Via))
	x.count("out", a.Bytes)
	x.count("cn1", a.Rows)
	x.count("cn2", a.Count)
	if a.Statement != 0 {
		x.labelled("cn3", "statement", strconv.FormatUint(a.Statement, 10))
	}
	x.text("sallyportReached", list(a.Reached))
	x.count("sallyportReach", a.Reach)
	x.count("sallyportProbes", a.Probes)
	x.text("sallyportPowers", list(a.Powers))
	if a.Trust > 0 {
		x.text("sallyportTrust", strconv.Itoa(a.Trust-1))
	}
	return x.b
}

func outcome(failed bool) string {
	if failed {
		return outcomeFailure
	}
	return outcomeSuccess
}

func (c *Encoder) cefNote(n *note) []byte {
	id := strconv.Itoa(n.class) + ":" + strconv.Itoa(n.activity)
	x := c.cefHead(id, n.title(), n.severity, 0)
	x.text("rt", strconv.FormatInt(n.Time.UnixMilli(), 10))
	x.text("externalId", n.UID)
	x.text("suid", string(n.by))
	x.text("duid", string(n.about))
	x.endpoint(n.address, n.device)
	x.text("sourceServiceName", n.application)
	x.text("destinationServiceName", n.database)
	x.text("outcome", outcome(n.failed))
	x.labelled("cs1", "session", n.session)
	x.labelled("cs2", "id", n.id)
	x.labelled("cs3", "details", n.details)
	x.text("msg", n.message)
	x.count("out", n.bytes)
	x.count("cn1", n.rows)
	x.text("sallyportErased", list(n.erased))
	if n.found != nil {
		x.text("sallyportFinding", n.found.ID)
		x.text("sallyportStaff", list(n.found.Staff))
		x.text("sallyportFound", n.found.short())
	}
	return x.b
}
