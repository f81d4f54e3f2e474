package query

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// FuzzAnalyze looks for texts that kill the process, and checks what holds for every plan: edits stand in order inside the
// text, and what is sent still parses into as many statements.
func FuzzAnalyze(f *testing.F) {
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, row := range readRows(data) {
		f.Add(row.sql, true)
	}
	for _, sql := range killers(50) {
		f.Add(sql, false)
	}
	analyzer := New(refSchema(), Options{MaxLength: 64 << 10, MaxDepth: 500, Facts: refFacts()})
	f.Fuzz(func(t *testing.T, sql string, standardStrings bool) {
		plan, err := analyzer.Analyze(sql, standardStrings)
		var refusal *Refusal
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Code == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := analyzer.Analyze(sql, standardStrings)
		if err != nil || !reflect.DeepEqual(again, plan) {
			t.Fatalf("a second look differs: %v", err)
		}
		var edits []Edit
		for i := range plan.Statements {
			st := &plan.Statements[i]
			if st.Start < 0 || st.End > len(sql) || st.Start > st.End {
				t.Fatalf("statement at %d to %d of %d", st.Start, st.End, len(sql))
			}
			if st.Refusal != nil {
				if strings.Contains(st.Refusal.Error()+st.Refusal.Hint, "⟦") {
					t.Fatal("a refusal quotes the statement")
				}
				return
			}
			edits = append(edits, st.Edits...)
			if c := st.Capture; c != nil {
				edits = append(edits, Edit{Start: c.At, End: c.At, Text: c.Text})
			}
		}
		at := 0
		for _, e := range edits {
			if e.Start < at || e.End < e.Start || e.End > len(sql) {
				t.Fatalf("edits out of order at %d to %d", e.Start, e.End)
			}
			at = e.End
		}
		tree, err := pg.Parse(applyHex(sql, edits))
		if err != nil {
			t.Fatalf("what is sent does not parse: %v", err)
		}
		if len(tree.Stmts) != len(plan.Statements) {
			t.Fatalf("%d statements became %d", len(plan.Statements), len(tree.Stmts))
		}
	})
}
