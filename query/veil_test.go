package query

import (
	"fmt"
	"strings"
	"testing"

	"sallyport"
)

// maskSchema has a table with two masked columns and one without.
func maskSchema() *Schema {
	masked := func(name string, oid uint32) ColumnInfo {
		return ColumnInfo{Name: name, TypeOID: oid, Mask: &Mask{Column: sallyport.Column{Schema: "hr", Table: "people", Name: name}}}
	}
	s := NewSchema([]*Relation{
		{Schema: "hr", Name: "people", Columns: []ColumnInfo{{Name: "id", TypeOID: 23}, masked("email", 25), masked("salary", 23), masked("bonus", 1700), {Name: "note", TypeOID: 25}}},
		{Schema: "hr", Name: "orders", Columns: []ColumnInfo{{Name: "id", TypeOID: 23}, {Name: "note", TypeOID: 25}}},
	}, nil)
	s.Masks, s.OnlyMasks, s.BuiltIn = true, true, map[string]struct{}{}
	for _, name := range []string{"operator =", "operator ||", "upper", "lower", "count", "max", "concat", "coalesce", "pg_sleep", "left", "row_to_json", "now", "json_build_object", "lag", "format", "replace", "translate", "btrim", "operator ->>", "sum", "avg", "min", "age", "timezone", "date_trunc", "quote_ident", "length"} {
		s.BuiltIn[name] = struct{}{}
	}
	return s
}

// TestVeiled says of each output whether something masked may stand in it: x yes, - no, ? nobody can tell; ! it is refused.
func TestVeiled(t *testing.T) {
	analyzer := New(maskSchema(), Options{})
	for sql, want := range map[string]string{
		"SELECT * FROM people":                                                                                      "-xxx-",
		"SELECT p FROM people p":                                                                                    "x",
		"SELECT id, upper(note), email, upper(email) FROM people":                                                   "--xx",
		"SELECT count(*), count(email), max(id), max(salary) FROM people":                                           "---x",
		"SELECT email = 'x', email IS NULL, id = 1 FROM people":                                                     "x--",
		"SELECT EXISTS (SELECT FROM people WHERE email = 'x')":                                                      "-",
		"SELECT (SELECT count(*) FROM people WHERE email = 'x')":                                                    "-",
		"SELECT (SELECT email FROM people), id FROM orders":                                                         "x-",
		"SELECT CASE WHEN email = 'x' THEN 1 END, CASE WHEN id = 1 THEN 'a' END FROM people":                        "x-",
		"SELECT s.e, s.n FROM (SELECT concat(email, '') AS e, note AS n FROM people) s":                             "x-",
		"WITH q AS (SELECT email, id FROM people) SELECT id, email FROM q UNION ALL SELECT 1, 'x'":                  "-x",
		"SELECT email FROM people UNION SELECT 'x'":                                                                 "!",
		"SELECT *, upper(email) FROM people p, orders o":                                                            "?",
		"SELECT p.*, o.id FROM people p, orders o":                                                                  "-xxx--",
		"SELECT row_to_json(p), row_to_json(o) FROM people p, orders o":                                             "x-",
		"UPDATE people SET email = 'x' RETURNING id, email":                                                         "-x",
		"SELECT note FROM people WHERE lower(email) = lower($1)":                                                    "-",
		"SELECT note FROM people WHERE email = $1 OR $1 IS NULL":                                                    "-",
		"SELECT note FROM people WHERE email = note":                                                                "!",
		"SELECT note FROM people WHERE left(email, 1) = 'x'":                                                        "!",
		"SELECT email FROM people, pg_toast_16385 t":                                                                "!",
		"SELECT pg_sleep(salary) FROM people":                                                                       "!",
		"SELECT json_build_object('e', email), json_build_object('e', email) ->> 'e' FROM people":                   "xx",
		"SELECT count(json_build_object(left(email, 1), 1) ->> 'z') FROM people":                                    "!",
		"SELECT (ARRAY['a', 'b'])[salary] FROM people":                                                              "!",
		"SELECT lag(email, 1, note) OVER (), format('%s: %s', note, email) FROM people":                             "xx",
		"SELECT lag(note, salary) OVER () FROM people":                                                              "!",
		"SELECT format('%*s', salary, note) FROM people":                                                            "!",
		"SELECT replace(email, ' ', '.'), btrim(email) FROM people":                                                 "xx",
		"SELECT replace(email, ' ', '') FROM people":                                                                "!",
		"SELECT btrim(left(email, 1), 'a') FROM people":                                                             "!",
		"SELECT translate(email, 'ab', 'x') FROM people":                                                            "!",
		"SELECT replace(email, 'a', 'aa') FROM people":                                                              "!",
		"SELECT (salary).pg_sleep FROM people":                                                                      "!",
		"SELECT max(email), min(salary), sum(salary), avg(salary), least(a.email, b.email) FROM people a, people b": "xxxxx",
		"SELECT max(email), min(lower(email)), sum(salary), avg(salary), greatest(email, upper(email)) FROM people": "xxxxx",
		"SELECT sum(CASE id WHEN 1 THEN salary ELSE 9 END) FROM people":                                             "!",
		"SELECT avg(coalesce(salary, 9)) FROM people":                                                               "!",
		"SELECT sum(bonus) FROM people":                                                                             "!",
		"SELECT sum(length(email)) FROM people":                                                                     "!",
		"SELECT greatest(email, 'm') FROM people":                                                                   "!",
		"SELECT least(note, email) FROM people":                                                                     "!",
		"SELECT max(CASE id WHEN 1 THEN email ELSE note END) FROM people":                                           "!",
		"SELECT max(x) FROM (SELECT email FROM people UNION ALL SELECT 'm') s(x)":                                   "!",
		"SELECT max(email) FROM people p FULL JOIN (VALUES ('m')) v(email) USING (email)":                           "!",
		"SELECT max(email) FROM people p RIGHT JOIN (VALUES ('m')) v(email) USING (email)":                          "!",
		"SELECT max(e) FROM (VALUES ('m'), ((SELECT email FROM people))) v(e)":                                      "!",
		"WITH RECURSIVE q(e) AS (SELECT email FROM people UNION ALL SELECT 'm') SELECT max(e) FROM q":               "!",
		"SELECT greatest(p, p) FROM people p":                                                                       "!",
		"SELECT age(bonus), age(now(), bonus), timezone('Europe/Berlin', bonus) FROM people":                        "xxx",
		"SELECT age('1980-01-01', bonus) FROM people":                                                               "!",
		"SELECT age(note, bonus) FROM people":                                                                       "!",
		"SELECT timezone('UTC+100', bonus) FROM people":                                                             "!",
		"SELECT date_trunc('year', bonus) FROM people":                                                              "x",
		"SELECT date_trunc('day', bonus, 'XXX+48') FROM people":                                                     "!",
		"SELECT greatest(ARRAY[email], ARRAY['m']) FROM people":                                                     "!",
		"SELECT max(lag(email, 1, 'm') OVER ()) FROM people":                                                        "!",
		"SELECT timezone(note, bonus) FROM people":                                                                  "!",
		"SELECT format('%1$s %%', email), replace(email, 'a', 'b') FROM people":                                     "xx",
		"SELECT format('%I', email) FROM people":                                                                    "!",
		"SELECT format('%1$-5L', email) FROM people":                                                                "!",
		"SELECT quote_ident(email) FROM people":                                                                     "!",
		"SELECT replace(email, 'a', 'ä') FROM people":                                                               "!",
		"SELECT translate(email, 'ä', 'a') FROM people":                                                             "!",
		"INSERT INTO orders (note) SELECT email FROM people":                                                        "!",
		"UPDATE people SET note = email":                                                                            "!",
		"UPDATE people SET email = left(email, 1)":                                                                  "!",
		"SELECT id FROM people ORDER BY email":                                                                      "!",
		"SELECT id, count(*) OVER (PARTITION BY salary) FROM people":                                                "!",
		"SELECT id, row_number() OVER w FROM people WINDOW w AS (PARTITION BY note, salary)":                        "!",
		"SELECT id, count(*) OVER (PARTITION BY note ORDER BY id) FROM people":                                      "--",
		"SELECT DISTINCT ON (salary) id FROM people":                                                                "!",
		"SELECT DISTINCT ON (2) id, salary FROM people":                                                             "!",
		"SELECT DISTINCT ON (s) id, salary AS s FROM people":                                                        "!",
		"SELECT DISTINCT ON (note) id, salary FROM people":                                                          "-x",
		"SELECT DISTINCT ON (id) id, salary FROM people ORDER BY id":                                                "-x",
	} {
		plan, err := analyzer.Analyze(sql, true)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		st := &plan.Statements[0]
		got := "?"
		switch {
		case st.Refusal != nil:
			got = "!"
			if st.Refusal.Code != CodeMasked || strings.Contains(fmt.Sprint(*st.Refusal), "protected") {
				t.Errorf("%s: refused as %+v", sql, *st.Refusal)
			}
		case st.Veiled != nil:
			got = ""
			for _, v := range st.Veiled {
				got += map[bool]string{true: "x", false: "-"}[v]
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
		if !st.Masks || !st.Leans || st.Touches || len(st.Columns) > 0 || len(st.Edits) > 0 || len(st.Params) > 0 {
			t.Errorf("%s: taken for something about a protected column", sql)
		}
	}
	if plan, err := analyzer.Analyze("SELECT chunk_data FROM pg_toast.pg_toast_16385", true); err != nil || plan.Statements[0].Refusal == nil || plan.Statements[0].Refusal.Code != CodeMasked {
		t.Error("what the server keeps of long values is read")
	}
	for _, sql := range []string{"SELECT id, upper(note) FROM orders", "INSERT INTO orders VALUES (1, 'x')"} {
		if plan, err := analyzer.Analyze(sql, true); err != nil || plan.Statements[0].Masks {
			t.Errorf("%s: taken for something about a masked column", sql)
		}
	}
}
