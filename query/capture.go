package query

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// CapturedName is the name of the columns that are added to a result, so that they are known wherever it comes out: a portal's
// rows can be fetched by SQL too.
const CapturedName = "sallyport captured"

const captured = ` AS "` + CapturedName + `"`

// captureInsert has an INSERT of tickets or contacts return what became of the row.
func (a *analysis) captureInsert(n *pg.InsertStmt) {
	c := a.capture(n.Relation, len(n.ReturningList) > 0)
	if c == nil {
		return
	}
	c.Wrote = []string{"customer", "assignee", "state"} // of a contact: the whole row
	if n.OnConflictClause.GetAction() != pg.OnConflictAction_ONCONFLICT_UPDATE {
		return
	}
	c.Wrote = nil
	if !c.Contact { // the row may have been there: only what SET names is surely this statement's
		c.Wrote = a.wrote(n.Relation, n.OnConflictClause.TargetList)
		a.captureBefore(c, n.Relation, true)
	}
}

// captureUpdate does the same for UPDATE.
func (a *analysis) captureUpdate(n *pg.UpdateStmt) {
	if c := a.capture(n.Relation, len(n.ReturningList) > 0); c != nil && !c.Contact {
		c.Wrote = a.wrote(n.Relation, n.TargetList)
		a.captureBefore(c, n.Relation, false)
	}
}

// wrote lists which facts a SET list writes of its own. What it makes from the row itself may be what somebody else wrote
// while it waited for the row's lock; and where it gives the row another id, nothing says which row it was.
func (a *analysis) wrote(target *pg.RangeVar, list []*pg.Node) []string {
	ticket := a.options.Facts.Ticket
	var out []string
	for _, f := range []struct{ fact, column string }{
		{"customer", ticket.Customer}, {"assignee", ticket.Assignee}, {"state", ticket.State},
	} {
		for _, n := range list {
			set := n.GetResTarget()
			if set.GetName() == ticket.ID {
				return nil
			}
			if f.column != "" && set.GetName() == f.column && !a.readsTarget(target, set.GetVal()) {
				out = append(out, f.fact)
				break
			}
		}
	}
	return out
}

// readsTarget tells whether an expression may take anything from the row that is written.
func (a *analysis) readsTarget(target *pg.RangeVar, n *pg.Node) (reads bool) {
	if n == nil {
		return false
	}
	rel, alias := a.find(target), aliasOf(target)
	visit(n.ProtoReflect(), func(m proto.Message) bool {
		ref, ok := m.(*pg.ColumnRef)
		if !ok {
			return true
		}
		names, star := fieldNames(ref.Fields)
		switch {
		case len(names) == 1 && !star:
			reads = reads || names[0] == alias || rel == nil || rel.has(names[0])
		case len(names) > 1, star && len(names) == 1:
			reads = reads || has(names, alias)
		default: // a bare star
			reads = true
		}
		return true
	})
	return reads
}

// captureBefore has the statement also return what it found, as one text: a sub-select in RETURNING sees the row as the
// statement did when it began. The table's schema is named, since a WITH query could have its bare name. fresh: there may
// have been no row.
func (a *analysis) captureBefore(c *Capture, target *pg.RangeVar, fresh bool) {
	ticket := a.options.Facts.Ticket
	if len(c.Wrote) == 0 || ticket.ID == "" {
		c.Wrote = nil
		return
	}
	before, alias := "sallyport before", aliasOf(target)
	if alias == before {
		before += "!"
	}
	text := func(column string) string {
		if column == "" {
			return "NULL"
		}
		return quoteName(before) + "." + quoteName(column) + "::pg_catalog.text"
	}
	found := "(SELECT pg_catalog.json_build_array(" + text(ticket.Customer) + ", " + text(ticket.Assignee) + ", " + text(ticket.State) + ")::pg_catalog.text FROM " +
		quoteName(c.Relation.Schema) + "." + quoteName(c.Relation.Name) + " AS " + quoteName(before) + " WHERE " + quoteName(before) + "." + quoteName(ticket.ID) +
		" OPERATOR(pg_catalog.=) " + quoteName(alias) + "." + quoteName(ticket.ID) + " LIMIT 1)"
	if fresh {
		found = "COALESCE(" + found + ", '[]')"
	}
	c.Text += ", " + found + captured
	c.Columns++
}

func aliasOf(n *pg.RangeVar) string {
	if n.GetAlias() != nil {
		return n.Alias.Aliasname
	}
	return n.GetRelname()
}

// capture makes the text that returns the facts' columns, behind whatever the statement returns itself.
func (a *analysis) capture(n *pg.RangeVar, returns bool) *Capture {
	rel := a.find(n)
	if rel == nil || !rel.Ticket && !rel.Contact {
		return nil
	}
	alias := aliasOf(n)
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
		text.WriteString(captured)
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
