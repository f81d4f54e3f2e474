package serve

import (
	"fmt"
	"strconv"
	"strings"
)

// around are tricks that lean on something that a DBA made at the database itself.
func around() []trick {
	const risky = "CREATE FUNCTION public.mean{row}(t text) RETURNS boolean LANGUAGE sql VOLATILE AS $f$ UPDATE support.customers SET notes = t WHERE id = {own}; SELECT true $f$; "
	const away = "DROP FUNCTION public.mean{row}(text) CASCADE; UPDATE support.customers SET notes = NULL WHERE id = {own}"
	const hush = "ALTER TABLE support.staff DROP CONSTRAINT IF EXISTS mean{row}; " + away
	rows := []trick{
		{name: "a function that writes", around: risky, undo: away, sql: []string{"SELECT public.mean{row}('{text}')", "SELECT mean{row}('{text}')", "SELECT * FROM mean{row}('{text}')", "SELECT ('{text}'::text).mean{row}", "SELECT 1 FROM support.staff WHERE mean{row}('{text}')"}},
		{
			name: "an operator over it", around: risky + "CREATE OPERATOR public.<~> (RIGHTARG = text, FUNCTION = public.mean{row}); CREATE FUNCTION public.two{row}(a text, b int) RETURNS boolean LANGUAGE sql AS 'SELECT public.mean{row}(a)'; CREATE OPERATOR public.<~~> (LEFTARG = text, RIGHTARG = int, FUNCTION = public.two{row})",
			undo: "DROP OPERATOR public.<~> (NONE, text); DROP OPERATOR public.<~~> (text, int); DROP FUNCTION public.two{row}(text, int); " + away,
			sql:  []string{"SELECT <~> '{text}'::text", "SELECT '{text}'::text <~~> 1", "SELECT '{text}'::text OPERATOR(public.<~~>) 1", "SELECT 1 WHERE '{text}' <~~> 1", "SELECT '{text}'::text <~~> ANY (ARRAY[1])", "SELECT 1 FROM support.staff ORDER BY '{text}'::text <~~> 1"},
		},
		{
			name: "a cast over it", around: risky + "CREATE TYPE public.kind{row} AS (a boolean); CREATE FUNCTION public.to{row}(t text) RETURNS public.kind{row} LANGUAGE sql AS 'SELECT ROW(public.mean{row}(t))::public.kind{row}'; CREATE CAST (text AS public.kind{row}) WITH FUNCTION public.to{row}(text) AS ASSIGNMENT",
			undo: "DROP TYPE public.kind{row} CASCADE; " + away, sql: []string{"SELECT '{text}'::text::public.kind{row}", "SELECT CAST('{text}'::text AS public.kind{row})", "SELECT (k) FROM (SELECT '{text}'::text::kind{row}) s(k)", "CREATE TEMP TABLE k{row} (k public.kind{row}); INSERT INTO k{row} SELECT '{text}'::text; DROP TABLE k{row}"},
		},
		{
			name: "a domain over it", around: risky + "CREATE DOMAIN public.dom{row} AS text CHECK (public.mean{row}(VALUE))", undo: "DROP DOMAIN public.dom{row} CASCADE; " + away,
			sql: []string{"SELECT '{text}'::public.dom{row}", "SELECT CAST('{text}' AS dom{row})", "SELECT public.dom{row} '{text}'", "SELECT '{\"{text}\"}'::dom{row}[]", "SELECT * FROM json_to_record('{\"a\": \"{text}\"}') AS x(a public.dom{row})", "PREPARE k{row} (public.dom{row}) AS SELECT $1; EXECUTE k{row}('{text}')"},
		},
		{name: "a CHECK of an unprotected table", around: risky + "ALTER TABLE support.staff ADD CONSTRAINT mean{row} CHECK (public.mean{row}(name)) NOT VALID", undo: hush, roles: engineer, sql: []string{"INSERT INTO support.staff VALUES ('{row}', '{text}', 't', 'r')", "UPDATE support.staff SET name = '{text}' WHERE id = '{row}'", "COPY support.staff FROM STDIN"}},
		{name: "a default of an unprotected table", around: risky + "ALTER TABLE support.staff ALTER COLUMN team SET DEFAULT public.mean{row}('x')::text", undo: "ALTER TABLE support.staff ALTER COLUMN team DROP DEFAULT; " + away, roles: engineer, sql: []string{"INSERT INTO support.staff (id, name, role) VALUES ('{row}', 'x', 'r')"}},
		{
			name: "a generated column", around: "CREATE FUNCTION public.made{row}(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RETURN EXISTS (SELECT FROM support.customers WHERE email = t); END $f$; CREATE TABLE public.gen{row} (a text, b boolean GENERATED ALWAYS AS (public.made{row}(a)) STORED); GRANT ALL ON public.gen{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; DROP FUNCTION public.made{row}(text)", sql: []string{"INSERT INTO public.gen{row} VALUES ('{email}')", "INSERT INTO gen{row} (a) SELECT '{email}'"},
		},
		{
			name: "an index over a function", around: "CREATE FUNCTION public.made{row}(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RETURN EXISTS (SELECT FROM support.customers WHERE email = t); END $f$; CREATE TABLE public.gen{row} (a text); CREATE INDEX ON public.gen{row} (public.made{row}(a)); GRANT ALL ON public.gen{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; DROP FUNCTION public.made{row}(text)", sql: []string{"INSERT INTO public.gen{row} VALUES ('{email}')", "COPY gen{row} FROM STDIN"},
		},
		{
			name: "a policy over a function", around: "CREATE FUNCTION public.made{row}(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS $f$ BEGIN RETURN EXISTS (SELECT FROM support.customers WHERE email = t); END $f$; CREATE TABLE public.gen{row} (a text); ALTER TABLE public.gen{row} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON public.gen{row} WITH CHECK (public.made{row}(a)); GRANT ALL ON public.gen{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; DROP FUNCTION public.made{row}(text)", sql: []string{"INSERT INTO public.gen{row} VALUES ('{email}')"},
		},
		{
			name: "a trigger on an unprotected table", around: "CREATE FUNCTION public.trig{row}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN UPDATE support.customers SET notes = NEW.a WHERE id = {own}; RETURN NEW; END $f$; CREATE TABLE public.gen{row} (a text); CREATE TRIGGER t BEFORE INSERT ON public.gen{row} FOR EACH ROW EXECUTE FUNCTION public.trig{row}(); GRANT ALL ON public.gen{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; DROP FUNCTION public.trig{row}(); UPDATE support.customers SET notes = NULL WHERE id = {own}", sql: []string{"INSERT INTO public.gen{row} VALUES ('{text}')", "MERGE INTO gen{row} USING (VALUES ('{text}')) v(a) ON false WHEN NOT MATCHED THEN INSERT VALUES (v.a)", "WITH w AS (INSERT INTO gen{row} VALUES ('{text}')) SELECT 1"},
		},
		{
			name: "a trigger on deleting from an unprotected table", around: "CREATE FUNCTION public.trig{row}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN UPDATE support.customers SET notes = OLD.a WHERE id = {own}; RETURN OLD; END $f$; CREATE TABLE public.gen{row} (a text); CREATE TRIGGER t BEFORE DELETE ON public.gen{row} FOR EACH ROW EXECUTE FUNCTION public.trig{row}(); GRANT ALL ON public.gen{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; DROP FUNCTION public.trig{row}(); UPDATE support.customers SET notes = NULL WHERE id = {own}", sql: []string{"INSERT INTO public.gen{row} VALUES ('{text}')", "DELETE FROM public.gen{row}", "WITH d AS (DELETE FROM gen{row} RETURNING 1) SELECT 1", "MERGE INTO gen{row} g USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE"},
		},
		{
			name: "a trigger on truncating an unprotected table", around: "CREATE TABLE public.gen{row} (a text); CREATE FUNCTION public.trig{row}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN UPDATE support.customers SET notes = (SELECT min(a) FROM public.gen{row}) WHERE id = {own}; RETURN NULL; END $f$; CREATE TRIGGER t BEFORE TRUNCATE ON public.gen{row} EXECUTE FUNCTION public.trig{row}(); GRANT ALL ON public.gen{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; DROP FUNCTION public.trig{row}(); UPDATE support.customers SET notes = NULL WHERE id = {own}", sql: []string{"INSERT INTO public.gen{row} VALUES ('{text}')", "TRUNCATE public.gen{row}"},
		},
		{
			name: "a rule on deleting from an unprotected table", around: "CREATE TABLE public.gen{row} (a text); CREATE RULE r AS ON DELETE TO public.gen{row} DO ALSO UPDATE support.customers SET notes = OLD.a WHERE id = {own}; GRANT ALL ON public.gen{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; UPDATE support.customers SET notes = NULL WHERE id = {own}", sql: []string{"INSERT INTO public.gen{row} VALUES ('{text}')", "DELETE FROM public.gen{row}"},
		},
		{
			name: "a rule on an unprotected table", around: "CREATE TABLE public.gen{row} (a text); CREATE RULE r AS ON INSERT TO public.gen{row} DO ALSO UPDATE support.customers SET notes = NEW.a WHERE id = {own}; CREATE RULE s AS ON DELETE TO public.gen{row} DO INSTEAD SELECT * FROM support.customers WHERE id = {victim}; GRANT ALL ON public.gen{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; UPDATE support.customers SET notes = NULL WHERE id = {own}", sql: []string{"DELETE FROM public.gen{row}", "INSERT INTO public.gen{row} VALUES ('{text}')"},
		},
		{
			name: "an updatable view", around: "CREATE VIEW public.gen{row} AS SELECT id AS plan, notes AS segment, email AS id FROM support.customers; GRANT ALL ON public.gen{row} TO PUBLIC", undo: "DROP VIEW public.gen{row}; UPDATE support.customers SET notes = NULL WHERE id = {own}",
			sql: []string{"UPDATE public.gen{row} SET segment = '{text}' WHERE plan = {own}", "UPDATE gen{row} SET segment = '{text}' WHERE plan = {own}", "SELECT * FROM gen{row} WHERE id = '{email}'", "SELECT * FROM gen{row} WHERE plan = {victim}", "SELECT g FROM gen{row} g WHERE plan = {victim}"},
		},
		{
			name: "a view with expressions", around: "CREATE VIEW public.gen{row} AS SELECT id, lower(email) AS e, full_name || '' AS n, ARRAY[email] AS a, to_json(customers) AS j FROM support.customers; GRANT ALL ON public.gen{row} TO PUBLIC", undo: "DROP VIEW public.gen{row}",
			sql: []string{"SELECT * FROM gen{row} WHERE e = '{email}'", "SELECT * FROM gen{row} WHERE '{email}' = ANY (a)", "SELECT * FROM gen{row} WHERE j ->> 'email' = '{email}'", "SELECT * FROM gen{row} WHERE id = {victim}"},
		},
		{
			name: "a function that returns rows", around: "CREATE FUNCTION public.rows{row}() RETURNS SETOF support.customers LANGUAGE sql AS 'SELECT * FROM support.customers'; CREATE FUNCTION public.one{row}() RETURNS TABLE (id bigint, mail text) LANGUAGE sql SECURITY DEFINER AS 'SELECT id, email FROM support.customers'", undo: "DROP FUNCTION public.rows{row}(); DROP FUNCTION public.one{row}()",
			sql: []string{"SELECT * FROM rows{row}() WHERE email = '{email}'", "SELECT (rows{row}()).email", "SELECT * FROM one{row}() WHERE mail = '{email}'", "SELECT * FROM one{row}() o(a, b) WHERE b = '{email}'", "SELECT * FROM rows{row}() WHERE id = {victim}"},
		},
		{
			name: "a function that sets the purpose", around: "CREATE FUNCTION public.set{row}() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN PERFORM set_config('sallyport.purpose', 'ticket:{vticket}', false); SET standard_conforming_strings = off; END $f$", undo: "DROP FUNCTION public.set{row}()",
			sql: []string{"SELECT set{row}()", "SELECT * FROM support.customers WHERE id = {victim}"},
		},
		{
			name: "a procedure", around: "CREATE PROCEDURE public.proc{row}(INOUT t text) LANGUAGE plpgsql AS $f$ BEGIN UPDATE support.customers SET notes = t WHERE id = {own}; SELECT email INTO t FROM support.customers WHERE id = {victim}; END $f$", undo: "DROP PROCEDURE public.proc{row}(text); UPDATE support.customers SET notes = NULL WHERE id = {own}",
			sql: []string{"CALL proc{row}('{text}')", "CALL public.proc{row}(t => '{text}')"},
		},
		{
			name: "a role's settings", around: "ALTER ROLE {me} SET standard_conforming_strings = off; ALTER ROLE {me} SET sallyport.purpose = 'ticket:{vticket}'", undo: "ALTER ROLE {me} RESET ALL", roles: agent,
			sql: []string{"SELECT * FROM support.customers WHERE id = {victim}", otherReading, "RESET sallyport.purpose; SELECT * FROM support.customers WHERE id = {victim}"},
		},
		{
			name: "a role's encoding", around: "ALTER ROLE {me} SET client_encoding = 'SJIS'", undo: "ALTER ROLE {me} RESET ALL", roles: agent, params: map[string]string{"client_encoding": "UTF8"}, how: extended,
			wire: func(w *wire) {
				w.refused("0A000", w.parse("", "RESET client_encoding"), w.bind("", ""), runPortal(""), w.parse("", twoLetters[0]), w.bind("", ""), runPortal(""), theSync())
			},
		},
		{
			name: "a table that inherits", around: "CREATE TABLE public.gen{row} () INHERITS (support.customers); GRANT ALL ON public.gen{row} TO PUBLIC", undo: "DROP TABLE public.gen{row}",
			sql: []string{"INSERT INTO gen{row} (id, full_name, email, country, plan, created_at) VALUES (1, '{name}', '{email}', 'DE', 'p', now())", "SELECT * FROM gen{row} WHERE email = '{email}'", "UPDATE gen{row} SET notes = '{text}'"},
		},
		{name: "a copy of the table", around: "CREATE TABLE public.gen{row} AS TABLE support.customers; GRANT ALL ON public.gen{row} TO PUBLIC", undo: "DROP TABLE public.gen{row}", sql: []string{"SELECT * FROM gen{row} WHERE id = {victim}", "SELECT email FROM gen{row}", "COPY gen{row} TO STDOUT"}},
		{
			name: "a table of the same name in front", around: "CREATE SCHEMA front{row}; CREATE TABLE front{row}.customers (id bigint, email text, note text); GRANT ALL ON ALL TABLES IN SCHEMA front{row} TO PUBLIC; GRANT USAGE ON SCHEMA front{row} TO PUBLIC", undo: "DROP SCHEMA front{row} CASCADE",
			sql: []string{"SET search_path = front{row}, support", "SELECT id FROM customers WHERE email = '{email}'", "SELECT id FROM front{row}.customers a, support.customers b WHERE b.email = '{email}'", "SET search_path = support, front{row}", "SELECT id FROM customers WHERE email = '{email}'"},
		},
		{
			name: "a partitioned twin", around: "CREATE TABLE public.gen{row} (id bigint, email text) PARTITION BY LIST (id); CREATE TABLE public.part{row} PARTITION OF public.gen{row} DEFAULT; CREATE FUNCTION public.trig{row}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN UPDATE support.customers SET notes = NEW.email WHERE id = {own}; RETURN NEW; END $f$; CREATE TRIGGER t BEFORE INSERT ON public.part{row} FOR EACH ROW EXECUTE FUNCTION public.trig{row}(); GRANT ALL ON public.gen{row}, public.part{row} TO PUBLIC",
			undo: "DROP TABLE public.gen{row}; DROP FUNCTION public.trig{row}(); UPDATE support.customers SET notes = NULL WHERE id = {own}", sql: []string{"INSERT INTO gen{row} VALUES (1, '{text}')", "INSERT INTO part{row} VALUES (1, '{text}')"},
		},
		{
			name: "a text search configuration and an aggregate", around: risky + "CREATE FUNCTION public.step{row}(s text, t text) RETURNS text LANGUAGE sql AS 'SELECT t WHERE public.mean{row}(t)'; CREATE AGGREGATE public.agg{row}(text) (SFUNC = public.step{row}, STYPE = text)", undo: "DROP AGGREGATE public.agg{row}(text); DROP FUNCTION public.step{row}(text, text); " + away,
			sql: []string{"SELECT agg{row}('{text}')", "SELECT agg{row}(x) OVER () FROM (VALUES ('{text}')) v(x)"},
		},
		{name: "a function with a default and a variadic one", around: "CREATE FUNCTION public.vari{row}(VARIADIC t text[]) RETURNS boolean LANGUAGE sql AS $f$ SELECT EXISTS (SELECT FROM support.customers WHERE email = ANY (t)) $f$", undo: "DROP FUNCTION public.vari{row}(text[])", sql: []string{"SELECT vari{row}('{email}', 'x')", "SELECT vari{row}(VARIADIC '{{email}}')", "SELECT public.vari{row}(VARIADIC t => ARRAY['{email}'])"}},
		{
			name: "a function with a harmless name and a hidden body", around: "CREATE SCHEMA hide{row}; GRANT USAGE ON SCHEMA hide{row} TO PUBLIC; CREATE FUNCTION hide{row}.lower(t text) RETURNS text LANGUAGE sql AS $f$ SELECT email FROM support.customers WHERE email = t $f$; CREATE FUNCTION hide{row}.count(t text) RETURNS bigint LANGUAGE sql AS $f$ SELECT id FROM support.customers WHERE email = t $f$", undo: "DROP SCHEMA hide{row} CASCADE",
			sql: []string{"SET search_path = hide{row}, pg_catalog", "SELECT lower('{email}')", "SELECT count('{email}'::text)", "SELECT hide{row}.lower('{email}')"},
		},
		{name: "an event trigger", around: "CREATE FUNCTION public.ev{row}() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE NOTICE '%', (SELECT email FROM support.customers WHERE id = {victim}); END $f$; CREATE EVENT TRIGGER ev{row} ON ddl_command_start EXECUTE FUNCTION public.ev{row}()", undo: "DROP EVENT TRIGGER ev{row}; DROP FUNCTION public.ev{row}()", sql: []string{"CREATE TEMP TABLE ev{row} (a int)"}},
		{name: "a foreign key onto a protected column", around: "CREATE TABLE public.gen{row} (e text REFERENCES support.customers (email)); GRANT ALL ON public.gen{row} TO PUBLIC", undo: "DROP TABLE public.gen{row}", sql: []string{"INSERT INTO gen{row} VALUES ('{email}')", "UPDATE gen{row} SET e = '{email}'", "COPY gen{row} FROM STDIN"}},
		{name: "a default that is an address", around: "ALTER TABLE support.customers ADD COLUMN extra{row} text DEFAULT 'x'", undo: "ALTER TABLE support.customers DROP COLUMN extra{row}", sql: []string{"SELECT * FROM support.customers WHERE email = '{email}'", "SELECT * FROM support.customers WHERE id = {victim}"}},
		{
			name: "a column renamed and another in its place", around: "ALTER TABLE support.customers RENAME COLUMN email TO mail; ALTER TABLE support.customers RENAME COLUMN plan TO email", undo: "ALTER TABLE support.customers RENAME COLUMN email TO plan; ALTER TABLE support.customers RENAME COLUMN mail TO email",
			sql: []string{"SELECT * FROM support.customers WHERE mail = '{email}'", "SELECT mail, email FROM support.customers WHERE id = {victim}", "UPDATE support.customers SET mail = '{email}' WHERE id = -1"},
		},
	}
	const swap, back = "ALTER TABLE support.customers RENAME COLUMN email TO mail{row}; ALTER TABLE support.customers RENAME COLUMN plan TO email; ALTER TABLE support.customers RENAME COLUMN mail{row} TO plan",
		"ALTER TABLE support.customers RENAME COLUMN plan TO mail{row}; ALTER TABLE support.customers RENAME COLUMN email TO plan; ALTER TABLE support.customers RENAME COLUMN mail{row} TO email"
	rows = append(rows, trick{name: "statements prepared before columns changed places", around: "SELECT 1", undo: "SELECT 1", wire: func(w *wire) {
		const find = "SELECT id FROM support.customers WHERE plan = $1"
		w.ask(w.parse("before", find), theSync())
		w.ask(w.query("PREPARE sql AS " + find))
		w.s.superExec(w.s.database, w.s.fill(w.row, swap))
		defer w.s.superExec(w.s.database, w.s.fill(w.row, back))
		w.ask(w.bind("", "before", "{email}"), runPortal(""), theSync())
		w.ask(w.query("EXECUTE sql ('{email}')"))
		w.ask(w.parse("", find), w.bind("", "", "{email}"), runPortal(""), theSync())
	}})
	const stale = "nobody has looked at the catalogue since: "
	for i, n := 0, len(rows); i < n; i++ {
		switch k := rows[i]; k.name {
		case "an updatable view", "a function that writes", "an operator over it", "a cast over it", "a domain over it", "a generated column", "an index over a function", "a policy over a function",
			"a foreign key onto a protected column", "a trigger on an unprotected table", "a column renamed and another in its place", "a rule on an unprotected table", "a table that inherits":
			k.name, k.stale = stale+k.name, true
			rows = append(rows, k)
		}
	}
	return rows
}

// launderings are tricks that bring a victim's tokens under a customer who is covered.
func launderings() []trick {
	const read = "SELECT * FROM support.customers WHERE id = {own}"
	return []trick{
		{name: "laundering: the token as a value", wire: func(w *wire) {
			for _, column := range []string{"email", "full_name", "phone", "notes"} {
				token := w.one("SELECT " + column + " FROM support.customers WHERE id = {victim}")
				for _, sql := range []string{
					"UPDATE support.customers SET " + column + " = '" + token + "' WHERE id = {own}", "UPDATE support.customers SET " + column + " = E'\\x" + fmt.Sprintf("%x", token[:1]) + token[1:] + "' WHERE id = {own}",
					"UPDATE support.customers SET " + column + " = ' " + token + " ' WHERE id = {own}", "UPDATE support.customers SET " + column + " = upper('" + token + "') WHERE id = {own}", "UPDATE support.customers SET notes = '" + token + "' WHERE id = {own}",
					"UPDATE support.customers SET notes = 'see " + token + " there' WHERE id = {own}", "INSERT INTO support.messages VALUES (96{row}" + strconv.Itoa(len(column)) + ", {ticket}, 'x', 'about " + token + "', now())",
					"UPDATE support.customers SET " + column + " = '" + strings.ToUpper(token) + "' WHERE id = {own}",
				} {
					w.ask(w.query(sql))
					w.ask(w.parse("", strings.Replace(sql, "'"+token+"'", "$1", 1)), w.bind("", "", token), runPortal(""), theSync())
					w.ask(w.query(read))
					w.ask(w.query("SELECT body FROM support.messages WHERE ticket_id = {ticket}"))
				}
			}
			w.ask(w.query("UPDATE support.customers SET notes = NULL WHERE id = {own}"))
		}},
	}
}
