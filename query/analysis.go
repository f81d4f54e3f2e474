package query

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"sallyport"
)

// analysis is the work on one statement.
type analysis struct {
	schema  *Schema
	options Options
	sql     string
	tokens  *tokens
	st      *Statement

	literals map[int]*source // by offset
	params   map[int]*source // by number
	edits    map[int]Edit    // by start
	lost     int             // where the first qualifier stands that names nothing; -1: none
	visited  map[int]bool    // offsets of literals and parameters that were looked at
	columns  map[sallyport.Column]struct{}
	reads    int            // of masked columns that tell something of them
	lastMask *Mask          // that was read
	keyed    map[*item]bool // whose rows are told apart by their key, in what is grouped or sorted out now
	place    *place         // where the value that is compared now may become several
	work     int            // steps done

	argTypes []*pg.Node // that PREPARE declares for its parameters

	removed, added []sallyport.Column // Anchors of rows that are deleted, and of rows that are inserted
}

// maxWork bounds the steps of one statement's analysis: they take about half a second, and the longest text that is allowed
// needs no more than its 250,000 words unless it repeats itself, as recursive queries inside each other do. maxOutputs is PostgreSQL's own
// bound on the columns of a result (MaxTupleAttributeNumber), maxArguments that on a function's arguments (FUNC_MAX_ARGS).
const (
	maxWork      = 500_000
	maxOutputs   = 1664
	maxArguments = 100
)

// overwork is what step panics with; statement turns it into a refusal. A bound that every function had to hand up would
// be forgotten in one of them.
type overwork struct{}

func (a *analysis) step(n int) {
	if a.work += n; a.work > maxWork {
		panic(overwork{})
	}
}

// statement analyses one statement of a text.
func (a *Analyzer) statement(sql string, t *tokens, raw *pg.RawStmt, standardStrings bool) (st Statement) {
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case overwork:
			st = Statement{Start: int(raw.StmtLocation), End: int(raw.StmtLocation), Touches: true, Refusal: &Refusal{
				Code: CodeTooComplex, Sentence: "the statement takes too much work to be analysed", Position: -1, Hint: "Send several smaller statements.",
			}}
		default:
			panic(fault)
		}
	}()
	return a.analyzeStatement(sql, t, raw, standardStrings)
}

func (a *Analyzer) analyzeStatement(sql string, t *tokens, raw *pg.RawStmt, standardStrings bool) Statement {
	start, end := int(raw.StmtLocation), len(sql)
	if raw.StmtLen > 0 {
		end = start + int(raw.StmtLen)
	}
	st := Statement{Start: start, End: end}
	w := &analysis{
		schema: a.schema, options: a.options, sql: sql, tokens: t, st: &st,
		literals: map[int]*source{}, params: map[int]*source{}, edits: map[int]Edit{}, visited: map[int]bool{}, lost: -1,
		columns: map[sallyport.Column]struct{}{},
	}
	st.Fingerprint = t.fingerprint(sql, start, end)
	w.dispatch(raw.Stmt)
	if worksOnData(st.Verb) { // what names things of other kinds may name anything
		st.Shape = t.text(sql, start, end)
	}
	if !standardStrings && t.ambiguous(sql) { // whatever it touches: where its statements end is not known
		w.refuse(&Refusal{
			Code: CodeUntraceable, Position: -1, Sentence: "strings with a backslash cannot be read while standard_conforming_strings is off",
			Hint: "SET standard_conforming_strings = on, or write E'…'.",
		})
	}
	w.finish()
	return st
}

// finish settles what is demanded, and refuses what nobody looked at.
func (a *analysis) finish() {
	a.settle()
	a.unseen()
	a.mend()
	for _, start := range sortedKeys(a.edits) {
		a.st.Edits = append(a.st.Edits, a.edits[start])
	}
	a.st.Columns = slices.SortedFunc(maps.Keys(a.columns), compareColumns)
	for _, c := range a.st.Columns {
		a.tabled(c)
	}
	slices.SortFunc(a.st.Tables, compareColumns)
	slices.Sort(a.st.Mentions)
	a.st.Touches = a.st.Touches || len(a.st.Columns) > 0
	a.st.Leans = a.st.Leans || a.st.Touches || a.st.Masks || a.st.DDL || a.st.Refusal != nil
	if (a.st.Touches || a.st.Masks) && a.lost >= 0 {
		a.refuse(&Refusal{
			Code: CodeUntraceable, Position: a.lost, Sentence: "a column is named by a table that does not stand in this place",
			Hint: "Check the alias in front of the column, and whether its table can be seen from there.",
		})
	}
	a.st.ByKey = a.st.Lookup && a.st.Refusal == nil && !a.st.Writes && len(a.st.Edits) == 0 && len(a.st.Params) == 0
	a.st.Lookup = a.st.Lookup && a.st.Refusal == nil && !a.st.Masks && !a.st.Writes && len(a.st.Edits) == 0 && len(a.st.Params) == 0
	a.closePrepare()
}

// touch notes that a relation is mentioned, and of which tables protected columns stand in it.
func (a *analysis) touch(r *Relation) {
	a.st.Touches, a.st.Masks = a.st.Touches || r.Protected(), a.st.Masks || r.Masked()
	for i := range r.Columns {
		if p := r.Columns[i].Protect; p != nil {
			a.tabled(p.Column)
		}
	}
}

// worksOnData tells the statements whose names are those of tables and columns.
func worksOnData(verb string) bool {
	switch verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY":
		return true
	}
	return false
}

// mostMentions bounds how many tables of one statement are named.
const mostMentions = 64

// mention notes a table's name, for the record.
func (a *analysis) mention(r *Relation) {
	name := r.Schema + "." + r.Name
	if len(a.st.Mentions) < mostMentions && !slices.Contains(a.st.Mentions, name) {
		a.st.Mentions = append(a.st.Mentions, name)
	}
}

func (a *analysis) tabled(c sallyport.Column) {
	c.Name = ""
	if !slices.Contains(a.st.Tables, c) {
		a.st.Tables = append(a.st.Tables, c)
	}
}

func compareColumns(x, y sallyport.Column) int {
	return cmp.Or(cmp.Compare(x.Schema, y.Schema), cmp.Compare(x.Table, y.Table), cmp.Compare(x.Name, y.Name))
}

// unseen is the safety net under the analysis: in a statement that touches protected columns every literal and parameter
// that the scanner found must have been looked at, so a part of the grammar that was forgotten is refused, not passed.
func (a *analysis) unseen() {
	if !a.st.Touches {
		return
	}
	for i := a.tokens.from(a.st.Start); i < len(a.tokens.list) && int(a.tokens.list[i].Start) < a.st.End; i++ {
		token := a.tokens.list[i]
		switch token.Token {
		case pg.Token_SCONST, pg.Token_USCONST, pg.Token_PARAM:
			if !a.visited[int(token.Start)] && !a.tokens.is(i-1, pg.Token_UESCAPE) {
				a.refuse(untraceable(int(token.Start)))
				return
			}
		}
	}
}

// ambiguous tells whether a text holds a plain string with a backslash, whose end depends on a setting.
func (t *tokens) ambiguous(sql string) bool {
	for _, token := range t.list {
		if token.Token == pg.Token_SCONST && sql[token.Start] == '\'' && strings.Contains(sql[token.Start:token.End], `\`) {
			return true
		}
	}
	return false
}

// refuse keeps the first reason.
func (a *analysis) refuse(r *Refusal) {
	if a.st.Refusal == nil {
		if a.schema.OnlyMasks {
			r = inMaskedWords(r)
		}
		a.st.Refusal = r
	}
}

func forbidden(sentence, hint string, at int) *Refusal {
	return &Refusal{Code: CodeForbidden, Sentence: sentence, Hint: hint, Position: at}
}

func untraceable(at int) *Refusal {
	return &Refusal{
		Code: CodeUntraceable, Position: at, Sentence: "a part of the statement cannot be traced",
		Hint: "Write the statement in a simpler form: name columns, and compare them with literals or parameters.",
	}
}

// lean notes the use of a function, type or operator ("operator =") that did not come with the server.
func (a *analysis) lean(qualifier, name string) {
	a.st.Leans = a.st.Leans || a.schema.ours(qualifier, name)
}

// read notes which protected columns a value comes from, and that it comes from masked ones.
func (a *analysis) read(v value) value {
	for _, s := range v.allStored() {
		a.columns[s.protection.Column] = struct{}{}
	}
	if v.veiled() > bare {
		a.reads++
		a.lastMask = v.masks()
	}
	return v
}

// mend drops edits that lie inside others. Nothing is known to make such, and tokens win.
func (a *analysis) mend() {
	end := -1
	for _, start := range sortedKeys(a.edits) {
		if start < end {
			delete(a.edits, start)
			a.refuse(untraceable(start))
			continue
		}
		end = a.edits[start].End
	}
}

// sortedKeys keeps what comes out of a map in one order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
