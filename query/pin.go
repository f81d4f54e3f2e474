package query

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// pins finds the one row that an UPDATE can write at most, by `key = literal` or `key = $n` among the conditions that all must
// hold; nil where there is none. alone: no other relation is in reach, so that a bare name is the target's.
func (a *analysis) pins(t *target, where *pg.Node, alone bool) *RowKey {
	if t.relation == nil || t.relation.View || where == nil {
		return nil
	}
	if b := where.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_AND_EXPR {
		for _, n := range b.Args {
			if row := a.pins(t, n, alone); row != nil {
				return row
			}
		}
		return nil
	}
	e := where.GetAExpr()
	if !a.equates(e) {
		return nil
	}
	for _, sides := range [][2]*pg.Node{{e.Lexpr, e.Rexpr}, {e.Rexpr, e.Lexpr}} {
		if c := t.key(sides[0], alone); c != nil {
			row := &RowKey{Schema: t.relation.Schema, Table: t.relation.Name, Column: c.Name, TypeOID: c.TypeOID}
			if row.is(sides[1]) {
				return row
			}
		}
	}
	return nil
}

// equates tells whether an expression is a comparison by the server's own =.
func (a *analysis) equates(e *pg.A_Expr) bool {
	if e == nil || e.Kind != pg.A_Expr_Kind_AEXPR_OP {
		return false
	}
	qualifier, name := lastName(e.Name)
	return name == "=" && (qualifier == "" || qualifier == "pg_catalog") && !a.schema.ours(qualifier, "operator =")
}

// key is the target's primary key, if the node names it.
func (t *target) key(n *pg.Node, alone bool) *ColumnInfo {
	names, star := fieldNames(n.GetColumnRef().GetFields())
	switch {
	case star, len(names) == 1 && !alone, len(names) == 2 && names[0] != t.name, len(names) != 1 && len(names) != 2:
		return nil
	}
	if c := t.info(names[len(names)-1]); c != nil && c.Key {
		return c
	}
	return nil
}

// is fills in the value that the key is compared with; false where that is no literal and no parameter.
func (k *RowKey) is(n *pg.Node) bool {
	if p := n.GetParamRef(); p != nil {
		k.Param = int(p.Number)
		return k.Param > 0
	}
	c := n.GetAConst()
	switch {
	case c == nil || c.Isnull:
		return false
	case c.GetIval() != nil:
		k.Value = strconv.Itoa(int(c.GetIval().GetIval()))
	case c.GetFval() != nil: // an integer that does not fit 32 bits
		k.Value = c.GetFval().GetFval()
		return strings.Trim(k.Value, "0123456789") == ""
	case c.GetSval() != nil:
		k.Value = c.GetSval().GetSval()
	default:
		return false
	}
	return true
}
