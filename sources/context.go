package sources

import (
	"strconv"
	"strings"
	"time"

	"sallyport"
)

// read reads the rows of one file into a list.
func read[T any](r *Reader, name string, required []string, decode func(*row) T) ([]T, error) {
	var list []T
	err := r.rows(name, required, func(w *row) {
		v := decode(w)
		if w.what == "" {
			list = append(list, v)
		}
	})
	return list, err
}

// Staff reads a staff file.
func (r *Reader) Staff(name string) ([]sallyport.Employee, error) {
	zones := map[string]*time.Location{}
	return read(r, name, []string{"id", "name"}, func(w *row) sallyport.Employee {
		e := sallyport.Employee{
			ID: sallyport.Staff(w.need("id")), Name: w.get("name"), Team: w.get("team"), Role: w.get("role"), Manager: sallyport.Staff(w.get("manager")),
			Site: w.get("site"), Hired: w.when("hired"), NoticeFrom: w.when("notice_from"), Left: w.when("left"),
		}
		e.Shift = w.shift("shift")
		e.Zone = w.zone("timezone", zones)
		switch strings.ToLower(w.get("kind")) {
		case "", "human":
		case "service":
			e.Service = true
		default:
			w.wrong("kind is neither human nor service")
		}
		return e
	})
}

// shift is two times of the day.
func (r *row) shift(name string) (minutes [2]int) {
	s := r.get(name)
	if s == "" {
		return minutes
	}
	from, to, _ := strings.Cut(s, "-")
	for i, part := range []string{from, to} {
		hour, minute, ok := strings.Cut(strings.TrimSpace(part), ":")
		h, errH := strconv.Atoi(hour)
		m, errM := strconv.Atoi(minute)
		if !ok || errH != nil || errM != nil || h < 0 || h > 24 || m < 0 || m > 59 {
			r.wrong(name + " is not two times of the day; expected 08:00-16:00")
			return [2]int{}
		}
		minutes[i] = h*60 + m
	}
	return minutes
}

func (r *row) zone(name string, known map[string]*time.Location) *time.Location {
	s := r.get(name)
	if s == "" {
		return nil
	}
	if zone, ok := known[s]; ok {
		return zone
	}
	zone, err := time.LoadLocation(s)
	if err != nil || s == "Local" {
		r.wrong(name + " is no zone of the tz database; expected Europe/Berlin")
		return nil
	}
	known[s] = zone
	return zone
}

// Tickets reads a tickets file.
func (r *Reader) Tickets(name string) ([]sallyport.TicketFact, error) {
	return read(r, name, []string{"id", "customer", "opened_at"}, func(w *row) sallyport.TicketFact {
		t := sallyport.TicketFact{
			ID: w.need("id"), Customer: sallyport.Subject(w.need("customer")), Opened: w.needWhen("opened_at"), Closed: w.when("closed_at"),
			Assignee: sallyport.Staff(w.get("assignee")), State: w.get("state"), Queue: w.get("queue"), OpenedBy: sallyport.Staff(w.get("opened_by")),
			Channel: w.get("channel"), Priority: w.get("priority"),
		}
		if t.OpenedBy == "customer" {
			t.OpenedBy = ""
		}
		return t
	})
}

// TicketEvents reads a file of what happened to tickets.
func (r *Reader) TicketEvents(name string) ([]sallyport.TicketEvent, error) {
	return read(r, name, []string{"ticket", "time", "type"}, func(w *row) sallyport.TicketEvent {
		return sallyport.TicketEvent{
			Ticket: w.need("ticket"), Time: w.needWhen("time"), Staff: sallyport.Staff(w.get("staff")),
			Type: w.one("type", "assigned", "transferred", "escalated", "closed", "reopened"),
		}
	})
}

// Contacts reads a file of customers who got in touch, or whom staff did.
func (r *Reader) Contacts(name string) ([]sallyport.ContactFact, error) {
	return read(r, name, []string{"time", "customer", "channel"}, func(w *row) sallyport.ContactFact {
		c := sallyport.ContactFact{
			Time: w.needWhen("time"), Customer: sallyport.Subject(w.need("customer")), Channel: w.one("channel", "call", "email", "chat"),
			Ticket: w.get("ticket"), Staff: sallyport.Staff(w.get("staff")), Incoming: true,
		}
		if w.get("direction") != "" {
			c.Incoming = w.one("direction", "in", "out") == "in"
		}
		return c
	})
}

// Jobs reads a file of approved bulk work.
func (r *Reader) Jobs(name string) ([]sallyport.BulkJob, error) {
	return read(r, name, []string{"id", "from", "to"}, func(w *row) sallyport.BulkJob {
		return sallyport.BulkJob{
			ID: w.need("id"), From: w.needWhen("from"), To: w.needWhen("to"), Staff: sallyport.Staff(w.get("staff")), Scope: w.get("scope"),
			Most: w.whole("max_subjects"), ApprovedBy: sallyport.Staff(w.get("approved_by")),
		}
	})
}

// HR reads a file of the personnel department.
func (r *Reader) HR(name string) ([]sallyport.HRFact, error) {
	return read(r, name, []string{"time", "staff", "type"}, func(w *row) sallyport.HRFact {
		return sallyport.HRFact{
			Time: w.needWhen("time"), Staff: sallyport.Staff(w.need("staff")), Value: w.get("value"),
			Type: w.one("type", "notice", "leave_start", "leave_end", "role_change", "review", "grievance", "training_overdue", "training_done", "terminated"),
		}
	})
}

// Training reads courses and phishing tests. What a row must have beside staff, kind and name is package program/training's to say.
func (r *Reader) Training(name string) ([]sallyport.TrainingFact, error) {
	return read(r, name, []string{"staff", "kind", "name"}, func(w *row) sallyport.TrainingFact {
		return sallyport.TrainingFact{
			Staff: sallyport.Staff(w.need("staff")), Kind: strings.ToLower(w.need("kind")), Name: w.need("name"), Time: w.when("time"), Due: w.when("due"), Done: w.when("done"),
			Result: strings.ToLower(w.get("result")),
		}
	})
}

// LogIns reads log-ins: OCSF's class 3002, or a plain table.
func (r *Reader) LogIns(name string) ([]sallyport.LogIn, error) {
	return read(r, name, []string{"time", "staff", "result"}, func(w *row) sallyport.LogIn {
		if w.get("class_uid") != "" {
			return w.authentication()
		}
		return sallyport.LogIn{
			Time: w.needWhen("time"), Staff: sallyport.Staff(w.need("staff")), Failed: w.one("result", "success", "failure") == "failure",
			Address: w.get("ip"), Device: w.get("device"), Country: w.get("country"), Factors: truth(w.get("mfa")),
		}
	})
}

// authentication is an OCSF Authentication object.
func (r *row) authentication() sallyport.LogIn {
	if r.get("class_uid") != "3002" {
		r.wrong("class_uid " + r.get("class_uid") + ", expected 3002")
	}
	l := sallyport.LogIn{
		Time: r.needWhen("time"), Staff: sallyport.Staff(first(r.get("user.uid"), r.get("actor.user.uid"), r.get("user.name"))), Failed: r.get("status_id") == "2",
		Address: r.get("src_endpoint.ip"), Device: first(r.get("src_endpoint.uid"), r.get("device.uid")), Country: r.get("src_endpoint.location.country"),
		Factors: truth(r.get("is_mfa")),
	}
	if l.Staff == "" {
		r.wrong("no user.uid")
	}
	return l
}

// Alerts reads what other tools have seen: OCSF's class 2004, or a plain table.
func (r *Reader) Alerts(name string) ([]sallyport.Alert, error) {
	return read(r, name, []string{"time", "staff", "source", "severity"}, func(w *row) sallyport.Alert {
		if w.get("class_uid") != "" {
			return w.detection()
		}
		a := sallyport.Alert{
			Time: w.needWhen("time"), Staff: sallyport.Staff(w.need("staff")), Source: strings.ToLower(w.need("source")), Title: w.get("title"),
		}
		w.need("severity")
		if a.Severity = int(w.whole("severity")); a.Severity < 1 || a.Severity > 5 {
			w.wrong("severity is not 1 to 5")
		}
		return a
	})
}

// detection is an OCSF Detection Finding. Its severity_id goes to 6, fatal.
func (r *row) detection() sallyport.Alert {
	if r.get("class_uid") != "2004" {
		r.wrong("class_uid " + r.get("class_uid") + ", expected 2004")
	}
	a := sallyport.Alert{
		Time: r.needWhen("time"), Title: first(r.get("finding_info.title"), r.get("message")), Severity: int(min(5, r.whole("severity_id"))),
		Staff:  sallyport.Staff(first(r.get("actor.user.uid"), r.get("user.uid"), r.get("evidences.actor.user.uid"), r.get("resources.owner.uid"))),
		Source: strings.ToLower(first(r.get("unmapped.source"), r.get("metadata.product.feature.name"), r.get("metadata.product.name"), "other")),
	}
	if a.Staff == "" {
		r.wrong("no actor.user.uid")
	}
	return a
}

// Reports reads what customers tell of calls.
func (r *Reader) Reports(name string) ([]sallyport.ScamReport, error) {
	return read(r, name, []string{"time", "customer"}, func(w *row) sallyport.ScamReport {
		s := sallyport.ScamReport{Time: w.needWhen("time"), Customer: sallyport.Subject(w.need("customer")), Channel: w.get("channel"), Taker: sallyport.Staff(w.get("taken_by")), Note: w.get("note")}
		for part := range strings.SplitSeq(w.get("quoted"), "+") {
			if part = strings.ToLower(strings.TrimSpace(part)); part != "" {
				s.Quoted = append(s.Quoted, part)
			}
		}
		if w.get("confirmed") != "" {
			s.Unconfirmed = !truth(w.one("confirmed", "yes", "no", "true", "false"))
		}
		return s
	})
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func truth(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "true", "1", "y":
		return true
	}
	return false
}
