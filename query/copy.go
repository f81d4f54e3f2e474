package query

import (
	"maps"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"sallyport"
)

// copy is COPY in all its forms.
func (a *analysis) copy(n *pg.CopyStmt) {
	c := &Copy{In: n.IsFrom, Program: n.IsProgram, File: n.Filename != "" && !n.IsProgram, Query: n.Query != nil, Format: "text", Delimiter: '\t', Null: `\N`}
	a.st.Copy = c
	a.st.Writes = n.IsFrom
	a.copyOptions(c, n.Options)
	a.skipOptions(n.Options)
	for _, column := range n.Attlist {
		c.Columns = append(c.Columns, column.GetString_().GetSval())
	}
	if c.Program || c.File {
		a.exercise(sallyport.PowerFile)
		a.refuse(forbidden("COPY from or to the server's files and programs is not allowed in a protected database", "Use STDIN or STDOUT.", -1))
	}
	if n.Query != nil {
		a.results(a.query(n.Query, &scope{}))
		c.Outputs = a.plainOutputs(n.Query.GetSelectStmt())
		a.copyMasked(c, n)
		return
	}
	if !n.IsFrom {
		c.Relation = a.copyColumns(a.find(n.Relation), c.Columns)
		a.copyOut(c, n)
		return
	}
	sc := &scope{}
	t := a.writes(n.Relation, sc)
	c.Relation = a.copyColumns(t.relation, c.Columns)
	sc.add(t.item)
	a.copyWhere(c, n, sc)
	if c.Relation != nil && c.Relation.Protected() {
		a.copyInto(c, n)
	}
}

// copyColumns notes the protected columns that COPY reads or writes.
func (a *analysis) copyColumns(rel *Relation, names []string) *Relation {
	if rel == nil {
		return nil
	}
	for i := range rel.Columns {
		if c := &rel.Columns[i]; c.Protect != nil && (len(names) == 0 || has(names, c.Name)) {
			a.columns[c.Protect.Column] = struct{}{}
		}
	}
	return rel
}

// copyWhere looks at the condition under which rows are taken. It would be asked of every row that somebody makes up, so it
// may not be about protected columns.
func (a *analysis) copyWhere(c *Copy, n *pg.CopyStmt, sc *scope) {
	if n.WhereClause == nil {
		return
	}
	written := a.columns
	a.columns = map[sallyport.Column]struct{}{}
	v := a.expression(n.WhereClause, sc)
	if len(a.columns) > 0 || v.protected() || a.reads > 0 {
		a.refuse(forbidden("the WHERE of a COPY cannot ask for protected columns", "Leave the rows out before you send them.", int(n.Relation.Location)))
	}
	a.spend(v)
	maps.Copy(a.columns, written)
}

// copyInto finds what each field of a row is for. The columns' order is the catalogue's; so that it cannot be another one by
// the time the server reads the statement, the list is written into it where the client left it out. So is the encoding: in
// some a byte of a letter is a delimiter.
func (a *analysis) copyInto(c *Copy, n *pg.CopyStmt) {
	at := int(n.Relation.Location)
	if c.Relation.View {
		a.refuse(forbidden("COPY into a view over protected columns is not allowed", "Copy into the table.", at))
		return
	}
	if sentence := a.unreadableCopy(c, n.Options); sentence != "" {
		a.refuse(forbidden(sentence, "Copy in UTF8, with a DELIMITER, QUOTE and ESCAPE of one ASCII character each.", at))
		return
	}
	names := a.copyList(c, n)
	guarded := false
	fields := make([]CopyField, 0, len(names))
	for _, name := range names {
		f := CopyField{Name: name}
		column := target{item: &item{relation: c.Relation}}.info(name)
		if column != nil && column.Opaque {
			a.refuse(unwritable(c.Relation, name, at))
		}
		if column != nil && column.Protect != nil {
			p := column.Protect
			f.Slot = &Slot{Column: p.Column, Scheme: p.Scheme, Group: p.Group, Use: Store}
			guarded = true
		}
		fields = append(fields, f)
	}
	if !guarded {
		return
	}
	c.Fields = fields
	forceFields(fields, n.Options)
	a.fixEncoding(n)
}

// copyOut finds what each field of a row holds.
func (a *analysis) copyOut(c *Copy, n *pg.CopyStmt) {
	if c.Relation == nil || !c.Relation.closed() {
		return
	}
	if c.Relation.View || !a.certain(n.Relation) {
		a.copyMasked(c, n)
		return
	}
	for _, name := range a.copyList(c, n) {
		column := ColumnInfo{}
		if known := (target{item: &item{relation: c.Relation}}).info(name); known != nil {
			column = *known
		}
		c.Outputs = append(c.Outputs, column)
		a.st.Veiled = append(a.st.Veiled, column.Mask != nil)
	}
	a.copyMasked(c, n)
}

// copyMasked refuses rows of which nobody can tell which field holds something masked.
func (a *analysis) copyMasked(c *Copy, n *pg.CopyStmt) {
	if !a.st.Masks {
		return
	}
	if a.st.Veiled == nil {
		a.refuse(&Refusal{
			Code: CodeMasked, Position: -1, Sentence: "which columns this COPY sends cannot be told, and some are masked",
			Hint: "Name them: COPY (SELECT a, b FROM …) TO STDOUT.",
		})
	}
	if sentence := a.unreadableCopy(c, n.Options); sentence != "" {
		a.refuse(&Refusal{
			Code: CodeMasked, Position: -1, Sentence: sentence, Hint: "Copy in UTF8, with a DELIMITER, QUOTE and ESCAPE of one ASCII character each.",
		})
	}
}

// plainOutputs are the columns of a SELECT whose list holds nothing but columns of tables named in its FROM and expressions
// that yield one column each; nil for any other.
func (a *analysis) plainOutputs(n *pg.SelectStmt) []ColumnInfo {
	if n == nil || n.Op != pg.SetOperation_SETOP_NONE || n.ValuesLists != nil || n.WithClause != nil {
		return nil
	}
	tables := map[string]*Relation{}
	for _, from := range n.FromClause {
		if !a.plainTables(from, tables) {
			return nil
		}
	}
	var out []ColumnInfo
	for _, node := range n.TargetList {
		value := node.GetResTarget().GetVal()
		ref := value.GetColumnRef()
		if ref == nil {
			if value.GetAIndirection() != nil { // (x).* may be many
				return nil
			}
			out = append(out, ColumnInfo{})
			continue
		}
		names, star := fieldNames(ref.Fields)
		if star {
			return nil
		}
		out = append(out, plainOutput(names, tables))
	}
	return out
}

// plainOutput is the column that a reference names, zero where more than one could be meant.
func plainOutput(names []string, tables map[string]*Relation) ColumnInfo {
	found := ColumnInfo{}
	for name, rel := range tables {
		if len(names) > 1 && names[len(names)-2] != name {
			continue
		}
		if rel == nil {
			return ColumnInfo{}
		}
		if c := (target{item: &item{relation: rel}}).info(names[len(names)-1]); c != nil {
			if found.Name != "" {
				return ColumnInfo{}
			}
			found = *c
		}
	}
	return found
}

// plainTables gathers the tables of a FROM item by the name they go by; false: it is something else, or a name stands twice.
func (a *analysis) plainTables(node *pg.Node, tables map[string]*Relation) bool {
	if join := node.GetJoinExpr(); join != nil {
		return join.Alias == nil && join.JoinUsingAlias == nil && a.plainTables(join.Larg, tables) && a.plainTables(join.Rarg, tables)
	}
	table := node.GetRangeVar()
	if table == nil || len(table.GetAlias().GetColnames()) > 0 {
		return false
	}
	name := table.Relname
	if table.Alias != nil {
		name = table.Alias.Aliasname
	}
	if _, twice := tables[name]; twice {
		return false
	}
	tables[name] = a.find(table)
	return a.certain(table)
}

// certain tells whether a name can only mean the one relation that the catalogue has. (That others get a protected one's name
// is refused.)
func (a *analysis) certain(n *pg.RangeVar) bool {
	list := a.schema.Find(n.Schemaname, n.Relname)
	return len(list) == 1 && (n.Schemaname == "" || list[0].Schema == n.Schemaname)
}

// copyList are the names of the columns that COPY reads or writes. A list that the client left out is written into the text:
// the table may have other columns by the time the server reads it.
func (a *analysis) copyList(c *Copy, n *pg.CopyStmt) []string {
	if len(c.Columns) > 0 {
		return c.Columns
	}
	var names []string
	for i := range c.Relation.Columns {
		if column := &c.Relation.Columns[i]; !column.Generated {
			names = append(names, column.Name)
		}
	}
	a.listColumns(n, names)
	return names
}

// listColumns writes the column list behind the table's name.
func (a *analysis) listColumns(n *pg.CopyStmt, names []string) {
	parts := 1
	for _, part := range []string{n.Relation.Schemaname, n.Relation.Catalogname} {
		if part != "" {
			parts++
		}
	}
	where := a.tokens.nameSpan(int(n.Relation.Location), parts)
	if where.end == 0 {
		a.refuse(untraceable(where.start))
		return
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	a.edits[where.end] = Edit{Start: where.end, End: where.end, Text: " (" + strings.Join(quoted, ", ") + ")"}
}

// fixEncoding adds ENCODING 'UTF8' to the options, of which there are two grammars (sql-copy): a list in parentheses, or
// words behind each other.
func (a *analysis) fixEncoding(n *pg.CopyStmt) {
	for _, o := range n.Options {
		if strings.EqualFold(o.GetDefElem().GetDefname(), "encoding") {
			return // and it is UTF8
		}
	}
	i := a.tokens.from(int(n.Relation.Location))
	for i < len(a.tokens.list) && !a.tokens.is(i, pg.Token_FROM) {
		i++
	}
	last := i + 1 // STDIN
	for k := last + 1; k < len(a.tokens.list) && !a.tokens.is(k, pg.Token_WHERE) && !a.tokens.is(k, pg.Token_ASCII_59); k++ {
		if a.tokens.is(k, pg.Token_ASCII_40) {
			at := int(a.tokens.list[k].End)
			a.edits[at] = Edit{Start: at, End: at, Text: "ENCODING 'UTF8', "}
			return
		}
		last = k
	}
	if last >= len(a.tokens.list) {
		a.refuse(untraceable(-1))
		return
	}
	at := int(a.tokens.list[last].End)
	a.edits[at] = Edit{Start: at, End: at, Text: " ENCODING 'UTF8'"}
}

func (a *analysis) copyOptions(c *Copy, list []*pg.Node) {
	null, delimiter := false, false
	for _, n := range list {
		e := n.GetDefElem()
		text := e.GetArg().GetString_().GetSval()
		switch strings.ToLower(e.GetDefname()) {
		case "format":
			c.Format = strings.ToLower(text)
		case "header":
			c.Match = strings.EqualFold(text, "match")
			c.Header = e.Arg == nil || e.Arg.GetBoolean().GetBoolval() || e.Arg.GetInteger().GetIval() == 1 || strings.EqualFold(text, "true") ||
				strings.EqualFold(text, "on") || c.Match
		case "delimiter":
			c.Delimiter, delimiter = firstByte(text), true
		case "quote":
			c.Quote = firstByte(text)
		case "escape":
			c.Escape = firstByte(text)
		case "null":
			c.Null, null = text, true
		case "default":
			c.Default = &text
		}
	}
	if c.Format != "csv" {
		return
	}
	if !delimiter {
		c.Delimiter = ','
	}
	if !null {
		c.Null = ""
	}
	if c.Quote == 0 {
		c.Quote = '"'
	}
	if c.Escape == 0 {
		c.Escape = c.Quote
	}
}

func firstByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

// unreadableCopy says why the rows of a COPY could be read otherwise than the server reads them, or nothing. Whatever is not
// known here is.
func (a *analysis) unreadableCopy(c *Copy, list []*pg.Node) string {
	if c.Format != "text" && c.Format != "csv" && c.Format != "binary" {
		return "this format of COPY is not known"
	}
	for _, n := range list {
		e := n.GetDefElem()
		text := e.GetArg().GetString_().GetSval()
		switch name := strings.ToLower(e.GetDefname()); name {
		case "format", "freeze", "null", "default", "force_quote", "force_null", "force_not_null", "on_error", "log_verbosity", "reject_limit":
		case "header":
			if i := e.GetArg().GetInteger(); i != nil && i.Ival != 0 && i.Ival != 1 {
				return "a header of several lines is not known"
			}
		case "delimiter", "quote", "escape":
			if len(text) != 1 || !plainSign(text[0], name == "escape") {
				return "the " + strings.ToUpper(name) + " of this COPY cannot be read safely"
			}
		case "encoding":
			if !strings.EqualFold(text, "utf8") && !strings.EqualFold(text, "utf-8") {
				return "these columns are copied in the encoding UTF8 only"
			}
		default:
			return "an option of this COPY is not known"
		}
	}
	return ""
}

// plainSign tells whether a byte may part fields or quote them without meaning something else, too.
func plainSign(c byte, escape bool) bool {
	return c >= ' ' && c < 0x7f && (c != '\\' || escape) || c == '\t' || c > 0 && c < ' ' && c != '\n' && c != '\r'
}

// forceFields notes which fields FORCE_NULL and FORCE_NOT_NULL name; both also take *.
func forceFields(fields []CopyField, list []*pg.Node) {
	for _, n := range list {
		e := n.GetDefElem()
		name := strings.ToLower(e.GetDefname())
		if name != "force_null" && name != "force_not_null" {
			continue
		}
		var named []string
		for _, item := range e.GetArg().GetList().GetItems() {
			named = append(named, item.GetString_().GetSval())
		}
		for i := range fields {
			if f := &fields[i]; e.GetArg().GetAStar() != nil || has(named, f.Name) {
				f.ForceNull, f.NotNull = f.ForceNull || name == "force_null", f.NotNull || name == "force_not_null"
			}
		}
	}
}
