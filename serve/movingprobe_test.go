package serve

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/api"
	"sallyport/protect"
)

// TestInvariant4LeavingProbes: while protection is undone values are written in plain, and RETURNING still shows their tokens. So each
// value counts as a probe, as it did before.
func TestInvariant4LeavingProbes(t *testing.T) {
	f := newFort(t, "budgets: {default: {probed: {hour: 5, day: 5, month: 5}}}\n")
	f.superExec(f.database, "GRANT UPDATE (email) ON support.customers TO sallyport_reader")
	f.enter(nil, f.movingSet())
	c := f.connect(f.org.Agents()[0].ID)
	tokens := 0
	for i := range 10 {
		got, err := c.rows(fmt.Sprintf("INSERT INTO support.customers (id, full_name, email, country, plan, created_at, segment) VALUES (%d, 'Jane Guess', 'guess%d@example.org', 'DE', 'free', now(), 'x') RETURNING email", 900000+i, i))
		if err != nil {
			break
		}
		tokens += len(got)
	}
	if tokens == 0 || tokens > 5 {
		t.Errorf("%d tokens of chosen values are shown, with a budget of 5 probes", tokens)
	}
}

// TestInvariant3MovingPreparedRow reads whole rows by statements that were prepared before their columns began to move.
func TestInvariant3MovingPreparedRow(t *testing.T) {
	f := newFort(t, "")
	who, ticket, _ := f.hasTicket(1)
	victim := f.org.Customer(1)
	f.superExec(f.database, "CREATE FUNCTION support.shout(c support.customers) RETURNS text LANGUAGE sql AS 'SELECT upper($1.email)'")
	statements := []string{
		"SELECT c FROM support.customers c WHERE id = $1", "SELECT customers FROM support.customers WHERE id = $1", "SELECT c.* FROM support.customers c WHERE id = $1",
		"SELECT id, email, c FROM support.customers c WHERE c.id = $1", "SELECT c.shout FROM support.customers c WHERE c.id = $1",
	}
	c := f.connect(who, pgx.QueryExecModeCacheStatement)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), pgx.QueryExecModeSimpleProtocol)
	look := func(when string) {
		t.Helper()
		for _, sql := range statements {
			rows, err := c.rows(sql, victim.ID)
			said := strings.ToLower(fmt.Sprint(rows, err))
			for _, secret := range []string{victim.Email, victim.FullName, victim.Phone} {
				if strings.Contains(said, strings.ToLower(secret)) {
					t.Errorf("%s %s hands out %q", when, sql, secret)
					break
				}
			}
			if c.IsClosed() {
				c = f.connect(who, pgx.QueryExecModeCacheStatement)
			}
		}
	}
	look("before")
	f.enter(f.movingSet(), nil)
	f.makePlain(f.direct(), victim)
	look("while moving")
	look("again while moving")
}

// TestMovingSettlesUnseen: that the database keeps plain values out has to be seen of the very columns that move when they are taken for
// protected, also of those that began in between.
func TestMovingSettlesUnseen(t *testing.T) {
	f := halfFort(t, "")
	set, err := f.config.ProtectSet()
	fatal(t, err)
	if err := f.server.maySettle(api.States{Columns: set}, nil); err == nil || !strings.Contains(err.Error(), "began to move") {
		t.Errorf("columns that move are taken for protected, unseen: %v", err)
	}
	if err := f.server.maySettle(api.States{Columns: set}, f.movingSet()); err != nil {
		t.Errorf("when all were seen: %v", err)
	}
}

// orderThefts get at plain values, or at what order and length say of them, by ways that the table of thefts has not.
func orderThefts() []string {
	return []string{
		"SELECT id FROM support.customers WHERE id < 60 ORDER BY email", "SELECT id FROM support.customers ORDER BY birth_date LIMIT 1", "SELECT rank() OVER (ORDER BY birth_date), id FROM support.customers WHERE id < 60",
		"SELECT lead(id) OVER (ORDER BY full_name) FROM support.customers WHERE id < 60", "SELECT id FROM support.customers WHERE birth_date BETWEEN '1900-01-01' AND '1970-01-01'",
		"SELECT id FROM support.customers WHERE email = ANY (string_to_array('a@x.org,b@x.org', ','))", "SELECT id FROM support.customers WHERE array_position(ARRAY[email], 'a@x.org') > 0",
		"SELECT id FROM support.customers WHERE email IN (VALUES ('a@x.org'))", "SELECT id FROM support.customers c WHERE EXISTS (SELECT FROM support.customers d WHERE d.email < c.email AND d.id = 3)",
		"SELECT array_agg(id ORDER BY full_name) FROM support.customers WHERE id < 60", "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY birth_date) FROM support.customers",
		"SELECT id FROM support.customers WHERE octet_length(email) = 20", "SELECT id FROM support.customers WHERE birth_date + 1 > '1980-01-01'", "SELECT id FROM support.customers WHERE starts_with(full_name, 'A')",
		"SELECT count(DISTINCT full_name) FROM support.customers", "SELECT id FROM support.customers WHERE (email, id) > ('m', 1)", "SELECT id FROM support.customers WHERE to_tsvector(notes) @@ to_tsquery('invoice')",
		"SELECT id FROM support.customers c WHERE c::text LIKE '%a%'", "SELECT id FROM support.customers c WHERE to_jsonb(c) @> '{\"email\": \"a@x.org\"}'", "SELECT id FROM support.customers c WHERE to_jsonb(c)->>'email' > 'm'",
		"WITH u AS (UPDATE support.customers SET plan = plan WHERE id < 60 RETURNING email, full_name) SELECT upper(email), full_name FROM u",
		"COPY (UPDATE support.customers SET plan = plan WHERE id < 60 RETURNING upper(email), notes) TO STDOUT", "SELECT row(c.*), ARRAY[c] FROM support.customers c WHERE id < 60",
		"SELECT (c).* FROM support.customers c WHERE id < 60", "SELECT jsonb_agg(c) FROM support.customers c WHERE id < 60", "SELECT x FROM support.customers c, LATERAL jsonb_each_text(to_jsonb(c)) x WHERE id < 60",
		"SELECT c.* FROM support.customers c TABLESAMPLE SYSTEM (100) WHERE id < 60 FOR UPDATE", "SELECT * FROM support.customers a FULL JOIN support.customers b USING (email) WHERE a.id < 60",
		"INSERT INTO support.customers AS c (id, full_name, email, country, plan, created_at, segment) VALUES (1, 'X', 'zz@x.org', 'DE', 'x', now(), 'x') ON CONFLICT (id) DO UPDATE SET plan = c.email RETURNING plan",
		"MERGE INTO support.customers c USING (SELECT id, email FROM support.customers WHERE id < 60) s ON c.id = s.id WHEN MATCHED THEN UPDATE SET plan = s.email",
		"UPDATE support.customers SET full_name = email WHERE id = 1 RETURNING full_name", "UPDATE support.customers SET notes = (SELECT email FROM support.customers WHERE id = 3) WHERE id = 1",
		"SELECT nullif(left(email, 1), 'a') IS NULL FROM support.customers WHERE id < 60", "SELECT birth_date = '1980-02-29'::date + 0 FROM support.customers WHERE id < 60",
		"SELECT set_config('sallyport.purpose', email, false) FROM support.customers WHERE id = 1", "SELECT pg_notify('x', email) FROM support.customers WHERE id = 1", "SELECT currval(email) FROM support.customers WHERE id = 1",
		"SELECT email::regclass FROM support.customers WHERE id = 1", "SELECT 1 FROM support.customers WHERE id = 1 AND email::xml IS NULL", "SELECT generate_series(1, length(email)) FROM support.customers WHERE id = 1",
		"SELECT id FROM support.customers WHERE id < 60 LIMIT (SELECT length(email) FROM support.customers WHERE id = 1)", "CREATE STATISTICS st ON email, full_name FROM support.customers", "CREATE INDEX ON support.customers ((email::int))",
		"ALTER TABLE support.customers ADD CONSTRAINT x CHECK (email < 'm')", "SELECT id FROM support.customers WHERE date_part('year', birth_date) = 1980", "SELECT DISTINCT ON (birth_date) id FROM support.customers WHERE id < 60",
		"SELECT id FROM support.customers WHERE id < 60 GROUP BY id, birth_date ORDER BY birth_date", "DECLARE h CURSOR WITH HOLD FOR SELECT full_name || '' FROM support.customers WHERE id < 60; FETCH ALL h",
		"VALUES ((SELECT email FROM support.customers WHERE id = 1))", "SELECT min(birth_date) FROM support.customers WHERE id < 60", "SELECT most_common_vals::text FROM pg_catalog.pg_stats", "SELECT stavalues1::text FROM pg_catalog.pg_statistic",
	}
}

// TestMovingForgedCheck: a CHECK by protect's name that somebody else made, and that lets everything in, proves nothing.
func TestMovingForgedCheck(t *testing.T) {
	f := halfFort(t, "")
	admin := f.direct()
	columns, err := f.config.Codecs(f.server.guard.ring)
	fatal(t, err)
	columns = slices.DeleteFunc(columns, func(c protect.Column) bool { return c.Column.String() != "support.customers.email" })
	forge := func(check string) []string {
		t.Helper()
		for _, sql := range []string{
			"ALTER TABLE support.customers DROP CONSTRAINT IF EXISTS sallyport_token_3", "ALTER TABLE support.customers ADD CONSTRAINT sallyport_token_3 CHECK (" + check + ")",
		} {
			_, err := admin.Exec(t.Context(), sql)
			fatal(t, err)
		}
		open, err := protect.Unconstrained(t.Context(), admin, columns)
		fatal(t, err)
		return open
	}
	var number int
	fatal(t, admin.QueryRow(t.Context(), "SELECT attnum FROM pg_attribute WHERE attrelid = 'support.customers'::regclass AND attname = 'email'").Scan(&number))
	if number != 3 {
		t.Fatalf("e-mail addresses are column %d", number)
	}
	if open := forge("email IS NOT NULL OR true"); len(open) != 1 {
		t.Errorf("a forged CHECK over plain values: open are %v", open)
	}
	_, err = admin.Exec(t.Context(), "DELETE FROM support.messages; DELETE FROM support.contacts; DELETE FROM support.tickets; DELETE FROM support.customers WHERE email NOT LIKE '%.k1.invalid' AND email NOT LIKE '%@k1.invalid'")
	fatal(t, err)
	if open := forge("email LIKE '%k1.invalid'"); len(open) != 0 {
		t.Errorf("a CHECK over tokens alone: open are %v", open)
	}
}
