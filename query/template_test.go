package query

import (
	"os"
	"reflect"
	"regexp"
	"testing"
)

// TestTemplates: a plan found by its template says what an analysis of the very text says, whatever literals came first.
func TestTemplates(t *testing.T) {
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	values := regexp.MustCompile(`'[^']*'|\b\d+\b`)
	byTemplate := 0
	for _, row := range readRows(data) {
		fresh, used := New(refSchema(), Options{Facts: refFacts()}), New(refSchema(), Options{Facts: refFacts()})
		other := values.ReplaceAllStringFunc(row.sql, func(v string) string {
			if v[0] == '\'' {
				return "'zz; it is "
			}
			return "7"
		})
		other = regexp.MustCompile(`'zz; it is `).ReplaceAllString(other, "'zz'")
		_, _ = used.Analyze(other, true)
		want, wantErr := fresh.Analyze(row.sql, true)
		if used.shapes.plan(row.sql) != nil {
			byTemplate++
		}
		got, gotErr := used.Analyze(row.sql, true)
		if !reflect.DeepEqual(want, got) || !reflect.DeepEqual(wantErr, gotErr) {
			t.Errorf("%s\n got %+v\nwant %+v", row.sql, got, want)
		}
	}
	if byTemplate < 10 {
		t.Errorf("only %d rows were found by their template", byTemplate)
	}
}

func TestShape(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT a FROM t WHERE aid = 4711":         "SELECT a FROM t WHERE aid = 0",
		"SELECT a1 FROM t2 WHERE b = 'it''s'":      "SELECT a1 FROM t2 WHERE b = ''",
		"UPDATE t SET a = a + -5 WHERE b IN (1,2)": "UPDATE t SET a = a + -0 WHERE b IN (0,0)",
		"SELECT 1; ":         "SELECT 0; ",
		"SELECT 1; SELECT 2": "",
		"SELECT E'a'":        "",
		"SELECT 'a\\'":       "",
		"SELECT $1":          "",
		"SELECT $$a$$":       "",
		`SELECT "a"`:         "",
		"SELECT 1 -- x":      "",
		"SELECT 1 /* x */":   "",
		"SELECT 1e5":         "",
		"SELECT 1.5":         "",
		"SELECT 'a":          "",
		"SELECT U&'a'":       "",
		"SELECT ä":           "",
	} {
		out, _, ok := shapeOf(nil, sql)
		if ok != (want != "") || ok && string(out) != want {
			t.Errorf("%q: %q %t, want %q", sql, out, ok, want)
		}
	}
}

func BenchmarkTemplate(b *testing.B) {
	a := New(refSchema(), Options{})
	if _, err := a.Analyze("SELECT abalance FROM pgbench_accounts WHERE aid = 1", true); err != nil {
		b.Fatal(err)
	}
	const sql = "SELECT abalance FROM pgbench_accounts WHERE aid = 4711"
	b.ReportAllocs()
	for b.Loop() {
		if plan := a.shapes.plan(sql); plan == nil {
			b.Fatal("not found")
		}
	}
}
