// Package export writes the record as other systems read it: OCSF, CEF and ECS, into files, to syslog over TLS, to webhooks, and counts of it
// for Prometheus. Each entry of the record becomes its own message (or several, where it names very many customers) with an id that hangs on
// nothing but its place, so that whoever gets it twice can tell.
//
// It refuses to lose: an output goes on only behind what its receiver is known to have, over crashes of either side. It refuses to blurt: no
// literal of a statement, no value, no key, no free text that people gave as a reason is written, and metrics name nobody.
//
// Invariant: every entry of the record of a kind that is written (docs/export.md) reaches each output at least once, in the order of the
// record, or stands in the output's dead-letter file.
package export

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/sources"
)

// Message is one object or line, without a line's end.
type Message struct {
	UID  string
	Time time.Time
	// Severity is OCSF's severity_id.
	Severity int
	Body     []byte
}

// Format is how messages are written.
type Format string

// The formats.
const (
	OCSF Format = "ocsf"
	CEF  Format = "cef"
	ECS  Format = "ecs"
)

// Formats are those that there are.
func Formats() []string { return []string{string(OCSF), string(CEF), string(ECS)} }

// Encoder makes messages of entries. It is for one goroutine.
type Encoder struct {
	Format  Format
	Record  string                     // id of the stream's record
	Version string                     // of Sallyport
	Service func(sallyport.Staff) bool // who is a program; nil: nobody is known to be one
	Masks   Masks                      // nil: people stand there by their names
	Shown   func(sallyport.Staff) bool // who does so all the same; nil: nobody

	list []sallyport.Access
}

// NewEncoder checks the format.
func NewEncoder(format Format, record, version string, service func(sallyport.Staff) bool) (*Encoder, error) {
	if !slices.Contains(Formats(), string(format)) {
		return nil, fmt.Errorf("make an encoder: there is no format %q; expected %s", format, strings.Join(Formats(), ", "))
	}
	return &Encoder{Format: format, Record: record, Version: version, Service: service}, nil
}

// Append adds the messages of one entry. Kinds that are not written add none (docs/export.md).
func (c *Encoder) Append(to []Message, e *sallyport.Event) []Message {
	parts := sources.Parts{Record: c.Record, Service: c.Service}
	c.list = parts.Append(c.list[:0], e)
	for i := range c.list {
		to = append(to, c.access(&c.list[i], e.Imported))
	}
	if len(c.list) > 0 {
		return to
	}
	if n, ok := noteOf(e); ok {
		n.UID, n.Time = sources.UID(c.Record, e.Seq, 0), e.Time
		to = append(to, c.note(&n))
	}
	return c.settled(to, e)
}

// Access is the message of one access, as an entry of the record would make it.
func (c *Encoder) Access(a *sallyport.Access) Message { return c.access(a, nil) }

func (c *Encoder) access(a *sallyport.Access, from *sallyport.Imported) Message {
	a, from = c.masked(a, from)
	m := Message{UID: a.UID, Time: a.Time, Severity: severityOf(a)}
	switch c.Format {
	case OCSF:
		m.Body = c.ocsfAccess(a, m.Severity, from)
	case CEF:
		m.Body = c.cefAccess(a, m.Severity)
	case ECS:
		m.Body = c.ecsAccess(a, m.Severity)
	}
	return m
}

func (c *Encoder) note(n *note) Message {
	c.maskNote(n)
	m := Message{UID: n.UID, Time: n.Time, Severity: n.severity}
	switch c.Format {
	case OCSF:
		m.Body = c.ocsfNote(n)
	case CEF:
		m.Body = c.cefNote(n)
	case ECS:
		m.Body = c.ecsNote(n)
	}
	return m
}

// OCSF's severities.
const (
	informational = 1
	low           = 2
	medium        = 3
	high          = 4
)

// severityOf is low for what was refused, medium for a power that was refused.
func severityOf(a *sallyport.Access) int {
	switch {
	case a.Refused && len(a.Powers) > 0:
		return medium
	case a.Refused, len(a.Powers) > 0:
		return low
	}
	return informational
}
