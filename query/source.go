package query

import (
	"slices"
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// constant makes a literal a source, once, however often it is looked at.
func (a *analysis) constant(n *pg.A_Const) value {
	if n.Isnull {
		return value{given: true}
	}
	at := int(n.Location)
	a.visited[at] = true
	switch v := n.Val.(type) {
	case *pg.A_Const_Sval:
		return value{sources: []origin{{source: a.literal(at, v.Sval.GetSval(), false)}}, given: true}
	case *pg.A_Const_Ival:
		return value{sources: []origin{{source: a.literal(at, strconv.Itoa(int(v.Ival.GetIval())), true)}}, given: true}
	case *pg.A_Const_Fval:
		return value{sources: []origin{{source: a.literal(at, v.Fval.GetFval(), true)}}, given: true}
	case *pg.A_Const_Boolval:
		return value{calc: true, given: true}
	}
	return value{open: true, given: true} // bit strings
}

// literal finds or makes the source that stands at an offset.
func (a *analysis) literal(at int, text string, number bool) *source {
	if s, ok := a.literals[at]; ok && at >= 0 {
		return s
	}
	s := &source{value: text, number: number}
	s.span, s.usable = a.tokens.literalSpan(at, number)
	a.literals[at] = s
	return s
}

// literalSpan is where a literal stands: the parser gives only its beginning. A negative number begins at its sign, and
// U&'…' UESCAPE '!' is three tokens.
func (t *tokens) literalSpan(at int, number bool) (span, bool) {
	i := t.at(at)
	if i < 0 {
		return span{at, at}, false
	}
	first := t.list[i]
	switch first.Token {
	case pg.Token_SCONST:
		return span{at, int(first.End)}, !number
	case pg.Token_USCONST:
		if t.is(i+1, pg.Token_UESCAPE) && t.is(i+2, pg.Token_SCONST) {
			return span{at, int(t.list[i+2].End)}, !number
		}
		return span{at, int(first.End)}, !number
	case pg.Token_ICONST, pg.Token_FCONST:
		return span{at, int(first.End)}, number
	case pg.Token_ASCII_45: // -
		if t.is(i+1, pg.Token_ICONST) || t.is(i+1, pg.Token_FCONST) {
			return span{at, int(t.list[i+1].End)}, number
		}
	}
	return span{at, int(first.End)}, false
}

// nameSpan is where a dotted name of n parts stands; empty where its tokens are not what they should be.
func (t *tokens) nameSpan(at, n int) span {
	i := t.at(at)
	last := i + 2*(n-1)
	if i < 0 || last >= len(t.list) || t.is(last+1, pg.Token_UESCAPE) {
		return span{start: at}
	}
	for dot := i + 1; dot < last; dot += 2 {
		if !t.is(dot, pg.Token_ASCII_46) {
			return span{start: at}
		}
	}
	return span{at, int(t.list[last].End)}
}

// parameter makes $n a source.
func (a *analysis) parameter(n *pg.ParamRef) value {
	a.visited[int(n.Location)] = true
	number := int(n.Number)
	if number < 1 {
		return value{open: true}
	}
	s, ok := a.params[number]
	if !ok {
		s = &source{param: number, usable: true, span: span{start: int(n.Location)}}
		a.params[number] = s
	}
	return value{sources: []origin{{source: s}}, given: true}
}

// spend notes that a value is used where nothing is tokenised.
func (a *analysis) spend(v value) {
	for _, o := range v.sources {
		o.source.plain = true
	}
	for i := range v.row {
		a.spend(v.row[i].value)
	}
}

// demand notes that a source must become a token.
func (a *analysis) demand(o origin, d demand, at int) {
	if !o.source.usable {
		a.refuse(untraced(d.protection.Column, at))
		return
	}
	if !slices.Contains(o.source.demands, d) {
		o.source.demands = append(o.source.demands, d)
	}
}

// settle turns what is demanded of each source into edits and parameters.
func (a *analysis) settle() {
	for _, at := range sortedKeys(a.literals) {
		s := a.literals[at]
		if slot := a.slotOf(s); slot != nil {
			slot.Value, slot.Number = s.value, s.number
			edit := Edit{Start: s.start, End: s.end}
			if s.wide != nil {
				edit = *s.wide
			}
			edit.Slot = slot
			a.edits[edit.Start] = edit
		}
	}
	for _, number := range sortedKeys(a.params) {
		if slot := a.slotOf(a.params[number]); slot != nil {
			a.st.Params = append(a.st.Params, Param{Number: number, Slot: *slot})
		}
	}
	a.st.Highest = a.tokens.highest(a.sql)
}

// slotOf is the one token that satisfies all demands on a source; nil where there is none.
func (a *analysis) slotOf(s *source) *Slot {
	switch {
	case len(s.demands) > 0:
	case s.parted != nil:
		p := s.parted.protection
		return &Slot{Column: p.Column, Scheme: p.Scheme, Group: p.Group, Use: Store, Row: s.parted.row, Parted: true}
	default:
		return nil
	}
	first := s.demands[0]
	column := first.protection.Column
	if s.plain {
		a.refuse(&Refusal{
			Code: CodeUntraceable, Position: s.start,
			Sentence: "one value is used for " + column.String() + " and for something that is not protected in the same way",
			Hint:     "Give the value twice: as two parameters or two literals. To test for NULL write $1 IS NULL.",
		})
		return nil
	}
	slot := &Slot{
		Column: column, Scheme: first.protection.Scheme, Group: first.protection.Group, Use: first.use, Array: first.array, Row: first.row, Forms: forms(s.demands),
		Plain: slices.ContainsFunc(s.demands, func(d demand) bool { return d.use == Store && d.protection.Plain }),
	}
	for _, d := range s.demands[1:] {
		same := d.protection.Scheme == slot.Scheme && d.protection.Group == slot.Group && d.array == slot.Array
		if !deterministic(slot.Scheme) {
			same = same && d.use == slot.Use && d.protection.Column == column
		}
		if !same {
			a.refuse(&Refusal{
				Code: CodeUntraceable, Position: s.start,
				Sentence: "one value is used for " + column.String() + " and for " + d.protection.Column.String() + " in ways that need different tokens",
				Hint:     "Give the value twice: as two parameters or two literals.",
			})
			return nil
		}
		if d.use == Store {
			if slot.Use == Store && d.row != slot.Row || d.protection.Column != slot.Column && slot.Use == Store {
				slot.Row = nil // it goes to several places
			} else {
				slot.Row = d.row
			}
			slot.Use, slot.Column = Store, d.protection.Column
		}
	}
	return slot
}
