package query

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// with makes the WITH queries of a statement known in its scope, and evaluates them all: those that write run even where
// nothing refers to them.
func (a *analysis) with(n *pg.WithClause, sc *scope) {
	if n == nil {
		return
	}
	if sc.ctes == nil {
		sc.ctes = map[string]*cte{}
	}
	var list []*cte
	for _, node := range n.Ctes {
		c := &cte{query: node.GetCommonTableExpr(), scope: sc}
		list = append(list, c)
		if n.Recursive {
			sc.ctes[c.query.GetCtename()] = c
			continue
		}
		a.evaluate(c, false) // sees only those before it
		sc.ctes[c.query.GetCtename()] = c
	}
	for _, c := range list {
		a.evaluate(c, n.Recursive)
	}
}

// evaluate finds what a WITH query returns. A recursive one feeds on itself until nothing is added.
func (a *analysis) evaluate(c *cte, recursive bool) result {
	if c.done || c.busy {
		return c.result
	}
	c.busy = true
	union := c.query.GetCtequery().GetSelectStmt()
	if !recursive || union == nil || union.Op != pg.SetOperation_SETOP_UNION {
		c.result = a.aliased(a.query(c.query.GetCtequery(), c.scope.inner()), c.query)
	} else {
		a.feed(c, union)
	}
	a.searchOrCycle(c)
	c.busy, c.done = false, true
	return c.result
}

// feed evaluates the parts of a recursive query until the outcome is stable: each turn can only add.
func (a *analysis) feed(c *cte, union *pg.SelectStmt) {
	sc := c.scope.inner()
	a.with(union.WithClause, sc)
	left := a.selectStmt(union.Larg, sc.inner())
	c.result, c.started = a.aliased(left, c.query), true
	most := len(c.result.columns) + 8 // of the columns at first: a query that PostgreSQL refuses may gain some with each turn
	for turn := 0; ; turn++ {
		right := a.selectStmt(union.Rarg, sc.inner())
		next := a.combine(c.result, right, union.All).detached()
		stable := next.vague == c.result.vague && len(next.columns) == len(c.result.columns)
		for i := 0; stable && i < len(next.columns); i++ {
			stable = next.columns[i].value.equal(&c.result.columns[i].value)
		}
		c.result = next
		if stable {
			break
		}
		if turn > most {
			a.refuse(untraceable(int(c.query.Location)))
			return
		}
	}
	a.orderBy(union.SortClause, c.result, sc, false)
	a.amount(union.LimitCount, sc)
	a.amount(union.LimitOffset, sc)
}

// searchOrCycle handles the clauses behind a recursive query.
func (a *analysis) searchOrCycle(c *cte) {
	search, cycle := c.query.GetSearchClause(), c.query.GetCycleClause()
	if search == nil && cycle == nil {
		return
	}
	if v := c.result.asValue(true); v.protected() || v.veiled() > bare {
		a.refuse(untraceable(int(c.query.Location)))
	}
	if search != nil {
		c.result.columns = append(c.result.columns, field{search.SearchSeqColumn, value{open: true}})
	}
	if cycle != nil {
		a.spend(a.expression(cycle.CycleMarkValue, c.scope))
		a.spend(a.expression(cycle.CycleMarkDefault, c.scope))
		c.result.columns = append(c.result.columns, field{cycle.CycleMarkColumn, value{open: true}}, field{cycle.CyclePathColumn, value{open: true}})
	}
}

func (a *analysis) aliased(r result, n *pg.CommonTableExpr) result {
	return rename(r, n.GetAliascolnames())
}

// rename gives a result's columns the names of an alias list.
func rename(r result, names []*pg.Node) result {
	if len(names) == 0 {
		return r
	}
	out := result{columns: append([]field(nil), r.columns...), vague: r.vague}
	for i, n := range names {
		name := n.GetString_().GetSval()
		switch {
		case r.vague: // which column it names is not known: it may be any
			out.columns = append(out.columns, field{name, r.asValue(false)})
		case i < len(out.columns):
			out.columns[i].name = name
		}
	}
	return out
}

// from puts the FROM list into the scope.
func (a *analysis) from(list []*pg.Node, sc *scope) {
	for _, n := range list {
		a.fromItem(n, sc)
	}
}

// fromItem adds one entry of a FROM list. Sub-selects see what is to their left only where they are LATERAL.
func (a *analysis) fromItem(node *pg.Node, sc *scope) {
	switch n := node.GetNode().(type) {
	case *pg.Node_RangeVar:
		sc.add(a.relation(n.RangeVar, sc))
	case *pg.Node_RangeSubselect:
		around := sc.aside()
		if n.RangeSubselect.Lateral {
			around = sc
		}
		r := a.query(n.RangeSubselect.Subquery, around.inner())
		sc.add(derived(r, n.RangeSubselect.Alias))
	case *pg.Node_RangeFunction:
		sc.add(a.function(n.RangeFunction, sc))
	case *pg.Node_JoinExpr:
		a.join(n.JoinExpr, sc)
	case *pg.Node_RangeTableSample:
		a.fromItem(n.RangeTableSample.Relation, sc)
		for _, arg := range n.RangeTableSample.Args {
			a.amount(arg, sc)
		}
		a.amount(n.RangeTableSample.Repeatable, sc)
	case *pg.Node_RangeTableFunc:
		v := a.unknown(node, sc)
		sc.add(&item{name: n.RangeTableFunc.GetAlias().GetAliasname(), vague: true, rest: v})
	case *pg.Node_JsonTable:
		v := a.unknown(node, sc)
		sc.add(&item{name: n.JsonTable.GetAlias().GetAliasname(), vague: true, rest: v})
	default:
		a.refuse(untraceable(-1))
	}
}

// derived is a sub-select as a FROM item.
func derived(r result, alias *pg.Alias) *item {
	r = rename(r, alias.GetColnames())
	it := &item{name: alias.GetAliasname(), columns: r.columns, vague: r.vague}
	if r.vague {
		it.rest = value{open: true}
		for _, f := range r.columns {
			if f.name == "" {
				it.rest = either(it.rest, f.value)
			}
		}
	}
	return it
}

// relation is a table, view or WITH query as a FROM item.
func (a *analysis) relation(n *pg.RangeVar, sc *scope) *item {
	name := n.Relname
	if n.Schemaname == "" {
		if c := sc.cte(n.Relname); c != nil {
			r := a.evaluate(c, true)
			if c.busy && !c.started {
				a.refuse(untraceable(int(n.Location)))
			}
			if n.Alias != nil {
				name = n.Alias.Aliasname
			}
			it := derived(r, n.Alias)
			it.name = name
			return it
		}
	}
	rel := a.find(n)
	it := &item{name: name, relation: rel}
	if n.Alias != nil {
		it.name = n.Alias.Aliasname
	}
	it.describe()
	for i, alias := range n.Alias.GetColnames() {
		name := alias.GetString_().GetSval()
		if it.vague {
			it.columns = append(it.columns, field{name, it.rest})
		} else if i < len(it.columns) {
			it.columns[i].name = name
		}
	}
	return it
}

// describe lists the columns of an item's relation. What an unprotected relation is made of is not relied upon, even where
// the schema says it: anybody may change it, in an open transaction too, and names and stars would then mean other columns.
func (it *item) describe() {
	if it.relation == nil || !it.relation.guarded() {
		it.vague, it.rest = true, value{open: true}
		return
	}
	it.columns = relationFields(it.relation)
}

func relationFields(rel *Relation) []field {
	out := make([]field, len(rel.Columns))
	for i := range rel.Columns {
		c := &rel.Columns[i]
		v := value{open: true}
		switch {
		case c.Protect != nil:
			v = value{stored: []stored{{protection: c.Protect}}}
		case c.Opaque:
			v = value{mixed: true, open: true}
		case c.Link:
			v = value{calc: true}
		case integerType(c.TypeOID):
			v = value{calc: true, digits: true}
		}
		if m := c.Mask; m != nil {
			v.open, v.calc, v.digits, v.mask = c.Protect == nil, false, false, m
			if v.veil = exact; m.Derived {
				v.veil = made
			}
		}
		out[i] = field{c.Name, v}
	}
	return out
}

// integerType tells whether a type holds numbers, truth values or moments, which cannot carry text to a function.
func integerType(oid uint32) bool {
	switch oid {
	case 16, 20, 21, 23, 26, 700, 701: // bool, int8, int2, int4, oid, float4, float8
		return true
	}
	return false
}

// find looks a relation up; nil where it is not known or not one. Whatever protected relation a name may mean counts.
func (a *analysis) find(n *pg.RangeVar) *Relation {
	var one, guarded *Relation
	a.checkStore(n.Relname, int(n.Location))
	list := a.schema.Find(n.Schemaname, n.Relname)
	a.st.Leans = a.st.Leans || len(list) == 0 && n.Schemaname != "pg_catalog"
	for _, r := range list {
		one = r
		a.mention(r)
		a.st.Leans = a.st.Leans || r.View
		if !r.guarded() {
			continue
		}
		if guarded != nil {
			a.refuse(&Refusal{
				Code: CodeUntraceable, Position: int(n.Location), Sentence: "several protected relations have this name",
				Hint: "Write the schema in front of the name.",
			})
		}
		guarded = r
	}
	switch {
	case guarded != nil:
		a.touch(guarded)
		return guarded
	case len(list) == 1:
		return one
	}
	return nil
}

// function is a function call in FROM.
func (a *analysis) function(n *pg.RangeFunction, sc *scope) *item {
	it := &item{name: n.Alias.GetAliasname()}
	var definitions []*pg.Node
	for _, entry := range n.Functions {
		parts := entry.GetList().GetItems()
		if len(parts) == 0 {
			continue
		}
		a.tableFunction(it, parts[0], sc)
		if len(parts) > 1 {
			definitions = append(definitions, parts[1].GetList().GetItems()...)
		}
	}
	if n.Ordinality {
		it.columns = append(it.columns, field{"ordinality", value{calc: true}})
	}
	definitions = append(definitions, n.Coldeflist...)
	if len(definitions) > 0 {
		columns := it.rest
		for _, f := range it.columns {
			columns = either(columns, f.value)
		}
		columns.open = true
		it.columns = nil
		for _, d := range definitions {
			a.checkType(d.GetColumnDef().GetTypeName(), value{open: true})
			it.columns = append(it.columns, field{d.GetColumnDef().GetColname(), columns})
		}
	}
	for i, alias := range n.Alias.GetColnames() {
		name := alias.GetString_().GetSval()
		if i < len(it.columns) && !it.vague {
			it.columns[i].name = name
		} else {
			it.columns = append(it.columns, field{name, it.rest})
		}
	}
	return it
}

// tableFunction adds the columns of one function to a FROM item.
func (a *analysis) tableFunction(it *item, n *pg.Node, sc *scope) {
	call := n.GetFuncCall()
	_, name := lastName(call.GetFuncname())
	column := it.name
	if column == "" {
		it.name, column = name, name
	}
	if call != nil && name == "unnest" && len(call.Args) > 1 {
		for _, arg := range call.Args {
			it.columns = append(it.columns, field{column, a.expression(arg, sc).elements()})
		}
		return
	}
	v := a.expression(n, sc)
	it.columns = append(it.columns, field{column, v})
	if call == nil || name != "unnest" && name != "generate_series" {
		it.vague, it.rest = true, v.garbled(true)
	}
}

// join adds both sides, and merges what USING and NATURAL compare.
func (a *analysis) join(n *pg.JoinExpr, sc *scope) {
	side := &scope{outer: sc.outer, ctes: sc.ctes, left: sc}
	a.fromItem(n.Larg, side)
	leftItems, leftStar, leftVague := len(side.items), len(side.star), side.vague
	a.fromItem(n.Rarg, side)
	left, right := side.star[:leftStar:leftStar], side.star[leftStar:]
	rightVague := false
	for _, it := range side.items[leftItems:] {
		rightVague = rightVague || it.vague
	}
	names := make([]string, 0, len(n.UsingClause))
	for _, u := range n.UsingClause {
		names = append(names, u.GetString_().GetSval())
	}
	if n.IsNatural {
		names = common(left, right)
		if (leftVague || rightVague) && (anyProtected(left) || anyProtected(right) || anyMasked(left) || anyMasked(right)) {
			a.refuse(untraceable(-1))
		}
	}
	if len(names) > 0 || n.IsNatural {
		side.star = a.mergeColumns(names, left, right)
	}
	side.left = nil
	a.condition(n.Quals, side)
	switch {
	case n.Alias != nil:
		sc.add(derived(result{columns: side.star, vague: side.vague}.detached(), n.Alias))
	default:
		sc.items = append(sc.items, side.items...)
		sc.star = append(sc.star, side.star...)
		sc.vague = sc.vague || side.vague
		if n.JoinUsingAlias != nil {
			sc.items = append(sc.items, &item{name: n.JoinUsingAlias.Aliasname, columns: detachedFields(side.star[:len(names)])})
		}
	}
}

func detachedFields(list []field) []field { return result{columns: list}.detached().columns }

// mergeColumns compares the columns that a join merges, and lists what * stands for: the merged ones first.
func (a *analysis) mergeColumns(names []string, left, right []field) []field {
	var merged []field
	for _, name := range names {
		l, r := pick(left, name), pick(right, name)
		a.compare(-1, a.read(l), a.read(r))
		merged = append(merged, field{name, either(l, r)})
	}
	for _, f := range append(left, right...) {
		if !has(names, f.name) {
			merged = append(merged, f)
		}
	}
	return merged
}

// pick is the column of one side that USING names.
func pick(list []field, name string) value {
	v, found := value{}, false
	for _, f := range list {
		if f.name == name {
			v, found = either(v, f.value), true
		}
	}
	if !found {
		v.open = true
	}
	return v
}

func common(left, right []field) []string {
	var names []string
	for _, l := range left {
		for _, r := range right {
			if l.name == r.name && !has(names, l.name) {
				names = append(names, l.name)
			}
		}
	}
	return names
}

func has(list []string, name string) bool {
	return slices.Contains(list, name)
}

func anyProtected(list []field) bool {
	for i := range list {
		if list[i].value.protected() {
			return true
		}
	}
	return false
}
