package query

import (
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// query evaluates anything that returns rows, in a scope of its own.
func (a *analysis) query(node *pg.Node, sc *scope) result {
	a.step(1)
	switch n := node.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return a.selectStmt(n.SelectStmt, sc)
	case *pg.Node_InsertStmt:
		return a.insert(n.InsertStmt, sc)
	case *pg.Node_UpdateStmt:
		return a.update(n.UpdateStmt, sc)
	case *pg.Node_DeleteStmt:
		return a.delete(n.DeleteStmt, sc)
	case *pg.Node_MergeStmt:
		return a.merge(n.MergeStmt, sc)
	}
	a.refuse(untraceable(a.location(node)))
	return result{vague: true}
}

func (a *analysis) selectStmt(n *pg.SelectStmt, sc *scope) result {
	a.with(n.WithClause, sc)
	var out result
	switch {
	case n.Op != pg.SetOperation_SETOP_NONE && n.Op != pg.SetOperation_SET_OPERATION_UNDEFINED:
		left, right := a.selectStmt(n.Larg, sc.inner()), a.selectStmt(n.Rarg, sc.inner())
		out = a.combine(left, right, n.Op == pg.SetOperation_SETOP_UNION && n.All)
		a.orderBy(n.SortClause, out, sc, false)
	case n.ValuesLists != nil:
		out = a.values(n.ValuesLists, sc)
		a.orderBy(n.SortClause, out, sc, false)
	default:
		out = a.plainSelect(n, sc)
		a.orderBy(n.SortClause, out, sc, true)
	}
	a.amount(n.LimitCount, sc)
	a.amount(n.LimitOffset, sc)
	if n.IntoClause != nil {
		a.creates(n.IntoClause.Rel)
		a.keeps(out, -1)
		a.st.Writes, a.st.DDL = true, true
	}
	return out.detached()
}

func (a *analysis) plainSelect(n *pg.SelectStmt, sc *scope) result {
	a.from(n.FromClause, sc)
	a.condition(n.WhereClause, sc)
	out := a.targets(n.TargetList, sc)
	a.keyed = keyedItems(n.GroupClause, sc)
	for _, g := range n.GroupClause {
		a.groupBy(g, out, sc)
	}
	a.keyed = nil
	a.condition(n.HavingClause, sc)
	for _, w := range n.WindowClause {
		a.window(w.GetWindowDef(), sc)
	}
	switch {
	case len(n.DistinctClause) == 1 && n.DistinctClause[0].GetNode() == nil: // DISTINCT without ON
		a.keyed = keyedItems(n.TargetList, sc)
		defer func() { a.keyed = nil }()
		for _, f := range out.columns {
			a.group(-1, f.value)
		}
		a.vagueDistinct(out)
	default:
		before := a.reads
		for _, d := range n.DistinctClause {
			a.groupBy(d, out, sc)
			if v, ok := a.outputOf(d, out); ok {
				a.sortsMasked(a.location(d), v)
			}
		}
		if a.reads != before { // named there, not as an output
			a.sortsMasked(-1, value{}.under(exact, a.lastMask))
		}
	}
	return out
}

// vagueDistinct refuses DISTINCT over columns that are not known where literals may meet protected ones.
func (a *analysis) vagueDistinct(r result) {
	if !r.vague {
		return
	}
	v := r.asValue(false)
	if v.veil > bare || v.mixed && len(v.sources) > 0 {
		a.refuse(untraceable(-1))
	}
}

// detached is the result as the outside sees it.
func (r result) detached() result {
	out := result{columns: make([]field, len(r.columns)), vague: r.vague}
	for i, f := range r.columns {
		out.columns[i] = field{f.name, f.value.detached()}
	}
	return out
}

// combine is UNION, INTERSECT or EXCEPT. All but UNION ALL compare rows with rows.
func (a *analysis) combine(left, right result, all bool) result {
	if left.vague || right.vague || len(left.columns) != len(right.columns) {
		left.vague, right.vague = true, true
		v := either(left.asValue(false), right.asValue(false))
		if (v.protected() || v.veiled() > bare) && !all {
			a.refuse(untraceable(-1))
		}
		out := result{columns: []field{{"", v}}, vague: true} // under the names of the left side, known or not
		for _, f := range left.columns {
			if f.name != "" { // that one stands there: a recursive query would have one more with each turn
				out.columns = append(out.columns, field{f.name, v})
			}
		}
		return out
	}
	out := result{columns: make([]field, len(left.columns))}
	for i, f := range left.columns {
		v := either(f.value, right.columns[i].value)
		if !all {
			rows := v
			if f.value.veiled().whole() && right.columns[i].value.veiled().whole() && bound(v.stored) {
				rows.veil = exact // equal values stand in one form on both sides
			}
			a.group(-1, rows)
		}
		out.columns[i] = field{f.name, v}
	}
	return out
}

// values is a VALUES list: column by column, whatever any row holds.
func (a *analysis) values(lists []*pg.Node, sc *scope) result {
	var columns []gather
	for _, list := range lists {
		for i, n := range list.GetList().GetItems() {
			if i == len(columns) {
				columns = append(columns, gather{})
			}
			columns[i].add(a.output(n, sc))
		}
	}
	var out result
	for i := range columns {
		out.columns = append(out.columns, field{"column" + strconv.Itoa(i+1), columns[i].value()})
	}
	return out
}

// targets evaluates a SELECT list or RETURNING.
func (a *analysis) targets(list []*pg.Node, sc *scope) result {
	var out result
	for _, n := range list {
		if len(out.columns) > maxOutputs {
			panic(overwork{})
		}
		target := n.GetResTarget()
		if ref := target.GetVal().GetColumnRef(); ref != nil {
			names, star := fieldNames(ref.Fields)
			if star {
				a.expandStar(&out, names, sc)
				continue
			}
		}
		v := a.output(target.GetVal(), sc)
		if ind := target.GetVal().GetAIndirection(); ind != nil && ind.Indirection[len(ind.Indirection)-1].GetAStar() != nil {
			if v.row == nil {
				out.columns, out.vague = append(out.columns, field{value: v}), true
			}
			out.columns = append(out.columns, v.row...)
			continue
		}
		name := target.GetName()
		if name == "" {
			name = outputName(target.GetVal())
		}
		out.columns = append(out.columns, field{name, v})
	}
	return out
}

func (a *analysis) expandStar(out *result, names []string, sc *scope) {
	if len(names) == 0 {
		for _, f := range sc.star {
			a.read(f.value)
		}
		out.columns, out.vague = append(out.columns, sc.star...), out.vague || sc.vague
		return
	}
	items := sc.named(names[len(names)-1])
	if items == nil {
		a.lose(-1)
	}
	out.vague = out.vague || len(items) != 1
	for _, it := range items {
		for _, f := range it.fields() {
			a.read(f.value)
			out.columns = append(out.columns, f)
		}
		out.vague = out.vague || it.vague
	}
}

// orderBy handles names of outputs, places in the list and, in a plain query, expressions.
func (a *analysis) orderBy(list []*pg.Node, out result, sc *scope, expressions bool) {
	for _, n := range list {
		node := n.GetSortBy().GetNode()
		at := a.location(node)
		v, ok := a.outputOf(node, out)
		if ok {
			if v.protected() || v.veiled() > bare {
				a.sorts(at, v)
			}
			continue
		}
		if expressions {
			a.sorts(at, a.expression(node, sc))
			continue
		}
		whole := out.asValue(true)
		if whole.veiled() > bare {
			a.sorts(at, whole)
		}
		if whole.protected() {
			a.refuse(unanswered(whole.column(), at))
		}
	}
}

// groupBy is one element of GROUP BY or DISTINCT ON. A name is a column first, then an output.
func (a *analysis) groupBy(n *pg.Node, out result, sc *scope) {
	if set := n.GetGroupingSet(); set != nil {
		for _, part := range set.Content {
			a.groupBy(part, out, sc)
		}
		return
	}
	at := a.location(n)
	if v, ok := a.outputOf(n, out); ok {
		if v.protected() || v.veiled() > bare {
			a.group(at, v)
		}
		if n.GetColumnRef() == nil {
			return
		}
		names, _ := fieldNames(n.GetColumnRef().Fields)
		if _, found := sc.column(names[0], span{}); !found {
			return
		}
	}
	a.group(at, a.expression(n, sc))
}

// outputOf finds the output that a place in the list or a bare name stands for.
func (a *analysis) outputOf(n *pg.Node, out result) (value, bool) {
	if c := n.GetAConst(); c != nil && c.GetIval() != nil {
		a.constant(c)
		i := int(c.GetIval().GetIval())
		if i < 1 || i > len(out.columns) || out.vague {
			return result{out.columns, true}.asValue(false), true
		}
		return out.columns[i-1].value, true
	}
	ref := n.GetColumnRef()
	if ref == nil || len(ref.Fields) != 1 {
		return value{}, false
	}
	names, star := fieldNames(ref.Fields)
	if star {
		return value{}, false
	}
	g, found := gather{}, false
	a.step(len(out.columns))
	for _, f := range out.columns {
		if f.name == names[0] {
			g.add(f.value)
			found = true
		}
	}
	return g.value(), found
}
