package query

import "testing"

// TestLeans holds the statements whose reading the gateway has the catalogue made true for, and those that need not wait.
func TestLeans(t *testing.T) {
	schema := NewSchema([]*Relation{
		{Schema: "public", Name: "plain", Columns: []ColumnInfo{{Name: "a"}}}, {Schema: "public", Name: "seen", View: true, Columns: []ColumnInfo{{Name: "a"}}},
	}, map[string]FunctionRisk{"own": {}, "upper": {}})
	schema.BuiltIn = map[string]struct{}{"lower": {}, "upper": {}, "int4": {}, "text": {}, "operator =": {}, "operator +": {}}
	for sql, want := range map[string]bool{
		"SELECT a FROM plain WHERE a = 1":                    false,
		"SELECT p.a + 1, lower('x') FROM plain p":            false,
		"INSERT INTO plain VALUES ('x')":                     false,
		"SELECT 'x'::text, '1'::int FROM pg_catalog.pg_proc": false,
		"BEGIN":                   false,
		"SELECT a FROM seen":      true,
		"SELECT a FROM unknown":   true,
		"SELECT own('x')":         true,
		"SELECT upper('x')":       true, // there is another one of that name
		"SELECT other.lower('x')": true,
		"SELECT 'x' === 'y'":      true,

		"SELECT 1 FROM plain WHERE a OPERATOR(o.=) 1": true,

		"SELECT 'x'::kind":                          true,
		"CREATE TABLE t (a int)":                    true,
		"WITH w AS (SELECT own(1)) SELECT 1 FROM w": true,
	} {
		plan, err := New(schema, Options{}).Analyze(sql, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Statements[0].Leans; got != want {
			t.Errorf("%s: %t", sql, got)
		}
	}
}
