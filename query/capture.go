package query

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// captureInsert has an INSERT of tickets or contacts return what became of the row.
func (a *analysis) captureInsert(n *pg.InsertStmt) {
	c := a.capture(n.Relation, len(n.ReturningList) > 0)
	if c == nil {
		return
	}
	c.Wrote = []string{"customer", "assignee", "state"} // of a contact: the whole row
	if c.Contact && n.OnConflictClause.GetAction() == pg.OnConflictAction_ONCONFLICT_UPDATE {
		c.Wrote = nil
		return
	}
	if n.OnConflictClause.GetAction() == pg.OnConflictAction_ONCONFLICT_UPDATE {
		// The row may have been there: only what SET names is surely this statement's.
		c.Wrote = a.wrote(n.OnConflictClause.TargetList)
	}
}

// captureUpdate does the same for UPDATE.
func (a *analysis) captureUpdate(n *pg.UpdateStmt) {
	if c := a.capture(n.Relation, len(n.ReturningList) > 0); c != nil && !c.Contact {
		c.Wrote = a.wrote(n.TargetList)
	}
}

// wrote lists which facts a SET list writes.
func (a *analysis) wrote(list []*pg.Node) []string {
	ticket := a.options.Facts.Ticket
	var out []string
	for _, f := range []struct{ fact, column string }{
		{"customer", ticket.Customer}, {"assignee", ticket.Assignee}, {"state", ticket.State},
	} {
		for _, n := range list {
			if f.column != "" && n.GetResTarget().GetName() == f.column {
				out = append(out, f.fact)
				break
			}
		}
	}
	return out
}

// capture makes the text that returns the facts' columns, behind whatever the statement returns itself.
func (a *analysis) capture(n *pg.RangeVar, returns bool) *Capture {
	rel := a.find(n)
	if rel == nil || !rel.Ticket && !rel.Contact {
		return nil
	}
	alias := n.Relname
	if n.Alias != nil {
		alias = n.Alias.Aliasname
	}
	f := a.options.Facts
	columns := []string{f.Ticket.ID, f.Ticket.Customer, f.Ticket.Assignee, f.Ticket.State}
	if rel.Contact {
		columns = []string{f.Contact.ID, f.Contact.Customer, f.Contact.Staff, f.Contact.Ticket, f.Contact.Direction, f.Contact.At}
	}
	var text strings.Builder
	text.WriteString(" RETURNING ")
	if returns {
		text.Reset()
		text.WriteString(", ")
	}
	for i, column := range columns {
		if i > 0 {
			text.WriteString(", ")
		}
		reference := quoteName(alias) + "." + quoteName(column)
		switch {
		case column == "":
			text.WriteString("NULL::pg_catalog.text")
		case rel.Contact && i == len(columns)-1: // a moment's text depends on the session's settings
			text.WriteString("pg_catalog.date_part('epoch', " + reference + ")::pg_catalog.text")
		default:
			text.WriteString(reference + "::pg_catalog.text")
		}
	}
	a.st.Capture = &Capture{
		Relation: rel, Contact: rel.Contact, At: a.tokens.endOf(a.st.Start, a.st.End), Text: text.String(), Columns: len(columns), HadReturning: returns,
	}
	return a.st.Capture
}

// quoteName makes an identifier mean exactly itself.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// endOf is the end of the last token of a statement.
func (t *tokens) endOf(start, end int) int {
	i := t.from(end) - 1
	for i >= 0 && t.list[i].Token == pg.Token_ASCII_59 {
		i--
	}
	if i < 0 || int(t.list[i].Start) < start {
		return start
	}
	return int(t.list[i].End)
}
