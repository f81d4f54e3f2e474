package query

import (
	"cmp"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// expression finds what an expression may yield, and demands tokens of what is compared inside it.
func (a *analysis) expression(node *pg.Node, sc *scope) value {
	if node == nil {
		return value{}
	}
	a.step(1)
	switch n := node.Node.(type) {
	case *pg.Node_AConst:
		return a.constant(n.AConst)
	case *pg.Node_ParamRef:
		return a.parameter(n.ParamRef)
	case *pg.Node_ColumnRef:
		return a.reference(n.ColumnRef, sc)
	case *pg.Node_AExpr:
		return a.operator(n.AExpr, sc)
	case *pg.Node_BoolExpr:
		return a.together(a.all(n.BoolExpr.Args, sc))
	case *pg.Node_FuncCall:
		return a.call(n.FuncCall, sc)
	case *pg.Node_TypeCast:
		return a.cast(n.TypeCast, sc)
	case *pg.Node_SubLink:
		return a.subLink(n.SubLink, sc)
	case *pg.Node_CaseExpr:
		return a.caseOf(n.CaseExpr, sc)
	case *pg.Node_CoalesceExpr:
		return a.anyOf(n.CoalesceExpr.Args, sc)
	case *pg.Node_MinMaxExpr:
		return a.extreme(a.all(n.MinMaxExpr.Args, sc), int(n.MinMaxExpr.Location))
	case *pg.Node_NullTest:
		return a.nullTest(n.NullTest, sc)
	case *pg.Node_BooleanTest:
		return a.together([]value{a.expression(n.BooleanTest.Arg, sc)})
	case *pg.Node_RowExpr:
		return value{row: a.rowFields(n.RowExpr.Args, sc)}
	case *pg.Node_AArrayExpr:
		return a.array(n.AArrayExpr, sc)
	case *pg.Node_AIndirection:
		return a.indirection(n.AIndirection, sc)
	case *pg.Node_CollateClause:
		return a.expression(n.CollateClause.Arg, sc)
	case *pg.Node_NamedArgExpr:
		return a.expression(n.NamedArgExpr.Arg, sc)
	case *pg.Node_SqlvalueFunction:
		v := systemValue(n.SqlvalueFunction)
		v.given = true
		return v
	case *pg.Node_SetToDefault:
		return value{}
	case *pg.Node_CurrentOfExpr:
		return value{calc: true}
	case *pg.Node_GroupingFunc:
		a.all(n.GroupingFunc.Args, sc)
		return value{calc: true}
	case *pg.Node_MergeSupportFunc:
		return value{open: true}
	case *pg.Node_List: // a row of IN, or of several values
		return a.anyOf(n.List.Items, sc)
	}
	return a.unknown(node, sc)
}

// together is a truth value made from others.
func (a *analysis) together(args []value) value {
	v := value{calc: true}
	for _, arg := range args {
		a.spend(arg)
		switch arg.veiled() {
		case bare:
		case asked, exact, filled: // the last two: a masked truth value
			v = v.under(asked, arg.masks())
		case made:
			v = v.under(made, arg.masks())
		}
	}
	return v
}

// nullTest tells nothing: a token is NULL exactly where its value is, and a mask hides no NULL.
func (a *analysis) nullTest(n *pg.NullTest, sc *scope) value {
	before := a.reads
	arg := a.expression(n.Arg, sc)
	if arg.veiled() == made {
		return value{calc: true}.madeFrom(arg)
	}
	if arg.veiled() != asked {
		a.reads = before
	}
	return value{calc: true}
}

// anyOf is what may be any of a list.
func (a *analysis) anyOf(list []*pg.Node, sc *scope) value {
	g := gather{}
	for _, n := range list {
		g.add(a.expression(n, sc))
	}
	return g.value()
}

// all evaluates a list of expressions.
func (a *analysis) all(list []*pg.Node, sc *scope) []value {
	out := make([]value, 0, len(list))
	for _, n := range list {
		out = append(out, a.expression(n, sc))
	}
	return out
}

// reference resolves a column, a whole row, or a function written like a column.
func (a *analysis) reference(n *pg.ColumnRef, sc *scope) value {
	names, star := fieldNames(n.Fields)
	at := int(n.Location)
	if star && len(names) == 0 {
		return a.read(wholeScope(sc))
	}
	if star {
		items := sc.named(names[len(names)-1])
		if items == nil {
			a.lose(at)
		}
		return a.read(wholeRow(items))
	}
	last := names[len(names)-1]
	ref := a.tokens.nameSpan(at, len(names))
	if len(names) == 1 {
		v, found := sc.column(last, ref)
		if found {
			return a.read(v)
		}
		if items := sc.named(last); items != nil {
			return a.read(either(v, wholeRow(items)))
		}
		return a.read(either(v, a.unresolved(last, sc)))
	}
	items := sc.named(names[len(names)-2])
	if items == nil {
		a.lose(at)
		return value{open: true}
	}
	v := value{}
	for _, it := range items {
		v = either(v, a.fieldOf(it, last, ref))
	}
	return a.read(v)
}

// fieldOf is one column of a FROM item.
func (a *analysis) fieldOf(it *item, name string, ref span) value {
	v, found := value{}, false
	for _, f := range it.columns {
		if f.name == name {
			v, found = either(v, f.value.named(it, name, ref)), true
		}
	}
	if found {
		return v
	}
	if systemColumn(name) {
		return value{open: true}
	}
	a.checkFunction(name, ref.start, value{open: true}) // t.f is f(t)
	if m := it.masks(); m != nil {
		v := value{open: true, mixed: it.protected()}.under(made, m)
		a.refuse(unmasking("what stands behind a table's name is no column that is known", &v, ref.start))
		return v
	}
	if it.vague {
		return either(it.rest, value{open: true})
	}
	return value{open: true, mixed: it.protected()}
}

// unresolved is a name that no FROM item in reach is known to have. The server may know better, so nothing may be compared with it.
func (a *analysis) unresolved(name string, sc *scope) value {
	if systemColumn(name) {
		return value{open: true}
	}
	v := value{open: true, mixed: sc.touches() && !sc.isVague()}
	if m := sc.maskInReach(); m != nil && !sc.isVague() {
		v = v.under(made, m)
	}
	return v
}

// lose notes a qualifier that names nothing in reach. The server will say so, but until then the text has reached it: where
// protected columns are about, it must not.
func (a *analysis) lose(at int) {
	if a.lost < 0 {
		a.lost = max(at, 0)
	}
}

func wholeRow(items []*item) value {
	v := value{}
	for _, it := range items {
		v = either(v, it.whole())
	}
	return v
}

// wholeScope is a bare * inside an expression, as in count(*) of a query without relations.
func wholeScope(sc *scope) value {
	if sc.vague || sc.star == nil {
		v := value{open: true, mixed: sc.touches()}
		if m := sc.maskInReach(); m != nil {
			v = v.under(made, m)
		}
		return v
	}
	return value{row: sc.star}
}

// fieldNames are the parts of a dotted name, and whether it ends in a star.
func fieldNames(fields []*pg.Node) (names []string, star bool) {
	for _, f := range fields {
		if f.GetAStar() != nil {
			star = true
		} else {
			names = append(names, f.GetString_().GetSval())
		}
	}
	if len(names) == 0 && !star {
		names = []string{""}
	}
	return names, star
}

// lastName is the unqualified part of a name, and first what qualifies it.
func lastName(list []*pg.Node) (qualifier, name string) {
	names, _ := fieldNames(list)
	if len(names) == 0 {
		return "", ""
	}
	if len(names) > 1 {
		qualifier = names[len(names)-2]
	}
	return qualifier, names[len(names)-1]
}

func (a *analysis) caseOf(n *pg.CaseExpr, sc *scope) value {
	results := gather{}
	results.add(a.expression(n.Defresult, sc))
	subject, deciding := value{}, value{}
	if n.Arg != nil {
		subject = a.expression(n.Arg, sc)
	}
	for _, w := range n.Args {
		when := w.GetCaseWhen()
		condition := a.expression(when.GetExpr(), sc)
		if n.Arg != nil {
			a.compare(int(n.Location), subject, condition)
			condition = truth(subject, condition)
		} else {
			a.spend(condition)
		}
		deciding = deciding.madeFrom(condition)
		results.add(a.expression(when.GetResult(), sc))
	}
	return results.value().madeFrom(deciding)
}

// rowFields are the fields of ROW(…), with stars expanded.
func (a *analysis) rowFields(list []*pg.Node, sc *scope) []field {
	out := []field{}
	for _, n := range list {
		if ref := n.GetColumnRef(); ref != nil {
			if names, star := fieldNames(ref.Fields); star && len(names) > 0 {
				v := a.expression(n, sc)
				if v.row != nil {
					out = append(out, v.row...)
					continue
				}
				a.spend(v)
				out = append(out, field{value: v.garbled(true)})
				continue
			}
		}
		out = append(out, field{value: a.expression(n, sc)})
	}
	return out
}

func (a *analysis) array(n *pg.A_ArrayExpr, sc *scope) value {
	g := gather{}
	for _, e := range n.Elements {
		x := a.expression(e, sc)
		x.array = true // of an inner array the elements count
		g.add(x)
	}
	v := g.value()
	v.array = true
	return v
}

// indirection is (value).field, value[1] and value['key'].
func (a *analysis) indirection(n *pg.A_Indirection, sc *scope) value {
	v := a.expression(n.Arg, sc)
	for _, step := range n.Indirection {
		switch {
		case step.GetAIndices() != nil:
			v = a.subscript(v, step.GetAIndices(), sc)
		case step.GetString_() != nil:
			v = a.select1(v, step.GetString_().Sval, a.location(n.Arg))
		default: // .*
			return v
		}
	}
	return v
}

func (a *analysis) subscript(v value, n *pg.A_Indices, sc *scope) value {
	harmless := true
	thick := v.veil
	for _, bound := range []*pg.Node{n.Lidx, n.Uidx} {
		index := a.expression(bound, sc)
		if index.veiled() > bare {
			a.refuse(unmasking("what stands in a place that a masked column names is NULL or not", &index, a.location(bound)))
		}
		harmless = harmless && index.harmless()
		v = v.madeFrom(index)
		a.spend(index)
	}
	if v.veil.whole() && thick.whole() && !v.array {
		v.veil = made // a part of what stands in a masked column
	}
	if v.array || !v.protected() && harmless {
		if n.IsSlice {
			return v
		}
		return v.elements()
	}
	if v.protected() && !harmless {
		a.refuse(unanswered(v.column(), a.location(n.Lidx)))
	}
	a.spend(v)
	return v.garbled(true)
}

// select1 picks one field of a row.
func (a *analysis) select1(v value, name string, at int) value {
	out, found := value{}, false
	for _, f := range v.row {
		if f.name == name {
			out, found = either(out, f.value), true
		}
	}
	if found {
		return out
	}
	a.checkFunction(name, at, value{open: true})
	if v.veiled() > bare { // (v).f is f(v)
		a.refuse(unmasking("what is taken out of a masked value is no column that is known", &v, at))
	}
	a.spend(v)
	return v.garbled(true)
}

func (a *analysis) subLink(n *pg.SubLink, sc *scope) value {
	at := int(n.Location)
	var r result
	a.apart(func() { r = a.query(n.Subselect, sc.inner()) })
	if v := r.asValue(true); v.veiled() > bare && n.SubLinkType != pg.SubLinkType_EXISTS_SUBLINK {
		a.read(v)
	}
	switch n.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		return value{calc: true}
	case pg.SubLinkType_ALL_SUBLINK, pg.SubLinkType_ANY_SUBLINK:
		test := a.expression(n.Testexpr, sc)
		_, name := lastName(n.OperName)
		if n.OperName == nil {
			name = "="
		}
		qualifier, _ := lastName(n.OperName)
		among := r.asValue(test.row != nil)
		a.relate(qualifier, name, test, among, at)
		return truth(test, among)
	case pg.SubLinkType_ARRAY_SUBLINK:
		v := r.asValue(false)
		v.array = true
		return v
	case pg.SubLinkType_EXPR_SUBLINK:
		return r.asValue(false)
	case pg.SubLinkType_ROWCOMPARE_SUBLINK, pg.SubLinkType_MULTIEXPR_SUBLINK, pg.SubLinkType_CTE_SUBLINK,
		pg.SubLinkType_SUB_LINK_TYPE_UNDEFINED:
	}
	return r.asValue(len(r.columns) > 1)
}

// asValue is a query's result where an expression stands: its one column, or its row.
func (r result) asValue(asRow bool) value {
	if r.vague {
		v := value{open: true}
		for _, f := range r.columns {
			v.mixed, v.of = v.mixed || f.value.protected(), cmp.Or(v.of, f.value.origin())
			v.sources = join(v.sources, f.value.allSources())
			v = v.madeFrom(f.value)
		}
		return v
	}
	if asRow || len(r.columns) != 1 {
		return value{row: r.columns}
	}
	return r.columns[0].value
}

// systemValue is CURRENT_DATE and its like.
func systemValue(n *pg.SQLValueFunction) value {
	switch n.Op {
	case pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N,
		pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP, pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N, pg.SQLValueFunctionOp_SVFOP_LOCALTIME,
		pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N, pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP, pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:
		return value{calc: true}
	}
	return value{open: true}
}
