package query

import (
	"cmp"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"sallyport"
)

// A column that is merely masked holds plain values, so nothing that is true of tokens is true of it: an expression over it
// may be the value, a comparison tells about it, and a copy elsewhere would be readable. This file follows masked columns
// through a statement apart from protected ones. Which outputs may hold something of them stands in Statement.Veiled; what
// could carry them past the result, or find them out other than by asking whether a whole value is this one, is refused.

// Mask says that a column is masked. For a view's column it is that of the base table.
type Mask struct {
	Column  sallyport.Column
	Derived bool // a view's or generated column, made from masked ones
}

// veil is how much of masked columns stands in a value.
type veil uint8

const (
	bare   veil = iota
	asked       // whether a masked column equals something
	exact       // what stands in a masked column, in upper or lower case perhaps
	filled      // that, or a literal or parameter in its stead
	made        // made from masked columns in any other way
)

// whole tells whether equality with the value asks for no part of what stands in a masked column.
func (v veil) whole() bool { return v == exact || v == filled }

// veiled is the thickest veil over a value and the fields of it.
func (v *value) veiled() veil {
	thick := v.veil
	for i := range v.row {
		thick = max(thick, v.row[i].value.veiled())
	}
	return thick
}

// masks is one of the masked columns that a value comes from, or nil.
func (v *value) masks() *Mask {
	if v.mask != nil {
		return v.mask
	}
	for i := range v.row {
		if m := v.row[i].value.masks(); m != nil {
			return m
		}
	}
	return nil
}

// under puts a value under a veil, or under that of what it was made from.
func (v value) under(thick veil, of *Mask) value {
	v.veil, v.mask = max(v.veil, thick), cmp.Or(v.mask, of)
	return v
}

// madeFrom is the value with what any of others holds of masked columns.
func (v value) madeFrom(others ...value) value {
	for i := range others {
		if others[i].veiled() > bare {
			v = v.under(made, others[i].masks())
		}
	}
	return v
}

// eitherVeil is the veil over what may be the one or the other.
func eitherVeil(a, b value) veil {
	switch x, y := a.veiled(), b.veiled(); {
	case x.whole() && y.whole() && a.masks().Column != b.masks().Column:
		return made
	case x == y:
		return x
	case x.whole() && y.whole():
		return filled
	case x+y == asked: // or a truth value that tells nothing
		return asked
	default:
		return made
	}
}

// truth is what a comparison yields.
func truth(left, right value) value {
	v := value{calc: true}
	if left.veiled() > bare || right.veiled() > bare {
		v = v.under(asked, cmp.Or(left.masks(), right.masks()))
	}
	return v
}

// output evaluates an expression whose value goes on as it is: to the client, to a query around, or into a table. Whatever
// names a masked column inside is held to be made from it, unless a rule said that it tells nothing.
func (a *analysis) output(node *pg.Node, sc *scope) value {
	before := a.reads
	v := a.expression(node, sc)
	if a.reads != before && v.veiled() == bare {
		v = v.under(made, a.lastMask)
	}
	return v
}

// apart evaluates what tells nothing of the masked columns that it names: a condition, or the inside of a count.
func (a *analysis) apart(evaluate func()) {
	before := a.reads
	evaluate()
	a.reads = before
}

// condition evaluates what decides which rows there are. Of masked columns it may ask whether a whole value is this one.
func (a *analysis) condition(node *pg.Node, sc *scope) {
	a.apart(func() {
		v := a.expression(node, sc)
		if v.veiled() == made {
			a.refuse(unmasking("something computed from a masked column decides which rows there are", &v, a.location(node)))
		}
		a.spend(v)
	})
}

// amount evaluates a number of rows, which nothing masked may decide.
func (a *analysis) amount(node *pg.Node, sc *scope) {
	a.apart(func() {
		v := a.expression(node, sc)
		if v.veiled() > bare {
			a.refuse(unmasking("a masked column decides how many rows there are", &v, a.location(node)))
		}
		a.spend(v)
	})
}

// compareMasked lets a masked column be held equal to another one, and to what the statement itself gives. Rows of an open
// table would be as many guesses as somebody could write into it.
func (a *analysis) compareMasked(at int, left, right value) {
	for _, side := range []value{left, right} {
		switch {
		case side.empty() || side.given:
		case side.veiled() == made:
			a.refuse(unmasking("something computed from a masked column is compared", &side, at))
		case side.veiled() == bare:
			both := either(left, right)
			a.refuse(unmasking("a masked column is compared with something that is neither a literal nor a parameter nor a masked column", &both, at))
		}
	}
}

// folds are functions of a text after which equality still means the same whole value.
func folds(name string) bool {
	switch name {
	case "lower", "upper", "btrim":
		return true
	}
	return false
}

// callMasked is a function over masked columns. Only such are let through as can neither fail nor linger nor leave anything
// behind by what a value is.
func (a *analysis) callMasked(qualifier, name string, args []value, all value, at int) value {
	first, others := value{}, false // is a masked column anywhere but in the first argument?
	if len(args) > 0 {
		first = args[0]
	}
	for i := 1; i < len(args); i++ {
		others = others || args[i].veiled() > bare
	}
	switch {
	case a.schema.ours(qualifier, name), tells(name, args), weighs(name) && !a.weighable(name, args):
	case folds(name) && len(args) == 1 && first.veiled().whole() && first.row == nil:
		return value{open: true, veil: first.veil, mask: first.mask, array: first.array}
	case passive(name), !others && mild(name) && numeric(args[1:]), others && first.veiled() == bare && reads(name):
		return value{open: true, veil: made, mask: all.mask}
	}
	a.refuse(unmasking("this function is not called on masked columns: it might tell what stands there, or leave it elsewhere", &all, at))
	return value{open: true, veil: made, mask: all.mask}
}

// tells tells whether a call that is passive otherwise finds a value out: what is looked up under it, or so many rows away, is NULL or not,
// and what becomes longer or shorter by what stands in it is too long or not once it is joined to itself often enough.
func tells(name string, args []value) bool {
	switch name {
	case "json_build_object", "jsonb_build_object":
		for i := range args {
			if args[i].array || i%2 == 0 && args[i].veiled() > bare {
				return true
			}
		}
	case "lag", "lead":
		return len(args) > 1 && args[1].veiled() > bare
	case "format":
		text, known := args[0].literal()
		return !known || !formatsPlainly(text)
	case "btrim", "ltrim", "rtrim":
		return len(args) > 1
	case "age": // since a day that somebody chose: longer or shorter by which of the two was first
		return len(args) > 1 && (args[0].digits || !args[0].harmless())
	case "timezone":
		zone, known := args[0].literal()
		return !known || !namesZone(zone)
	case "date_trunc": // in a time zone
		return len(args) > 2
	case "replace", "translate":
		if len(args) != 3 {
			return true
		}
		from, known := args[1].literal()
		to, knownToo := args[2].literal()
		return !known || !knownToo || len(to) != len(from) || !ascii(from+to)
	}
	return false
}

// formatsPlainly tells whether format's text takes values as they are: %I and %L put quotes around some and not around others, * takes a width.
func formatsPlainly(text string) bool {
	for {
		_, rest, found := strings.Cut(text, "%")
		if !found {
			return true
		}
		rest = strings.TrimLeft(rest, "0123456789$-")
		if rest == "" || rest[0] != 's' && rest[0] != '%' {
			return false
		}
		text = rest[1:]
	}
}

// namesZone tells whether a time zone is one by name: others are as many hours away as somebody likes.
func namesZone(zone string) bool {
	return zone != "" && !strings.ContainsFunc(zone, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '/' && r != '_'
	})
}

// weighs are functions that hold values against each other, or run over by how large one is.
func weighs(name string) bool {
	switch name {
	case "min", "max", "sum", "avg":
		return true
	}
	return false
}

// weighable tells whether they may have it: what stands in one masked column, no more. Beside anything that the statement itself brings along, which of the two is
// returned, seen by its length, or whether both together are too much, is a comparison. The sum of integers and floats never is too much;
// that of a numeric, of money, of spans of time may be, and rows of one's own would do to see it.
func (a *analysis) weighable(name string, args []value) bool {
	switch {
	case len(args) != 1 || args[0].row != nil:
		return false
	case args[0].veiled() == asked: // tells what equality tells
		return true
	}
	return args[0].veil == exact && (name == "min" || name == "max" || a.schema.integers(args[0].mask.Column))
}

// weighMasked refuses greatest and least likewise.
func (a *analysis) weighMasked(args []value, at int) {
	all := value{}
	for i := range args {
		all = either(all, args[i])
	}
	if all.veiled() > exact || all.veiled() > bare && all.row != nil {
		a.refuse(unmasking("a masked column is held against something else, the larger or smaller of which would be seen", &all, at))
	}
}

// literal is the one literal that a value is; false: it is something else.
func (v *value) literal() (string, bool) {
	if len(v.sources) != 1 || v.open || v.calc || v.array || v.row != nil || v.veil > bare || v.sources[0].source.param > 0 {
		return "", false
	}
	return v.sources[0].source.value, true
}

// passive are functions that take anything anywhere.
func passive(name string) bool {
	switch name {
	case "lower", "upper", "initcap", "btrim", "ltrim", "rtrim", "length", "char_length", "character_length", "octet_length", "bit_length", "md5", "reverse",
		"concat", "concat_ws", "string_agg", "array_agg", "array_to_string", "replace", "translate",
		"to_json", "to_jsonb", "row_to_json", "json_agg", "jsonb_agg", "json_build_array", "jsonb_build_array", "json_build_object", "jsonb_build_object",
		"sum", "avg", "min", "max", "bool_and", "bool_or", "every", "lag", "lead", "first_value", "last_value", "any_value", "age":
		return true
	}
	return false
}

// mild are functions whose first argument may be masked, with numbers behind.
func mild(name string) bool {
	switch name {
	case "left", "right", "substr", "substring":
		return true
	}
	return false
}

// reads are functions whose first argument says how to read the others.
func reads(name string) bool {
	switch name {
	case "format", "date_part", "date_trunc", "extract", "timezone":
		return true
	}
	return false
}

// numeric tells whether arguments are numbers of the text.
func numeric(args []value) bool {
	for i := range args {
		if args[i].veiled() > bare || !args[i].clean() {
			return false
		}
	}
	return true
}

// computeMasked is an operator over masked columns that yields something else than a truth value.
func (a *analysis) computeMasked(qualifier, name string, left, right value, at int) value {
	both := value{open: true}.madeFrom(left, right)
	switch name {
	case "||", "->", "->>", "#>", "#>>":
		if (name == "||" || right.veiled() == bare) && !a.schema.ours(qualifier, "operator "+name) {
			return both
		}
	}
	a.refuse(unmasking("this operator is not used on masked columns: it might tell what stands there", &both, at))
	return both
}

// castMasked is a cast of a masked value: only text takes whatever stands there.
func (a *analysis) castMasked(v value, t *pg.TypeName, at int) value {
	out := value{open: true, array: v.array}.madeFrom(v)
	switch {
	case kindOfType(t) == textType && len(t.GetTypmods()) == 0 && v.row == nil:
		out.veil = v.veiled()
	case kindOfType(t) == textType && len(t.GetTypmods()) == 0, v.row != nil && len(t.GetArrayBounds()) == 0 && kindOfType(t) == textType:
	default:
		a.refuse(unmasking("a masked column is cast to something else than text, which would fail or not by what stands there", &out, at))
	}
	return out
}

// launders refuses to store what would be readable where it is stored, or could be found out there: a part of a value in
// another masked column is guessed soon. A column takes what stood in it.
func (a *analysis) launders(t target, name string, v value, at int) {
	thick := v.veiled()
	if thick == bare {
		return
	}
	if c := t.info(name); c != nil && c.Mask != nil && !c.Mask.Derived {
		if thick.whole() && v.row == nil && v.mask.Column == c.Mask.Column {
			return
		}
	}
	a.refuse(copied(&v, at))
}

// keeps refuses a query whose result would be kept as a relation of its own.
func (a *analysis) keeps(r result, at int) {
	if v := r.asValue(true); v.veiled() > bare {
		a.refuse(copied(&v, at))
	}
}

// results notes what the outputs of the statement hold.
func (a *analysis) results(r result) {
	a.st.Veiled = nil
	if r.vague {
		return
	}
	a.st.Veiled = make([]bool, len(r.columns))
	for i := range r.columns {
		a.st.Veiled[i] = r.columns[i].value.veiled() > bare
	}
}

// Masked tells whether any column is masked or computed from masked ones.
func (r *Relation) Masked() bool {
	for i := range r.Columns {
		if r.Columns[i].Mask != nil {
			return true
		}
	}
	return false
}

// closed tells whether definitions may not build on a relation: it has protected or masked columns.
func (r *Relation) closed() bool { return r.Protected() || r.Masked() }

// masks is one of the masked columns of a FROM item, or nil.
func (it *item) masks() *Mask {
	for i := range it.columns {
		if m := it.columns[i].value.masks(); m != nil {
			return m
		}
	}
	return it.rest.masks()
}

// maskInReach is a masked column of any item in reach, or nil.
func (s *scope) maskInReach() *Mask {
	for ; s != nil; s = s.next() {
		for _, it := range s.items {
			if m := it.masks(); m != nil {
				return m
			}
		}
	}
	return nil
}

func anyMasked(list []field) bool {
	for i := range list {
		if list[i].value.veiled() > bare {
			return true
		}
	}
	return false
}

// peeks are functions that show stored rows or other sessions' statements past every table.
func peeks(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{
		"pg_stat_get_activity", "pg_stat_get_backend_activity", "pg_stat_statements", "pg_mcv_list", "get_raw_page", "page_items", "page_item", "tuple_data_split",
		"pg_get_wal_", "pg_logical_slot_", "pg_logical_emit", "pg_stats", "pg_dirtyread",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// checkPeek refuses those where a column is masked.
func (a *analysis) checkPeek(name string, at int) {
	if a.schema.Masks && peeks(name) {
		a.refuse(&Refusal{
			Code: CodeMasked, Position: at, Sentence: "functions that show stored rows or other people's statements are not called where columns are masked",
			Hint: directly,
		})
	}
}

// checkStore refuses the tables in which the server keeps long values in pieces (TOAST): nothing there says whose column they are of.
func (a *analysis) checkStore(table string, at int) {
	if a.schema.Masks && strings.HasPrefix(table, "pg_toast") {
		a.refuse(&Refusal{Code: CodeMasked, Position: at, Sentence: "the server's own store of long values is not read where columns are masked", Hint: directly})
	}
}

func unmasking(sentence string, v *value, at int) *Refusal {
	return &Refusal{
		Code: CodeMasked, Position: at, Sentence: sentence + aboutMask(v),
		Hint: "A masked column can be read (masked), counted, and compared by =, <>, IN, = ANY and IS NULL with a literal, a parameter or another masked column.",
	}
}

func copied(v *value, at int) *Refusal {
	return &Refusal{
		Code: CodeMasked, Position: at, Sentence: "what stands in a masked column would be copied to where it is not masked" + aboutMask(v),
		Hint: "Leave the column out, or have somebody do it whom the configuration names under mask.seen_by.",
	}
}

func aboutMask(v *value) string {
	if m := v.masks(); m != nil {
		return about(m.Column)
	}
	return ""
}

// inMaskedWords says what a refusal says where nothing is protected: of a column that is merely masked nobody says it is.
func inMaskedWords(r *Refusal) *Refusal {
	words := strings.NewReplacer(
		"in a protected database", "where columns are masked", "a protected table", "a table with masked columns", "a protected one", "one with masked columns",
		"several protected relations", "several relations with masked columns", "protected columns", "masked columns", "something protected", "something masked",
	)
	out := *r
	out.Sentence, out.Hint = words.Replace(r.Sentence), words.Replace(r.Hint)
	return &out
}
