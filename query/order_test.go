package query

import (
	"strings"
	"testing"
)

// TestOrderIsRefused holds everything that would sort, range over or look into tokens to being refused with a hint: the answer
// would be one of tokens, which looks like one of values.
func TestOrderIsRefused(t *testing.T) {
	a := New(refSchema(), Options{Facts: refFacts()})
	for _, sql := range []string{
		"SELECT * FROM customers ORDER BY email",
		"SELECT id, email FROM customers ORDER BY 2",
		"SELECT email AS e FROM customers ORDER BY e",
		"SELECT email AS e FROM customers ORDER BY e COLLATE \"C\"",
		"SELECT * FROM customers ORDER BY id, c.email DESC NULLS LAST",
		"SELECT * FROM customers c ORDER BY c.email USING OPERATOR(pg_catalog.>)",
		"SELECT * FROM customers c ORDER BY c",
		"SELECT * FROM customers c ORDER BY (email)",
		"SELECT * FROM customers c ORDER BY (email, id)",
		"SELECT * FROM customers c ORDER BY email || ''",
		"SELECT * FROM customers c ORDER BY lower(email)",
		"SELECT * FROM customers c ORDER BY email::varchar",
		"SELECT * FROM customers c ORDER BY (c).email",
		"SELECT * FROM customers c ORDER BY to_jsonb(c)",
		"SELECT * FROM customers c ORDER BY coalesce(email, phone)",
		"SELECT * FROM customers c ORDER BY CASE WHEN id = 1 THEN email END",
		"SELECT * FROM customers c ORDER BY (SELECT c.email)",
		"SELECT * FROM customers ORDER BY birth_date FETCH FIRST 1 ROW WITH TIES",
		"SELECT * FROM customers ORDER BY birth_date + 1",
		"SELECT * FROM customers ORDER BY age(birth_date)",
		"SELECT * FROM (SELECT email AS x FROM customers) s ORDER BY x",
		"SELECT * FROM (SELECT * FROM customers ORDER BY email) s",
		"WITH c AS (SELECT email AS x FROM customers) SELECT * FROM c ORDER BY 1",
		"SELECT email FROM customers UNION SELECT email FROM leads ORDER BY email",
		"SELECT email FROM customers UNION ALL SELECT email FROM leads ORDER BY 1",
		"SELECT * FROM open_cases ORDER BY email",
		"SELECT * FROM labels ORDER BY label",
		"SELECT row_number() OVER (ORDER BY email) FROM customers",
		"SELECT rank() OVER w FROM customers WINDOW w AS (PARTITION BY plan ORDER BY birth_date)",
		"SELECT sum(id) OVER (ORDER BY birth_date RANGE BETWEEN '1 year' PRECEDING AND CURRENT ROW) FROM customers",
		"SELECT DISTINCT ON (email) id FROM customers ORDER BY email, id",
		"SELECT array_agg(id ORDER BY email) FROM customers",
		"SELECT string_agg(plan, ',' ORDER BY birth_date) FROM customers",
		"SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY birth_date) FROM customers",
		"SELECT rank('a') WITHIN GROUP (ORDER BY email) FROM customers",
		"SELECT min(email) FROM customers", "SELECT max(birth_date) FROM customers", "SELECT min(email) OVER () FROM customers",
		"SELECT greatest(email, phone) FROM customers", "SELECT least(birth_date, current_date) FROM customers", "SELECT max(lower(email)) FROM customers",
		"SELECT 1 FROM customers GROUP BY plan HAVING max(email) IS NOT NULL",
		"DECLARE x CURSOR FOR SELECT * FROM customers ORDER BY email",
		"EXPLAIN SELECT * FROM customers ORDER BY email",
		"PREPARE x AS SELECT * FROM customers ORDER BY email",
		"COPY (SELECT * FROM customers ORDER BY email) TO STDOUT",
		"CREATE TABLE x AS SELECT * FROM customers ORDER BY email",
		"INSERT INTO staff (id) SELECT id::text FROM customers ORDER BY email",
	} {
		refusedWithHint(t, a, sql)
	}
	for _, condition := range []string{
		"email < 'a'", "email <= 'a'", "email > 'a'", "'a' >= email", "email < $1", "email BETWEEN 'a' AND 'b'", "email NOT BETWEEN 'a' AND 'b'", "email BETWEEN SYMMETRIC 'a' AND 'b'",
		"'a' BETWEEN email AND phone", "birth_date < '1980-01-01'", "birth_date > current_date - 9000", "birth_date BETWEEN '1980-01-01' AND $1", "(email, id) < ('a', 1)", "(birth_date, id) >= ($1, $2)",
		"email < ANY ('{a,b}')", "email >= ALL (ARRAY['a'])", "email > (SELECT 'a')", "email > ALL (SELECT name FROM staff)", "email < phone", "email OPERATOR(pg_catalog.<) 'a'",
		"email ~<~ 'a'", "email ~>=~ 'a'", "c > ROW(1, 'a')", "ARRAY[email] < ARRAY['a']", "greatest(email, 'a') = email",
		"email LIKE 'a%'", "email NOT LIKE 'a%'", "email ILIKE 'A%'", "email LIKE $1", "email LIKE ANY (ARRAY['a%'])", "email LIKE 'a!%' ESCAPE '!'", "email ~ '^a'", "email ~* '^a'", "email !~ 'a'", "email !~* 'a'",
		"email ~~ 'a%'", "email !~~* 'a%'", "email SIMILAR TO 'a%'", "email NOT SIMILAR TO 'a%'", "email ^@ 'a'", "starts_with(email, 'a')", "regexp_like(email, 'a')", "regexp_count(email, 'a') > 0", "regexp_instr(email, 'a') > 0",
		"position('a' in email) > 0", "strpos(email, 'a') = 1", "left(email, 1) = 'a'", "substr(email, 1, 1) = 'a'", "substring(email for 1) = 'a'", "right(phone, 2) = '42'", "email @@ 'a'",
		"to_tsvector(email) @@ to_tsquery('a')", "birth_date - '1980-01-01'::date > 3", "extract(year FROM birth_date) = 1980", "date_part('year', birth_date) = 1980", "date_trunc('year', birth_date) = '1980-01-01'", "to_char(birth_date, 'YYYY') = '1980'",
		"(birth_date, birth_date) OVERLAPS ('1980-01-01'::date, '1981-01-01'::date)", "daterange('1980-01-01', '1981-01-01') @> birth_date", "birth_date <@ daterange('1980-01-01', '1981-01-01')", "birth_date::text LIKE '1980%'", "width_bucket(birth_date, ARRAY['1980-01-01'::date]) = 1",
	} {
		refusedWithHint(t, a, "SELECT c.id FROM customers c WHERE "+condition)
	}
	for _, sql := range []string{ // what tokens can answer
		"SELECT * FROM customers ORDER BY id", "SELECT email, count(*) FROM customers GROUP BY email", "SELECT DISTINCT email FROM customers", "SELECT count(DISTINCT email) FROM customers",
		"SELECT lag(email) OVER (ORDER BY id) FROM customers", "SELECT row_number() OVER (PARTITION BY email ORDER BY id) FROM customers", "SELECT DISTINCT ON (email) id FROM customers", "SELECT id FROM customers ORDER BY 1",
		"SELECT email FROM customers EXCEPT SELECT email FROM leads", "SELECT email FROM customers GROUP BY ROLLUP (email)", "SELECT c.id FROM customers c WHERE email IS NOT NULL AND email <> 'a'",
	} {
		plan, err := a.Analyze(sql, true)
		if err != nil || plan.Statements[0].Refusal != nil {
			t.Errorf("%s: %v %v", sql, err, plan.Statements[0].Refusal)
		}
	}
}

func refusedWithHint(t *testing.T, a *Analyzer, sql string) {
	t.Helper()
	plan, err := a.Analyze(sql, true)
	if err != nil {
		t.Errorf("%s: %v", sql, err)
		return
	}
	switch r := plan.Statements[0].Refusal; {
	case r == nil:
		t.Errorf("%s: it passes", sql)
	case r.Code != CodeUnanswered && r.Code != CodeUntraceable:
		t.Errorf("%s: %s", sql, r.Code)
	case strings.TrimSpace(r.Hint) == "":
		t.Errorf("%s: no hint", sql)
	}
}
