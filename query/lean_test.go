package query

import (
	"testing"

	"sallyport"
)

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

// TestLookup holds the statements that may be under way while the catalogue is asked, and those that must wait.
func TestLookup(t *testing.T) {
	email := Protection{Column: sallyport.Column{Schema: "public", Table: "c", Name: "email"}, Scheme: "email", Group: "email"}
	table := func(name string, key uint32) *Relation {
		return &Relation{Schema: "public", Name: name, Columns: []ColumnInfo{{Name: "id", Key: true, TypeOID: key}, {Name: "n", TypeOID: 23}, {Name: "email", TypeOID: 25, Protect: &email}}}
	}
	view := table("v", 23)
	view.View = true
	schema := NewSchema([]*Relation{table("c", 20), table("t", 25), view, {Schema: "public", Name: "plain", Columns: []ColumnInfo{{Name: "id", Key: true, TypeOID: 23}}}}, map[string]FunctionRisk{"own": {}})
	schema.BuiltIn = map[string]struct{}{"lower": {}, "operator =": {}, "operator +": {}}
	for sql, want := range map[string]bool{
		"SELECT email FROM c WHERE id = $1":                        true,
		"SELECT * FROM public.c WHERE id = 7":                      true,
		"SELECT x.email, x.n FROM c AS x WHERE x.id = 12345678901": true,

		"SELECT email FROM c":                                        false,
		"SELECT email FROM c WHERE id = '7'":                         false,
		"SELECT email FROM c WHERE id = 7 AND email = 'a@b.de'":      false,
		"SELECT email FROM c WHERE n = 7":                            false,
		"SELECT email FROM c WHERE email = $1":                       false,
		"SELECT email FROM t WHERE id = $1":                          false,
		"SELECT email FROM v WHERE id = $1":                          false,
		"SELECT id FROM plain WHERE id = $1":                         false,
		"SELECT email FROM c, plain WHERE id = $1":                   false,
		"SELECT own(n) FROM c WHERE id = $1":                         false,
		"SELECT email FROM c WHERE id = own(1)":                      false,
		"SELECT email FROM c WHERE id = $1 FOR UPDATE":               false,
		"SELECT email INTO x FROM c WHERE id = $1":                   false,
		"WITH w AS (SELECT own(1)) SELECT email FROM c WHERE id = 1": false,
		"SELECT email FROM c WHERE id = 1 UNION SELECT own('x')":     false,
		"SELECT email FROM c WHERE id = 1 ORDER BY own(n)":           false,
		"SELECT email FROM c WHERE id = 1 LIMIT own(1)":              false,
		"DELETE FROM c WHERE id = 1":                                 false,
		"EXPLAIN SELECT email FROM c WHERE id = 1":                   false,
		"SELECT email FROM c WHERE id OPERATOR(o.=) 1":               false,
	} {
		plan, err := New(schema, Options{}).Analyze(sql, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Statements[0].Lookup; got != want {
			t.Errorf("%s: %t", sql, got)
		}
	}
}
