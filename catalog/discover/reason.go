package discover

import (
	"fmt"
	"slices"
	"strings"
)

// Ticket is the table that tickets may stand in. Empty fields were not recognised.
type Ticket struct {
	Table, ID, Number, Customer, Assignee, State, OpenedAt string
	Open                                                   []string
	Evidence                                               []string
	Missing                                                []string // what must be filled in by hand
}

// Contact is the table that calls and the like may stand in.
type Contact struct {
	Table, ID, Customer, Ticket, Staff, Direction, At string
	Incoming                                          []string
	Missing                                           []string
}

const (
	assigneeWords  = "assignee assigned assignedto agent handler owner bearbeiter zustaendig sachbearbeiter responsable asignado staff operator user username zugewiesen"
	stateWords     = "status state zustand statut etat estado stato phase"
	openedWords    = "opened created erstellt cree creee ouvert ouverte angelegt creado opening creation eroeffnet date"
	directionWords = "direction richtung sens direccion inout"
	momentWords    = "at started start time when happened zeit zeitpunkt beginn moment date created occurred timestamp heure debut"
	closedStates   = "closed close done resolved solved geschlossen erledigt clos close ferme fermee resuelto cerrado cancelled canceled storniert rejected archived abgeschlossen annule spam merged"
	openStates     = `open opened new pending waiting inprogress assigned escalated onhold reopened active neu offen wartend wartet inbearbeitung ouvert ouverte encours nouveau
		nouvelle enattente abierto pendiente nuevo enprogreso`
	incomingStates = "in inbound incoming received ein eingehend entrant entrante recu"
)

// findReasons looks for tickets and for contacts of customers, where their rows say themselves whose they are.
func (p *proposer) findReasons() {
	if p.customer == nil {
		return
	}
	var ticket *judged
	for _, t := range p.tables {
		if t != p.customer && nounOf(t.Name, ticketTables) && t.path != nil && t.path.Target == "" && !t.path.Guess {
			if found := p.ticket(t); p.proposal.Ticket == nil || len(found.Missing) < len(p.proposal.Ticket.Missing) {
				p.proposal.Ticket, ticket = found, t
			}
		}
	}
	if ticket == nil {
		return
	}
	for _, t := range p.tables {
		if t != p.customer && t != ticket && nounOf(t.Name, contactTables) && t.path != nil && t.path.Target == "" && !t.path.Guess {
			if found := contact(t, ticket); p.proposal.Contact == nil || len(found.Missing) < len(p.proposal.Contact.Missing) {
				p.proposal.Contact = found
			}
		}
	}
}

func (p *proposer) ticket(t *judged) *Ticket {
	out := &Ticket{Table: t.String(), Customer: t.path.Column}
	out.ID = wholeKey(t)
	for _, c := range t.columns {
		if out.Number == "" && c.verdict != nil && c.verdict.Kind == KindReference {
			out.Number = c.Name
		}
	}
	if c := t.find(assigneeWords, isText); c != nil {
		out.Assignee = c.Name
		logins := map[string]bool{}
		for _, l := range p.db.Logins {
			logins[l.Name] = true
		}
		known := 0
		for _, v := range c.Values {
			if logins[v] {
				known++
			}
		}
		out.Evidence = append(out.Evidence, fmt.Sprintf("%d of %d values of %s are log-ins of this server", known, len(c.Values), c.Name))
		if known == 0 && len(c.Values) > 0 {
			out.Missing = append(out.Missing, "a reason is checked by log-in, and no value of "+c.Name+" is one")
		}
	}
	if c := t.find(stateWords, isText); c != nil {
		out.State = c.Name
		out.Open = c.states(openStates, closedStates)
	}
	if c := t.find(openedWords, func(kind string) bool { return strings.HasPrefix(kind, "timestamp") }); c != nil {
		out.OpenedAt = c.Name
	}
	out.Missing = append(out.Missing, missing(map[string]bool{
		"id": out.ID == "", "assignee": out.Assignee == "", "state": out.State == "", "opened_at": out.OpenedAt == "", "open": len(out.Open) == 0,
	})...)
	return out
}

func contact(t, ticket *judged) *Contact {
	out := &Contact{Table: t.String(), Customer: t.path.Column, ID: wholeKey(t)}
	for _, f := range t.Foreign {
		if f.Table == ticket.String() {
			out.Ticket = f.Column
		}
	}
	if c := t.find(assigneeWords, isText); c != nil {
		out.Staff = c.Name
	}
	if c := t.find(directionWords, isText); c != nil {
		out.Direction = c.Name
		out.Incoming = c.states(incomingStates, "")
	}
	if c := t.find(momentWords, func(kind string) bool { return strings.HasPrefix(kind, "timestamp") }); c != nil {
		out.At = c.Name
	}
	out.Missing = missing(map[string]bool{
		"id": out.ID == "", "ticket": out.Ticket == "", "staff": out.Staff == "", "direction": out.Direction == "", "at": out.At == "", "incoming": len(out.Incoming) == 0,
	})
	return out
}

// missing names the keys that were not recognised.
func missing(is map[string]bool) (keys []string) {
	for key, yes := range is {
		if yes {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// wholeKey is the primary key where it is one column of whole numbers.
func wholeKey(t *judged) string {
	if len(t.Key) != 1 {
		return ""
	}
	if c := t.column(t.Key[0]); c != nil && slices.Contains([]string{"bigint", "integer", "smallint"}, c.Type) {
		return c.Name
	}
	return ""
}

// find is the first column of a fitting type whose name has a word of the list in it, by the order of the list.
func (t *judged) find(list string, fits func(kind string) bool) *judgedColumn {
	for word := range strings.FieldsSeq(list) {
		for _, c := range t.columns {
			if fits(c.Type) && slices.Contains(c.words, word) {
				return c
			}
		}
	}
	return nil
}

// states are the states of a column that a list has. What the schema allows is written as it is, unless the second list has it; of
// rows only words are written that stand in our own lists.
func (c *judgedColumn) states(wanted, unwanted string) (states []string) {
	for _, v := range c.Choices {
		word := strings.Join(wordsOf(v), "")
		if has(wanted, word) || unwanted != "" && !has(unwanted, word) {
			states = append(states, v)
		}
	}
	if len(c.Choices) > 0 {
		return states
	}
	for _, v := range c.Values {
		if has(wanted, strings.Join(wordsOf(v), "")) && !slices.Contains(states, v) {
			states = append(states, v)
		}
	}
	slices.Sort(states)
	return states
}
