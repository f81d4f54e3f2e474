package query

import (
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"sallyport"
)

// While protect moves a column in or back, plain values stand in it beside tokens: a search has to match every form of its value. This
// file finds where one value may become several without the statement meaning something else: `= x` becomes `= ANY (…)`, a list
// gets longer, an array does. Anywhere else the statement is refused, since it would silently find half of the rows. Plain values
// in results are the business of veil.go: a moving column is masked too.

// place is where the value of a comparison stands.
type place struct {
	elements []*pg.Node // each becomes several; nil: an array, which gets longer by itself
	scalar   bool       // there is one, and it becomes an array: = ANY (…), or <> ALL (…)
	negated  bool
	swapped  bool // it stands to the left of the column
	distinct span // where IS [NOT] DISTINCT FROM stands, which becomes another operator; empty: it is none
}

// scalarPlace is the place of the value in column = value.
func scalarPlace(n *pg.A_Expr, name string, left, right *value) *place {
	p := &place{scalar: true, negated: name == "<>"}
	switch {
	case name != "=" && name != "<>":
		return nil
	case onlyStored(left) && onlySources(right):
		p.elements = []*pg.Node{n.Rexpr}
	case onlyStored(right) && onlySources(left):
		p.elements, p.swapped = []*pg.Node{n.Lexpr}, true
	default:
		return nil
	}
	return p
}

// distinctPlace is that of the literal in column IS [NOT] DISTINCT FROM 'value': column <> ALL (…) IS NOT FALSE says the same, whatever stands in the
// column. Of a parameter, which may be NULL, it would not.
func (a *analysis) distinctPlace(n *pg.A_Expr, left, right *value) *place {
	literal := n.Rexpr
	for literal.GetTypeCast() != nil {
		literal = literal.GetTypeCast().Arg
	}
	if c := literal.GetAConst(); c == nil || c.Isnull || !onlyStored(left) || !onlySources(right) {
		return nil
	}
	is := a.tokens.at(int(n.Location))
	from := is
	for from >= 0 && from < is+4 && from < len(a.tokens.list) && !a.tokens.is(from, pg.Token_FROM) { // IS [NOT] DISTINCT FROM, with comments between
		from++
	}
	if !a.tokens.is(is, pg.Token_IS) || !a.tokens.is(from, pg.Token_FROM) {
		return nil
	}
	return &place{
		elements: []*pg.Node{n.Rexpr}, scalar: true, negated: n.Kind == pg.A_Expr_Kind_AEXPR_DISTINCT,
		distinct: span{int(a.tokens.list[is].Start), int(a.tokens.list[from].End)},
	}
}

// listPlace is that of the values in column IN (…).
func listPlace(items []*pg.Node, left, right *value) *place {
	if !onlyStored(left) || !onlySources(right) {
		return nil
	}
	return &place{elements: items}
}

// arrayPlace is that of the values in column = ANY (…) and column <> ALL (…).
func arrayPlace(n *pg.A_Expr, name string, left, right *value) *place {
	every := n.Kind == pg.A_Expr_Kind_AEXPR_OP_ALL
	if !onlyStored(left) || !onlySources(right) || every && name != "<>" || !every && name != "=" {
		return nil
	}
	node := n.Rexpr
	for node.GetTypeCast() != nil {
		node = node.GetTypeCast().Arg
	}
	switch {
	case node.GetAArrayExpr() != nil:
		return &place{elements: node.GetAArrayExpr().Elements}
	case node.GetAConst() != nil || node.GetParamRef() != nil:
		return &place{}
	}
	return nil
}

func onlyStored(v *value) bool {
	return len(v.stored) == 1 && len(v.sources) == 0 && v.row == nil
}

func onlySources(v *value) bool {
	return len(v.stored) == 0 && !v.mixed && v.row == nil
}

// widest is the protection of those that wants the most forms.
func widest(list []stored) *Protection {
	p := list[0].protection
	for _, s := range list[1:] {
		if s.protection.Forms > p.Forms {
			p = s.protection
		}
	}
	return p
}

// twofold tells whether equal values may stand in these columns in several forms, so that comparing them with each other tells nothing.
// In a unique column no value stands twice, and in columns that foreign keys hold equal it stands in one form.
func twofold(list []stored) bool {
	if len(list) == 0 || bound(list) {
		return false
	}
	if slices.ContainsFunc(list, func(s stored) bool { return s.protection.Closed }) {
		return true
	}
	if oneForm(list) {
		return false
	}
	p := widest(list)
	return p.Forms > 1 && (!p.Unique || len(list) > 1)
}

// oneForm tells whether equal values stand in these columns in one form at every moment.
func oneForm(list []stored) bool {
	return !slices.ContainsFunc(list, func(s stored) bool { return s.protection.Forms > 1 && !s.protection.Whole })
}

// bound tells whether foreign keys hold all of these columns equal.
func bound(list []stored) bool {
	for _, s := range list {
		if s.protection.Bond == "" || s.protection.Bond != list[0].protection.Bond {
			return false
		}
	}
	return true
}

// forms is how many forms are wanted of a source.
func forms(list []demand) int {
	most := 0
	for _, d := range list {
		if d.use == Match {
			most = max(most, d.protection.Forms)
		}
	}
	if most < 2 {
		return 0
	}
	return most
}

// widen writes all forms of the values that are compared with a column which holds several.
func (a *analysis) widen(at int, both value) {
	p := widest(both.stored)
	if p.Forms < 2 || len(both.sources) == 0 && bound(both.stored) {
		return
	}
	if p.Closed && len(both.sources) == 0 {
		a.refuse(closed(p.Column, at))
		return
	}
	if len(both.sources) == 0 && oneForm(both.stored) {
		return // tokens among themselves
	}
	if a.place == nil || len(both.stored) != 1 || len(both.sources) == 0 {
		a.refuse(unsettled(p.Column, at))
		return
	}
	for _, node := range a.place.elements {
		if c := node.GetAConst(); c != nil && c.Isnull {
			continue
		}
		if !a.widenOne(node, both.stored[0], p, at) {
			a.refuse(unsettled(p.Column, at))
			return
		}
	}
}

// widenOne writes all forms of one value; false where it cannot.
func (a *analysis) widenOne(node *pg.Node, column stored, p *Protection, at int) bool {
	where, ok := a.tokens.whole(node)
	if distinct := a.place.distinct; distinct.end > 0 {
		at = distinct.end - len("from") // what brackets stand behind
	}
	if ok && a.place.scalar {
		where, ok = a.tokens.bracketed(where, at)
	}
	if !ok || a.place.swapped && column.ref.end == 0 {
		return false
	}
	edit := a.wideEdit(where, p)
	if a.place.swapped {
		a.edits[where.start] = Edit{Start: where.start, End: where.end, Text: a.columnSide(column)}
		edit.Start, edit.End = column.ref.start, column.ref.end
	}
	if distinct := a.place.distinct; distinct.end > 0 {
		if a.literals[where.core.start] == nil {
			return false
		}
		operator, truth := "=", " IS TRUE"
		if a.place.negated {
			operator, truth = "<>", " IS NOT FALSE"
		}
		a.edits[distinct.start] = Edit{Start: distinct.start, End: distinct.end, Text: operator}
		edit.Wide.Close += truth
	}
	switch literal := a.literals[where.core.start]; {
	case where.param > 0:
		a.edits[edit.Start] = edit
	case literal != nil:
		literal.wide = &edit
	}
	return true
}

// wideEdit is how the forms of one value are written.
func (a *analysis) wideEdit(where whole, p *Protection) Edit {
	wide := &Wide{Before: a.sql[where.start:where.core.start], After: a.sql[where.core.end:where.end]}
	if a.place.scalar {
		word := "ANY"
		if a.place.negated {
			word = "ALL"
		}
		switch list := p.List; {
		case where.param == 0: // of no type, as the literal was: that of the column
			*wide = Wide{Open: word + " (", Close: ")", Array: true}
		case wide.Before+wide.After != "":
			wide.Open, wide.Close = word+" (ARRAY[", "])"
		default:
			if p.Scheme == sallyport.Name {
				list = "pg_catalog.text[]"
			}
			wide.Open, wide.Close = word+" (ARRAY[", "]::"+list+")"
		}
	}
	return Edit{Start: where.start, End: where.end, Param: where.param, Wide: wide}
}

// columnSide is what a column is compared by: of a name the blank index in its tokens, else the plain one.
func (a *analysis) columnSide(s stored) string {
	text := a.sql[s.ref.start:s.ref.end]
	switch {
	case s.protection.Scheme != sallyport.Name:
		return text
	case s.protection.Moving:
		return MovingName(text)
	}
	return "left(" + text + ",20)"
}

// MovingName is what a name's column is compared by while it is moving: protect makes an index on it.
func MovingName(column string) string {
	return "(CASE WHEN left(" + column + ", 4) = 'tk1:' THEN left(" + column + ", 20) ELSE " + column + " END)"
}

// whole is a literal or parameter with the cast around it.
type whole struct {
	span
	core  span
	param int
}

// whole finds where a value stands together with its cast: 'x'::text, CAST($1 AS text), date '…'. What is written in any other way is not
// found.
func (t *tokens) whole(node *pg.Node) (w whole, ok bool) {
	switch n := node.GetNode().(type) {
	case *pg.Node_AConst:
		_, text := n.AConst.Val.(*pg.A_Const_Sval)
		w.core, ok = t.literalSpan(int(n.AConst.Location), !text)
		w.span = w.core
		return w, ok
	case *pg.Node_ParamRef:
		at := int(n.ParamRef.Location)
		i := t.at(at)
		if i < 0 || !t.is(i, pg.Token_PARAM) {
			return w, false
		}
		w.core, w.param = span{at, int(t.list[i].End)}, int(n.ParamRef.Number)
		w.span = w.core
		return w, true
	case *pg.Node_TypeCast:
		if w, ok = t.whole(n.TypeCast.Arg); !ok || w.span != w.core {
			return w, false
		}
		return t.castAround(w, n.TypeCast)
	}
	return w, false
}

// castAround adds a cast to where a value stands.
func (t *tokens) castAround(w whole, n *pg.TypeCast) (whole, bool) {
	if !valueType(n.TypeName) || len(n.TypeName.Typmods) > 0 || len(n.TypeName.ArrayBounds) > 0 {
		return w, false
	}
	first, behind := t.at(w.start), t.from(w.end)
	switch at := int(n.Location); {
	case at < 0: // date '…'
		w.start = int(n.TypeName.Location)
		i := t.at(w.start)
		return w, i >= 0 && w.param == 0 && i < first && first-i <= 3
	case t.is(behind, pg.Token_TYPECAST) && int(t.list[behind].Start) == at:
		end, ok := t.typeEnd(behind+1, n.TypeName)
		w.end = end
		return w, ok
	case first >= 2 && int(t.list[first-2].Start) == at && t.is(first-2, pg.Token_CAST) && t.is(first-1, pg.Token_ASCII_40) && t.is(behind, pg.Token_AS):
		i := behind + 1
		for i < len(t.list) && i < behind+5 && !t.is(i, pg.Token_ASCII_41) {
			i++
		}
		if !t.is(i, pg.Token_ASCII_41) {
			return w, false
		}
		w.start, w.end = at, int(t.list[i].End)
		return w, true
	}
	return w, false
}

// valueType tells whether a cast makes a value of a type that a protected column may be of.
func valueType(t *pg.TypeName) bool {
	switch kindOfType(t) {
	case textType, dateType, numberType:
		return true
	case otherType:
		names, _ := fieldNames(t.GetNames())
		return !t.GetPctType() && !t.GetSetof() && names[len(names)-1] == "uuid" && (len(names) == 1 || names[0] == "pg_catalog")
	}
	return false
}

// bracketed adds the brackets that stand between a value and its operator.
func (t *tokens) bracketed(w whole, operator int) (whole, bool) {
	first, behind := t.at(w.start), t.from(w.end)
	for first > 0 {
		if int(t.list[first-1].Start) == operator || behind < len(t.list) && int(t.list[behind].Start) == operator {
			return w, true
		}
		if !t.is(first-1, pg.Token_ASCII_40) || !t.is(behind, pg.Token_ASCII_41) {
			return w, false
		}
		first--
		w.start, w.end = int(t.list[first].Start), int(t.list[behind].End)
		behind++
	}
	return w, first == 0 && behind < len(t.list) && int(t.list[behind].Start) == operator
}

// typeEnd is where the name of a type ends that begins with token i.
func (t *tokens) typeEnd(i int, n *pg.TypeName) (int, bool) {
	if i >= len(t.list) || int(t.list[i].Start) != int(n.Location) {
		return 0, false
	}
	switch {
	case t.is(i+1, pg.Token_VARYING):
		i++
	case t.is(i+1, pg.Token_ASCII_46): // pg_catalog.text
		i += 2
	}
	if i >= len(t.list) || t.is(i+1, pg.Token_ASCII_40) || t.is(i+1, pg.Token_ASCII_91) || t.is(i+1, pg.Token_ASCII_46) {
		return 0, false
	}
	return int(t.list[i].End), true
}

// highest is the highest number of a parameter in a text.
func (t *tokens) highest(sql string) int {
	most := 0
	for _, token := range t.list {
		if token.Token == pg.Token_PARAM {
			number, _ := strconv.Atoi(strings.TrimPrefix(sql[token.Start:token.End], "$"))
			most = max(most, number)
		}
	}
	return most
}

// unsettled says that a column holds several forms of one value, which cannot be compared in this way.
func unsettled(c sallyport.Column, at int) *Refusal {
	return &Refusal{
		Code: CodeUntraceable, Position: at, Sentence: "this comparison would find some rows only while the column is moving or its keys are rotated" + about(c),
		Hint: "Until that is done compare the column by =, <>, IN or = ANY with literals and parameters, and group by another column.",
	}
}

// closed says that nothing in it tells a token of a column from its values as long as it is moving, or of which of two keys it is as long as they are rotated.
func closed(c sallyport.Column, at int) *Refusal {
	return &Refusal{
		Code: CodeUntraceable, Position: at, Sentence: "this column is moving or its keys are rotated, and its tokens look like any other value: it cannot be compared with a column" + about(c),
		Hint: "Until that is done compare it by =, <>, IN or = ANY with literals and parameters.",
	}
}

// oneRowEach tells whether columns are of items whose rows are told apart by their key anyway: then it does not matter in which form their
// values stand.
func (a *analysis) oneRowEach(list []stored) bool {
	for _, s := range list {
		if s.protection.Closed {
			return false
		}
		if s.from == nil || !a.keyed[s.from] {
			return false
		}
	}
	return len(list) > 0
}

// keyedItems are the FROM items whose primary key stands in a list of outputs or of GROUP BY.
func keyedItems(list []*pg.Node, sc *scope) map[*item]bool {
	keyed := map[*item]bool{}
	for _, n := range list {
		if n.GetGroupingSet() != nil { // groups without the key, too
			return nil
		}
		if target := n.GetResTarget(); target != nil {
			n = target.Val
		}
		ref := n.GetColumnRef()
		if ref == nil {
			continue
		}
		names, star := fieldNames(ref.Fields)
		items, column := sc.items, ""
		if !star {
			column, names = names[len(names)-1], names[:len(names)-1]
		}
		if len(names) > 0 {
			items = sc.named(names[len(names)-1])
		}
		for _, it := range items {
			if key := it.key(); key != "" && (star || key == column) {
				keyed[it] = true
			}
		}
	}
	return keyed
}

// key is the name of the column that tells the item's rows apart, empty where none is known to.
func (it *item) key() string {
	if it.relation == nil || it.vague || it.relation.View {
		return ""
	}
	for i := range it.relation.Columns {
		if it.relation.Columns[i].Key && i < len(it.columns) {
			return it.columns[i].name // which an alias may have changed
		}
	}
	return ""
}
