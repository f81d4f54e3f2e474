package sim

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Table is one table of the schema with its rows, in the text format of PostgreSQL's COPY.
type Table struct {
	Name    string   // support.customers
	Columns []string // in the order of the rows
	Rows    int64    // numbered from 1

	appendRow func(dst []byte, i int64) []byte
}

// Tables are all tables, those that others refer to first.
func (o *Org) Tables() []Table {
	return []Table{
		{"support.staff", []string{"id", "name", "team", "role"}, int64(len(o.Staff) + len(o.Services)), o.appendStaff},
		{
			"support.customers",
			[]string{"id", "full_name", "email", "phone", "birth_date", "country", "plan", "notes", "created_at", "segment"},
			o.Customers, o.appendCustomer,
		},
		{
			"support.tickets",
			[]string{"id", "ticket_no", "customer_id", "assignee", "queue", "state", "subject", "opened_at", "closed_at"},
			o.Tickets, o.appendTicket,
		},
		{"support.messages", []string{"id", "ticket_id", "author", "body", "sent_at"}, o.Messages, o.appendMessage},
		{
			"support.contacts",
			[]string{"id", "customer_id", "ticket_id", "channel", "direction", "staff", "at"},
			o.Contacts, o.appendContact,
		},
	}
}

// copyChunk is how many bytes are handed to the writer at once.
const copyChunk = 64 << 10

// Copy writes rows from to to, both included.
func (t Table) Copy(w io.Writer, from, to int64) error {
	if from < 1 || to > t.Rows {
		return fmt.Errorf("copy rows %d to %d of %s: it has %d", from, to, t.Name, t.Rows)
	}
	buf := make([]byte, 0, copyChunk+4096)
	for i := from; i <= to; i++ {
		buf = t.appendRow(buf, i)
		if len(buf) >= copyChunk || i == to {
			if _, err := w.Write(buf); err != nil {
				return fmt.Errorf("copy rows of %s: %w", t.Name, err)
			}
			buf = buf[:0]
		}
	}
	return nil
}

func (o *Org) appendStaff(dst []byte, i int64) []byte {
	p := Person{Team: "services", Role: "service"}
	if n := int(i); n <= len(o.Staff) {
		p = o.Staff[n-1]
	} else {
		p.ID = o.Services[n-len(o.Staff)-1]
		p.Name = string(p.ID)
	}
	r := row{dst: dst}
	r.text(string(p.ID))
	r.text(p.Name)
	r.text(p.Team)
	r.text(p.Role)
	return r.end()
}

func (o *Org) appendCustomer(dst []byte, i int64) []byte {
	c := o.Customer(i)
	r := row{dst: dst}
	r.number(c.ID)
	r.text(c.FullName)
	r.text(c.Email)
	r.text(c.Phone)
	r.day(c.BirthDate)
	r.text(c.Country)
	r.text(c.Plan)
	r.text(c.Notes)
	r.instant(c.CreatedAt)
	r.text(c.Segment)
	return r.end()
}

func (o *Org) appendTicket(dst []byte, i int64) []byte {
	t := o.Ticket(i)
	r := row{dst: dst}
	r.number(t.ID)
	r.text(t.No)
	r.number(t.Customer)
	r.text(string(t.Assignee))
	r.text(t.Queue)
	r.text(t.State)
	r.text(t.Subject)
	r.instant(t.OpenedAt)
	r.instant(t.ClosedAt)
	return r.end()
}

func (o *Org) appendMessage(dst []byte, i int64) []byte {
	m := o.Message(i)
	r := row{dst: dst}
	r.number(m.ID)
	r.number(m.Ticket)
	r.text(m.Author)
	r.text(m.Body)
	r.instant(m.SentAt)
	return r.end()
}

func (o *Org) appendContact(dst []byte, i int64) []byte {
	c := o.Contact(i)
	r := row{dst: dst}
	r.number(c.ID)
	r.number(c.Customer)
	r.number(c.Ticket)
	r.text(c.Channel)
	r.text(c.Direction)
	r.text(string(c.Staff))
	r.instant(c.At)
	return r.end()
}

// row appends fields in COPY's text format: tabs between them, \N for null, backslashes escaped. Every zero value is null:
// no column of ours holds an empty text, the number 0 or year 1.
type row struct {
	dst   []byte
	begun bool
}

func (r *row) tab() {
	if r.begun {
		r.dst = append(r.dst, '\t')
	}
	r.begun = true
}

func (r *row) null() { r.dst = append(r.dst, `\N`...) }

func (r *row) text(s string) {
	r.tab()
	if s == "" {
		r.null()
		return
	}
	for {
		i := strings.IndexAny(s, "\\\t\n\r")
		if i < 0 {
			r.dst = append(r.dst, s...)
			return
		}
		r.dst = append(append(r.dst, s[:i]...), '\\', escapes(s[i]))
		s = s[i+1:]
	}
}

// escapes is the letter that stands for a byte after a backslash.
func escapes(b byte) byte {
	switch b {
	case '\t':
		return 't'
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	}
	return b
}

func (r *row) number(n int64) {
	r.tab()
	if n == 0 {
		r.null()
		return
	}
	r.dst = strconv.AppendInt(r.dst, n, 10)
}

func (r *row) day(t time.Time) {
	r.tab()
	if t.IsZero() {
		r.null()
		return
	}
	r.date(t)
}

func (r *row) instant(t time.Time) {
	r.tab()
	if t.IsZero() {
		r.null()
		return
	}
	t = t.UTC()
	r.date(t)
	hour, minute, second := t.Clock()
	r.digits(' ', hour)
	r.digits(':', minute)
	r.digits(':', second)
	r.dst = append(r.dst, "+00"...)
}

// date appends an ISO date of a year with four digits. AppendFormat takes three times as long, and rows have up to three.
func (r *row) date(t time.Time) {
	y, m, d := t.Date()
	r.dst = strconv.AppendInt(r.dst, int64(y), 10)
	r.digits('-', int(m))
	r.digits('-', d)
}

func (r *row) digits(before byte, n int) {
	r.dst = append(r.dst, before, byte('0'+n/10), byte('0'+n%10))
}

func (r *row) end() []byte { return append(r.dst, '\n') }
