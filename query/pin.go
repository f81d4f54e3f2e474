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
			if row.is(sides[1]) && a.exactly(row) {
				return row
			}
		}
	}
	return nil
}

// exactly tells whether the parameter that a key is compared with has the key's type, so that one row is meant: as a float8 it would stand for
// many large keys at once. The comparison decides about its type where it is used nowhere else and no type is declared; what the protocol's
// Parse declares is the gateway's to look at.
func (a *analysis) exactly(k *RowKey) bool {
	if k.Param == 0 {
		return true
	}
	if k.Param <= len(a.argTypes) {
		kind := kindOfType(a.argTypes[k.Param-1].GetTypeName())
		if integerType(k.TypeOID) != (kind == numberType) || kind != numberType && kind != textType || floats(a.argTypes[k.Param-1].GetTypeName()) {
			return false
		}
	}
	uses := 0
	for i := a.tokens.from(a.st.Start); i < len(a.tokens.list) && int(a.tokens.list[i].Start) < a.st.End; i++ {
		token := a.tokens.list[i]
		if token.Token != pg.Token_PARAM {
			continue
		}
		if n, err := strconv.Atoi(a.sql[token.Start+1 : token.End]); err != nil || n == k.Param { // $1 and $01 are one
			uses++
		}
	}
	return uses == 1
}

// floats tells whether a type rounds.
func floats(t *pg.TypeName) bool {
	_, name := lastName(t.GetNames())
	return name == "float4" || name == "float8"
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
