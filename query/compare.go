package query

import (
	"cmp"

	pg "github.com/pganalyze/pg_query_go/v6"

	"sallyport"
)

// operator evaluates what stands around an operator.
func (a *analysis) operator(n *pg.A_Expr, sc *scope) value {
	at := int(n.Location)
	qualifier, name := lastName(n.Name)
	switch n.Kind {
	case pg.A_Expr_Kind_AEXPR_OP:
		if n.Lexpr == nil || n.Rexpr == nil {
			return a.compute("", name, a.expression(n.Lexpr, sc), a.expression(n.Rexpr, sc), at)
		}
		left, right := a.expression(n.Lexpr, sc), a.expression(n.Rexpr, sc)
		if comparison(name) {
			a.place = scalarPlace(n, name, &left, &right)
			a.relate(qualifier, name, left, right, at)
			a.place = nil
			return truth(left, right)
		}
		return a.compute(qualifier, name, left, right, at)
	case pg.A_Expr_Kind_AEXPR_OP_ANY, pg.A_Expr_Kind_AEXPR_OP_ALL:
		left, right := a.expression(n.Lexpr, sc), a.expression(n.Rexpr, sc)
		a.place = arrayPlace(n, name, &left, &right)
		a.relate(qualifier, name, left, right.elements(), at)
		a.place = nil
		return truth(left, right)
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg.A_Expr_Kind_AEXPR_IN:
		left, right := a.expression(n.Lexpr, sc), a.expression(n.Rexpr, sc)
		if n.Kind == pg.A_Expr_Kind_AEXPR_IN {
			a.place = listPlace(n.Rexpr.GetList().GetItems(), &left, &right)
		} else {
			a.place = a.distinctPlace(n, &left, &right)
		}
		a.compare(at, left, right)
		a.place = nil
		return truth(left, right)
	case pg.A_Expr_Kind_AEXPR_NULLIF:
		left, right := a.expression(n.Lexpr, sc), a.expression(n.Rexpr, sc)
		a.compare(at, left, right)
		return left.madeFrom(left, right)
	case pg.A_Expr_Kind_AEXPR_LIKE, pg.A_Expr_Kind_AEXPR_ILIKE, pg.A_Expr_Kind_AEXPR_SIMILAR, pg.A_Expr_Kind_AEXPR_BETWEEN,
		pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM, pg.A_Expr_Kind_A_EXPR_KIND_UNDEFINED:
	}
	left, right := a.expression(n.Lexpr, sc), a.expression(n.Rexpr, sc)
	a.relate("", "~~", left, right, at)
	return truth(left, right)
}

// comparison tells whether an operator yields a truth value about two values of one kind.
func comparison(name string) bool {
	switch name {
	case "=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*", "^@", "~<~", "~>~", "~<=~", "~>=~":
		return true
	}
	return false
}

// relate compares two values by an operator. Only equality can be answered on tokens.
func (a *analysis) relate(qualifier, name string, left, right value, at int) {
	a.checkFunction("operator "+name, at, either(left, right))
	a.lean(qualifier, "operator "+name)
	equality := (name == "=" || name == "<>") && (qualifier == "" || qualifier == "pg_catalog")
	if equality {
		a.compare(at, left, right)
		return
	}
	if left.veiled() > bare || right.veiled() > bare {
		both := value{}.madeFrom(left, right)
		a.refuse(unmasking("this comparison would find out a masked column bit by bit", &both, at))
	}
	if left.protected() || right.protected() {
		both := either(left, right)
		a.refuse(unanswered(both.column(), at))
	}
	a.spend(left)
	a.spend(right)
}

// compare holds two values equal or not, and demands tokens of what is compared with protected columns.
func (a *analysis) compare(at int, left, right value) {
	if left.row != nil || right.row != nil {
		a.compareRows(at, left, right)
		return
	}
	if left.array != right.array {
		left, right = left.elements(), right.elements()
	}
	if left.veil > bare || right.veil > bare {
		a.compareMasked(at, left, right)
	}
	if !left.protected() && !right.protected() {
		a.spend(left)
		a.spend(right)
		return
	}
	if left.empty() || right.empty() { // with NULL
		return
	}
	both := either(left, right)
	column := both.column()
	switch {
	case both.mixed:
		a.refuse(computed(column, at))
	case both.cut:
		a.refuse(shortened(column, at))
	case both.open || both.calc:
		a.refuse(untraced(column, at))
	default:
		a.matchAll(at, both)
	}
}

// compareRows compares field by field.
func (a *analysis) compareRows(at int, left, right value) {
	if len(left.row) == len(right.row) {
		for i := range left.row {
			a.compare(at, left.row[i].value, right.row[i].value)
		}
		return
	}
	if both := (value{}).madeFrom(left, right); both.veil > bare {
		a.refuse(unmasking("a row with a masked column is compared with something of another shape", &both, at))
	}
	if (left.protected() || right.protected()) && !left.empty() && !right.empty() {
		both := value{stored: join(left.allStored(), right.allStored())}
		a.refuse(untraced(both.column(), at))
	}
	a.spend(left)
	a.spend(right)
}

// matchAll demands that everything that both sides may be has one and the same form of token.
func (a *analysis) matchAll(at int, both value) {
	first := both.stored[0].protection
	for _, s := range both.stored[1:] {
		if s.protection.Scheme != first.Scheme || s.protection.Group != first.Group {
			a.refuse(&Refusal{
				Code: CodeUntraceable, Position: at,
				Sentence: s.protection.Column.String() + " and " + first.Column.String() + " have different tokens, so they cannot be compared",
				Hint:     "Compare columns of one scheme and group.",
			})
			return
		}
	}
	switch first.Scheme {
	case sallyport.Text:
		a.refuse(&Refusal{
			Code: CodeUnanswered, Position: at, Sentence: "free text cannot be searched: " + first.Column.String(),
			Hint: "Find the row by its key, or by e-mail, phone, ticket number or full name.",
		})
		return
	case sallyport.Name:
		if len(both.stored) > 1 || both.stored[0].ref.end == 0 {
			a.refuse(&Refusal{
				Code: CodeUnanswered, Position: at, Sentence: first.Column.String() + " can only be compared with a literal or parameter, where the column itself is named",
				Hint: "Write " + first.Column.Name + " = 'the full name' in the WHERE clause of the table's own query.",
			})
			return
		}
		a.leftOf(both.stored[0])
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID:
	}
	for _, o := range both.sources {
		a.demand(o, demand{protection: widest(both.stored), use: Match, array: o.element}, at)
	}
	a.widen(at, both)
}

// leftOf puts the first 20 characters of a name's token in the place of the column: they are its blind index.
func (a *analysis) leftOf(s stored) {
	a.edits[s.ref.start] = Edit{Start: s.ref.start, End: s.ref.end, Text: a.columnSide(s)}
}

// group treats a value as the database treats what it groups, sorts out or partitions by: it is compared with itself.
func (a *analysis) group(at int, v value) {
	if v.row != nil {
		for _, f := range v.row {
			a.group(at, f.value)
		}
		return
	}
	switch {
	case v.veil == made:
		a.refuse(unmasking("rows are put together by something computed from a masked column", &v, at))
	case !v.protected():
		a.spend(v)
	case twofold(v.stored) && !a.oneRowEach(v.stored):
		a.refuse(unsettled(widest(v.stored).Column, at))
	case len(v.sources) == 0 && !v.open: // tokens among themselves
	case v.mixed:
		a.refuse(computed(v.column(), at))
	case v.open || v.calc:
		a.refuse(untraced(v.column(), at))
	case v.cut:
		a.refuse(shortened(v.column(), at))
	case !deterministic(v.stored[0].protection.Scheme):
		a.refuse(unanswered(v.column(), at))
	case len(v.sources) > 0 && widest(v.stored).Forms > 1:
		a.refuse(unsettled(widest(v.stored).Column, at))
	default:
		a.matchAll(at, v)
	}
}

// sortsMasked refuses what has the server sort by a masked column, as DISTINCT ON and PARTITION BY do.
func (a *analysis) sortsMasked(at int, v value) bool {
	if v.veiled() == bare {
		return false
	}
	a.refuse(unmasking("sorting by a masked column would tell its order", &v, at))
	return true
}

// sorts refuses to order by tokens.
func (a *analysis) sorts(at int, v value) {
	a.sortsMasked(at, v)
	if !v.protected() {
		a.spend(v)
		return
	}
	a.refuse(&Refusal{
		Code: CodeUnanswered, Position: at, Sentence: "tokens have no order" + about(v.column()),
		Hint: "Order by another column, or sort after reading.",
	})
}

// extreme is greatest, least, min and max.
func (a *analysis) extreme(args []value, at int) value {
	a.weighMasked(args, at)
	g := gather{}
	for _, arg := range args {
		g.add(arg)
	}
	v := g.value()
	if v.protected() {
		a.refuse(&Refusal{
			Code: CodeUnanswered, Position: at, Sentence: "tokens have no order" + about(v.column()),
			Hint: "Leave out min, max, greatest and least of protected columns.",
		})
	}
	for _, arg := range args {
		a.spend(arg)
	}
	return v.garbled(true)
}

// compute is an operator that yields a new value.
func (a *analysis) compute(qualifier, name string, left, right value, at int) (out value) {
	a.spend(left)
	a.spend(right)
	both := either(left, right)
	a.checkFunction("operator "+name, at, both)
	a.lean(qualifier, "operator "+name)
	veils := left.veiled() > bare || right.veiled() > bare
	if veils {
		if v := a.computeMasked(qualifier, name, left, right, at); !both.protected() {
			return v.madeFrom(both)
		}
		veiled := both
		defer func() { out = out.madeFrom(veiled) }()
	}
	if !left.protected() && !right.protected() {
		if left.harmless() && right.harmless() && arithmetic(name) && qualifier == "" {
			chosen := left.digits || right.digits || len(left.sources)+len(right.sources) > 0
			return value{calc: true, digits: chosen}
		}
		return value{open: true}
	}
	both = value{mixed: true, of: cmp.Or(left.origin(), right.origin())}
	clean := left.clean() && right.clean()
	if clean && (left.chosen() || right.chosen()) && (a.hasNumbers(&left) || a.hasNumbers(&right)) {
		clean = false
	}
	switch {
	case name == "||":
		return both.garbled(!clean)
	case clean:
		return both
	case (name == "->" || name == "->>") && left.rowJSON: // the key is a column's name
		return both
	}
	a.refuse(unanswered(both.column(), at))
	return both.garbled(true)
}

func arithmetic(name string) bool {
	switch name {
	case "+", "-", "*", "/", "%", "^", "|", "&", "#", "<<", ">>", "@", "|/", "||/":
		return true
	}
	return false
}

// about names a column where one is known.
func about(c sallyport.Column) string {
	if c == (sallyport.Column{}) {
		return ""
	}
	return ": " + c.String()
}

func unanswered(c sallyport.Column, at int) *Refusal {
	return &Refusal{
		Code: CodeUnanswered, Position: at, Sentence: "tokens cannot answer this comparison" + about(c),
		Hint: "Only =, <>, IN, = ANY and IS DISTINCT FROM work on protected columns, with the column by itself on one side.",
	}
}

func computed(c sallyport.Column, at int) *Refusal {
	return &Refusal{
		Code: CodeUnanswered, Position: at, Sentence: "something computed from a protected column is compared" + about(c),
		Hint: "Compare the column itself: upper and lower case and spellings are unified when a value is tokenised.",
	}
}

func untraced(c sallyport.Column, at int) *Refusal {
	return &Refusal{
		Code: CodeUntraceable, Position: at, Sentence: "a protected column is compared with a value that cannot be traced to a literal or a parameter" + about(c),
		Hint: "Compare with a literal, with a parameter, or with a column that is protected in the same way, and write each table's name in front of its columns.",
	}
}

func shortened(c sallyport.Column, at int) *Refusal {
	return &Refusal{
		Code: CodeUntraceable, Position: at, Sentence: "a cast with a length would cut the token" + about(c),
		Hint: "Cast to text, or leave the cast out.",
	}
}
