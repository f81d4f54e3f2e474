package query

import (
	"testing"

	"sallyport"
)

// typedSchema has columns whose tokens are values of a type of their own, beside text and plain numbers.
func typedSchema() *Schema {
	column := func(name string, oid uint32, scheme sallyport.Scheme) ColumnInfo {
		return ColumnInfo{Name: name, TypeOID: oid, Protect: protect("people", name, scheme)}
	}
	people := table("people", one(link("id"), column("tax", 23, sallyport.Int4), column("account", 20, sallyport.Int8), column("device", 2950, sallyport.UUID),
		column("seen", 1114, sallyport.Timestamp), column("since", 1184, sallyport.Timestamptz), guard("people", "email", sallyport.Email), number("age")))
	return NewSchema([]*Relation{people}, nil)
}

// TestTypedColumns lists statements about columns of types of their own, and what is sent; nothing: it is refused. A number that is held
// against a token by whatever way but equality could be a value.
func TestTypedColumns(t *testing.T) {
	a := New(typedSchema(), Options{})
	for _, c := range []struct{ sql, want string }{
		{"SELECT 1 FROM people WHERE tax = 5", "SELECT 1 FROM people WHERE tax = '⟦tax match 5⟧'"},
		{"SELECT 1 FROM people WHERE tax = -5 OR '5' = tax", "SELECT 1 FROM people WHERE tax = '⟦tax match -5⟧' OR '⟦tax match 5⟧' = tax"},
		{"SELECT 1 FROM people WHERE tax IN (5, 6) AND account <> 99999999999", "SELECT 1 FROM people WHERE tax IN ('⟦tax match 5⟧', '⟦tax match 6⟧') AND account <> '⟦account match 99999999999⟧'"},
		{"SELECT 1 FROM people WHERE tax = 5::int", "SELECT 1 FROM people WHERE tax = '⟦tax match 5⟧'::int"},
		{"SELECT 1 FROM people WHERE account = '5'::bigint AND account = CAST(6 AS int8)", "SELECT 1 FROM people WHERE account = '⟦account match 5⟧'::bigint AND account = CAST('⟦account match 6⟧' AS int8)"},
		{"SELECT 1 FROM people WHERE device = 'f'::uuid", "SELECT 1 FROM people WHERE device = '⟦device match f⟧'::uuid"},
		{"SELECT 1 FROM people WHERE seen = timestamp 'x' AND since = timestamptz 'y'", "SELECT 1 FROM people WHERE seen = timestamp '⟦seen match x⟧' AND since = timestamptz '⟦since match y⟧'"},
		{"SELECT 1 FROM people WHERE tax = ANY ('{1,2}'::int[]) AND account = ANY (ARRAY[1, 2])", "SELECT 1 FROM people WHERE tax = ANY ('⟦tax match array {1,2}⟧'::int[]) AND account = ANY (ARRAY['⟦account match 1⟧', '⟦account match 2⟧'])"},
		{"INSERT INTO people (id, tax, device) VALUES (1, 5, 'f')", "INSERT INTO people (id, tax, device) VALUES (1, '⟦tax store 5⟧', '⟦device store f⟧')"},
		{"UPDATE people SET tax = tax, account = NULL WHERE id = 4::int8", "UPDATE people SET tax = tax, account = NULL WHERE id = 4::int8"},
		{"SELECT a.id FROM people a JOIN people b ON a.tax = b.tax GROUP BY a.id, a.tax", "SELECT a.id FROM people a JOIN people b ON a.tax = b.tax GROUP BY a.id, a.tax"},
		{"SELECT tax::text, count(device), tax IS NULL, age + 5 FROM people LIMIT 5", "SELECT tax::text, count(device), tax IS NULL, age + 5 FROM people LIMIT 5"},
		{"SELECT CASE tax WHEN 5 THEN 'x' END, nullif(account, 7) FROM people", "SELECT CASE tax WHEN '⟦tax match 5⟧' THEN 'x' END, nullif(account, '⟦account match 7⟧') FROM people"},

		{"SELECT 1 FROM people WHERE tax > 5", ""},
		{"SELECT 1 FROM people WHERE tax BETWEEN 5 AND 6", ""},
		{"SELECT 1 FROM people WHERE tax + 0 = 5", ""},
		{"SELECT 1 FROM people WHERE tax = 5 + 0", ""},
		{"SELECT 1 FROM people WHERE tax = age", ""},
		{"SELECT 1 FROM people WHERE tax = account", ""},
		{"SELECT 1 FROM people WHERE tax::bigint = 5", ""},
		{"SELECT 1 FROM people WHERE tax::text = '5'", ""},
		{"SELECT 1 FROM people WHERE tax::numeric = 5", ""},
		{"SELECT 1 FROM people WHERE int4eq(tax, 5)", ""},
		{"SELECT int84eq(account, 5) FROM people", ""},
		{"SELECT tax - 712345678 FROM people", ""},
		{"SELECT account & 712345678 FROM people", ""},
		{"SELECT tax - age FROM people", ""},
		{"SELECT mod(tax, 712345678) FROM people", ""},
		{"SELECT mod(tax, 712345678::int) FROM people", ""},
		{"SELECT mod(tax * tax, $1::int) FROM people", ""},
		{"SELECT width_bucket(tax, 0, 712345678, 2) FROM people", ""},
		{"SELECT greatest(tax, 712345678) FROM people", ""},
		{"SELECT sum(tax + length(email) - 712345678) FROM people", ""},
		{"SELECT (tax, account) = (5, 6 + 0) FROM people", ""},
		{"SELECT 1 FROM people ORDER BY tax", ""},
		{"SELECT max(tax) FROM people", ""},
		{"SELECT 1 FROM people WHERE seen = timestamp(0) 'x'", ""},
		{"SELECT 1 FROM people WHERE seen > now()", ""},
		{"SELECT 1 FROM people WHERE seen::date = '1980-01-01'", ""},
		{"SELECT 1 FROM people WHERE device::text LIKE 'f%'", ""},
		{"SELECT 1 FROM people WHERE uuid_eq(device, 'f')", ""},
		{"INSERT INTO people (id, tax) SELECT 1, age FROM people", ""},
		{"INSERT INTO people (id, tax) VALUES (1, 5 + 1)", ""},
		{"UPDATE people SET tax = tax + 1", ""},
		{"UPDATE people SET account = tax", ""},
	} {
		st := analyzeOne(t, a, c.sql)
		switch {
		case c.want == "" && st.Refusal == nil:
			t.Errorf("%s: passes as %s", c.sql, apply(c.sql, st.Edits))
		case c.want != "" && st.Refusal != nil:
			t.Errorf("%s: refused: %s", c.sql, st.Refusal.Sentence)
		case c.want != "" && apply(c.sql, st.Edits) != apply(c.want, nil):
			t.Errorf("%s\n got %s\nwant %s", c.sql, apply(c.sql, st.Edits), c.want)
		}
	}
}

// TestNumbersStayNumbers checks that what was written as a number is known as one, also where only the template of a text is.
func TestNumbersStayNumbers(t *testing.T) {
	a := New(typedSchema(), Options{})
	for _, sql := range []string{"SELECT id FROM people WHERE tax = 5 AND account = '6'", "SELECT id FROM people WHERE tax = 77 AND account = '88'"} {
		for range 2 {
			edits := analyzeOne(t, a, sql).Edits
			if len(edits) != 2 || !edits[0].Slot.Number || edits[1].Slot.Number {
				t.Errorf("%s: %v", sql, apply(sql, edits))
			}
		}
	}
}
