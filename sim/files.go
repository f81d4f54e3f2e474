package sim

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"sallyport"
)

// Write lets the weeks pass and writes them as the files that `sallyport analyze` reads, and truth.json, which tells who was an insider.
// open is called once for each file.
func (c *Company) Write(open func(name string) (io.WriteCloser, error)) error {
	w := &files{open: open, tables: map[string]*table{}, tickets: map[string]*sallyport.TicketFact{}}
	w.staff(c.Staff())
	events := bufio.NewWriterSize(w.file("events.jsonl"), 1<<20)
	var line []byte
	c.Run(func(in *sallyport.Input, _ bool) {
		if in.Access == nil {
			w.fact(in)
			return
		}
		line = appendAccess(line[:0], in.Access)
		w.keep(write(events, line))
	})
	w.keep(events.Flush())
	w.rest(c)
	w.close()
	return w.failed
}

func write(to io.Writer, b []byte) error {
	if _, err := to.Write(b); err != nil {
		return fmt.Errorf("write made-up files: %w", err)
	}
	return nil
}

// files are those that are being written. The first failure is kept.
type files struct {
	open    func(string) (io.WriteCloser, error)
	opened  []io.Closer
	tables  map[string]*table
	tickets map[string]*sallyport.TicketFact
	order   []string
	failed  error
}

type table struct{ *csv.Writer }

func (w *files) keep(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

func (w *files) file(name string) io.Writer {
	f, err := w.open(name)
	if err != nil {
		w.keep(fmt.Errorf("write made-up files: %w", err))
		return io.Discard
	}
	w.opened = append(w.opened, f)
	return f
}

// row writes one row of a table, which begins with its header.
func (w *files) row(name, header string, fields ...string) {
	t := w.tables[name]
	if t == nil {
		t = &table{csv.NewWriter(w.file(name))}
		w.tables[name] = t
		w.keep(t.Write(strings.Split(header, ",")))
	}
	if fields != nil {
		w.keep(t.Write(fields))
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

func (w *files) staff(list []sallyport.Employee) {
	for i := range list {
		e := &list[i]
		kind, shift := "human", ""
		if e.Service {
			kind = "service"
		}
		if e.Shift != [2]int{} {
			shift = fmt.Sprintf("%02d:%02d-%02d:%02d", e.Shift[0]/60, e.Shift[0]%60, e.Shift[1]/60%24, e.Shift[1]%60)
		}
		w.row("staff.csv", "id,name,team,role,shift,timezone,hired,notice_from,kind",
			string(e.ID), e.Name, e.Team, e.Role, shift, e.Zone.String(), stamp(e.Hired), stamp(e.NoticeFrom), kind)
	}
}

// fact writes one fact; tickets wait for what becomes of them.
func (w *files) fact(in *sallyport.Input) {
	at := stamp(in.Time)
	switch {
	case in.Ticket != nil:
		t := *in.Ticket
		w.tickets[t.ID] = &t
		w.order = append(w.order, t.ID)
	case in.TicketEvent != nil:
		e := in.TicketEvent
		if t := w.tickets[e.Ticket]; t != nil && e.Type == "closed" {
			t.Closed = e.Time
		} else if t != nil && e.Staff != "" {
			t.Assignee = e.Staff
		}
		w.row("ticket_events.csv", "ticket,time,type,staff", e.Ticket, at, e.Type, string(e.Staff))
	case in.Contact != nil:
		c := in.Contact
		w.row("contacts.csv", "time,customer,channel,direction,ticket,staff", at, string(c.Customer), c.Channel, map[bool]string{true: "in", false: "out"}[c.Incoming], c.Ticket, string(c.Staff))
	case in.Job != nil:
		j := in.Job
		w.row("jobs.csv", "id,from,to,staff,scope,max_subjects,approved_by", j.ID, stamp(j.From), stamp(j.To), string(j.Staff), j.Scope, "", string(j.ApprovedBy))
	case in.HR != nil:
		w.row("hr.csv", "time,staff,type,value", at, string(in.HR.Staff), in.HR.Type, in.HR.Value)
	case in.LogIn != nil:
		l := in.LogIn
		w.row("logins.csv", "time,staff,result,ip,device,country,mfa", at, string(l.Staff), map[bool]string{true: "failure", false: "success"}[l.Failed], l.Address, l.Device, l.Country, fmt.Sprint(l.Factors))
	case in.Alert != nil:
		a := in.Alert
		w.row("alerts.csv", "time,staff,source,severity,title", at, string(a.Staff), a.Source, fmt.Sprint(a.Severity), a.Title)
	}
}

// rest writes what is known in the end.
func (w *files) rest(c *Company) {
	for _, id := range w.order {
		t := w.tickets[id]
		by, state := string(t.OpenedBy), "open"
		if by == "" {
			by = "customer"
		}
		if !t.Closed.IsZero() {
			state = "closed"
		}
		w.row("tickets.csv", "id,customer,opened_at,assignee,state,queue,closed_at,opened_by,channel,priority",
			t.ID, string(t.Customer), stamp(t.Opened), string(t.Assignee), state, t.Queue, stamp(t.Closed), by, t.Channel, t.Priority)
	}
	for name, header := range map[string]string{"jobs.csv": "id,from,to,staff", "hr.csv": "time,staff,type", "alerts.csv": "time,staff,source,severity"} {
		w.row(name, header) // so that every file is there
	}
	watched := w.file("watched.txt")
	for _, s := range c.Watched {
		w.keep(write(watched, []byte(string(s)+"\n")))
	}
	truth, err := json.MarshalIndent(c.Insiders, "", " ")
	w.keep(err)
	w.keep(write(w.file("truth.json"), truth))
}

func (w *files) close() {
	for _, t := range w.tables {
		t.Flush()
		w.keep(t.Error())
	}
	for _, f := range w.opened {
		w.keep(f.Close())
	}
}

// appendAccess is an access as OCSF's Datastore Activity.
func appendAccess(b []byte, a *sallyport.Access) []byte {
	kind := 1
	if a.Service {
		kind = 3
	}
	b = fmt.Appendf(b, `{"class_uid":6005,"category_uid":6,"activity_id":%d,"type_uid":%d,"severity_id":1,"time":%d,"metadata":{"uid":%q,"version":"1.4.0"},"actor":{"user":{"uid":%q,"type_id":%d},"session":{"uid":%q},"app_name":%q},"src_endpoint":{"ip":%q,"uid":%q},"query_info":{"uid":%q},"database":{"name":%q},"table":{"name":%q},"status_id":1,"unmapped":{"sallyport":{"rows":%d,"columns":["email","phone"],"subjects":[`,
		a.Activity, 600500+int(a.Activity), a.Time.UnixMilli(), a.UID, a.Staff, kind, a.Session, a.Application, a.Address, a.Device, a.Shape, a.Database, a.Table, a.Rows)
	for i, s := range a.Subjects {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "%q", s)
	}
	b = append(b, ']')
	if a.Purpose.Kind != "" {
		b = fmt.Appendf(b, `,"purpose":{"kind":%q,"ref":%q}`, a.Purpose.Kind, a.Purpose.Ref)
	}
	return append(b, "}}}\n"...)
}
