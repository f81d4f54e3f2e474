package query

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestCorpus reads testdata/*.txt: the permanent collection of statements, every bypass ever found among them. A row is a
// statement, and below it, indented, all that the analysis says of it:
//
//	SELECT id FROM customers WHERE email = 'x'
//		-> SELECT id FROM customers WHERE email = '⟦email match x⟧'
//		columns customers.email
//
// "⏎" stands for a line break. Without "->" the text passes as it is. "! SP001" is a refusal. A sentence of the statement
// itself in between, "2:", belongs to the second statement of the text.
func TestCorpus(t *testing.T) {
	for _, name := range []string{"testdata/corpus.txt"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		analyzer := New(refSchema(), Options{Facts: refFacts()})
		rows := 0
		for _, row := range readRows(data) {
			rows++
			got := describe(analyzer, row.sql)
			if !slices.Equal(got, row.want) {
				t.Errorf("%s:%d: %s\n got:\n\t%s\nwant:\n\t%s", name, row.line, row.sql, strings.Join(got, "\n\t"), strings.Join(row.want, "\n\t"))
			}
		}
		if rows < 250 {
			t.Errorf("%s has %d rows; it must only grow", name, rows)
		}
	}
}

type row struct {
	line int
	sql  string
	want []string
}

func readRows(data []byte) []row {
	var rows []row
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for line := 1; scanner.Scan(); line++ {
		text := scanner.Text()
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "\t"):
			rows[len(rows)-1].want = append(rows[len(rows)-1].want, text[1:])
		default:
			rows = append(rows, row{line: line, sql: strings.ReplaceAll(text, "⏎", "\n")})
		}
	}
	return rows
}

// describe is everything that the analysis says, in words.
func describe(a *Analyzer, sql string) []string {
	plan, err := a.Analyze(sql, true)
	if err != nil {
		refused, ok := errors.AsType[*Refusal](err)
		if !ok {
			return []string{"! " + err.Error()}
		}
		return []string{"! " + refused.Code}
	}
	var out []string
	if text := sent(plan); text != sql {
		out = append(out, "-> "+strings.ReplaceAll(text, "\n", "⏎"))
	}
	for i := range plan.Statements {
		prefix := ""
		if len(plan.Statements) > 1 {
			prefix = fmt.Sprintf("%d: ", i+1)
		}
		for _, line := range describeStatement(&plan.Statements[i]) {
			out = append(out, prefix+line)
		}
	}
	return out
}

// sent is the text as it would reach the server, with ⟦…⟧ for tokens.
func sent(plan *Plan) string {
	edits := slices.Clone(plan.Edits)
	for i := range plan.Statements {
		if plan.Statements[i].Refusal == nil {
			edits = append(edits, plan.Statements[i].Edits...)
		}
	}
	sortEdits(edits)
	return apply(plan.Text, edits)
}

func apply(text string, edits []Edit) string {
	var out strings.Builder
	at := 0
	for _, e := range edits {
		out.WriteString(text[at:e.Start])
		switch s := e.Slot; {
		case s == nil:
			out.WriteString(e.Text)
		case s.Actor:
			out.WriteString("'⟦actor⟧'")
		case s.Purpose:
			out.WriteString("'⟦purpose⟧'")
		default:
			out.WriteString("'" + token(s) + "'")
		}
		at = e.End
	}
	return out.String() + text[at:]
}

func token(s *Slot) string {
	form := ""
	if s.Array {
		form = " array"
	}
	return fmt.Sprintf("⟦%s %s%s %s⟧", s.Column.Name, s.Use, form, strings.ReplaceAll(s.Value, "'", "''"))
}

func describeStatement(st *Statement) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if st.Refusal != nil {
		say("! %s", st.Refusal.Code)
		return out
	}
	flags := []string{}
	for name, set := range map[string]bool{"touches": st.Touches, "writes": st.Writes, "ddl": st.DDL, "copies": len(st.Copies) > 0} {
		if set {
			flags = append(flags, name)
		}
	}
	slices.Sort(flags)
	say("%s", strings.Join(append([]string{strings.ToLower(st.Verb)}, flags...), " "))
	if len(st.Powers) > 0 {
		say("powers %v alone=%t", st.Powers, st.Alone)
	}
	if len(st.Columns) > 0 {
		var names []string
		for _, c := range st.Columns {
			names = append(names, c.Table+"."+c.Name)
		}
		say("columns %s", strings.Join(names, " "))
	}
	params := st.Params
	if st.Prepare != nil {
		say("prepare %s: %s", st.Prepare.Name, st.Prepare.Body.Verb)
		params = st.Prepare.Body.Params
	}
	for _, p := range params {
		array := ""
		if p.Slot.Array {
			array = " array"
		}
		say("$%d %s %s%s", p.Number, p.Slot.Column.Name, p.Slot.Use, array)
	}
	if st.Comment != nil {
		say("comment %s", *st.Comment)
	}
	if st.Actor != nil {
		say("actor %q%s", *st.Actor, map[bool]string{true: " sets"}[st.SetsActor])
	}
	if p := st.Purpose; p != nil {
		say("purpose local=%t reset=%t all=%t %q", p.Local, p.Reset, p.All, p.Value)
	}
	if x := st.Tx; x != nil {
		say("tx %d %q chain=%t", x.Kind, x.Name, x.Chain)
	}
	if e := st.Execute; e != nil {
		say("execute %s %s", e.Name, fmt.Sprintf("%+v", e.Args))
	}
	if d := st.Deallocate; d != nil {
		say("deallocate %q all=%t", d.Name, d.All)
	}
	if c := st.Copy; c != nil {
		relation := "?"
		if c.Relation != nil {
			relation = c.Relation.Name
		}
		say("copy in=%t %s %v query=%t %s header=%t %q %q %q null=%q", c.In, relation, c.Columns, c.Query, c.Format, c.Header, c.Delimiter, c.Quote, c.Escape, c.Null)
		if len(c.Outputs) > 0 {
			say("outputs%s", describeOutputs(c.Outputs))
		}
		if len(c.Fields) > 0 {
			say("fields %s", describeFields(c.Fields))
		}
	}
	if c := st.Capture; c != nil {
		say("capture contact=%t at %d of %d:%s; wrote %v", c.Contact, c.At, st.End, c.Text, c.Wrote)
	}
	return out
}

func describeOutputs(outputs []ColumnInfo) string {
	text := ""
	for _, o := range outputs {
		switch {
		case o.Protect != nil:
			text += " " + o.Name + "=" + string(o.Protect.Scheme)
		case o.Customer:
			text += " " + o.Name + "=customer"
		case o.Name == "":
			text += " ?"
		default:
			text += " " + o.Name
		}
	}
	return text
}

func describeFields(fields []CopyField) string {
	var out []string
	for _, f := range fields {
		text := f.Name
		if f.Slot != nil {
			text += "=" + token(f.Slot)
		}
		if f.ForceNull {
			text += "+null"
		}
		if f.NotNull {
			text += "-null"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}
