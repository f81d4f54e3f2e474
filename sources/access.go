package sources

import (
	"errors"
	"io"
	"strconv"
	"time"

	"sallyport"
	"sallyport/query"
)

// accesses gives the access events of one file, in its order.
type accesses struct {
	reader *Reader
	lines  *lines
	decode decoder
}

// decoder turns a line into an event. gaps says that a line without an event is nothing wrong, as in a log that holds other things.
type decoder interface {
	access(line []byte, into *sallyport.Access) (what string, ok bool)
}

// openAccesses opens a file of access events: OCSF's class 6005, one object a line.
func (r *Reader) openAccesses(name string) (*accesses, error) {
	l, err := r.open(name)
	if err != nil {
		return nil, err
	}
	return &accesses{reader: r, lines: l, decode: newOCSF()}, nil
}

// next is the next event of the file, or io.EOF.
func (a *accesses) next(into *sallyport.Access) error {
	for {
		line, err := a.lines.next()
		if errors.Is(err, errLong) {
			if err := a.reader.problem(a.lines.name, a.lines.at, errLong.Error()); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return a.broken(err)
		}
		if blank(line) {
			continue
		}
		what, ok := a.decode.access(line, into)
		if ok {
			return nil
		}
		if d, is := a.decode.(*ocsf); is && d.other() {
			a.reader.Other++
			continue
		}
		if what == "" {
			continue
		}
		if err := a.reader.problem(a.lines.name, a.lines.at, what); err != nil {
			return err
		}
	}
}

// broken counts a file that cannot be read to its end, which is no reason not to read the others.
func (a *accesses) broken(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err := a.reader.problem(a.lines.name, a.lines.at, "the file breaks off: "+cause(err)); err != nil {
		return err
	}
	return io.EOF
}

func cause(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

func blank(line []byte) bool {
	for _, ch := range line {
		if ch != ' ' && ch != '\t' {
			return false
		}
	}
	return true
}

// ocsf decodes objects of OCSF's class 6005. Texts that repeat are kept once.
type ocsf struct {
	c     cursor
	into  *sallyport.Access
	names map[string]string

	class, activity, status int64
	dated                   bool
	statement               []byte
	outline                 bool // the shape of a text is the gateway's own
	// The method values, made once: a call through a fresh one would allocate.
	top, meta, actor, user, session, endpoint, query, database, table, unmapped, own, purpose func([]byte)
	subject, column, reached, power                                                           func()
}

// mostNames bounds the texts that are kept.
const mostNames = 1 << 20

func newOCSF() *ocsf {
	d := &ocsf{names: map[string]string{}}
	d.top, d.meta, d.actor, d.user, d.session, d.endpoint = d.topField, d.metaField, d.actorField, d.userField, d.sessionField, d.endpointField
	d.query, d.database, d.table, d.unmapped, d.own, d.purpose = d.queryField, d.databaseField, d.tableField, d.unmappedField, d.ownField, d.purposeField
	d.subject, d.column, d.reached, d.power = d.subjectItem, d.columnItem, d.reachedItem, d.powerItem
	return d
}

// other says whether the last line was a whole event of another class.
func (d *ocsf) other() bool { return d.c.fail == "" && d.class >= 0 && d.class != 6005 }

func (d *ocsf) access(line []byte, into *sallyport.Access) (string, bool) {
	*into = sallyport.Access{Subjects: into.Subjects[:0], Columns: into.Columns[:0]}
	d.into, d.class, d.activity, d.status, d.dated, d.statement = into, -1, -1, 0, false, d.statement[:0]
	d.c.reset(line)
	d.c.object(d.top)
	d.c.end()
	switch {
	case d.c.fail != "":
		return d.c.fail, false
	case d.class == -1:
		return "no class_uid", false
	case d.class != 6005:
		return "class_uid " + strconv.FormatInt(d.class, 10) + ", expected 6005", false
	case d.activity == -1:
		return "no activity_id", false
	case d.activity < 0 || d.activity > 255:
		return "an activity_id that OCSF does not know", false
	case !d.dated:
		return "no time", false
	case into.Staff == "":
		return "no actor.user.uid", false
	}
	into.Activity = sallyport.Activity(d.activity) //nolint:gosec // bounded above
	into.Refused = d.status == 2 || into.Verdict == "deny"
	d.text()
	return "", true
}

// text takes from a statement's text what may be kept of it. Sallyport itself writes no more than the first word.
func (d *ocsf) text() {
	switch {
	case len(d.statement) == 0:
	case isVerb(d.statement):
		d.into.Verb = d.name(d.statement)
	case d.outline:
		shape, verb, _ := query.Outline(string(d.statement), true)
		if d.into.Verb = verb; d.into.Shape == "" {
			d.into.Shape = shape
		}
	case d.into.Shape == "":
		d.into.Shape = d.name(shape(d.statement))
	}
}

// isVerb says whether a text is no more than what Sallyport writes in place of one: SELECT, ALTER TABLE.
func isVerb(text []byte) bool {
	for _, ch := range text {
		if ch != ' ' && (ch < 'A' || ch > 'Z') {
			return false
		}
	}
	return len(text) < 40
}

func (d *ocsf) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	if len(d.names) >= mostNames {
		clear(d.names)
	}
	s := string(b)
	d.names[s] = s
	return s
}

func (d *ocsf) number(field string) int64 {
	n, ok := d.c.whole()
	if !ok {
		d.c.wrong(field + " is not a whole number")
	}
	return n
}

func (d *ocsf) topField(key []byte) {
	switch string(key) {
	case "class_uid":
		d.class = d.number("class_uid")
	case "activity_id":
		d.activity = d.number("activity_id")
	case "time":
		d.time()
	case "status_id":
		d.status = d.number("status_id")
	case "metadata":
		d.c.object(d.meta)
	case "actor":
		d.c.object(d.actor)
	case "src_endpoint":
		d.c.object(d.endpoint)
	case "query_info":
		d.c.object(d.query)
	case "database":
		d.c.object(d.database)
	case "table":
		d.c.object(d.table)
	case "unmapped":
		d.c.object(d.unmapped)
	default:
		d.c.skip()
	}
}

// time is milliseconds since the epoch; RFC 3339 is taken, too.
func (d *ocsf) time() {
	b := d.c.text()
	if d.c.fail != "" || len(b) == 0 {
		return
	}
	t, ok := moment(b)
	if !ok {
		d.c.wrong("time is neither milliseconds since 1970 nor RFC 3339")
		return
	}
	d.into.Time, d.dated = t, true
}

func (d *ocsf) metaField(key []byte) {
	if string(key) == "uid" {
		d.into.UID = string(d.c.text())
		return
	}
	d.c.skip()
}

func (d *ocsf) actorField(key []byte) {
	switch string(key) {
	case "user":
		d.c.object(d.user)
	case "session":
		d.c.object(d.session)
	case "app_name":
		d.into.Application = d.name(d.c.text())
	default:
		d.c.skip()
	}
}

func (d *ocsf) userField(key []byte) {
	switch string(key) {
	case "uid":
		d.into.Staff = sallyport.Staff(d.name(d.c.text()))
	case "type_id":
		d.into.Service = d.number("actor.user.type_id") == 3
	default:
		d.c.skip()
	}
}

func (d *ocsf) sessionField(key []byte) {
	if string(key) == "uid" {
		d.into.Session = d.name(d.c.text())
		return
	}
	d.c.skip()
}

func (d *ocsf) endpointField(key []byte) {
	switch string(key) {
	case "ip":
		d.into.Address = d.name(d.c.text())
	case "uid":
		d.into.Device = d.name(d.c.text())
	case "name":
		if name := known(d.name(d.c.text())); d.into.Address == "" {
			d.into.Address = name
		}
	default:
		d.c.skip()
	}
}

func (d *ocsf) queryField(key []byte) {
	switch string(key) {
	case "uid":
		d.into.Shape = d.name(d.c.text())
	case "query_string":
		d.statement = append(d.statement[:0], d.c.text()...)
	case "bytes":
		d.into.Bytes = d.number("query_info.bytes")
	default:
		d.c.skip()
	}
}

func (d *ocsf) databaseField(key []byte) {
	if string(key) == "name" {
		d.into.Database = known(d.name(d.c.text()))
		return
	}
	d.c.skip()
}

func (d *ocsf) tableField(key []byte) {
	if string(key) == "name" {
		d.into.Table = d.name(d.c.text())
		return
	}
	d.c.skip()
}

func (d *ocsf) unmappedField(key []byte) {
	if string(key) == "sallyport" {
		d.c.object(d.own)
		return
	}
	d.c.skip()
}

func (d *ocsf) ownField(key []byte) {
	switch string(key) {
	case "rows":
		d.into.Rows = d.number("unmapped.sallyport.rows")
	case "columns":
		d.c.array(d.column)
	case "subjects":
		d.c.array(d.subject)
	case "subject_count":
		d.into.Count = d.number("unmapped.sallyport.subject_count")
	case "purpose":
		d.c.object(d.purpose)
	case "verdict":
		d.into.Verdict = d.name(d.c.text())
	case "via":
		d.into.Via = sallyport.Staff(d.name(d.c.text()))
	default:
		d.recordField(key)
	}
}

// recordField is one of those that only Sallyport's own record says.
func (d *ocsf) recordField(key []byte) {
	switch string(key) {
	case "statement":
		d.into.Statement = uint64(max(0, d.number("unmapped.sallyport.statement"))) //nolint:gosec // not negative
	case "reached":
		d.c.array(d.reached)
	case "reach":
		d.into.Reach = d.number("unmapped.sallyport.reach")
	case "probes":
		d.into.Probes = d.number("unmapped.sallyport.probes")
	case "powers":
		d.c.array(d.power)
	case "policy":
		d.into.Policy = d.name(d.c.text())
	case "trust":
		d.into.Trust = int(max(0, min(100, d.number("unmapped.sallyport.trust")))) + 1
	default:
		d.c.skip()
	}
}

func (d *ocsf) reachedItem() {
	if b := d.c.text(); len(b) > 0 {
		d.into.Reached = append(d.into.Reached, sallyport.Subject(b))
	}
}

func (d *ocsf) powerItem() {
	if b := d.c.text(); len(b) > 0 {
		d.into.Powers = append(d.into.Powers, d.name(b))
	}
}

func (d *ocsf) purposeField(key []byte) {
	switch string(key) {
	case "kind":
		d.into.Purpose.Kind = d.name(d.c.text())
	case "ref":
		d.into.Purpose.Ref = string(d.c.text())
	default:
		d.c.skip()
	}
}

func (d *ocsf) subjectItem() {
	if b := d.c.text(); len(b) > 0 {
		d.into.Subjects = append(d.into.Subjects, sallyport.Subject(b))
	}
}

func (d *ocsf) columnItem() {
	if b := d.c.text(); len(b) > 0 {
		d.into.Columns = append(d.into.Columns, d.name(b))
	}
}

// moment is a time in milliseconds since 1970 or in RFC 3339; a day alone is its beginning in UTC.
func moment(b []byte) (time.Time, bool) {
	if n, ok := digits(b); ok && len(b) > 4 {
		return time.UnixMilli(n).UTC(), true
	}
	s := string(b)
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil && t.Year() > 0 {
		return t, true
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > 1e9 && f < 1e14 {
		return time.UnixMilli(int64(f)).UTC(), true
	}
	t, err := time.Parse(time.DateOnly, s)
	return t, err == nil
}
