package query

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"sallyport"
)

// call evaluates a function.
func (a *analysis) call(n *pg.FuncCall, sc *scope) value {
	at := int(n.Location)
	qualifier, name := lastName(n.Funcname)
	if len(n.Args) > maxArguments {
		a.refuse(&Refusal{Code: "54023", Position: at, Sentence: "a function takes at most 100 arguments", Hint: "Pass an array."})
		return value{open: true}
	}
	before := a.reads
	args := a.all(n.Args, sc)
	if counts(name) {
		a.reads = before
	}
	a.over(n, args, sc)
	all := value{}
	for _, arg := range args {
		if arg.row != nil { // either would ask for rows of one shape
			arg = value{sources: arg.allSources(), stored: arg.allStored(), mixed: arg.protected(), of: arg.origin(), open: !arg.clean(), digits: true}.madeFrom(arg)
		}
		arg.array = false
		all = either(all, arg)
	}
	if refusal := dynamic(qualifier, name, at); refusal != nil {
		a.refuse(refusal)
	}
	a.checkFunction(name, at, all)
	a.setConfig(name, n.Args)
	a.lean(qualifier, name)
	switch {
	case len(args) == 1 && args[0].field(name) != nil: // email(c) is c.email
		return args[0].field(name).value
	case all.veiled() > bare && !counts(name):
		a.spend(all)
		v := a.callMasked(qualifier, name, args, all, at)
		v.mixed, v.of = all.protected(), all.origin() // plain values of a column that is moving: nothing compares with what is made of them
		return v
	case name == "unnest" && len(args) == 1:
		return args[0].elements()
	case (name == "min" || name == "max") && all.protected():
		return a.extreme(args, at)
	}
	a.spend(all)
	if !all.protected() {
		given := clock(name) && len(args) == 0 || folds(name) && all.given && !a.schema.ours(qualifier, name)
		return value{open: !(clock(name) && len(args) == 0) && !counts(name), calc: true, digits: !clock(name), given: given}
	}
	return a.derive(name, args, all, at)
}

// over evaluates what stands behind a call: ORDER BY, FILTER, OVER, and DISTINCT inside.
func (a *analysis) over(n *pg.FuncCall, args []value, sc *scope) {
	for _, by := range n.AggOrder {
		node := by.GetSortBy().GetNode()
		a.sorts(a.location(node), a.expression(node, sc))
	}
	a.condition(n.AggFilter, sc)
	if n.AggDistinct {
		for _, arg := range args {
			a.group(int(n.Location), arg)
		}
	}
	if n.Over != nil {
		a.window(n.Over, sc)
	}
}

func (a *analysis) window(w *pg.WindowDef, sc *scope) {
	for _, p := range w.PartitionClause {
		v := a.expression(p, sc)
		if a.sortsMasked(a.location(p), v) {
			continue
		}
		a.group(a.location(p), v)
	}
	for _, by := range w.OrderClause {
		node := by.GetSortBy().GetNode()
		a.sorts(a.location(node), a.expression(node, sc))
	}
	a.amount(w.StartOffset, sc)
	a.amount(w.EndOffset, sc)
}

// derive is what a function makes of protected columns. Tokens go in, so garbage comes out, and nothing plain passes: but
// only where no text of the statement goes in beside them, since the function might compare the two.
func (a *analysis) derive(name string, args []value, all value, at int) value {
	if counts(name) {
		return value{calc: true}
	}
	out := value{mixed: true, of: all.origin()}
	if wholeRowJSON(name) && len(args) == 1 && args[0].row != nil {
		out.rowJSON = true
		return out
	}
	alone, numbers := true, a.hasNumbers(&all)
	for _, arg := range args {
		alone = alone && arg.clean() && !(numbers && arg.chosen())
	}
	switch {
	case alone || formats(name):
		return out
	case unary(name) && len(args) == 1 && !args[0].array && args[0].row == nil: // one value is not compared with another
		out.open = true
		return out
	case joins(name) && !keyed(name, args):
		out.open = true
		return out
	}
	a.refuse(&Refusal{
		Code: CodeUnanswered, Position: at, Sentence: "a function takes a protected column together with another value, and would see a token" + about(all.column()),
		Hint: "Compare with = and the whole value, or process what you read in the application.",
	})
	out.open = true
	return out
}

// counts are functions whose result says nothing of what their arguments hold.
func counts(name string) bool {
	switch name {
	case "count", "num_nulls", "num_nonnulls", "pg_typeof":
		return true
	}
	return false
}

// formats are functions whose text arguments say how to write the value, and are not held against it.
func formats(name string) bool {
	switch name {
	case "to_char", "date_trunc", "date_part", "extract", "timezone", "encode", "convert_to", "digest", "left", "right":
		return true
	}
	return false
}

// unary are functions of one text that look at nothing else.
func unary(name string) bool {
	switch name {
	case "upper", "lower", "initcap", "length", "char_length", "character_length", "octet_length", "bit_length", "btrim", "ltrim", "rtrim",
		"md5", "sha256", "reverse", "quote_literal", "quote_nullable", "to_json", "to_jsonb":
		return true
	}
	return false
}

// joins are functions that put their arguments side by side.
func joins(name string) bool {
	switch name {
	case "concat", "concat_ws", "format", "string_agg", "array_agg", "array_to_string", "lpad", "rpad", "json_build_object", "jsonb_build_object",
		"json_build_array", "jsonb_build_array", "json_agg", "jsonb_agg", "quote_literal", "quote_nullable", "array_append", "array_cat", "array_prepend":
		return true
	}
	return false
}

// keyed tells whether an object gets a protected column as a key: jsonb holds its keys against each other.
func keyed(name string, args []value) bool {
	if name != "json_build_object" && name != "jsonb_build_object" {
		return false
	}
	for i := 0; i < len(args); i += 2 {
		if args[i].protected() || args[i].array {
			return true
		}
	}
	return false
}

func wholeRowJSON(name string) bool {
	switch name {
	case "row_to_json", "to_json", "to_jsonb":
		return true
	}
	return false
}

// clock are functions that yield the moment.
func clock(name string) bool {
	switch name {
	case "now", "clock_timestamp", "statement_timestamp", "transaction_timestamp":
		return true
	}
	return false
}

// checkFunction refuses functions of the database that could do what the gateway cannot see: any value that somebody chose
// might be written or compared in there, a phone number as a number too. The schema may list types and operators whose
// functions are dangerous under the type's name and as "operator NAME".
func (a *analysis) checkFunction(name string, at int, args value) {
	a.exercise(functionPower(name))
	a.checkPeek(name, at)
	if refusal := dynamic("", name, at); refusal != nil { // also of t.f, which is f(t)
		a.refuse(refusal)
	}
	risk, ok := a.schema.risk(name)
	if !ok {
		return
	}
	if !risk.Writes && args.clean() && !args.digits && len(args.sources) == 0 {
		return
	}
	a.refuse(&Refusal{
		Code: CodeUntraceable, Position: at, Sentence: "what this function does with its arguments cannot be traced: " + risk.Why,
		Hint: "Write what the function does as a statement of its own.",
	})
}

// checkType refuses types whose input checks could do such things.
func (a *analysis) checkType(t *pg.TypeName, v value) {
	if qualifier, name := lastName(t.GetNames()); name != "" { // also one that came with the server: a cast to it may have been made
		a.lean(qualifier, name)
		a.checkFunction(name, int(t.GetLocation()), v)
	}
}

// dynamic refuses functions that run SQL from a text, or reach files and other servers.
func dynamic(qualifier, name string, at int) *Refusal {
	lower := strings.ToLower(name)
	known := false
	switch lower {
	case "lo_import", "lo_export", "cursor_to_xml", "cursor_to_xmlschema", "ts_stat", "ts_rewrite", "xpath_table", "connectby", "run_command_on_workers",
		"run_command_on_placements", "run_command_on_shards", "pg_execute_server_program", "pg_file_write", "pg_file_rename", "pg_file_unlink", "pg_background_launch":
		known = true
	}
	for _, prefix := range []string{
		"dblink", "pg_read_file", "pg_read_binary_file", "pg_stat_file", "pg_ls_", "query_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml", "crosstab", "plpgsql_call",
		"plpython", "plperl", "pltcl",
	} {
		known = known || strings.HasPrefix(lower, prefix)
	}
	known = known || strings.EqualFold(qualifier, "cron") || strings.EqualFold(qualifier, "dblink")
	if !known {
		return nil
	}
	return &Refusal{
		Code: CodeForbidden, Position: at, Sentence: "functions that run SQL from a text or reach files and other servers are not allowed in a protected database",
		Hint: "Send the inner statement itself.",
	}
}

// cast evaluates value::type.
func (a *analysis) cast(n *pg.TypeCast, sc *scope) (out value) {
	v := a.expression(n.Arg, sc)
	t := n.TypeName
	for _, m := range t.GetTypmods() {
		a.expression(m, sc)
	}
	isArray := len(t.GetArrayBounds()) > 0
	a.checkType(t, v)
	if v.veiled() > bare {
		masked := a.castMasked(v, t, int(n.Location))
		if !v.protected() || v.row != nil {
			a.spend(v)
			masked.mixed, masked.of = v.protected(), v.origin()
			return masked
		}
		defer func() { out = out.under(masked.veil, masked.mask) }()
	}
	if v.row != nil {
		a.spend(v)
		return v.garbled(true)
	}
	if isArray && !v.array {
		v = v.elements()
		v.array = true
	} else if !isArray && v.array {
		a.spend(v)
		return v.garbled(true)
	}
	if own, ok := a.ownType(t); ok {
		if kept, ok := castToOwn(v, own); ok {
			return kept
		}
	}
	switch kindOfType(t) {
	case textType:
		return a.toText(v, len(t.GetTypmods()) > 0)
	case dateType:
		if v.calc {
			v.open = true
		}
		return keepOnly(v, func(s sallyport.Scheme) bool { return s == sallyport.Date })
	case numberType:
		if !v.protected() {
			a.spend(v)
			return value{calc: true, digits: !v.calc || v.digits, array: v.array, given: v.given}
		}
	case otherType:
	}
	a.spend(v)
	out = v.garbled(true)
	out.array = v.array
	return out
}

// toText is a cast that leaves text as it is, but for its length.
func (a *analysis) toText(v value, length bool) value {
	v = keepOnly(v, func(s sallyport.Scheme) bool { return s != sallyport.Date && !typed(s) })
	if v.calc {
		v.open = true
	}
	if length {
		v.cut = true
	}
	return v
}

// keepOnly leaves stored columns in a value only where the cast keeps their form: dates as dates, texts as texts.
func keepOnly(v value, keeps func(sallyport.Scheme) bool) value {
	for _, s := range v.stored {
		if !keeps(s.protection.Scheme) {
			v.stored, v.mixed, v.of = nil, true, s.protection
			return v
		}
	}
	return v
}

type typeKind uint8

const (
	otherType typeKind = iota
	textType
	dateType
	numberType // values of it hold no text
)

func kindOfType(t *pg.TypeName) typeKind {
	names, _ := fieldNames(t.GetNames())
	if t.GetPctType() || t.GetSetof() || len(names) > 2 || len(names) == 2 && names[0] != "pg_catalog" {
		return otherType
	}
	return kindNamed(names[len(names)-1])
}

func kindNamed(name string) typeKind {
	switch name {
	case "text", "varchar", "bpchar", "citext":
		return textType
	case "date":
		return dateType
	case "int2", "int4", "int8", "smallint", "integer", "bigint", "bool", "boolean", "float4", "float8", "oid":
		return numberType
	}
	return otherType
}
