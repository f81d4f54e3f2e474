package query

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// unknown evaluates the expressions inside a node that has no rule of its own. What comes out may be anything, and
// protected columns may not meet text in there.
func (a *analysis) unknown(n *pg.Node, sc *scope) value {
	all, inside := value{}, value{}
	a.inside(n.ProtoReflect(), sc, func(v value) {
		a.spend(v)
		all = either(all, v.garbled(!v.clean()))
		inside = inside.madeFrom(v)
	})
	if inside.veil > bare {
		a.refuse(unmasking("a part of the statement takes a masked column in a way that is not known", &inside, a.location(n)))
	}
	if all.mixed && all.open {
		a.refuse(unanswered(all.column(), a.location(n)))
	}
	return all.garbled(true).madeFrom(inside)
}

// inside hands over the values of all expressions below a node.
func (a *analysis) inside(m protoreflect.Message, sc *scope, take func(value)) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() != protoreflect.MessageKind {
			return true
		}
		if !fd.IsList() {
			a.insideOne(v.Message(), sc, take)
			return true
		}
		for i := range v.List().Len() {
			a.insideOne(v.List().Get(i).Message(), sc, take)
		}
		return true
	})
}

func (a *analysis) insideOne(m protoreflect.Message, sc *scope, take func(value)) {
	switch n := m.Interface().(type) {
	case *pg.Node:
		if expressive(n) {
			take(a.expression(n, sc))
			return
		}
	case *pg.SelectStmt:
		take(a.selectStmt(n, sc.inner()).asValue(false))
		return
	case *pg.FuncCall:
		take(a.call(n, sc))
		return
	case *pg.TypeName:
		a.checkType(n, value{open: true})
		return
	}
	a.inside(m, sc, take)
}

// expressive tells whether expression has a rule for a node. Other nodes only hold expressions.
func expressive(n *pg.Node) bool {
	switch n.GetNode().(type) {
	case *pg.Node_AConst, *pg.Node_ParamRef, *pg.Node_ColumnRef, *pg.Node_AExpr, *pg.Node_BoolExpr, *pg.Node_FuncCall, *pg.Node_TypeCast,
		*pg.Node_SubLink, *pg.Node_CaseExpr, *pg.Node_CoalesceExpr, *pg.Node_MinMaxExpr, *pg.Node_NullTest, *pg.Node_BooleanTest,
		*pg.Node_RowExpr, *pg.Node_AArrayExpr, *pg.Node_AIndirection, *pg.Node_CollateClause, *pg.Node_NamedArgExpr,
		*pg.Node_SqlvalueFunction, *pg.Node_SetToDefault, *pg.Node_CurrentOfExpr, *pg.Node_GroupingFunc, *pg.Node_MergeSupportFunc:
		return true
	}
	return false
}

// visit walks a whole tree. Below a message for which enter is false it does not go.
func visit(m protoreflect.Message, enter func(proto.Message) bool) {
	if !enter(m.Interface()) {
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() != protoreflect.MessageKind {
			return true
		}
		if !fd.IsList() {
			visit(v.Message(), enter)
			return true
		}
		for i := range v.List().Len() {
			visit(v.List().Get(i).Message(), enter)
		}
		return true
	})
}

// location is where a node stands in the text, or -1.
func (a *analysis) location(n *pg.Node) int {
	if n.GetNode() == nil {
		return -1
	}
	at := -1
	n.ProtoReflect().Range(func(_ protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		inner := v.Message()
		if fd := inner.Descriptor().Fields().ByName("location"); fd != nil {
			at = int(inner.Get(fd).Int())
		}
		return false
	})
	return at
}

// outputName is the name that PostgreSQL gives an output without AS (FigureColnameInternal in parse_target.c).
func outputName(n *pg.Node) string {
	if name, _ := figure(n); name != "" {
		return name
	}
	return "?column?"
}

// figure returns a name and how good it is: 2 is a name, 1 stands in for want of a better one.
func figure(n *pg.Node) (string, int) {
	switch n := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		if names, star := fieldNames(n.ColumnRef.Fields); !star {
			return names[len(names)-1], 2
		}
	case *pg.Node_AIndirection:
		for _, step := range slices.Backward(n.AIndirection.Indirection) {
			if s := step.GetString_(); s != nil {
				return s.Sval, 2
			}
		}
		return figure(n.AIndirection.Arg)
	case *pg.Node_FuncCall:
		_, name := lastName(n.FuncCall.Funcname)
		return name, 2
	case *pg.Node_AExpr:
		if n.AExpr.Kind == pg.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", 2
		}
	case *pg.Node_TypeCast:
		if name, strength := figure(n.TypeCast.Arg); strength > 1 {
			return name, strength
		}
		_, name := lastName(n.TypeCast.TypeName.GetNames())
		return name, 1
	case *pg.Node_CollateClause:
		return figure(n.CollateClause.Arg)
	case *pg.Node_CaseExpr:
		if name, strength := figure(n.CaseExpr.Defresult); strength > 1 {
			return name, strength
		}
		return "case", 1
	case *pg.Node_SubLink:
		return figureSubLink(n.SubLink)
	}
	return figureFixed(n)
}

func figureSubLink(n *pg.SubLink) (string, int) {
	switch n.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		return "exists", 2
	case pg.SubLinkType_ARRAY_SUBLINK:
		return "array", 2
	case pg.SubLinkType_EXPR_SUBLINK:
		sel := n.Subselect.GetSelectStmt()
		for sel.GetLarg() != nil {
			sel = sel.Larg
		}
		if list := sel.GetTargetList(); len(list) > 0 {
			target := list[0].GetResTarget()
			if target.GetName() != "" {
				return target.Name, 2
			}
			return figure(target.GetVal())
		}
	}
	return "", 0
}

func figureFixed(n *pg.Node) (string, int) {
	switch n := n.GetNode().(type) {
	case *pg.Node_CoalesceExpr:
		return "coalesce", 2
	case *pg.Node_MinMaxExpr:
		if n.MinMaxExpr.Op == pg.MinMaxOp_IS_LEAST {
			return "least", 2
		}
		return "greatest", 2
	case *pg.Node_AArrayExpr:
		return "array", 2
	case *pg.Node_RowExpr:
		return "row", 2
	case *pg.Node_GroupingFunc:
		return "grouping", 2
	}
	return "", 0
}
