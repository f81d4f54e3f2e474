package query

import (
	"fmt"
	"strings"
	"testing"

	"sallyport"
)

// movingSchema has a table whose protected columns are moving, and one whose are not.
func movingSchema() *Schema {
	moving := func(name string, scheme sallyport.Scheme, oid uint32, list string) ColumnInfo {
		c := sallyport.Column{Schema: "support", Table: "customers", Name: name}
		return ColumnInfo{
			Name: name, TypeOID: oid, Mask: &Mask{Column: c},
			Protect: &Protection{Column: c, Scheme: scheme, Group: string(scheme), Moving: true, Unique: name == "email", Forms: 3, List: list},
		}
	}
	key := link("id")
	key.Key = true
	customers := table("customers", one(key, moving("full_name", sallyport.Name, 25, "text[]"), moving("email", sallyport.Email, 25, "text[]"),
		moving("phone", sallyport.Phone, 25, "text[]"), moving("birth_date", sallyport.Date, 1082, "date[]")), plain("country"))
	leads := table("leads", one(number("id"), guard("leads", "email", sallyport.Email)))
	s := NewSchema([]*Relation{customers, leads}, nil)
	s.Masks = true
	return s
}

// spell writes the statement as a gateway would, with the forms of a value as T, P and C.
func spell(plan *Plan) string {
	var b strings.Builder
	at := 0
	for _, e := range plan.Statements[0].Edits {
		b.WriteString(plan.Text[at:e.Start])
		switch {
		case e.Wide == nil && e.Slot == nil:
			b.WriteString(e.Text)
		case e.Wide == nil:
			b.WriteString("T")
		case e.Wide.Array:
			b.WriteString(e.Wide.Open + "'{T,P,C}'" + e.Wide.Close)
		default:
			var forms []string
			for _, form := range []string{"T", "P", "C"} {
				if e.Param > 0 {
					form = fmt.Sprintf("$%d%s", e.Param, form)
				}
				forms = append(forms, e.Wide.Before+form+e.Wide.After)
			}
			b.WriteString(e.Wide.Open + strings.Join(forms, ",") + e.Wide.Close)
		}
		at = e.End
	}
	return b.String() + plan.Text[at:]
}

func TestWide(t *testing.T) {
	analyzer := New(movingSchema(), Options{})
	name := func(c string) string {
		return "(CASE WHEN left(" + c + ", 4) = 'tk1:' THEN left(" + c + ", 20) ELSE " + c + " END)"
	}
	for where, want := range map[string]string{
		"email = 'x'":                    "email = ANY ('{T,P,C}')",
		"email='x'":                      "email=ANY ('{T,P,C}')",
		"'x' = c.email":                  "c.email = ANY ('{T,P,C}')",
		"email <> 'x'":                   "email <> ALL ('{T,P,C}')",
		"email != 'x'":                   "email != ALL ('{T,P,C}')",
		"email = 'x'::text":              "email = ANY ('{T,P,C}')",
		"email = ('x')":                  "email = ANY ('{T,P,C}')",
		"(email = (('x')))":              "(email = ANY ('{T,P,C}'))",
		"('x') = email":                  "email = ANY ('{T,P,C}')",
		"email = ($1)":                   "email = ANY (ARRAY[($1T),($1P),($1C)])",
		"email = $1":                     "email = ANY (ARRAY[$1T,$1P,$1C]::text[])",
		"email = $1::varchar":            "email = ANY (ARRAY[$1T::varchar,$1P::varchar,$1C::varchar])",
		"email = $1::character varying":  "email = ANY (ARRAY[$1T::character varying,$1P::character varying,$1C::character varying])",
		"email = CAST($1 AS text)":       "email = ANY (ARRAY[CAST($1T AS text),CAST($1P AS text),CAST($1C AS text)])",
		"$1 = email":                     "email = ANY (ARRAY[$1T,$1P,$1C]::text[])",
		"email IN ('x', $1, NULL)":       "email IN (T,P,C, $1T,$1P,$1C, NULL)",
		"email NOT IN ('x'::text)":       "email NOT IN (T::text,P::text,C::text)",
		"email = ANY ('{x}')":            "email = ANY (T)",
		"email = ANY ($1)":               "email = ANY ($1)",
		"email = ANY (ARRAY['x', $1])":   "email = ANY (ARRAY[T,P,C, $1T,$1P,$1C])",
		"email <> ALL ('{x}')":           "email <> ALL (T)",
		"birth_date = date '2000-01-01'": "birth_date = ANY ('{T,P,C}')",
		"birth_date = $1":                "birth_date = ANY (ARRAY[$1T,$1P,$1C]::date[])",
		"full_name = 'x'":                name("full_name") + " = ANY ('{T,P,C}')",
		"c.full_name IN ($1)":            name("c.full_name") + " IN ($1T,$1P,$1C)",
		"'x' = full_name":                name("full_name") + " = ANY ('{T,P,C}')",
		"full_name = $1":                 name("full_name") + " = ANY (ARRAY[$1T,$1P,$1C]::pg_catalog.text[])",
		"email IS DISTINCT FROM 'x'":     "email <> ALL ('{T,P,C}') IS NOT FALSE",
		"email IS NOT DISTINCT FROM 'x'": "email = ANY ('{T,P,C}') IS TRUE",
		"id = 5 AND email IS DISTINCT FROM ('x'::text) OR id = 6": "id = 5 AND email <> ALL ('{T,P,C}') IS NOT FALSE OR id = 6",
		"NOT c.email IS /* or */ NOT DISTINCT\n FROM 'x'":         "NOT c.email = ANY ('{T,P,C}') IS TRUE",
		"full_name IS DISTINCT FROM 'x'":                          name("full_name") + " <> ALL ('{T,P,C}') IS NOT FALSE",
		"birth_date IS NOT DISTINCT FROM date '2000-01-01'":       "birth_date = ANY ('{T,P,C}') IS TRUE",
		"email IS DISTINCT FROM NULL":                             "email IS DISTINCT FROM NULL",

		// Anything else would find some of the rows only.
		"email IS DISTINCT FROM $1": "!", "'x' IS DISTINCT FROM email": "!", "email IS DISTINCT FROM phone": "!", "email IS NOT DISTINCT FROM lower('x')": "!", "email IS DISTINCT FROM 'x' || ''": "!", "email <> ANY ('{x}')": "!", "email = ALL ('{x}')": "!", "(id, email) = (1, 'x')": "!", "'x' IN (email, phone)": "!",
		"email = coalesce($1, 'x')": "!", "email = (SELECT 'x')": "!", "email IN (SELECT 'x')": "!", "email IN (SELECT email FROM leads)": "!",
		"email = lower('x')": "!", "lower(email) = 'x'": "!", "CASE email WHEN 'x' THEN true END": "!", "NULLIF(email, 'x') IS NULL": "!",
		"EXISTS (SELECT FROM leads l WHERE l.email = c.email)": "!", "email = phone": "!", "email LIKE 'x'": "!", "email > 'x'": "!", "email = ANY (string_to_array('x', ','))": "!",
		"email::varchar(10) = 'x'": "!", "email = 'x'::varchar(10)": "!", "upper(email) = upper('x')": "!", "email || '' = 'x'": "!", "email = 'x' || ''": "!",
	} {
		sql := "SELECT id FROM customers c WHERE " + where
		plan, err := analyzer.Analyze(sql, true)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		got := strings.TrimPrefix(spell(plan), "SELECT id FROM customers c WHERE ")
		if plan.Statements[0].Refusal != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s becomes %s, want %s", where, got, want)
		}
	}
}

// TestWideStatements refuses what compares rows of a moving column with each other, unless no value stands there twice.
func TestWideStatements(t *testing.T) {
	analyzer := New(movingSchema(), Options{})
	for sql, passes := range map[string]bool{
		"SELECT email, count(*) FROM customers GROUP BY email":                                                          true,
		"SELECT DISTINCT email FROM customers":                                                                          true,
		"SELECT phone, count(*) FROM customers GROUP BY phone":                                                          false,
		"SELECT DISTINCT phone FROM customers":                                                                          false,
		"SELECT count(DISTINCT phone) FROM customers":                                                                   false,
		"SELECT count(*) OVER (PARTITION BY phone) FROM customers":                                                      false,
		"SELECT DISTINCT id, phone FROM customers":                                                                      true,
		"SELECT DISTINCT c.* FROM customers c JOIN leads l ON l.id = c.id":                                              true,
		"SELECT DISTINCT id, phone FROM customers c (x, id)":                                                            false,
		"SELECT DISTINCT x, phone FROM customers c (x, id)":                                                             true,
		"SELECT DISTINCT * FROM customers":                                                                              true,
		"SELECT DISTINCT l.id, c.phone FROM customers c, leads l":                                                       false,
		"SELECT DISTINCT id + 1, phone FROM customers":                                                                  false,
		"SELECT DISTINCT x.id, c.phone FROM customers c, customers x":                                                   false,
		"SELECT phone FROM customers GROUP BY id, phone":                                                                true,
		"SELECT phone FROM customers GROUP BY ROLLUP (id, phone)":                                                       false,
		"SELECT id, phone FROM customers UNION SELECT id, phone FROM customers":                                         false,
		"SELECT DISTINCT id, (SELECT max(count) FROM (SELECT count(*) FROM customers GROUP BY phone) x) FROM customers": false,
		"SELECT phone FROM customers UNION SELECT phone FROM customers":                                                 false,
		"SELECT email FROM customers UNION SELECT email FROM leads":                                                     false,
		"SELECT email FROM customers UNION ALL SELECT email FROM customers":                                             true,
		"SELECT * FROM customers a JOIN leads b ON a.email = b.email":                                                   false,
		"SELECT * FROM customers a JOIN leads b USING (email)":                                                          false,
		"SELECT * FROM customers a JOIN customers b USING (id)":                                                         true,
		"PREPARE p AS SELECT id FROM customers WHERE email = $1":                                                        false,
		"UPDATE customers SET email = 'x' WHERE email = 'y' RETURNING id":                                               true,
		"INSERT INTO customers (email) VALUES ('x') ON CONFLICT (email) DO NOTHING":                                     true,
		"INSERT INTO customers (email) SELECT email FROM leads":                                                         true,
		"INSERT INTO leads (email) SELECT email FROM customers":                                                         false,
		"CREATE TABLE x AS SELECT email FROM customers":                                                                 false,
		"UPDATE customers SET country = email":                                                                          false,
		"UPDATE customers SET email = lower(email)":                                                                     false,
	} {
		plan, err := analyzer.Analyze(sql, true)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if refused := plan.Statements[0].Refusal; (refused == nil) != passes {
			t.Errorf("%s: refused is %v, passes should be %v", sql, refused, passes)
		}
	}
}

// TestWhole: where equal values have equal tokens at every moment of a rotation, columns are compared with each other as ever, and with a value in
// both forms.
func TestWhole(t *testing.T) {
	rotating := func(table, name string, whole bool) ColumnInfo {
		c := guard(table, name, sallyport.Email)
		c.Protect.Forms, c.Protect.List, c.Protect.Whole = 2, "text[]", whole
		return c
	}
	for _, whole := range []bool{true, false} {
		customers := table("customers", one(link("id"), rotating("customers", "email", whole)), plain("country"))
		leads := table("leads", one(number("id"), rotating("leads", "email", whole)))
		analyzer := New(NewSchema([]*Relation{customers, leads}, nil), Options{})
		for _, sql := range []string{
			"SELECT c.id FROM customers c JOIN leads l ON l.email = c.email", "SELECT c.id FROM customers c JOIN leads l USING (email)", "SELECT 1 FROM customers NATURAL JOIN leads",
			"SELECT email, count(*) FROM leads GROUP BY email", "SELECT DISTINCT email FROM leads", "SELECT count(DISTINCT email) FROM leads",
			"SELECT email FROM leads UNION SELECT email FROM customers", "SELECT email FROM leads EXCEPT SELECT email FROM customers",
			"SELECT 1 FROM leads l JOIN customers c ON l.email IS DISTINCT FROM c.email", "SELECT id FROM leads WHERE email IN (SELECT email FROM customers)",
			"SELECT id FROM leads WHERE email = (SELECT email FROM customers LIMIT 1)", "SELECT row_number() OVER (PARTITION BY email) FROM leads",
		} {
			plan, err := analyzer.Analyze(sql, true)
			refused := err != nil || plan.Statements[0].Refusal != nil
			if refused == whole {
				t.Errorf("whole %v: %s: refused %v", whole, sql, refused)
			}
		}
		plan, err := analyzer.Analyze("SELECT id FROM leads WHERE email = 'x'", true)
		if err != nil || plan.Statements[0].Refusal != nil || len(plan.Statements[0].Edits) != 1 || plan.Statements[0].Edits[0].Wide == nil {
			t.Errorf("whole %v: a search carries both forms: %+v, %v", whole, plan, err)
		}
	}
}

// TestBound answers what compares columns with each other that foreign keys hold equal, and nothing else of them.
func TestBound(t *testing.T) {
	bound := func(relation, column string, unique bool) ColumnInfo {
		c := sallyport.Column{Schema: "support", Table: relation, Name: column}
		return ColumnInfo{Name: column, TypeOID: 25, Mask: &Mask{Column: c}, Protect: &Protection{
			Column: c, Scheme: sallyport.Email, Group: "email", Moving: true, Unique: unique, Forms: 3, List: "text[]", Bond: "support.customers.email",
		}}
	}
	alone := bound("leads", "email", false)
	alone.Protect.Bond = ""
	s := NewSchema([]*Relation{
		table("customers", one(number("id"), bound("customers", "email", true))), table("subs", one(number("id"), bound("subs", "email", false), bound("subs", "referrer", false))),
		table("leads", one(number("id"), alone)),
	}, nil)
	s.Masks = true
	analyzer := New(s, Options{})
	for sql, passes := range map[string]bool{
		"SELECT c.id FROM customers c JOIN subs s ON s.email = c.email":                true,
		"SELECT c.id FROM customers c JOIN subs s USING (email)":                       true,
		"SELECT id FROM subs WHERE email = referrer":                                   true,
		"SELECT id FROM subs WHERE email <> referrer":                                  true,
		"SELECT id FROM subs WHERE email IN (SELECT email FROM customers)":             true,
		"SELECT email, count(*) FROM subs GROUP BY email":                              true,
		"SELECT email FROM subs UNION SELECT email FROM customers":                     true,
		"SELECT id FROM subs WHERE email = coalesce(referrer, 'x')":                    false,
		"SELECT id FROM subs WHERE email IN (SELECT email FROM leads)":                 false,
		"SELECT c.id FROM leads c JOIN subs s ON s.email = c.email":                    false,
		"SELECT email FROM subs UNION SELECT email FROM leads":                         false,
		"SELECT id FROM subs WHERE upper(email) = upper(referrer)":                     false,
		"SELECT id FROM subs WHERE email > referrer":                                   false,
		"SELECT id FROM subs WHERE email = (SELECT 'x')":                               false,
		"SELECT id FROM subs s WHERE EXISTS (SELECT FROM leads WHERE email = s.email)": false,
	} {
		plan, err := analyzer.Analyze(sql, true)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if refusal := plan.Statements[0].Refusal; (refusal == nil) != passes {
			t.Errorf("%s: %v, want it to pass: %v", sql, refusal, passes)
		}
	}
}
