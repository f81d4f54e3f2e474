package query

import pg "github.com/pganalyze/pg_query_go/v6"

// lookup tells whether a statement reads columns of one protected table by its whole-numbered key and does nothing else. Then nothing
// in it would have to become a token and nothing would be written, whatever the catalogue had become by the time the server reads
// it: such a statement may be under way while that is asked, as long as its result waits for the answer.
func (a *analysis) lookup(n *pg.SelectStmt) bool {
	if len(n.FromClause) != 1 || n.WhereClause == nil || n.Op != pg.SetOperation_SETOP_NONE && n.Op != pg.SetOperation_SET_OPERATION_UNDEFINED {
		return false
	}
	for _, more := range []bool{
		n.WithClause != nil, n.IntoClause != nil, n.HavingClause != nil, n.LimitCount != nil, n.LimitOffset != nil,
		len(n.GroupClause) > 0, len(n.WindowClause) > 0, len(n.DistinctClause) > 0, len(n.SortClause) > 0, len(n.LockingClause) > 0, len(n.ValuesLists) > 0,
	} {
		if more {
			return false
		}
	}
	for _, t := range n.TargetList {
		if t.GetResTarget().GetVal().GetColumnRef() == nil {
			return false
		}
	}
	from := n.FromClause[0].GetRangeVar()
	if from == nil {
		return false
	}
	t := target{item: &item{name: from.Relname, relation: a.find(from)}}
	if from.Alias != nil {
		t.name = from.Alias.Aliasname
	}
	return t.relation != nil && !t.relation.View && t.relation.Protected() && a.byKey(&t, n.WhereClause)
}

// byKey tells whether a condition is `key = number` or `key = $n`, with the key a whole number.
func (a *analysis) byKey(t *target, where *pg.Node) bool {
	e := where.GetAExpr()
	if !a.equates(e) {
		return false
	}
	key := t.key(e.Lexpr, true)
	if key == nil || key.Protect != nil || key.Mask != nil {
		return false
	}
	switch key.TypeOID {
	case 20, 21, 23: // int8, int2, int4
	default:
		return false
	}
	c := e.Rexpr.GetAConst()
	return e.Rexpr.GetParamRef() != nil || c.GetIval() != nil || c.GetFval() != nil
}
