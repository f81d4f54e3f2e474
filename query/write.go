package query

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"sallyport"
)

// target is the relation that a statement writes.
type target struct {
	*item
	excluded *item   // the row that ON CONFLICT kept out
	row      *RowKey // the one row that is written, where the statement pins it
}

// writes makes a relation the target of a statement.
func (a *analysis) writes(n *pg.RangeVar, sc *scope) target {
	a.st.Writes = true
	rel := a.find(n)
	t := target{item: &item{name: n.GetRelname(), relation: rel}}
	if n.GetAlias() != nil {
		t.name = n.Alias.Aliasname
	}
	at := int(n.GetLocation())
	t.describe()
	switch {
	case rel == nil && catalogue(n):
		a.refuse(forbidden("writing the database's own catalogue is not allowed in a protected database", "Use the statement made for it.", at))
	case rel != nil && rel.Spills != "":
		a.st.Masks = true
	}
	switch {
	case rel != nil && rel.Smuggles != "":
		a.refuse(&Refusal{
			Code: CodeUntraceable, Position: at, Sentence: "what this write sets off cannot be traced: " + rel.Smuggles,
			Hint: "Have the trigger or rule changed so that it does not write protected columns.",
		})
	}
	return t
}

// catalogue tells whether a name is one of the server's own relations.
func catalogue(n *pg.RangeVar) bool {
	return n.GetSchemaname() == "pg_catalog" || n.GetSchemaname() == "information_schema" ||
		n.GetSchemaname() == "" && strings.HasPrefix(n.GetRelname(), "pg_")
}

// store writes a value into a column.
func (a *analysis) store(t target, name string, v value, at int) {
	a.launders(t, name, v, at)
	c := t.info(name)
	if c == nil || c.Protect == nil && !c.Opaque {
		a.mayReturn(t, c, v)
		a.spend(v)
		return
	}
	if c.Opaque {
		a.refuse(unwritable(t.relation, name, at))
		return
	}
	a.columns[c.Protect.Column] = struct{}{}
	for _, s := range v.stored {
		if s.from != t.item && (s.from != t.excluded || t.excluded == nil) || s.column != name {
			if !carries(&v, c.Protect) {
				a.refuse(unwritable(t.relation, name, at))
				return
			}
			a.copied(c.Protect.Column)
		}
	}
	switch {
	case v.cut:
		a.refuse(shortened(c.Protect.Column, at))
	case v.mixed || v.open || v.calc || v.array || v.row != nil:
		a.refuse(unwritable(t.relation, name, at))
	default:
		for _, o := range v.sources {
			if !o.source.usable {
				a.refuse(unwritable(t.relation, name, at))
				return
			}
			a.demand(o, demand{protection: c.Protect, use: Store, array: o.element, row: t.row}, at)
		}
	}
}

// mayReturn notes what is written as it stands into a column whose protection was undone: it may be what was shown in the place of a value there. Nothing is refused
// for it, and what is computed is no such thing.
func (a *analysis) mayReturn(t target, c *ColumnInfo, v value) {
	if c == nil || c.Parted == nil || v.cut || v.mixed || v.open || v.calc || v.array || v.row != nil {
		return
	}
	for _, o := range v.sources {
		if !o.source.usable || o.element {
			continue
		}
		row := t.row
		if before := o.source.parted; before != nil && (before.row != row || before.protection.Column != c.Parted.Column) {
			row = nil // it goes to several places
		}
		o.source.parted = &demand{protection: c.Parted, row: row}
		a.st.Parted = true
	}
}

// carries tells whether a value is nothing but tokens that mean in a column what they meant where they stood.
func carries(v *value, to *Protection) bool {
	if v.mixed || v.open || v.calc || v.cut || v.array || v.row != nil || len(v.sources) > 0 {
		return false
	}
	for _, s := range v.stored {
		p := s.protection
		if p.Column != to.Column && (p.Scheme != to.Scheme || p.Group != to.Group || !deterministic(p.Scheme)) {
			return false
		}
	}
	return true
}

// copied notes that what stands in a column is made another customer's.
func (a *analysis) copied(c sallyport.Column) {
	if !slices.Contains(a.st.Copies, c) {
		a.st.Copies = append(a.st.Copies, c)
		slices.SortFunc(a.st.Copies, compareColumns)
	}
}

// takes notes that rows are deleted. What hung on them would be another customer's once somebody has put a row with the same key in their
// place: in this statement, for a foreign key looks at its end, or in any where no foreign key does.
func (a *analysis) takes(t target) {
	if t.relation == nil {
		return
	}
	for _, c := range t.relation.Adrift {
		a.copied(c)
	}
	a.removed = append(a.removed, t.relation.Anchors...)
	a.replaces()
}

// puts notes that rows are inserted.
func (a *analysis) puts(t target) {
	if t.relation != nil {
		a.added = append(a.added, t.relation.Anchors...)
		a.replaces()
	}
}

func (a *analysis) replaces() {
	for _, c := range a.removed {
		if slices.Contains(a.added, c) {
			a.copied(c)
		}
	}
}

// info is the column of a target, or nil.
func (t target) info(name string) *ColumnInfo {
	if t.relation == nil {
		return nil
	}
	for i := range t.relation.Columns {
		if t.relation.Columns[i].Name == name {
			return &t.relation.Columns[i]
		}
	}
	return nil
}

func (t target) guards(name string) bool {
	c := t.info(name)
	return c != nil && (c.Protect != nil || c.Opaque)
}

func unwritable(rel *Relation, name string, at int) *Refusal {
	return &Refusal{
		Code: CodeUntraceable, Position: at,
		Sentence: "the value for " + rel.Schema + "." + rel.Name + "." + name + " cannot be traced to a literal or a parameter",
		Hint:     "Write a literal, a parameter, NULL, DEFAULT or the same column; compute the value before sending it.",
	}
}

func (a *analysis) insert(n *pg.InsertStmt, sc *scope) result {
	a.with(n.WithClause, sc)
	t := a.writes(n.Relation, sc)
	a.puts(t)
	names := a.insertColumns(t, n.Cols)
	sel := n.SelectStmt.GetSelectStmt()
	switch {
	case sel == nil: // DEFAULT VALUES
	case plainValues(sel):
		for _, list := range sel.ValuesLists {
			a.insertRow(t, names, list.GetList().GetItems(), sc.inner())
		}
	default:
		a.insertQuery(t, names, a.selectStmt(sel, sc.inner()), int(n.Relation.Location))
	}
	inner := sc.inner()
	inner.add(t.item)
	a.onConflict(&t, n.OnConflictClause, inner)
	return a.returning(t, n.ReturningList, inner)
}

// plainValues tells whether a select is VALUES and nothing else, so that each row can be stored by itself.
func plainValues(n *pg.SelectStmt) bool {
	return n.ValuesLists != nil && n.WithClause == nil && n.SortClause == nil && n.LimitCount == nil && n.LimitOffset == nil
}

// insertColumns are the names of the columns written, in order.
func (a *analysis) insertColumns(t target, list []*pg.Node) []string {
	var names []string
	for _, n := range list {
		column := n.GetResTarget()
		names = append(names, column.GetName())
		if len(column.GetIndirection()) > 0 && t.guards(column.GetName()) {
			a.refuse(unwritable(t.relation, column.GetName(), int(column.GetLocation())))
		}
	}
	if list == nil && t.relation != nil {
		for i := range t.relation.Columns {
			names = append(names, t.relation.Columns[i].Name)
		}
	}
	return names
}

func (a *analysis) insertRow(t target, names []string, row []*pg.Node, sc *scope) {
	for i, n := range row {
		v := a.output(n, sc)
		if i < len(names) {
			a.store(t, names[i], v, a.location(n))
		} else {
			a.launders(t, "", v, a.location(n))
			a.spend(v)
		}
	}
}

func (a *analysis) insertQuery(t target, names []string, r result, at int) {
	for i, name := range names {
		switch {
		case r.vague && t.guards(name):
			a.refuse(unwritable(t.relation, name, at))
		case i < len(r.columns) && !r.vague:
			a.store(t, name, r.columns[i].value, at)
		}
	}
	if r.vague || len(names) < len(r.columns) { // those beyond names are stored by the server's order
		for _, f := range r.columns {
			a.launders(t, "", f.value, at)
			a.spend(f.value)
		}
	}
}

func (a *analysis) onConflict(t *target, n *pg.OnConflictClause, sc *scope) {
	if n == nil {
		return
	}
	for _, e := range n.Infer.GetIndexElems() {
		v := a.expression(e.GetIndexElem().GetExpr(), sc)
		a.spend(v)
	}
	a.condition(n.Infer.GetWhereClause(), sc)
	t.excluded = &item{name: "excluded", columns: t.columns, relation: t.relation, vague: t.vague, rest: t.rest, shy: true}
	inner := sc.inner()
	inner.ctes = sc.ctes
	inner.add(t.item)
	inner.add(t.excluded)
	a.assign(*t, n.TargetList, inner)
	a.condition(n.WhereClause, inner)
}

// assign is a SET list.
func (a *analysis) assign(t target, list []*pg.Node, sc *scope) {
	for _, n := range list {
		set := n.GetResTarget()
		name, at := set.GetName(), int(set.GetLocation())
		if c := t.info(name); c != nil && c.Link {
			a.copied(sallyport.Column{Schema: t.relation.Schema, Table: t.relation.Name, Name: name})
		}
		if len(set.GetIndirection()) > 0 && t.guards(name) {
			a.refuse(unwritable(t.relation, name, at))
		}
		v := value{}
		if multi := set.GetVal().GetMultiAssignRef(); multi != nil {
			v = a.part(multi, sc)
		} else {
			v = a.output(set.GetVal(), sc)
		}
		a.store(t, name, v, at)
	}
}

// part is one column of SET (a, b) = (x, y) or (SELECT …).
func (a *analysis) part(n *pg.MultiAssignRef, sc *scope) value {
	v := value{}
	switch {
	case n.Source.GetSubLink() != nil:
		v = a.query(n.Source.GetSubLink().Subselect, sc.inner()).asValue(true)
	default:
		v = a.expression(n.Source, sc)
	}
	i := int(n.Colno) - 1
	if v.row == nil || i < 0 || i >= len(v.row) || len(v.row) != int(n.Ncolumns) {
		a.spend(v)
		return v.garbled(true)
	}
	return v.row[i].value
}

// returning evaluates RETURNING. From PostgreSQL 18 on, old and new name the row before and after.
func (a *analysis) returning(t target, list []*pg.Node, sc *scope) result {
	for _, name := range []string{"old", "new"} {
		row := *t.item
		row.name, row.shy = name, true
		sc.items = append(sc.items, &row)
	}
	return a.targets(list, sc).detached()
}

func (a *analysis) update(n *pg.UpdateStmt, sc *scope) result {
	a.with(n.WithClause, sc)
	t := a.writes(n.Relation, sc)
	sc.add(t.item)
	a.from(n.FromClause, sc)
	t.row = a.pins(&t, n.WhereClause, len(n.FromClause) == 0)
	a.assign(t, n.TargetList, sc)
	a.condition(n.WhereClause, sc)
	return a.returning(t, n.ReturningList, sc)
}

func (a *analysis) delete(n *pg.DeleteStmt, sc *scope) result {
	a.with(n.WithClause, sc)
	t := a.writes(n.Relation, sc)
	a.takes(t)
	sc.add(t.item)
	a.from(n.UsingClause, sc)
	a.condition(n.WhereClause, sc)
	return a.returning(t, n.ReturningList, sc)
}

func (a *analysis) merge(n *pg.MergeStmt, sc *scope) result {
	a.with(n.WithClause, sc)
	t := a.writes(n.Relation, sc)
	a.fromItem(n.SourceRelation, sc)
	source := &scope{outer: sc.outer, ctes: sc.ctes, items: sc.items, star: sc.star, vague: sc.vague}
	both := &scope{outer: sc.outer, ctes: sc.ctes}
	both.add(t.item)
	both.items = append(both.items, source.items...)
	both.star, both.vague = append(both.star, source.star...), both.vague || source.vague
	a.condition(n.JoinCondition, both)
	for _, node := range n.MergeWhenClauses {
		when := node.GetMergeWhenClause()
		a.condition(when.Condition, both)
		switch when.CommandType {
		case pg.CmdType_CMD_INSERT:
			a.puts(t)
			a.insertRow(t, a.insertColumns(t, when.TargetList), when.Values, source)
		case pg.CmdType_CMD_UPDATE:
			a.assign(t, when.TargetList, both)
		case pg.CmdType_CMD_DELETE:
			a.takes(t)
		case pg.CmdType_CMD_NOTHING, pg.CmdType_CMD_UNKNOWN, pg.CmdType_CMD_SELECT, pg.CmdType_CMD_UTILITY,
			pg.CmdType_CMD_MERGE, pg.CmdType_CMD_TYPE_UNDEFINED:
		}
	}
	return a.returning(t, n.ReturningList, both)
}
